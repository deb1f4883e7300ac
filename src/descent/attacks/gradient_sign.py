"""The fast gradient sign method and projected gradient descent: perturb images so that a classifier errs."""

import torch
from torch import nn

from descent.attacks.losses import Labels, Loss, cross_entropy, loss_gradient
from descent.attacks.norms import LINF, Images, Norm

Bounds = tuple[float, float] | None
PIXELS: Bounds = (0.0, 1.0)


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

    The model gives logits, in evaluation mode but for adversarial training. `epsilon` is in the units of `x`: the
    largest change of a pixel, or (L2) the length over all pixels. With `targeted`, `y` are the classes to be reached,
    whose loss is lowered. With `bounds` None, as in the write-up, pixels may go beyond black and white. `x` and the
    gradients of the model's weights are left alone.
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
    """Take many such steps, each followed by the projection onto the ball of radius `epsilon` around `x`.

        x_{k+1} = clip(x + P(x_k + α · sign ∇L(f(x_k), y) − x), 0, 1)

    Projected gradient descent (Madry et al. 2018, arXiv:1706.06083, §2.1). One step from a random start is the
    attack of fast adversarial training (Wong, Rice & Kolter 2020, arXiv:2001.03994, §4).

    `step` is α. `rng` draws the start, uniform in the ball; None starts at `x`. Images for which the attack fails are
    tried `restarts` times in all; each gets the first attempt that succeeds, else the last. The rest is as for `fgsm`.
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
