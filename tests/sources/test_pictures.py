"""A folder of pictures is read as it is, or refused by the name of what is wrong."""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ExifTags, Image

from descent.io.errors import DataError
from descent.io.schema import Params
from descent.models.networks import build_model
from descent.sources.pictures import LETTERS, read_folder


def draw(path: Path, size: tuple[int, int] = (12, 10), mode: str = "L", value: int = 200) -> None:
    """Write a picture of one shade, but for a black corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new(mode, size, value if mode in ("L", "I;16") else (value,) * len(mode))
    picture.putpixel((0, 0), 0 if mode in ("L", "I;16") else (0,) * len(mode))
    picture.save(path)


def fill(folder: Path) -> Path:
    """Write two classes of pictures."""
    for part, count in (("train", 3), ("test", 2)):
        for value, name in ((10, "pear"), (250, "apple")):
            for number in range(count):
                draw(folder / part / name / f"{number}.png", value=value + number)
    return folder


def in_its_place(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Remove a file, and make something else there."""

    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


LEFT = (".DS_Store", "._0.png", "Thumbs.db", "desktop.ini", "0.png~", ".0.png.swp", ".#0.png", "#0.png#", ".directory")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path)


def test_pictures_are_read_with_the_labels_of_their_folders(folder: Path) -> None:
    (folder / "train" / ".gitignore").write_text("x", encoding="utf-8")
    (folder / "train.dvc").write_text("x", encoding="utf-8")
    tensors, classes = read_folder(folder, 0)
    assert classes == ["apple", "pear"]
    assert tensors["train_images"].shape == (6, 10, 12)
    for part, count in (("train", 3), ("test", 2)):
        images, labels = tensors[f"{part}_images"], tensors[f"{part}_labels"]
        assert images.dtype == labels.dtype == torch.uint8
        expected = {(shade + number, label) for shade, label in ((250, 0), (10, 1)) for number in range(count)}
        assert set(zip(images[:, 4, 5].tolist(), labels.tolist(), strict=True)) == expected
        assert (images[:, 0, 0] == 0).all()


def test_the_first_images_are_of_all_classes(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for value, name in ((100, "a"), (200, "b")):
            for number in range(20):
                draw(tmp_path / part / name / f"{number}.png", value=value + number)
    tensors, again, other = (read_folder(tmp_path, seed)[0] for seed in (0, 0, 1))
    for part in ("train", "test"):
        assert len(tensors[f"{part}_labels"][:10].unique()) == 2
    torch.testing.assert_close(tensors, again)
    assert not torch.equal(tensors["train_labels"], other["train_labels"])


def test_colours_become_grey(folder: Path) -> None:
    pixels = np.zeros((10, 12, 3), dtype=np.uint8)
    pixels[..., 1] = 255
    Image.fromarray(pixels).save(folder / "test" / "pear" / "9.png")
    tensors, _ = read_folder(folder, 0)
    assert 150 in tensors["test_images"].flatten(1).amin(1)  # 0.587 · 255


def turned(picture: Image.Image, path: Path) -> None:
    """Save a picture turned, and say in EXIF data that it is to be turned back."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def indexed(picture: Image.Image, path: Path) -> None:
    """Save a picture with a palette, of which an entry that no pixel has is transparent."""
    picture = picture.convert("P")
    unused = next(index for index in range(256) if index not in np.asarray(picture))
    picture.save(path, transparency=bytes(0 if index == unused else 255 for index in range(256)))


@pytest.mark.parametrize(
    "save",
    [
        lambda picture, path: picture.convert("RGB").save(path),
        lambda picture, path: picture.convert("RGBA").save(path),
        indexed,
        turned,
    ],
)
def test_the_format_of_a_file_changes_no_pixel(folder: Path, save: Callable[[Image.Image, Path], object]) -> None:
    before, _ = read_folder(folder, 0)
    for path in folder.rglob("*.png"):
        with Image.open(path) as picture:
            picture.load()
        save(picture, path)
    after, _ = read_folder(folder, 0)
    torch.testing.assert_close(after, before)


def test_what_programs_leave_is_passed_over(folder: Path) -> None:
    before, _ = read_folder(folder, 0)
    for name in LEFT:
        for place in ("train", "train/pear"):
            (folder / place / name).write_text("x", encoding="utf-8")
    after, _ = read_folder(folder, 0)
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("sides", [(10, 10), (64, 64), (10, 64), (9, 10), (64, 65)])
def test_sides_from_10_to_64_pixels_are_taken(folder: Path, params: Params, sides: tuple[int, int]) -> None:
    for path in folder.rglob("*.png"):
        draw(path, size=sides)
    if {9, 65} & set(sides):
        with pytest.raises(DataError, match="a side has 10 to 64 pixels"):
            read_folder(folder, 0)
        return
    tensors, classes = read_folder(folder, 0)
    height, width = tensors["train_images"].shape[1:]
    assert (width, height) == sides
    for run in params.train.values():
        build_model(run.model, (1, height, width), len(classes), seed=0)


@pytest.mark.parametrize("count", [1, 2, 50, 51])
def test_2_to_50_classes_are_taken(tmp_path: Path, count: int) -> None:
    for part in ("train", "test"):
        for number in range(count):
            draw(tmp_path / part / f"{number:02}" / "1.png", value=number + 100)
    if count in (1, 51):
        with pytest.raises(DataError, match=f"train: {count} folders; as many classes as 2 to 50"):
            read_folder(tmp_path, 0)
        return
    tensors, classes = read_folder(tmp_path, 0)
    assert (len(classes), tensors["test_labels"].sort().values.tolist()) == (count, list(range(count)))


def test_the_letters_of_a_class_are_those_of_the_figures_font() -> None:
    letters = [letter for letter in map(chr, range(0x110000)) if re.fullmatch(f"[{LETTERS}]", letter)]
    assert len(letters) > 900
    assert {ord(letter) for letter in letters} <= FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap().keys()
    assert all(letter.isalnum() and unicodedata.is_normalized("NFC", letter) for letter in letters)


NAMES = ["pear", "Ankle boot", "2", "NA", "-1", "(a) b_c & d.e", "Größe", "Čaj", "Ωμέγα", "яблоко", "a" * 20, "trueish"]
# fmt: off
HOSTILE = [
    "a" * 21, "苹果", "りんご", "사과", "सेब", "e\u0301te", "pear ", " pear", "pear~x", "🍐", "pe\u200bar",
    "pe\u00a0ar", "pear\n", "\u202epear", "p\udcffr", "a$b", "true", "series", "epsilon",
]
# fmt: on


@pytest.mark.parametrize("name", [*NAMES, *HOSTILE])
def test_a_class_has_a_name_that_figures_can_print_or_is_refused_in_one_line(folder: Path, name: str) -> None:
    for part in ("train", "test"):
        (folder / part / "pear").rename(folder / part / name)
    if name in NAMES:
        assert read_folder(folder, 0)[1] == sorted(["apple", name])
        return
    with pytest.raises(DataError, match="no name for a class: .*; rename the folder in train and test") as error:
        read_folder(folder, 0)
    assert str(error.value).isprintable()
