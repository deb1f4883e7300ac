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

import psutil
import pytest
import torch

from descent.io.params import load_params
from descent.io.schema import Params
from descent.io.tensors import save_tensors
from descent.studies.trials import Trial, key, perform
from tests.imports import ROOT
from tests.workspace import Workspace, copy

pytestmark = pytest.mark.slow

TRIALS = 24
TOKEN = "a-token-of-the-tests-and-of-nobody-else"  # noqa: S105
STUDY = ("python", "-m", "stages.study", "learning-rate")
DRIVER = """
import stages
import sys
from pathlib import Path
from descent.studies.cluster import on_cluster
from descent.studies.engine import Failure
from tests.studies.test_cluster_nodes import planned
address, digest, data, out = sys.argv[1:]
for name, result in on_cluster(planned(digest), address, Path(data)):
    assert not isinstance(result, Failure), result
    with (Path(out) / name).open("xb") as file:  # an error where something comes twice
        file.write(result)
"""


def planned(digest: str) -> dict[str, Trial]:
    """Plan regressions of half a second."""
    params = load_params(ROOT / "params.yaml")
    run = params.train["regression-lr-1e-2"].model_copy(update={"epochs": 150})
    trials = [Trial(run, seed, params.evaluation, 1, digest) for seed in range(TRIALS)]
    return {key(trial): trial for trial in trials}


class Node:
    """A node in a session of its own, with an address, a folder and, if `code` is given, code of its own."""

    def __init__(self, folder: Path, number: int, head: str, code: Path | None = None) -> None:
        folder.mkdir()
        joins = ["--head", "--port", head.partition(":")[2], "--include-dashboard=false"]
        command = [str(Path(sys.executable).parent / "ray"), "start", *(["--address", head] if number > 2 else joins)]
        command += [f"--node-ip-address=127.0.0.{number}", "--num-cpus=1", "--object-store-memory=100000000"]
        with (folder / "said").open("w") as said:
            self.process = subprocess.Popen(
                [*command, "--disable-usage-stats", "--block", f"--temp-dir={folder}"],
                cwd=folder,
                env=surroundings() | ({"PYTHONPATH": str(code)} if code else {}),
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the node."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.process.pid)
            for each in [*process.children(recursive=True), process]:
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(number)


def surroundings() -> dict[str, str]:
    """Return the environment of nodes and drivers; a node that is silent for some seconds is given up."""
    return os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_health_check_initial_delay_ms": "0",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "2000",
        "RAY_health_check_failure_threshold": "3",
    }


class Cluster:
    """A head, two nodes, and one whose code has changed in what no trial would show."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.2", 0)) as free:
            self.head = f"127.0.0.2:{free.getsockname()[1]}"
        shutil.copytree(ROOT / "src", folder / "src")
        with (folder / "src" / "descent" / "training" / "loop.py").open("a") as code:
            code.write("UNUSED = 0\n")
        self.nodes = [Node(folder / "2", 2, self.head)]
        wait_for(self.head)
        self.nodes += [Node(folder / str(number), number, self.head) for number in (3, 4)]
        self.nodes += [Node(folder / "5", 5, self.head, folder / "src")]

    def end(self) -> None:
        """Kill what is left."""
        for node in reversed(self.nodes):
            node.signal(signal.SIGKILL)
            node.process.wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path("/tmp") / f"r{os.getpid()}"  # noqa: S108 - a socket's path is short
    folder.mkdir(mode=0o700)
    started = Cluster(folder)
    yield started
    started.end()
    shutil.rmtree(folder)


def wait_for(address: str) -> None:
    """Wait until somebody listens."""
    host, _, port = address.partition(":")
    deadline = monotonic() + 60
    while True:
        with suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        assert monotonic() < deadline
        sleep(0.1)


def test_a_head_that_does_not_answer_is_an_error_that_says_what_to_do(studied: Workspace, tmp_path: Path) -> None:
    workspace = copy(studied, tmp_path / "alone")
    before = workspace.outcomes()
    workspace.set_study("learning-rate", grid={"learning_rate": [0.0001, 0.5]})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        said = workspace.run(*STUDY, status=1, DESCENT_CLUSTER=address, RAY_AUTH_TOKEN=TOKEN)
    assert f"ERROR: DESCENT_CLUSTER={address}: no answer, or the token is wrong; start" in said
    assert "Traceback" not in said
    assert workspace.outcomes() == before


def test_a_study_gives_the_bytes_of_this_machine(
    studied: Workspace,
    cluster: Cluster,
    tmp_path: Path,
) -> None:
    workspace = copy(studied, tmp_path / "together")
    shutil.rmtree(workspace.folder / ".ckpt")
    shutil.rmtree(folder := workspace.folder / "studies" / "results" / "learning-rate")
    workspace.run(*STUDY, DESCENT_CLUSTER=cluster.head, RAY_AUTH_TOKEN=TOKEN)
    for path in folder.iterdir():
        assert path.read_bytes() == (studied.folder / path.relative_to(workspace.folder)).read_bytes()
    assert {path.name for path in folder.iterdir()} == {"curves.csv", "trials.csv", "summary.csv", "metrics.json"}


def test_nothing_is_lost_or_comes_twice_where_a_node_is_killed_and_one_cut_off(
    cluster: Cluster, params: Params, tmp_path: Path, rng: torch.Generator
) -> None:
    parts = {
        f"{part}_{name}": torch.randn(count, width, generator=rng, dtype=torch.float64)
        for part, count in (("train", 300), ("test", 12))
        for name, width in (("x", 5), ("y", 1))
    }
    data, out = tmp_path / "data", tmp_path / "out"
    digest = save_tensors(data / "diabetes.safetensors", parts)
    out.mkdir()
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, cluster.head, digest, str(data), str(out)],
        cwd=ROOT,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = monotonic() + 120
    while len(list(out.iterdir())) < 4 and driver.poll() is None:
        assert monotonic() < deadline
        sleep(0.05)
    cluster.nodes[1].signal(signal.SIGKILL)
    cluster.nodes[2].signal(signal.SIGSTOP)
    assert len(list(out.iterdir())) < TRIALS / 2
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    assert "gets no trials: ClusterError: " in said
    assert " has other code" in said
    trials = planned(digest)
    assert {path.name for path in out.iterdir()} == set(trials)
    for name, trial in list(trials.items())[::4]:
        assert (out / name).read_bytes() == perform(trial, data, tmp_path / "kept")
