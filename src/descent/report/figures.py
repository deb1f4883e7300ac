"""Every figure of the write-up by name; of these, the curves over epochs and ε, and the matrices of accuracies."""

from collections.abc import Mapping, Sequence
from itertools import cycle, product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from descent.io.run_schema import Run
from descent.report.bracket_figure import brackets
from descent.report.colours import INK, PAPER, PURPLE, run_colours
from descent.report.image_figures import bag_becomes_t_shirt, gallery
from descent.report.markup import divergence
from descent.report.story_figure import stories
from descent.report.style import ACCURACY, ENTROPY, EPSILON, band, finished, literal, new_panel, text_width, wrapped
from descent.report.theory_figures import broadcasting, learning_rate, padding, sigmoid_gradient, sigmoid_graph, twins

Tables = Mapping[str, pd.DataFrame]
Metrics = Mapping[str, Mapping[str, Any]]

MODELS = {"linear": "Softmax regression", "mlp": "MLP", "convnet": "ConvNet"}
# The cells of a matrix with more rows are too small for numbers.
MOST_NUMBERS = 20
TICKS = 11


def all_figures(
    *,
    runs: Mapping[str, Run],
    epsilon: float,  # of the adversarial examples in `transfer` and `confusion`
    data: Mapping[str, Any],  # metrics/data.json
    theory: Mapping[str, Any],  # metrics/theory.json
    trained: Metrics,  # metrics/train/RUN.json, by run
    theory_tables: Tables,  # {data,plots}/theory/NAME.csv, by name
    curves: Tables,  # plots/curves/RUN.csv, by run
    fgsm: Tables,  # plots/attack/RUN.csv, by attacked run, as all below
    pgd: Tables,  # plots/pgd/RUN.csv
    certified: Tables,  # plots/certified/RUN.csv
    flips: Tables,  # plots/flips/RUN.csv
    confusion: Tables,  # data/confusion/RUN.csv
    examples: Mapping[str, Mapping[str, Tensor]],  # data/adversarial/RUN.safetensors
    transfer: pd.DataFrame,  # plots/transfer.csv
) -> dict[str, Figure]:
    """Draw every figure: theory, robustness, regressions, classifiers by kind of model, adversarial examples.

    Only linear regressions have an optimum and a stability threshold, so other models are not among the regressions.
    The bags of the write-up are drawn for Fashion-MNIST alone.
    """
    source, classes, colours = data["source"], data["class_names"], run_colours(runs)
    kinds = {name: (run.data, run.model.kind) for name, run in runs.items()}
    linear = {name: curves[name] for name in runs if kinds[name] == ("diabetes", "linear")}
    rates = {name: runs[name].learning_rate for name in linear}
    thresholds = [trained[name]["learning_rate_over_threshold"] for name in linear]
    figures = {
        "theory-twins": twins(theory_tables["parametrised-relu"]),
        "theory-padding": padding(theory_tables["padding"]),
        "theory-sigmoid-graph": sigmoid_graph(theory_tables["sigmoid-graph"], theory["sigmoid_traced_at"]),
        "theory-sigmoid-gradient": sigmoid_gradient(theory_tables["sigmoid-gradient"], theory),
        "theory-learning-rate": learning_rate(theory_tables["learning-rate"], theory, thresholds),
        "theory-broadcasting": broadcasting(theory_tables["broadcasting"], theory),
        "robustness": robust_accuracies("the fast gradient sign method", fgsm, colours, len(classes), source),
        "robustness-pgd": robust_accuracies("projected gradient descent", pgd, colours, len(classes), source),
        "brackets": brackets(certified, pgd, colours, source),
        "flips": flipping_epsilons(flips, colours, classes, source),
        "transfer": transfer_matrix(transfer, epsilon, source),
    }
    if {"Bag", "T-shirt/top"} <= set(classes):
        clipped, unclipped = "A bag becomes a T-shirt/top", "The same bags, ε in the write-up's units, unclipped"
        figures["bag"] = bag_becomes_t_shirt(clipped, "bag", examples, classes, source)
        mlps = {name: curves[name] for name in runs if kinds[name] == ("images", "mlp")}
        if linear and mlps:
            figures = {"stories": stories(linear, mlps, trained, examples, colours, classes, source)} | figures
        figures["write-up"] = bag_becomes_t_shirt(unclipped, "write_up", examples, classes, source)
    if linear:
        figures["regression-loss"] = regression_losses(linear, trained, rates, colours)
        figures["regression-hovering"] = regression_hovering(linear, trained, rates, colours)
    for kind in dict.fromkeys(kind for of, kind in kinds.values() if of == "images"):
        of_kind = {name: curves[name] for name in runs if kinds[name] == ("images", kind)}
        for measure in ("loss", "accuracy"):
            drawn = training_curves(MODELS.get(kind, kind), measure, of_kind, trained, colours, source)
            figures[f"{kind}-{measure}"] = drawn
    for name, images in examples.items():
        figures[f"confusion-{name}"] = confusion_matrix(name, confusion[name], epsilon, source)
        figures[f"adversarial-{name}"] = gallery(name, images, classes, source)
    return figures


def regression_losses(
    curves: Tables, metrics: Metrics, rates: Mapping[str, float], colours: Mapping[str, str]
) -> Figure:
    """Draw the training loss of each linear regression over its epochs."""
    axes = new_panel("Linear regression: training loss", "diabetes")
    for name, curve in curves.items():
        label = f"{name}, learning rate {rates[name]:g}{divergence(metrics[name])}"
        axes.plot(curve["epoch"], curve["train_loss"], color=colours[name], label=label)
    _optimum(axes, metrics, curves)
    return finished(axes, xlabel="epoch", ylabel="mean squared error", log=(1, 2, 3, 5))


def regression_hovering(
    curves: Tables, metrics: Metrics, rates: Mapping[str, float], colours: Mapping[str, str]
) -> Figure:
    """Draw mean and range of each linear regression's late losses against its learning rate, with the thresholds."""
    axes = new_panel("Linear regression: loss in the second half of the epochs", "diabetes")
    thresholds = {name: metrics[name]["stability_threshold"] for name in curves}
    one = len(set(thresholds.values())) == 1
    for name, curve in curves.items():
        colour = colours[name]
        tail = curve["train_loss"].iloc[len(curve) // 2 :]
        spread = [[tail.mean() - tail.min()], [tail.max() - tail.mean()]]
        label = f"{name}{'' if one else f', 2/λmax = {thresholds[name]:.4f}'}{divergence(metrics[name])}"
        axes.errorbar(rates[name], tail.mean(), spread, fmt="o", ms=9, capsize=6, color=colour, label=label)
        axes.axvline(thresholds[name], color=PURPLE if one else colour, linewidth=2, linestyle="-" if one else ":")
    _optimum(axes, metrics, curves)
    axes.set_xscale("log")
    last = 8 * max(thresholds.values())
    axes.set_xlim(min(*rates.values(), *thresholds.values()) / 3, max(last, *(2 * rate for rate in rates.values())))
    if one:
        threshold = last / 8
        axes.axvspan(threshold, axes.get_xlim()[1], color=PURPLE, alpha=0.15, linewidth=0)
        words = f" diverges\n beyond\n 2/λmax =\n {threshold:.4f}"
        axes.annotate(words, (threshold, 0.97), xycoords=("data", "axes fraction"), va="top", fontsize=11.5)
    return finished(axes, xlabel="learning rate", ylabel="mean squared error", log=(1, 2, 3, 4, 5, 6))


def training_curves(
    title: str, measure: str, curves: Tables, metrics: Metrics, colours: Mapping[str, str], source: str
) -> Figure:
    """Draw `loss` or `accuracy` of classifiers on training and test set, and the epoch from which each overfits."""
    onsets = {name: epoch for name in curves if (epoch := metrics[name]["overfitting_epoch"]) is not None}
    only = next((f"{name} overfits from epoch {onset}" for name, onset in onsets.items()), "no run overfits")
    found = only if len(onsets) < 2 else f"{len(onsets)} of {len(curves)} runs overfit"
    axes = new_panel(f"{title} {measure}" + (f": {found}" if measure == "loss" else ""), source)
    for name, curve in curves.items():
        colour, test = colours[name], f"{name}, test{divergence(metrics[name])}"
        axes.plot(curve["epoch"], curve[f"test_{measure}"], color=colour, label=test)
        training = f"{name}, training"
        axes.plot(curve["epoch"], curve[f"train_{measure}"], "--", color=colour, linewidth=1.7, label=training)
        if name in onsets:
            axes.axvline(
                onsets[name],
                color=colour,
                linestyle=":",
                linewidth=1.8,
                label=f"{name} overfits from epoch {onsets[name]}",
            )
    if measure == "loss":
        return finished(axes, xlabel="epoch", ylabel=ENTROPY, ylim=(0, None))
    return finished(axes, xlabel="epoch", ylabel=ACCURACY)


def robust_accuracies(attack: str, curves: Tables, colours: Mapping[str, str], classes: int, source: str) -> Figure:
    """Draw robust accuracy against ε, a line and a band of 95 % confidence for each attacked classifier."""
    axes = new_panel(f"Accuracy under {attack}", source)
    for marker, (name, curve) in zip(cycle("os^Dv*P"), curves.items(), strict=False):
        columns = (curve[column] for column in ("epsilon", "accuracy", "low", "high"))
        band(axes, *columns, color=colours[name], marker=marker, ms=7, label=name)
    return finished(axes, chance=1 / classes, xlabel=EPSILON, ylabel=ACCURACY, ylim=(0, 1))


def flipping_epsilons(quantiles: Tables, colours: Mapping[str, str], classes: Sequence[str], source: str) -> Figure:
    """Draw the smallest ε that flips an image, by class: median, and the ranges of 50 % and 90 % of the images."""
    title, names = (
        "Smallest ε that changes the predicted class: median, 50 % and 90 % ranges",
        [literal(name) for name in classes],
    )
    row = max(0.5 if len(classes) <= MOST_NUMBERS else 0.36, 0.09 * len(quantiles))
    size = (5.2 + max(1, text_width(names, 13)), 2.2 + row * len(classes))
    axes = new_panel(title, source, size)
    for index, (name, table) in enumerate(quantiles.items()):
        grid = table.pivot_table(index="series", columns="quantile", values="epsilon").reindex(list(classes))
        places = np.arange(len(classes)) + 0.8 * ((index + 0.5) / len(quantiles) - 0.5)
        for low, high, width in ((0.05, 0.95, 1.5), (0.25, 0.75, 5)):
            if {low, high} <= set(grid.columns):
                axes.plot(grid[[low, high]].T, [places] * 2, color=colours[name], linewidth=width)
        if 0.5 in grid.columns:
            axes.plot(grid[0.5], places, "o", color=colours[name], ms=6, markeredgecolor=PAPER, label=name)
    axes.set_yticks(range(len(classes)), names)
    axes.set_ylim(-0.6, len(classes) - 0.4)
    axes.invert_yaxis()
    return finished(axes, xlabel=EPSILON, xscale="log")


def transfer_matrix(accuracies: pd.DataFrame, epsilon: float, source: str) -> Figure:
    """Draw the accuracy of each classifier on the adversarial examples crafted on each."""
    names = list(accuracies["source"].unique())
    grid = accuracies.pivot(index="source", columns="target", values="accuracy").loc[names, names]
    title, labels = f"Accuracy on transferred adversarial examples, ε = {epsilon:g}", ("target", "source")
    return _matrix(title, grid, labels, source, "{:.1%}", cell=0.85, fontsize=12)


def confusion_matrix(name: str, counts: pd.DataFrame, epsilon: float, source: str) -> Figure:
    """Draw the confusion matrix on adversarial examples, each row as shares of its true class."""
    classes = list(counts["actual"].unique())
    grid = counts.pivot(index="actual", columns="predicted", values="images").loc[classes, classes]
    shares = grid.div(grid.sum(axis=1).clip(lower=1), axis="index")
    title = f"{name} under FGSM, ε = {epsilon:g}: shares of each true class"
    return _matrix(title, shares, ("predicted class", "true class"), source, "{:.0%}", cell=0.45, fontsize=8.5)


def _matrix(
    title: str, grid: pd.DataFrame, labels: tuple[str, str], source: str, number: str, cell: float, fontsize: float
) -> Figure:
    """Draw shares as a heat map: with numbers in cells of `cell` inches, or, if there are many, with a colour bar."""
    shares, room = grid.to_numpy(), len(grid) <= MOST_NUMBERS
    names = [wrapped(literal(str(name)), 3.2, TICKS) for name in grid]
    label = max(1, text_width("\n".join(names).splitlines(), TICKS))
    steep = label > 1.5 or not room
    side = (cell if room else 0.23) * len(grid)
    width = max(6.2, side + label + (0.7 if room else 1.7))
    axes = new_panel(title, source, (width, max(4.8, side + (label if steep else 0.6 * label) + 1.2)))
    shown = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1, interpolation="none")
    for row, column in product(*map(range, shares.shape)) if room else ():
        colour = "#fefefe" if shares[row, column] < 0.6 else "#101014"
        text = number.format(shares[row, column])
        axes.annotate(text, (column, row), ha="center", va="center", color=colour, fontsize=fontsize)
    if not room:
        axes.figure.colorbar(shown, ax=axes, shrink=0.5, format=PercentFormatter(1))
    turned = {"rotation": 90} if steep else {"rotation": 35, "ha": "right"}
    axes.set_xticks(range(len(names)), names, fontsize=TICKS, **turned)
    axes.set_yticks(range(len(names)), names, fontsize=TICKS)
    axes.grid(visible=False)
    return finished(axes, xlabel=labels[0], ylabel=labels[1])


def _optimum(axes: Axes, metrics: Metrics, curves: Tables) -> None:
    optimum = min(metrics[name]["least_squares_loss"] for name in curves)
    axes.axhline(optimum, color=INK, linestyle="--", linewidth=1.5, label="least-squares optimum")
