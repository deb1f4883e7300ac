"""The figures of the studies: curves as bands, and measures against the varied parameters."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from descent.report.colours import INK, PAPER, PURPLE
from descent.report.study_results import LABELS, StudyResults, format_value
from descent.report.style import ACCURACY, ENTROPY, EPSILON, band, finished, new_panel, text_width, wrapped

MOST_BANDS = 5
# An accuracy lower than the first by more than this, or a loss higher by three times as much, is cut off, because it
# would hide the differences of the others.
FARTHEST = 0.15
# A larger excess over the optimum comes from a diverging loss.
SMALLEST_EXCESS, LARGEST_EXCESS = 1e-6, 1e3


def study_figures(study: StudyResults, colours: Mapping[Any, str]) -> dict[str, Figure]:
    """Draw the figures of a study by name, with the colours of the runs."""
    if not study.classifies:
        return {"threshold": excess_over_optimum(study)} if study.varies_learning_rate else {}
    attacked = {"robustness": fgsm_accuracies(study, colours)} if study.epsilons else {}
    return attacked | {
        "loss": loss_bands(study, colours),
        "losses": against_parameter(study, ("final_test_loss", "best_test_loss")),
        "accuracy": against_parameter(study, ("final_test_accuracy", "best_test_accuracy")),
        "onset": overfitting_epochs(study),
    }


def loss_bands(study: StudyResults, colours: Mapping[Any, str]) -> Figure:
    """Draw the test loss over the epochs, mean and range over the seeds, for some values of the first series."""
    last = study.parameters[-1]
    (label, part), *_ = study.series(study.curves)
    axes = _panel(study, f"Test loss, mean and range of {part['seed'].nunique()} seeds", label)
    ended = part.groupby([last, "seed"], sort=False)["test_loss"].last()
    for value in _some(ended.groupby(level=0, sort=False).mean()):
        losses = part[part[last] == value].groupby("epoch")["test_loss"].agg(["mean", "min", "max"])
        band(
            axes, losses.index, *losses.to_numpy().T, alpha=0.25, color=colours.get(value), label=_setting(last, value)
        )
    return finished(axes, xlabel="epoch", ylabel=ENTROPY, ylim=(0, None))


def against_parameter(study: StudyResults, measures: Sequence[str]) -> Figure:
    """Draw measures, all losses or all accuracies, against the last parameter, with 95 % intervals of the mean."""
    last, accuracy = study.parameters[-1], measures[0].endswith("accuracy")
    axes = _panel(study, f"Test {'accuracy' if accuracy else 'loss'}, mean and its 95 % interval")
    for index, (label, part) in enumerate(study.series(study.summary)):
        for number, (style, marker, measure) in enumerate(zip(("-", ":"), ("o", "s"), measures, strict=False)):
            mean, low, high = _interval(part, measure)
            places = np.arange(len(part))
            words = ", ".join(filter(None, [measure.partition("_")[0], label]))
            if last == "run":  # runs have no order, so no line connects them
                spread, beside = (mean - low, high - mean), places + 0.2 * (number - 0.5)
                filled: dict[str, Any] = {"color": INK, "markerfacecolor": (INK, PAPER)[number], "label": words}
                axes.errorbar(beside, mean, spread, fmt=marker, ms=8, capsize=5, **filled)
            else:
                band(axes, places, mean, low, high, color=f"C{index}", ls=style, marker=marker, ms=6, label=words)
    _values(axes, study.summary, last)
    first = study.summary[f"{measures[0]}_mean"].iloc[0]
    bottom, top = axes.get_ylim()
    if accuracy:
        return finished(axes, ylabel=ACCURACY, ylim=(max(bottom, first - FARTHEST), None))
    return finished(axes, ylabel=ENTROPY, ylim=(None, min(top, first + FARTHEST * 3)))


def fgsm_accuracies(study: StudyResults, colours: Mapping[Any, str]) -> Figure:
    """Draw the accuracy under FGSM against ε, with 95 % intervals of the mean, for some values of the first series."""
    last, epsilons = study.parameters[-1], [float(name) for name in study.epsilons]
    (label, part), *_ = study.series(study.summary)
    axes = _panel(study, "Accuracy under FGSM, mean and its 95 % interval", label)
    for value, marker in zip(_some(part.set_index(last)["final_test_loss_mean"]), cycle("os^Dv"), strict=False):
        row = part[part[last] == value].head(1)
        ends = zip(*(pd.concat(_interval(row, f"accuracy_at_{name}")) for name in study.epsilons), strict=True)
        line = {"color": colours.get(value), "marker": marker, "ms": 6, "label": _setting(last, value)}
        band(axes, epsilons, *ends, alpha=0.25, **line)
    chance = 1 / study.metrics["classes"]
    return finished(axes, chance=chance, xlabel=EPSILON, ylabel=ACCURACY, ylim=(0, 1))


def overfitting_epochs(study: StudyResults) -> Figure:
    """Draw the epoch from which each trial overfits, a dot each, and how many trials do not."""
    axes = _panel(study, "Epoch from which a trial overfits; above, how many do not")
    last, trials = study.parameters[-1], study.trials
    latest = trials["overfitting_epoch"].max()
    top = 1.2 * (trials["epochs"].max() if pd.isna(latest) else latest)
    groups = list(study.series(trials))
    for index, (label, part) in enumerate(groups):
        shift = 0.5 * ((index + 0.5) / len(groups) - 0.5)
        for place, (_, trials_of_value) in enumerate(part.groupby(last, sort=False)):
            found = trials_of_value["overfitting_epoch"].dropna()
            words = None if place else label or "a trial"
            axes.plot([place + shift] * len(found), found, "o", ms=7, alpha=0.7, color=f"C{index}", label=words)
            if without := len(trials_of_value) - len(found):
                height = (1.08 + 0.09 * index) * top
                axes.annotate(str(without), (place, height), ha="center", fontsize=11, color=f"C{index}")
    axes.axhline(1.04 * top, color=INK, linewidth=1, linestyle=":")
    _values(axes, trials, last)
    end = (1.13 + 0.09 * len(groups)) * top
    return finished(axes, ylabel="epoch", ylim=(0, end), xlim=(-0.6, trials[last].nunique() - 0.4))


def excess_over_optimum(study: StudyResults) -> Figure:
    """Draw the excess loss of linear regressions against their learning rate, with the stability thresholds."""
    axes = _panel(study, "Linear regression: above the optimum, median and range")
    last, trials = study.parameters[-1], study.linear_trials
    one = trials["stability_threshold"].nunique() == 1
    for index, (label, part) in enumerate(study.series(trials)):
        colour = f"C{index}"
        ended = part[~part["diverged"]].groupby(last)["hovering_excess_over_least_squares"]
        ends = ended.agg(["median", "min", "max"])
        words = ", ".join(filter(None, [f"{part['seed'].nunique()} seeds", label]))
        band(axes, ends.index, *ends.to_numpy().T, alpha=0.25, marker="o", ms=4, color=colour, label=words)
        if not one:
            limit = part["stability_threshold"].iloc[0]
            axes.axvline(limit, color=colour, linewidth=2, linestyle="--", label=f"{label}: 2/λmax = {limit:.4f}")
    if one:
        limit = trials["stability_threshold"].iloc[0]
        axes.axvline(limit, color=PURPLE, linewidth=2, label=f"2/λmax = {limit:.4f}")
    axes.axhline(1, color=INK, linestyle=":", linewidth=1.5, label="1: twice the optimum")
    excesses = trials["hovering_excess_over_least_squares"].clip(lower=SMALLEST_EXCESS, upper=LARGEST_EXCESS)
    axes.set(xscale="log", yscale="log", ylim=(excesses.min() / 2, max(excesses.max(), 2)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return finished(axes, xlabel=LABELS["learning_rate"], ylabel="excess over the optimum / optimum")


def _panel(study: StudyResults, title: str, series: str = "") -> Axes:
    return new_panel(f"{title}, {series}" if series else title, study.metrics["source"])


def _some(losses: pd.Series) -> list[Any]:
    """Return the values of a parameter; of many values the first, the best by loss and its neighbours."""
    values, lowest = list(losses.index), int(losses.to_numpy().argmin())
    chosen = sorted({0, lowest // 2, lowest, min(lowest + 2, len(values) - 1)})
    return values if len(values) <= MOST_BANDS else [values[place] for place in chosen]


def _interval(part: pd.DataFrame, measure: str) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return mean, low and high of a measure; all three are the mean where a single seed has no interval."""
    mean = part[f"{measure}_mean"]
    return mean, part[f"{measure}_low"].fillna(mean), part[f"{measure}_high"].fillna(mean)


def _values(axes: Axes, table: pd.DataFrame, name: str) -> None:
    """Place the values at equal distances, because a logarithmic axis cannot show 0."""
    values = [format_value(value) for value in table[name].unique()]
    inches = 4.8 / len(values)
    upright = text_width((word for value in values for word in value.split("-")), 13) < inches
    labels = [wrapped(value, inches if upright else 2, 13) for value in values]
    axes.set_xticks(range(len(labels)), labels, rotation=0 if upright else 45, ha="center" if upright else "right")
    axes.set_xlabel(LABELS.get(name, name))


def _setting(parameter: str, value: object) -> str:
    named = f"{LABELS.get(parameter, parameter)} = {format_value(value)}"
    return format_value(value) if parameter == "run" else named
