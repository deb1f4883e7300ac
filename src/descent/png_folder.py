"""Images of one's own: a folder of pictures for each class, in `train` and in `test`."""

import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from descent.errors import DataError

PARTS = ("train", "test")
SIDES = range(8, 257)
# Fewer leave nothing to tell apart, more no figure that can be read.
CLASSES = range(2, 51)
# A class is a column of tables, and a word in figures, where a dollar begins a formula.
NAME, TAKEN = re.compile(r"[\w .,'()&-]{1,40}"), ("series", "epsilon", "true")
# What the pipeline reads again later.
MOST_BYTES = 2**26
# Of what Pillow calls them, those whose pixels become one grey byte without loss of anything but colour.
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")


def read_folder(folder: Path) -> tuple[dict[str, UInt8[Tensor, "..."]], list[str]]:
    """Read the PNG files `PART/CLASS/*.png` of both parts, in the order of their names, as grey.

    Args:
        folder: Has `train` and `test`, and these the same folders, each named after a class.

    Returns:
        `train_images`, `test_images` (n × height × width, 0 black to 255 white), `train_labels`, `test_labels` (n);
        and the names of the classes, sorted, which the labels count.

    Raises:
        DataError: There is no such folder; classes differ between the parts, are fewer than 2 or more than 50; a
            class has no image, or a name that no table can have; a file is no PNG, or of another size than the
            first; they are too small, too large, or too many for 64 MiB of pixels.
    """
    classes = [_classes(folder / part) for part in PARTS]
    if only := set(classes[0]) ^ set(classes[1]):
        raise DataError(f"{folder}: train and test differ in classes: {', '.join(sorted(only))} only in one of them")
    if len(classes[0]) not in CLASSES:
        raise DataError(
            f"{folder / 'train'}: {len(classes[0])} folders; as many classes as {CLASSES[0]} to {CLASSES[-1]}"
        )
    tensors, size = {}, None
    for part in PARTS:
        images, labels = [], []
        for label, name in enumerate(classes[0]):
            for path in _pictures(folder / part / name):
                images.append(_grey(path, size))
                size = size or images[0].shape
                labels.append(label)
                if len(images) * images[0].size > MOST_BYTES:
                    raise DataError(
                        f"{folder / part}: more than {MOST_BYTES:,} pixels in all; take fewer or smaller images"
                    )
        tensors[f"{part}_images"] = torch.from_numpy(np.stack(images))
        tensors[f"{part}_labels"] = torch.tensor(labels, dtype=torch.uint8)
    return tensors, classes[0]


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; in it is one for each class, with its images as PNG")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for name in names:
        if name in TAKEN or not NAME.fullmatch(name):
            raise DataError(
                f"{folder / name}: no name for a class; letters, digits, spaces and -_.,'()&, 40 at most, "
                f"and none of {', '.join(TAKEN)}, which are columns of tables"
            )
    return names


def _pictures(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not found:
        raise DataError(f"{folder}: no image")
    return found


def _grey(path: Path, size: tuple[int, ...] | None) -> UInt8[np.ndarray, "height width"]:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            shape = (picture.height, picture.width)
            if size is not None and shape != size:
                raise DataError(f"{path}: {_words(shape)} pixels, where the first image has {_words(size)}")
            if not all(side in SIDES for side in shape):
                raise DataError(f"{path}: {_words(shape)} pixels; a side has {SIDES[0]} to {SIDES[-1]}")
            if picture.mode not in MODES:
                raise DataError(
                    f"{path}: pixels of type {picture.mode}; 8 bits for each of grey, or red, green and blue"
                )
            return np.asarray(picture.convert("L"))
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: no PNG file") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not a whole PNG file ({error})") from error


def _words(size: tuple[int, ...]) -> str:
    return "×".join(map(str, size))
