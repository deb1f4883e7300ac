"""The four files of the data set as a folder, written and read together."""

from collections.abc import Mapping
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from descent.io.errors import DataError
from descent.sources.idx import read_idx, write_idx
from descent.sources.published import FILES


def write_raw(folder: Path, tensors: Mapping[str, UInt8[Tensor, "..."]]) -> None:
    """Write images and labels under the names of the published files."""
    for part, name in FILES.items():
        write_idx(folder / name, tensors[part])


def read_raw(folder: Path, classes: int) -> dict[str, UInt8[Tensor, "..."]]:
    """Read images (n × height × width) and labels (n) of both parts.

    Raises:
        DataError: A file is missing or damaged, images and labels differ in number, a label is not below the
            number of classes, or the images of both parts differ in size.
    """
    tensors = dict[str, UInt8[Tensor, "..."]]()
    size: tuple[int | None, ...] = (None, None)
    for part in ("train", "test"):
        images = read_idx(folder / FILES[f"{part}_images"], None, *size)
        labels = read_idx(folder / FILES[f"{part}_labels"], None)
        if len(images) != len(labels):
            raise DataError(f"{folder}: {len(images)} {part} images, but {len(labels)} labels")
        if (largest := int(labels.max())) >= classes:
            name = FILES[f"{part}_labels"]
            raise DataError(f"{folder / name}: label {largest}; the classes are 0 to {classes - 1}")
        tensors[f"{part}_images"], tensors[f"{part}_labels"] = images, labels
        size = images.shape[1:]
    return tensors
