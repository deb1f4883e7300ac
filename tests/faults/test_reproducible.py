"""The same results in another folder, for another user, in another language and time zone, with other settings."""

from pathlib import Path

import pytest

from descent.io.results import load_metrics
from tests.faults.conftest import Elsewhere
from tests.workspace import Workspace, copy, locks
from tools.verify import TOO_LARGE, differences


@pytest.mark.slow
def test_every_byte_of_every_output_is_the_same_elsewhere(miniature: Workspace, elsewhere: Elsewhere) -> None:
    expected, made = miniature.outputs(), elsewhere.workspace.outputs()
    assert [name for name in expected.keys() | made.keys() if expected.get(name) != made.get(name)] == []
    assert len(made) > 100
    assert locks(elsewhere.workspace) == locks(miniature)


@pytest.mark.parametrize("run", ["mlp", pytest.param("convnet", marks=pytest.mark.slow)])
def test_with_two_threads_the_metrics_are_within_tolerance(miniature: Workspace, tmp_path: Path, run: str) -> None:
    workspace = copy(miniature, tmp_path / "two threads")
    workspace.set(threads=2)
    workspace.run("python", "-m", "stages.train", run)
    old, new = (load_metrics(each.folder / "metrics" / "train" / f"{run}.json") for each in (miniature, workspace))
    assert [line for line in differences(old, new) if line.endswith(TOO_LARGE)] == []
    assert new.keys() == old.keys()
