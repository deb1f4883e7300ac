"""Bad pictures."""

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from descent.io.errors import DataError
from descent.sources.pictures import read_folder
from tests.faults.conftest import in_its_place
from tests.faults.table import Tell
from tests.sources.test_pictures import draw, fill

# Of a chunk of type zTXt: a key, the method, and a text that is short only as long as it is compressed.
LONG = b"x\0\0" + zlib.compress(b"y" * 50_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path)


def cut(path: Path) -> None:
    """Leave a picture without its last rows."""
    noise = np.random.default_rng(0).integers(255, size=(10, 12), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-60])


def without_files(path: Path) -> None:
    """Empty a folder."""
    for file in path.iterdir():
        file.unlink()


def deep(path: Path) -> None:
    """Write 16 bits for each colour, which Pillow cannot write and reads as 8."""
    header = struct.pack(">IIBBBBB", 12, 10, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10 * (1 + 12 * 6)))), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, *zip(*chunks, strict=True))))


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def transparent(path: Path) -> None:
    """Make the pixels black, and their shape the alpha channel."""
    with Image.open(path) as picture:
        shape = picture.convert("L")
    black = Image.new("L", shape.size)
    black.putalpha(shape)
    black.save(path)


def palette(path: Path) -> None:
    """Use a transparent entry of a palette."""
    with Image.open(path) as picture:
        indexed = picture.convert("P")
    indexed.save(path, transparency=indexed.getpixel((5, 5)))


def keyed(path: Path) -> None:
    """Make the value 0 stand for transparent."""
    with Image.open(path) as picture:
        picture.load()
    picture.save(path, transparency=0)


def huge(path: Path) -> None:
    """Promise a picture of 10 GB."""
    whole = path.read_bytes()
    path.write_bytes(whole[:8] + chunk(b"IHDR", struct.pack(">II", 100000, 100000) + whole[24:29]) + whole[33:])


def two_headed(path: Path) -> None:
    """Promise 10 GB in a second header."""
    whole = path.read_bytes()
    path.write_bytes(whole[:33] + chunk(b"IHDR", struct.pack(">II", 100000, 100000) + whole[24:29]) + whole[33:])


def with_chunk(kind: bytes, content: bytes) -> Callable[[Path], object]:
    """Insert a chunk after the header."""

    def damage(path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[:33] + chunk(kind, content) + whole[33:])

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
    ("tried", "name", "damage", "message"),
    [
        ("no images for the test", "test", renamed("tests"), "no such folder; in it is one for each class, .*"),
        ("a class in one part only", "test/pear", renamed("plum"), "train and test differ .*: pear, plum only .*"),
        ("a class called as a column of the tables", "train/pear", renamed("true"), "no name for a class: .*"),
        ("a class whose name is a formula", "train/pear", renamed("$\\frac$"), "no name for a class: .*"),
        ("a class without an image", "test/pear", without_files, "no image"),
        ("an image of another size", "train/pear/1.png", lambda path: draw(path, (12, 11)), r".11, 12. pixels .*"),
        ("an image larger than any model takes", FIRST, lambda path: draw(path, (300, 10)), "a side has 10 to 64 .*"),
        ("16 bits a pixel", FIRST, lambda path: draw(path, mode="I;16"), DEEP),
        ("16 bits for each of red, green and blue", FIRST, deep, DEEP),
        ("a picture in the alpha channel alone", FIRST, transparent, CLEAR),
        ("a palette with a transparent entry", FIRST, palette, CLEAR),
        ("a grey value that stands for transparent", FIRST, keyed, CLEAR),
        ("a header that promises 10¹⁰ pixels", FIRST, huge, BROKEN),
        ("a second header of another size", FIRST, two_headed, BROKEN),
        ("EXIF data that is none", FIRST, with_chunk(b"eXIf", b"II*"), BROKEN),
        ("a text of 50 MB", FIRST, with_chunk(b"zTXt", LONG), BROKEN),
        (
            "a picture that cannot be read",
            FIRST,
            in_its_place(lambda path: path.symlink_to("/proc/self/mem")),
            "not a whole PNG file .*Input/output error.",
        ),
        ("a pipe among the images", FIRST, in_its_place(os.mkfifo), NO_PNG),
        ("a link to nothing", FIRST, in_its_place(lambda path: path.symlink_to("nowhere")), NO_PNG),
        ("a linked class", "test/pear", linked, LINK),
        ("a linked folder of test images", "test", linked, LINK),
        ("a picture outside a class", "train/1.png", draw, "no folder of a class; .*"),
        ("notes among the images", "train/pear/notes.txt", lambda path: path.write_text("hello"), NO_PNG),
        (
            "a JPEG that is called PNG",
            LAST,
            lambda path: Image.new("L", (12, 10)).save(path, format="JPEG"),
            "not a whole PNG file .cannot identify image file .*",
        ),
        ("an image cut short", LAST, cut, BROKEN),
        ("a folder that is called PNG", LAST, in_its_place(Path.mkdir), NO_PNG),
    ],
)
def test_what_is_no_such_folder_is_refused_by_its_name(
    folder: Path, tell: Tell, name: str, damage: Callable[[Path], object], message: str, tried: str
) -> None:
    damage(folder / name)
    with pytest.raises(DataError) as error:
        read_folder(folder, 0)
    tell(tried, "one line that names the file or folder", str(error.value))
    assert re.fullmatch(rf"{folder}(/{name}|/train/true|/train/\$\\frac\$)?: {message}", str(error.value))
