"""Interval bounds: what a classifier can make of all images between two bounds."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from descent.attacks.norms import Images

# Their outputs never fall when an input rises, so that bounds go through them as images do.
MONOTONE = nn.ReLU | nn.MaxPool2d | nn.Flatten


def ball(x: Images, epsilon: float) -> tuple[Images, Images]:
    """Return the bounds, within [0, 1], of the images no pixel of which is further than `epsilon` from that of `x`."""
    return (x - epsilon).clamp(0, 1), (x + epsilon).clamp(0, 1)


class Margins(NamedTuple):
    """Bounds of the margins z_y − z_i of each image, z_y the logit of its true class; those of class y itself are 0."""

    lower: Float[Tensor, "n classes"]
    upper: Float[Tensor, "n classes"]


def interval_margins(model: nn.Sequential, lower: Images, upper: Images, y: Int[Tensor, " n"]) -> Margins:
    """Bound the margins of all images between two bounds by interval bound propagation.

        c' = Wc + b,  r' = |W| r    for a linear layer; the centre is c = (upper + lower) / 2, the radius r = upper − c

    Gowal et al. 2018, arXiv:1810.12715, §3. A ReLU and a pooling take the bounds as they are. In the last layer
    W_y − W_i stands for W_i. Where all lower bounds but the own are above 0, no image between the bounds is
    misclassified.

    Raises:
        TypeError: The model has a layer whose bounds are not known, or none that is linear at its end.
    """
    *layers, last = model
    if not isinstance(last, nn.Linear):
        raise TypeError(f"no bounds of the logits of a {type(last).__name__}")
    for layer in layers:
        lower, upper = layer_bounds(layer, lower, upper)
    centre, radius = (upper + lower) / 2, (upper - lower) / 2
    pairs = (last.weight[:, None] - last.weight).abs()
    furthest = (radius @ pairs.flatten(0, 1).t()).view(-1, *pairs.shape[:2])
    logits = last(centre)
    margins, half = logits.gather(1, y[:, None]) - logits, furthest[torch.arange(len(y), device=y.device), y]
    return Margins(margins - half, margins + half)


def layer_bounds(layer: nn.Module, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bounds of the outputs of a layer, from those of its inputs.

    Raises:
        TypeError: They are not known for such a layer: a convolution that pads with anything but zeros, a normalisation
            without weights or by the statistics of a batch, or another kind.
    """
    if isinstance(layer, MONOTONE):
        return layer(lower), layer(upper)
    centre, radius = layer((upper + lower) / 2), (upper - lower) / 2
    if isinstance(layer, nn.Linear):
        radius = F.linear(radius, layer.weight.abs())
    elif isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
        radius = F.conv2d(radius, layer.weight.abs(), None, layer.stride, layer.padding, layer.dilation, layer.groups)
    elif isinstance(layer, nn.BatchNorm2d) and not layer.training and layer.affine and layer.running_var is not None:
        radius = radius * (layer.weight.abs() / (layer.running_var + layer.eps).sqrt())[:, None, None]
    else:
        raise TypeError(f"no bounds of the outputs of a {type(layer).__name__}")
    return centre - radius, centre + radius
