"""The results as tables, and these in Markdown, which a terminal shows as well as a README."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tabulate import tabulate

from descent.sources.published import warning

SHOWN_EPSILONS = ("0", "0.01", "0.05", "0.1")


class Table(NamedTuple):
    """A header, of which the first column names the runs, and a row of words and numbers for each."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def result_tables(
    trained: Mapping[str, Mapping[str, Any]], attacked: Mapping[str, Mapping[str, Any]]
) -> dict[str, Table]:
    """Lay out the metrics of all runs, each kind of run in a table of its own.

    `regression` has linear regressions alone; `others`, the regressions with another model, has no optimum to compare
    with.

    Args:
        trained: `metrics/train/RUN.json` by run.
        attacked: `metrics/attack/RUN.json` by run.
    """
    return {
        "regression": _regressions({name: m for name, m in trained.items() if "least_squares_loss" in m}),
        "others": _others({n: m for n, m in trained.items() if "test_r2" in m and "least_squares_loss" not in m}),
        "classifiers": _classifiers({name: m for name, m in trained.items() if "best_test_accuracy" in m}),
        "attacks": _attacked(attacked),
    }


def markdown_tables(
    data: Mapping[str, Any], trained: Mapping[str, Mapping[str, Any]], attacked: Mapping[str, Mapping[str, Any]]
) -> str:
    """Write all tables in Markdown, after a warning if the images of `metrics/data.json` are not Fashion-MNIST."""
    laid = result_tables(trained, attacked)
    written = [_markdown(table) for name, table in laid.items() if table.rows or name != "others"]
    warned = warning(data["source"])
    return "\n\n".join([f"**{warned}**", *written] if warned else written)


def _regressions(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    header = (
        "linear regression",
        "rate / (2/λmax)",
        "final loss",
        "above optimum",
        "hovers above",
        "epochs that rise",
        "R²",
    )
    return Table(
        header,
        [
            (
                _label(name, m),
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


def _others(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    return Table(
        ("regression, not linear", "weights", "train loss", "test loss", "R²"),
        [
            (
                _label(name, m),
                f"{m['weights']:,}",
                f"{m['final_train_loss']:.0f}",
                f"{m['final_test_loss']:.0f}",
                f"{m['test_r2']:.3f}",
            )
            for name, m in runs.items()
        ],
    )


def _classifiers(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    header = (
        "classifier",
        "weights",
        "train loss",
        "test loss",
        "lowest at epoch",
        "test accuracy",
        "overfits from epoch",
    )
    return Table(
        header,
        [
            (
                _label(name, m),
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


def _attacked(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    header = (
        "accuracy under FGSM",
        *(f"ε = {epsilon}" for epsilon in SHOWN_EPSILONS),
        "PGD at 0.1",
        "median ε that flips",
        "Bag → T-shirt/top",
    )
    return Table(
        header,
        [
            (
                _label(name, m),
                *(f"{m[key]:.1%}" if (key := f"accuracy_at_{epsilon}") in m else "–" for epsilon in SHOWN_EPSILONS),
                f"{m['pgd_accuracy_at_0.1']:.1%}" if "pgd_accuracy_at_0.1" in m else "–",
                "–" if m["median_flipping_epsilon"] is None else f"{m['median_flipping_epsilon']:.3f}",
                _bag(m),
            )
            for name, m in runs.items()
        ],
    )


def _label(name: str, m: Mapping[str, Any]) -> str:
    return f"{name} (diverged in epoch {m['diverged_epoch']})" if m.get("diverged") else name


def _bag(m: Mapping[str, Any]) -> str:
    if m["bag_index"] is None:
        return "none"
    return f"{m['bag_clean_confidence']:.3f} → {m['bag_t_shirt_confidence']:.3f} (ε = {m['bag_epsilon']:.3f})"


def _markdown(table: Table) -> str:
    align = ["left", *["right"] * (len(table.header) - 1)] if table.rows else None
    return tabulate(table.rows, table.header, tablefmt="pipe", disable_numparse=True, colalign=align)
