"""`dvc repro` with independent stages side by side: `python -m tools.repro [JOBS]`."""

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path
from time import monotonic, sleep

import networkx as nx
import psutil
from dvc.cli import main as dvc
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.rwlock import RWLockFileCorruptedError

from descent.io.errors import DataError, ParamsError
from descent.io.layout import PARAMS
from descent.io.params import load_params
from stages.program import command, locked

GRACE = 10.0  # seconds that an interrupted stage may take to end before it is killed
# What DVC says after every stage; the `dvc repro` at the end says it once.
HINTS = re.compile(
    r"\s*$|> |(Gener|Upd)ating lock file|Stage .* didn't change|Data and pipelines are up"
    r"|To (track|enable) |\s*(git add|dvc config) |Use `dvc push`"
)


def side_by_side(stages: Mapping[str, set[str]], count: int, lock: int) -> bool:
    """Run each stage, at most `count` at once, when those that it waits for are done; stop at the first that fails."""
    order, ready, running = TopologicalSorter(stages), list[str](), dict[Future[bool], str]()
    order.prepare()
    with ThreadPoolExecutor(count) as pool:
        try:
            while order.is_active():
                ready += order.get_ready()
                while ready and len(running) < count:
                    stage = ready.pop(0)
                    running[pool.submit(run, stage, lock)] = stage
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    if not future.result():
                        return False
                    order.done(running.pop(future))
            return True
        finally:
            stop(running)


def run(stage: str, lock: int) -> bool:
    """Run a stage with DVC and pass its output on; its DVC keeps our lock, should it outlive us."""
    start = monotonic()
    # Without --wait-for-lock another stage's lock is an error; without --single-item so is one of a shared parent.
    with subprocess.Popen(  # noqa: S603 - DVC's name of a stage, and no shell
        [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C reaches it through us, in order
        pass_fds=[lock],
    ) as process:
        for line in process.stdout or ():
            if not HINTS.match(line):
                print(f"{stage:>26} | {line}", end="", flush=True)
    end = "FAILED" if process.returncode else "done"
    print(f"{stage:>26} | {end} after {monotonic() - start:.0f} s\n", end="", flush=True)
    return process.returncode == 0


def stop(running: Mapping[Future[bool], str]) -> None:
    """End the stages that run, and wait for their DVC, which may be writing dvc.lock and ends with its stage."""
    deadline, told = monotonic() + GRACE, set[psutil.Process]()
    while not all(future.done() for future in running):
        for process in psutil.Process().children():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                for child in set(process.children(recursive=True)) - told:
                    told.add(child)
                    child.terminate()
                if monotonic() > deadline:
                    os.killpg(process.pid, signal.SIGKILL)
        sleep(0.05)


def outdated() -> dict[str, set[str]]:
    """Return the changed stages of dvc.yaml and all that depend on them, each with those of them that it waits for."""
    try:
        repo = Repo()
        graph = nx.relabel_nodes(repo.index.graph, lambda stage: stage.addressing)
        changed = graph.nodes & repo.status(["dvc.yaml"]).keys()
    except RWLockFileCorruptedError as error:
        raise DataError(f"{error}: DVC was killed; where no other DVC runs, `rm .dvc/tmp/rwlock` mends it") from error
    except DvcException as error:
        if (path := Path(getattr(error, "path", ""))).name == "dvc.lock":
            raise DataError(
                f"{path}: DVC cannot read it, as a merge or a killed DVC leaves it; nothing is repaired here. "
                f"`git checkout HEAD -- {path}` brings the committed one back"
            ) from error
        return {}  # `dvc repro` meets the same error, and reports it
    # An edge leads to a dependency, so the ancestors of a stage are the stages that depend on it.
    stages = changed.union(*(nx.ancestors(graph, stage) for stage in changed))
    # In the order of dvc.yaml, without those of studies/ and export/.
    return {stage: stages & set(graph.successors(stage)) for stage in graph if stage in stages and ":" not in stage}


def main(jobs: str = "") -> None:
    """Run the pipeline with so many stages at once, by default as many as there are cores for; 1: plain `dvc repro`."""
    if jobs and not (jobs.isdecimal() and len(jobs) < 5 and int(jobs)):
        raise ParamsError(f"JOBS={jobs}: how many stages run at once, a number from 1 on")
    logging.getLogger("dvc").propagate = False  # it prints by itself
    with locked("repro") as lock:
        count = int(jobs or len(os.sched_getaffinity(0)) // load_params(PARAMS).threads or 1)
        stages = outdated()
        if count > 1 and not side_by_side(stages, count, lock):
            sys.exit(1)
        sys.exit(dvc(["repro"]))


if __name__ == "__main__":
    command(main)
