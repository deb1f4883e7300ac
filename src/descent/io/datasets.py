"""Data sets as tensors: a training and a test part, whole in memory."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from descent.io.errors import DataError
from descent.io.tensors import load_tensors


class Split(NamedTuple):
    """Examples `x` and, for each, the class or the number `y` to be predicted."""

    x: Float[Tensor, " n *features"]
    y: Shaped[Tensor, " n *targets"]


class Dataset(NamedTuple):
    """What a model is trained on, what it is tested on, and the names of the classes, if `y` are classes."""

    train: Split
    test: Split
    classes: Sequence[str] = ()

    @property
    def outputs(self) -> int:
        """How many numbers are to be predicted for each example."""
        return len(self.classes) or self.train.y.shape[1]

    def to(self, device: torch.device) -> "Dataset":
        """Return the same on another device."""
        train, test = (Split(*(tensor.to(device) for tensor in part)) for part in (self.train, self.test))
        return Dataset(train, test, self.classes)


def load_dataset(path: Path, digest: str | None = None) -> Dataset:
    """Read a file that `prepare` wrote; images become float32 pixels in [0, 1] of shape n × 1 × height × width.

    Args:
        path: The file.
        digest: The SHA-256 that it must have.

    Raises:
        DataError: The file is missing, damaged, or lacks a tensor.
    """
    tensors, metadata = load_tensors(path, digest)
    try:
        if "train_images" in tensors:
            return Dataset(
                train=Split(_pixels(tensors["train_images"]), tensors["train_labels"].long()),
                test=Split(_pixels(tensors["test_images"]), tensors["test_labels"].long()),
                classes=json.loads(metadata["classes"]),
            )
        return Dataset(
            train=Split(tensors["train_x"], tensors["train_y"]),
            test=Split(tensors["test_x"], tensors["test_y"]),
        )
    except KeyError as error:
        raise DataError(f"{path}: holds no {error}; `dvc repro --force prepare` makes the file anew") from error


def _pixels(images: Shaped[Tensor, "n height width"]) -> Float[Tensor, "n 1 height width"]:
    return images.unsqueeze(1).float().div_(255)  # in place: 188 MB once, not twice
