"""Accuracy against ε along one direction, with intervals."""

from collections.abc import Sequence
from math import sqrt

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from descent.attacks.gradient_sign import moved
from descent.attacks.losses import Loss, cross_entropy, loss_gradient
from descent.attacks.norms import Images
from descent.io.datasets import Split
from descent.models.evaluation import accuracy, predict


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the interval that holds the true share with a probability of 95 % (Wilson 1927, JASA 22, p. 209)."""
    share, square = successes / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * sqrt(share * (1 - share) / n + square / (4 * n * n))
    return centre - half if successes else 0.0, centre + half if successes < n else 1.0


def with_interval(hits: Bool[Tensor, " n"]) -> dict[str, float]:
    """Return the `accuracy` of the hits, and its interval, `low` and `high`."""
    low, high = wilson(int(hits.sum()), len(hits))
    return {"accuracy": hits.float().mean().item(), "low": low, "high": high}


def directions(model: nn.Module, data: Split, batch_size: int, loss: Loss = cross_entropy) -> Images:
    """Return FGSM's direction for each image, the sign of the loss's gradient there, which serves every ε."""
    parts = zip(data.x.split(batch_size), data.y.split(batch_size), strict=True)
    return torch.cat([loss_gradient(model, x, y, loss).sign() for x, y in parts])


def zero_gradient_share(direction: Images) -> float:
    """Return the share of images whose gradient is zero, which FGSM cannot perturb: they count as robust.

    With confident logits the softmax saturates and the gradient underflows in float32.
    """
    return (direction.flatten(1) == 0).all(dim=1).float().mean().item()


def fgsm_accuracy(model: nn.Module, data: Split, epsilon: float, loss: Loss, batch_size: int) -> float:
    """Return the accuracy under FGSM with another loss."""
    (logits,) = along(model, data.x, directions(model, data, batch_size, loss), [epsilon], batch_size)
    return accuracy(logits, data.y).item()


def along(
    model: nn.Module, x: Images, direction: Images, epsilons: Sequence[float], batch_size: int
) -> Float[Tensor, "epsilons n classes"]:
    """Return the logits of every image at every ε, batch by batch: all at once would not fit the processor's cache."""
    parts = zip(x.split(batch_size), direction.split(batch_size), strict=True)
    return torch.cat(
        [
            torch.stack([predict(model, moved(images, toward, epsilon), batch_size) for epsilon in epsilons])
            for images, toward in parts
        ],
        dim=1,
    )


def sweep(
    model: nn.Module,
    data: Split,
    direction: Images,
    epsilons: Sequence[float],
    batch_size: int,
    rng: torch.Generator,
) -> tuple[list[dict[str, float]], Int[Tensor, "epsilons n"], Float[Tensor, "epsilons n"]]:
    """Attack every image at every ε, along one direction.

    Returns:
        A row for each ε: `accuracy` over all images with its interval, `low` and `high`; `success_rate`, the share
        of the images that were classified correctly and no longer are; `mean_confidence`, the mean of the largest
        probability; `noise_accuracy`, under random noise of size ε. And at each ε, of which the first must be 0, the
        class predicted for each image, and its probability.
    """
    noise = (torch.rand(data.x.shape, generator=rng) - 0.5).sign()
    confidence, predicted = along(model, data.x, direction, epsilons, batch_size).softmax(dim=2).max(dim=2)
    control = along(model, data.x, noise, epsilons, batch_size)
    hits = predicted == data.y
    rows = [
        {
            "epsilon": epsilon,
            **with_interval(hit),
            "success_rate": 1 - hit[hits[0]].float().mean().item() if hits[0].any() else 0.0,
            "mean_confidence": sure.mean().item(),
            "noise_accuracy": accuracy(random, data.y).item(),
        }
        for epsilon, hit, sure, random in zip(epsilons, hits, confidence, control, strict=True)
    ]
    return rows, predicted, confidence
