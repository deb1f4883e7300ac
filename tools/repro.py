"""`dvc repro` with independent stages side by side: `python -m tools.repro [JOBS]`."""

import logging
import os
import signal
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from threading import Lock
from time import monotonic

import networkx as nx
from dvc.cli import main as dvc
from dvc.exceptions import DvcException
from dvc.repo import Repo

from descent.errors import ParamsError
from stages.terminal import command

# How long an interrupted stage may take to end before it is killed.
GRACE = 10.0


class Jobs:
    """The stages that run, each in a session of its own, so that Ctrl-C reaches them through us and in order."""

    def __init__(self) -> None:
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
                [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", "--single-item", stage],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
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
        """Interrupt what runs, as Ctrl-C would, start nothing more, and wait for the end."""
        with self._changing:
            self._stopped = True
            running = list(self._running.values())
        for process in running:
            os.killpg(process.pid, signal.SIGINT)
        for process in running:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def say(stage: str, words: str) -> None:
    """Print a line that begins with the stage it comes from."""
    sys.stdout.write(f"{stage:>26} | {words}\n")
    sys.stdout.flush()


def due() -> dict[str, set[str]]:
    """Return the stages that changed and all that depend on them, each with those of them that it awaits."""
    repo = Repo()
    graph = nx.relabel_nodes(repo.index.graph, lambda stage: stage.addressing)
    changed = graph.nodes & repo.status().keys()
    stages = changed.union(*(nx.ancestors(graph, stage) for stage in changed))
    return {stage: stages & set(graph.successors(stage)) for stage in graph.nodes if stage in stages}


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


def main(jobs: str = "") -> None:
    """Run the pipeline with so many stages at once, by default one a processor core; 1: plain `dvc repro`."""
    if jobs and (not jobs.isdecimal() or int(jobs) == 0):
        raise ParamsError(f"JOBS={jobs}: how many stages run at once, a number from 1 on")
    count = int(jobs) if jobs else len(os.sched_getaffinity(0))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.getLogger("dvc").propagate = False  # it prints by itself
    if count > 1:
        try:
            stages = due()
        except DvcException:
            stages = {}  # `dvc repro` meets the same mistake, and says what it is
        if not side_by_side(stages, count, Jobs()):
            sys.exit(1)
    sys.exit(dvc(["repro"]))


if __name__ == "__main__":
    command(main)
