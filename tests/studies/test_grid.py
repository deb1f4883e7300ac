"""A study is a grid of the run's own parameters, refused with its mistakes before anything is trained."""

from pathlib import Path
from typing import Any

import pytest

from descent.io.errors import ParamsError
from descent.io.schema import Params
from descent.studies.grid import Study, load_studies, settings
from tests.imports import ROOT


def study(*runs: str, data: str = "images", **grid: list[Any]) -> Study:
    """Make a study; __ in a parameter's name stands for the dot."""
    return Study.model_validate(
        {
            "runs": list(runs) or ["mlp"],
            "data": data,
            "seeds": 2,
            "grid": {name.replace("__", "."): values for name, values in grid.items()},
            "epsilons": [],
        }
    )


def test_a_grid_is_every_combination_in_the_order_of_the_file(params: Params) -> None:
    run = params.train["mlp"]
    made = settings("s", study(optimizer=["adam", "adamw"], model__hidden=[[5], [7]]), params.train)
    assert [(setting.run.optimizer, setting.run.model.model_dump()["hidden"]) for setting in made] == [
        ("adam", [5]),
        ("adam", [7]),
        ("adamw", [5]),
        ("adamw", [7]),
    ]
    unchanged = {"optimizer", "model"}
    assert all(setting.run.model_dump(exclude=unchanged) == run.model_dump(exclude=unchanged) for setting in made)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"weight_decay": [0.1, -1.0]}, "weight_decay = -1.0: Input should be greater than or equal to 0"),
        ({"weigth_decay": [0.1]}, "weigth_decay: no such parameter of a run"),
        ({"model__hidden": [[0]]}, "model.hidden = [0]: Input should be greater than 0"),
        ({"model__hidden__0": [7]}, "model.hidden.0: no such parameter of a run"),
        ({"optimizer": ["adagrad"]}, "optimizer = 'adagrad': Input should be 'sgd', 'adam' or 'adamw'"),
        ({"epochs": [3, 3]}, "epochs: the same value twice, to six digits"),
        ({"learning_rate": [0.01, 0.01000000001]}, "learning_rate: the same value twice, to six digits"),
        (
            {"model": [{"kind": "mlp", "hidden": [10]}], "model__hidden": [[50]]},
            "model.hidden: a part of model; vary one of the two",
        ),
        ({"learning_rate": ["fast"]}, "learning_rate = 'fast': Input should be a valid number"),
    ],
)
def test_a_mistake_in_a_grid_is_told_with_its_name(params: Params, grid: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError) as caught:
        settings("wide", study(**grid), params.train)
    assert str(caught.value) == f"studies.yaml: studies.wide.grid.{said}"


def test_several_runs_are_settings_too(params: Params) -> None:
    made = settings("s", study("mlp", "convnet", weight_decay=[0.0, 0.1]), params.train)
    assert [dict(setting.values) for setting in made] == [
        {"run": run, "weight_decay": weight_decay} for run in ("mlp", "convnet") for weight_decay in (0.0, 0.1)
    ]
    assert [setting.run.model.kind for setting in made] == ["mlp", "mlp", "convnet", "convnet"]
    (alone,) = settings("s", study("convnet"), params.train)
    assert (dict(alone.values), alone.run) == ({"run": "convnet"}, params.train["convnet"])


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (("mlp", "mlp"), r"studies\.s\.runs: mlp twice"),
        (("mlp", "mpl"), "studies.s.runs: params.yaml has no run 'mpl' under train; it has regression-lr-1e-4, "),
        (("mlp", "regression-lr-1e-2"), r"studies\.s\.data: the run regression-lr-1e-2 is trained on other data"),
    ],
)
def test_a_mistake_in_the_runs_is_told(params: Params, runs: tuple[str, ...], said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        settings("s", study(*runs), params.train)


@pytest.mark.parametrize(
    ("data", "epsilons", "said"),
    [
        ("diabetes", [0.1], "epsilons must be []; the diabetes data has no images to attack"),
        ("images", [0.2, 0.1], "epsilons must increase from each value to the next, to six digits"),
        ("images", [0.1234567, 0.1234568], "epsilons must increase from each value to the next, to six digits"),
        ("images", [1.5], "epsilons.0: Input should be less than or equal to 1 (got 1.5)"),
    ],
)
def test_an_epsilon_that_cannot_be_is_told(tmp_path: Path, data: str, epsilons: list[float], said: str) -> None:
    path = tmp_path / "studies.yaml"
    path.write_text(
        f"studies:\n  a: {{data: {data}, runs: [mlp], seeds: 5, grid: {{}}, epsilons: {epsilons}}}\n", encoding="utf-8"
    )
    with pytest.raises(ParamsError) as caught:
        load_studies(path)
    assert said in str(caught.value)


def test_two_settings_that_are_the_same_run_are_refused(params: Params) -> None:
    both = study("mlp", "mlp-weight-decay", weight_decay=[0.0, 0.001])
    with pytest.raises(ParamsError) as caught:
        settings("s", both, params.train)
    assert str(caught.value) == (
        "studies.yaml: studies.s: the same run twice: run = mlp, weight_decay = 0.0; and run = mlp-weight-decay, "
        "weight_decay = 0.0; leave one out"
    )


def test_mistakes_are_told_all_at_once(params: Params) -> None:
    with pytest.raises(ParamsError) as caught:
        settings("wide", study(weight_decay=[-1.0, -2.0], epochs=[0]), params.train)
    assert len(str(caught.value).splitlines()) == 3


def test_the_data_of_a_study_are_its_runs(params: Params) -> None:
    with pytest.raises(ParamsError, match=r"studies\.s\.data: the run mlp is trained on other data"):
        settings("s", study(data="diabetes", epochs=[1]), params.train)


def test_a_grid_beyond_all_reason_is_refused_before_it_is_laid_out(params: Params) -> None:
    wide: dict[str, Any] = {name: list(range(1, 1001)) for name in ("epochs", "batch_size", "learning_rate")}
    with pytest.raises(ParamsError, match="1,000,000,000 settings"):
        settings("s", study(**wide), params.train)


def test_a_mistake_in_the_file_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "studies.yaml"
    path.write_text("studies:\n  a:\n    data: diabetes\n    seed: 5\n    runs: []\n", encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load_studies(path)
    assert f"{path}:4:5: studies.a.seed: no such parameter; did you mean seeds?" in str(caught.value)
    assert f"{path}:5:5: studies.a.runs" in str(caught.value)


def test_a_study_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(ParamsError, match="there is no study 'x'; there are weight-decay, classifiers, learning-rate"):
        load_studies(ROOT / "studies.yaml")["x"]


def test_the_studies_of_the_project_fit_its_runs(params: Params) -> None:
    studies = load_studies(ROOT / "studies.yaml")
    counts = {name: len(settings(name, each, params.train)) for name, each in studies.items()}
    assert counts["weight-decay"] >= 8
    assert counts["learning-rate"] >= 25
    assert [studies[name].seeds for name in ("weight-decay", "learning-rate")] == [5, 20]
