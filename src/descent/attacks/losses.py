"""The losses that an attack raises, and their gradients with respect to the pixels."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from descent.attacks.norms import Images

Labels = Int[Tensor, " n"]
Loss = Callable[[Tensor, Tensor], Tensor]


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
    """Return ∂L(f(x), y)/∂x of each image's own loss; `x` and the gradients of the model's weights are left alone."""
    x = x.detach().requires_grad_()
    # Summed: a mean shrinks gradients by the batch size, and a float32 gradient that underflows to 0 has no sign.
    (gradient,) = torch.autograd.grad(loss(model(x), y).sum(), x)
    return gradient
