"""Every trial has its outcome or a reason, whatever becomes of the processes of this machine."""

import os
import signal
from multiprocessing import active_children
from pathlib import Path

import pytest

from descent.io.schema import Params
from descent.studies import engine
from descent.studies.engine import ATTEMPTS, ClusterError, Failure, on_workers
from descent.studies.trials import Trial, key, perform

VARIABLES = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "OMP_DYNAMIC", "OMP_NUM_THREADS", "ONEDNN_MAX_CPU_ISA")


@pytest.fixture
def trials(params: Params, data: tuple[Path, str]) -> dict[str, Trial]:
    """Plan short regressions on a few rows of data."""
    run = params.train["regression-lr-1e-2"].model_copy(update={"epochs": 2})
    planned = [Trial(run, seed, params.evaluation, 1, data[1]) for seed in range(8)]
    return {key(trial): trial for trial in planned}


def dangerous(trial: Trial, data: Path, kept: Path) -> bytes:
    """Note the attempt; seed 0 kills the worker each time, seed 1 the first time, and seed 2 raises."""
    with (data / str(trial.seed)).open("a") as notes:
        notes.write("x")
    if trial.seed == 0 or (trial.seed == 1 and (data / "1").read_text() == "x"):
        os.kill(os.getpid(), signal.SIGKILL)
    if trial.seed == 2:
        raise ValueError("two")
    os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does to all processes of a terminal
    return repr([os.environ.get(name) for name in VARIABLES]).encode()


def test_a_failing_trial_fails_alone(trials: dict[str, Trial], data: tuple[Path, str], tmp_path: Path) -> None:
    results = list(on_workers(trials, data[0], tmp_path / "kept", work=dangerous))
    assert sorted(name for name, _ in results) == sorted(trials)
    found = {trials[name].seed: result for name, result in results}
    crashed = Failure(f"its worker crashed {ATTEMPTS} times; it was killed, or memory is short")
    assert (found.pop(0), found.pop(2)) == (crashed, Failure("ValueError: two"))
    assert set(found.values()) == {repr([os.environ.get(name) for name in VARIABLES]).encode()}
    attempts = {seed: len((data[0] / str(seed)).read_text()) for seed in range(8)}
    assert attempts == dict.fromkeys(range(8), 1) | {0: ATTEMPTS, 1: 2}
    assert not active_children()


def test_a_worker_gives_the_bytes_of_this_process_and_ends_with_an_interrupt(
    trials: dict[str, Trial], data: tuple[Path, str], tmp_path: Path
) -> None:
    results = on_workers(trials, data[0], tmp_path / "kept")
    name, result = next(results)
    assert result == perform(trials[name], data[0], tmp_path / "alone")
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)
    assert not active_children()


def test_no_trial_needs_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_client", None)
    assert list(on_workers({}, tmp_path, tmp_path)) == []


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "tcp://127.0.0.1:8786", "tls://127.0.0.1:8786"])
def test_a_cluster_needs_certificates(trials: dict[str, Trial], tmp_path: Path, address: str) -> None:
    with pytest.raises(ClusterError, match=f"DESCENT_CLUSTER={address}: expected tls://HOST:PORT, and .* paths"):
        list(on_workers(trials, tmp_path, tmp_path, address))
