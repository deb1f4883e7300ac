"""The training loop: mini-batch gradient descent, the same for every model."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from descent.attacks.gradient_sign import pgd
from descent.io.datasets import Split
from descent.io.run_schema import FGSM, IntervalBounds, Run
from descent.models.intervals import ball
from descent.training.gradients import Bounded, gradient_of
from descent.training.optimizers import Optimizer, optimizer_of

# Changes the weights, given a batch as `attacked` returns it, its targets and the learning rate.
Step = Callable[[Any, Tensor, float], None]
# The factor of the learning rate by the share of the steps after the warm-up that are done.
SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
}


def fit(
    model: nn.Sequential, data: Split, run: Run, rng: torch.Generator, step: Step | None = None, epochs_done: int = 0
) -> Iterator[int]:
    """Train `model` in place, one epoch for each number drawn from the iterator.

    A run is continued by giving `model`, `rng` and the optimizer of `step` the state that they had after
    `epochs_done` epochs. `rng` is of the CPU, wherever the model is; it draws the order of the examples, which of them
    are mirrored, and where an attack on them starts. By default `step` is `descent_step` with a new optimizer. The
    model is left in training mode.
    """
    step = step or descent_step(model, run)
    shares = shares_done(run, len(data.y), epochs_done)
    for epoch in range(epochs_done + 1, run.epochs + 1):
        model.train()
        for x, y in batches(data, run, rng):
            done = next(shares)
            step(attacked(model, x, y, run, done, rng), y, learning_rate(run, done))
        yield epoch


def descent_step(
    model: nn.Sequential, run: Run, optimizer: Optimizer | None = None
) -> Callable[[Any, Tensor, float | Tensor], None]:
    """Return the step of a run: the gradient of the batch's loss, then the optimizer, by default a new one."""
    gradient = gradient_of(model, run)
    descend = optimizer or optimizer_of(run, list(model.parameters()))
    return lambda x, y, rate: descend(gradient(x, y), rate)


def shares_done(run: Run, examples: int, epochs_done: int = 0) -> Iterator[float]:
    """Yield the share of all steps that are done before each step, from the first after `epochs_done` epochs."""
    steps_per_epoch = -(-examples // run.batch_size)
    for done in itertools.count(epochs_done * steps_per_epoch):
        yield done / (run.epochs * steps_per_epoch)


def learning_rate(run: Run, done: float) -> float:
    """Return the learning rate of a step, which rises from 0 in the warm-up, and then follows the schedule."""
    if done < run.warm_up:
        return run.learning_rate * done / run.warm_up
    return run.learning_rate * SCHEDULES[run.schedule]((done - run.warm_up) / (1 - run.warm_up))


def attacked(
    model: nn.Sequential, x: Tensor, y: Tensor, run: Run, done: float, rng: torch.Generator
) -> Tensor | Bounded:
    """Return what the model learns from: the images, attacked by FGSM, or a share of them as bounds.

    FGSM starts at a random place (Wong, Rice & Kolter 2020, arXiv:2001.03994, §4), and meets the model in evaluation
    mode. The radius of the bounds and their share rise in a line from 0, by the share of the steps that are `done`.
    """
    if isinstance(run.adversary, FGSM):
        model.eval()
        x = pgd(model, x, y, run.adversary.epsilon, step=run.adversary.step, steps=1, rng=rng)
        model.train()
    elif isinstance(run.adversary, IntervalBounds):
        risen = done / run.adversary.ramp if done < run.adversary.ramp else 1.0
        plain = len(x) - round(risen * run.adversary.share * len(x))
        return Bounded(x[:plain], *ball(x[plain:], risen * run.adversary.epsilon))
    return x


def shuffled(data: Split, run: Run, rng: torch.Generator) -> tuple[Int[Tensor, " n"], Bool[Tensor, " n"]]:
    """Return a random order of the examples, and which of them are mirrored, the same on every device."""
    order = torch.randperm(len(data.y), generator=rng)
    mirrored = torch.rand(len(order), generator=rng) < 0.5 if run.horizontal_flips else torch.zeros(len(order)).bool()
    return order.to(data.y.device), mirrored.to(data.y.device)


def batches(data: Split, run: Run, rng: torch.Generator) -> Iterator[Split]:
    """Yield every example once, in random order, a batch at a time; the last may be smaller.

    With `horizontal_flips` each image is mirrored with a probability of ½, left to right.
    """
    order, mirrored = (each.split(run.batch_size) for each in shuffled(data, run, rng))
    for index, chosen in zip(order, mirrored, strict=True):
        # index_select copies whole rows, which indexing with brackets does not.
        x, y = data.x.index_select(0, index), data.y.index_select(0, index)
        yield Split(flipped(x, chosen) if run.horizontal_flips else x, y)


def flipped(x: Float[Tensor, "*n c h w"], chosen: Bool[Tensor, " *n"]) -> Float[Tensor, "*n c h w"]:
    """Mirror the chosen images, left to right."""
    return torch.where(chosen[..., None, None, None], x.flip(-1), x)
