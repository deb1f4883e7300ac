"""The figures of the studies: curves as bands, and what was measured against what was varied."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from descent.report.drawing import DIABETES, fitted, guessing, images, legend, panel, percent
from descent.report.palette import COLOURS, INK, PURPLE

Table = pd.DataFrame
MOST_BANDS = 4
# An accuracy that is lower than the first by more, or a loss that is higher by three times as much, is cut off: next to
# it nobody would see what differs by a little.
FARTHEST = 0.15
# More labels than these are set aslant.
MOST_UPRIGHT = 7
# What lies above is on its way to infinity.
LARGEST_EXCESS = 1e3
SMALLEST_EXCESS = 1e-6
PARAMETERS = {"learning_rate": "learning rate", "weight_decay": "weight decay λ", "batch_size": "batch size"}


def bands(curves: Table, parameters: Sequence[str], source: str) -> Figure:
    """Draw the test loss over the epochs, mean and range over the seeds, for some values of the first series.

    Args:
        curves: The tidy table: `parameters`, `seed`, `epoch`, `test_loss`.
        parameters: What was varied; the last is drawn in colours, of the others the first combination.
        source: Of the images.
    """
    (label, part), *_ = series(curves, parameters)
    title = f"Test loss, mean and range of {part['seed'].nunique()} seeds"
    figure, axes = panel(f"{title}, {label}" if label else title, images(source))
    ended = part.groupby([parameters[-1], "seed"], sort=False)["test_loss"].last()
    for colour, value in _some(ended.groupby(level=0, sort=False).mean()):
        losses = part[part[parameters[-1]] == value].groupby("epoch")["test_loss"]
        mean, low, high = losses.mean(), losses.min(), losses.max()
        axes.plot(mean.index, mean, color=colour, label=_setting(parameters[-1], value))
        axes.fill_between(mean.index, low, high, color=colour, alpha=0.25, linewidth=0)
    axes.set(xlabel="epoch", ylabel="cross-entropy (nats)")
    axes.set_ylim(bottom=0)
    legend(figure, axes)
    return figure


def against(summary: Table, parameters: Sequence[str], measures: Sequence[str], source: str) -> Figure:
    """Draw measures of the end and of the best epoch against the last parameter, with 95 % intervals of the mean.

    Args:
        summary: A row for each setting, with `…_mean`, `…_low` and `…_high` of each measure.
        parameters: As for `bands`; every combination of the others is a colour.
        measures: All losses, or all accuracies.
        source: Of the images.
    """
    accuracy = measures[0].endswith("accuracy")
    what = "Test accuracy" if accuracy else "Test loss"
    figure, axes = panel(f"{what}, mean and its 95 % interval", images(source))
    for colour, (label, part) in zip(cycle(COLOURS), series(summary, parameters), strict=False):
        for number, (style, marker, measure) in enumerate(zip(("-", ":"), ("o", "s"), measures, strict=False)):
            mean, low, high = _interval(part, measure)
            places = np.arange(len(part))
            words = ", ".join(filter(None, [measure.partition("_")[0], label]))
            if parameters[-1] == "run":  # no order, so nothing lies between two
                spread, beside = (mean - low, high - mean), places + 0.2 * (number - 0.5)
                axes.errorbar(beside, mean, spread, fmt=marker, ms=8, capsize=5, color=COLOURS[number], label=words)
            else:
                axes.plot(places, mean, style, marker=marker, ms=6, color=colour, label=words)
                axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
    _values(axes, summary, parameters[-1])
    first = summary[f"{measures[0]}_mean"].iloc[0]
    if accuracy:
        axes.set_ylabel("share classified correctly")
        percent(axes)
        axes.set_ylim(bottom=max(axes.get_ylim()[0], first - FARTHEST))
    else:
        axes.set_ylabel("cross-entropy (nats)")
        axes.set_ylim(top=min(axes.get_ylim()[1], first + FARTHEST * 3))
    legend(figure, axes)
    return figure


def robustness(summary: Table, parameters: Sequence[str], classes: int, source: str) -> Figure:
    """Draw the accuracy under FGSM against ε, with 95 % intervals of the mean, for some values of the first series.

    Args:
        summary: A row for each setting, with `accuracy_at_ε_mean`, `…_low` and `…_high` for each ε.
        parameters: As for `bands`.
        classes: How many there are.
        source: Of the images.
    """
    (label, part), *_ = series(summary, parameters)
    title = "Accuracy under FGSM, mean and its 95 % interval"
    figure, axes = panel(f"{title}, {label}" if label else title, images(source))
    places = epsilons(summary)
    ended = part.set_index(parameters[-1])["final_test_loss_mean"]
    for (colour, value), marker in zip(_some(ended), cycle("os^D"), strict=False):
        row = part[part[parameters[-1]] == value]
        ends = [[end.iloc[0] for end in _interval(row, f"accuracy_at_{name}")] for name in places]
        mean, low, high = zip(*ends, strict=True)
        axes.plot(list(places.values()), mean, marker=marker, ms=6, color=colour, label=_setting(parameters[-1], value))
        axes.fill_between(list(places.values()), low, high, color=colour, alpha=0.25, linewidth=0)
    guessing(axes, classes)
    axes.set(xlabel="ε, largest change of a pixel (white is 1)", ylabel="share classified correctly", ylim=(0, 1))
    percent(axes)
    legend(figure, axes)
    return figure


def epsilons(summary: Table) -> dict[str, float]:
    """Return at which ε the trials were attacked, by its name in the columns."""
    names = [name for name in summary if str(name).startswith("accuracy_at_") and str(name).endswith("_mean")]
    return {name: float(name) for name in (str(name)[len("accuracy_at_") : -len("_mean")] for name in names)}


def onsets(trials: Table, parameters: Sequence[str], source: str) -> Figure:
    """Draw the epoch from which each trial overfits, a dot each, and how many do not.

    Args:
        trials: A row for each trial, with `overfitting_epoch`, empty where none is seen.
        parameters: As for `against`.
        source: Of the images.
    """
    figure, axes = panel("Epoch from which a trial overfits; above, how many do not", images(source))
    latest = trials["overfitting_epoch"].max()
    top = 1.2 * (trials["epochs"].max() if pd.isna(latest) else latest)
    groups = list(series(trials, parameters))
    for index, (colour, (label, part)) in enumerate(zip(cycle(COLOURS), groups, strict=False)):
        shift = 0.5 * ((index + 0.5) / len(groups) - 0.5)
        for place, (_, of_value) in enumerate(part.groupby(parameters[-1], sort=False)):
            found = of_value["overfitting_epoch"].dropna()
            words = None if place else label or "a trial"
            axes.plot([place + shift] * len(found), found, "o", ms=7, alpha=0.7, color=colour, label=words)
            if without := len(of_value) - len(found):
                height = (1.08 + 0.09 * index) * top
                axes.annotate(str(without), (place, height), ha="center", fontsize=11, color=colour)
    axes.axhline(1.04 * top, color=INK, linewidth=1, linestyle=":")
    axes.set(
        ylabel="epoch",
        ylim=(0, (1.13 + 0.09 * len(groups)) * top),
        xlim=(-0.6, trials[parameters[-1]].nunique() - 0.4),
    )
    _values(axes, trials, parameters[-1])
    legend(figure, axes)
    return figure


def threshold(trials: Table, parameters: Sequence[str]) -> Figure:
    """Draw where linear regressions hover above the optimum, against their learning rate and stability thresholds.

    Args:
        trials: A row for each trial, with `hovering_excess_over_least_squares`, `diverged`, `stability_threshold`; of
            linear regressions alone.
        parameters: The last is the learning rate.
    """
    figure, axes = panel("Linear regression: above the optimum, median and range", DIABETES)
    name, one = parameters[-1], trials["stability_threshold"].nunique() == 1
    for colour, (label, part) in zip(cycle(COLOURS), series(trials, parameters), strict=False):
        ended = part[~part["diverged"]].groupby(name)["hovering_excess_over_least_squares"]
        words = ", ".join(filter(None, [f"{part['seed'].nunique()} seeds", label]))
        axes.plot(ended.median().index, ended.median(), marker="o", ms=4, color=colour, label=words)
        axes.fill_between(ended.min().index, ended.min(), ended.max(), color=colour, alpha=0.25, linewidth=0)
        if not one:
            limit = part["stability_threshold"].iloc[0]
            axes.axvline(limit, color=colour, linewidth=2, linestyle="--", label=f"{label}: 2/λmax = {limit:.4f}")
    if one:
        limit = trials["stability_threshold"].iloc[0]
        axes.axvline(limit, color=PURPLE, linewidth=2, label=f"2/λmax = {limit:.4f}")
    axes.axhline(1, color=INK, linestyle=":", linewidth=1.5, label="1: twice the optimum")
    axes.set(xlabel=_name(name), ylabel="excess over the optimum / optimum", xscale="log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    excesses = trials["hovering_excess_over_least_squares"].clip(lower=SMALLEST_EXCESS, upper=LARGEST_EXCESS)
    axes.set_ylim(excesses.min() / 2, max(excesses.max(), 2))
    legend(figure, axes)
    return figure


def series(table: Table, parameters: Sequence[str]) -> Iterator[tuple[str, Table]]:
    """Yield the rows of each combination of all parameters but the last, with its name; all where there is none."""
    if len(parameters) == 1:
        yield "", table
        return
    for values, part in table.groupby(list(parameters[:-1]), sort=False):
        yield (
            ", ".join(f"{_name(name)} {written(value)}" for name, value in zip(parameters, values, strict=False)),
            part,
        )


def written(value: object) -> str:
    """Write a value of a parameter."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _some(losses: pd.Series) -> Iterator[tuple[str, Any]]:
    """Yield all values of a parameter, each with a colour; of many the first, that of the lowest loss, and about it."""
    values, lowest = list(losses.index), int(losses.to_numpy().argmin())
    chosen = sorted({0, lowest // 2, lowest, min(lowest + 2, len(values) - 1)})
    shown = values if len(values) <= MOST_BANDS else [values[place] for place in chosen]
    yield from zip(cycle(COLOURS), shown, strict=False)


def _interval(part: Table, measure: str) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return mean, low and high of a measure; where a single seed has no interval, the mean is all three."""
    mean = part[f"{measure}_mean"]
    return mean, part[f"{measure}_low"].fillna(mean), part[f"{measure}_high"].fillna(mean)


def _values(axes: Axes, table: Table, name: str) -> None:
    """Give each value a place of its own: 0 has none on a logarithmic axis."""
    values = [written(value) for value in table[name].unique()]
    upright = len(values) <= MOST_UPRIGHT
    labels = [fitted(value, 4.8 / len(values) if upright else 2, 13) for value in values]
    axes.set_xticks(range(len(labels)), labels, rotation=0 if upright else 45, ha="center" if upright else "right")
    axes.set_xlabel(_name(name))


def _setting(parameter: str, value: object) -> str:
    return written(value) if parameter == "run" else f"{_name(parameter)} = {written(value)}"


def _name(parameter: str) -> str:
    return PARAMETERS.get(parameter, parameter)
