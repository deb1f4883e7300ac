"""The page of the studies: one HTML file with figures, tables and text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from descent.report.bounds_tables import BoundTables, autoattack_table, failed_checks, verification_table
from descent.report.markup import templates
from descent.report.study_results import StudyResults, format_value
from descent.report.tables import TABLES, Table
from descent.sources.published import warning

# A larger mean comes from diverging losses, and a single trial determines it.
LARGEST_MEAN = 1000


def studies_page(studies: Sequence[StudyResults], bounds: BoundTables, figures: Mapping[str, str]) -> str:
    """Write the page of all studies; a figure's name is the study's, a dash, and that in `study_figures`."""
    warnings = [warning(study.metrics["source"]) for study in studies if study.classifies]
    page = templates().get_template("studies.html")
    parts = {"paragraphs": paragraphs, "summary_table": summary_table, "attack_table": attack_table}
    of_bounds = {
        "autoattack": autoattack_table(bounds),
        "failed": failed_checks(bounds),
        "verification": verification_table(bounds),
    }
    return page.render(parts, **of_bounds, warning=next(filter(None, warnings), None), studies=studies, figures=figures)


def paragraphs(study: StudyResults) -> list[str]:
    """Return the text on a study: classifiers, learning rates of linear regressions, accuracy under attack."""
    settings, facts = study.summary.to_dict("records"), dict[str, Any]()
    if study.classifies:
        facts["finite"] = [row for row in settings if not pd.isna(row["final_test_loss_mean"])]
        trials = study.trials.merge(study.summary[study.parameters].head(1), on=study.parameters)
        facts |= {"epochs": trials["overfitting_epoch"].dropna(), "calm": list(_without_overfitting(study))}
    if study.varies_learning_rate:
        facts["rates"] = list(_learning_rates(study))
    means = study.summary.filter(regex="^accuracy_at_.*_mean$").dropna()
    if not means.empty:
        widest = str((means.max() - means.min()).idxmax())
        least, *_, most = sorted(study.summary.loc[means.index].to_dict("records"), key=lambda row: row[widest])
        facts |= {"least": least, "most": most, "widest": widest}
    written = templates().get_template("study.txt").render(facts, study=study, settings=settings, isna=pd.isna)
    return [re.sub(r"\s*\n\s*", " ", paragraph) for paragraph in re.split(r"\n\n+", written.strip()) if paragraph]


def _without_overfitting(study: StudyResults) -> Iterator[str]:
    """Yield the settings of each series without overfitting trials."""
    last = study.parameters[-1]
    for series, rows in study.series(study.summary):
        calm = rows[rows["final_test_loss_mean"].notna() & (rows["overfitting_epoch_seeds"] == 0)]
        if values := ", ".join(map(format_value, calm[last])):
            yield f"{f'{series}, ' if series else ''}{values if last == 'run' else f'{last} = {values}'}"


def _learning_rates(study: StudyResults) -> Iterator[tuple[str, list[Any], list[Any], float]]:
    """Yield each series of linear regressions: name, settings by learning rate, those that never diverge, threshold."""
    for series, trials in study.series(study.linear_trials):
        rows = study.summary.merge(trials[study.parameters].drop_duplicates(), on=study.parameters)
        settings = rows.sort_values("learning_rate", kind="stable").to_dict("records")
        finite = [row for row in settings if not row["diverged"]]
        yield series, settings, finite, float(trials["stability_threshold"].iloc[0])


def summary_table(study: StudyResults) -> Table:
    """Lay out a row for each setting: means with half their 95 % intervals, and how many trials overfit or diverge."""
    available = TABLES["studies"]["classifiers" if study.classifies else "regressions"]
    measured = set(study.summary.dropna(axis="columns", how="all"))
    columns = {heading: column for heading, column in available.items() if f"{column[0]}_mean" in measured}
    last, counted = ("overfit", "overfitting_epoch_seeds") if study.classifies else ("diverge", "diverged")
    rows = [
        (
            *(format_value(row[name]) for name in study.parameters),
            *(_mean(row, *column) for column in columns.values()),
            f"{row[counted]:.0f} of {row['seeds']}",
        )
        for row in study.summary.to_dict("records")
    ]
    return Table((*study.parameters, *columns, last), rows)


def attack_table(study: StudyResults, measure: str = "accuracy") -> Table:
    """Lay out the accuracy under FGSM, or the certified one, a row for each ε and a column for each setting."""
    settings = study.summary.to_dict("records")
    rows = [(name, *(_mean(row, f"{measure}_at_{name}", ".1%") for row in settings)) for name in study.epsilons]
    return Table(("ε", *map(study.setting, settings)), rows)


def _mean(row: Mapping[Any, Any], measure: str, form: str) -> str:
    """Format a mean with half its interval."""
    mean, high = row[f"{measure}_mean"], row[f"{measure}_high"]
    if pd.isna(mean):
        return "–"
    if abs(mean) > LARGEST_MEAN:
        return f"> {LARGEST_MEAN:,.0f}×" if mean > 0 else f"< −{LARGEST_MEAN:,.0f}"
    spread = "" if pd.isna(high) or high == mean else f" ± {high - mean:{form}}"
    return f"{mean:{form}}{spread}"
