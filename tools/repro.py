"""`dvc repro` with independent stages side by side: `python -m tools.repro [JOBS]`."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path
from threading import Lock
from time import monotonic, sleep

import networkx as nx
import psutil
from dvc.cli import main as dvc
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import Git

from descent.io.errors import DataError, ParamsError
from descent.io.layout import PARAMS
from descent.io.params import load_params
from stages.program import command, locked

# How long an interrupted stage may take to end before it is killed.
GRACE = 10.0
PIPELINE, LOCK, BUSY = Path("dvc.yaml"), Path("dvc.lock"), Path(".dvc/tmp/rwlock")
# DVC with its errors and warnings, without its running commentary; a stage's own words come through whole.
DVC = "import os, sys; sys.stdout = open(os.devnull, 'w'); from dvc.cli import main; sys.exit(main(sys.argv[1:]))"


class Jobs:
    """The stages that run, each in a session of its own, so that Ctrl-C reaches them through us and in order.

    Args:
        lock: A file that each DVC is to keep open, and with it our lock, should it outlive us.
    """

    def __init__(self, lock: int | None = None) -> None:
        self._lock = [] if lock is None else [lock]
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._stopped = False
        self._changing = Lock()

    def run(self, stage: str) -> bool:
        """Run one stage with DVC, wherever it stands in line for DVC's locks, and pass its words on."""
        start = monotonic()
        with self._changing:
            if self._stopped:
                return False
            # Without the flag another stage's lock is an error; without --single-item so is one of a shared parent.
            process = self._running[stage] = subprocess.Popen(  # noqa: S603 - DVC's name of a stage, and no shell
                [sys.executable, "-c", DVC, "--wait-for-lock", "repro", "--single-item", stage],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=self._lock,
            )
        say(stage, "runs")
        for line in process.stdout or ():
            say(stage, line.rstrip())
        succeeded = process.wait() == 0
        with self._changing:
            del self._running[stage]
        end = "done" if succeeded else "STOPPED" if self._stopped else "FAILED"
        say(stage, f"{end} after {monotonic() - start:.0f} s")
        return succeeded

    def stop(self) -> None:
        """End the stages that run, start nothing more, and wait for the end.

        Not their DVC: it is not to be disturbed while it writes dvc.lock, and ends with its stage.
        """
        with self._changing:
            self._stopped = True
            running = list(self._running.values())
        deadline, told = monotonic() + GRACE, set[psutil.Process]()
        while running := [process for process in running if process.poll() is None]:
            for process in running:
                if monotonic() > deadline:
                    os.killpg(process.pid, signal.SIGKILL)
                with suppress(psutil.NoSuchProcess):
                    for child in set(psutil.Process(process.pid).children(recursive=True)) - told:
                        told.add(child)
                        child.terminate()
            sleep(0.05)


def say(stage: str, words: str) -> None:
    """Print a line that begins with the stage it comes from."""
    sys.stdout.write(f"{stage:>26} | {words}\n")
    sys.stdout.flush()


def side_by_side(stages: dict[str, set[str]], count: int, jobs: Jobs) -> bool:
    """Run every stage as soon as those that it awaits are done; stop at the first that fails."""
    order = TopologicalSorter(stages)
    order.prepare()
    going = dict[Future[bool], str]()

    def attempt(stage: str) -> bool:
        succeeded = jobs.run(stage)
        if not succeeded:
            jobs.stop()  # here and now: the next in line would begin before anybody else knows
        return succeeded

    with ThreadPoolExecutor(count) as pool:
        try:
            while order.is_active():
                going |= {pool.submit(attempt, stage): stage for stage in order.get_ready()}
                ended, _ = wait(going, return_when=FIRST_COMPLETED)
                for future in ended:
                    if not future.result():
                        return False
                    order.done(going.pop(future))
            return True
        finally:
            jobs.stop()


def outdated() -> dict[str, set[str]]:
    """Return the changed stages of dvc.yaml and all that depend on them, each with those of them that it waits for.

    Raises:
        DataError: dvc.lock cannot be read.
    """
    try:
        repo = Repo()
        warn_of_detached_head(repo)
        graph = stage_graph(repo)
        changed = graph.nodes & repo.status([str(PIPELINE)]).keys()
    except DvcException as error:
        refuse_torn_lock(error)
        return {}  # `dvc repro` runs into the same error, and reports it
    # An edge leads to a dependency, so the ancestors of a stage are the stages that depend on it.
    stages = changed.union(*(nx.ancestors(graph, stage) for stage in changed))
    return {stage: stages & set(graph.successors(stage)) for stage in graph.nodes if stage in stages}


def stage_graph(repo: Repo) -> nx.DiGraph:
    """Return the graph of the stages of dvc.yaml by name; an edge leads from a stage to one that it depends on."""
    graph = repo.index.graph
    ours = graph.subgraph(stage for stage in graph if stage.path_in_repo == str(PIPELINE))
    return nx.relabel_nodes(ours, lambda stage: stage.addressing)


def refuse_torn_lock(error: DvcException) -> None:
    """Raise an error that says how to restore dvc.lock, if that is the file that DVC cannot read.

    Raises:
        DataError: It is.
    """
    path = Path(getattr(error, "path", ""))
    if path.name == LOCK.name:
        raise DataError(
            f"{path}: DVC cannot read it; one that was killed while it wrote leaves it so: "
            f"`git checkout HEAD -- {path}` brings the committed one back"
        ) from error


def warn_of_detached_head(repo: Repo) -> None:
    """Say that a killed `dvc exp run` left the branch; it does not go back by itself."""
    exists = isinstance(repo.scm, Git) and repo.scm.get_ref("refs/exps/exec/EXEC_BASELINE")
    if exists and not (repo.scm.get_ref("HEAD", follow=False) or "").startswith("refs/"):
        logging.warning(
            "HEAD is detached, as a killed `dvc exp run` leaves it: a commit here would be on no branch; "
            "`git switch -` goes back to yours"
        )


def check_files() -> None:
    """Refuse what a merge or a killed DVC left half done; nothing is repaired here.

    Raises:
        DataError: It says which file, and what to do.
    """
    for path in (PARAMS, PIPELINE, LOCK):
        if path.exists() and re.search(rb"^<{7} ", path.read_bytes(), re.MULTILINE):
            raise DataError(
                f"{path}: conflict marks of a merge; edit params.yaml and dvc.yaml, take one side's results with "
                "`git checkout --ours -- dvc.lock metrics plots`, then `make repro` makes what is missing"
            )
    with suppress(FileNotFoundError):
        try:
            json.loads(BUSY.read_bytes())
        except ValueError as error:
            raise DataError(
                f"{BUSY}: not whole, as a killed DVC leaves it; where no other DVC runs, `rm {BUSY}` mends it"
            ) from error


def main(jobs: str = "") -> None:
    """Run the pipeline with so many stages at once, by default as many as there are cores for; 1: plain `dvc repro`."""
    if jobs and (not jobs.isdecimal() or int(jobs) == 0):
        raise ParamsError(f"JOBS={jobs}: how many stages run at once, a number from 1 on")
    logging.getLogger("dvc").propagate = False  # it prints by itself
    with locked("repro") as lock:
        check_files()
        count = int(jobs or len(os.sched_getaffinity(0)) // load_params(PARAMS).threads or 1)
        stages = outdated()
        if count > 1 and not side_by_side(stages, count, Jobs(lock)):
            sys.exit(1)
        sys.exit(dvc(["repro"]))


if __name__ == "__main__":
    command(main)
