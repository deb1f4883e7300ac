"""Certified accuracy: the share of the images that no attack can flip, by proof."""

import logging
from collections.abc import Sequence

import torch
from torch import nn

from descent.io.datasets import Split
from descent.models.intervals import ball, worst_logits
from descent.robustness.sweep import with_interval

log = logging.getLogger(__name__)


@torch.inference_mode()
def certified_rows(
    model: nn.Sequential, data: Split, epsilons: Sequence[float], batch_size: int
) -> list[dict[str, float]]:
    """Return a row for each ε, which increase: `epsilon`, the certified `accuracy` and its interval, `low` and `high`.

    An image is certified if interval bounds prove that every image in the L∞ ball of radius ε, within [0, 1], gets its
    true class; up to the rounding of float32. One that is not certified for an ε is not for a larger one. Where the
    bounds of a layer are not known, nothing is proven, and a warning says so.
    """
    model.eval()
    certified, rows = torch.ones_like(data.y, dtype=torch.bool), list[dict[str, float]]()
    for epsilon in epsilons:
        for index in certified.nonzero().flatten().split(batch_size) if certified.any() else ():
            x, y = data.x[index], data.y[index]
            try:
                others = worst_logits(model, *ball(x, epsilon), y).scatter(1, y[:, None], -torch.inf)
            except TypeError as error:
                log.warning("the certified accuracy is 0: %s", error)
                certified[:] = False
                break
            certified[index] = (others < 0).all(dim=1)
        rows.append({"epsilon": epsilon, **with_interval(certified)})
    return rows
