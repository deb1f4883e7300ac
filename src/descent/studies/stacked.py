"""Run trials on a GPU: all seeds of a setting as one batched model, each with its own weights and batches."""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

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
        except RuntimeError as error:
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
    weights, gradient = stacked_weights(models), stacked_gradient(models[0], TASKS[run.data].loss, run.reduction)
    descend = OPTIMIZERS[run.optimizer](list(weights.values()), run.weight_decay)

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
    stack = {name: weights.detach().contiguous() for name, weights in stack_module_state(list(models))[0].items()}
    for number, model in enumerate(models):
        for name, parameter in model.named_parameters():
            parameter.data = stack[name][number]
    return stack


def stacked_gradient(
    model: nn.Module, loss: Callable[..., Tensor], reduction: str
) -> Callable[[dict[str, Tensor], Tensor, Tensor], list[Tensor]]:
    """Return a function from the stacked weights, `x` and `y` to the gradients of every model's own loss.

    The first dimension of every tensor is the models. The weights of `model` itself are not used.
    """

    def loss_of_one(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(model, weights, (x,)), y, reduction=reduction)

    gradients = vmap(grad(loss_of_one))
    # The fused optimiser step requires gradients with the same memory layout as the weights.
    return lambda weights, x, y: [part.contiguous() for part in gradients(weights, x, y).values()]


def stacked_batches(
    data: Split, size: int, rngs: Sequence[torch.Generator]
) -> Iterator[tuple[Shaped[Tensor, " models n *features"], Shaped[Tensor, " models n *targets"]]]:
    """Yield the batches of all models, stacked: for each model those that `batches` yields for its `rng`."""
    for index in torch.stack([shuffled(data, rng) for rng in rngs]).split(size, dim=1):
        flat = index.flatten()
        yield tuple(part.index_select(0, flat).unflatten(0, index.shape) for part in data)
