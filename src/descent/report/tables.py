"""The results as tables, and the tables in Markdown for a terminal or a README."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tabulate import tabulate

from descent.sources.published import warning

Columns = Mapping[str, Callable[[Mapping[str, Any]], str]]


def _number(key: str, form: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda m: "–" if m.get(key) is None else format(m[key], form)


BAG = "{bag_clean_confidence:.3f} → {bag_t_shirt_confidence:.3f} (ε = {bag_epsilon:.3f})"
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
    "overfits from epoch": _number("overfitting_epoch", "d"),
}
ATTACKS: Columns = {
    **{f"ε = {epsilon}": _number(f"accuracy_at_{epsilon}", ".1%") for epsilon in ("0", "0.01", "0.05", "0.1")},
    "PGD at 0.1": _number("pgd_accuracy_at_0.1", ".1%"),
    "median ε that flips": _number("median_flipping_epsilon", ".3f"),
    "Bag → T-shirt/top": lambda m: "none" if m["bag_index"] is None else BAG.format_map(m),
}


class Table(NamedTuple):
    """A header, whose first column names the runs, and a row of text for each run."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def result_tables(
    trained: Mapping[str, Mapping[str, Any]], attacked: Mapping[str, Mapping[str, Any]]
) -> dict[str, Table]:
    """Return a table for each kind of run; `others` are the regressions with other models, whose optimum is unknown."""

    def table(kind: str, columns: Columns, runs: Mapping[str, Mapping[str, Any]], needed: str = "") -> Table:
        rows = []
        for name, m in runs.items():
            diverged = f" (diverged in epoch {m['diverged_epoch']})" if m.get("diverged") else ""
            if not needed or needed in m:
                rows.append((f"{name}{diverged}", *(cell(m) for cell in columns.values())))
        return Table((kind, *columns), rows)

    not_linear = {name: m for name, m in trained.items() if "least_squares_loss" not in m}
    return {
        "regression": table("linear regression", REGRESSIONS, trained, "least_squares_loss"),
        "others": table("regression, not linear", OTHER_REGRESSIONS, not_linear, "test_r2"),
        "classifiers": table("classifier", CLASSIFIERS, trained, "best_test_accuracy"),
        "attacks": table("accuracy under FGSM", ATTACKS, attacked),
    }


def markdown_tables(
    data: Mapping[str, Any], trained: Mapping[str, Mapping[str, Any]], attacked: Mapping[str, Mapping[str, Any]]
) -> str:
    """Write all tables in Markdown, after a warning if the images of `metrics/data.json` are not Fashion-MNIST."""
    warned = warning(data["source"])
    written = [f"**{warned}**"] if warned else []
    for name, (header, rows) in result_tables(trained, attacked).items():
        if rows or name != "others":
            align = ["left", *["right"] * (len(header) - 1)] if rows else None
            written.append(tabulate(rows, header, tablefmt="pipe", disable_numparse=True, colalign=align))
    return "\n\n".join(written)
