"""Move images, within a bound on every pixel, so that a classifier errs."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

Images = Float[Tensor, " n *pixels"]


def loss_gradient(model: nn.Module, x: Images, y: Int[Tensor, " n"]) -> Images:
    """Return ∂L(f(x), y)/∂x, the gradient of each image's own cross-entropy with respect to its pixels.

    Args:
        model: Maps images to logits; in evaluation mode.
        x: Images.
        y: True classes.

    Returns:
        A gradient for each image; `x` and the gradients of the model's weights are left alone.
    """
    x = x.detach().requires_grad_()
    # Summed, not averaged: a mean shrinks every gradient by the batch size, and a float32 gradient that
    # underflows to zero has no sign.
    loss = F.cross_entropy(model(x), y, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    return gradient


def moved(x: Images, direction: Images, epsilon: float) -> Images:
    """Return clip(x + ε · direction, 0, 1)."""
    return (x + epsilon * direction).clamp(0, 1)


def fgsm(model: nn.Module, x: Images, y: Int[Tensor, " n"], epsilon: float) -> Images:
    """Move each pixel by `epsilon` in the direction that raises the loss.

        x' = clip(x + ε · sign ∇ₓ L(f(x), y), 0, 1)

    This maximises the loss, linearised at `x`, over the L∞ ball of radius ε (Goodfellow, Shlens & Szegedy
    2015, arXiv:1412.6572, §4).

    Args:
        model: Maps images to logits; in evaluation mode.
        x: Images with pixel values in [0, 1].
        y: True classes.
        epsilon: Largest change of any pixel, in the units of `x`.

    Returns:
        New images in [0, 1]; `x` and the gradients of the model's weights are left alone.
    """
    return moved(x, loss_gradient(model, x, y).sign(), epsilon)
