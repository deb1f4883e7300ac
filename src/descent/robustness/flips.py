"""The smallest ε that flips each image, by bisection, and its quantiles by class."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from descent.attacks.gradient_sign import PIXELS, Bounds, moved
from descent.attacks.norms import Images
from descent.io.datasets import Split
from descent.models.evaluation import predict


class Flips(NamedTuple):
    """For each image, the smallest ε found at which it is misclassified, and the prediction at that ε."""

    epsilon: Float[Tensor, " n"]  # 0: misclassified without an attack; infinite: not flipped by any ε tried
    becomes: Int[Tensor, " n"]  # the class predicted at that ε; the true one where no ε flipped it
    confidence: Float[Tensor, " n"]  # of that class at that ε, in [0, 1]


class Brackets(NamedTuple):
    """For each image, two ε with its smallest flipping ε between them; equal if that is known, `high` may be ∞."""

    low: Float[Tensor, " n"]
    high: Float[Tensor, " n"]


def moved_each(x: Images, direction: Images, epsilon: Float[Tensor, " n"], bounds: Bounds = PIXELS) -> Images:
    """Return clip(x + ε · direction), where each image has its own ε."""
    return moved(x, direction * epsilon.view(-1, 1, 1, 1), 1.0, bounds)


def brackets(wrong: Bool[Tensor, "epsilons n"], epsilons: Sequence[float]) -> Brackets:
    """Return the first ε of a sweep at which each image is misclassified, and the ε before.

    Args:
        wrong: Whether each image is misclassified at each ε.
        epsilons: Increasing, from 0.
    """
    first = torch.where(wrong.any(dim=0), wrong.int().argmax(dim=0), len(epsilons))
    ladder = torch.tensor([0.0, *epsilons, torch.inf])
    return Brackets(ladder[first], ladder[first + 1])


def smallest_flips(
    model: nn.Module, data: Split, direction: Images, between: Brackets, tolerance: float, batch_size: int
) -> Flips:
    """Bisect the smallest flipping ε of each image between its brackets.

    The ε found flips the image. An ε smaller by the tolerance does not, nor does the next smaller float32 where that
    is further away. An image that flips and flips back between two ε of the sweep is not noticed.
    """
    undecided = ((between.low < between.high) & between.high.isfinite()).nonzero().flatten()
    x, y, along = data.x[undecided], data.y[undecided], direction[undecided]

    def flipped(epsilon: Float[Tensor, " undecided"]) -> Bool[Tensor, " undecided"]:
        return predict(model, moved_each(x, along, epsilon), batch_size).argmax(dim=1) != y

    epsilon = between.high.clone()
    epsilon[undecided] = bisected(between.low[undecided], between.high[undecided], flipped, tolerance)
    at_flip = moved_each(data.x, direction, torch.where(epsilon.isinf(), 0.0, epsilon))
    confidence, becomes = predict(model, at_flip, batch_size).softmax(dim=1).max(dim=1)
    return Flips(epsilon, becomes, confidence)


def bisected(
    low: Float[Tensor, " n"], high: Float[Tensor, " n"], flipped: Callable[[Tensor], Tensor], tolerance: float
) -> Float[Tensor, " n"]:
    """Halve all intervals from `low`, not flipped, to `high`, flipped, until the widest is within the tolerance.

    Returns:
        The upper ends. An interval between neighbours in float32 has no middle and counts as narrow enough.
    """
    while True:
        middle = (low + high) / 2
        wide = (high - low > tolerance) & (low < middle) & (middle < high)
        if not wide.any():
            return high
        below = flipped(middle)
        low, high = torch.where(below, low, middle), torch.where(below, middle, high)


def quantiles(
    epsilon: Float[Tensor, " n"], y: Int[Tensor, " n"], classes: Sequence[str]
) -> list[dict[str, float | str]]:
    """Return five quantiles of the smallest flipping ε of each class, as rows of `series`, `quantile`, `epsilon`.

    A quantile that falls on an image that no ε flipped has no row.

    Args:
        epsilon: Of the images that are classified correctly without an attack.
        y: Their classes.
        classes: Names of all classes.
    """
    rows: list[dict[str, float | str]] = []
    for label, name in enumerate(classes):
        ranked = epsilon[y == label].sort().values
        for share in (0.05, 0.25, 0.5, 0.75, 0.95) if len(ranked) else ():
            found = ranked[round(share * (len(ranked) - 1))].item()
            if found < torch.inf:
                rows.append({"series": name, "quantile": share, "epsilon": found})
    return rows


def flip_metrics(epsilon: Float[Tensor, " n"]) -> dict[str, float | None]:
    """Return the median of the smallest flipping ε, None where it is infinite, and the share never flipped."""
    median = epsilon.median().item() if len(epsilon) else torch.inf
    return {
        "median_flipping_epsilon": median if median < torch.inf else None,
        "never_flipped_share": epsilon.isinf().float().mean().item() if len(epsilon) else 0.0,
    }
