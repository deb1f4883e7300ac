"""Norms: how long a perturbation is, and how an attack stays within its length."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, " n *pixels"]


class Norm(NamedTuple):
    """How long a change is: what is steepest, what is still inside, what is random within it."""

    steepest: Callable[[Images], Images]  # the change of length 1 that raises a linear loss most
    project: Callable[[Images, float], Images]  # the nearest change of length up to ε
    random: Callable[[Images, float, torch.Generator], Images]  # uniform among the changes of length up to ε


def _lengths(change: Images) -> Float[Tensor, " n *ones"]:
    """Return Euclidean lengths, shaped to divide by; never 0."""
    lengths: Tensor = change.flatten(1).norm(dim=1).clamp(min=1e-12)
    return lengths.view(-1, *[1] * (change.ndim - 1))


def _random_in_ball(like: Images, epsilon: float, rng: torch.Generator) -> Images:
    # Drawn on the CPU, the same numbers for every device.
    direction = torch.randn(like.shape, generator=rng, dtype=like.dtype).to(like.device)
    radius = torch.rand(len(like), generator=rng, dtype=like.dtype).to(like.device) ** (1 / like[0].numel())
    return epsilon * radius.view(-1, *[1] * (like.ndim - 1)) * direction / _lengths(direction)


LINF = Norm(
    steepest=torch.sign,
    project=lambda change, epsilon: change.clamp(-epsilon, epsilon),
    random=lambda like, epsilon, rng: (
        epsilon * (2 * torch.rand(like.shape, generator=rng, dtype=like.dtype).to(like.device) - 1)
    ),
)
L2 = Norm(
    steepest=lambda gradient: gradient * (1 / _lengths(gradient)),
    project=lambda change, epsilon: change * (epsilon / _lengths(change)).clamp(max=1),
    random=_random_in_ball,
)
