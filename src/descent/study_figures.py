"""The figures of the studies: curves as bands, and what was measured against what was varied."""

from collections.abc import Iterator, Sequence
from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from descent.drawing import DIABETES, images, legend, panel, percent
from descent.palette import COLOURS, INK, PURPLE

Table = pd.DataFrame
MOST_BANDS = 4
# What lies above is on its way to infinity.
LARGEST_EXCESS = 1e3
SMALLEST_EXCESS = 1e-6
PARAMETERS = {"learning_rate": "learning rate", "weight_decay": "weight decay λ"}


def bands(curves: Table, parameters: Sequence[str], source: str) -> Figure:
    """Draw the test loss over the epochs, mean and range over the seeds, for up to four values of the first series.

    Args:
        curves: The tidy table: `parameters`, `seed`, `epoch`, `test_loss`.
        parameters: What was varied; the last is drawn in colours, of the others the first combination.
        source: Of the images.
    """
    (_, part), *_ = series(curves, parameters)
    values = list(part[parameters[-1]].unique())
    chosen = sorted({round(place * (len(values) - 1) / (MOST_BANDS - 1)) for place in range(MOST_BANDS)})
    figure, axes = panel(f"Test loss, mean and range of {part['seed'].nunique()} seeds", images(source))
    for colour, place in zip(cycle(COLOURS), chosen, strict=False):
        losses = part[part[parameters[-1]] == values[place]].groupby("epoch")["test_loss"]
        mean, low, high = losses.mean(), losses.min(), losses.max()
        axes.plot(mean.index, mean, color=colour, label=f"{_name(parameters[-1])} = {values[place]:g}")
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
        for style, measure in zip(("-", ":"), measures, strict=False):
            mean, low, high = (part[f"{measure}_{kind}"] for kind in ("mean", "low", "high"))
            places = range(len(part))
            words = measure.replace("_", " ") + (f", {label}" if label else "")
            axes.plot(places, mean, style, marker="o", color=colour, label=words)
            axes.fill_between(places, low.fillna(mean), high.fillna(mean), color=colour, alpha=0.2, linewidth=0)
    _values(axes, summary, parameters[-1])
    if accuracy:
        axes.set_ylabel("share classified correctly")
        percent(axes)
    else:
        axes.set_ylabel("cross-entropy (nats)")
    legend(figure, axes)
    return figure


def onsets(trials: Table, parameters: Sequence[str], source: str) -> Figure:
    """Draw the epoch from which each trial overfits, a dot each, and how many do not.

    Args:
        trials: A row for each trial, with `overfitting_epoch`, empty where none is seen.
        parameters: As for `against`.
        source: Of the images.
    """
    figure, axes = panel("Epoch from which a trial overfits", images(source))
    latest = trials["overfitting_epoch"].max()
    top = 1.2 * (trials["epochs"].max() if pd.isna(latest) else latest)
    groups = list(series(trials, parameters))
    for index, (colour, (label, part)) in enumerate(zip(cycle(COLOURS), groups, strict=False)):
        shift = 0.5 * ((index + 0.5) / len(groups) - 0.5)
        for place, (_, of_value) in enumerate(part.groupby(parameters[-1], sort=False)):
            found = of_value["overfitting_epoch"].dropna()
            words = label or "a trial"
            axes.plot([place + shift] * len(found), found, "o", ms=7, alpha=0.7, color=colour, label=words)
            if without := len(of_value) - len(found):
                axes.annotate(f"{without} of {len(of_value)}", (place + shift, 1.09 * top), ha="center", fontsize=10)
    axes.axhline(1.04 * top, color=INK, linewidth=1, linestyle=":")
    axes.set(
        ylabel="epoch (above the line: none is seen)",
        ylim=(0, 1.22 * top),
        xlim=(-0.6, trials[parameters[-1]].nunique() - 0.4),
    )
    _values(axes, trials, parameters[-1])
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside lower center", ncols=2)
    return figure


def threshold(trials: Table, parameters: Sequence[str]) -> Figure:
    """Draw where a regression hovers above the optimum, against its learning rate and the stability threshold.

    Args:
        trials: A row for each trial, with `hovering_excess_over_least_squares`, `diverged`, `stability_threshold`.
        parameters: The last is the learning rate.
    """
    figure, axes = panel("Linear regression: above the optimum, median and range", DIABETES)
    limit, name = trials["stability_threshold"].iloc[0], parameters[-1]
    for colour, (label, part) in zip(cycle(COLOURS), series(trials, parameters), strict=False):
        ended = part[~part["diverged"]].groupby(name)["hovering_excess_over_least_squares"]
        words = ", ".join(filter(None, [f"{part['seed'].nunique()} seeds", label]))
        axes.plot(ended.median().index, ended.median(), marker="o", ms=4, color=colour, label=words)
        axes.fill_between(ended.min().index, ended.min(), ended.max(), color=colour, alpha=0.25, linewidth=0)
    axes.axvline(limit, color=PURPLE, linewidth=2, label=f"2/λmax = {limit:.4f}")
    axes.axhline(1, color=INK, linestyle=":", linewidth=1.5, label="1: twice the optimum")
    axes.set(xlabel=_name(name), ylabel="excess over the optimum / optimum", xscale="log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    excesses = trials["hovering_excess_over_least_squares"].clip(lower=SMALLEST_EXCESS, upper=LARGEST_EXCESS)
    axes.set_ylim(excesses.min() / 2, excesses.max())
    legend(figure, axes)
    return figure


def series(table: Table, parameters: Sequence[str]) -> Iterator[tuple[str, Table]]:
    """Yield the rows of each combination of all parameters but the last, with its name; all where there is none."""
    if len(parameters) == 1:
        yield "", table
        return
    for values, part in table.groupby(list(parameters[:-1]), sort=False):
        yield ", ".join(f"{_name(name)} {value}" for name, value in zip(parameters, values, strict=False)), part


def _values(axes: Axes, table: Table, name: str) -> None:
    """Give each value a place of its own: 0 has none on a logarithmic axis."""
    values = list(table[name].unique())
    axes.set_xticks(range(len(values)), [f"{value:g}" if isinstance(value, float) else str(value) for value in values])
    axes.set_xlabel(_name(name))


def _name(parameter: str) -> str:
    return PARAMETERS.get(parameter, parameter)
