"""Bad pictures are refused in one line that names the file or folder."""

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from descent.io.errors import DataError
from descent.sources.pictures import read_folder
from tests.sources.test_pictures import draw, fill, in_its_place

HUGE = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)  # the header of a picture of 10 GB
# Of a chunk of type zTXt: a key, the method, and a text that is short only as long as it is compressed.
LONG = b"x\0\0" + zlib.compress(b"y" * 50_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path)


def emptied(path: Path) -> None:
    """Remove the files of a folder."""
    for file in path.iterdir():
        file.unlink()


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def deep(path: Path) -> None:
    """Write 16 bits for each colour, which Pillow cannot write and reads as 8."""
    header = struct.pack(">IIBBBBB", 12, 10, 16, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(10 * (1 + 12 * 6)))
    path.write_bytes(path.read_bytes()[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def inserted(kind: bytes, content: bytes, begin: int = 33) -> Callable[[Path], object]:
    """Insert a chunk after the header, or in its place, at byte 8."""

    def damage(path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[:begin] + chunk(kind, content) + whole[33:])

    return damage


def saved(mode: str, **options: Any) -> Callable[[Path], object]:  # noqa: ANN401 - each has its own type
    """Save a picture in another mode, with options of Pillow."""

    def damage(path: Path) -> None:
        with Image.open(path) as picture:
            converted = picture.convert(mode)
        converted.save(path, **options)

    return damage


def linked(path: Path) -> None:
    """Move a folder away, and link to it."""
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def renamed(name: str) -> Callable[[Path], object]:
    """Give a file or folder another name."""
    return lambda path: path.rename(path.with_name(name))


FIRST, LAST = "train/apple/0.png", "train/pear/2.png"
DEEP, CLEAR, BROKEN = "16 bits for each value of a pixel; .*", "has transparent pixels; .*", "not a whole PNG file .*"
NO_PNG, LINK = "no PNG file, whose name ends in .png; move it away", "a link, and DVC would not notice .*"


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("test", renamed("tests"), "no such folder; in it is one for each class, .*"),
        ("test/pear", renamed("plum"), "train and test differ .*: pear, plum only .*"),
        ("test/pear", emptied, "no image"),
        ("train/pear/1.png", lambda path: draw(path, (12, 11)), r".11, 12. pixels .*"),
        (FIRST, lambda path: draw(path, mode="I;16"), DEEP),
        (FIRST, deep, DEEP),
        (FIRST, lambda path: draw(path, mode="LA"), CLEAR),
        (FIRST, saved("P", transparency=0), CLEAR),
        (FIRST, saved("L", transparency=0), CLEAR),
        (FIRST, inserted(b"IHDR", HUGE, begin=8), BROKEN),
        (FIRST, inserted(b"IHDR", HUGE), BROKEN),
        (FIRST, inserted(b"eXIf", b"II*"), BROKEN),
        (FIRST, inserted(b"zTXt", LONG), BROKEN),
        (FIRST, in_its_place(lambda path: path.symlink_to("/proc/self/mem")), BROKEN),
        (FIRST, in_its_place(os.mkfifo), NO_PNG),
        (FIRST, in_its_place(lambda path: path.symlink_to("nowhere")), NO_PNG),
        (LAST, in_its_place(Path.mkdir), NO_PNG),
        (LAST, saved("L", format="JPEG"), BROKEN),
        (LAST, lambda path: os.truncate(path, 45), BROKEN),
        ("test/pear", linked, LINK),
        ("test", linked, LINK),
        ("train/1.png", draw, "no folder of a class; .*"),
        ("train/pear/notes.txt", Path.touch, NO_PNG),
    ],
)
def test_a_bad_picture_is_named(folder: Path, name: str, damage: Callable[[Path], object], message: str) -> None:
    damage(folder / name)
    with pytest.raises(DataError) as error:
        read_folder(folder, 0)
    assert re.fullmatch(rf"{folder}(/{name})?: {message}", str(error.value))
