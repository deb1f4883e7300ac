"""Predictions of a model, its loss and its accuracy."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from descent.io.datasets import Split


def squared_error(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], reduction: str = "mean"
) -> Float[Tensor, ""]:
    """Mean or sum of (prediction − target)².

    Raises:
        ValueError: The shapes differ. Broadcasting (n, 1) against (n,) would average n² differences.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape")
    return F.mse_loss(prediction, target, reduction=reduction)


def accuracy(logits: Float[Tensor, "n classes"], y: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Share of the examples whose largest logit is that of their class."""
    return (logits.argmax(dim=1) == y).float().mean()


class Task(NamedTuple):
    """What a data set asks of a model: the loss to descend, and what else is measured."""

    loss: Callable[..., Tensor]
    metrics: Mapping[str, Callable[[Tensor, Tensor], Tensor]]


TASKS: Mapping[str, Task] = {
    "diabetes": Task(squared_error, {}),
    "images": Task(F.cross_entropy, {"accuracy": accuracy}),
}


@torch.inference_mode()
def predict(model: nn.Module, x: Shaped[Tensor, " n *features"], batch_size: int) -> Float[Tensor, "n k"]:
    """Return the model's predictions in evaluation mode, `batch_size` examples at a time."""
    model.eval()
    return torch.cat([model(part) for part in x.split(batch_size)])


def evaluate(model: nn.Module, data: Split, task: Task, batch_size: int) -> dict[str, float]:
    """Return the mean loss, without weight decay, and the task's other metrics."""
    prediction = predict(model, data.x, batch_size)
    measures = {"loss": task.loss} | dict(task.metrics)
    return {name: measure(prediction, data.y).item() for name, measure in measures.items()}


def measure(model: nn.Module, parts: Mapping[str, Split], task: Task, batch_size: int) -> dict[str, float]:
    """Evaluate on several parts of the data; the names are `train_loss`, `test_loss`, `train_accuracy` and so on."""
    measured = {part: evaluate(model, data, task, batch_size) for part, data in parts.items()}
    names = ["loss", *task.metrics]
    return {f"{part}_{name}": measured[part][name] for name in names for part in parts}
