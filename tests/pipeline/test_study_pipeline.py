"""Studies as their users run them, on a few drawn garments."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser import browsing, needs_chromium
from tests.imports import CLASSIFIERS
from tests.workspace import Workspace, copy

# What the studies vary, at the values of runs of params.yaml.
STANDING = [
    ("weight-decay", "adam,0.0", "mlp"),
    ("weight-decay", "adam,0.001", "mlp-weight-decay"),
    ("classifiers", "mlp", "mlp"),
    ("classifiers", "convnet", "convnet"),
    ("learning-rate", "0.0001", "regression-lr-1e-4"),
    ("learning-rate", "0.01", "regression-lr-1e-2"),
]


def trial_of(workspace: Workspace, study: str, setting: str) -> str:
    """Return the curve of the trial with seed 0 of a setting, character for character."""
    lines = (workspace.folder / "studies" / "results" / study / "curves.csv").read_text(encoding="utf-8").splitlines()
    header, start = lines[0].split(",", setting.count(",") + 2)[-1], f"{setting},0,"
    return "\n".join([header, *(line.removeprefix(start) for line in lines if line.startswith(start)), ""])


def curve_of(workspace: Workspace, run: str) -> str:
    """Return the curve of a run."""
    return (workspace.folder / "plots" / "curves" / f"{run}.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(("study", "setting", "run"), STANDING)
def test_a_trial_has_the_bytes_of_its_run(studied: Workspace, study: str, setting: str, run: str) -> None:
    assert trial_of(studied, study, setting) == curve_of(studied, run)


@pytest.mark.parametrize("run", ["mlp", "convnet"])
def test_a_trial_withstands_what_the_run_withstands(studied: Workspace, run: str) -> None:
    trials = pd.read_csv(studied.folder / "studies" / "results" / "classifiers" / "trials.csv")
    ((_, trial),) = trials[(trials["run"] == run) & (trials["seed"] == 0)].iterrows()
    attacked = json.loads((studied.folder / "metrics" / "attack" / f"{run}.json").read_text(encoding="utf-8"))
    accuracies = {name: value for name, value in attacked.items() if name.startswith("accuracy_at_")}
    assert len(accuracies) == 3
    assert dict(trial[list(accuracies)]) == accuracies


def test_the_page_tells_every_study_with_their_figures(studied: Workspace) -> None:
    page = (studied.folder / "studies" / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg ") == len(list((studied.folder / "studies" / "figures").iterdir())) == 11
    words = re.sub(r"\s+", " ", re.sub("<[^>]*>", "", page.partition("<main")[2]))
    assert "4 trials of mlp: 2 settings from 2 seeds each. 0 diverged." in words
    assert "4 trials of mlp, convnet: 2 settings from 2 seeds each. 0 diverged." in words
    summary = pd.read_csv(studied.folder / "studies" / "results" / "classifiers" / "summary.csv")
    means = summary[[f"accuracy_at_{name}_mean" for name in ("0", "0.1", "0.5")]]
    widest = str((means.max() - means.min()).idxmax())
    most, epsilon = summary["run"][means[widest].argmax()], widest.removeprefix("accuracy_at_").removesuffix("_mean")
    assert f"images tell the settings apart most at ε = {epsilon}: with {most}, " in words
    assert "Every check passes: certified_not_above_autoattack" in words
    for run in CLASSIFIERS:
        assert re.search(rf"{run} ?0\.5 ?(\d+\.\d% ?){{8}}", words), run  # AutoAttack, a row of accuracies
    assert "6 trials of regression-lr-1e-2: 3 settings from 2 seeds each. 2 diverged." in words
    assert "; at 100 every seed ends in no finite number." in words
    assert "Drawn stand-in data, not Fashion-MNIST" in page
    assert not re.search(r"\bnan\b|None", words)


def test_an_edited_table_is_no_result(studied: Workspace, tmp_path: Path) -> None:
    workspace = copy(studied, tmp_path / "copy")
    trials = workspace.folder / "studies" / "results" / "learning-rate" / "trials.json"
    performed, written = workspace.outcomes(), trials.read_bytes()
    shutil.rmtree(workspace.folder / ".ckpt")
    workspace.run("dvc", "repro", "--force", "--single-item", "studies/dvc.yaml:study@learning-rate")
    assert workspace.outcomes() == {}  # all are in the tables
    trials.write_bytes(written.replace(b'"test_r2": ', b'"test_r2": 1'))
    assert trials.read_bytes() != written
    workspace.run("dvc", "repro", "--single-item", "studies/dvc.yaml:study@learning-rate")
    assert workspace.outcomes().keys() < performed.keys()
    assert trials.read_bytes() == written


@needs_chromium
@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.slow)])
def test_the_page_needs_nothing_but_itself_and_keeps_nobody_out(studied: Workspace, width: int) -> None:
    with browsing(width=width) as watched:
        watched.page.goto((studied.folder / "studies" / "index.html").as_uri())
        found = Axe().run(watched.page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        assert (watched.outside, watched.errors) == ([], [])
