"""max(z, o) with a learnable o for each neuron, and the ordinary ReLU network that computes the same."""

from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

Affine = nn.Linear | nn.Conv2d


class ParametrisedReLU(nn.Module):
    """max(z, o), with one learnable o for each neuron, or for each channel of an image; o starts at 0, as ReLU."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.o = nn.Parameter(torch.zeros(size))

    def forward(self, z: Float[Tensor, "n size *positions"]) -> Float[Tensor, "n size *positions"]:
        """Return max(z, o); the gradient goes to z where z > o, to o where z < o, and in halves to both on a tie."""
        return torch.maximum(z, self.o.view(-1, *[1] * (z.ndim - 2)))


def absorb(network: nn.Sequential) -> nn.Sequential:
    """Return the ordinary ReLU network that computes the same function as one with parametrised ReLUs.

        W₂ max(Wx + b, o) + b₂  =  W₂ relu(Wx + (b − o)) + (b₂ + W₂o)

    since max(z, o) = relu(z − o) + o. Poolings that take a maximum may stand between: they commute with the
    constant.

    Args:
        network: Linear and convolutional layers, parametrised or ordinary ReLUs, max-poolings, flattenings; it
            is left alone.

    Raises:
        ValueError: The identity does not hold here: a bias is missing before or after a parametrised ReLU, or
            the layer after pads with zeros, to which no o is added.
    """
    if found := obstacles(network):
        raise ValueError("; ".join(found))
    return rewritten(network)


def obstacles(network: nn.Sequential) -> list[str]:
    """Say why `network` has no ordinary twin of the same shape; an empty list where it has one."""
    found = []
    for index, layer in enumerate(network):
        if not isinstance(layer, ParametrisedReLU):
            continue
        before, after = _neighbours(network, index)
        for side, neighbour in (("before", before), ("after", after)):
            if neighbour is None or neighbour.bias is None:
                found.append(f"layer {index}: no bias {side} it to absorb o")
        if isinstance(after, nn.Conv2d) and after.padding not in ("valid", (0, 0)):
            found.append(f"layer {index}: the convolution after it pads with zeros, which hold no o")
    return found


def rewritten(network: nn.Sequential, *, after: bool = True) -> nn.Sequential:
    """Move every o into the biases, whether the identity holds there or not.

    Args:
        network: As for `absorb`; it is left alone.
        after: Whether to add W₂o to the bias after; without it this is the write-up's recipe.
    """
    layers: list[nn.Module] = list(deepcopy(network))
    for index, layer in enumerate(layers):
        if isinstance(layer, ParametrisedReLU):
            first, second = _neighbours(layers, index)
            if first is not None and first.bias is not None:
                first.bias.data -= layer.o.data
            if after and second is not None and second.bias is not None:
                second.bias.data += response(second, layer.o.data)
            layers[index] = nn.ReLU()
    return nn.Sequential(*layers)


def response(layer: Affine, o: Float[Tensor, " size"]) -> Float[Tensor, " outputs"]:
    """Return W₂o: what a layer makes of inputs that equal o everywhere, its bias apart.

    A convolution sees o at every place of its kernel, a linear layer after a flattening at every pixel.
    """
    weight = layer.weight.data
    return weight.reshape(len(weight), len(o), -1).sum(dim=2) @ o


def parametrised(network: nn.Sequential, rng: torch.Generator) -> nn.Sequential:
    """Return a copy of an MLP with parametrised ReLUs in place of ordinary ones, each o drawn from N(0, 1)."""
    layers: list[nn.Module] = list(deepcopy(network))
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.ReLU):
            before, _ = _neighbours(layers, index)
            if before is None:
                raise ValueError(f"layer {index}: no layer before it says how many neurons it has")
            layers[index] = made = ParametrisedReLU(len(before.weight)).to(before.weight.dtype)
            made.o.data.normal_(generator=rng)
    return nn.Sequential(*layers)


def _neighbours(layers: nn.Sequential | list[nn.Module], index: int) -> tuple[Affine | None, Affine | None]:
    """Find the layers with weights next to one without, through what passes a constant on."""
    listed = list(layers)
    return _nearest(listed[:index][::-1], (nn.MaxPool2d,)), _nearest(listed[index + 1 :], (nn.MaxPool2d, nn.Flatten))


def _nearest(layers: list[nn.Module], passing: tuple[type[nn.Module], ...]) -> Affine | None:
    for layer in layers:
        if isinstance(layer, Affine):
            return layer
        if not isinstance(layer, passing):
            return None
    return None
