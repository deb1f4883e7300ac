"""One training loop for every model, one `predict`, one `evaluate`."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from descent.attacks import pgd
from descent.cuda_graph import Replayed
from descent.data import Split
from descent.gradients import gradient_of
from descent.optimizers import OPTIMIZERS, Optimizer
from descent.params import Run

# The factor of the learning rate, from the share of all steps that are done.
SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
}


def squared_error(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], reduction: str = "mean"
) -> Float[Tensor, ""]:
    """Mean or sum of (prediction − target)².

    Raises:
        ValueError: The shapes differ. Broadcasting (n, 1) against (n,) would average n² differences and
            train towards the mean of the targets.
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


def draw(data: Split, rng: torch.Generator) -> Int[Tensor, " n"]:
    """Draw the order of the examples, the same on every device."""
    return torch.randperm(len(data.y), generator=rng).to(data.y.device)


def batches(data: Split, size: int, rng: torch.Generator) -> Iterator[Split]:
    """Yield every example once, in random order, `size` at a time; the last batch may be smaller."""
    for index in draw(data, rng).split(size):
        # index_select copies whole rows, which indexing with brackets does not.
        yield Split(data.x.index_select(0, index), data.y.index_select(0, index))


def fit(
    model: nn.Module,
    data: Split,
    run: Run,
    rng: torch.Generator,
    optimizer: Optimizer | None = None,
    epochs_done: int = 0,
) -> Iterator[int]:
    """Train `model` in place, one epoch for each number drawn from the iterator.

    A run is continued by giving `model`, `rng` and `optimizer` the state that they had after `epochs_done` epochs.

    Args:
        model: Maps `data.x` to predictions; on the device of `data`, and left in training mode.
        data: The training part.
        run: Optimizer, learning rate and its schedule, weight decay, reduction of the loss, batch size, epochs, and
            whether its batches are attacked first.
        rng: Of the CPU, wherever the model is. Draws the order of the examples, and where an attack on them starts.
        optimizer: That of the run, made for the parameters of `model`; by default a new one.
        epochs_done: How many epochs of the run are over.

    Yields:
        The number of the epoch just finished, from 1.
    """
    gradient = gradient_of(model, TASKS[run.data].loss, run.reduction)
    descend = optimizer or OPTIMIZERS[run.optimizer](list(model.parameters()), run.weight_decay)

    def step(x: Tensor, y: Tensor, rate: float) -> None:
        if not isinstance(run.adversary, str):
            x = pgd(model, x, y, run.adversary.epsilon, step=run.adversary.step, steps=1, rng=rng)
        descend(gradient(x, y), rate)

    yield from descending(step, [model], lambda: batches(data, run.batch_size, rng), run, data, epochs_done)


def descending(
    step: Callable[..., None],
    models: Sequence[nn.Module],
    drawn: Callable[[], Iterable[tuple[Tensor, Tensor]]],
    run: Run,
    data: Split,
    epochs_done: int = 0,
) -> Iterator[int]:
    """Take the steps of every epoch, at the rates of the schedule; on a GPU each step is launched at once.

    Args:
        step: Changes the weights, given a batch's `x` and `y` and the learning rate.
        models: Put into training mode before each epoch.
        drawn: Gives the batches of an epoch.
        run: Learning rate and schedule, batch size, epochs.
        data: The training part, for its size and its device.
        epochs_done: How many epochs of the run are over.

    Yields:
        The number of the epoch just finished, from 1.
    """
    on_gpu = data.y.device.type == "cuda"
    steps_an_epoch = -(-len(data.y) // run.batch_size)
    steps, done = run.epochs * steps_an_epoch, itertools.count(epochs_done * steps_an_epoch)
    if on_gpu and run.adversary == "none":
        step = Replayed(step)
    for epoch in range(epochs_done + 1, run.epochs + 1):
        for model in models:
            model.train()
        for x, y in drawn():
            rate = run.learning_rate * SCHEDULES[run.schedule](next(done) / steps)
            # What is recorded is read again at each replay: a tensor, not a number.
            step(x, y, torch.full((), rate, device=y.device) if on_gpu else rate)
        yield epoch


@torch.inference_mode()
def predict(model: nn.Module, x: Shaped[Tensor, " n *features"], batch_size: int) -> Float[Tensor, "n k"]:
    """Return the model's predictions in evaluation mode, `batch_size` examples at a time."""
    model.eval()
    return torch.cat([model(part) for part in x.split(batch_size)])


def evaluate(model: nn.Module, data: Split, task: Task, batch_size: int) -> dict[str, float]:
    """Return the mean loss, without any weight decay, and the task's other metrics."""
    prediction = predict(model, data.x, batch_size)
    measures = {"loss": task.loss} | dict(task.metrics)
    return {name: measure(prediction, data.y).item() for name, measure in measures.items()}


def measure(model: nn.Module, parts: Mapping[str, Split], task: Task, batch_size: int) -> dict[str, float]:
    """Evaluate on several parts of the data; the names are `train_loss`, `test_loss`, `train_accuracy` and so on."""
    measured = {part: evaluate(model, data, task, batch_size) for part, data in parts.items()}
    names = ["loss", *task.metrics]
    return {f"{part}_{name}": measured[part][name] for name in names for part in parts}
