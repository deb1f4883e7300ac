"""What a learning rate does to linear regression: the closed form, and the threshold seen from both sides."""

from collections.abc import Sequence

import torch
from torch.nn.utils import parameters_to_vector

from descent.io.datasets import Split
from descent.io.results import Value
from descent.io.run_schema import Linear, Run
from descent.io.schema import LearningRate
from descent.models.evaluation import TASKS, evaluate
from descent.models.networks import linear
from descent.theory.evidence import Evidence
from descent.training.least_squares import hessian, least_squares, stability_threshold
from descent.training.loop import batches, fit


def learning_rate_evidence(data: Split, settings: LearningRate, seed: int) -> Evidence:
    """Show the closed form of gradient descent, and which learning rates it bears, with and without batches."""
    rates, start = settings.rates, data.y.square().mean().item()
    numbers: dict[str, Value] = {
        "closed_form_error": max(closed_form_error(data, rate, steps=100) for rate in (0.1, 0.5, 0.95)),
        "loss_at_start": start,
        "worst_batch_threshold": worst_batch_threshold(data, settings.batch_size, settings.epochs, seed),
    }
    rows: list[dict[str, Value]] = []
    for name, series, size in (
        ("full_batch", "all examples at once", len(data.y)),
        ("mini_batch", f"batches of {settings.batch_size}", settings.batch_size),
    ):
        losses = [final_loss(data, descending(data, rate, size, settings.epochs), seed) for rate in rates]
        numbers[f"{name}_converges_at"], numbers[f"{name}_diverges_at"] = edges(rates, losses, start)
        rows += [
            {"series": series, "learning_rate_over_threshold": rate, "loss": loss}
            for rate, loss in zip(rates, losses, strict=True)
        ]
    return Evidence(numbers, {"learning-rate": rows})


def closed_form_error(data: Split, rate: float, steps: int) -> float:
    """Return how far full-batch gradient descent strays from its closed form in any of the steps.

        w_k = w* + (I − ηH)ᵏ (w₀ − w*)

    `rate` is η as a multiple of the threshold 2/λmax(H). The result is the largest difference in any component, as a
    share of the largest component of w*.
    """
    run = descending(data, rate, len(data.y), steps)
    optimum, curvature = least_squares(*data), hessian(data.x)
    contraction = torch.eye(len(curvature), dtype=curvature.dtype) - run.learning_rate * curvature
    model, worst = linear(data.x.shape[1], 1).to(data.x.dtype), 0.0
    for k in fit(model, data, run, torch.Generator().manual_seed(0)):  # one batch, whatever its order
        reached = parameters_to_vector(model.parameters())[:, None].detach()
        closed = optimum - torch.linalg.matrix_power(contraction, k) @ optimum  # w₀ = 0
        worst = max(worst, float((reached - closed).abs().max() / optimum.abs().max()))
    return worst


def edges(rates: Sequence[float], losses: Sequence[float], start: float) -> tuple[float | None, float | None]:
    """Return the largest rate below the first at which the loss ends above the `start`, and that first rate."""
    first = min((rate for rate, loss in zip(rates, losses, strict=True) if loss > start), default=None)
    return max((rate for rate in rates if first is None or rate < first), default=None), first


def worst_batch_threshold(data: Split, batch_size: int, epochs: int, seed: int) -> float:
    """Return the least 2/λmax of any batch that a run draws, as a multiple of that of all examples.

    Up to it every step on every batch contracts, so that no order of the batches can diverge.
    """
    rng, run = torch.Generator().manual_seed(seed), descending(data, 1.0, batch_size, epochs)
    drawn = (batch for _ in range(epochs) for batch in batches(data, run, rng))
    return min(stability_threshold(batch.x) for batch in drawn) / stability_threshold(data.x)


def final_loss(data: Split, run: Run, seed: int) -> float:
    """Train from zero and return the mean squared error at the end, or 10⁹ times that of the start once it is that."""
    model = linear(data.x.shape[1], 1).to(data.x.dtype)
    loss, limit = 0.0, 1e9 * data.y.square().mean().item()
    for _ in fit(model, data, run, torch.Generator().manual_seed(seed)):
        loss = evaluate(model, data, TASKS[run.data], len(data.y))["loss"]
        if not loss < limit:  # nor is NaN
            return limit
    return loss


def descending(data: Split, rate: float, batch_size: int, epochs: int) -> Run:
    """Describe a run of gradient descent on the mean squared error at `rate` times the threshold."""
    return Run(
        data="diabetes",
        model=Linear(kind="linear"),
        optimizer="sgd",
        momentum=0.0,
        learning_rate=rate * stability_threshold(data.x),
        warm_up=0.0,
        schedule="constant",
        weight_decay=0.0,
        reduction="mean",
        label_smoothing=0.0,
        horizontal_flips=False,
        batch_size=batch_size,
        epochs=epochs,
        adversary="none",
    )
