"""Run trials on a GPU: all seeds of a setting as one batched model, each with its own weights and batches."""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from descent.io.datasets import Dataset, Split, load_dataset
from descent.io.errors import DescentError
from descent.io.run_schema import Run
from descent.models.machine import make_deterministic
from descent.studies.engine import Failure
from descent.studies.source import source_digest
from descent.studies.trials import Trial, outcome
from descent.training.cuda_graph import replayed
from descent.training.gradients import loss_of
from descent.training.loop import fit, flipped, learning_rate, shares_done, shuffled
from descent.training.optimizers import optimizer_of
from descent.training.runs import DivergenceGuard, fast_step, initial_state

# Tensors by name, whose first dimension is the models.
Stack = dict[str, Shaped[Tensor, " models ..."]]


def stack_name(device: torch.device) -> str:
    """Name the device and the code; outcomes of another device or code differ in their last digits."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{''.join(letter if letter.isalnum() else '-' for letter in card)}-{source_digest(__name__)[:16]}"


def on_stack(trials: Mapping[str, Trial], data: Path, device: torch.device) -> Generator[tuple[str, bytes | Failure]]:
    """Perform trials, all seeds of a setting at once, and yield each outcome or failure by name.

    Trials with an adversary are performed one by one. An error, such as too little memory, fails all its seeds.
    """
    groups = defaultdict[str, dict[str, Trial]](dict)
    for name, trial in trials.items():
        alone = [] if trial.run.adversary == "none" else [trial.seed]
        groups[repr([trial._replace(seed=0), alone])][name] = trial
    load = cache(lambda name, digest: load_dataset(data / f"{name}.safetensors", digest).to(device))
    for group in groups.values():
        first = next(iter(group.values()))
        make_deterministic(first.threads, device)
        try:
            yield from _performed(group, load(first.run.data, first.sha256_data)).items()
        except (RuntimeError, DescentError) as error:
            yield from dict.fromkeys(group, Failure(str(error).partition("\n")[0])).items()


def _performed(group: Mapping[str, Trial], data: Dataset) -> dict[str, bytes | Failure]:
    """Train the models of all seeds together; one that diverges does not stop the others."""
    run, _, evaluation, *_ = next(iter(group.values()))
    states = {name: initial_state(run, data, trial.seed) for name, trial in group.items()}
    first, *others = states.values()
    guards = {name: DivergenceGuard(state.model, data, run, evaluation, []) for name, state in states.items()}
    diverged = dict[str, int]()
    if others:
        models, rngs = zip(*((state.model, state.rng) for state in states.values()), strict=True)
        epochs = fit_stacked(models, data.train, run, rngs)
    else:
        epochs = fit(first.model, data.train, run, first.rng, fast_step(first, run))
    for epoch in epochs:
        for name in guards.keys() - diverged.keys():
            if row := guards[name].measured(epoch):
                guards[name].history.append(row)
            else:
                diverged[name] = epoch
        if len(diverged) == len(group):
            break
    for name in diverged:
        guards[name].restore()  # training with the others changed it after it diverged
    return {
        name: outcome(name, trial, states[name].model, data, guards[name].history, diverged.get(name))
        for name, trial in group.items()
    }


def fit_stacked(models: Sequence[nn.Module], data: Split, run: Run, rngs: Sequence[torch.Generator]) -> Iterator[int]:
    """Train all models in place with batched operations, each as `fit` would.

    A single small network does not use a GPU fully; sixty-four together do. Each model equals the result of `fit` with
    its `rng` up to rounding, because a batched product sums in another order. During training the models,
    which have the same architecture, share memory.

    Raises:
        ValueError: The run has an adversary, which draws random numbers in every step.
    """
    if run.adversary != "none":
        raise ValueError("a stacked run has no adversary: each of its models would need one of its own")
    weights, buffers = stacked(models)
    gradient, descend = stacked_gradient(models[0], loss_of(run)), optimizer_of(run, list(weights.values()))

    def step(x: Tensor, y: Tensor, rate: float | Tensor) -> None:
        descend(gradient(weights, buffers, x, y), rate)

    take_step = replayed(step) if data.y.device.type == "cuda" else step
    shares = shares_done(run, len(data.y))
    for epoch in range(1, run.epochs + 1):
        for model in models:
            model.train()
        for x, y in stacked_batches(data, run, rngs):
            take_step(x, y, learning_rate(run, next(shares)))
        yield epoch


def stacked(models: Sequence[nn.Module]) -> tuple[Stack, Stack]:
    """Stack the weights and the buffers of the models by name, and make those of each model views of the stacks."""
    stacks = [
        {name: tensors.detach().contiguous() for name, tensors in stack.items()}
        for stack in stack_module_state(list(models))
    ]
    for number, model in enumerate(models):
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            tensor.data = (stacks[0] | stacks[1])[name][number]
    weights, buffers = stacks
    return weights, buffers


def stacked_gradient(
    model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]
) -> Callable[[Stack, Stack, Tensor, Tensor], list[Tensor]]:
    """Return a function from the stacked weights and buffers, `x` and `y` to the gradients of every model's own loss.

    The first dimension of every tensor is the models. The weights of `model` itself are not used. Batch normalisation
    changes the buffers.
    """

    def loss_of_one(weights: Stack, buffers: Stack, x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(model, weights | buffers, (x,)), y)

    gradients = vmap(grad(loss_of_one))
    # The fused optimiser step requires gradients with the same memory layout as the weights.
    return lambda weights, buffers, x, y: [part.contiguous() for part in gradients(weights, buffers, x, y).values()]


def stacked_batches(
    data: Split, run: Run, rngs: Sequence[torch.Generator]
) -> Iterator[tuple[Shaped[Tensor, " models n *features"], Shaped[Tensor, " models n *targets"]]]:
    """Yield the batches of all models, stacked: for each model those that `batches` yields for its `rng`."""
    drawn = zip(*(shuffled(data, run, rng) for rng in rngs), strict=True)
    order, mirrored = (torch.stack(each).split(run.batch_size, dim=1) for each in drawn)
    for index, chosen in zip(order, mirrored, strict=True):
        x, y = (part.index_select(0, index.flatten()).unflatten(0, index.shape) for part in data)
        yield flipped(x, chosen) if run.horizontal_flips else x, y
