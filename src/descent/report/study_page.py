"""The page of the studies: one HTML file with figures, tables and text."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from descent.report.page import first_warning, templates
from descent.report.study_results import StudyResults, format_value
from descent.report.study_text import paragraphs
from descent.report.tables import Table
from descent.sources.published import warning

# The columns of a study's table: heading, measure, format of its mean.
STUDY_CLASSIFIER_COLUMNS = (
    ("final test loss", "final_test_loss", "{:.3f}"),
    ("best test loss", "best_test_loss", "{:.3f}"),
    ("final test accuracy", "final_test_accuracy", "{:.2%}"),
    ("final training loss", "final_train_loss", "{:.3f}"),
)
STUDY_REGRESSION_COLUMNS = (
    ("rate / (2/λmax)", "learning_rate_over_threshold", "{:.3f}"),
    ("hovers above the optimum", "hovering_excess_over_least_squares", "{:.2%}"),
    ("epochs that rise", "share_of_epochs_with_rising_train_loss", "{:.0%}"),
    ("R²", "test_r2", "{:.3f}"),
)
# A larger mean comes from diverging losses, and a single trial determines it.
LARGEST_MEAN = 1000


def studies_page(studies: Sequence[StudyResults], figures: Mapping[str, str]) -> str:
    """Write the page of all studies.

    Args:
        studies: In the order of the page.
        figures: SVG by the study's name, a dash, and the name in `study_figures`.
    """
    return (
        templates()
        .get_template("studies.html")
        .render(
            warning=first_warning(warning(study.metrics["source"]) for study in studies if study.classifies),
            studies=[
                {
                    "name": study.name,
                    "classifies": study.classifies,
                    "metrics": study.metrics,
                    "paragraphs": list(paragraphs(study)),
                    "summary": summary_table(study),
                    "attack": attack_table(study),
                }
                for study in studies
            ],
            figures=figures,
        )
    )


def summary_table(study: StudyResults) -> Table:
    """Lay out a row for each setting: means with half their 95 % intervals, and how many trials overfit or diverge."""
    measured = {name for name in study.summary if study.summary[name].notna().any()}
    available = STUDY_CLASSIFIER_COLUMNS if study.classifies else STUDY_REGRESSION_COLUMNS
    columns = [column for column in available if f"{column[1]}_mean" in measured]
    last, counted = ("overfit", "overfitting_epoch_seeds") if study.classifies else ("diverge", "diverged")
    rows = [
        (
            *(format_value(row[name]) for name in study.parameters),
            *(_mean(row, measure, number) for _, measure, number in columns),
            f"{row[counted]:.0f} of {row['seeds']}",
        )
        for row in study.summary.to_dict("records")
    ]
    return Table((*study.parameters, *(heading for heading, *_ in columns), last), rows)


def attack_table(study: StudyResults) -> Table | None:
    """Lay out the accuracy under FGSM, a row for each ε and a column for each setting; None without an attack."""
    settings = study.summary.to_dict("records")
    rows = [(name, *(_mean(row, f"accuracy_at_{name}", "{:.1%}") for row in settings)) for name in study.epsilons]
    return Table(("ε", *map(study.setting, settings)), rows) if rows else None


def _mean(row: Mapping[Any, Any], measure: str, number: str) -> str:
    """Format a mean with half its interval."""
    mean, high = row[f"{measure}_mean"], row[f"{measure}_high"]
    if pd.isna(mean):
        return "–"
    if mean > LARGEST_MEAN:
        return f"> {LARGEST_MEAN:,.0f}×"
    if pd.isna(high) or high == mean:
        return number.format(mean)
    return f"{number.format(mean)} ± {number.format(high - mean)}"
