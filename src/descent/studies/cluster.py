"""Trials on the nodes of a Ray cluster, which share no disk with this machine nor with each other."""

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

# How long a head may take to let us in; Ray by itself tries for two minutes.
SECONDS = 10
# How often processes and nodes may be gone before a trial counts as their death.
ATTEMPTS = 4
# Of our own surroundings, what torch reads when it is imported, and results depend on.
SURROUNDINGS = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "OMP_DYNAMIC", "OMP_WAIT_POLICY", "ONEDNN_MAX_CPU_ISA")


class ClusterError(StudyError):
    """A cluster cannot be reached, has no room, or a node of it is not as this machine."""


def on_cluster(trials: Mapping[str, Trial], address: str, data: Path) -> Generator[tuple[str, bytes | Failure]]:
    """Perform trials on every node of a cluster, and yield what becomes of them by name as it comes.

    A process or node that dies or falls silent costs time and no trial: others perform what it had. A node that joins
    is given trials, but for one with other code or another processor: their bytes would not be ours.

    Args:
        trials: By name.
        address: HOST:PORT of the cluster's head; this machine is one of its nodes.
        data: The folder with the prepared data sets; each node gets from here what it needs.

    Raises:
        ClusterError: Ray is not installed, nobody lets us in at this address, or no node can perform the trials.
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
    """Which trial was given to which node."""

    name: str
    node: str


class _Work:
    """Which node has which trial: for us to say, and not for Ray.

    Ray would wait for the answer of a node that it knows to be dead for as long as a connection stands.

    Args:
        ray: The module, connected.
        trials: By name.
        data: The folder with the prepared data sets.
    """

    def __init__(self, ray: Any, trials: Mapping[str, Trial], data: Path) -> None:  # noqa: ANN401 - a module
        self.ray, self.trials = ray, trials
        self.threads = max(trial.threads for trial in trials.values())
        self.waiting, self.going = dict(trials), dict[Any, _Given]()
        self.unfit, self._deaths = dict[str, str](), Counter[str]()  # by node, why; by trial, how often
        self._files = {
            name: ray.put((data / name).read_bytes()) for name in {_file(trial) for trial in trials.values()}
        }
        self._perform = ray.remote(num_cpus=self.threads, max_retries=0)(_perform)

    def take_back(self) -> None:
        """Take back what nodes have that are dead by now; whatever they still say, nobody listens."""
        alive = {node["NodeID"] for node in self._nodes()}
        for reference, (name, node) in list(self.going.items()):
            if node not in alive:
                del self.going[reference]
                self.waiting[name] = self.trials[name]

    def hand_out(self) -> None:
        """Give a trial to every core that has none."""
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
        """Wait for an answer, a second at most, and yield what has become of its trial, if that is settled."""
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
                self._deaths[name] += 1
                if self._deaths[name] < ATTEMPTS:
                    self.waiting[name] = self.trials[name]
                else:
                    yield name, Failure(f"its process or node died {ATTEMPTS} times ({type(error).__name__})")

    def _nodes(self) -> list[Mapping[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]


def _file(trial: Trial) -> str:
    return f"{trial.run.data}.safetensors"


def _connected(address: str) -> Any:  # noqa: ANN401 - the module `ray`, where there is one
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # before the import, which reads it
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray  # half a second, and an extra
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
            f"DESCENT_CLUSTER={address}: nobody there lets us in. It must be HOST:PORT of a head started with "
            "`ray start --head`, this machine one of its nodes, and RAY_AUTH_TOKEN its token"
        )
    _join(address, quiet=False)
    return ray


def _join(address: str, quiet: bool) -> None:
    """Become a driver of the cluster; `quiet` where nobody reads why it does not work."""
    if quiet:
        for number in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    import ray

    surroundings = {name: os.environ[name] for name in SURROUNDINGS if name in os.environ}
    # A node has the code under the same path, unless it was started with another.
    surroundings["PYTHONPATH"] = f"${{PYTHONPATH}}{os.pathsep}{Path(__file__).parents[2]}"
    on_sigterm = signal.getsignal(signal.SIGTERM)  # Ray takes its place
    ray.init(address, log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": surroundings})
    signal.signal(signal.SIGTERM, on_sigterm)


def _perform(name: str, trial: Trial, file: str, content: bytes) -> bytes:
    """Perform a trial on a node, in a folder that is gone when its process ends."""
    folder = Path(_scratch().name)
    if key(trial) != name:
        raise ClusterError(f"on {os.uname().nodename} is other code, another torch or another processor than here")
    if not (path := folder / "data" / file).exists():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return perform(trial, path.parent, folder / "kept")


@cache
def _scratch() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="descent-")
