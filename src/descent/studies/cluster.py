"""Run trials on the nodes of a Ray cluster; the nodes need no shared disk."""

import logging
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from descent.io.errors import StudyError
from descent.io.files import replacing
from descent.studies.engine import Failure
from descent.studies.trials import Trial, key, perform

log = logging.getLogger(__name__)

# Timeout of the connection to the head; Ray's own is two minutes.
SECONDS = 10
# A trial fails after this many crashes of its worker or node.
ATTEMPTS = 4
# Results depend on these variables, which torch reads at import. The nodes get the values of this machine.
VARIABLES = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "OMP_DYNAMIC", "OMP_WAIT_POLICY", "ONEDNN_MAX_CPU_ISA")


class ClusterError(StudyError):
    """The cluster is unreachable or too small, or a node differs from this machine in code or processor."""


def on_cluster(trials: Mapping[str, Trial], address: str, data: Path) -> Generator[tuple[str, bytes | Failure]]:
    """Perform trials on every node of a cluster, and yield each outcome or failure by name as it comes.

    A crashed or unreachable node costs time but no trial: other nodes repeat its trials. A node that joins later gets
    trials too. A node with other code or another processor gets none, because its results would have other bytes.

    Args:
        trials: By name.
        address: HOST:PORT of the cluster's head; this machine is one of its nodes.
        data: The folder with the prepared data sets; each node gets from here what it needs.

    Raises:
        ClusterError: Ray is not installed, the address does not answer, the token is wrong, or no node can perform the
            trials.
    """
    if not trials:
        return
    ray = _connected(address)
    try:
        work = _Work(ray, trials, data)
        while work.waiting or work.going:
            work.take_back()
            work.hand_out()
            if not work.going:
                words = f"DESCENT_CLUSTER={address}: no node can perform trials of {work.threads} threads"
                raise ClusterError("\n".join([words, *work.unfit.values()]))
            yield from work.answers()
    finally:
        ray.shutdown()


class _Given(NamedTuple):
    """A trial and the node that performs it."""

    name: str
    node: str


class _Work:
    """Assign trials to nodes here, not in Ray's scheduler.

    Ray waits for the answer of a dead node as long as the connection to it is open.

    Args:
        ray: The module, connected.
        trials: By name.
        data: The folder with the prepared data sets.
    """

    def __init__(self, ray: Any, trials: Mapping[str, Trial], data: Path) -> None:  # noqa: ANN401 - a module
        self.ray, self.trials = ray, trials
        self.threads = max(trial.threads for trial in trials.values())
        self.waiting, self.going = dict(trials), dict[Any, _Given]()
        self.unfit, self._crashes = dict[str, str](), Counter[str]()  # reasons by node, counts by trial
        self._files = {
            name: ray.put((data / name).read_bytes()) for name in {_file(trial) for trial in trials.values()}
        }
        self._perform = ray.remote(num_cpus=self.threads, max_retries=0)(_perform)

    def take_back(self) -> None:
        """Put the trials of dead nodes back into the queue, and ignore later answers from these nodes."""
        alive = {node["NodeID"] for node in self._nodes()}
        for reference, (name, node) in list(self.going.items()):
            if node not in alive:
                del self.going[reference]
                self.waiting[name] = self.trials[name]

    def hand_out(self) -> None:
        """Submit trials to all free cores."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        cores = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in self._nodes()}
        room = Counter({node: count // self.threads for node, count in cores.items() if node not in self.unfit})
        for node, free in (room - Counter(given.node for given in self.going.values())).items():
            for name in list(self.waiting)[:free]:
                trial, there = self.waiting.pop(name), NodeAffinitySchedulingStrategy(node, soft=False)
                handed = self._perform.options(scheduling_strategy=there)
                reference = handed.remote(name, trial, _file(trial), self._files[_file(trial)])
                self.going[reference] = _Given(name, node)

    def answers(self) -> Iterator[tuple[str, bytes | Failure]]:
        """Wait up to a second for answers, and yield outcomes and final failures; queue other trials again."""
        for reference in self.ray.wait(list(self.going), timeout=1)[0]:
            name, node = self.going.pop(reference)
            try:
                yield name, self.ray.get(reference)
            except self.ray.exceptions.RayTaskError as error:
                why = f"{type(error.cause).__name__}: {error.cause}"
                if isinstance(error.cause, ClusterError | ImportError):
                    log.warning("a node of the cluster gets no trials: %s", why)
                    self.unfit[node], self.waiting[name] = why, self.trials[name]
                else:
                    yield name, Failure(why)
            except self.ray.exceptions.RayError as error:
                self._crashes[name] += 1
                if self._crashes[name] < ATTEMPTS:
                    self.waiting[name] = self.trials[name]
                else:
                    yield name, Failure(f"its worker or node crashed {ATTEMPTS} times ({type(error).__name__})")

    def _nodes(self) -> list[Mapping[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]


def _file(trial: Trial) -> str:
    return f"{trial.run.data}.safetensors"


def _connected(address: str) -> Any:  # noqa: ANN401 - the module `ray`
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # before the import, which reads it
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray  # imported here: an optional dependency, and it takes half a second
    except ImportError as error:
        raise ClusterError(
            "DESCENT_CLUSTER: Ray is not installed; `.venv/bin/pip install --constraint constraints.txt ray`"
        ) from error
    trying = multiprocessing.get_context("spawn").Process(target=_join, args=(address, True), daemon=True)
    trying.start()
    trying.join(SECONDS)
    if trying.exitcode != 0:
        trying.kill()
        raise ClusterError(
            f"DESCENT_CLUSTER={address}: no answer, or the token is wrong; start the head with "
            "`ray start --head`, join it from this machine, and set RAY_AUTH_TOKEN to its token"
        )
    _join(address, quiet=False)
    return ray


def _join(address: str, quiet: bool) -> None:
    """Connect this process to the cluster as a driver; `quiet` discards the output of Ray."""
    if quiet:
        for number in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    import ray

    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    # The path of the code on this machine is the default; a node's own PYTHONPATH takes precedence.
    variables["PYTHONPATH"] = f"${{PYTHONPATH}}{os.pathsep}{Path(__file__).parents[2]}"
    on_sigterm = signal.getsignal(signal.SIGTERM)  # Ray replaces the handler
    ray.init(address, log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": variables})
    signal.signal(signal.SIGTERM, on_sigterm)


def _perform(name: str, trial: Trial, file: str, content: bytes) -> bytes:
    """Perform a trial on a node, in a temporary folder that is deleted when the process ends."""
    folder = Path(_scratch().name)
    if key(trial) != name:
        node = os.uname().nodename
        raise ClusterError(f"{node} has other code, another torch or another processor than this machine")
    if not (path := folder / "data" / file).exists():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return perform(trial, path.parent, folder / "kept")


@cache
def _scratch() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="descent-")
