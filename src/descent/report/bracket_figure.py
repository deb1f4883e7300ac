"""The figure of the bracket around each classifier's robust accuracy: a certificate from below, attacks from above."""

from collections.abc import Mapping
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from descent.report.colours import INK
from descent.report.style import ACCURACY, EPSILON, finished, literal, new_figure, wrapped

Tables = Mapping[str, pd.DataFrame]
TITLE = 11.5


def brackets(
    certified: Tables, pgd: Tables, colours: Mapping[str, str], source: str, autoattack: Tables | None = None
) -> Figure:
    """Draw a panel for each classifier: accuracy against ε without an attack, under attacks, and certified.

    The band is what is known at each ε: at least the certificate for this or a larger ε, at most what an attack of this
    or a smaller ε leaves. The tables are those of plots/certified, plots/pgd and studies/autoattack, by run.
    """
    words = "Robust accuracy lies between certificate and attacks"
    titles = [wrapped(literal(name), 2.4, TITLE) for name in certified]
    rows, lines = max(1, ceil(len(titles) / 2)), max((title.count("\n") + 1 for title in titles), default=1)
    figure = new_figure(words, source, (6.2, 1.6 + rows * (1.9 + 0.2 * lines)))
    grid = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False).flatten()
    for axes, title, (name, bounds) in zip(grid, titles, certified.items(), strict=False):
        line = {"color": colours[name], "ms": 5, "linewidth": 1.3}
        clean, bounds = bounds["attacked_accuracy"].iloc[0], bounds.iloc[1:]  # on a logarithmic axis there is no ε = 0
        axes.axhline(clean, color=INK, linestyle=":", linewidth=1.5, label="no attack")
        attacked, most = pgd[name], bounds["attacked_accuracy"]
        axes.plot(attacked["epsilon"], attacked["fgsm_accuracy"], "s:", **line, label="FGSM")
        axes.plot(attacked["epsilon"], attacked["accuracy"], "o--", **line, label="PGD")
        if autoattack and name in autoattack:
            ensemble = autoattack[name].groupby("epsilon", as_index=False).last()
            axes.plot(ensemble["epsilon"], ensemble["accuracy"], "v", color=INK, ms=6, label="AutoAttack")
            for epsilon, left in zip(ensemble["epsilon"], ensemble["accuracy"], strict=True):
                most = most.where(bounds["epsilon"] < epsilon, most.clip(upper=left))
        # Between two ε that were measured, the attacks of the smaller and the certificate for the larger hold.
        ends, low, high = (np.repeat(each, 2) for each in (bounds["epsilon"], bounds["accuracy"][1:], most[:-1]))
        axes.fill_between(ends[1:-1], low, high, color=colours[name], alpha=0.25, linewidth=0)
        axes.plot(bounds["epsilon"], bounds["accuracy"], "^-", **line, label="certified")
        axes.set_title(title, fontsize=TITLE)
        axes.set_xscale("log")
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.tick_params(labelsize=10.5)
    for axes in grid[len(certified) :]:
        axes.set_visible(False)
    for axes in grid[max(0, len(certified) - 2) : len(certified)]:  # the lowest panel of each column
        axes.tick_params(labelbottom=True)
    for axes in grid[2 * rows - 2 :]:
        axes.set_xlabel(wrapped(EPSILON, 2.4, 11), fontsize=11)
    figure.supylabel(ACCURACY, fontsize=12)
    return finished(grid[0])
