"""A folder of pictures is read as it is, or refused by the name of what is wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from descent.errors import DataError
from descent.png_folder import read_folder


def draw(path: Path, size: tuple[int, int] = (12, 10), mode: str = "L", value: int = 200) -> None:
    """Write a picture of one shade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode in ("L", "I;16") else (value,) * len(mode)).save(path)


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
    (folder / "train" / "pear" / ".DS_Store").write_text("x", encoding="utf-8")
    (folder / "train.dvc").write_text("x", encoding="utf-8")
    tensors, classes = read_folder(folder)
    assert classes == ["apple", "pear"]
    assert tensors["train_images"].shape == (6, 10, 12)
    assert tensors["train_images"][:, 4, 5].tolist() == [250, 251, 252, 10, 11, 12]
    assert tensors["train_labels"].tolist() == [0, 0, 0, 1, 1, 1]
    assert tensors["test_images"][:, 0, 0].tolist() == [250, 251, 10, 11]
    assert tensors["test_labels"].tolist() == [0, 0, 1, 1]
    assert {tensor.dtype for tensor in tensors.values()} == {torch.uint8}


def test_colours_become_grey(folder: Path) -> None:
    pixels = np.zeros((10, 12, 3), dtype=np.uint8)
    pixels[..., 1] = 255
    Image.fromarray(pixels).save(folder / "test" / "pear" / "9.png")
    tensors, _ = read_folder(folder)
    assert set(tensors["test_images"][-1].flatten().tolist()) == {150}  # 0.587 · 255


def test_one_class_is_refused_and_so_are_more_pixels_than_are_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("descent.png_folder.MOST_BYTES", 6 * 120)
    read_folder(folder)
    monkeypatch.setattr("descent.png_folder.MOST_BYTES", 6 * 120 - 1)
    with pytest.raises(DataError, match="train: more than 719 pixels in all"):
        read_folder(folder)
    for part in ("train", "test"):
        draw(tmp_path / "one" / part / "apple" / "1.png")
    with pytest.raises(DataError, match="train: 1 folders; as many classes as 2 to 50"):
        read_folder(tmp_path / "one")
