"""An adversarial test set in a file: write it, read it, check it against its rules."""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from descent.io.datasets import Split
from descent.io.tensors import load_tensors, save_tensors

# Rounding error of a float32 pixel in [0, 1], perturbed and clipped.
ROUNDING = 1e-6


def save_adversarial_set(
    path: Path, images: Float[Tensor, "n channels height width"], y: Int[Tensor, " n"], epsilon: float
) -> str:
    """Write `images` (float32, in [0, 1]), their true classes `labels` (uint8), and the L∞ bound `epsilon`.

    Returns:
        The SHA-256 of the file.
    """
    return save_tensors(path, {"images": images, "labels": y.to(torch.uint8)}, {"epsilon": f"{epsilon:g}"})


def load_adversarial_set(path: Path, digest: str | None = None) -> Split:
    """Read what `save_adversarial_set` wrote: images and their true classes; `digest` is the expected SHA-256."""
    tensors, _ = load_tensors(path, digest)
    return Split(tensors["images"], tensors["labels"].long())


def broken_rules(path: Path, clean: Split) -> list[str]:
    """Check an adversarial test set, from this project or from elsewhere, against the clean images.

    Args:
        path: safetensors with `images`, `labels`, and `epsilon` in its metadata.
        clean: The test images in the same order, and their classes.

    Returns:
        A line for each rule that is broken: tensors, dtype, count and shape, range, ε, labels.

    Raises:
        DataError: The file is missing or no safetensors file.
    """
    tensors, metadata = load_tensors(path)
    if set(tensors) != {"images", "labels"}:
        return [f"expected the tensors images and labels, found {', '.join(sorted(tensors)) or 'none'}"]
    images, labels = tensors["images"], tensors["labels"]
    broken = []
    try:
        epsilon = float(metadata.get("epsilon", ""))
    except ValueError:
        return [f"expected a number as epsilon in the metadata, found {metadata.get('epsilon')!r}"]
    if images.dtype != torch.float32:
        broken.append(f"expected float32 images, found {str(images.dtype).removeprefix('torch.')}")
    if images.shape != clean.x.shape:
        return [*broken, f"expected images of {tuple(clean.x.shape)}, found {tuple(images.shape)}"]
    if not bool(images.isfinite().all()) or images.min() < 0 or images.max() > 1:
        broken.append(f"expected pixels in [0, 1], found {images.min().item():g} to {images.max().item():g}")
    if not (furthest := (images.double() - clean.x).abs().max().item()) <= epsilon + ROUNDING:
        broken.append(f"expected a perturbation of at most {epsilon:g}, found {furthest:g}")
    if labels.shape != clean.y.shape or not torch.equal(labels.long(), clean.y):
        broken.append("expected the labels of the test set, untouched")
    return broken
