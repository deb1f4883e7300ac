"""The real commands on a miniature of the pipeline, in a repository of its own."""

import json
import re
from pathlib import Path

import pytest

from tests.imports import CLASSIFIERS
from tests.workspace import Workspace, cloned, copy, stages_run

STAGES = {
    "validate",
    "download",
    "prepare",
    "theory",
    *(f"train@{run}" for run in ("regression-lr-1e-4", "regression-lr-1e-2", *CLASSIFIERS)),
    *(f"attack@{run}" for run in CLASSIFIERS),
    "transfer",
    "figures",
    "lab",
    "report",
}


def test_a_first_run_says_that_the_data_is_drawn_and_leaves_no_partial_file(miniature: Workspace) -> None:
    made = miniature.outputs()
    assert b"Drawn stand-in data, not Fashion-MNIST" in made["report/index.html"]
    assert json.loads(made["metrics/data.json"])["source"] == "drawn"
    assert "Going on with DRAWN GARMENTS" in miniature.first_run
    header, *epochs = made["plots/curves/mlp.csv"].splitlines()
    assert (header, len(epochs)) == (b"epoch,train_loss,test_loss,train_accuracy,test_accuracy", 3)
    assert made["plots/curves/regression-lr-1e-4.csv"].splitlines()[0] == b"epoch,train_loss,test_loss"
    assert not [name for name in made if name.endswith(".part")]
    # A progress bar is shown on a terminal only.
    assert "epoch/s" not in miniature.first_run
    assert "\r" not in miniature.first_run


def test_an_experiment_reruns_dependent_stages_and_every_diff_shows_it(miniature: Workspace, tmp_path: Path) -> None:
    lab = copy(miniature, tmp_path / "lab")
    decay = "train.mlp-weight-decay.weight_decay"

    said = lab.run("dvc", "exp", "run", "--name", "decay", "--set-param", f"{decay}=0.01")

    run = "mlp-weight-decay"
    assert stages_run(said) == {"validate", f"train@{run}", f"attack@{run}", "transfer", "figures", "lab", "report"}
    changed = [line for line in lab.run("git", "diff", "-U0", "params.yaml").splitlines() if line[:1] in "+-"]
    assert changed[2:] == ["-    weight_decay: 0.001", "+    weight_decay: 0.01"]
    params = json.loads(lab.run("dvc", "params", "diff", "--json"))
    assert params == {"params.yaml": {decay: {"old": 0.001, "new": 0.01, "diff": pytest.approx(0.009)}}}
    metrics = json.loads(lab.run("dvc", "metrics", "diff", "--json"))
    trained = f"metrics/train/{run}.json"
    assert metrics.keys() == {trained, f"metrics/attack/{run}.json", "metrics/transfer.json"}
    assert metrics[trained]["final_train_loss"]["diff"] > 0
    header, *rows = (line.split(",") for line in lab.run("dvc", "exp", "show", "--csv").splitlines())
    values = {row[header.index("Experiment")] or row[header.index("rev")]: row for row in rows}
    assert {name: values[name][header.index(decay)] for name in ("decay", "main")} == {"decay": "0.01", "main": "0.001"}

    lab.commit("More weight decay")
    # A newcomer's clone has neither cache nor remote, and sees the same.
    newcomer = cloned(lab.folder, tmp_path / "newcomer")
    assert json.loads(newcomer.run("dvc", "params", "diff", "HEAD~1", "--json")) == params
    assert json.loads(newcomer.run("dvc", "metrics", "diff", "HEAD~1", "--json")) == metrics
    plots = json.loads(newcomer.run("dvc", "plots", "diff", "HEAD~1", "--json"))["data"]
    overlay = json.dumps(plots["MLP: loss with and without weight decay"])
    assert set(re.findall(r'"rev": "(.*?)"', overlay)) == {"HEAD~1", "workspace"}
    assert stages_run(newcomer.run("dvc", "repro", "--dry", "--allow-missing")) == set()


@pytest.mark.slow
def test_a_diverged_run_is_a_result_and_all_that_depends_on_it_says_so(miniature: Workspace, tmp_path: Path) -> None:
    workspace = copy(miniature, tmp_path / "diverging")
    workspace.set(train__regression_lr_1e_2__learning_rate=1.0, train__regression_lr_1e_2__epochs=50)
    workspace.set(train__convnet__optimizer="sgd", train__convnet__learning_rate=1e6)

    said = workspace.run("dvc", "repro")

    made = workspace.outputs()
    page = made["report/index.html"].decode()
    for path, epoch in (("train/regression-lr-1e-2", 2), ("train/convnet", 1), ("attack/convnet", 1)):
        name = path.removeprefix("attack/").replace("/", ".")
        assert f"WARNING: {name} diverged in epoch {epoch}; " in said
        metrics = json.loads(made[f"metrics/{path}.json"])
        assert (metrics["diverged"], metrics["diverged_epoch"]) == (True, epoch)
        run = path.partition("/")[2]
        assert f"{run} (diverged in epoch {epoch})" in page
        epochs = [line.partition(b",")[0].decode() for line in made[f"plots/curves/{run}.csv"].splitlines()]
        assert epochs == ["epoch", str(epoch - 1)]
    assert page.count("convnet (diverged in epoch 1)") >= 2  # trained, attacked
    assert json.loads(made["metrics/transfer.json"])["diverged"] == "convnet"
    assert ".ckpt" not in workspace.run("git", "status", "--porcelain")
    assert not list((workspace.folder / ".ckpt").glob("train@convnet"))
    workspace.run("dvc", "plots", "show")
