"""Interruption: after any signal at any moment the next run leads to the same bytes."""

import os
import random
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from subprocess import Popen
from time import monotonic, sleep

import psutil
import pytest
from ruamel.yaml import YAML

from stages.program import locked
from tests.pipeline.test_pipeline import STAGES
from tests.workspace import Once, Workspace, copy, locks

slow = partial(pytest.param, marks=pytest.mark.slow)
TRAINING = ("dvc", "repro", "--single-item", "train@mlp")
KEPT = Path(".ckpt") / "train@mlp"
Start = Callable[..., Popen[str]]


@pytest.fixture(scope="session")
def longer(miniature: Workspace, once: Once) -> Workspace:
    """Return a miniature whose MLP is trained long enough to be killed between two epochs."""

    def train(folder: Path) -> Workspace:
        workspace = copy(miniature, folder)
        workspace.set(train__mlp__epochs=150)
        workspace.run(*TRAINING)
        workspace.commit("Longer training")
        return workspace

    return once("longer", train)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start commands in sessions of their own, of which nothing survives the test."""
    begun = list[Popen[str]]()

    def start(workspace: Workspace, *command: str) -> Popen[str]:
        begun.append(workspace.start(*command))
        return begun[-1]

    yield start
    for process in begun:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def kill(process: Popen[str], target: str, how: signal.Signals) -> str:
    """Send a signal to DVC, to the stage that it runs, or to both; return what they print until both have ended."""
    with suppress(ProcessLookupError, psutil.NoSuchProcess, IndexError):  # it has ended before
        if target == "both":
            os.killpg(process.pid, how)
        elif target == "stage":
            psutil.Process(process.pid).children(recursive=True)[-1].send_signal(how)
        else:
            process.send_signal(how)
    # The pipe is closed when the last process that writes to it ends.
    return process.communicate(timeout=300)[0]


def wait_for(happens: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = monotonic() + 300
    while not happens():
        assert monotonic() < deadline
        sleep(0.01)


def forget(workspace: Workspace, stage: str) -> None:
    """Let DVC forget that a stage ever ran, so that it runs again and is not fetched from the cache."""
    known = locks(workspace)
    del known["stages"][stage]
    YAML().dump(known, workspace.folder / "dvc.lock")
    shutil.rmtree(workspace.folder / ".dvc" / "cache" / "runs", ignore_errors=True)


def recover(workspace: Workspace) -> list[str]:
    """Run `make repro`, after each command that it asks for; return these commands."""
    asked, repro = list[str](), ("sh", "-c", "python -m tools.repro 2 || true")
    while found := re.search(r"^ERROR: .*`((?:git checkout|rm) .*?)`", workspace.run(*repro), re.MULTILINE):
        asked.append(found[1])
        assert len(asked) <= 2, asked
        workspace.run(*found[1].split())
    return asked


@pytest.mark.parametrize(
    ("target", "how"),
    [
        ("stage", signal.SIGTERM),
        slow("stage", signal.SIGINT),
        slow("stage", signal.SIGKILL),
        ("dvc", signal.SIGKILL),
        slow("dvc", signal.SIGTERM),
        slow("both", signal.SIGINT),
    ],
)
def test_training_goes_on_after_its_last_whole_epoch(
    longer: Workspace, tmp_path: Path, start: Start, target: str, how: signal.Signals
) -> None:
    workspace = copy(longer, tmp_path / "killed")
    forget(workspace, "train@mlp")
    process = start(workspace, *TRAINING)
    curve = workspace.folder / "plots" / "curves" / "mlp.csv"
    wait_for(lambda: (workspace.folder / KEPT).exists() and curve.exists())  # it can be watched meanwhile
    said = kill(process, target, how)
    if (target, how) != ("stage", signal.SIGKILL):  # a stage ends with its DVC
        assert " finished epochs, and the next run goes on from there" in said
        assert f"Interrupted by {'SIGTERM' if target == 'dvc' else how.name}." in said
    if target == "stage":
        assert "Traceback" not in said
        assert not (workspace.folder / "models" / "mlp.safetensors").exists()

    assert f"{KEPT}: going on after epoch " in workspace.run(*TRAINING)
    assert workspace.outputs() == longer.outputs()
    assert not (workspace.folder / KEPT).exists()


@pytest.mark.parametrize("how", [signal.SIGINT, slow(signal.SIGTERM)])
def test_a_stage_that_still_imports_torch_ends_without_a_traceback(
    miniature: Workspace, tmp_path: Path, start: Start, how: signal.Signals
) -> None:
    process = start(copy(miniature, tmp_path / "early"), sys.executable, "-m", "stages.train", "mlp")
    wait_for(lambda: "libtorch" in Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8"))
    assert "Traceback" not in kill(process, "dvc", how)
    assert process.returncode in (128 + how, -how)


def test_a_stage_waits_for_the_end_of_one_left_over(
    miniature: Workspace, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = copy(miniature, tmp_path / "waiting")
    monkeypatch.chdir(workspace.folder)
    with locked("report"):
        process = start(workspace, sys.executable, "-m", "stages.report")
        assert process.stdout
        assert process.stdout.readline() == "WARNING: report: waiting for another process that runs it\n"
        assert process.poll() is None
    assert process.communicate(timeout=300)[0] == ""
    assert process.returncode == 0


@pytest.mark.slow
def test_after_random_kills_all_outputs_are_the_same(miniature: Workspace, tmp_path: Path, start: Start) -> None:
    workspace, rng = copy(miniature, tmp_path / "killed"), random.Random(2)  # noqa: S311 - no secret
    for _ in range(6):
        stage, target = rng.choice(sorted(STAGES)), rng.choice(("stage", "dvc", "both"))
        forget(workspace, stage)
        process = start(workspace, "dvc", "repro", "--single-item", stage)
        sleep(rng.uniform(0.5, 6))
        said = kill(process, target, rng.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))
        assert "stages/" not in said, said  # the only tracebacks are DVC's own
        recover(workspace)
        assert (workspace.outputs(), locks(workspace)) == (miniature.outputs(), locks(miniature))
        assert not list(workspace.folder.rglob("*.part"))
