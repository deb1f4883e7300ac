"""DVC's own queue runs experiments side by side, and shows those that failed for what they are."""

import csv
import shutil
from pathlib import Path
from time import monotonic, sleep

from tests.workspace import Workspace, cloned

# The command of docs/studies.md, for the regression.
SHOWN = "Experiment|State|.*regression-lr-1e-2.*(learning_rate|final_train_loss)"


def test_queued_experiments_run_and_a_failed_one_is_told_from_them(miniature: Workspace, tmp_path: Path) -> None:
    workspace = cloned(miniature.folder, tmp_path / "queue")
    shutil.copytree(miniature.folder / ".dvc" / "cache", workspace.folder / ".dvc" / "cache")
    workspace.run("dvc", "exp", "run", "--queue", "-S", "train.regression-lr-1e-2.learning_rate=0.02,0.002,-1.0")
    deadline = monotonic() + 240
    while "Queued" in (status := workspace.run("dvc", "queue", "status")) or "Running" in status:
        assert monotonic() < deadline, status
        if "0 active, 0 idle" in status:
            workspace.run("dvc", "queue", "start", "--jobs", "2")
        sleep(1)
    shown = workspace.run("dvc", "exp", "show", "--drop", ".*", "--keep", SHOWN, "--csv")
    rows = {row["train.regression-lr-1e-2.learning_rate"]: row for row in csv.DictReader(shown.splitlines())}
    assert {rate: row["State"] for rate, row in rows.items()} == {
        "0.01": "",
        "0.02": "Success",
        "0.002": "Success",
        "-1.0": "Failed",
    }
    losses = [row["metrics/train/regression-lr-1e-2.json:final_train_loss"] for row in rows.values()]
    assert len(set(losses)) == 3  # what failed shows that of its parent
    assert (workspace.folder / "params.yaml").read_text() == (miniature.folder / "params.yaml").read_text()
