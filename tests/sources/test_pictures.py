"""A folder of pictures is read as it is, or refused by the name of what is wrong."""

import warnings
from collections.abc import Callable
from contextlib import suppress
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
from descent.sources.pictures import in_random_order, read_folder


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path)


def test_pictures_are_read_in_the_order_of_their_names(folder: Path) -> None:
    (folder / "train" / ".gitignore").write_text("x", encoding="utf-8")
    (folder / "train.dvc").write_text("x", encoding="utf-8")
    tensors, classes = read_folder(folder)
    assert classes == ["apple", "pear"]
    assert tensors["train_images"].shape == (6, 10, 12)
    assert tensors["train_images"][:, 4, 5].tolist() == [250, 251, 252, 10, 11, 12]
    assert tensors["train_labels"].tolist() == [0, 0, 0, 1, 1, 1]
    assert tensors["test_images"][:, 4, 5].tolist() == [250, 251, 10, 11]
    assert tensors["test_labels"].tolist() == [0, 0, 1, 1]
    assert {tensor.dtype for tensor in tensors.values()} == {torch.uint8}


def test_colours_become_grey(folder: Path) -> None:
    pixels = np.zeros((10, 12, 3), dtype=np.uint8)
    pixels[..., 1] = 255
    Image.fromarray(pixels).save(folder / "test" / "pear" / "9.png")
    tensors, _ = read_folder(folder)
    assert set(tensors["test_images"][-1].flatten().tolist()) == {150}  # 0.587 · 255


def opaque(picture: Image.Image) -> Image.Image:
    """Add an alpha channel that hides nothing."""
    picture.putalpha(255)
    return picture


def indexed(picture: Image.Image) -> Image.Image:
    """Give a picture a palette, of which an entry that no pixel has is transparent."""
    picture = picture.convert("P")
    unused = next(index for index in range(256) if index not in np.asarray(picture))
    picture.info["transparency"] = bytes(0 if index == unused else 255 for index in range(256))
    return picture


@pytest.mark.parametrize(
    "save",
    [
        lambda picture: opaque(picture),
        lambda picture: opaque(picture.convert("RGB")),
        lambda picture: picture.convert("RGB"),
        lambda picture: picture.convert("P"),
        indexed,
    ],
)
def test_the_same_pixels_are_read_however_they_are_saved(
    folder: Path, save: Callable[[Image.Image], Image.Image]
) -> None:
    before, _ = read_folder(folder)
    for path in folder.rglob("*.png"):
        with Image.open(path) as picture:
            picture.load()
        save(picture).save(path)
    after, _ = read_folder(folder)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_file_that_dvc_does_not_hash_is_passed_over_unless_it_looks_like_a_picture(folder: Path) -> None:
    before, _ = read_folder(folder)
    hashed = set(folder.rglob("*.png"))
    for name in (".DS_Store", "._1.png", "1.png~", "Thumbs.db"):
        (folder / "train" / "pear" / name).write_text("x", encoding="utf-8")
    after, _ = read_folder(folder, hashed)
    assert torch.equal(after["train_images"], before["train_images"])
    hashed.remove(folder / "train" / "pear" / "1.png")
    with pytest.raises(DataError, match=r"train/pear/1\.png: DVC would not notice a change of it"):
        read_folder(folder, hashed)


@pytest.mark.parametrize("sides", [(10, 10), (64, 64), (10, 64)])
def test_sides_from_10_to_64_pixels_are_taken(tmp_path: Path, params: Params, sides: tuple[int, int]) -> None:
    for part in ("train", "test"):
        for value in (50, 200):
            draw(tmp_path / part / f"{value}" / "1.png", size=sides, value=value)
    tensors, classes = read_folder(tmp_path)
    height, width = tensors["train_images"].shape[1:]
    assert (width, height) == sides
    for run in params.train.values():
        build_model(run.model, (1, height, width), len(classes), seed=0)


@pytest.mark.parametrize(("sides", "found"), [((9, 10), "10×9"), ((64, 65), "65×64")])
def test_other_sides_are_refused(folder: Path, sides: tuple[int, int], found: str) -> None:
    for path in folder.rglob("*.png"):
        draw(path, size=sides)
    with pytest.raises(DataError, match=f"{found} pixels; a side has 10 to 64"):
        read_folder(folder)


def test_the_first_images_are_of_all_classes() -> None:
    labels = (torch.arange(2000) // 200).to(torch.uint8)
    tensors = {f"{part}_labels": labels for part in ("train", "test")}
    tensors |= {f"{part}_images": labels[:, None, None].expand(-1, 10, 10) for part in ("train", "test")}
    mixed = in_random_order(tensors, 0)
    for part in ("train", "test"):
        assert mixed[f"{part}_labels"][:100].unique().numel() == 10
        assert torch.equal(mixed[f"{part}_images"][:, 0, 0], mixed[f"{part}_labels"])
        assert torch.equal(mixed[f"{part}_labels"].sort().values, labels)
    assert not torch.equal(mixed["train_labels"], in_random_order(tensors, 1)["train_labels"])


@pytest.mark.parametrize("count", [1, 2, 50, 51])
def test_2_to_50_classes_are_taken(tmp_path: Path, count: int) -> None:
    for part in ("train", "test"):
        for number in range(count):
            draw(tmp_path / part / f"{number:02}" / "1.png", value=number + 100)
    if count in (1, 51):
        with pytest.raises(DataError, match=f"train: {count} folders; as many classes as 2 to 50"):
            read_folder(tmp_path)
    else:
        tensors, classes = read_folder(tmp_path)
        assert (len(classes), tensors["test_labels"].tolist()) == (count, list(range(count)))


def test_more_pixels_than_are_read_again_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("descent.sources.pictures.MOST_BYTES", 6 * 120)
    read_folder(folder)
    monkeypatch.setattr("descent.sources.pictures.MOST_BYTES", 6 * 120 - 1)
    with pytest.raises(DataError, match="train: more than 719 pixels in all"):
        read_folder(folder)


@pytest.mark.parametrize(
    "name", ["pear", "Ankle boot", "2", "NA", "-1", "(a) b_c & d.e", "Größe", "Čaj", "Ωμέγα", "яблоко", "a" * 20]
)
def test_a_class_has_a_name_that_figures_can_print(folder: Path, name: str) -> None:
    for part in ("train", "test"):
        (folder / part / "pear").rename(folder / part / name)
    assert read_folder(folder)[1] == sorted(["apple", name])
    font = FT2Font(font_manager.findfont("DejaVu Sans"))
    assert {ord(letter) for letter in name} <= font.get_charmap().keys()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a" * 21, "21 characters; 20 at most"),
        ("苹果", "the figures' font, DejaVu Sans, has no 苹"),
        ("りんご", "DejaVu Sans, has no り"),
        ("사과", "DejaVu Sans, has no 사"),
        ("सेब", "letters, digits"),
        ("e\u0301te", "a letter and its accent are two characters"),
        ("pear ", "no space last"),
        (" pear", "no dot or space first"),
        (".pear", "no dot or space first"),
        ("pear~", "letters, digits"),
        ("🍐", "letters, digits"),
        ("pe\u200bar", "letters, digits"),
        ("pe\u00a0ar", "letters, digits"),
        ("pear\n", "letters, digits"),
        ("\u202epear", "letters, digits"),
        ("p\udcffr", "letters, digits"),
        ("a$b", "letters, digits"),
        ("true", "columns of tables"),
    ],
)
def test_any_other_name_is_refused_in_one_line_with_the_remedy(folder: Path, name: str, fault: str) -> None:
    for part in ("train", "test"):
        (folder / part / "pear").rename(folder / part / name)
    with pytest.raises(DataError) as error:
        read_folder(folder)
    assert fault in str(error.value)
    assert "rename the folder in train and test" in str(error.value)
    assert str(error.value).isprintable()


def test_damage_at_random_is_refused_or_read(folder: Path) -> None:
    path = folder / "test" / "pear" / "1.png"
    rng = np.random.default_rng(0)
    with Image.open(path) as picture:
        picture.load()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 1
    indexed(picture).save(path, exif=exif)
    whole = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(8, len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with suppress(DataError), warnings.catch_warnings(action="ignore"):
            read_folder(folder)
