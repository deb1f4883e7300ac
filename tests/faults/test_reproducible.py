"""The same results elsewhere."""

from pathlib import Path

import pytest

from descent.io.results import load_metrics
from tests.faults.conftest import Elsewhere
from tests.faults.table import Tell
from tests.workspace import Workspace, copy, locks
from tools.verify import TOO_LARGE, differences

CONDITIONS = (
    "one after the other instead of side by side",
    "another folder, its name with spaces, quotes, a dollar sign and Chinese",
    "another user without a home that can be written",
    "another language and time zone",
    "another PYTHONHASHSEED",
    "OMP_DYNAMIC=TRUE, with which oneDNN's gradients are wrong, and two threads asked for by OMP and MKL",
)


@pytest.mark.slow
def test_every_byte_of_every_output_is_the_same_elsewhere(
    miniature: Workspace, elsewhere: Elsewhere, tell: Tell
) -> None:
    expected, made = miniature.outputs(), elsewhere.workspace.outputs()
    differing = sorted(name for name in expected.keys() | made.keys() if expected.get(name) != made.get(name))
    for condition in CONDITIONS:
        tell(condition, "every byte of every output is the same", f"{len(made)} files, {len(differing)} of them differ")
    assert not differing
    assert len(made) > 100
    # The lock too, in which DVC keeps the hash of every dependency and output.
    assert locks(elsewhere.workspace) == locks(miniature)


@pytest.mark.parametrize(
    "run", ["mlp", *(pytest.param(run, marks=pytest.mark.slow) for run in ("convnet", "regression-lr-1e-2"))]
)
def test_with_other_threads_the_metrics_are_within_tolerance(
    miniature: Workspace, tmp_path: Path, run: str, tell: Tell
) -> None:
    workspace = copy(miniature, tmp_path / "two threads")
    workspace.set(threads=2)
    workspace.run("python", "-m", "stages.train", run)
    old, new = (load_metrics(each.folder / "metrics" / "train" / f"{run}.json") for each in (miniature, workspace))
    found = [line for line in differences(old, new) if line.endswith(TOO_LARGE)]
    tell(f"two threads instead of one for {run}", "every metric within the tolerance", "so they are")
    assert not found
    assert new.keys() == old.keys()
