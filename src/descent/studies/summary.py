"""The tables of a study: its curves, its trials, and a summary of each setting over the seeds."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import fmean, median
from typing import Any

from descent.io.results import Metric, Value
from descent.io.study_schema import Study
from descent.studies.grid import Setting
from descent.studies.outcomes import Outcomes, Plan

# The measures in the summary of a study, by the data of its runs. The first ranks the settings: lower is better.
MEASURES: Mapping[str, Sequence[str]] = {
    "diabetes": (
        "hovering_excess_over_least_squares",
        "final_train_loss",
        "share_of_epochs_with_rising_train_loss",
        "learning_rate_over_threshold",
        "test_r2",
    ),
    "images": (
        "final_test_loss",
        "best_test_loss",
        "final_test_accuracy",
        "best_test_accuracy",
        "final_train_loss",
        "overfitting_epoch",
    ),
}


def curve_rows(plan: Plan, outcomes: Outcomes) -> Iterator[dict[str, Value]]:
    """Yield a row for each epoch of each trial: the setting, the seed, the losses and accuracies."""
    for name, (setting, trial) in plan.items():
        for epoch in outcomes.read(name).history:
            yield {**_cells(setting), "seed": trial.seed, **epoch}


def trial_rows(plan: Plan, outcomes: Outcomes) -> Iterator[dict[str, Value]]:
    """Yield a row for each trial: the setting, the seed, and every metric, None where the run lacks it."""
    metrics = {name: outcomes.read(name).metrics for name in plan}
    # A linear regression has metrics that another model on the same data lacks.
    absent = dict.fromkeys(metric for of_trial in metrics.values() for metric in of_trial)
    for name, (setting, trial) in plan.items():
        yield {**_cells(setting), "seed": trial.seed, **absent, **metrics[name]}


def summary_rows(plan: Plan, outcomes: Outcomes) -> list[dict[str, Value]]:
    """Summarise each setting over its seeds, a row each, without the trials that diverged.

    The columns `…_seeds`, `…_mean`, … are of each measure in `MEASURES`, and of the accuracies at each ε if the model
    was attacked: number of seeds, mean, median and interval; and mean and interval of the differences from the first
    setting, paired by seed. None where there are too few values.
    """
    settings = [
        (setting, {trial.seed: outcomes.read(name).metrics for name, (_, trial) in trials})
        for setting, trials in groupby(plan.items(), key=lambda item: item[1][0])
    ]
    _, first = settings[0]
    attacked = [measure for measure in next(iter(first.values())) if "accuracy_at_" in measure]
    rows = []
    for setting, metrics in settings:
        diverged = sum(of_seed["diverged"] for of_seed in metrics.values())
        row = {**_cells(setting), "seeds": len(metrics), "diverged": diverged}
        for measure in (*MEASURES[setting.run.data], *attacked):
            values, reference = _by_seed(metrics, measure), _by_seed(first, measure)
            differences = [value - reference[seed] for seed, value in values.items() if seed in reference]
            row[f"{measure}_seeds"] = len(values)
            row[f"{measure}_mean"] = fmean(values.values()) if values else None
            row[f"{measure}_median"] = median(values.values()) if values else None
            row[f"{measure}_low"], row[f"{measure}_high"] = interval(list(values.values()))
            row[f"{measure}_difference"] = fmean(differences) if differences else None
            row[f"{measure}_difference_low"], row[f"{measure}_difference_high"] = interval(differences)
        rows.append(row)
    return rows


def study_metrics(
    study: Study, plan: Plan, summary: Sequence[Mapping[str, Value]], data: Mapping[str, Any], device: str
) -> dict[str, Metric]:
    """Return the metrics of a study, from its `summary_rows` and the content `data` of metrics/data.json."""
    images = study.data == "images"
    return {
        "runs": ", ".join(study.runs),
        "source": data["source"] if images else study.data,
        "classes": data["classes"] if images else None,
        "device": device,
        "settings": len(summary),
        "seeds": study.seeds,
        "trials": len(plan),
        "diverged": sum(int(row["diverged"] or 0) for row in summary),
    }


def interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the 95 % confidence interval of the mean by Student's t; None, None for fewer than two values.

    m ± t₀.₉₇₅(n − 1) · s / √n, with the standard deviation s of n values (Student 1908, Biometrika 6).
    """
    if len(values) < 2:
        return None, None
    from scipy import stats  # imported here as it takes a second, and checking a study does not need it

    mean, error = fmean(values), stats.sem(values)
    half = float(stats.t.ppf(0.975, len(values) - 1) * error)
    return mean - half, mean + half


def _by_seed(metrics: Mapping[int, Mapping[str, Any]], measure: str) -> dict[int, float]:
    """Return a measure by seed, without the trials that diverged or do not have it."""
    values = {seed: of_seed.get(measure) for seed, of_seed in metrics.items() if not of_seed["diverged"]}
    return {seed: value for seed, value in values.items() if value is not None}


def _cells(setting: Setting) -> dict[str, Value]:
    """Return the values of a setting as cells of a table."""
    return {name: value if isinstance(value, int | float) else str(value) for name, value in setting.values.items()}
