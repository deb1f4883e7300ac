"""Images worth showing: typical ones, the bag of the write-up, the first of each class."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from descent.attacks.gradient_sign import PIXELS, Bounds, moved
from descent.io.datasets import Split
from descent.models.evaluation import predict

Images = Float[Tensor, "n channels height width"]


class Flips(NamedTuple):
    """For each image, the smallest ε found at which it is misclassified, and what it then looks like."""

    epsilon: Float[Tensor, " n"]  # 0: misclassified unmoved; infinite: not flipped by any ε tried
    becomes: Int[Tensor, " n"]  # the class predicted at that ε; the true one where no ε flipped it
    confidence: Float[Tensor, " n"]  # of that class at that ε, in [0, 1]


def typical_of_each_class(flips: Flips, y: Int[Tensor, " n"], classes: int) -> Int[Tensor, " shown"]:
    """Pick, for each class, the correctly classified image whose smallest flipping ε is the (lower) median.

    The median and not the minimum: an image that the least ε flips was hardly recognised to begin with.
    Classes of which no image is flipped are left out.
    """
    picked = []
    for label in range(classes):
        candidates = _where((y == label) & (flips.epsilon > 0) & flips.epsilon.isfinite())
        if len(candidates):
            ranked = flips.epsilon[candidates].argsort(stable=True)
            picked.append(candidates[ranked[(len(ranked) - 1) // 2]])
    return torch.stack(picked) if picked else torch.empty(0, dtype=torch.int64)


def first_of_each_class(y: Int[Tensor, " n"], classes: int) -> Int[Tensor, " shown"]:
    """Return the first image of each class, whatever a classifier makes of it: nobody picked these."""
    return torch.cat([_where(y == label)[:1] for label in range(classes)])


def class_probabilities(
    model: nn.Module, data: Split, classes: Sequence[str], direction: Images, epsilons: Float[Tensor, " steps"]
) -> list[dict[str, float | str]]:
    """Tell the probability of every class for each image, moved by each ε.

    Returns:
        For each image (`series`, its true class) and each `epsilon` the probability of the true class, `true`, and
        of all classes, by their names.
    """
    rows: list[dict[str, float | str]] = []
    for x, y, toward in zip(*data, direction, strict=True):
        shown = torch.stack([moved(x, toward, epsilon) for epsilon in epsilons.tolist()])
        for epsilon, given in zip(epsilons, predict(model, shown, 1).softmax(dim=1), strict=True):
            named = dict(zip(classes, given.tolist(), strict=True))
            rows.append({"series": classes[y], "epsilon": epsilon.item(), "true": named[classes[y]]} | named)
    return rows


def least_confident_flip(
    flips: Flips, y: Int[Tensor, " n"], before: int, after: int, sure: Bool[Tensor, " n"]
) -> int | None:
    """Pick the image of class `before` that becomes `after` with the lowest confidence.

    Args:
        flips: Of every image.
        y: True classes.
        before: The class it must have, and be given unmoved.
        after: The class it must be given at its smallest flipping ε.
        sure: Which images are confident enough, unmoved, to be of interest.

    Returns:
        Its index, or None where no image does so.
    """
    candidates = _where((y == before) & (flips.becomes == after) & (flips.epsilon > 0) & sure)
    return int(candidates[flips.confidence[candidates].argmin()]) if len(candidates) else None


def examples(
    model: nn.Module,
    data: Split,
    direction: Images,
    epsilon: Float[Tensor, " n"],
    index: Int[Tensor, " shown"],
    bounds: Bounds = PIXELS,
) -> dict[str, Tensor]:
    """Collect what a picture of these images needs, each moved by its own ε.

    Returns:
        `clean` and `adversarial` images, the `direction` in which they differ, `epsilon`, the true `label`, and
        the `clean_probabilities` and `adversarial_probabilities` of all classes.
    """
    clean, epsilon = data.x[index], epsilon[index]
    adversarial = moved(clean, direction[index] * epsilon[:, None, None, None], 1.0, bounds)
    return {
        "clean": clean,
        "adversarial": adversarial,
        "direction": direction[index],
        "epsilon": epsilon,
        "label": data.y[index],
        "clean_probabilities": predict(model, clean, 1).softmax(dim=1),
        "adversarial_probabilities": predict(model, adversarial, 1).softmax(dim=1),
    }


def _where(mask: Bool[Tensor, " n"]) -> Int[Tensor, " found"]:
    return mask.nonzero().flatten()
