"""Two revisions stand side by side with their verdicts, their curves and their differences."""

import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from descent.report.comparison import Revision, comparison, overlays, verdicts
from tests.report.test_claims import ATTACKED, THEORY, TRAINED
from tests.workspace import Workspace, copy

CURVE = pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0], "test_loss": [2.0, 1.5]})
ATTACK = pd.DataFrame({"epsilon": [0.0, 0.1], "accuracy": [0.9, 0.1]})


def revision(name: str, source: str = "fashion-mnist", **changes: Any) -> Revision:  # noqa: ANN401
    """Return a revision with the write-up's story, and changes to the metrics of its MLP."""
    trained = TRAINED | {"mlp": TRAINED["mlp"] | changes}
    return Revision(
        name,
        {
            "metrics/data.json": {"source": source},
            "metrics/theory.json": THEORY,
            **{f"metrics/train/{run}.json": metrics for run, metrics in trained.items()},
            **{f"metrics/attack/{run}.json": metrics for run, metrics in ATTACKED.items()},
        },
        {"plots/curves/regression-lr-1e-2.csv": CURVE, "plots/attack/mlp.csv": ATTACK},
    )


def test_each_claim_has_the_verdict_of_both() -> None:
    pairs = verdicts(revision("old", overfitting_epoch=None), revision("new"))
    assert pairs is not None
    assert len(pairs) == 18
    differ = [after.says for before, after in pairs if before is None or before.holds != after.holds]
    assert differ == ["MLP: without weight decay the test loss rises from around epoch 15."]


def test_a_revision_older_than_the_rules_has_no_verdicts_and_the_page_says_so() -> None:
    old = revision("old")
    old = old._replace(metrics={path: found for path, found in old.metrics.items() if "theory" not in path})
    assert verdicts(old, revision("new")) is None
    assert "old lacks the metrics that the verdicts follow from" in comparison(old, revision("new"), {}, {})


def test_every_curve_of_either_is_drawn_once() -> None:
    old, new = revision("old"), revision("new")
    old = old._replace(curves={**old.curves, "plots/curves/gone.csv": CURVE})
    assert [name for name, _ in overlays(old, new)] == [
        "attack-mlp-accuracy",
        "curves-gone-loss",
        "curves-regression-lr-1e-2-loss",
    ]
    labels = {name: [line.get_label() for line in figure.axes[0].lines] for name, figure in overlays(old, new)}
    assert labels["attack-mlp-accuracy"] == ["old", "new"]
    assert labels["curves-gone-loss"] == ["old, training", "old, test"]


def test_what_differs_is_listed_and_what_is_not_a_number_has_no_change() -> None:
    params = {"params.yaml": {"train.mlp.epochs": {"old": 100, "new": 50, "diff": -50}}}
    metrics = {"metrics/train/mlp.json": {"overfitting_epoch": {"old": None, "new": 15}}}
    page = comparison(revision("main"), revision("work"), params, metrics)
    cells = re.findall(r"<t[dh][^>]*>(?!<)([^<]*)</t[dh]>", page)
    at = cells.index("params.yaml: train.mlp.epochs")
    assert cells[at + 1 : at + 3] == ["100", "50"]
    at = cells.index("metrics/train/mlp.json: overfitting_epoch")
    assert cells[at + 1 : at + 4] == ["–", "15", "–"]


def test_nothing_that_differs_is_said_in_words() -> None:
    page = comparison(revision("main"), revision("work"), {}, {})
    assert page.count("<p>None.</p>") == 2


def test_drawn_data_in_either_is_announced() -> None:
    assert "Drawn stand-in" in comparison(revision("main", source="drawn"), revision("work"), {}, {})
    assert "Drawn stand-in" not in comparison(revision("main"), revision("work"), {}, {})


def test_names_of_revisions_cannot_become_markup() -> None:
    assert "<b>x" not in comparison(revision("<b>x"), revision("work"), {}, {})


@pytest.mark.slow
def test_a_revision_is_read_in_a_folder_of_another_repository(miniature: Workspace, tmp_path: Path) -> None:
    outer = Workspace(tmp_path / "outer")
    inner = copy(miniature, outer.folder / "a folder" / "inner")
    (inner.folder / ".git").rename(tmp_path / "unused")
    outer.run("git", "init", "--quiet")
    outer.commit("All")
    said = inner.run("python", "-m", "tools.compare", "HEAD")
    assert said.endswith("/outer/a%20folder/inner/report/compare.html\n")
    page = (inner.folder / "report" / "compare.html").read_text(encoding="utf-8")
    assert "curves-mlp-loss" in page
    said = inner.run("python", "-m", "tools.compare", "nowhere", status=1)
    assert said.startswith("ERROR: cannot read 'nowhere': ")
    assert "Traceback" not in said
    assert (inner.folder / "report" / "compare.html").read_text(encoding="utf-8") == page


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_checkout_of_another_user_is_refused_with_the_remedy(miniature: Workspace, tmp_path: Path) -> None:
    workspace = copy(miniature, tmp_path / "given away")
    kept = workspace.folder / "report" / "compare.html"
    kept.write_text("an older page", encoding="utf-8")
    workspace.run("chown", "--recursive", "12345", ".")
    said = workspace.run("python", "-m", "tools.compare", "HEAD", status=1)
    assert said.startswith("ERROR: cannot read 'HEAD': ")
    assert said.endswith(f"`git config --global --add safe.directory '{workspace.folder}'` lets git read it\n")
    assert kept.read_text(encoding="utf-8") == "an older page"
