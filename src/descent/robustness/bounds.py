"""Bounds of a classifier's margins over an L∞ ball of images: by intervals, and by linear relaxation (CROWN)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from descent.attacks.norms import Images
from descent.models.intervals import Margins, ball, interval_margins, layer_bounds

# Bounds of the inputs of a layer.
Box = tuple[Tensor, Tensor]
BENT = nn.ReLU | nn.MaxPool2d
# Hidden neurons whose coefficients are in memory at once.
ROWS = 256


def intervals(model: nn.Sequential, x: Images, y: Int[Tensor, " n"], epsilon: float) -> Margins:
    """Bound the margins over the ball of radius `epsilon` around each image, within [0, 1], by intervals.

    Interval bound propagation; formula, source and errors as for `interval_margins`.
    """
    return interval_margins(model, *ball(x, epsilon), y)


def crown(model: nn.Sequential, x: Images, y: Int[Tensor, " n"], epsilon: float, relax_hidden: bool = True) -> Margins:
    """Bound the margins over the ball of radius `epsilon` around each image, within [0, 1], by linear relaxation.

        αt ≤ relu(t) ≤ u (t − l) / (u − l)    for l ≤ t ≤ u, l < 0 < u; α is 1 if u > −l, else 0

    CROWN (Zhang et al. 2018, arXiv:1811.00866, §3): from the logits back to the pixels, a positive coefficient of a
    ReLU takes the lower line, a negative one the upper. What is left is a linear function a of the pixels, whose least
    value in the ball is Σ min(a l, a u). The l and u of hidden layers come from the same bounds, or, if `relax_hidden`
    is false, from intervals, which is far faster and less tight (CROWN-IBP; Zhang et al. 2020, arXiv:1906.06316, §3).
    All hold up to the rounding of the weights' type.

    Raises:
        TypeError: As for `interval_margins`; or the windows of a pooling are no squares side by side.
    """
    classes = torch.arange(intervals(model, x, y, epsilon).lower.shape[1], device=y.device)
    boxes, rows = hidden_boxes(model, x, epsilon, relax_hidden), differences(y, classes.expand(len(y), -1), x.dtype)
    return Margins(lowest(list(model), boxes, rows), -lowest(list(model), boxes, -rows))


def differences(
    y: Int[Tensor, " n"], others: Int[Tensor, "n classes"], dtype: torch.dtype
) -> Float[Tensor, "n classes classes"]:
    """Return the coefficients of all logits in each margin z_y − z_i, where i is each of the others, in that order."""
    each = torch.eye(others.shape[1], dtype=dtype, device=y.device)
    return each[y][:, None] - each[others]


def hidden_boxes(model: nn.Sequential, x: Images, epsilon: float, relax: bool) -> list[Box]:
    """Bound the inputs of each layer, the first of which are the pixels: by `lowest` or by intervals."""
    boxes, layers = [ball(x, epsilon)], list(model)
    for depth, (layer, after) in enumerate(pairwise(layers), start=1):
        lower, upper = layer_bounds(layer, *boxes[-1])
        # Before the first bend intervals are exact.
        if relax and isinstance(after, BENT) and any(isinstance(before, BENT) for before in layers[:depth]):
            shape = lower.shape
            one = torch.eye(shape[1:].numel(), dtype=x.dtype, device=x.device).unflatten(1, shape[1:])
            parts = [part.expand(len(x), *part.shape) for part in one.split(ROWS)]
            lower, upper = (
                torch.cat([sign * lowest(layers[:depth], boxes, sign * part) for part in parts], dim=1).view(shape)
                for sign in (1, -1)
            )
        boxes.append((lower, upper))
    return boxes


def lowest(
    layers: Sequence[nn.Module], boxes: Sequence[Box], rows: Float[Tensor, "n rows *outputs"]
) -> Float[Tensor, "n rows"]:
    """Return lower bounds of Σ c z for each row of coefficients c of the outputs z of the last of the layers."""
    n, count = rows.shape[:2]
    constant = rows.new_zeros(n, count)
    for layer, (lower, upper) in zip(reversed(layers), reversed(boxes[: len(layers)]), strict=True):
        shape = lower.shape[1:]
        match layer:
            case nn.Flatten():
                rows = rows.unflatten(2, shape)
            case nn.Linear():
                constant = constant if layer.bias is None else constant + rows @ layer.bias
                rows = rows @ layer.weight
            case nn.Conv2d():
                if layer.bias is not None:
                    constant = constant + rows.sum(dim=(3, 4)) @ layer.bias
                size, flat = (n * count, *shape), rows.flatten(0, 1)
                flat = conv2d_input(size, layer.weight, flat, layer.stride, layer.padding, layer.dilation, layer.groups)
                rows = flat.unflatten(0, (n, count))
            case nn.BatchNorm2d(running_mean=Tensor() as mean, running_var=Tensor() as variance):
                scale = layer.weight / (variance + layer.eps).sqrt()
                constant = constant + rows.sum(dim=(3, 4)) @ (layer.bias - mean * scale)
                rows = rows * scale[:, None, None]
            case nn.ReLU():
                at_least, at_most, offset = _lines(lower[:, None], upper[:, None])
                constant = constant + (rows.clamp(max=0) * offset).flatten(2).sum(dim=2)
                rows = rows.clamp(min=0) * at_least + rows.clamp(max=0) * at_most
            case nn.MaxPool2d():
                at_least, at_most, offset = _planes(layer, lower[:, None], upper[:, None])
                constant = constant + (rows.clamp(max=0) * offset).flatten(2).sum(dim=2)
                rows = rows[..., None, None]
                rows = _laid_out(rows.clamp(min=0) * at_least + rows.clamp(max=0) * at_most, shape)
            case _:
                raise TypeError(f"no bounds of the outputs of a {type(layer).__name__}")
    lower, upper = (bound.flatten(1)[..., None] for bound in boxes[0])
    rows = rows.flatten(2)
    return constant + (rows.clamp(min=0) @ lower + rows.clamp(max=0) @ upper)[..., 0]


def _lines(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the slopes of lines below and above a ReLU between two bounds, and the offset of the one above."""
    on = (lower >= 0).to(lower.dtype)
    above = upper.clamp(min=0) / (upper.clamp(min=0) - lower.clamp(max=0)).clamp(min=torch.finfo(lower.dtype).tiny)
    above = torch.where(lower >= 0, on, above)
    return torch.where(upper > -lower, 1.0, on), above, -lower.clamp(max=0) * above


def _planes(pool: nn.MaxPool2d, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the slopes of planes below and above the largest of a window, and the offset of the one above.

    Below is the input t with the largest lower bound, γ. Above is γ + Σ max(u − γ, 0) / (u − l) (t − l), which is at
    least t for each input (Boopathy et al. 2019, arXiv:1811.12395, table 1), or the largest u, whichever is lower at
    the centre.
    """
    side = pool.kernel_size
    if not isinstance(side, int) or pool.stride != side or pool.padding or pool.ceil_mode or pool.dilation != 1:
        raise TypeError("no bounds of the outputs of a MaxPool2d, unless its windows are squares side by side")
    lower, upper = (each.unfold(-2, side, side).unfold(-2, side, side) for each in (lower, upper))
    highest, place = lower.flatten(-2).max(dim=-1, keepdim=True)
    below = torch.zeros_like(lower).flatten(-2).scatter(-1, place, 1.0).view_as(lower)
    rise = (upper - highest[..., None]).clamp(min=0)
    above = rise / (upper - lower).clamp(min=torch.finfo(lower.dtype).tiny)
    top = upper.amax(dim=(-2, -1))
    tilted = highest[..., 0] + rise.sum(dim=(-2, -1)) / 2 <= top
    offset = torch.where(tilted, highest[..., 0] - (above * lower).sum(dim=(-2, -1)), top)
    return below, above * tilted[..., None, None], offset


def _laid_out(windows: Tensor, shape: torch.Size) -> Tensor:
    """Put the windows of a pooling back beside each other; what no window holds is 0."""
    image = windows.transpose(-3, -2).flatten(-4, -3).flatten(-2)
    return nn.functional.pad(image, (0, shape[-1] - image.shape[-1], 0, shape[-2] - image.shape[-2]))
