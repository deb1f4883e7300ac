"""The smallest ε that flips each image, by bisection, and its quantiles by class."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from descent.attacks.gradient_sign import PIXELS, Bounds, moved
from descent.attacks.norms import Images
from descent.io.datasets import Split
from descent.models.evaluation import predict

Rows = list[dict[str, float | str]]


class Flips(NamedTuple):
    """For each image, the smallest ε found at which it is misclassified, and the prediction at that ε."""

    epsilon: Float[Tensor, " n"]  # 0: misclassified without an attack; infinite: not flipped by any ε tried
    becomes: Int[Tensor, " n"]  # the class predicted at that ε; the true one where no ε flipped it
    confidence: Float[Tensor, " n"]  # of that class at that ε, in [0, 1]


def moved_each(x: Images, direction: Images, epsilon: Float[Tensor, " n"], bounds: Bounds = PIXELS) -> Images:
    """Return clip(x + ε · direction), where each image has its own ε."""
    return moved(x, direction * epsilon.view(-1, 1, 1, 1), 1.0, bounds)


def smallest_flips(
    model: nn.Module,
    data: Split,
    direction: Images,
    wrong: Bool[Tensor, "epsilons n"],
    epsilons: Sequence[float],
    tolerance: float,
    batch_size: int,
) -> Flips:
    """Bisect the smallest flipping ε of each image, from the first ε of a sweep at which it is `wrong`.

    The ε found flips the image. An ε smaller by the tolerance does not, nor does the next smaller float32 where that
    is further away. An image that flips and flips back between two ε of the sweep, which increase from 0, is not
    noticed.
    """
    first = torch.where(wrong.any(dim=0), wrong.int().argmax(dim=0), len(epsilons))
    ladder = torch.tensor([0.0, *epsilons, torch.inf])
    epsilon = ladder[first + 1]
    undecided = ((ladder[first] < epsilon) & epsilon.isfinite()).nonzero().flatten()
    x, y, along = data.x[undecided], data.y[undecided], direction[undecided]
    low, high = ladder[first][undecided], epsilon[undecided]
    while ((high - low > tolerance) & (low < (middle := (low + high) / 2)) & (middle < high)).any():
        flipped = predict(model, moved_each(x, along, middle), batch_size).argmax(dim=1) != y
        low, high = torch.where(flipped, low, middle), torch.where(flipped, middle, high)
    epsilon[undecided] = high
    at_flip = moved_each(data.x, direction, torch.where(epsilon.isinf(), 0.0, epsilon))
    confidence, becomes = predict(model, at_flip, batch_size).softmax(dim=1).max(dim=1)
    return Flips(epsilon, becomes, confidence)


def quantiles(epsilon: Float[Tensor, " n"], y: Int[Tensor, " n"], classes: Sequence[str]) -> Rows:
    """Return five quantiles of the smallest flipping ε of each class, as rows of `series`, `quantile`, `epsilon`.

    `epsilon` and `y` are of the images that are classified correctly without an attack. A quantile that falls on an
    image that no ε flipped has no row.
    """
    rows: Rows = []
    for label, name in enumerate(classes):
        ranked = epsilon[y == label].sort().values
        for share in (0.05, 0.25, 0.5, 0.75, 0.95) if len(ranked) else ():
            found = ranked[round(share * (len(ranked) - 1))].item()
            if found < torch.inf:
                rows.append({"series": name, "quantile": share, "epsilon": found})
    return rows
