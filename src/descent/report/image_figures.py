"""The figures of adversarial images: clean image, direction of the perturbation, adversarial image."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from math import ceil

import torch
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from descent.attacks.gradient_sign import moved
from descent.report.style import literal, new_figure, text_width, wrapped

# The colours of −1, 0 and +1.
SIGNS = torch.tensor([[33, 102, 172], [255, 255, 255], [178, 24, 43]], dtype=torch.uint8)


def gallery(name: str, examples: Mapping[str, Tensor], classes: Sequence[str], source: str) -> Figure:
    """Draw the tensors named `gallery.…`, an image of each class: clean, direction of the perturbation, adversarial."""
    examples = group_of(examples, "gallery")
    shown = len(examples["label"])
    captions = [captions_of(examples, index, classes, 1.6, 10.5) for index in range(shown)]
    column = max(1.2, 0.2 + text_width("\n".join(map("\n".join, captions)).splitlines(), 10.5))
    across = min(max(shown, 1), int(12 / column))
    bands = max(1, ceil(shown / across))
    title = f"{name}: of each class the image with the median smallest ε"
    figure = new_figure(title, source, (max(6.2, 1 + across * column), 0.9 + 5.1 * bands))
    grid = figure.subplots(3 * bands, across, squeeze=False)
    for index in range(shown):
        row, place = 3 * (index // across), index % across
        triptych(grid[row : row + 3, place], examples, index, captions[index], fontsize=10.5)
    if not shown:
        grid[1, 0].set_title("no image is flipped")
    for row, words in zip(grid, cycle(("clean", "direction: +ε red,\n−ε blue, 0 white", "adversarial")), strict=False):
        row[0].set_ylabel(words, fontsize=11)
    hide_axes(grid.flat)
    return figure


def bag_becomes_t_shirt(
    title: str, group: str, examples: Mapping[str, Mapping[str, Tensor]], classes: Sequence[str], source: str
) -> Figure:
    """Draw the tensors named `GROUP.…` of each classifier: a bag, the direction of the perturbation, adversarial."""
    bags = {name: group_of(of_run, group) for name, of_run in examples.items() if len(of_run[f"{group}.label"])}
    rows = max(len(bags), 1)
    figure = new_figure(title, source, (6.2, 0.9 + 2.4 * rows))
    grid = figure.subplots(rows, 3, squeeze=False)
    for row, (name, bag) in zip(grid, bags.items(), strict=False):
        triptych(row, bag, 0, captions_of(bag, 0, classes, 1.8, 12), fontsize=12)
        row[0].set_ylabel(wrapped(name, 2, 12), fontsize=12)
    if not bags:
        grid[0, 1].set_title("no bag does so")
    hide_axes(grid.flat)
    return figure


def slider_sheets(examples: Mapping[str, Mapping[str, Tensor]]) -> dict[str, UInt8[Tensor, "height width *colours"]]:
    """Lay out the tensors named `slider.…` of each run for the slider of the page, images from top to bottom.

    `RUN` are the adversarial images, ε growing from left to right; `RUN-direction` the directions, +1 red and −1 blue.
    """
    sheets = {}
    for name, of_run in examples.items():
        clean, direction, epsilons = (of_run[f"slider.{key}"] for key in ("clean", "direction", "epsilon"))
        frames = [moved(clean, direction, epsilon).flatten(0, 2) for epsilon in epsilons.tolist()]
        sheets[name] = (255 * torch.cat(frames, dim=1)).round().to(torch.uint8)
        sheets[f"{name}-direction"] = SIGNS[direction.flatten(0, 2).long() + 1]
    return sheets


def group_of(examples: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    """Return the tensors named `GROUP.…`, without the group in their names."""
    return {name.removeprefix(f"{group}."): tensor for name, tensor in examples.items() if name.startswith(f"{group}.")}


def hide_axes(grid: Iterable[Axes]) -> None:
    """Remove ticks and frames."""
    for axes in grid:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)


def triptych(
    places: Iterable[Axes], examples: Mapping[str, Tensor], index: int, captions: Sequence[str], fontsize: float
) -> None:
    """Show a clean image, the direction of its perturbation, and the adversarial image."""
    kinds = (("clean", "gray", 0), ("direction", "RdBu_r", -1), ("adversarial", "gray", 0))
    for axes, (kind, colours, low), caption in zip(places, kinds, captions, strict=True):
        axes.imshow(examples[kind][index, 0].numpy(), cmap=colours, vmin=low, vmax=1, interpolation="none")
        axes.set_title(caption, fontsize=fontsize)


def captions_of(
    examples: Mapping[str, Tensor], index: int, classes: Sequence[str], inches: float, fontsize: float
) -> tuple[str, str, str]:
    """Return predicted class and probability of the clean image, ε, and the same of the adversarial image."""
    predictions = []
    for kind in ("clean", "adversarial"):
        confidence, label = examples[f"{kind}_probabilities"][index].max(dim=0)
        predictions.append(f"{wrapped(literal(classes[int(label)]), inches, fontsize)}\n{confidence.item():.3f}")
    return predictions[0], f"ε = {examples['epsilon'][index].item():.3f}", predictions[1]
