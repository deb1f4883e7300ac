"""max(z, o) with a learnable o for each neuron, and the ordinary ReLU network that computes the same."""

from copy import deepcopy
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


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

    since max(z, o) = relu(z − o) + o. `network` is left alone.

    Raises:
        ValueError: A layer beside a parametrised ReLU is not linear or convolutional with a bias, or the one after it
            pads with zeros, to which no o is added.
    """
    for index, layer in enumerate(network):
        if isinstance(layer, ParametrisedReLU):
            if not {f"{index - 1}.bias", f"{index + 1}.bias"} <= network.state_dict().keys():
                raise ValueError(f"layer {index}: no bias before or after it to absorb o")
            if getattr(network[index + 1], "padding", "valid") not in ("valid", (0, 0)):
                raise ValueError(f"layer {index}: the convolution after it pads with zeros, which hold no o")
    return rewritten(network)


def rewritten(network: nn.Sequential, *, after: bool = True) -> nn.Sequential:
    """Return a copy with every o moved into the biases, whether the identity of `absorb` holds there or not.

    Without `after`, W₂o is not added to the bias after: this is the write-up's recipe.
    """
    twin = nn.Sequential(*(nn.ReLU() if isinstance(layer, ParametrisedReLU) else layer for layer in deepcopy(network)))
    weights = twin.state_dict()
    for index, layer in enumerate(network):
        if isinstance(layer, ParametrisedReLU):
            weights[f"{index - 1}.bias"] -= layer.o.data
            if after:  # a convolution sees o at every place of its kernel
                summed = weights[f"{index + 1}.weight"][..., None].flatten(2).sum(dim=2)
                weights[f"{index + 1}.bias"] += summed @ layer.o.data
    return twin


def parametrised(network: nn.Sequential, rng: torch.Generator) -> nn.Sequential:
    """Return a copy of an MLP with parametrised ReLUs behind its linear layers, each o drawn from N(0, 1)."""
    layers: list[nn.Module] = list(deepcopy(network))
    for index, (before, layer) in enumerate(pairwise(network), start=1):
        if isinstance(before, nn.Linear) and isinstance(layer, nn.ReLU):
            layers[index] = made = ParametrisedReLU(before.out_features).to(before.weight.dtype)
            made.o.data.normal_(generator=rng)
    return nn.Sequential(*layers)
