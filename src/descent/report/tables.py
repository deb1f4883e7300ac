"""The results as tables, and the tables in Markdown for a terminal or a README."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from tabulate import tabulate

from descent.sources.published import warning

Columns = Mapping[str, Callable[[Mapping[str, Any]], str]]


def _accuracy(key: str, metrics: Mapping[str, Any]) -> str:
    return f"{metrics[key]:.1%}" if key in metrics else "–"


def _flipping_epsilon(metrics: Mapping[str, Any]) -> str:
    return "–" if metrics["median_flipping_epsilon"] is None else f"{metrics['median_flipping_epsilon']:.3f}"


def _bag(m: Mapping[str, Any]) -> str:
    if m["bag_index"] is None:
        return "none"
    return f"{m['bag_clean_confidence']:.3f} → {m['bag_t_shirt_confidence']:.3f} (ε = {m['bag_epsilon']:.3f})"


# The columns of each table: heading, and the function that formats a run's cell from its metrics.
REGRESSIONS: Columns = {
    "rate / (2/λmax)": "{learning_rate_over_threshold:.3f}".format_map,
    "final loss": "{final_train_loss:.0f}".format_map,
    "above optimum": "{final_excess_over_least_squares:.1%}".format_map,
    "hovers above": "{hovering_excess_over_least_squares:.1%}".format_map,
    "epochs that rise": "{share_of_epochs_with_rising_train_loss:.0%}".format_map,
    "R²": "{test_r2:.3f}".format_map,
}
OTHER_REGRESSIONS: Columns = {
    "weights": "{weights:,}".format_map,
    "train loss": "{final_train_loss:.0f}".format_map,
    "test loss": "{final_test_loss:.0f}".format_map,
    "R²": "{test_r2:.3f}".format_map,
}
CLASSIFIERS: Columns = {
    "weights": "{weights:,}".format_map,
    "train loss": "{final_train_loss:.3f}".format_map,
    "test loss": "{final_test_loss:.3f}".format_map,
    "lowest at epoch": "{best_test_loss:.3f} at {best_epoch}".format_map,
    "test accuracy": "{final_test_accuracy:.2%}".format_map,
    "overfits from epoch": lambda metrics: str(metrics["overfitting_epoch"] or "–"),
}
ATTACKS: Columns = {
    **{f"ε = {epsilon}": partial(_accuracy, f"accuracy_at_{epsilon}") for epsilon in ("0", "0.01", "0.05", "0.1")},
    "PGD at 0.1": partial(_accuracy, "pgd_accuracy_at_0.1"),
    "median ε that flips": _flipping_epsilon,
    "Bag → T-shirt/top": _bag,
}


class Table(NamedTuple):
    """A header, whose first column names the runs, and a row of text for each run."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def result_tables(
    trained: Mapping[str, Mapping[str, Any]], attacked: Mapping[str, Mapping[str, Any]]
) -> dict[str, Table]:
    """Return a table of metrics for each kind of run.

    `regression` has the linear regressions only; `others` has the regressions with other models, whose optimum is
    unknown.

    Args:
        trained: `metrics/train/RUN.json` by run.
        attacked: `metrics/attack/RUN.json` by run.
    """
    linear = {name: m for name, m in trained.items() if "least_squares_loss" in m}
    others = {name: m for name, m in trained.items() if "test_r2" in m and name not in linear}
    classifiers = {name: m for name, m in trained.items() if "best_test_accuracy" in m}
    return {
        "regression": _table("linear regression", REGRESSIONS, linear),
        "others": _table("regression, not linear", OTHER_REGRESSIONS, others),
        "classifiers": _table("classifier", CLASSIFIERS, classifiers),
        "attacks": _table("accuracy under FGSM", ATTACKS, attacked),
    }


def markdown_tables(
    data: Mapping[str, Any], trained: Mapping[str, Mapping[str, Any]], attacked: Mapping[str, Mapping[str, Any]]
) -> str:
    """Write all tables in Markdown, after a warning if the images of `metrics/data.json` are not Fashion-MNIST."""
    tables = result_tables(trained, attacked)
    written = [_markdown(table) for name, table in tables.items() if table.rows or name != "others"]
    warned = warning(data["source"])
    return "\n\n".join([f"**{warned}**", *written] if warned else written)


def _table(kind: str, columns: Columns, runs: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [(_label(name, metrics), *(cell(metrics) for cell in columns.values())) for name, metrics in runs.items()]
    return Table((kind, *columns), rows)


def _label(name: str, m: Mapping[str, Any]) -> str:
    return f"{name} (diverged in epoch {m['diverged_epoch']})" if m.get("diverged") else name


def _markdown(table: Table) -> str:
    align = ["left", *["right"] * (len(table.header) - 1)] if table.rows else None
    return tabulate(table.rows, table.header, tablefmt="pipe", disable_numparse=True, colalign=align)
