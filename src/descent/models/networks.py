"""The models, each a plain `nn.Sequential`, built from its entry in `params.yaml`."""

from collections.abc import Mapping, Sequence
from functools import singledispatch
from itertools import pairwise
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from descent.io.errors import DataError
from descent.io.run_schema import MLP, ConvNet, Convolution, Linear, Model
from descent.io.tensors import load_tensors


def build_model(spec: Model, inputs: Sequence[int], outputs: int, seed: int) -> nn.Sequential:
    """Make a model with fresh weights, as PyTorch draws them, uniform in ±1/√fan-in; those of a linear model are 0.

    `inputs` is the shape of one example, `(features,)` or `(channels, height, width)`; `outputs` counts the numbers
    predicted for it, for a classifier the logits of its classes. torch's own random state is left as it was.

    Raises:
        DataError: A ConvNet is asked for examples that are no images, or too small for its convolutions.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_of(spec, inputs, outputs)


@singledispatch
def model_of(spec: Model, inputs: Sequence[int], outputs: int) -> nn.Sequential:
    """Make a model of the kind that `spec` describes."""
    raise TypeError(f"no function makes a {type(spec).__name__}")


@model_of.register
def _(spec: Linear, inputs: Sequence[int], outputs: int) -> nn.Sequential:
    return linear(prod(inputs), outputs)


@model_of.register
def _(spec: MLP, inputs: Sequence[int], outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), *_dense([prod(inputs), *spec.hidden, outputs]))


def linear(features: int, outputs: int) -> nn.Sequential:
    """One linear layer with bias, all weights zero."""
    layer = nn.Linear(features, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(nn.Flatten(), layer)


@model_of.register
def convnet(spec: ConvNet, inputs: Sequence[int], outputs: int) -> nn.Sequential:
    """Convolutions, each followed by max-pooling, batch normalisation and ReLU, then linear layers.

    Batch normalisation and ReLU after the pooling have a quarter of the work; for ReLU the numbers are the same, since
    both keep the order.
    """
    depth, height, width = inputs if len(inputs) == 3 else (0, 0, 0)
    layers: list[nn.Module] = []
    for number, each in enumerate(spec.convolutions):
        height, width = (_convolved(length, each) for length in (height, width))
        if height < 1 or width < 1:
            shape = "×".join(map(str, inputs))
            raise DataError(f"model.convolutions.{number}: images of {shape} are too small for it")
        sizes = (depth, each.filters, each.kernel_size, each.stride, each.padding)
        layers.append(nn.Conv2d(*sizes, bias=not spec.batch_norm))  # normalisation would take the bias away
        depth = each.filters
        layers += [nn.MaxPool2d(each.max_pool)] if each.max_pool > 1 else []
        layers += [nn.BatchNorm2d(depth)] if spec.batch_norm else []
        layers.append(nn.ReLU())
    layers += [nn.Flatten(), *_dense([depth * height * width, *spec.hidden, outputs])]
    # In this layout a convolution on a CPU takes half the time.
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def count_weights(model: nn.Module) -> int:
    """Count the numbers that training adjusts, biases included."""
    return sum(parameter.numel() for parameter in model.parameters())


def load_model(
    path: Path, spec: Model, inputs: Sequence[int], outputs: int, digest: str | None = None
) -> nn.Sequential:
    """Make a model with the weights of a file, of SHA-256 `digest` if one is given, in evaluation mode.

    Raises:
        DataError: The file is missing or damaged, or its tensors are not the finite float32 weights of the model.
    """
    model = build_model(spec, inputs, outputs, seed=0)  # each of these weights is replaced
    tensors, _ = load_tensors(path, digest)
    expected = _described(model.state_dict())
    if (found := _described(tensors)) != expected:
        raise DataError(f"{path}: holds the weights of another model: expected {expected}, found {found}")
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise DataError(f"{path}: {name} is not finite; `dvc repro --force` trains the model anew")
    model.load_state_dict(tensors)
    return model.eval()


def _convolved(length: int, convolution: Convolution) -> int:
    """Return how many pixels are left of a row or column."""
    left = (length + 2 * convolution.padding - convolution.kernel_size) // convolution.stride + 1
    return left // convolution.max_pool


def _described(tensors: Mapping[str, Tensor]) -> str:
    """Describe names, types and shapes."""
    parts = (
        f"{name} {str(t.dtype).removeprefix('torch.')} {'×'.join(map(str, t.shape))}" for name, t in tensors.items()
    )
    return ", ".join(sorted(parts)) or "nothing"


def _dense(sizes: Sequence[int]) -> list[nn.Module]:
    """Linear layers of these sizes with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return layers[:-1]
