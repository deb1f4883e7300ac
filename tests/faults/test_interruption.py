"""Interruption."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest
from ruamel.yaml import YAML

from stages.program import locked
from tests.faults.table import Tell
from tests.pipeline.test_pipeline import STAGES
from tests.workspace import Once, Workspace, copy, locks

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
TARGETS = ("stage", "dvc", "group")
KILLS = 6
SLOW_INT, SLOW_TERM, SLOW_KILL = (pytest.param(how, marks=pytest.mark.slow) for how in SIGNALS)


REPRO = "python -m tools.repro 2"
TRAINING = ("dvc", "repro", "--single-item", "train@mlp")


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


def said_of(workspace: Workspace) -> Path:
    """Return where the words of a started command go."""
    return workspace.folder.with_suffix(".said")


class Started:
    """A command in a session of its own, to be killed."""

    def __init__(self, workspace: Workspace, *command: str) -> None:
        self._said = said_of(workspace).open("w+")
        self.process = subprocess.Popen(  # noqa: S603
            command,
            cwd=workspace.folder,
            env=workspace.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def of_session(self) -> list[psutil.Process]:
        """Return every process of the session that is alive, the command's own first."""
        alive = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
        return sorted(alive, key=lambda process: process.pid != self.process.pid)

    def kill(self, target: str, how: signal.Signals) -> None:
        """Send a signal to the group, to DVC, or to the stage that DVC runs (to DVC while it runs none)."""
        if self.process.poll() is not None:
            return
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if target == "group":
                os.killpg(self.process.pid, how)
            elif target == "stage" and (stages := psutil.Process(self.process.pid).children(recursive=True)):
                stages[-1].send_signal(how)
            else:
                self.process.send_signal(how)

    def end(self) -> str:
        """Wait until nothing of the session is left, and return what was said."""
        deadline = monotonic() + 120
        while self.process.poll() is None:
            assert monotonic() < deadline
            sleep(0.02)
        deadline = monotonic() + 60  # for a stage that outlives its DVC
        while left := self.of_session():
            assert monotonic() < deadline, [process.cmdline() for process in left]
            sleep(0.02)
        self._said.seek(0)
        said = self._said.read()
        self._said.close()
        return said


@pytest.fixture
def start() -> Iterator[type[Started]]:
    """Start commands, of which nothing survives the test."""
    begun: list[Started] = []

    class Kept(Started):
        def __init__(self, workspace: Workspace, *command: str) -> None:
            super().__init__(workspace, *command)
            begun.append(self)

    yield Kept
    for each in begun:
        with suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)


def recovered(workspace: Workspace, expected: dict[str, bytes]) -> str:
    """Let a plain `dvc repro` finish, after what `make repro` says where DVC tore its own file; compare all bytes."""
    how = "dvc repro"
    done = subprocess.run(
        ["dvc", "repro"], cwd=workspace.folder, env=workspace.environment, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        assert "dvc.lock' " in done.stdout + done.stderr or "RWLock-file" in done.stderr, done.stdout + done.stderr
        mend(workspace)
        how = "by hand"
    assert workspace.outputs() == expected
    assert not list(workspace.folder.rglob("*.part"))
    return how


def mend(workspace: Workspace) -> list[str]:
    """Type the commands that `make repro` asks for until it runs; return the lines in which it did."""
    lines = list[str]()
    while found := re.findall(
        r"^ERROR: .*`(?:git checkout|rm) .*", workspace.run("sh", "-c", f"{REPRO} || true"), re.M
    ):
        lines += found
        assert len(lines) <= 2, lines
        workspace.run(*found[0].split("`")[1].split())
    return lines


def forget(workspace: Workspace, stage: str) -> None:
    """Let DVC forget that a stage ever ran, so that it runs again and is not fetched from the cache."""
    lock, yaml = workspace.folder / "dvc.lock", YAML()
    known = yaml.load(lock.read_text(encoding="utf-8"))
    del known["stages"][stage]
    with lock.open("w", encoding="utf-8") as file:
        yaml.dump(known, file)
    shutil.rmtree(workspace.folder / ".dvc" / "cache" / "runs", ignore_errors=True)


def trials(workspace: Workspace, seed: int, count: int) -> Counter[tuple[str, str, str]]:
    """Kill so often, each time a stage, a target, a signal and a moment drawn from the seed, and recover each time."""
    rng, outcomes = random.Random(seed), Counter[tuple[str, str, str]]()  # noqa: S311 - no secret
    expected, known = workspace.outputs(), locks(workspace)
    seconds = dict[str, float]()
    for _ in range(count):
        stage = rng.choice(sorted(STAGES))
        target, how, share = rng.choice(TARGETS), rng.choice(SIGNALS), rng.random()
        command = ("dvc", "repro", "--single-item", stage)
        forget(workspace, stage)
        if stage not in seconds:
            begun = monotonic()
            workspace.run(*command)
            seconds[stage] = monotonic() - begun
            forget(workspace, stage)
        started = Started(workspace, *command)
        try:
            sleep(share * seconds[stage])
            started.kill(target, how)
            said = started.end()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.process.pid, signal.SIGKILL)
        assert "stages/" not in said, said  # the only tracebacks are DVC's own
        outcomes[how.name, target, recovered(workspace, expected)] += 1
        assert locks(workspace) == known
    return outcomes


@pytest.mark.slow
def test_after_random_kills_all_bytes_are_those_of_an_undisturbed_run(
    miniature: Workspace, tmp_path: Path, tell: Tell
) -> None:
    outcomes = trials(copy(miniature, tmp_path / "killed"), seed=2, count=KILLS)
    assert outcomes.total() == KILLS
    tell(
        f"{KILLS} kills of stages, DVC or both, with stage, target, signal and moment drawn from a seed",
        "`dvc repro` finishes, all bytes those of an undisturbed run; where DVC tore its own file, after one command",
        "so it was",
    )
    assert sum(number for (_, _, by), number in outcomes.items() if by == "by hand") <= 1


@pytest.mark.parametrize("how", [SLOW_INT, signal.SIGTERM, SLOW_KILL], ids=lambda how: how.name)
def test_training_goes_on_after_its_last_whole_epoch(
    longer: Workspace, tmp_path: Path, start: type[Started], how: signal.Signals, tell: Tell
) -> None:
    workspace = copy(longer, tmp_path / "killed")
    expected = workspace.outputs()
    forget(workspace, "train@mlp")
    started = start(workspace, *TRAINING)
    wait_for(workspace.folder / ".ckpt" / "train@mlp")
    started.kill("stage", how)
    said = started.end()
    if how != signal.SIGKILL:
        assert " finished epochs, and the next run goes on from there" in said
        assert f"Interrupted by {how.name}. No file was left half-written." in said
        assert f"exited with {128 + how}" in said
    assert "Traceback" not in said
    assert not (workspace.folder / "models" / "mlp.safetensors").exists()

    said = workspace.run(*TRAINING)

    tell(
        f"{how.name} to a training run after some epochs",
        "a line that says how far it is; the next `dvc repro` goes on from there, to the same bytes",
        "so it was",
    )
    assert ".ckpt/train@mlp: going on after epoch " in said
    assert workspace.outputs() == expected
    assert not (workspace.folder / ".ckpt" / "train@mlp").exists()


def wait_for(path: Path) -> None:
    """Wait until there is a file."""
    deadline = monotonic() + 60
    while not path.exists():
        assert monotonic() < deadline
        sleep(0.01)


@pytest.mark.slow
def test_what_was_kept_of_other_parameters_is_not_used(
    longer: Workspace, tmp_path: Path, start: type[Started], tell: Tell
) -> None:
    workspace = copy(longer, tmp_path / "changed")
    started = start(workspace, *TRAINING, "--force")
    wait_for(workspace.folder / ".ckpt" / "train@mlp")
    started.kill("stage", signal.SIGKILL)
    started.end()
    workspace.set(train__mlp__learning_rate=0.002)
    said = workspace.run(*TRAINING)
    (line,) = [line for line in said.splitlines() if ".ckpt" in line]
    tell("training killed, then another learning rate", "what was kept is not used, and that is said", line)
    assert line.endswith("of other parameters, data or code, and not used; training begins anew")
    whole = workspace.outputs()
    workspace.run(*TRAINING, "--force")
    assert workspace.outputs() == whole


@pytest.mark.parametrize("how", [SLOW_TERM, signal.SIGKILL], ids=lambda how: how.name)
def test_a_stage_ends_with_its_dvc(
    longer: Workspace, tmp_path: Path, start: type[Started], how: signal.Signals, tell: Tell
) -> None:
    workspace = copy(longer, tmp_path / "orphaned")
    started = start(workspace, *TRAINING, "--force")
    wait_for(workspace.folder / ".ckpt" / "train@mlp")
    started.kill("dvc", how)
    said = started.end()
    tell(
        f"{how.name} to DVC alone while a stage runs",
        "the stage ends too, and says what it keeps",
        next(line for line in said.splitlines() if line.startswith("Interrupted")),
    )
    assert "Interrupted by SIGTERM." in said
    assert " finished epochs, and the next run goes on from there" in said


def test_a_stage_waits_for_the_end_of_one_left_over(miniature: Workspace, tmp_path: Path, tell: Tell) -> None:
    workspace = copy(miniature, tmp_path / "waiting")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace.folder)
        with locked("report"):
            started = Started(workspace, sys.executable, "-m", "stages.report")
            deadline = monotonic() + 60
            while "waiting" not in said_of(workspace).read_text():
                assert monotonic() < deadline
                sleep(0.01)
            sleep(0.3)
            assert started.process.poll() is None
        said = started.end()
    tell("a stage is begun while the same one still runs", "it waits, and says so", said)
    assert said == "WARNING: report: waiting for another process that runs it\n"
    assert started.process.returncode == 0


@pytest.mark.parametrize("how", [signal.SIGINT, SLOW_TERM], ids=lambda how: how.name)
def test_a_stage_that_is_still_importing_ends_without_a_traceback(
    miniature: Workspace, tmp_path: Path, how: signal.Signals, tell: Tell
) -> None:
    workspace = copy(miniature, tmp_path / "early")
    for moment in (0.15, 0.3, 0.6, 0.9):
        started = Started(workspace, sys.executable, "-X", "importtime", "-m", "stages.train", "mlp")
        sleep(moment)
        # Python itself has started once it imports the first module of ours.
        while "stages.program" not in said_of(workspace).read_text():
            sleep(0.01)
        started.kill("dvc", how)
        said = [line for line in started.end().splitlines() if not line.startswith("import time:")]
        assert started.process.returncode in (128 + how, 1)
        assert "Traceback" not in "\n".join(said)
    tell(f"{how.name} to a stage that imports torch", "it ends at once, in words", "so it did, at four moments")


@pytest.mark.slow
def test_make_repro_says_how_to_mend_what_a_killed_dvc_tore(miniature: Workspace, tmp_path: Path, tell: Tell) -> None:
    workspace = copy(miniature, tmp_path / "torn")
    expected, lock = workspace.outputs(), workspace.folder / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: whole.rindex(b"\n    - path") + 9])
    (workspace.folder / ".dvc" / "tmp" / "rwlock").write_text("")
    lines = mend(workspace)
    tell(
        "DVC killed while it writes dvc.lock and its list of locks",
        "`make repro` says with which command it goes on; then all bytes are as before",
        "\n".join(lines),
    )
    assert [re.findall("`(.*?)`", line) for line in lines] == [
        ["rm .dvc/tmp/rwlock"],
        ["git checkout HEAD -- dvc.lock"],
    ]
    assert workspace.outputs() == expected
    assert locks(workspace) == locks(miniature)


@pytest.mark.slow
def test_make_repro_waits_for_another(miniature: Workspace, tmp_path: Path, start: type[Started], tell: Tell) -> None:
    workspace = copy(miniature, tmp_path / "twice")
    expected = workspace.outputs()
    workspace.set(train__regression_lr_1e_4__epochs=4)
    workspace.run("git", "commit", "--quiet", "--all", "--message", "One more epoch")
    shutil.rmtree(workspace.folder / ".ckpt")
    started = start(workspace, sys.executable, "-m", "tools.repro", "2")
    wait_for(workspace.folder / ".ckpt" / "repro.lock")
    second = workspace.run("python", "-m", "tools.repro", "2")
    first = started.end()
    line = next((line for line in second.splitlines() if "another" in line), "")
    tell("two `make repro` at once in one folder", "the second waits, says so, and finds nothing to do", line)
    assert line == "WARNING: repro: waiting for another process that runs it"
    assert "train@regression-lr-1e-4 | done" in first
    assert "| runs" not in second
    assert second.endswith("Data and pipelines are up to date.\n")
    assert workspace.outputs() != expected
