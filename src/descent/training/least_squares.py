"""Linear regression in closed form: optimum, Hessian, largest stable learning rate."""

import torch
from jaxtyping import Float
from torch import Tensor


def with_bias(x: Float[Tensor, "n features"]) -> Float[Tensor, "n features+1"]:
    """Append a column of ones, whose weight is the bias."""
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)


def least_squares(x: Float[Tensor, "n features"], y: Float[Tensor, "n 1"]) -> Float[Tensor, "features+1 1"]:
    """Return the weights, bias last, that minimise the mean of (x·w + b − y)²."""
    solution: Tensor = torch.linalg.lstsq(with_bias(x), y, driver="gelsd").solution
    return solution


def least_squares_loss(x: Float[Tensor, "n features"], y: Float[Tensor, "n 1"]) -> float:
    """Return min over w, b of the mean of (x·w + b − y)²: what no linear model can go below."""
    return float((with_bias(x) @ least_squares(x, y) - y).square().mean())


def hessian(x: Float[Tensor, "n features"], batch_size: int = 1) -> Float[Tensor, "features+1 features+1"]:
    """Return H = (2/n) XᵀX · batch_size, of the squared error summed over an average batch (1: of its mean)."""
    design = with_bias(x)
    return 2 * batch_size / len(design) * design.T @ design


def stability_threshold(x: Float[Tensor, "n features"], batch_size: int = 1) -> float:
    """Return 2/λmax(H), the learning rate at which gradient descent on the squared error stops converging.

    A step multiplies the error along an eigenvector by 1 − ηλ, which shrinks it as long as η < 2/λ (Goh 2017,
    "Why Momentum Really Works", doi:10.23915/distill.00006, "First Steps: Gradient Descent").
    """
    return 2 / float(torch.linalg.eigvalsh(hessian(x, batch_size))[-1])
