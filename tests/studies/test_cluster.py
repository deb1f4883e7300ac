"""Trials go to every node that can perform them, and an imitation of Ray shows what becomes of each.

test_cluster_nodes.py does the same with a real cluster.
"""

import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from descent.io.schema import Params
from descent.studies import cluster
from descent.studies.cluster import ATTEMPTS, ClusterError, on_cluster
from descent.studies.engine import Failure
from descent.studies.trials import Trial, key, perform
from tests.imports import ROOT

ADDRESS = "127.0.0.1:6379"


class RayError(Exception):
    """A worker or a node is gone."""


class RayTaskError(RayError):
    """A trial raised an exception."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Reference(NamedTuple):
    """A trial that was given to a node."""

    node: str
    name: str
    number: int


class Ray:
    """Imitates Ray: each node has a function that performs a trial, given its name."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, cores: int = 1, **nodes: Callable[[str], bytes]) -> None:
        self.cores, self.alive, self.given = cores, nodes, list[Reference]()

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes."""
        return [{"NodeID": node, "Alive": True, "Resources": {"CPU": float(self.cores)}} for node in self.alive]

    def put(self, content: bytes) -> bytes:
        """Return the content itself as its reference."""
        return content

    def remote(self, **_: object) -> Callable[[object], object]:
        """Return what makes a function remote."""
        return lambda _: SimpleNamespace(options=self.options)

    def options(self, scheduling_strategy: str) -> object:
        """Return what gives a trial to this node."""

        def give(name: str, *_: object) -> Reference:
            self.given.append(Reference(scheduling_strategy, name, len(self.given)))
            return self.given[-1]

        return SimpleNamespace(remote=give)

    def wait(self, references: list[Reference], timeout: float) -> tuple[list[Reference], list[Reference]]:
        """Let the newest trial be finished."""
        return references[-1:], references[:-1]

    def get(self, reference: Reference) -> bytes:
        """Return what the node gives."""
        return self.alive[reference.node](reference.name)

    def shutdown(self) -> None:
        """Give nothing more."""
        self.alive = {}


Run = Callable[[Ray], dict[str, list[bytes | Failure]]]


@pytest.fixture
def trials(params: Params, data: tuple[Path, str]) -> Mapping[str, Trial]:
    """Plan five short regressions on a few rows of data."""
    run = params.train["regression-lr-1e-2"].model_copy(update={"epochs": 2})
    planned = [Trial(run, seed, params.evaluation, 1, data[1]) for seed in range(5)]
    return {key(trial): trial for trial in planned}


@pytest.fixture
def run(trials: Mapping[str, Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what performs the trials on nodes, and all that each trial gave, by name."""
    strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: node)
    for name in ("ray", "ray.util"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)

    def run(ray: Ray) -> dict[str, list[bytes | Failure]]:
        monkeypatch.setattr(cluster, "_connected", lambda address: ray)
        found: dict[str, list[bytes | Failure]] = {name: [] for name in trials}
        for name, result in on_cluster(trials, ADDRESS, tmp_path / "data"):
            found[name].append(result)
        return found

    return run


def raising(error: Exception) -> Callable[[str], bytes]:
    """Return a node on which every trial raises an error."""

    def node(name: str) -> bytes:
        raise error

    return node


def test_every_trial_is_performed_once_on_as_many_cores_as_there_are(run: Run, trials: Mapping[str, Trial]) -> None:
    ray = Ray(cores=2, a=str.encode, b=str.encode)
    assert run(ray) == {name: [name.encode()] for name in trials}
    assert Counter(given.node for given in ray.given[:4]) == {"a": 2, "b": 2}
    assert len(ray.given) == len(trials)


def test_trials_of_a_dead_node_are_performed_by_the_others(run: Run, trials: Mapping[str, Trial]) -> None:
    def last_breath(name: str) -> bytes:
        del ray.alive["b"]
        return name.encode()

    ray = Ray(cores=2, a=str.encode, b=last_breath)
    assert run(ray) == {name: [name.encode()] for name in trials}
    assert len(ray.given) == len(trials) + 1  # the other trial of node b


def test_a_trial_whose_worker_crashes_is_tried_again_and_in_the_end_given_up(
    run: Run, trials: Mapping[str, Trial]
) -> None:
    crashes = Counter[str]()
    fatal, unlucky, *_ = trials

    def node(name: str) -> bytes:
        crashes[name] += 1
        if name == fatal or (name == unlucky and crashes[name] < ATTEMPTS):
            raise RayError
        return name.encode()

    found = run(Ray(a=node))
    assert found.pop(fatal) == [Failure(f"its worker or node crashed {ATTEMPTS} times (RayError)")]
    assert found == {name: [name.encode()] for name in trials if name != fatal}
    assert crashes[fatal] == crashes[unlucky] == ATTEMPTS


def test_a_trial_that_raises_is_a_failure_with_its_reason(run: Run, trials: Mapping[str, Trial]) -> None:
    found = run(Ray(a=raising(RayTaskError(ValueError("no such thing")))))
    assert found == {name: [Failure("ValueError: no such thing")] for name in trials}


def test_a_node_with_other_code_gets_no_more_trials(run: Run, trials: Mapping[str, Trial]) -> None:
    ray = Ray(a=str.encode, b=raising(RayTaskError(ClusterError("on b is other code"))))
    assert run(ray) == {name: [name.encode()] for name in trials}
    assert [given.node for given in ray.given].count("b") == 1


def test_without_a_node_that_can_perform_trials_every_reason_is_given(run: Run) -> None:
    with pytest.raises(ClusterError, match="no node can perform trials of 1 threads\nImportError: No module") as error:
        run(Ray(a=raising(RayTaskError(ImportError("No module named descent")))))
    assert str(error.value).startswith(f"DESCENT_CLUSTER={ADDRESS}: ")


def test_a_trial_on_a_node_gives_the_bytes_of_this_machine(trials: Mapping[str, Trial], tmp_path: Path) -> None:
    name, trial = next(iter(trials.items()))
    content = (tmp_path / "data" / "diabetes.safetensors").read_bytes()
    expected = perform(trial, tmp_path / "data", tmp_path / "kept")
    for _ in range(2):  # the second finds the data in place
        assert cluster._perform(name, trial, "diabetes.safetensors", content) == expected
    with pytest.raises(ClusterError, match="has other code, another torch or another processor than this machine"):
        cluster._perform("of other code", trial, "diabetes.safetensors", content)


def test_a_driver_gives_the_nodes_its_environment_and_keeps_its_signal_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def init(address: str, **options: object) -> None:
        asked.update(options, address=address)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Ray sets its own

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    before = signal.getsignal(signal.SIGTERM)
    cluster._join(ADDRESS, quiet=False)
    assert signal.getsignal(signal.SIGTERM) == before
    assert asked["address"] == ADDRESS
    environment = asked["runtime_env"]["env_vars"]
    assert environment["MKL_CBWR"] == "AVX2"
    assert environment["PYTHONPATH"] == f"${{PYTHONPATH}}:{ROOT / 'src'}"  # where a node finds the library


def test_no_trial_needs_no_cluster(tmp_path: Path) -> None:
    assert list(on_cluster({}, "nowhere", tmp_path)) == []


def test_without_ray_the_error_says_how_to_install_it(
    trials: Mapping[str, Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"Ray is not installed; `.*pip install .* ray`"):
        list(on_cluster(trials, ADDRESS, tmp_path))
