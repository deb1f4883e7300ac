"""Bad pictures."""

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

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


def animated(path: Path) -> None:
    """Write two pictures into one file."""
    frames = [Image.new("L", (12, 10), value) for value in (10, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def turned(path: Path) -> None:
    """Say that the picture is to be turned by 90 degrees."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    with Image.open(path) as picture:
        picture.load()
    picture.save(path, exif=exif)


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


def without_palette(path: Path) -> None:
    """Rename the chunk with the palette."""
    with Image.open(path) as picture:
        picture.convert("P").save(path)
    whole = path.read_bytes()
    start = whole.index(b"PLTE") - 4
    path.write_bytes(whole[:start] + whole[start + 12 + int.from_bytes(whole[start : start + 4], "big") :])


def linked(path: Path) -> None:
    """Move a folder away, and link to it."""
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def identical(path: Path) -> None:
    """Make all pictures the same."""
    for file in path.rglob("*.png"):
        draw(file)


def flat(path: Path) -> None:
    """Lose what the pictures show."""
    for value, file in enumerate(path.rglob("*.png")):
        Image.new("L", (12, 10), value).save(file)


@pytest.mark.parametrize(
    ("tried", "name", "damage", "message"),
    [
        (
            "no images for the test",
            "test",
            lambda path: path.rename(path.with_name("tests")),
            "no such folder; in it is one for each class, .*",
        ),
        (
            "a class in one part only",
            "test/pear",
            lambda path: path.rename(path.with_name("plum")),
            "train and test differ .*: pear, plum only .*",
        ),
        (
            "a class called as a column of the tables",
            "train/pear",
            lambda path: path.rename(path.with_name("true")),
            "no name for a class: .*",
        ),
        (
            "a class whose name is a formula",
            "train/pear",
            lambda path: path.rename(path.with_name("$\\frac$")),
            "no name for a class: .*",
        ),
        ("a class without an image", "test/pear", without_files, "no image"),
        (
            "an image of another size",
            "train/pear/1.png",
            lambda path: draw(path, (12, 11)),
            "11×12 pixels, where the first image has 10×12",
        ),
        (
            "an image larger than any model here takes",
            "train/apple/0.png",
            lambda path: draw(path, (300, 10)),
            "10×300 pixels; a side has 10 to 64",
        ),
        (
            "16 bits a pixel",
            "train/apple/0.png",
            lambda path: draw(path, mode="I;16"),
            "16 bits for each value of a pixel; .*",
        ),
        ("16 bits for each of red, green and blue", "train/apple/0.png", deep, "16 bits for each value of a pixel; .*"),
        ("a picture in the alpha channel alone", "train/apple/0.png", transparent, "has transparent pixels; .*"),
        ("a palette with a transparent entry", "train/apple/0.png", palette, "has transparent pixels; .*"),
        ("a grey value that stands for transparent", "train/apple/0.png", keyed, "has transparent pixels; .*"),
        ("an animated PNG", "train/apple/0.png", animated, "an animation; .*"),
        ("a PNG that EXIF data turns", "train/apple/0.png", turned, "to be turned, .*"),
        ("a header that promises 10¹⁰ pixels", "train/apple/0.png", huge, "100000×100000 pixels; .*"),
        ("a second header of another size", "train/apple/0.png", two_headed, "not a whole PNG file .*"),
        ("EXIF data that is none", "train/apple/0.png", with_chunk(b"eXIf", b"II*"), "not a whole PNG file .*"),
        ("a palette that is missing", "train/apple/0.png", without_palette, "not a whole PNG file .*"),
        ("a text of 50 MB", "train/apple/0.png", with_chunk(b"zTXt", LONG), "not a whole PNG file .*"),
        (
            "a picture that cannot be read",
            "train/apple/0.png",
            in_its_place(lambda path: path.symlink_to("/proc/self/mem")),
            "Input/output error",
        ),
        ("a pipe among the images", "train/apple/0.png", in_its_place(os.mkfifo), "not a file; move it away"),
        (
            "a link to nothing among the images",
            "train/apple/0.png",
            in_its_place(lambda path: path.symlink_to("nowhere")),
            "not a file; move it away",
        ),
        ("a linked class", "test/pear", linked, "a link, and DVC would not notice .*"),
        ("a linked folder of test images", "test", linked, "a link, and DVC would not notice .*"),
        ("a picture outside a class", "train/1.png", draw, "a picture outside a class; .*"),
        (
            "a picture whose name is hidden",
            "test/pear/.1.png",
            draw,
            "no PNG file; a picture's name ends in .png and begins without a dot",
        ),
        ("pictures that are all identical", "test", identical, "all pictures are identical; .*"),
        ("pictures of one colour each", "train", flat, "every picture is of one colour; .*"),
        ("notes among the images", "train/pear/notes.txt", lambda path: path.write_text("hello"), "no PNG file; .*"),
        (
            "a JPEG that is called PNG",
            "train/pear/2.png",
            lambda path: Image.new("L", (12, 10)).save(path, format="JPEG"),
            "no PNG file",
        ),
        ("an image cut short", "train/pear/2.png", cut, "not a whole PNG file .*"),
        (
            "a folder that is called PNG",
            "train/pear/2.png",
            lambda path: (path.unlink(), path.mkdir()),
            "not a file; move it away",
        ),
    ],
)
def test_what_is_no_such_folder_is_refused_by_its_name(
    folder: Path, tell: Tell, name: str, damage: Callable[[Path], object], message: str, tried: str
) -> None:
    damage(folder / name)
    with pytest.raises(DataError) as error:
        read_folder(folder)
    tell(tried, "one line that names the file or folder", str(error.value))
    assert re.fullmatch(rf"{folder}(/{name}|/train/true|/train/\$\\frac\$)?: {message}", str(error.value))
