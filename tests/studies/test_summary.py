"""The summary of a study is what scipy says: paired by seed, without the trials that diverged."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from descent.io.run_schema import Run
from descent.io.schema import Params
from descent.studies.summary import interval, study_metrics, summary_rows, trial_rows
from tests.studies.test_outcomes import Engine, completed, planned, run, study_of

__all__ = ["run"]


def test_the_summary_of_a_study_is_what_scipy_says(data: tuple[Path, str], run: Run, params: Params) -> None:
    plan = planned(run, params, data[1], 0.001, 0.01, 1e5, seeds=5)
    outcomes, _ = completed(plan, Engine(data[0]))
    table = pd.DataFrame(trial_rows(plan, outcomes))
    first, second, last = summary_rows(plan, outcomes)
    measure = "final_train_loss"
    of = {rate: part[measure].to_numpy() for rate, part in table.groupby("learning_rate")}
    low, high = stats.t.interval(0.95, 4, of[0.01].mean(), stats.sem(of[0.01]))
    assert second["learning_rate"] == 0.01
    assert (second["seeds"], second["diverged"], second[f"{measure}_seeds"]) == (5, 0, 5)
    assert second[f"{measure}_mean"] == pytest.approx(of[0.01].mean(), rel=1e-12)
    assert second[f"{measure}_median"] == pytest.approx(np.median(of[0.01]), rel=1e-12)
    assert (second[f"{measure}_low"], second[f"{measure}_high"]) == pytest.approx((low, high), rel=1e-9)
    paired = stats.ttest_rel(of[0.01], of[0.001]).confidence_interval(0.95)
    found = (second[f"{measure}_difference_low"], second[f"{measure}_difference_high"])
    assert found == pytest.approx((paired.low, paired.high), rel=1e-9)
    assert first[f"{measure}_difference"] == 0
    assert last["diverged"] == 5
    assert {value for name, value in last.items() if name.startswith(measure)} == {0, None}


def test_one_value_has_no_interval() -> None:
    assert interval([1.0]) == (None, None)
    assert interval([2.0, 2.0]) == (2.0, 2.0)


def test_the_metrics_of_a_study_count_its_trials(data: tuple[Path, str], run: Run, params: Params) -> None:
    study, plan = study_of(0.01, 1e5), planned(run, params, data[1], 0.01, 1e5)
    outcomes, _ = completed(plan, Engine(data[0]))
    metrics = study_metrics(study, plan, summary_rows(plan, outcomes), {"source": "drawn", "classes": 10}, "cpu")
    assert metrics == {"runs": "r", "source": "diabetes", "classes": None, "device": "cpu"} | {
        "settings": 2,
        "seeds": 3,
        "trials": 6,
        "diverged": 3,
    }
    images = study.model_copy(update={"data": "images"})
    of_images = study_metrics(images, plan, [], {"source": "drawn", "classes": 10}, "cuda")
    assert (of_images["source"], of_images["classes"], of_images["device"]) == ("drawn", 10, "cuda")
