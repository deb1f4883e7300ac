"""The page of the studies says what their trials measured, each model and each batch size by itself."""

import re
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from descent.io.results import save_table
from descent.io.run_schema import MLP, Run
from descent.io.schema import Params
from descent.io.study_schema import Study
from descent.report.bounds_tables import BoundTables
from descent.report.study_figures import against_parameter, study_figures
from descent.report.study_page import paragraphs, studies_page, summary_table
from descent.report.study_results import StudyResults
from descent.report.style import svg
from descent.studies.grid import settings
from descent.studies.outcomes import Outcomes, planned_trials
from descent.studies.summary import curve_rows, summary_rows, trial_rows
from descent.studies.trials import perform
from stages.publish import WORDS
from tests.imports import CLASSIFIERS

NO_BOUNDS = BoundTables({}, {}, {}, {})
BENT = {"model": MLP(kind="mlp", hidden=[3])}
Found = Callable[[dict[str, Run], dict[str, list[Any]]], StudyResults]


@pytest.fixture
def found(data: tuple[Path, str], params: Params) -> Found:
    """Return a function that performs a study of two seeds and reads its tables as `publish` does."""
    folder, digest = data

    def engine(missing: Any) -> Any:  # noqa: ANN401
        yield from ((key, perform(trial, folder, folder.parent / "kept")) for key, trial in missing.items())

    def found(runs: dict[str, Run], grid: dict[str, list[Any]]) -> StudyResults:
        study = Study(data="diabetes", runs=list(runs), seeds=2, grid=grid, epsilons=[])
        chosen = settings("s", study, runs)
        planned = planned_trials(chosen, range(2), params.evaluation, 1, digest)
        outcomes = Outcomes(folder.parent / "outcomes", {})
        outcomes.complete(outcomes.missing(planned), engine, lambda: None)
        written = {"curves": curve_rows(planned, outcomes), "trials": trial_rows(planned, outcomes)}
        written |= {"summary": iter(summary_rows(planned, outcomes))}
        for kind, content in written.items():
            save_table(folder.parent / f"{kind}.csv", content)
        tables = [pd.read_csv(folder.parent / f"{kind}.csv", **WORDS) for kind in written]
        metrics = {"source": "diabetes", "classes": None, "runs": ", ".join(runs), "settings": len(chosen)}
        return StudyResults("s", study.varied, metrics | {"seeds": 2, "trials": len(planned), "diverged": 0}, *tables)

    return found


def words(study: StudyResults) -> str:
    figures = {f"{study.name}-{name}": svg(figure) for name, figure in study_figures(study, {}).items()}
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", studies_page([study], NO_BOUNDS, figures).partition("<main")[2]))


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_names_of_runs_are_wrapped_at_dashes_only(count: int) -> None:
    names, measures = list(CLASSIFIERS[-count:]), ("final_test_loss", "best_test_loss")
    summary = pd.DataFrame({"run": names} | {f"{m}_{end}": 0.3 for m in measures for end in ("mean", "low", "high")})
    study = StudyResults("s", ["run"], {"source": "fashion-mnist"}, summary, summary, summary)
    labels = [label.get_text() for label in against_parameter(study, measures).axes[0].get_xticklabels()]
    assert [label.replace("-\n", "-") for label in labels] == names


@pytest.fixture
def linear(params: Params) -> Run:
    return params.train["regression-lr-1e-2"].model_copy(update={"epochs": 4})


def test_each_batch_size_has_the_threshold_of_its_own(found: Found, linear: Run) -> None:
    study = found({"r": linear}, {"batch_size": [4, 8], "learning_rate": [0.001, 0.002]})
    limits = study.trials.groupby("batch_size")["stability_threshold"].first()
    assert limits[4] == pytest.approx(2 * limits[8], rel=1e-4)
    (axes,) = study_figures(study, {})["threshold"].axes
    labels, said = [str(line.get_label()) for line in axes.lines], words(study)
    assert sum("λmax" in label for label in labels) == 2
    for size in (4, 8):
        assert f"batch size {size}: 2/λmax = {limits[size]:.4f}" in labels
        assert re.search(rf"With batch size {size}: over the second half .* 2/λmax, is {limits[size]:.4f}", said)


def test_another_model_beside_a_linear_regression_has_no_threshold(found: Found, linear: Run) -> None:
    study = found({"bent": linear.model_copy(update=BENT), "straight": linear}, {"learning_rate": [0.001, 0.002]})
    assert study.trials.set_index("run")["stability_threshold"].isna().to_dict() == {"bent": True, "straight": False}
    (axes,) = study_figures(study, {})["threshold"].axes
    labels = [str(line.get_label()) for line in axes.lines]
    assert not any("bent" in label for label in labels)
    assert words(study).count("2/λmax, is") == sum("λmax" in label for label in labels) == 1
    cells = {(row[0], row[1]): row for row in summary_table(study).rows}
    assert [cells["bent", rate][2:4] for rate in ("0.001", "0.002")] == [("–", "–")] * 2
    assert "–" not in cells["straight", "0.001"][2:4]


def test_a_study_of_another_model_alone_has_its_table_and_no_threshold(found: Found, linear: Run) -> None:
    study = found({"bent": linear.model_copy(update=BENT)}, {"learning_rate": [0.001, 0.002]})
    assert study_figures(study, {}) == {}
    assert summary_table(study).header == ("learning_rate", "epochs that rise", "R²", "diverge")
    assert "λmax" not in words(study)


def test_a_mean_that_explodes_is_not_written_with_all_its_digits(found: Found, linear: Run) -> None:
    study = found({"linear": linear}, {"learning_rate": [0.001, 2.0]})
    assert study.summary["test_r2_mean"].iloc[-1] < -1e6
    header, rows = summary_table(study)
    cells = dict(zip(header, rows[-1], strict=True))
    assert (cells["hovers above the optimum"], cells["R²"]) == ("> 1,000×", "< −1,000")


def test_names_that_look_like_numbers_come_back_as_they_are(found: Found, linear: Run) -> None:
    names = ("0x10", "1-2", "none", "na")
    runs = {name: linear.model_copy(update={"batch_size": 4 + place}) for place, name in enumerate(names)}
    study = found(runs, {"schedule": ["constant", "linear"]})
    assert list(study.summary["run"].unique()) == list(runs)
    assert [row[0] for row in summary_table(study).rows[::2]] == list(runs)


EPOCHS = pd.DataFrame({"weight_decay": [0.0, 0.0, 0.1], "overfitting_epoch": [12.0, 17.0, nan]})


def setting(decay: float, loss: float, accuracy: float, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a row of the summary, made up; differences are from 0.5 and 0.8."""
    made: dict[str, Any] = {"weight_decay": decay, "seeds": 2, "overfitting_epoch_seeds": 2}
    for measure, mean, first in (("final_test_loss", loss, 0.5), ("final_test_accuracy", accuracy, 0.8)):
        difference = mean - first
        made |= {f"{measure}_mean": mean, f"{measure}_difference": difference}
        made |= {f"{measure}_difference_low": difference - 0.01, f"{measure}_difference_high": difference + 0.01}
    return made | changes


def study(*settings: dict[str, Any]) -> StudyResults:
    curves = pd.DataFrame({"test_accuracy": [0.5]})
    return StudyResults("decay", ["weight_decay"], {}, curves, EPOCHS, pd.DataFrame(settings))


NO_INTERVAL = {f"final_test_{m}_difference_{end}": nan for m in ("loss", "accuracy") for end in ("low", "high")}


BEST = setting(0.1, 0.4, 0.9, overfitting_epoch_seeds=0)


@pytest.mark.parametrize(
    ("second", "expected", "paired"),
    [
        (BEST, "at 0.500 on average; 2 of 2 trials overfit, from epoch 14.5 in the median (12 to 17).", 2),
        (BEST, "lowest with weight_decay = 0.1, at 0.400: a paired difference of −0.100 (−0.110 to −0.090).", 2),
        (BEST, "= 0.1, 90.00 % against 80.00 %, a paired difference of 10.00 points (9.00 to 11.00).", 2),
        (BEST, "No trial overfits with weight_decay = 0.1.", 2),
        (setting(0.1, 0.6, 0.7), "With every setting some trial overfits.", 0),  # the first is not compared with itself
        (setting(0.1, 0.4, 0.9, **NO_INTERVAL), "at 0.400. The test accuracy", 0),
    ],
)
def test_the_best_settings_are_compared_with_the_first(second: dict[str, Any], expected: str, paired: int) -> None:
    (said,) = paragraphs(study(setting(0.0, 0.5, 0.8), second))
    assert expected in said
    assert said.count("paired") == paired


def test_the_attack_that_tells_settings_apart_most_is_reported() -> None:
    first = setting(0.0, 0.5, 0.8, **{"accuracy_at_0_mean": 0.9, "accuracy_at_0.1_mean": 0.2})
    second = setting(0.1, 0.4, 0.9, **{"accuracy_at_0_mean": 0.8, "accuracy_at_0.1_mean": 0.6})
    _, said = paragraphs(study(first, second))
    assert "most at ε = 0.1: with weight_decay = 0.1, 60.0 % of the test images" in said
    assert said.endswith("with weight_decay = 0, 20.0 %.")
    assert paragraphs(study(setting(0.0, nan, nan))) == []  # all trials diverged
