"""Studies as their users run them, on a few drawn garments."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from ruamel.yaml import YAML

from tests.browser import browsing, needs_chromium
from tests.workspace import Workspace, cloned

TRIALS = 10
# What the studies vary, at the values of runs of params.yaml.
STANDING = [
    ("weight-decay", "0.0", "mlp"),
    ("weight-decay", "0.001", "mlp-weight-decay"),
    ("learning-rate", "0.0001", "regression-lr-1e-4"),
    ("learning-rate", "0.01", "regression-lr-1e-2"),
]


def change(workspace: Workspace, study: str, **grid: list[float]) -> None:
    """Give a study two seeds, and other values."""
    path, yaml = workspace.folder / "studies.yaml", YAML()
    content = yaml.load(path.read_text(encoding="utf-8"))
    content["studies"][study] |= {"seeds": 2, "grid": grid}
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def trial_of(workspace: Workspace, study: str, value: str) -> str:
    """Return the curve of the trial with seed 0 in a study of one parameter, character for character."""
    lines = (workspace.folder / "studies" / "results" / study / "curves.csv").read_text(encoding="utf-8").splitlines()
    header, *rows = (line.split(",", 2) for line in lines)
    return "\n".join([header[2], *(words for setting, seed, words in rows if (setting, seed) == (value, "0")), ""])


def curve_of(workspace: Workspace, run: str) -> str:
    """Return the curve of a run."""
    return (workspace.folder / "plots" / "curves" / f"{run}.csv").read_text(encoding="utf-8")


def outcomes(workspace: Workspace) -> dict[str, int]:
    """Return when each outcome was written, by name."""
    return {path.name: path.stat().st_mtime_ns for path in (workspace.folder / ".ckpt" / "trials").glob("*.json")}


@pytest.fixture(scope="module")
def studied(miniature: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a miniature after two small studies."""
    workspace = cloned(miniature.folder, tmp_path_factory.mktemp("studies") / "project")
    shutil.copytree(miniature.folder / ".dvc" / "cache", workspace.folder / ".dvc" / "cache")
    change(workspace, "weight-decay", weight_decay=[0.0, 0.001])
    change(workspace, "learning-rate", learning_rate=[0.0001, 0.01, 100.0])
    workspace.run("dvc", "checkout")
    said = workspace.run("dvc", "repro", "studies/dvc.yaml")
    assert sorted(re.findall("^Running stage 'studies/dvc.yaml:(.*)'", said, re.MULTILINE)) == [
        "publish",
        "study@learning-rate",
        "study@weight-decay",
    ]
    assert len(outcomes(workspace)) == TRIALS
    workspace.commit("Studies")
    return workspace


@pytest.mark.parametrize(("study", "value", "run"), STANDING)
def test_a_trial_has_the_very_bytes_of_the_run_with_its_parameters(
    studied: Workspace, study: str, value: str, run: str
) -> None:
    assert trial_of(studied, study, value) == curve_of(studied, run)


def test_what_diverged_is_counted_and_has_no_mean(studied: Workspace) -> None:
    table = pd.read_csv(studied.folder / "studies" / "results" / "learning-rate" / "summary.csv")
    assert list(table["diverged"]) == [0, 0, 2]
    assert list(table["final_train_loss_mean"].isna()) == [False, False, True]
    trials = pd.read_csv(studied.folder / "studies" / "results" / "learning-rate" / "trials.csv")
    assert list(trials["diverged"]) == [False] * 4 + [True] * 2


def test_a_study_that_grows_performs_only_what_is_missing(studied: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(shutil.copytree(studied.folder, tmp_path / "grown"))
    before = outcomes(workspace)
    change(workspace, "weight-decay", weight_decay=[0.0, 0.001, 0.01])
    workspace.run("dvc", "repro", "studies/dvc.yaml:study@weight-decay")
    after = outcomes(workspace)
    assert len(after) == TRIALS + 2
    assert before.items() <= after.items()


def test_a_grid_with_mistakes_is_refused_before_the_first_trial(studied: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(shutil.copytree(studied.folder, tmp_path / "refused"))
    before = outcomes(workspace)
    change(workspace, "weight-decay", weight_decay=[0.5, -1.0], weigth=[1.0])
    said = workspace.run("dvc", "repro", "studies/dvc.yaml:study@weight-decay", status=255)
    assert "ERROR: studies.yaml: studies.weight-decay.grid.weigth: no such parameter of a run" in said
    assert "Traceback" not in said
    assert outcomes(workspace) == before


def test_the_page_tells_both_studies_with_their_figures(studied: Workspace) -> None:
    page = (studied.folder / "studies" / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg ") == len(list((studied.folder / "studies" / "figures").iterdir())) == 5
    words = re.sub(r"\s+", " ", re.sub("<[^>]*>", "", page.partition("<main")[2]))
    assert "4 trials of mlp: 2 settings from 2 seeds each. 0 diverged." in words
    assert "6 trials of regression-lr-1e-2: 3 settings from 2 seeds each. 2 diverged." in words
    assert "; at 100 every seed ends in no finite number." in words
    assert "Drawn stand-in data, not Fashion-MNIST" in page
    assert not re.search(r"\bnan\b|None", words)


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_needs_nothing_but_itself_and_keeps_nobody_out(studied: Workspace, width: int) -> None:
    with browsing(width=width) as watched:
        watched.page.goto((studied.folder / "studies" / "index.html").as_uri())
        found = Axe().run(watched.page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        assert (watched.outside, watched.errors) == ([], [])
