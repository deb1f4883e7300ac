"""The training loop: mini-batch gradient descent, the same for every model."""

import itertools
from collections.abc import Callable, Iterator, Mapping

import torch
from jaxtyping import Int
from torch import Tensor, nn

from descent.attacks.gradient_sign import pgd
from descent.io.datasets import Split
from descent.io.run_schema import Adversary, Run
from descent.models.evaluation import TASKS
from descent.training.gradients import gradient_of
from descent.training.optimizers import OPTIMIZERS, Optimizer

# Changes the weights, given the `x` and `y` of a batch and the learning rate.
Step = Callable[[Tensor, Tensor, float], None]
# The factor of the learning rate by the share of all steps that are done.
SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
}


def fit(
    model: nn.Module, data: Split, run: Run, rng: torch.Generator, step: Step | None = None, epochs_done: int = 0
) -> Iterator[int]:
    """Train `model` in place, one epoch for each number drawn from the iterator.

    A run is continued by giving `model`, `rng` and the optimizer of `step` the state that they had after
    `epochs_done` epochs. `rng` is of the CPU, wherever the model is; it draws the order of the examples, and where an
    attack on them starts. By default `step` is `descent_step` with a new optimizer. The model is left in training mode.
    """
    step = step or descent_step(model, run)
    rates = learning_rates(run, len(data.y), epochs_done)
    for epoch in range(epochs_done + 1, run.epochs + 1):
        model.train()
        for x, y in batches(data, run.batch_size, rng):
            if isinstance(run.adversary, Adversary):
                x = pgd(model, x, y, run.adversary.epsilon, step=run.adversary.step, steps=1, rng=rng)
            step(x, y, next(rates))
        yield epoch


def descent_step(
    model: nn.Module, run: Run, optimizer: Optimizer | None = None
) -> Callable[[Tensor, Tensor, float | Tensor], None]:
    """Return the step of a run: the gradient of the batch's loss, then the optimizer, by default a new one."""
    gradient = gradient_of(model, TASKS[run.data].loss, run.reduction)
    descend = optimizer or OPTIMIZERS[run.optimizer](list(model.parameters()), run.weight_decay)
    return lambda x, y, rate: descend(gradient(x, y), rate)


def learning_rates(run: Run, examples: int, epochs_done: int = 0) -> Iterator[float]:
    """Yield the learning rate of each step by the schedule, from the first after `epochs_done` epochs."""
    steps_per_epoch = -(-examples // run.batch_size)
    for done in itertools.count(epochs_done * steps_per_epoch):
        yield run.learning_rate * SCHEDULES[run.schedule](done / (run.epochs * steps_per_epoch))


def shuffled(data: Split, rng: torch.Generator) -> Int[Tensor, " n"]:
    """Return a random order of the examples, the same on every device."""
    return torch.randperm(len(data.y), generator=rng).to(data.y.device)


def batches(data: Split, size: int, rng: torch.Generator) -> Iterator[Split]:
    """Yield every example once, in random order, `size` at a time; the last batch may be smaller."""
    for index in shuffled(data, rng).split(size):
        # index_select copies whole rows, which indexing with brackets does not.
        yield Split(data.x.index_select(0, index), data.y.index_select(0, index))
