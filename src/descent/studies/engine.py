"""Many calls of one function on this machine's cores, and what becomes of those that fail."""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# How many processes may die of a task that is alone.
ATTEMPTS = 2


class Failure(NamedTuple):
    """Why there is no result."""

    why: str


def on_processes(
    work: Callable[[Item], Result], tasks: Mapping[str, Item], processes: int, begin: Callable[[], None]
) -> Generator[tuple[str, Result | Failure]]:
    """Call `work` on every task in so many processes of their own, and yield the results by name as they come.

    No more is handed out than the processes will soon take, so that memory does not grow with the number of tasks.
    When a process dies, nobody knows which of the tasks handed out was its death: each of them is tried again alone,
    and only one that processes die of then, time and again, is a failure.

    Args:
        work: Found by its module and name in every process; what it raises is a failure of that one task.
        tasks: By name.
        processes: How many.
        begin: Called first in each process.
    """
    waiting, suspects, deaths = dict(tasks), dict[str, Item](), Counter[str]()
    while waiting or suspects:
        alone = bool(suspects)
        batch, room = (suspects, 1) if alone else (waiting, 2 * processes)
        going = dict[Future[Result], str]()
        try:
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1 if alone else processes, spawn, begin) as pool, ending_at_once():
                left = iter(list(batch))
                while True:
                    going |= {pool.submit(work, batch[name]): name for name in islice(left, room - len(going))}
                    if not going:
                        break
                    for future in wait(going, return_when=FIRST_COMPLETED).done:
                        error, name = future.exception(), going[future]
                        if isinstance(error, BrokenProcessPool):
                            raise error
                        del going[future], batch[name]
                        yield name, Failure(f"{type(error).__name__}: {error}") if error else future.result()
        except BrokenProcessPool:
            names = list(going.values()) or list(islice(batch, 1))
            if not alone:
                suspects = {name: waiting.pop(name) for name in names}
                continue
            deaths[names[0]] += 1
            if deaths[names[0]] == ATTEMPTS:
                del suspects[names[0]]
                yield names[0], Failure(f"its process died {ATTEMPTS} times; was it killed, or is memory short?")


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let no process finish what it is at when the block is left early."""
    try:
        yield
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
