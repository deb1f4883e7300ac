"""Perform trials on Dask workers: processes of this machine, or of a cluster whose nodes share no disk."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, NamedTuple

from descent.io.errors import StudyError
from descent.studies.trials import Trial, key, perform

log = logging.getLogger(__name__)

# A trial fails after its worker crashed or was cut off this many times.
ATTEMPTS = 4
# Timeout of the connection to a cluster.
SECONDS = 10
# A study fails after so many seconds without a worker that can perform trials.
PATIENCE = 300
# Over Dask's defaults. An untouched environment gives the workers of this machine the bytes of a stage.
CONFIG = {
    "distributed.admin.log-length": 100,
    "distributed.admin.low-level-log-length": 100,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
    "distributed.deploy.lost-worker-timeout": "5 minutes",  # a busy machine takes long to start a process
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
}
IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"


class ClusterError(StudyError):
    """The cluster is unreachable or has no fit worker, or a worker differs from this machine in code or processor."""


class Failure(NamedTuple):
    """The reason why a trial has no outcome."""

    why: str


def on_workers(
    trials: Mapping[str, Trial],
    data: Path,
    kept: Path,
    address: str | None = None,
    work: Callable[[Trial, Path, Path], bytes] = perform,
) -> Generator[tuple[str, bytes | Failure]]:
    """Perform trials, one at a time on each worker, and yield each outcome or failure by name as it comes.

    The trial of a worker that crashes or is cut off is repeated by another. A worker that joins later gets trials too.
    A worker with other code or another processor gets none, because its results would have other bytes.

    Args:
        trials: By name.
        data: The folder with the prepared data sets; a cluster gets a copy of what it needs.
        kept: The folder of the checkpoints from which an interrupted trial on this machine resumes.
        address: tls://HOST:PORT of the scheduler of a cluster; None starts workers on the cores of this machine.
        work: Performs a trial; an exception is a failure of that trial only.

    Raises:
        ClusterError: The address does not answer, the certificate is wrong, or there is no fit worker for five minutes.
    """
    if trials:
        with _client(trials, data, address) as client:
            folders = (None, None) if address else (data.resolve(), kept.resolve())
            yield from _results(client, trials, partial(client.submit, _perform, work, *folders, pure=False))


def _results(
    client: Any,  # noqa: ANN401 - a distributed.Client
    trials: Mapping[str, Trial],
    submit: Callable[..., Any],
) -> Iterator[tuple[str, bytes | Failure]]:
    """Give each worker one trial at a time, so that a crash is counted for the right trial and memory does not grow."""
    from distributed import KilledWorker

    waiting, running, crashes = deque(trials), dict[str, tuple[str, Any]](), Counter[str]()
    lost, unfit, finished, busy = list[str](), dict[str, str](), SimpleQueue[str](), monotonic()
    workers, looked = set[str](), 0.0
    while waiting or running or lost:
        if monotonic() - looked > 1:
            try:
                workers, looked = set(client.nthreads()), monotonic()
            except OSError as error:
                raise ClusterError("the connection to the scheduler of the workers is lost") from error
        lost += [running.pop(worker)[0] for worker in running.keys() - workers]
        crashes.update(lost)
        waiting += [name for name in lost if crashes[name] < ATTEMPTS]
        given_up = Failure(f"its worker crashed {ATTEMPTS} times; it was killed, or memory is short")
        yield from [(name, given_up) for name in lost if crashes[name] == ATTEMPTS]
        lost.clear()

        for worker in list(workers - running.keys() - unfit.keys())[: len(waiting)]:
            name = waiting.popleft()
            running[worker] = name, submit(name, trials[name], workers=[worker])
            running[worker][1].add_done_callback(lambda _, worker=worker: finished.put(worker))
        if running:
            busy = monotonic()
        elif monotonic() - busy > PATIENCE:
            raise ClusterError("\n".join(["no worker can perform the trials", *unfit.values()]))

        try:
            worker = finished.get(timeout=1)
        except Empty:
            continue
        if worker not in running or not running[worker][1].done():
            continue  # the answer of a worker that was given up
        name, future = running.pop(worker)
        try:
            result = future.result(timeout=PATIENCE)
        except (TimeoutError, KilledWorker):  # its worker crashed after it, or the scheduler counts crashes itself
            lost.append(name)
        except Exception as error:
            unfit[worker] = f"{worker} gets no trials: {type(error).__name__}: {error}"
            log.warning(unfit[worker])
            waiting.append(name)
        else:
            yield name, result


@contextmanager
def _client(trials: Mapping[str, Trial], data: Path, address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one worker for each of this machine's cores, or for each `threads` of them."""
    import dask  # imported here as it takes half a second, and a complete study does not need it
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster, Security
    from distributed.diagnostics.plugin import UploadFile

    # Of the user's configuration only the certificates count: the rest could change results or open ports.
    certificates = dask.config.get("distributed.comm.tls")
    dask.config.refresh(paths=[], env={})
    dask.config.set(CONFIG | {"distributed.comm.tls": certificates})
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if address is None:
        processes = max(1, CPU_COUNT // max(trial.threads for trial in trials.values()))
        with (
            LocalCluster(
                n_workers=min(processes, len(trials)),
                threads_per_worker=1,
                memory_limit=0,
                host="127.0.0.1",
                security=Security.temporary(),
                silence_logs=logging.CRITICAL,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                preload=IGNORE_CTRL_C,
            ) as cluster,
            Client(cluster, timeout=PATIENCE) as client,
        ):
            yield client
        return

    security = Security(require_encryption=True)
    if not address.startswith("tls://") or not security.tls_ca_file or not security.tls_client_cert:
        raise ClusterError(
            f"DESCENT_CLUSTER={address}: expected tls://HOST:PORT, and in DASK_DISTRIBUTED__COMM__TLS__… "
            "the paths of the certificates, as docs/studies.md sets them"
        )
    try:
        client = Client(address, security=security, timeout=SECONDS)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"DESCENT_CLUSTER={address}: no answer, or the certificate is wrong ({error or type(error).__name__})"
        ) from error
    with client:
        for file in {f"{trial.run.data}.safetensors" for trial in trials.values()}:
            client.register_plugin(UploadFile(str(data / file), load=False), name=file)
        yield client


def _perform(
    work: Callable[[Trial, Path, Path], bytes], data: Path | None, kept: Path | None, name: str, trial: Trial
) -> bytes | Failure:
    """Perform a trial in a worker, by default in the folder that Dask deletes when the worker ends."""
    from distributed import get_worker

    if key(trial) != name:
        raise ClusterError("other code, another torch or another processor than the machine of the study")
    folder = Path(get_worker().local_directory)
    try:
        return work(trial, data or folder, kept or folder / "kept")
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}")
