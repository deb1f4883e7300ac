"""A cluster of nodes with addresses and folders of their own gives the bytes of this machine, whatever befalls it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import dask
import distributed  # noqa: F401 - its settings, which would go with those of the certificates
import pytest

from descent.io.schema import Params
from descent.studies.engine import ClusterError, on_workers
from descent.studies.trials import Trial, key, perform
from tests.imports import ROOT

pytestmark = pytest.mark.slow


class Cluster:
    """A scheduler, and nodes in sessions of their own; a node that is silent for some seconds is given up."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.nodes = folder, dict[int, subprocess.Popen[bytes]]()
        for name in ("ours", "strange"):
            command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=descent"]
            files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
            subprocess.run([*command, *files], check=True, capture_output=True)
        with socket.create_server(("127.0.0.2", 0)) as free:
            self.address = f"tls://127.0.0.2:{free.getsockname()[1]}"
        port = self.address.rpartition(":")[2]
        self._start(2, ROOT, "scheduler", "--protocol", "tls", "--host", "127.0.0.2", "--port", port)

    def join(self, number: int, code: Path = ROOT) -> None:
        """Start a node with the code of a checkout."""
        scratch = ["--local-directory", str(self.folder / str(number)), "--nthreads", "1", "--memory-limit", "0"]
        self._start(number, code, "worker", self.address, "--host", f"127.0.0.{number}", *scratch)

    def _start(self, number: int, code: Path, *arguments: str) -> None:
        certificate, secret = str(self.folder / "ours.pem"), str(self.folder / "ours.key")
        tls = ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", secret]
        options = [*tls, "--preload", "stages", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        with (self.folder / f"said-{number}").open("w") as said:
            self.nodes[number] = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, *options],
                cwd=code,
                env=os.environ | {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"},
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send a signal to all processes of a node."""
        with suppress(ProcessLookupError):
            os.killpg(self.nodes[number].pid, what)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    started = Cluster(tmp_path)
    yield started
    for number, process in started.nodes.items():
        started.signal(number, signal.SIGKILL)
        process.wait()


def certificates(cluster: Cluster, name: str) -> dask.config.set:
    """Configure the certificates of the client."""
    ours, its = cluster.folder / "ours.pem", cluster.folder / name
    client = {"cert": str(its.with_suffix(".pem")), "key": str(its.with_suffix(".key"))}
    return dask.config.set({"distributed.comm.tls.ca-file": str(ours), "distributed.comm.tls.client": client})


@pytest.fixture
def trials(params: Params, data: tuple[Path, str]) -> dict[str, Trial]:
    """Plan short regressions."""
    run = params.train["regression-lr-1e-2"].model_copy(update={"epochs": 200})
    planned = [Trial(run, seed, params.evaluation, 1, data[1]) for seed in range(24)]
    return {key(trial): trial for trial in planned}


def test_nothing_is_lost_where_nodes_are_killed_cut_off_of_other_code_or_late(
    cluster: Cluster, trials: dict[str, Trial], data: tuple[Path, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for part in ("src", "stages"):
        shutil.copytree(ROOT / part, tmp_path / "other" / part)
    with (tmp_path / "other" / "src" / "descent" / "training" / "loop.py").open("a") as code:
        code.write("UNUSED = 0\n")
    for number in (3, 4):
        cluster.join(number)
    cluster.join(5, tmp_path / "other")
    found = list[tuple[str, object]]()
    with certificates(cluster, "ours"):
        for name, result in on_workers(trials, data[0], tmp_path / "kept", cluster.address):
            found.append((name, result))
            if len(found) == 4:
                cluster.join(6)
                cluster.signal(3, signal.SIGKILL)
                cluster.signal(4, signal.SIGSTOP)
    assert sorted(name for name, _ in found) == sorted(trials)
    assert dict(found) == {name: perform(trial, data[0], tmp_path / "alone") for name, trial in trials.items()}
    warnings = [record.getMessage() for record in caplog.records]
    assert ["tls://127.0.0.5" in warning and "other code" in warning for warning in warnings] == [True]
    assert not (tmp_path / "kept").exists()


def test_a_wrong_address_or_certificate_is_an_error_within_15_seconds(
    cluster: Cluster, trials: dict[str, Trial], data: tuple[Path, str], tmp_path: Path
) -> None:
    host, port = cluster.address.removeprefix("tls://").split(":")
    while True:
        with suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
            break
        sleep(0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = f"tls://127.0.0.1:{silent.getsockname()[1]}"
        for address, name in ((nobody, "ours"), (cluster.address, "strange")):
            started = monotonic()
            refused = pytest.raises(ClusterError, match=f"^DESCENT_CLUSTER={address}: no answer")
            with certificates(cluster, name), refused:
                list(on_workers(trials, data[0], tmp_path, address))
            assert monotonic() - started < 15
