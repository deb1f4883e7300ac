"""Run trials on a GPU: all seeds of a setting as one batched model, each with its own weights and batches."""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from descent.io.datasets import Dataset, Split, load_dataset
from descent.io.run_schema import Run
from descent.models.evaluation import TASKS
from descent.models.machine import make_deterministic
from descent.studies.engine import Failure
from descent.studies.source import source_digest
from descent.studies.trials import Trial, outcome
from descent.training.cuda_graph import replayed
from descent.training.loop import fit, learning_rates, shuffled
from descent.training.optimizers import OPTIMIZERS
from descent.training.runs import DivergenceGuard, fast_step, initial_state


def stack_name(device: torch.device) -> str:
    """Name the device and the code; outcomes of another device or code differ in their last digits."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{''.join(letter if letter.isalnum() else '-' for letter in card)}-{source_digest(__name__)[:16]}"


def on_stack(trials: Mapping[str, Trial], data: Path, device: torch.device) -> Generator[tuple[str, bytes | Failure]]:
    """Perform trials, all seeds of a setting at once, and yield each outcome or failure by name.

    Trials with an adversary are performed one by one. An error, such as too little memory, fails all its seeds.

    Args:
        trials: By name.
        data: The folder with the prepared data sets.
        device: The device that trains the models.
    """
    groups = defaultdict[str, dict[str, Trial]](dict)
    for name, trial in trials.items():
        alone = [] if trial.run.adversary == "none" else [trial.seed]
        groups[repr([trial._replace(seed=0), alone])][name] = trial
    loaded = dict[tuple[str, str], Dataset]()
    for group in groups.values():
        first = next(iter(group.values()))
        make_deterministic(first.threads, device)
        source = (first.run.data, first.sha256_data)
        if source not in loaded:
            loaded[source] = load_dataset(data / f"{first.run.data}.safetensors", first.sha256_data).to(device)
        try:
            yield from _performed(group, loaded[source]).items()
        except RuntimeError as error:
            yield from dict.fromkeys(group, Failure(str(error).partition("\n")[0])).items()


def _performed(group: Mapping[str, Trial], data: Dataset) -> dict[str, bytes | Failure]:
    """Train the models of all seeds together; one that diverges does not stop the others."""
    trials = list(group.values())
    run, evaluation = trials[0].run, trials[0].evaluation
    states = [initial_state(run, data, trial.seed) for trial in trials]
    models, rngs = [state.model for state in states], [state.rng for state in states]
    guards = [DivergenceGuard(model, data, run, evaluation, []) for model in models]
    diverged = dict[int, int]()
    if len(states) == 1:
        epochs = fit(models[0], data.train, run, rngs[0], fast_step(states[0], run))
    else:
        epochs = fit_stacked(models, data.train, run, rngs)
    for epoch in epochs:
        for number, guard in enumerate(guards):
            if number not in diverged:
                row = guard.measured(epoch)
                if row is None:
                    diverged[number] = epoch
                else:
                    guard.history.append(row)
        if len(diverged) == len(models):
            break
    for number in diverged:
        guards[number].restore()  # training with the others changed it after it diverged
    return {
        name: outcome(name, trial, models[number], data, guards[number].history, diverged.get(number))
        for number, (name, trial) in enumerate(group.items())
    }


def fit_stacked(models: Sequence[nn.Module], data: Split, run: Run, rngs: Sequence[torch.Generator]) -> Iterator[int]:
    """Train all models in place with batched operations, each as `fit` would.

    A single small network does not use a GPU fully; sixty-four together do. Each model equals the result of `fit` with
    its `rng` up to rounding, because a batched product sums in another order.

    Args:
        models: Of the same architecture, on the device of `data`; during training they share memory.
        data: The training set, the same for all.
        run: As for `fit`, but without an adversary.
        rngs: One for each model.

    Yields:
        The number of the epoch just finished, from 1.

    Raises:
        ValueError: The run has an adversary, which draws random numbers in every step.
    """
    if run.adversary != "none":
        raise ValueError("a stacked run has no adversary: each of its models would need one of its own")
    stack = stacked_weights(models)
    gradient = stacked_gradient(models[0], list(stack), TASKS[run.data].loss, run.reduction)
    weights = list(stack.values())
    descend = OPTIMIZERS[run.optimizer](weights, run.weight_decay)

    def step(x: Tensor, y: Tensor, rate: float | Tensor) -> None:
        descend(gradient(weights, x, y), rate)

    take_step = replayed(step) if data.y.device.type == "cuda" else step
    rates = learning_rates(run, len(data.y))
    for epoch in range(1, run.epochs + 1):
        for model in models:
            model.train()
        for x, y in stacked_batches(data, run.batch_size, rngs):
            take_step(x, y, next(rates))
        yield epoch


def stacked_weights(models: Sequence[nn.Module]) -> dict[str, Float[Tensor, " models *weights"]]:
    """Stack the weights of the models by name, and make each model's parameters views of the stack."""
    stack = {
        name: torch.stack([dict(model.named_parameters())[name].detach() for model in models]).contiguous()
        for name, _ in models[0].named_parameters()
    }
    for number, model in enumerate(models):
        for name, parameter in model.named_parameters():
            parameter.data = stack[name][number]
    return stack


def stacked_gradient(
    model: nn.Module, names: Sequence[str], loss: Callable[..., Tensor], reduction: str
) -> Callable[[Sequence[Tensor], Tensor, Tensor], list[Tensor]]:
    """Return a function from the stacked weights, `x` and `y` to the gradients of every model's own loss.

    The first dimension of every tensor is the models. The weights of `model` itself are not used.
    """

    def loss_of_one(weights: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
        prediction = functional_call(model, dict(zip(names, weights, strict=True)), (x,))
        return loss(prediction, y, reduction=reduction)

    each = vmap(grad(loss_of_one))

    def gradient(weights: Sequence[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
        # The fused optimiser step requires gradients with the same memory layout as the weights.
        return [part.contiguous() for part in each(tuple(weights), x, y)]

    return gradient


def stacked_batches(
    data: Split, size: int, rngs: Sequence[torch.Generator]
) -> Iterator[tuple[Shaped[Tensor, " models n *features"], Shaped[Tensor, " models n *targets"]]]:
    """Yield the batches of all models, stacked: for each model those that `batches` yields for its `rng`."""
    orders = torch.stack([shuffled(data, rng) for rng in rngs])
    for index in orders.split(size, dim=1):
        flat = index.flatten()
        yield tuple(part.index_select(0, flat).unflatten(0, index.shape) for part in data)
