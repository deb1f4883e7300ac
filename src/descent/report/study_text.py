"""The paragraphs of the page that describe the results of a study."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from descent.report.study_results import StudyResults, format_value

LOSS, ACCURACY, EXCESS = "final_test_loss", "final_test_accuracy", "hovering_excess_over_least_squares"


def paragraphs(study: StudyResults) -> Iterator[str]:
    """Yield the paragraphs on a study: classifiers, learning rates of linear regressions, accuracy under attack."""
    if study.classifies:
        yield from _classifiers(study)
    if study.varies_learning_rate:
        yield from _learning_rates(study)
    yield from _attack(study)


def _classifiers(study: StudyResults) -> Iterator[str]:
    """Compare the best settings with the first one; nothing if no setting has a finite loss."""
    settings = study.summary.to_dict("records")
    finite = [row for row in settings if not pd.isna(row[f"{LOSS}_mean"])]
    if finite:
        first = settings[0]
        yield " ".join(
            [
                _first_loss(study, first),
                _lowest_loss(study, min(finite, key=lambda row: row[f"{LOSS}_mean"]), first),
                _highest_accuracy(study, max(finite, key=lambda row: row[f"{ACCURACY}_mean"]), first),
                _without_overfitting(study),
                "The test set was monitored to say this, so the best setting’s numbers are a little too good; "
                "no weights were chosen by them.",
            ]
        )


def _first_loss(study: StudyResults, first: Mapping[Any, Any]) -> str:
    trials = study.trials.merge(study.summary[study.parameters].head(1), on=study.parameters)
    epochs = trials["overfitting_epoch"].dropna()
    overfit = ""
    if len(epochs):
        overfit = (
            f"; {len(epochs)} of {first['seeds']} trials overfit, from epoch {epochs.median():g} in the median "
            f"({epochs.min():.0f} to {epochs.max():.0f})"
        )
    return f"With {study.setting(first)} the test loss ends at {first[f'{LOSS}_mean']:.3f} on average{overfit}."


def _lowest_loss(study: StudyResults, best: Mapping[Any, Any], first: Mapping[Any, Any]) -> str:
    paired = ""
    if best is not first and not pd.isna(best[f"{LOSS}_difference_low"]):
        difference, low, high = (_signed(best[f"{LOSS}_difference{end}"], ".3f") for end in ("", "_low", "_high"))
        paired = f": a paired difference of {difference} ({low} to {high})"
    return f"It ends lowest with {study.setting(best)}, at {best[f'{LOSS}_mean']:.3f}{paired}."


def _highest_accuracy(study: StudyResults, best: Mapping[Any, Any], first: Mapping[Any, Any]) -> str:
    paired = ""
    if best is not first and not pd.isna(best[f"{ACCURACY}_difference_low"]):
        ends = ("", "_low", "_high")
        difference, low, high = (_signed(100 * best[f"{ACCURACY}_difference{end}"], ".2f") for end in ends)
        paired = f", a paired difference of {difference} points ({low} to {high})"
    return (
        f"The test accuracy at the end is highest with {study.setting(best)}, {100 * best[f'{ACCURACY}_mean']:.2f} % "
        f"against {100 * first[f'{ACCURACY}_mean']:.2f} %{paired}."
    )


def _without_overfitting(study: StudyResults) -> str:
    """Name the settings without overfitting trials."""
    last, settings = study.parameters[-1], list[str]()
    for series, rows in study.series(study.summary):
        calm = rows[rows[f"{LOSS}_mean"].notna() & (rows["overfitting_epoch_seeds"] == 0)]
        if values := ", ".join(map(format_value, calm[last])):
            settings.append(f"{f'{series}, ' if series else ''}{values if last == 'run' else f'{last} = {values}'}")
    return f"No trial overfits with {'; '.join(settings)}." if settings else "With every setting some trial overfits."


def _learning_rates(study: StudyResults) -> Iterator[str]:
    """Compare the learning rates of each series with its stability threshold; nothing where every setting diverges."""
    for series, trials in study.series(study.linear_trials):
        rows = study.summary.merge(trials[study.parameters].drop_duplicates(), on=study.parameters)
        settings = sorted(rows.to_dict("records"), key=lambda row: row["learning_rate"])
        finite = [row for row in settings if not row["diverged"]]
        if finite:
            yield " ".join(
                [
                    f"With {series}: over" if series else "Over",
                    _nearest_to_optimum(settings[0], finite),
                    _beyond_threshold(settings, float(trials["stability_threshold"].iloc[0])),
                ]
            )


def _nearest_to_optimum(smallest: Mapping[Any, Any], finite: Sequence[Mapping[Any, Any]]) -> str:
    nearest = min(finite, key=lambda row: row[f"{EXCESS}_mean"])
    below_twice = [row["learning_rate"] for row in finite if row[f"{EXCESS}_mean"] < 1]
    still = f", and up to {max(below_twice):g} ends below twice the optimum" if below_twice else ""
    return (
        f"the second half of the epochs the loss is nearest to the optimum at the rate {nearest['learning_rate']:g}: "
        f"{100 * nearest[f'{EXCESS}_mean']:.2g} % above it on average. A smaller rate has not arrived yet "
        f"({100 * smallest[f'{EXCESS}_mean']:.3g} % at {smallest['learning_rate']:g}); a larger one is kept away by "
        f"the noise of the batches{still}."
    )


def _beyond_threshold(settings: Sequence[Mapping[Any, Any]], threshold: float) -> str:
    """Describe the first learning rate above the threshold, and the first at which every seed diverges."""
    above = next((row for row in settings if row["learning_rate"] > threshold), None)
    lost = next((row for row in settings if row["diverged"] == row["seeds"]), None)
    sentence = f"The threshold beyond which full-batch descent diverges, 2/λmax, is {threshold:.4f}"
    if above and not pd.isna(above[f"{EXCESS}_median"]):
        excess = f"{above[f'{EXCESS}_median']:.2g} times the optimum"
        sentence += f": at {above['learning_rate']:g} the excess is {excess} in the median"
    if lost:
        sentence += f"; at {lost['learning_rate']:g} every seed ends in no finite number"
    return f"{sentence}."


def _attack(study: StudyResults) -> Iterator[str]:
    """Describe the ε at which the mean accuracies of the settings differ most; nothing without an attack."""
    means = study.summary.filter(regex="^accuracy_at_.*_mean$").dropna()
    if not means.empty:
        widest = str((means.max() - means.min()).idxmax())
        rows = sorted(study.summary.loc[means.index].to_dict("records"), key=lambda row: row[widest])
        (least, lowest), (most, highest) = ((study.setting(row), 100 * row[widest]) for row in (rows[0], rows[-1]))
        yield (
            "Moved by the sign of the loss’s gradient (FGSM), images tell the settings apart most at "
            f"ε = {widest.removeprefix('accuracy_at_').removesuffix('_mean')}: with {most}, {highest:.1f} % of the "
            f"test images are still classified correctly on average, with {least}, {lowest:.1f} %."
        )


def _signed(number: float, digits: str) -> str:
    """Format a number with a minus sign, not a hyphen."""
    return f"{number:{digits}}".replace("-", "−")
