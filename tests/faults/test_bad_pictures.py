"""Bad pictures."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from descent.errors import DataError
from descent.png_folder import read_folder
from tests.faults.table import Tell
from tests.test_png_folder import draw, fill


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
            "no name for a class; .*",
        ),
        (
            "a class whose name is a formula",
            "train/pear",
            lambda path: path.rename(path.with_name("$\\frac$")),
            "no name for a class; .*",
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
            "10×300 pixels; a side has 8 to 256",
        ),
        (
            "16 bits a pixel",
            "train/apple/0.png",
            lambda path: draw(path, mode="I;16"),
            "pixels of type I;16; 8 bits .*",
        ),
        ("notes among the images", "train/pear/notes.txt", lambda path: path.write_text("hello"), "no PNG file"),
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
            "not a whole PNG file .*",
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
