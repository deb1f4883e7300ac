"""Move images, within a bound on their change, so that a classifier errs."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

Images = Float[Tensor, " n *pixels"]
Labels = Int[Tensor, " n"]
Loss = Callable[[Tensor, Tensor], Tensor]
Bounds = tuple[float, float] | None
PIXELS: Bounds = (0.0, 1.0)


def cross_entropy(logits: Float[Tensor, "n classes"], y: Labels) -> Float[Tensor, " n"]:
    """Return the cross-entropy of each image."""
    return F.cross_entropy(logits, y, reduction="none")


def dlr(logits: Float[Tensor, "n classes"], y: Labels) -> Float[Tensor, " n"]:
    """Return the difference-of-logits ratio of each image, above 0 where it is misclassified.

        −(z_y − max over i ≠ y of z_i) / (z_(1) − z_(3))      z_(k): the k-th largest logit

    It does not change when the logits are scaled or shifted, so that a confident model has gradients too
    (Croce & Hein 2020, arXiv:2003.01690, §3.2).

    Raises:
        ValueError: There are fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise ValueError(f"the difference-of-logits ratio needs three classes; here are {logits.shape[1]}")
    ranked = logits.sort(dim=1).values
    own = logits.gather(1, y[:, None])[:, 0]
    best_other = torch.where(own == ranked[:, -1], ranked[:, -2], ranked[:, -1])
    return -(own - best_other) / (ranked[:, -1] - ranked[:, -3] + 1e-12)


def loss_gradient(model: nn.Module, x: Images, y: Labels, loss: Loss = cross_entropy) -> Images:
    """Return ∂L(f(x), y)/∂x, the gradient of each image's own loss with respect to its pixels.

    Args:
        model: Maps images to logits; in evaluation mode.
        x: Images.
        y: Classes.
        loss: Gives each image's loss from its logits and class.

    Returns:
        A gradient for each image; `x` and the gradients of the model's weights are left alone.
    """
    x = x.detach().requires_grad_()
    # Summed, not averaged: a mean shrinks every gradient by the batch size, and a float32 gradient that
    # underflows to zero has no sign.
    (gradient,) = torch.autograd.grad(loss(model(x), y).sum(), x)
    return gradient


class Norm(NamedTuple):
    """How long a change is: what is steepest, what is still inside, what is random within it."""

    steepest: Callable[[Images], Images]  # the change of length 1 that raises a linear loss most
    project: Callable[[Images, float], Images]  # the nearest change of length ε
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


def moved(x: Images, direction: Images, epsilon: float, bounds: Bounds = PIXELS) -> Images:
    """Return clip(x + ε · direction) to the bounds; None clips nothing."""
    return _clipped(x + epsilon * direction, bounds)


def fgsm(
    model: nn.Module,
    x: Images,
    y: Labels,
    epsilon: float,
    *,
    norm: Norm = LINF,
    loss: Loss = cross_entropy,
    targeted: bool = False,
    bounds: Bounds = PIXELS,
) -> Images:
    """Take one step of length `epsilon` in the direction that raises the loss most.

        x' = clip(x + ε · sign ∇ₓ L(f(x), y), 0, 1)

    This maximises the loss, linearised at `x`, over the L∞ ball of radius ε (Goodfellow, Shlens & Szegedy
    2015, arXiv:1412.6572, §4). With `norm` L2 the step is ε · ∇/‖∇‖₂, the fast gradient method.

    Args:
        model: Maps images to logits; in evaluation mode.
        x: Images with pixel values within the bounds.
        y: True classes; with `targeted` the classes to be reached, whose loss is lowered.
        epsilon: Length of the change: the largest of any pixel, or (L2) over all pixels, in the units of `x`.
        norm: LINF or L2.
        loss: `cross_entropy` or `dlr`.
        targeted: Whether to go down instead of up.
        bounds: What every pixel is clipped to. None, as in the write-up, leaves pixels beyond black and white.

    Returns:
        New images; `x` and the gradients of the model's weights are left alone.
    """
    direction = norm.steepest(loss_gradient(model, x, y, loss))
    return moved(x, -direction if targeted else direction, epsilon, bounds)


def pgd(
    model: nn.Module,
    x: Images,
    y: Labels,
    epsilon: float,
    *,
    step: float,
    steps: int,
    rng: torch.Generator | None,
    restarts: int = 1,
    norm: Norm = LINF,
    loss: Loss = cross_entropy,
    targeted: bool = False,
    bounds: Bounds = PIXELS,
) -> Images:
    """Take many such steps, each followed by the way back into the ball of radius `epsilon` around `x`.

        x_{k+1} = clip(x + P(x_k + α · sign ∇L(f(x_k), y) − x), 0, 1)

    Projected gradient descent (Madry et al. 2018, arXiv:1706.06083, §2.1). One step from a random start is the
    attack of fast adversarial training (Wong, Rice & Kolter 2020, arXiv:2001.03994, §4).

    Args:
        model: As for `fgsm`, and so are `x`, `y`, `epsilon`, `norm`, `loss`, `targeted`, `bounds`.
        x: See above.
        y: See above.
        epsilon: See above.
        step: α, the length of one step.
        steps: How many.
        rng: Draws the start, uniform in the ball; None starts at `x`.
        restarts: How often to try anew where the attack has failed so far.
        norm: See above.
        loss: See above.
        targeted: See above.
        bounds: See above.

    Returns:
        For each image the first attempt that succeeds, else the last.
    """
    best = x.detach().clone()
    left = torch.arange(len(x), device=x.device)
    for _ in range(restarts):
        clean, classes = x[left].detach(), y[left]
        start = torch.zeros_like(clean) if rng is None else norm.random(clean, epsilon, rng)
        reached = _clipped(clean + start, bounds)
        for _ in range(steps):
            direction = norm.steepest(loss_gradient(model, reached, classes, loss))
            reached = reached + (-step if targeted else step) * direction
            reached = _clipped(clean + norm.project(reached - clean, epsilon), bounds)
        best[left] = reached
        if restarts == 1:
            break
        with torch.no_grad():
            hit = model(reached).argmax(dim=1) == classes
        left = left[~hit if targeted else hit]
        if not len(left):
            break
    return best


def _clipped(x: Images, bounds: Bounds) -> Images:
    return x if bounds is None else x.clamp(*bounds)
