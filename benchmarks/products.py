"""The bound: the convolutions and matrix products of a training step, forward and backward, and nothing else."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def products(model: nn.Sequential, x: Tensor) -> list[Callable[[], Any]]:
    """Return what a step on the batch `x` cannot do without, on tensors of the right shapes and layouts.

    For each layer with weights: the output, the gradient of the weights, and, but for the first, of the input.
    """
    work: list[Callable[[], Any]] = []
    with torch.no_grad():
        for layer in model:
            output = layer(x)
            upstream = torch.randn_like(output)
            if isinstance(layer, nn.Conv2d):
                work += _convolution(layer, x, upstream, first=not work)
            elif isinstance(layer, nn.Linear):
                work += _linear(layer, x, upstream, first=not work)
            x = output
    return work


def _convolution(layer: nn.Conv2d, x: Tensor, upstream: Tensor, first: bool) -> list[Callable[[], Any]]:
    x, weight, bias = x.contiguous(memory_format=torch.channels_last), layer.weight.detach(), layer.bias
    stride, padding, wanted = layer.stride, layer.padding, [not first, True, bias is not None]
    return [
        lambda: F.conv2d(x, weight, bias, stride, padding),
        lambda: torch.ops.aten.convolution_backward(
            upstream, x, weight, [len(weight)], stride, padding, [1, 1], False, [0, 0], 1, wanted
        ),
    ]


def _linear(layer: nn.Linear, x: Tensor, upstream: Tensor, first: bool) -> list[Callable[[], Any]]:
    weight = layer.weight.detach()
    work: list[Callable[[], Any]] = [lambda: x.mm(weight.t()), lambda: upstream.t().mm(x)]
    return work if first else [*work, lambda: upstream.mm(weight)]


@torch.no_grad()
def epoch_of_products(model: nn.Sequential, x: Tensor, batch_size: int) -> None:
    """Do the products of every step of an epoch."""
    work = products(model, x[:batch_size])
    for _ in range(-(-len(x) // batch_size)):
        for product in work:
            product()
