"""The figures of what was trained and attacked."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, product
from math import ceil
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from descent.attacks.gradient_sign import moved
from descent.io.run_schema import Run
from descent.report.drawing import (
    DIABETES,
    bare,
    fitted,
    guessing,
    images,
    legend,
    logarithmic,
    panel,
    percent,
    plain,
    start,
    wide,
)
from descent.report.palette import COLOURS, INK, PAPER, PURPLE

Curve = pd.DataFrame
Metrics = Mapping[str, Any]
Pictures = Mapping[str, Tensor]
# What −1, 0 and +1 look like.
SIGNS = torch.tensor([[33, 102, 172], [255, 255, 255], [178, 24, 43]], dtype=torch.uint8)
# A table of more rows has no room for its numbers.
MOST_NUMBERS = 20
TICKS = 11


def linear_regressions(runs: Mapping[str, Run]) -> list[str]:
    """Name the linear regressions among the runs: the only ones with an optimum and a stability threshold."""
    return [name for name, run in runs.items() if (run.data, run.model.kind) == ("diabetes", "linear")]


def regressions(
    runs: Mapping[str, Run], curves: Mapping[str, Curve], metrics: Mapping[str, Metrics]
) -> dict[str, Figure]:
    """Draw the figures of the linear regressions by name; none without a linear regression."""
    chosen = {name: curves[name] for name in linear_regressions(runs)}
    rates = {name: runs[name].learning_rate for name in chosen}
    figures = {"regression-loss": regression, "regression-hovering": hovering}
    return {name: draw(chosen, metrics, rates) for name, draw in figures.items()} if chosen else {}


def regression(curves: Mapping[str, Curve], metrics: Mapping[str, Metrics], rates: Mapping[str, float]) -> Figure:
    """Draw the training loss of each linear regression over its epochs."""
    figure, axes = panel("Linear regression: training loss", DIABETES)
    for colour, (name, curve) in zip(cycle(COLOURS), curves.items(), strict=False):
        axes.plot(
            curve["epoch"],
            curve["train_loss"],
            color=colour,
            label=f"{name}, learning rate {rates[name]:g}{_end(metrics[name])}",
        )
    _optimum(axes, metrics, curves)
    axes.set(xlabel="epoch", ylabel="mean squared error")
    logarithmic(axes, 1, 2, 3, 5)
    legend(figure, axes)
    return figure


def hovering(curves: Mapping[str, Curve], metrics: Mapping[str, Metrics], rates: Mapping[str, float]) -> Figure:
    """Draw where each linear regression hovers, and where its learning rate stands to its threshold."""
    figure, axes = panel("Linear regression: loss in the second half of the epochs", DIABETES)
    thresholds = {name: metrics[name]["stability_threshold"] for name in curves}
    one = len(set(thresholds.values())) == 1
    for colour, (name, curve) in zip(cycle(COLOURS), curves.items(), strict=False):
        tail = curve["train_loss"].iloc[len(curve) // 2 :]
        spread = [[tail.mean() - tail.min()], [tail.max() - tail.mean()]]
        words = name if one else f"{name}, 2/λmax = {thresholds[name]:.4f}"
        label = f"{words}{_end(metrics[name])}"
        axes.errorbar(rates[name], tail.mean(), spread, fmt="o", ms=9, capsize=6, color=colour, label=label)
        axes.axvline(thresholds[name], color=PURPLE if one else colour, linewidth=2, linestyle="-" if one else ":")
    _optimum(axes, metrics, curves)
    axes.set(xlabel="learning rate", ylabel="mean squared error", xscale="log")
    logarithmic(axes, 1, 2, 3, 4, 5, 6)
    last = 8 * max(thresholds.values())
    axes.set_xlim(min(*rates.values(), *thresholds.values()) / 3, max(last, *(2 * rate for rate in rates.values())))
    if one:
        threshold = last / 8
        axes.axvspan(threshold, axes.get_xlim()[1], color=PURPLE, alpha=0.15, linewidth=0)
        words = f" diverges\n beyond\n 2/λmax =\n {threshold:.4f}"
        axes.annotate(words, (threshold, 0.97), xycoords=("data", "axes fraction"), va="top", fontsize=11.5)
    legend(figure, axes)
    return figure


def training(
    title: str, measure: str, curves: Mapping[str, Curve], metrics: Mapping[str, Metrics], source: str
) -> Figure:
    """Draw `loss` or `accuracy` of classifiers, on training and test images, and where overfitting sets in."""
    figure, axes = panel(f"{title}: {measure}", images(source))
    for colour, (name, curve) in zip(cycle(COLOURS), curves.items(), strict=False):
        axes.plot(curve["epoch"], curve[f"test_{measure}"], color=colour, label=f"{name}, test{_end(metrics[name])}")
        axes.plot(
            curve["epoch"], curve[f"train_{measure}"], "--", color=colour, linewidth=1.7, label=f"{name}, training"
        )
        if (onset := metrics[name]["overfitting_epoch"]) is not None:
            words = f"{name} overfits from epoch {onset}"
            axes.axvline(onset, color=colour, linestyle=":", linewidth=1.8, label=words)
    axes.set_xlabel("epoch")
    if measure == "loss":
        axes.set_ylabel("cross-entropy (nats)")
        axes.set_ylim(bottom=0)
    else:
        axes.set_ylabel("share classified correctly")
        percent(axes)
    legend(figure, axes)
    return figure


def robustness(title: str, curves: Mapping[str, Curve], classes: int, source: str) -> Figure:
    """Draw accuracy against ε, one line for each attacked classifier, with its interval as a band."""
    figure, axes = panel(title, images(source))
    for colour, marker, (name, curve) in zip(cycle(COLOURS), cycle("os^Dv*P"), curves.items(), strict=False):
        axes.plot(curve["epsilon"], curve["accuracy"], marker=marker, ms=7, color=colour, label=name)
        axes.fill_between(curve["epsilon"], curve["low"], curve["high"], color=colour, alpha=0.2, linewidth=0)
    guessing(axes, classes)
    axes.set(xlabel="ε, largest change of a pixel (white is 1)", ylabel="share classified correctly", ylim=(0, 1))
    percent(axes)
    legend(figure, axes)
    return figure


def overlay(title: str, columns: Sequence[str], curves: Sequence[tuple[str, Curve]], data: str) -> Figure:
    """Lay the same columns of several revisions over each other: a colour a revision, training dashed."""
    figure, axes = panel(title, data)
    for colour, (name, curve) in zip(cycle(COLOURS), curves, strict=False):
        x = "epsilon" if "epsilon" in curve else "epoch"
        for column in columns:
            if column in curve:
                part = {"train": ", training", "test": ", test"}.get(column.partition("_")[0], "")
                style = "--" if part == ", training" else "-"
                axes.plot(curve[x], curve[column], style, color=colour, label=plain(f"{name}{part}"))
    axes.set(xlabel={"epsilon": "ε", "epoch": "epoch"}[x], ylabel=columns[0].rpartition("_")[2])
    legend(figure, axes)
    return figure


def flips(quantiles: Mapping[str, Curve], classes: Sequence[str], source: str) -> Figure:
    """Draw, class by class, the smallest ε that flips: median, and the ranges of half and nine tenths of the images."""
    title, names = "Smallest ε that flips an image: median, half, nine tenths", [plain(name) for name in classes]
    row = max(0.5 if len(classes) <= MOST_NUMBERS else 0.36, 0.09 * len(quantiles))
    figure = start(title, images(source), (5.2 + max(1, wide(names, 13)), 2.2 + row * len(classes)))
    axes = figure.subplots()
    for index, (colour, (name, table)) in enumerate(zip(cycle(COLOURS), quantiles.items(), strict=False)):
        shift = 0.8 * ((index + 0.5) / len(quantiles) - 0.5)
        grid = table.pivot_table(index="series", columns="quantile", values="epsilon").reindex(list(classes))
        for low, high, width in ((0.05, 0.95, 1.5), (0.25, 0.75, 5)):
            if {low, high} <= set(grid.columns):
                for place, label in enumerate(classes):
                    axes.plot(grid.loc[label, [low, high]], [place + shift] * 2, color=colour, linewidth=width)
        if 0.5 in grid.columns:
            places = [place + shift for place in range(len(classes))]
            axes.plot(grid[0.5], places, "o", color=colour, ms=6, markeredgecolor=PAPER, label=name)
    axes.set(xlabel="ε, largest change of a pixel (white is 1)", xscale="log")
    axes.set_yticks(range(len(classes)), names)
    axes.set_ylim(-0.6, len(classes) - 0.4)
    axes.invert_yaxis()
    legend(figure, axes)
    return figure


def transfer(accuracies: Curve, epsilon: float, source: str) -> Figure:
    """Draw the accuracy of each classifier on the images crafted on each, as a table with shades."""
    names = list(dict.fromkeys(accuracies["source"]))
    grid = accuracies.pivot_table(index="source", columns="target", values="accuracy").reindex(names)[names]
    figure, axes = _table(f"Accuracy on images moved by ε = {epsilon:g}", grid, images(source), "{:.1%}", 0.85, 12)
    axes.set(xlabel="tried on", ylabel="crafted on")
    return figure


def confusion(name: str, counts: Curve, epsilon: float, source: str) -> Figure:
    """Draw which share of the images of each class is taken for each class when they are moved, as a table."""
    classes = list(dict.fromkeys(counts["actual"]))
    grid = counts.pivot_table(index="actual", columns="predicted", values="images").reindex(classes)[classes]
    shares = grid.div(grid.sum(axis=1).clip(lower=1), axis="index")  # of its row: classes differ in size
    title = f"{name}: moved by ε = {epsilon:g}, share of each true class"
    figure, axes = _table(title, shares, images(source), "{:.0%}", 0.45, 8.5)
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def _table(title: str, grid: Curve, data: str, words: str, cell: float, fontsize: float) -> tuple[Figure, Axes]:
    """Shade a table of shares; write them in where there is room, each cell so many inches wide, or add a scale."""
    shares, room = grid.to_numpy(), len(grid) <= MOST_NUMBERS
    rows, columns = ([fitted(plain(name), 3.2, TICKS) for name in names] for names in (grid.index, grid.columns))
    label = max(1, wide((line for name in rows for line in name.splitlines()), TICKS))
    steep = label > 1.5 or not room
    side = (cell if room else 0.23) * len(grid)
    width = max(6.2, side + label + (0.7 if room else 1.7))
    figure = start(title, data, (width, max(4.8, side + (label if steep else 0.6 * label) + 1.2)))
    axes = figure.subplots()
    shown = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1, interpolation="none")
    for row, column in product(*map(range, shares.shape)) if room else ():
        colour = "#fefefe" if shares[row, column] < 0.6 else "#101014"
        text = words.format(shares[row, column])
        axes.annotate(text, (column, row), ha="center", va="center", color=colour, fontsize=fontsize)
    if not room:
        figure.colorbar(shown, ax=axes, shrink=0.5, format=PercentFormatter(1))
    turned = {"rotation": 90} if steep else {"rotation": 35, "ha": "right"}
    axes.set_xticks(range(len(columns)), columns, fontsize=TICKS, **turned)
    axes.set_yticks(range(len(rows)), rows, fontsize=TICKS)
    axes.grid(visible=False)
    return figure, axes


def gallery(name: str, pictures: Pictures, classes: Sequence[str], source: str) -> Figure:
    """Draw the pictures named `gallery.…`, one image of each class: clean, signed perturbation, adversarial."""
    pictures = _named(pictures, "gallery")
    shown = len(pictures["label"])
    captions = [_captions(pictures, index, classes, 1.6, 10.5) for index in range(shown)]
    column = max(1.2, 0.2 + wide((line for each in captions for words in each for line in words.splitlines()), 10.5))
    across = min(max(shown, 1), int(12 / column))
    bands = max(1, ceil(shown / across))
    title = f"{name}: the image of each class whose smallest flipping ε is the median"
    figure = start(title, images(source), (max(6.2, 1 + across * column), 0.9 + 5.1 * bands))
    grid = figure.subplots(3 * bands, across, squeeze=False)
    for index in range(shown):
        band, place = divmod(index, across)
        _triptych(grid[3 * band : 3 * band + 3, place], pictures, index, captions[index], fontsize=10.5)
    if not shown:
        grid[1, 0].set_title("no image is flipped")
    for row, words in zip(grid, cycle(("clean", "direction: +ε red,\n−ε blue, 0 white", "adversarial")), strict=False):
        row[0].set_ylabel(words, fontsize=11)
    for axes in grid.flat:
        bare(axes)
    return figure


def bag(title: str, group: str, pictures: Mapping[str, Pictures], classes: Sequence[str], source: str) -> Figure:
    """Draw the pictures named `GROUP.…` of each classifier: a bag, what is added to it, and what it is taken for."""
    bags = {name: _named(of_run, group) for name, of_run in pictures.items()}
    found = {name: picture for name, picture in bags.items() if len(picture["label"])}
    figure = start(title, images(source), (6.2, 0.9 + 2.4 * max(len(found), 1)))
    grid = figure.subplots(max(len(found), 1), 3, squeeze=False)
    for row, (name, picture) in zip(grid, found.items(), strict=False):
        _triptych(row, picture, 0, _captions(picture, 0, classes, 1.8, 12), fontsize=12)
        row[0].set_ylabel(fitted(name, 2, 12), fontsize=12)
    if not found:
        grid[0, 1].set_title("no bag does so")
    for axes in grid.flat:
        bare(axes)
    return figure


def sheet(pictures: Pictures) -> tuple[UInt8[Tensor, "height width"], UInt8[Tensor, "height size 3"]]:
    """Lay out the pictures named `slider.…`, images from top to bottom.

    Returns:
        The images moved by each ε, from left to right; and the directions in which they move, +1 red and −1 blue.
    """
    named = _named(pictures, "slider")
    clean, direction = (named[name].squeeze(1) for name in ("clean", "direction"))
    frames = [moved(clean, direction, epsilon) for epsilon in named["epsilon"].tolist()]
    return _bytes(torch.cat(frames, dim=2).flatten(0, 1)), SIGNS[direction.flatten(0, 1).long() + 1]


def _bytes(pixels: Float[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    return (255 * pixels).round().to(torch.uint8)


def _end(metrics: Metrics) -> str:
    return f" (diverged in epoch {metrics['diverged_epoch']})" if metrics.get("diverged") else ""


def _optimum(axes: Axes, metrics: Mapping[str, Metrics], curves: Mapping[str, Curve]) -> None:
    optimum = min(metrics[name]["least_squares_loss"] for name in curves)
    axes.axhline(optimum, color=INK, linestyle="--", linewidth=1.5, label="least-squares optimum")


def _named(pictures: Pictures, group: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{group}."): tensor for name, tensor in pictures.items() if name.startswith(f"{group}.")}


def _triptych(places: Iterable[Axes], pictures: Pictures, index: int, captions: Sequence[str], fontsize: float) -> None:
    """Show a clean image, what is added to it, and the sum."""
    clean, direction, adversarial = (pictures[name][index, 0] for name in ("clean", "direction", "adversarial"))
    for axes, image, caption in zip(places, (clean, direction, adversarial), captions, strict=True):
        low = -1 if image is direction else 0
        axes.imshow(image.numpy(), cmap="RdBu_r" if low else "gray", vmin=low, vmax=1, interpolation="none")
        axes.set_title(caption, fontsize=fontsize)


def _captions(
    pictures: Pictures, index: int, classes: Sequence[str], inches: float, fontsize: float
) -> tuple[str, str, str]:
    """Name the class given to an image, and its probability, before and after it is moved by ε."""

    def verdict(kind: str) -> str:
        confidence, label = pictures[f"{kind}_probabilities"][index].max(dim=0)
        return f"{fitted(plain(classes[int(label)]), inches, fontsize)}\n{confidence.item():.3f}"

    return verdict("clean"), f"ε = {pictures['epsilon'][index].item():.3f}", verdict("adversarial")
