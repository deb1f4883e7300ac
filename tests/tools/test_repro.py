"""Stages side by side: in order, to the same end as one after the other, and stopped together."""

import re
import signal
import sys
from pathlib import Path
from threading import Lock
from time import monotonic, sleep

import pytest

from tests.pipeline.test_pipeline import STAGES
from tests.workspace import Workspace, cloned, copy
from tools.repro import Jobs, side_by_side

DIAMOND: dict[str, set[str]] = {
    "top": set(),
    "left": {"top"},
    "right": {"top"},
    "alone": set(),
    "end": {"left", "right"},
}


class Recorder(Jobs):
    """Pretends to run stages, and takes down what began and what ended."""

    def __init__(self, failing: str = "") -> None:
        super().__init__()
        self.failing, self.events = failing, list[str]()
        self.most, self.now, self.lock = 0, 0, Lock()

    def run(self, stage: str) -> bool:
        """Take down the beginning, wait a little, and take down the end."""
        if self._stopped:
            return False
        with self.lock:
            self.events.append(f"{stage} runs")
            self.now += 1
            self.most = max(self.most, self.now)
        sleep(0.02)
        with self.lock:
            self.events.append(f"{stage} ends")
            self.now -= 1
        return stage != self.failing


@pytest.mark.parametrize("count", [2, 3])
def test_a_stage_runs_once_all_that_it_awaits_have_ended(count: int) -> None:
    jobs = Recorder()
    assert side_by_side(DIAMOND, count, jobs)
    assert sorted(jobs.events) == sorted(f"{stage} {what}" for stage in DIAMOND for what in ("runs", "ends"))
    for stage, awaited in DIAMOND.items():
        for parent in awaited:
            assert jobs.events.index(f"{parent} ends") < jobs.events.index(f"{stage} runs")
    assert 1 < jobs.most <= count


def test_after_a_failure_nothing_more_is_begun() -> None:
    jobs = Recorder(failing="left")
    assert not side_by_side(DIAMOND, 1, jobs)
    assert "end runs" not in jobs.events
    assert jobs.events[-1] == "left ends"


def test_a_first_run_side_by_side_names_each_stage_and_leaves_nothing_to_do(miniature: Workspace) -> None:
    lines = miniature.first_run.splitlines()
    for words in ("runs", r"done after \d+ s"):
        told = [line.split("|")[0].strip() for line in lines if re.fullmatch(rf" *\S+ \| {words}", line)]
        assert sorted(told) == sorted(STAGES)
    assert lines[-1] == "Data and pipelines are up to date."
    assert "Running stage" not in miniature.first_run


@pytest.mark.parametrize("jobs", ["0", "-1", "many"])
def test_a_number_of_jobs_that_is_none_is_refused(miniature: Workspace, jobs: str) -> None:
    said = miniature.run("python", "-m", "tools.repro", jobs, status=1)
    assert said == f"ERROR: JOBS={jobs}: how many stages run at once, a number from 1 on\n"


def test_a_merge_conflict_is_named_and_left_alone(miniature: Workspace, tmp_path: Path) -> None:
    workspace = copy(miniature, tmp_path / "merging")
    for name, seed in (("other", 1), ("main", 2)):
        workspace.run("git", "switch", "--quiet", *(["--create", name] if name == "other" else [name]))
        workspace.set(seed=seed)
        # Two results of the same stage, without two runs.
        lock = workspace.folder / "dvc.lock"
        lock.write_text(re.sub(r"seed: \d+", f"seed: {seed}", lock.read_text(encoding="utf-8")), encoding="utf-8")
        workspace.run("git", "commit", "--quiet", "--all", "--message", name)
    workspace.run("git", "merge", "other", status=1)
    for path, mend in (("params.yaml", "--theirs"), ("dvc.lock", "--ours")):
        before = lock.read_bytes()
        said = workspace.run("python", "-m", "tools.repro", "2", status=1)
        assert said.startswith(f"ERROR: {path}: conflict marks of a merge; edit params.yaml")
        assert lock.read_bytes() == before
        workspace.run("git", "checkout", mend, "--", path)


def test_a_torn_lock_is_an_error_with_its_remedy(miniature: Workspace, tmp_path: Path) -> None:
    """In a folder of another repository, too, whose own dvc.lock, at the top, is not touched."""
    outer = Workspace(tmp_path / "outer")
    workspace = copy(miniature, outer.folder / "inner")
    (workspace.folder / ".git").rename(tmp_path / "unused")
    (outer.folder / "dvc.lock").write_text("of the outer project")
    outer.run("git", "init", "--quiet")
    outer.commit("All")
    lock = workspace.folder / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: whole.rindex(b"\n    - path") + 9])
    torn = lock.read_bytes()
    said = workspace.run("python", "-m", "tools.repro", "2", status=1)
    assert lock.read_bytes() == torn
    assert said.endswith("`git checkout HEAD -- dvc.lock` brings the committed one back\n")
    workspace.run("git", "checkout", "HEAD", "--", "dvc.lock")
    assert lock.read_bytes() == whole
    assert (outer.folder / "dvc.lock").read_text() == "of the outer project"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("rm -r images", r"download \| ERROR: failed to reproduce 'download': .*No such file or directory: '.*images'"),
        ("dvc cache dir --local /proc/cache", r"\| ERROR: failed to reproduce '.*': .*No such file .*'/proc/cache'"),
        ("rm -r models; ln -s /tmp models", r"\| ERROR: failed to reproduce '.*': '/tmp/.*' is outside of git repos"),
    ],
    ids=lambda value: value,
)
@pytest.mark.slow
def test_errors_of_dvc_are_shown(miniature: Workspace, tmp_path: Path, damage: str, said: str) -> None:
    workspace = copy(miniature, tmp_path / "failing")
    workspace.set(train__regression_lr_1e_4__epochs=4)
    workspace.run("sh", "-c", damage)
    printed = workspace.run("python", "-m", "tools.repro", "2", status=1)
    assert re.search(said, printed), printed
    assert "Running stage" not in printed


def test_a_head_that_dvc_left_detached_is_a_warning(miniature: Workspace, tmp_path: Path) -> None:
    workspace = cloned(miniature.folder, tmp_path / "detached")
    look = ("python", "-c", "from tools.repro import outdated; outdated()")
    words = "HEAD is detached, as a killed `dvc exp run` leaves it: a commit here would be on no branch"
    workspace.run("git", "checkout", "--quiet", "--detach")
    assert words not in workspace.run(*look)  # as in CI
    workspace.run("git", "update-ref", "refs/exps/exec/EXEC_BASELINE", "HEAD")  # as `dvc exp run` does
    assert words in workspace.run(*look)
    workspace.run("git", "switch", "--quiet", "-")
    assert words not in workspace.run(*look)


@pytest.mark.slow
def test_the_first_failure_stops_the_rest_and_is_shown(miniature: Workspace, tmp_path: Path) -> None:
    workspace = copy(miniature, tmp_path / "failing")
    workspace.set(train__convnet__model__channels=[4] * 5, train__mlp__epochs=100_000)
    start = monotonic()

    said = workspace.run("python", "-m", "tools.repro", "2", status=1)

    assert monotonic() - start < 100
    assert "train@convnet | ERROR: a ConvNet of 5 poolings needs larger images than 1×28×28\n" in said
    assert re.search(r"train@convnet \| FAILED after \d+ s", said)
    assert re.search(r"train@mlp \| STOPPED after \d+ s", said)
    assert "Traceback" not in said
    assert "attack@" not in said

    workspace.run("git", "checkout", "--quiet", "--", ".")
    assert workspace.run("python", "-m", "tools.repro", "2").endswith("Data and pipelines are up to date.\n")
    assert workspace.run("git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_an_interruption_ends_every_stage(miniature: Workspace, tmp_path: Path) -> None:
    how = signal.SIGINT  # SIGTERM is what test_verify.py sends
    workspace = copy(miniature, tmp_path / "interrupted")
    workspace.set(train__mlp__epochs=100_000, train__mlp_weight_decay__epochs=100_000)
    process = workspace.start(sys.executable, "-m", "tools.repro", "2")
    try:
        kept = [workspace.folder / ".ckpt" / f"train@{run}" for run in ("mlp", "mlp-weight-decay")]
        deadline = monotonic() + 100
        while not all(path.exists() for path in kept):
            assert monotonic() < deadline
            sleep(0.1)
        process.send_signal(how)
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 128 + how
    assert len(re.findall(r"train@mlp(-weight-decay)? \| STOPPED after \d+ s", said)) == 2
    assert len(re.findall(r"keeps \d+ finished epochs, and the next run goes on from there", said)) == 2
    assert said.rstrip().endswith(f"Interrupted by {how.name}. No file was left half-written.")
    assert "Traceback" not in said
    left = [path.read_bytes() for path in kept]
    sleep(1)
    assert [path.read_bytes() for path in kept] == left  # nobody writes on
    workspace.run("git", "checkout", "--quiet", "--", ".")
    workspace.run("dvc", "repro")
    assert workspace.run("git", "status", "--porcelain") == ""
