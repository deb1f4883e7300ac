"""What the studies found, as figures and as one page of HTML that needs nothing but itself."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from descent.report.page import environment, warned
from descent.report.study_figures import against, bands, epsilons, onsets, robustness, series, threshold, written
from descent.report.tables import Table
from descent.sources.published import warning

# The columns of a study's table on the page: a heading, the measure, and how its mean is written.
CLASSIFIERS = (
    ("final test loss", "final_test_loss", "{:.3f}"),
    ("best test loss", "best_test_loss", "{:.3f}"),
    ("final test accuracy", "final_test_accuracy", "{:.2%}"),
    ("final training loss", "final_train_loss", "{:.3f}"),
)
REGRESSIONS = (
    ("rate / (2/λmax)", "learning_rate_over_threshold", "{:.3f}"),
    ("hovers above the optimum", "hovering_excess_over_least_squares", "{:.2%}"),
    ("epochs that rise", "share_of_epochs_with_rising_train_loss", "{:.0%}"),
    ("R²", "test_r2", "{:.3f}"),
)

# A mean beyond it is that of what grows without bound, and decided by a single trial.
LARGEST = 1000


class Findings(NamedTuple):
    """A study and its results."""

    name: str
    parameters: Sequence[str]  # what was varied
    metrics: Mapping[str, Any]
    curves: pd.DataFrame
    trials: pd.DataFrame
    summary: pd.DataFrame

    @property
    def classifies(self) -> bool:
        """Whether its runs classify images."""
        return "test_accuracy" in self.curves


def drawn(found: Findings) -> dict[str, Figure]:
    """Draw the figures of a study by name."""
    parameters, source = found.parameters, found.metrics["source"]
    if not found.classifies:
        return {"threshold": threshold(_linear(found.trials), parameters)} if _rate(found) else {}
    attacked = (
        {"robustness": robustness(found.summary, parameters, found.metrics["classes"], source)}
        if epsilons(found.summary)
        else {}
    )
    return attacked | {
        "loss": bands(found.curves, parameters, source),
        "losses": against(found.summary, parameters, ("final_test_loss", "best_test_loss"), source),
        "accuracy": against(found.summary, parameters, ("final_test_accuracy", "best_test_accuracy"), source),
        "onset": onsets(found.trials, parameters, source),
    }


def page(findings: Sequence[Findings], figures: Mapping[str, str]) -> str:
    """Write the page.

    Args:
        findings: Of each study.
        figures: SVG by the study's name, a dash, and the name in `drawn`.
    """
    return (
        environment()
        .get_template("studies.html")
        .render(
            warning=warned(warning(found.metrics["source"]) for found in findings if found.classifies),
            studies=[
                {
                    "name": found.name,
                    "classifies": found.classifies,
                    "metrics": found.metrics,
                    "table": table(found),
                    "attacked": attacked(found),
                    "at": sharpest_attack(found),
                    "story": story(found) if found.classifies else None,
                    "crossings": crossings(found) if _rate(found) else [],
                }
                for found in findings
            ],
            figures=figures,
        )
    )


def table(found: Findings) -> Table:
    """Lay out a row for each setting: means with half their 95 % intervals, and how many overfit or diverge."""
    measured = {name for name in found.summary if found.summary[name].notna().any()}
    columns = [
        column for column in (CLASSIFIERS if found.classifies else REGRESSIONS) if f"{column[1]}_mean" in measured
    ]
    last = "overfit" if found.classifies else "diverge"
    rows = []
    for row in found.summary.to_dict("records"):
        cells = [written(row[name]) for name in found.parameters]
        for _, measure, words in columns:
            cells.append(_mean(row, measure, words))
        count = row["overfitting_epoch_seeds"] if found.classifies else row["diverged"]
        rows.append((*cells, f"{count:.0f} of {row['seeds']}"))
    return Table((*found.parameters, *(heading for heading, *_ in columns), last), rows)


def attacked(found: Findings) -> Table | None:
    """Lay out the accuracy under FGSM, a row for each ε and a column for each setting; None without attack."""
    names, settings = epsilons(found.summary), found.summary.to_dict("records")
    rows = [(name, *(_mean(row, f"accuracy_at_{name}", "{:.1%}") for row in settings)) for name in names]
    return Table(("ε", *(_named(found, row) for row in settings)), rows) if names else None


def sharpest_attack(found: Findings) -> dict[str, Any] | None:
    """Return the numbers of the sentence on the ε at which mean accuracies lie farthest apart; None without attack.

    Returns:
        `epsilon`, that ε; `measure`, its name in the summary; `most` and `least`, the rows of the summary.
    """
    means = found.summary.filter(regex="^accuracy_at_.*_mean$").dropna()
    if means.empty:
        return None
    measure = str((means.max() - means.min()).idxmax()).removesuffix("_mean")
    rows = sorted(found.summary.loc[means.index].to_dict("records"), key=lambda row: row[f"{measure}_mean"])
    return {
        "epsilon": measure.removeprefix("accuracy_at_"),
        "measure": measure,
        "least": rows[0],
        "most": rows[-1],
        "name": partial(_named, found),
    }


def story(found: Findings) -> dict[str, Any]:
    """Return the numbers of the paragraph on a study of classifiers.

    Returns:
        `first`, the setting that the others are compared with; `best` and `sharpest`, those with the lowest final
        test loss and with the highest final test accuracy; `name` by setting; `onsets` of the trials of the first;
        `calm`, in words, the settings none of whose trials overfits.
    """
    settings = found.summary.to_dict("records")
    ended = [row for row in settings if not pd.isna(row["final_test_loss_mean"])]
    trials = found.trials.merge(found.summary[found.parameters].head(1), on=found.parameters)
    epochs = trials["overfitting_epoch"].dropna()
    return {
        "first": settings[0],
        "best": min(ended, key=lambda row: row["final_test_loss_mean"]) if ended else None,
        "sharpest": max(ended, key=lambda row: row["final_test_accuracy_mean"]) if ended else None,
        "name": partial(_named, found),
        "onsets": [int(epochs.min()), float(epochs.median()), int(epochs.max()), len(epochs)] if len(epochs) else None,
        "calm": "; ".join(_calm(found)),
    }


def crossings(found: Findings) -> list[dict[str, Any]]:
    """Return the numbers of the paragraph on each series of learning rates; it has a threshold of its own.

    Returns:
        `label`, the series; `rate`, the parameter's name; `threshold`, 2/λmax; rows of the summary: `smallest`, that
        of the smallest rate; `least`, the one that hovers nearest to the optimum; `near`, that of the largest rate
        whose mean is below twice the optimum; `beyond`, that of the first rate above the threshold; `lost`, that of
        the smallest rate at which every trial diverges. None where there is no such.
    """
    parts = series(_linear(found.trials), found.parameters)
    return [{"label": label, **_crossing(found, part)} for label, part in parts]


def _crossing(found: Findings, trials: pd.DataFrame) -> dict[str, Any]:
    rate, measure = found.parameters[-1], "hovering_excess_over_least_squares_mean"
    limit = float(trials["stability_threshold"].iloc[0])
    chosen = found.summary.merge(trials[list(found.parameters)].drop_duplicates(), on=list(found.parameters))
    settings = sorted(chosen.to_dict("records"), key=lambda row: row[rate])
    ended = [row for row in settings if not row["diverged"]]
    return {
        "rate": rate,
        "threshold": limit,
        "smallest": settings[0],
        "least": min(ended, key=lambda row: row[measure], default=None),
        "near": max((row for row in ended if row[measure] < 1), key=lambda row: row[rate], default=None),
        "beyond": next((row for row in settings if row[rate] > limit), None),
        "lost": next((row for row in settings if row["diverged"] == row["seeds"]), None),
    }


def _linear(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of linear regressions; no other model has a stability threshold."""
    return trials[trials["stability_threshold"].notna()] if "stability_threshold" in trials else trials.head(0)


def _rate(found: Findings) -> bool:
    """Say whether a study of linear regressions varies the learning rate last."""
    return found.parameters[-1] == "learning_rate" and not _linear(found.trials).empty


def _named(found: Findings, row: Mapping[Any, Any]) -> str:
    """Name a setting."""
    return ", ".join(
        written(row[name]) if name == "run" else f"{name} = {written(row[name])}" for name in found.parameters
    )


def _calm(found: Findings) -> Iterator[str]:
    """Say of each series which of its settings have no trial that overfits."""
    last = found.parameters[-1]
    for label, part in series(found.summary, found.parameters):
        calm = part[part["final_test_loss_mean"].notna() & (part["overfitting_epoch_seeds"] == 0)]
        words = ", ".join(map(written, calm[last]))
        if words:
            yield f"{label + ', ' if label else ''}{words if last == 'run' else f'{last} = {words}'}"


def _mean(row: Mapping[Any, Any], measure: str, words: str) -> str:
    """Write a mean with half its interval."""
    mean, high = row[f"{measure}_mean"], row[f"{measure}_high"]
    if pd.isna(mean):
        return "–"
    if mean > LARGEST:
        return f"> {LARGEST:,.0f}×"
    if pd.isna(high) or high == mean:
        return words.format(mean)
    return f"{words.format(mean)} ± {words.format(high - mean)}"
