"""The results as tables in Markdown, which a terminal shows as well as a README."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from descent.fashion_mnist import DRAWN

Metrics = Mapping[str, Any]
SHOWN_EPSILONS = ("0", "0.01", "0.05", "0.1")
WARNING = "**Drawn stand-in data, not Fashion-MNIST: these numbers say nothing about the write-up.**"


def results(data: Metrics, trained: Mapping[str, Metrics], attacked: Mapping[str, Metrics]) -> str:
    """Lay out the metrics of all runs, each kind of run in a table of its own.

    Args:
        data: `metrics/data.json`.
        trained: `metrics/train/RUN.json` by run.
        attacked: `metrics/attack/RUN.json` by run.
    """
    regressions = {name: m for name, m in trained.items() if "least_squares_loss" in m}
    classifiers = {name: m for name, m in trained.items() if "best_test_accuracy" in m}
    tables = (_regressions(regressions), _classifiers(classifiers), _attacked(attacked))
    return "\n\n".join([WARNING, *tables] if data["source"] == DRAWN else tables)


def _regressions(runs: Mapping[str, Metrics]) -> str:
    header = (
        "linear regression",
        "rate / (2/λmax)",
        "final loss",
        "above optimum",
        "hovers above",
        "epochs that rise",
        "R²",
    )
    return _table(
        header,
        [
            (
                name,
                f"{m['learning_rate_over_threshold']:.3f}",
                f"{m['final_train_loss']:.0f}",
                f"{m['final_excess_over_least_squares']:.1%}",
                f"{m['hovering_excess_over_least_squares']:.1%}",
                f"{m['share_of_epochs_with_rising_train_loss']:.0%}",
                f"{m['test_r2']:.3f}",
            )
            for name, m in runs.items()
        ],
    )


def _classifiers(runs: Mapping[str, Metrics]) -> str:
    header = (
        "classifier",
        "weights",
        "train loss",
        "test loss",
        "lowest at epoch",
        "test accuracy",
        "overfits from epoch",
    )
    return _table(
        header,
        [
            (
                name,
                f"{m['weights']:,}",
                f"{m['final_train_loss']:.3f}",
                f"{m['final_test_loss']:.3f}",
                f"{m['best_test_loss']:.3f} at {m['best_epoch']}",
                f"{m['final_test_accuracy']:.2%}",
                str(m["overfitting_epoch"] or "–"),
            )
            for name, m in runs.items()
        ],
    )


def _attacked(runs: Mapping[str, Metrics]) -> str:
    header = (
        "accuracy under FGSM",
        *(f"ε = {epsilon}" for epsilon in SHOWN_EPSILONS),
        "median ε that flips",
        "Bag → T-shirt/top",
    )
    return _table(
        header,
        [
            (
                name,
                *(f"{m[key]:.1%}" if (key := f"accuracy_at_{epsilon}") in m else "–" for epsilon in SHOWN_EPSILONS),
                "–" if m["median_flipping_epsilon"] is None else f"{m['median_flipping_epsilon']:.3f}",
                _bag(m),
            )
            for name, m in runs.items()
        ],
    )


def _bag(m: Metrics) -> str:
    if m["bag_index"] is None:
        return "none"
    return f"{m['bag_clean_confidence']:.3f} → {m['bag_t_shirt_confidence']:.3f} (ε = {m['bag_epsilon']:g})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    right = ["right"] * (len(header) - 1)
    return tabulate(rows, header, tablefmt="pipe", disable_numparse=True, colalign=["left", *right] if rows else None)
