"""An adversarial test set in a file: write it, read it, check it against its rules."""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from descent.io.datasets import Split
from descent.io.tensors import load_tensors, save_tensors


def save_adversarial_set(path: Path, images: Float[Tensor, "n c h w"], y: Int[Tensor, " n"], epsilon: float) -> None:
    """Write `images` (float32, in [0, 1]), their true classes `labels` (uint8), and the L∞ bound `epsilon`."""
    save_tensors(path, {"images": images, "labels": y.to(torch.uint8)}, {"epsilon": f"{epsilon:g}"})


def load_adversarial_set(path: Path) -> Split:
    """Read what `save_adversarial_set` wrote: images and their true classes."""
    tensors, _ = load_tensors(path)
    return Split(tensors["images"], tensors["labels"].long())


def broken_rules(path: Path, clean: Split) -> list[str]:
    """Check an adversarial test set, from this project or from elsewhere, against the clean test images in its order.

    Returns:
        A line for each rule that is broken: tensors, dtype, count and shape, range, ε, labels.

    Raises:
        DataError: The file is missing or no safetensors file.
    """
    tensors, metadata = load_tensors(path)
    if set(tensors) != {"images", "labels"}:
        return [f"expected the tensors images and labels, found {', '.join(sorted(tensors)) or 'none'}"]
    try:
        epsilon = float(metadata.get("epsilon", ""))
    except ValueError:
        return [f"expected a number as epsilon in the metadata, found {metadata.get('epsilon')!r}"]
    images, labels = tensors["images"], tensors["labels"].long()
    kept = {f"float32 images, found {str(images.dtype).removeprefix('torch.')}": images.dtype == torch.float32}
    if images.shape != clean.x.shape:
        kept[f"images of {tuple(clean.x.shape)}, found {tuple(images.shape)}"] = False
    else:
        low, high = images.min().item(), images.max().item()
        furthest = (images.double() - clean.x).abs().max().item()
        # Negated comparisons would not notice NaN.
        kept |= {
            f"pixels in [0, 1], found {low:g} to {high:g}": 0 <= low <= high <= 1,
            f"a perturbation of at most {epsilon:g}, found {furthest:g}": furthest <= epsilon + 1e-6,  # float32
            "the labels of the test set, untouched": torch.equal(labels, clean.y),
        }
    return [f"expected {rule}" for rule, is_kept in kept.items() if not is_kept]
