"""The slip of the write-up's regression: (n, 1) − (n,) is n × n, and the loss of that is another loss."""

from collections.abc import Callable
from functools import partial

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
    """Descend the slipped loss, on the targets and on targets that `seed` shuffles, and the right one.

    The learning rate is a multiple of the threshold 2/λmax, which both losses share.
    """
    shuffled = data.y[torch.randperm(len(data.y), generator=torch.Generator().manual_seed(seed))]
    rate = settings.rate * stability_threshold(data.x)
    descended = partial(descend, with_bias(data.x), rate=rate, steps=settings.steps)
    losses = {
        "(n, 1) − (n,)": descended(data.y[:, 0], slipped_error),
        "(n, 1) − (n,), targets shuffled": descended(shuffled[:, 0], slipped_error),
        "(n, 1) − (n, 1)": descended(data.y, squared_error),
    }
    slipped, independent, right = (values[-1] for values in losses.values())
    refused = False
    try:
        squared_error(data.y, data.y[:, 0])
    except ValueError:
        refused = True
    numbers = {
        "variance": data.y.var(correction=0).item(),
        "slipped_loss": slipped,
        "slipped_loss_on_shuffled_targets": independent,
        "right_loss": right,
        "least_squares_loss": least_squares_loss(*data),
        "refused": refused,
    }
    curves = ((name, step, loss) for name, values in losses.items() for step, loss in enumerate(values))
    rows: list[dict[str, Value]] = [{"series": name, "step": step, "loss": loss} for name, step, loss in curves]
    return Evidence(numbers, {"broadcasting": rows})


def slipped_error(prediction: Float[Tensor, "n 1"], target: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Return the mean of all n² differences (pᵢ − yⱼ)², which is what broadcasting makes of the mean squared error.

        mean over i, j of (pᵢ − yⱼ)²  =  Var(y) + mean over i of (pᵢ − ȳ)²

    Its minimum is Var(y), where every prediction is the mean of the targets.
    """
    return (prediction - target).square().mean()


def descend(
    design: Float[Tensor, "n k"], y: Float[Tensor, "n ..."], loss: Callable[..., Tensor], rate: float, steps: int
) -> list[float]:
    """Return the loss before the first step of gradient descent from zero, and after each."""
    weights, losses = torch.zeros(design.shape[1], 1, dtype=design.dtype), []
    for _ in range(steps + 1):
        value = loss(design @ weights.requires_grad_(), y)
        losses.append(value.item())
        weights = weights.detach() - rate * torch.autograd.grad(value, weights)[0]
    return losses
