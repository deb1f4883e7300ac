"""The stories of the write-up side by side: two learning rates, overfitting, a bag that becomes a T-shirt."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter
from torch import Tensor

from descent.report.image_figures import captions_of, group_of, hide_axes, triptych
from descent.report.style import new_figure

Tables = Mapping[str, pd.DataFrame]
Metrics = Mapping[str, Mapping[str, Any]]
SMALL = 10.5


def stories(
    regressions: Tables,
    mlps: Tables,
    metrics: Metrics,
    examples: Mapping[str, Mapping[str, Tensor]],
    colours: Mapping[str, str],
    classes: Sequence[str],
    source: str,
) -> Figure:
    """Draw training loss of the regressions, test loss of the MLPs, and the bag of the first classifier that has one.

    The tables are those of plots/curves, the metrics those of metrics/train and the tensors those of data/adversarial,
    all by run.
    """
    title = "Two learning rates, overfitting with and without weight decay, a bag that becomes a T-shirt"
    figure = new_figure(title, source, (13.5, 4.6))
    left, middle, *images = figure.subplots(1, 5, width_ratios=(3, 3, 1, 1, 1))
    for name, curve in regressions.items():
        rising = f"rises in {metrics[name]['share_of_epochs_with_rising_train_loss']:.0%} of epochs"
        left.plot(curve["epoch"], curve["train_loss"], color=colours[name], label=f"{name}: {rising}")
    left.set(
        title="Linear regression, diabetes data", xlabel="epoch", ylabel="training loss (squared error)", yscale="log"
    )
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    left.yaxis.set_major_formatter(ScalarFormatter())
    left.yaxis.set_minor_locator(NullLocator())
    left.margins(y=0.2)
    for name, curve in mlps.items():
        onset = metrics[name]["overfitting_epoch"]
        words = "does not overfit" if onset is None else f"overfits from epoch {onset}"
        middle.plot(curve["epoch"], curve["test_loss"], color=colours[name], label=f"{name}: {words}")
    middle.set(title="MLP", xlabel="epoch", ylabel="test loss (nats)", ylim=(0, None))
    for axes in (left, middle):
        axes.legend(fontsize=SMALL)
    for name, tensors in examples.items():
        if len((bag := group_of(tensors, "bag")).get("label", ())):
            triptych(images, bag, 0, captions_of(bag, 0, classes, 1.4, SMALL), fontsize=SMALL)
            images[1].set_xlabel(f"{name}, perturbed by ε · sign of the loss's gradient", fontsize=SMALL)
            break
    else:
        images[1].set_title("no bag becomes a T-shirt", fontsize=SMALL)
    hide_axes(images)
    return figure
