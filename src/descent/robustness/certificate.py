"""Certified accuracy: the share of the images that no attack can flip, by proof."""

import logging
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from descent.attacks.norms import Images
from descent.io.datasets import Split
from descent.robustness.bounds import differences, hidden_boxes, intervals, lowest
from descent.robustness.sweep import with_interval

log = logging.getLogger(__name__)

# The coefficients of more images at once no longer stay in the processor's cache.
IMAGES = 20
# `half_certified` ends at an ε this factor below one that is too large.
RATIO = 1.05


@torch.inference_mode()
def certified(model: nn.Sequential, data: Split, epsilons: Sequence[float]) -> Bool[Tensor, "epsilons n"]:
    """Return which images are certified for each ε, which increase.

    An image is certified if interval bounds or CROWN prove that every image in the L∞ ball of radius ε, within [0, 1],
    gets its true class; up to the rounding of float32. One that is not certified for an ε is not for a larger one.
    Where the bounds of a layer are not known, nothing is certified, and a warning says so.
    """
    model.eval()
    masks = [torch.ones_like(data.y, dtype=torch.bool)]
    try:
        for epsilon in epsilons:
            masks.append(_still(model, data, masks[-1], epsilon))
    except TypeError as error:
        log.warning("the certified accuracy is 0: %s", error)
        return torch.zeros(len(epsilons), len(data.y), dtype=torch.bool)
    return torch.stack(masks[1:])


def certified_rows(model: nn.Sequential, data: Split, epsilons: Sequence[float]) -> list[dict[str, float]]:
    """Return a row for each ε: `epsilon`, the certified `accuracy` and its interval, `low` and `high`."""
    masks = certified(model, data, epsilons)
    return [{"epsilon": epsilon, **with_interval(mask)} for epsilon, mask in zip(epsilons, masks, strict=True)]


@torch.inference_mode()
def half_certified(
    model: nn.Sequential, data: Split, epsilons: Sequence[float], masks: Bool[Tensor, "epsilons n"]
) -> float | None:
    """Return the largest ε, to 5 %, for which half of the images are certified that are for the first ε, 0.

    `masks` are those of `certified`. The last ε is returned where it is not too large; None if the second is, or if no
    image is certified.
    """
    half = masks[0].sum() / 2
    last = int((masks.sum(dim=1) >= half).sum()) - 1
    if last == 0 or not half:
        return None
    low, high = epsilons[last], epsilons[min(last + 1, len(epsilons) - 1)]
    held, lost = masks[last], ~masks[min(last + 1, len(epsilons) - 1)]
    while high > RATIO * low:
        middle = (low * high) ** 0.5
        still = held & ~lost | _still(model, data, held & lost, middle)  # an image that holds at `high` holds here
        if still.sum() >= half:
            low, held = middle, still
        else:
            high, lost = middle, ~still
    return low


def _still(model: nn.Sequential, data: Split, standing: Bool[Tensor, " n"], epsilon: float) -> Bool[Tensor, " n"]:
    """Return which of the standing images are certified for ε."""
    still = torch.zeros_like(standing)
    for index in standing.nonzero().flatten().split(IMAGES) if standing.any() else ():
        still[index] = _proven(model, data.x[index], data.y[index], epsilon)
    return still


def _proven(model: nn.Sequential, x: Images, y: Int[Tensor, " n"], epsilon: float) -> Bool[Tensor, " n"]:
    """Try intervals, then CROWN: first for the class nearest to winning, which most of the other images fail."""
    margins = intervals(model, x, y, epsilon).lower.scatter(1, y[:, None], torch.inf)
    proven, nearest = (margins > 0).all(dim=1), margins.argsort(dim=1)
    # With convolutions it takes seconds for an image to relax the hidden layers too.
    relax_hidden = not any(isinstance(layer, nn.Conv2d) for layer in model)
    boxes = hidden_boxes(model, x, epsilon, relax_hidden)
    left = (~proven).nonzero().flatten()
    for part in (slice(0, 1), slice(1, -1)):
        rows = differences(y[left], nearest[left], x.dtype)[:, part]
        margins = lowest(list(model), [(lower[left], upper[left]) for lower, upper in boxes], rows)
        left = left[(margins > 0).all(dim=1)]
    proven[left] = True
    return proven
