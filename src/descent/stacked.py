"""Train many runs of one kind at once: one batched model in which each has weights and batches of its own."""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from descent.data import Split
from descent.optimizers import OPTIMIZERS
from descent.params import Run
from descent.training import TASKS, descending, draw


def fit_stacked(models: Sequence[nn.Module], data: Split, run: Run, rngs: Sequence[torch.Generator]) -> Iterator[int]:
    """Train every model in place, each as `fit` would, with one call of each operation for all.

    One small network cannot fill a GPU; sixty-four of them can. Each model is what `fit` makes of it with its `rng`
    up to rounding: the sums of a batched product have another order.

    Args:
        models: Of the same architecture, on the device of `data`; while training goes on they share memory.
        data: The training part, the same for all.
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

    def step(x: Tensor, y: Tensor, rate: float) -> None:
        descend(gradient(weights, x, y), rate)

    yield from descending(step, models, lambda: stacked_batches(data, run.batch_size, rngs), run, data)


def stacked_weights(models: Sequence[nn.Module]) -> dict[str, Float[Tensor, " models *weights"]]:
    """Stack the weights of the models by name, and make each model's own a view of them."""
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

    All have one more dimension in front, the models. The weights of `model` itself are not used.
    """

    def loss_of_one(weights: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
        prediction = functional_call(model, dict(zip(names, weights, strict=True)), (x,))
        return loss(prediction, y, reduction=reduction)

    each = vmap(grad(loss_of_one))

    def gradient(weights: Sequence[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
        # A fused step goes through memory as it lies: gradients must lie as the weights do.
        return [part.contiguous() for part in each(tuple(weights), x, y)]

    return gradient


def stacked_batches(
    data: Split, size: int, rngs: Sequence[torch.Generator]
) -> Iterator[tuple[Shaped[Tensor, " models n *features"], Shaped[Tensor, " models n *targets"]]]:
    """Yield, for every model side by side, the batches that `batches` yields for its `rng`."""
    orders = torch.stack([draw(data, rng) for rng in rngs])
    for index in orders.split(size, dim=1):
        flat = index.flatten()
        yield tuple(part.index_select(0, flat).unflatten(0, index.shape) for part in data)
