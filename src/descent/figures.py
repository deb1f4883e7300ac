"""The write-up's figures: legible at half size, colour-blind-safe, the same bytes each time."""

from collections.abc import Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter, ScalarFormatter
from torch import Tensor

from descent.fashion_mnist import CLASSES, DRAWN
from descent.files import replacing

# Okabe & Ito's colours, without the yellow that is lost on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLE: dict[Any, Any] = {
    "font.size": 13,
    "axes.titlesize": 15,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "figure.dpi": 120,
}

Curve = pd.DataFrame
Metrics = Mapping[str, Any]
Pictures = Mapping[str, Tensor]


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def regression(curves: Mapping[str, Curve], metrics: Mapping[str, Metrics], rates: Mapping[str, float]) -> Figure:
    """Draw linear regression: the training loss of each run, and where its learning rate stands to the threshold."""
    figure = _figure("Linear regression by stochastic gradient descent", "diabetes data of scikit-learn", (12, 5.6))
    over_epochs, over_rates = figure.subplots(1, 2, width_ratios=(3, 2), sharey=True)
    optimum = min(metrics[name]["least_squares_loss"] for name in curves)
    threshold = min(metrics[name]["stability_threshold"] for name in curves)
    for colour, (name, curve) in zip(cycle(COLOURS), curves.items(), strict=False):
        label = f"learning rate {rates[name]:g}"
        over_epochs.plot(curve["epoch"], curve["train_loss"], color=colour, label=label)
        tail = curve["train_loss"].iloc[len(curve) // 2 :]
        spread = [[tail.mean() - tail.min()], [tail.max() - tail.mean()]]
        over_rates.errorbar(rates[name], tail.mean(), spread, fmt="o", ms=9, capsize=6, color=colour)
    for axes in (over_epochs, over_rates):
        axes.axhline(optimum, color="black", linestyle="--", linewidth=1.5, label="least-squares optimum")
    over_epochs.set(title="Training loss after each epoch", xlabel="epoch", ylabel="mean squared error", yscale="log")
    over_epochs.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    over_epochs.yaxis.set_major_formatter(ScalarFormatter())
    over_epochs.yaxis.set_minor_locator(NullLocator())
    over_rates.set(title="Second half of the epochs: mean, range", xlabel="learning rate", xscale="log")
    over_rates.axvline(threshold, color=COLOURS[3], linewidth=2)
    over_rates.set_xlim(min(rates.values()) / 3, threshold * 8)
    over_rates.axvspan(threshold, threshold * 8, color=COLOURS[3], alpha=0.15, linewidth=0)
    over_rates.annotate(
        f" diverges\n beyond\n 2/λmax =\n {threshold:.4f}",
        (threshold, 0.97),
        xycoords=("data", "axes fraction"),
        va="top",
        fontsize=12,
    )
    figure.legend(*over_epochs.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def training(title: str, curves: Mapping[str, Curve], metrics: Mapping[str, Metrics], source: str) -> Figure:
    """Draw classifiers: loss and accuracy, on training and test images, with the onset of overfitting marked."""
    figure = _figure(title, _images(source), (12, 6))
    loss, accuracy = figure.subplots(1, 2)
    for colour, (name, curve) in zip(cycle(COLOURS), curves.items(), strict=False):
        for axes, measure in ((loss, "loss"), (accuracy, "accuracy")):
            axes.plot(curve["epoch"], curve[f"test_{measure}"], color=colour, label=f"{name}, test")
            axes.plot(
                curve["epoch"], curve[f"train_{measure}"], "--", color=colour, linewidth=1.8, label=f"{name}, training"
            )
        if (onset := metrics[name]["overfitting_epoch"]) is not None:
            for axes in (loss, accuracy):
                axes.axvline(onset, color=colour, linestyle=":", linewidth=1.8)
            words = f" {name} overfits\n from epoch {onset}"
            loss.annotate(words, (onset, 0.99), xycoords=("data", "axes fraction"), va="top", color=colour)
    loss.set(title="Loss", xlabel="epoch", ylabel="cross-entropy (nats)")
    loss.set_ylim(bottom=0)
    accuracy.set(title="Accuracy", xlabel="epoch", ylabel="share classified correctly")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def robustness(curves: Mapping[str, Curve], source: str) -> Figure:
    """Draw accuracy against ε, one line for each attacked classifier."""
    figure = _figure("Accuracy on test images moved by the fast gradient sign method", _images(source), (10, 6))
    axes = figure.subplots()
    for colour, marker, (name, curve) in zip(cycle(COLOURS), cycle("os^Dv*P"), curves.items(), strict=False):
        axes.plot(curve["epsilon"], curve["accuracy"], marker=marker, ms=7, color=colour, label=name)
    axes.axhline(1 / len(CLASSES), color="black", linestyle=":", linewidth=1.5)
    axes.annotate("guessing", (1, 1 / len(CLASSES)), (-2, 4), ("axes fraction", "data"), "offset points", ha="right")
    axes.set(xlabel="ε, largest change of a pixel (white is 1)", ylabel="share classified correctly", ylim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend()
    return figure


def gallery(name: str, pictures: Pictures, source: str) -> Figure:
    """Draw the pictures named `gallery.…`, one image of each class: clean, signed perturbation, adversarial."""
    pictures = _named(pictures, "gallery")
    shown = len(pictures["label"])
    title = f"{name}: the image of each class whose smallest flipping ε is the median"
    figure = _figure(title, _images(source), (15, 6.6))
    grid = figure.subplots(3, max(shown, 1), squeeze=False)
    for column in range(shown):
        _triptych(grid[:, column], pictures, column, fontsize=11)
    if not shown:
        grid[1, 0].set_title("no image is flipped")
    for row, words in zip(grid, ("clean", "direction: +ε red,\n−ε blue, 0 white", "adversarial"), strict=True):
        row[0].set_ylabel(words, fontsize=12)
    for axes in grid.flat:
        _bare(axes)
    return figure


def bag(pictures: Mapping[str, Pictures], source: str) -> Figure:
    """Draw the pictures named `bag.…` of each classifier: a bag that is taken for a T-shirt with low confidence."""
    bags = {name: _named(of_run, "bag") for name, of_run in pictures.items()}
    found = {name: picture for name, picture in bags.items() if len(picture["label"])}
    figure = _figure("A bag becomes a T-shirt/top", _images(source), (11, 0.9 + 3.3 * max(len(found), 1)))
    grid = figure.subplots(max(len(found), 1), 3, squeeze=False)
    for row, (name, picture) in zip(grid, found.items(), strict=False):
        _triptych(row, picture, 0, fontsize=14)
        row[0].set_ylabel(name, fontsize=14)
    if not found:
        grid[0, 1].set_title("no bag does so")
    for axes in grid.flat:
        _bare(axes)
    return figure


def _figure(title: str, data: str, size: tuple[float, float]) -> Figure:
    """Start a figure that says what it shows and of which data."""
    for setting, value in STYLE.items():
        mpl.rcParams[setting] = value
    figure = Figure(figsize=size, layout="constrained")
    stand_in = data == _images(DRAWN)
    figure.suptitle(
        f"{title}\ndata: {data}",
        color="#A00000" if stand_in else "black",
        fontweight="bold" if stand_in else "normal",
        fontsize=16,
    )
    return figure


def _images(source: str) -> str:
    return "DRAWN STAND-IN, NOT FASHION-MNIST" if source == DRAWN else "Fashion-MNIST"


def _named(pictures: Pictures, group: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{group}."): tensor for name, tensor in pictures.items() if name.startswith(f"{group}.")}


def _triptych(places: Iterable[Axes], pictures: Pictures, index: int, fontsize: float) -> None:
    """Show a clean image, what is added to it, and the sum, with the class given and its probability."""
    clean, direction, adversarial = (pictures[name][index, 0] for name in ("clean", "direction", "adversarial"))
    epsilon = pictures["epsilon"][index].item()
    captions = (
        _verdict(pictures["clean_probabilities"][index]),
        f"ε = {epsilon:.3f}",
        _verdict(pictures["adversarial_probabilities"][index]),
    )
    for axes, image, caption in zip(places, (clean, direction, adversarial), captions, strict=True):
        low = -1 if image is direction else 0
        axes.imshow(image.numpy(), cmap="RdBu_r" if low else "gray", vmin=low, vmax=1)
        axes.set_title(caption, fontsize=fontsize)


def _verdict(probabilities: Float[Tensor, " classes"]) -> str:
    confidence, label = probabilities.max(dim=0)
    return f"{CLASSES[int(label)]}\n{confidence.item():.3f}"


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
