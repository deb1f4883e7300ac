"""What a curve of training tells: best and last values, overfitting, distance from the optimum, stability."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean as mean

from descent.io.datasets import Dataset
from descent.io.run_schema import Evaluation, Run
from descent.training.least_squares import least_squares_loss, stability_threshold


def summarise(history: Sequence[Mapping[str, float]]) -> dict[str, float | int | None]:
    """Return the last and the best value of each column, `…_loss` or `…_accuracy`, and the best epoch of a curve."""
    summary: dict[str, float | int | None] = {"epochs": int(history[-1]["epoch"])}
    for column in (name for name in history[0] if name != "epoch"):
        values = [row[column] for row in history]
        summary[f"final_{column}"] = values[-1]
        summary[f"best_{column}"] = max(values) if column.endswith("accuracy") else min(values)
    # The test loss says when; no weights are chosen by it.
    summary["best_epoch"] = int(min(history, key=lambda row: row["test_loss"])["epoch"])
    summary["share_of_epochs_with_rising_train_loss"] = share_of_rises([row["train_loss"] for row in history])
    return summary


def share_of_rises(values: Sequence[float]) -> float:
    """Return the share of steps from one value to the next that go up; 0 for a single value."""
    rises = [after > before for before, after in pairwise(values)]
    return sum(rises) / len(rises) if rises else 0.0


def smooth(values: Sequence[float], window: int) -> list[float]:
    """Return the centred running mean over `window` values (odd; over fewer at both ends)."""
    half = window // 2
    parts = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [sum(part) / len(part) for part in parts]


def largest_deviation(values: Sequence[float]) -> float:
    """Return max |value/mean − 1|, or 0 where all values are 0."""
    centre = mean(values)
    return max(abs(value / centre - 1) for value in values) if centre else 0.0


def overfitting_epoch(history: Sequence[Mapping[str, float]], window: int, rise: float) -> int | None:
    """Return the epoch from which a model overfits, where the smoothed test loss is lowest, or None if it does not.

    It does if the smoothed test loss ends more than `rise`, a share, above that minimum, while the training loss ends
    below its value there. A curve that only hovers, as under weight decay, does not rise enough.
    """
    test = smooth([row["test_loss"] for row in history], window)
    lowest = min(range(len(test)), key=test.__getitem__)
    rose = test[-1] > (1 + rise) * test[lowest]
    still_learning = history[-1]["train_loss"] < history[lowest]["train_loss"]
    return int(history[lowest]["epoch"]) if rose and still_learning else None


def describe(
    run: Run, history: Sequence[Mapping[str, float]], data: Dataset, evaluation: Evaluation
) -> dict[str, float | int | None]:
    """Summarise a run's curve with what its kind of task adds.

    A classifier: overfitting, deviation of the test loss over the second half of the epochs, gap between test and
    training. A regression: R², and for a linear model the excess over the least-squares optimum, at the end and on
    average over the second half of the epochs, and the distance from instability.
    """
    last, metrics = history[-1], summarise(history)
    second_half = history[len(history) // 2 :]
    if "test_accuracy" in last:
        window, rise = evaluation.overfitting_window, evaluation.overfitting_rise
        return metrics | {
            "overfitting_epoch": overfitting_epoch(history, window, rise),
            "second_half_test_loss_deviation": largest_deviation([row["test_loss"] for row in second_half]),
            "generalization_gap_loss": last["test_loss"] - last["train_loss"],
            "generalization_gap_accuracy": last["train_accuracy"] - last["test_accuracy"],
        }
    metrics["test_r2"] = 1 - last["test_loss"] / data.test.y.var(correction=0).item()
    if run.model.kind != "linear":
        return metrics
    optimum = least_squares_loss(*data.train)
    summed = min(run.batch_size, len(data.train.y)) if run.reduction == "sum" else 1
    # Nesterov momentum lowers it.
    threshold = stability_threshold(data.train.x, summed) * (1 + run.momentum) / (1 + 2 * run.momentum)
    return metrics | {
        "least_squares_loss": optimum,
        "final_excess_over_least_squares": last["train_loss"] / optimum - 1,
        "hovering_excess_over_least_squares": mean(row["train_loss"] for row in second_half) / optimum - 1,
        "stability_threshold": threshold,
        "learning_rate_over_threshold": run.learning_rate / threshold,
    }
