"""Trials are runs; each is performed once, and its outcome is kept."""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from descent.io.dependencies import md5
from descent.io.errors import DataError
from descent.io.results import save_table
from descent.io.run_schema import Run
from descent.io.schema import Params
from descent.io.study_schema import Study
from descent.studies.engine import Failure
from descent.studies.grid import settings
from descent.studies.outcomes import Outcomes, Plan, planned_trials, record, recorded
from descent.studies.summary import curve_rows, trial_rows
from descent.studies.trials import Trial, key, parsed, perform


@pytest.fixture
def run(params: Params) -> Run:
    return params.train["regression-lr-1e-2"].model_copy(update={"epochs": 6})


def study_of(*rates: float, seeds: int = 3) -> Study:
    """Return a study of learning rates."""
    return Study(data="diabetes", runs=["r"], seeds=seeds, grid={"learning_rate": list(rates)}, epsilons=[])


def planned(run: Run, params: Params, digest: str, *rates: float, seeds: int = 3) -> Plan:
    """Plan a study of learning rates."""
    study = study_of(*rates, seeds=seeds)
    return planned_trials(settings("s", study, {"r": run}), range(seeds), params.evaluation, 1, digest)


class Engine:
    """Performs trials in this process, notes them, and fails those with a seed."""

    def __init__(self, data: Path, failing: int | None = None) -> None:
        self.data, self.failing, self.performed = data, failing, list[tuple[float, int]]()

    def __call__(self, missing: Mapping[str, Trial]) -> Generator[tuple[str, bytes | Failure]]:
        """Perform them."""
        for name, trial in missing.items():
            self.performed.append((trial.run.learning_rate, trial.seed))
            failed = Failure("no") if trial.seed == self.failing else None
            yield name, failed or perform(trial, self.data, self.data.parent / "kept")


def completed(plan: Plan, engine: Engine) -> tuple[Outcomes, dict[str, Failure]]:
    outcomes, progress = Outcomes(engine.data.parent / "outcomes", {}), list[str]()
    missing = outcomes.missing(plan)
    failed = outcomes.complete(missing, engine, lambda: progress.append("one more"))
    assert len(progress) == len(missing)
    return outcomes, failed


def test_a_study_that_grows_performs_only_what_is_new(data: tuple[Path, str], run: Run, params: Params) -> None:
    folder, digest = data
    first, wider = planned(run, params, digest, 0.01, seeds=2), planned(run, params, digest, 0.01, 0.02, seeds=3)
    engine = Engine(folder)
    completed(first, engine)
    assert engine.performed == [(0.01, 0), (0.01, 1)]
    outcomes, failed = completed(wider, again := Engine(folder))
    assert again.performed == [(0.01, 2), (0.02, 0), (0.02, 1), (0.02, 2)]
    assert not failed
    assert not (folder.parent / "kept").exists() or not list((folder.parent / "kept").iterdir())
    told = [(row["learning_rate"], row["seed"], row["epoch"]) for row in curve_rows(wider, outcomes)]
    assert told == [(rate, seed, epoch) for rate in (0.01, 0.02) for seed in range(3) for epoch in range(1, 7)]
    assert [row["seed"] for row in trial_rows(wider, outcomes)] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"trial": "other", "metrics": {}, "history": []}'])
def test_a_damaged_outcome_is_made_anew(data: tuple[Path, str], run: Run, params: Params, content: bytes) -> None:
    folder, digest = data
    plan = planned(run, params, digest, 0.01, seeds=2)
    outcomes, _ = completed(plan, Engine(folder))
    (damaged, _), *_ = plan.items()
    whole = (path := folder.parent / "outcomes" / f"{damaged}.json").read_bytes()
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        parsed(damaged, content)
    completed(plan, again := Engine(folder))
    assert again.performed == [(0.01, 0)]
    assert path.read_bytes() == whole
    assert outcomes.read(damaged) == parsed(damaged, whole)


def test_a_finished_study_is_read_from_its_tables(data: tuple[Path, str], run: Run, params: Params) -> None:
    plan, tables = planned(run, params, data[1], 0.01, 0.02, seeds=2), data[0].parent / "tables"
    outcomes, _ = completed(plan, Engine(data[0]))
    assert recorded(tables, None) == {}
    record(tables, plan, outcomes)
    save_table(tables / "curves.csv", curve_rows(plan, outcomes))
    assert recorded(tables, None) == {}  # DVC knows nothing of them
    again = Outcomes(tables / "none", recorded(tables, digest := md5(tables)))
    assert again.missing(plan) == {}
    assert [again.read(name).metrics for name in plan] == [outcomes.read(name).metrics for name in plan]
    curves = (tables / "curves.csv").read_text(encoding="utf-8")
    save_table(tables / "curves.csv", curve_rows(plan, again))
    assert (tables / "curves.csv").read_text(encoding="utf-8") == curves
    (tables / "curves.csv").write_text(curves.rstrip("\n").rpartition("\n")[0], encoding="utf-8")
    assert recorded(tables, digest) == {}


def test_a_trial_that_fails_stops_no_other_and_is_tried_again(data: tuple[Path, str], run: Run, params: Params) -> None:
    folder, digest = data
    plan = planned(run, params, digest, 0.01)
    _, failed = completed(plan, Engine(folder, failing=1))
    assert [(plan[name][1].seed, why) for name, (why,) in failed.items()] == [(1, "no")]
    _, failed = completed(plan, again := Engine(folder))
    assert (again.performed, failed) == ([(0.01, 1)], {})


def test_a_trials_name_changes_with_all_that_it_depends_on(run: Run, params: Params) -> None:
    ((setting, trial),) = planned(run, params, "d", 0.01, seeds=1).values()
    others: dict[str, Any] = {
        "run": run.model_copy(update={"epochs": 7}),
        "seed": 1,
        "evaluation": params.evaluation.model_copy(update={"batch_size": 7}),
        "threads": 2,
        "sha256_data": "e",
        "epsilons": [0.1],
    }
    assert others.keys() == set(trial._fields)
    names = [*planned_trials([setting], [0], *trial[2:])]
    assert names == [key(trial)]
    names += [key(trial._replace(**{changed: other})) for changed, other in others.items()]
    assert len(set(names)) == 7
