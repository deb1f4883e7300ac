"""A study is a grid of the run's own parameters, refused with its mistakes before anything is trained."""

import json
from pathlib import Path
from typing import Any

import pytest

from descent.io.errors import ParamsError
from descent.io.schema import Params
from descent.io.study_schema import Studies, Study, load_studies
from descent.studies.grid import check_studies, settings
from tests.imports import ROOT

SINGLE = {
    "autoattack": {"epsilons": [0.1]},
    "verification": {"runs": ["mlp"], "epsilons": [0.01], "images": 1, "seconds": 1.0},
}
CLASSIFIER = {"data": "images", "runs": ["mlp"], "seeds": 2, "grid": {}, "epsilons": []}


def study(*runs: str, **grid: list[Any]) -> Study:
    """Make a study of classifiers; __ in a parameter's name stands for the dot."""
    values = {name.replace("__", "."): values for name, values in grid.items()}
    return Study.model_validate(CLASSIFIER | {"runs": list(runs) or ["mlp"], "grid": values})


def test_a_grid_is_every_combination_in_the_order_of_the_file(params: Params) -> None:
    run = params.train["mlp"]
    made = settings("s", study(optimizer=["adam", "adamw"], model__hidden=[[5], [7]]), params.train)
    found = [(setting.run.optimizer, setting.run.model.model_dump()["hidden"]) for setting in made]
    assert found == [("adam", [5]), ("adam", [7]), ("adamw", [5]), ("adamw", [7])]
    unchanged = {"optimizer", "model"}
    assert all(setting.run.model_dump(exclude=unchanged) == run.model_dump(exclude=unchanged) for setting in made)


def test_several_runs_are_settings_too(params: Params) -> None:
    made = settings("s", study("mlp", "convnet", weight_decay=[0.0, 0.1]), params.train)
    assert [dict(setting.values) for setting in made] == [
        {"run": run, "weight_decay": weight_decay} for run in ("mlp", "convnet") for weight_decay in (0.0, 0.1)
    ]
    assert [setting.run.model.kind for setting in made] == ["mlp", "mlp", "convnet", "convnet"]
    (alone,) = settings("s", study("convnet"), params.train)
    assert (dict(alone.values), alone.run) == ({"run": "convnet"}, params.train["convnet"])


WIDE: dict[str, Any] = {name: list(range(1, 1001)) for name in ("epochs", "batch_size", "learning_rate")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grid": {"weight_decay": [0.1, -1.0]}}, ".grid.weight_decay = -1.0: Input should be greater than or equal"),
        ({"grid": {"weigth_decay": [0.1]}}, ".grid.weigth_decay: no such parameter of a run"),
        ({"grid": {"model.hidden.0": [7]}}, ".grid.model.hidden.0: no such parameter of a run"),
        ({"grid": {"learning_rate": ["fast"]}}, ".grid.learning_rate = 'fast': Input should be a valid number"),
        ({"grid": {"epochs": [3, 3]}}, ".grid.epochs: the same value twice, to six digits"),
        ({"grid": {"learning_rate": [0.01, 0.01000000001]}}, ".grid.learning_rate: the same value twice, to six"),
        ({"grid": {"model": [{"kind": "mlp"}], "model.hidden": [[5]]}}, "grid.model.hidden: a part of model; vary one"),
        ({"grid": WIDE}, ": grid: 1,000,000,000 settings; 10,000 are the most"),
        ({"runs": ["mlp", "mlp"]}, ".runs: the same value twice"),
        ({"runs": ["mpl"]}, ".runs: params.yaml has no run 'mpl' under train; it has regression-lr-1e-4, "),
        ({"runs": ["regression-lr-1e-2"]}, ".data: the run regression-lr-1e-2 is trained on other data"),
        ({"data": "diabetes"}, ".data: the run mlp is trained on other data"),
        (
            {"runs": ["mlp", "mlp-weight-decay"], "grid": {"weight_decay": [0.0, 0.001]}},
            ": the same run twice: run = mlp, weight_decay = 0.0; and run = mlp-weight-decay, weight_decay = 0.0;",
        ),
        ({"data": "diabetes", "epsilons": [0.1]}, "epsilons must be []; the diabetes data has no images to attack"),
        ({"epsilons": [0.2, 0.1]}, ".epsilons: must increase from each value to the next, to six digits"),
        ({"epsilons": [1.5]}, ".epsilons.0: Input should be less than or equal to 1 (got 1.5)"),
        ({"runs": []}, "studies.yaml:1:38: studies.s.runs: "),
    ],
)
def test_a_mistake_is_told_with_its_place(params: Params, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = tmp_path / "studies.yaml"
    path.write_text(json.dumps({"studies": {"s": CLASSIFIER | changes}} | SINGLE), encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        settings("s", load_studies(path).studies["s"], params.train)
    assert said in str(caught.value)
    assert "studies.s" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_mistakes_are_told_all_at_once(params: Params) -> None:
    with pytest.raises(ParamsError) as caught:
        settings("wide", study(weight_decay=[-1.0, -2.0], epochs=[0]), params.train)
    assert len(str(caught.value).splitlines()) == 3


def test_a_study_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(ParamsError, match="there is no study 'x'; there are weight-decay, classifiers, learning-rate"):
        load_studies(ROOT / "studies.yaml").studies["x"]


@pytest.mark.parametrize(
    ("key", "changes", "said"),
    [
        ("verification", {"runs": ["other"]}, "verification.runs: other is not in attack.runs of params.yaml, "),
        ("autoattack", {"epsilons": [0.07]}, "autoattack.epsilons: 0.07 is not in attack.bench.pgd.epsilons of "),
        (
            "verification",
            {"runs": ["convnet"]},
            "verification.runs: convnet is not in attack.runs of params.yaml, ",
        ),
    ],
)
def test_a_study_of_a_classifier_that_cannot_be_is_refused(
    params: Params, key: str, changes: dict[str, Any], said: str
) -> None:
    studies: dict[str, Any] = {"studies": {"s": CLASSIFIER}} | SINGLE
    check_studies(Studies.model_validate(studies), params)
    with pytest.raises(ParamsError) as caught:
        check_studies(Studies.model_validate(studies | {key: studies[key] | changes}), params)
    assert str(caught.value).startswith(f"studies.yaml: {said}")
