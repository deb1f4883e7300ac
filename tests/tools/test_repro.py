"""Stages side by side: in order, to the same end as one after the other, and stopped together."""

import re
import signal
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.pipeline.test_pipeline import STAGES
from tests.workspace import Workspace, copy, locks
from tools.repro import side_by_side


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return when stages begin and end; nothing runs, and the stage `broken` fails."""
    events = list[str]()

    def run(stage: str, lock: int) -> bool:
        events.append(f"{stage} runs")
        sleep(0.02)
        events.append(f"{stage} ends")
        return stage != "broken"

    monkeypatch.setattr("tools.repro.run", run)
    return events


@pytest.mark.parametrize("count", [2, 3])
def test_a_stage_runs_once_all_that_it_awaits_have_ended(events: list[str], count: int) -> None:
    stages: dict[str, set[str]] = {"top": set(), "left": {"top"}, "right": {"top"}, "alone": set()}
    stages["end"] = {"left", "right"}
    assert side_by_side(stages, count, lock=0)
    assert sorted(events) == sorted(f"{stage} {what}" for stage in stages for what in ("runs", "ends"))
    for stage, awaited in stages.items():
        for parent in awaited:
            assert events.index(f"{parent} ends") < events.index(f"{stage} runs")
    assert 1 < max(accumulate(1 if event.endswith("runs") else -1 for event in events)) <= count


def test_after_a_failure_nothing_more_is_begun(events: list[str]) -> None:
    assert not side_by_side({"broken": set(), "after": {"broken"}, "alone": set()}, 1, lock=0)
    assert "after runs" not in events
    assert events[-1] == "broken ends"


def test_a_first_run_side_by_side_names_each_stage_and_leaves_nothing_to_do(miniature: Workspace) -> None:
    lines = miniature.first_run.splitlines()
    for words in ("Running stage '.*':", r"done after \d+ s"):
        told = [line.split("|")[0].strip() for line in lines if re.fullmatch(rf" *\S+ \| {words}", line)]
        assert sorted(told) == sorted(STAGES)
    assert not re.search("lock file|git add|dvc (push|config)", miniature.first_run)
    assert lines[-1] == "Data and pipelines are up to date."


MERGING = b"<<<<<<< HEAD\n    params:\n=======\n>>>>>>> other\n"


@pytest.mark.parametrize(
    ("path", "damage", "remedy"),
    [
        ("dvc.lock", lambda whole: whole[: whole.rindex(b"\n    - path") + 9], "git checkout HEAD -- dvc.lock"),
        ("dvc.lock", lambda whole: whole.replace(b"    params:", MERGING, 1), "git checkout HEAD -- dvc.lock"),
        pytest.param(".dvc/tmp/rwlock", lambda whole: b"", "rm .dvc/tmp/rwlock", marks=pytest.mark.slow),
    ],
    ids=["torn", "merging", "lock"],
)
def test_a_damaged_file_of_dvc_is_an_error_with_its_remedy(
    miniature: Workspace, tmp_path: Path, path: str, damage: Callable[[bytes], bytes], remedy: str
) -> None:
    workspace = copy(miniature, tmp_path / "damaged")
    file = workspace.folder / path
    file.write_bytes(damaged := damage(file.read_bytes() if file.exists() else b""))
    said = workspace.run("python", "-m", "tools.repro", "2", status=1)
    assert said.startswith("ERROR: ")
    assert f"`{remedy}`" in said
    assert file.read_bytes() == damaged
    workspace.run(*remedy.split())
    assert locks(workspace) == locks(miniature)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("rm -r images", r"download \| ERROR: failed to reproduce 'download': .*No such file or directory: '.*images'"),
        ("dvc cache dir --local /proc/cache", r"\| ERROR: failed to reproduce '.*': .*No such file .*'/proc/cache'"),
        ("rm -r models; ln -s /tmp models", r"\| ERROR: failed to reproduce '.*': '/tmp/.*' is outside of git repos"),
    ],
    ids=lambda value: value,
)
def test_errors_of_dvc_are_shown(miniature: Workspace, tmp_path: Path, damage: str, said: str) -> None:
    workspace = copy(miniature, tmp_path / "failing")
    workspace.set(train__regression_lr_1e_4__epochs=4)
    workspace.run("sh", "-c", damage)
    printed = workspace.run("python", "-m", "tools.repro", "2", status=1)
    assert re.search(said, printed), printed


@pytest.mark.slow
def test_the_first_failure_stops_the_rest_and_is_shown(miniature: Workspace, tmp_path: Path) -> None:
    workspace = copy(miniature, tmp_path / "failing")
    large = {"filters": 4, "kernel_size": 100, "stride": 1, "padding": 0, "max_pool": 1}
    workspace.set(train__convnet__model__convolutions=[large], train__mlp__epochs=100_000)
    start = monotonic()

    said = workspace.run("python", "-m", "tools.repro", "2", status=1)

    assert monotonic() - start < 100
    mistake = "params.yaml: train.convnet.model.convolutions.0: images of 1×28×28 are too small for it"
    assert f"train@convnet | ERROR: {mistake}\n" in said
    assert "train@convnet | ERROR: failed to reproduce 'train@convnet': failed to run: exec python -m stages" in said
    for stage in ("train@convnet", "train@mlp"):
        assert re.search(rf"{stage} \| FAILED after \d+ s", said)
    assert "Traceback" not in said
    assert "attack@" not in said


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
    assert len(re.findall(r"train@mlp(-weight-decay)? \| FAILED after \d+ s", said)) == 2
    assert len(re.findall(r"keeps \d+ finished epochs, and the next run goes on from there", said)) == 2
    assert said.rstrip().endswith(f"Interrupted by {how.name}. No file was left half-written.")
    assert "Traceback" not in said
    left = [path.read_bytes() for path in kept]
    sleep(1)
    assert [path.read_bytes() for path in kept] == left  # no stage writes on
