"""Read the user's own images: a folder of PNG files for each class, in `train` and in `test`."""

import re
from pathlib import Path
from warnings import catch_warnings

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from descent.io.errors import DataError

# The sizes for which every model of params.yaml can be built, and every figure and page stays small.
SIDES = range(10, 65)
# One class leaves nothing to classify; figures of more than 50 are illegible.
CLASSES = range(2, 51)
# A class is a column of tables, some of which are taken, and a label in figures, whose font has these letters, in which
# a dollar begins a formula and long labels do not fit.
LETTERS = r"0-9A-Za-zÀ-ÖØ-öø-ʯΆΈ-ΊΌΎ-ΡΣ-ώЀ-ҁҊ-ӿḀ-ỹ"
NAME = re.compile(rf"(?!(series|epsilon|true)$)(?![ .])[{LETTERS} _.,'()&-]{{1,20}}(?<! )")
# What programs leave in a folder, as .dvcignore has it.
LEFT = re.compile(r"\..*|.*~|#.*#|thumbs\.db|desktop\.ini", re.IGNORECASE)


def read_folder(folder: Path, seed: int) -> tuple[dict[str, UInt8[Tensor, "..."]], list[str]]:
    """Read the PNG files `PART/CLASS/*.png` of both parts as grey, in random order.

    Curves and PGD use the first images only, which would otherwise be of the first classes.

    Args:
        folder: Has `train` and `test`, and these the same folders, each named after a class.
        seed: Of the order.

    Returns:
        `train_images`, `test_images` (n × height × width, 0 black to 255 white), `train_labels`, `test_labels` (n);
        and the names of the classes, sorted, which the labels count.

    Raises:
        DataError: A folder is missing or a link; classes differ between the parts, or are fewer than 2 or more than 50;
            a class has no image, or a name that tables or figures cannot show; a file is not an opaque PNG of 8 bits,
            or has a side below 10 or above 64 pixels, or another size than the first.
    """
    classes, others = (_classes(folder / part) for part in ("train", "test"))
    if only := set(classes) ^ set(others):
        raise DataError(f"{folder}: train and test differ in classes: {', '.join(sorted(only))} only in one of them")
    if len(classes) not in CLASSES:
        raise DataError(f"{folder / 'train'}: {len(classes)} folders; as many classes as {CLASSES[0]} to {CLASSES[-1]}")
    tensors, rng, size = {}, torch.Generator().manual_seed(seed), None
    for part in ("train", "test"):
        images, labels = list[UInt8[np.ndarray, "height width"]](), list[int]()
        for label, name in enumerate(classes):
            for path in _files(_no_link(folder / part / name)):
                images.append(_grey(path, size))
                labels.append(label)
                size = images[0].shape if size is None else size
        order = torch.randperm(len(labels), generator=rng)
        tensors[f"{part}_images"] = torch.from_numpy(np.stack(images))[order]
        tensors[f"{part}_labels"] = torch.tensor(labels, dtype=torch.uint8)[order]
    return tensors, classes


def _no_link(folder: Path) -> Path:
    if folder.is_symlink():
        raise DataError(f"{folder}: a link, and DVC would not notice a change behind it; move the folder itself here")
    return folder


def _classes(folder: Path) -> list[str]:
    if not _no_link(_no_link(folder.parent) / folder.name).is_dir():
        raise DataError(
            f"{folder}: no such folder; in it is one for each class, with its images as PNG. A queued experiment and "
            "another clone have it only after `dvc add images/train images/test` (docs/data.md)"
        )
    for path in _files(folder):
        if not path.is_dir():
            raise DataError(f"{_shown(path)}: no folder of a class; move it into one")
        if not NAME.fullmatch(path.name):
            raise DataError(
                f"{_shown(path)}: no name for a class: 1 to 20 Latin, Greek or Cyrillic letters, digits, spaces and "
                "-_.,'()& are taken, no dot or space first, no space last, and not series, epsilon or true, which are "
                "columns of tables; rename the folder in train and test"
            )
    return [path.name for path in _files(folder)]


def _files(folder: Path) -> list[Path]:
    if not (found := sorted(path for path in folder.iterdir() if not LEFT.fullmatch(path.name))):
        raise DataError(f"{folder}: no image")
    return found


def _grey(path: Path, size: tuple[int, ...] | None) -> UInt8[np.ndarray, "height width"]:
    if path.suffix.lower() != ".png" or not path.is_file():  # reading a pipe would block
        raise DataError(f"{_shown(path)}: no PNG file, whose name ends in .png; move it away")
    try:
        # Pillow's warnings are errors here.
        with catch_warnings(action="error"), path.open("rb") as file, Image.open(file, formats=["PNG"]) as picture:
            if not {picture.width, picture.height} <= set(SIDES):
                raise DataError(f"{_shown(path)}: a side has {SIDES[0]} to {SIDES[-1]} pixels")
            if "16" in str(picture.tile):
                raise DataError(f"{_shown(path)}: 16 bits for each value of a pixel; save it with 8")
            pixels = ImageOps.exif_transpose(picture).convert("RGBA")
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Pillow raises many types, such as AssertionError and struct.error
        raise DataError(f"{_shown(path)}: not a whole PNG file ({' '.join(str(error).split())})") from error
    if pixels.getchannel("A").getextrema() != (255, 255):
        raise DataError(f"{_shown(path)}: has transparent pixels; flatten it on black first")
    grey = np.asarray(pixels.convert("L"))
    if size not in (None, grey.shape):
        raise DataError(f"{_shown(path)}: {grey.shape} pixels high and wide, where the first image has {size}")
    return grey


def _shown(path: Path) -> str:
    """Return a path as one printable line."""
    return str(path) if str(path).isprintable() else ascii(str(path))
