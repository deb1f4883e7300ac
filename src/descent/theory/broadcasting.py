"""The slip of the write-up's regression: (n, 1) − (n,) is n × n, and the loss of that is another loss."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from descent.io.datasets import Split
from descent.io.results import Value
from descent.io.schema import Broadcasting
from descent.models.evaluation import squared_error
from descent.theory.evidence import Evidence
from descent.training.least_squares import least_squares_loss, stability_threshold, with_bias


def broadcasting_evidence(data: Split, settings: Broadcasting, seed: int) -> Evidence:
    """Descend the slipped loss, on the targets and on targets that have nothing to do with `x`, and the right one.

    Args:
        data: Regression data, `y` of shape n × 1.
        settings: The learning rate, as a multiple of the threshold 2/λmax, which both losses share; how many steps
            of full-batch gradient descent from zero.
        seed: Shuffles the targets among the examples.
    """
    design, y = with_bias(data.x), data.y
    shuffled = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))]
    rate = settings.rate * stability_threshold(data.x)
    losses = {
        "(n, 1) − (n,)": descend(design, y[:, 0], slipped_error, rate, settings.steps),
        "(n, 1) − (n,), targets shuffled": descend(design, shuffled[:, 0], slipped_error, rate, settings.steps),
        "(n, 1) − (n, 1)": descend(design, y, squared_error, rate, settings.steps),
    }
    slipped, independent, right = (values[-1] for values in losses.values())
    rows: list[dict[str, Value]] = [
        {"series": name, "step": step, "loss": loss}
        for name, values in losses.items()
        for step, loss in enumerate(values)
    ]
    numbers: dict[str, Value] = {
        "variance": y.var(correction=0).item(),
        "slipped_loss": slipped,
        "slipped_loss_on_shuffled_targets": independent,
        "right_loss": right,
        "least_squares_loss": least_squares_loss(*data),
        "refused": refused(data),
    }
    return Evidence(numbers, {"broadcasting": rows}, {})


def slipped_error(prediction: Float[Tensor, "n 1"], target: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Return the mean of all n² differences (pᵢ − yⱼ)², which is what broadcasting makes of the mean squared error.

        mean over i, j of (pᵢ − yⱼ)²  =  Var(y) + mean over i of (pᵢ − ȳ)²

    Which prediction belongs to which target no longer matters; the best is to predict the mean of the targets
    for everybody, at a loss of Var(y).
    """
    return (prediction - target).square().mean()


def descend(
    design: Float[Tensor, "n k"],
    y: Float[Tensor, "n ..."],
    loss: Callable[[Tensor, Tensor], Tensor],
    learning_rate: float,
    steps: int,
) -> list[float]:
    """Return the loss before the first step of gradient descent from zero, and after each."""
    weights = torch.zeros(design.shape[1], 1, dtype=design.dtype)
    losses = []
    for _ in range(steps + 1):
        weights.requires_grad_()
        value = loss(design @ weights, y)
        losses.append(value.item())
        (gradient,) = torch.autograd.grad(value, weights)
        weights = weights.detach() - learning_rate * gradient
    return losses


def refused(data: Split) -> bool:
    """Say whether our loss refuses the two shapes that broadcast."""
    try:
        squared_error(data.y, data.y[:, 0])
    except ValueError:
        return True
    return False
