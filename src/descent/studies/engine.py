"""Call a function on many tasks in a process pool, and report the tasks that fail."""

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

# A task fails after this many crashes of its worker while it runs alone.
ATTEMPTS = 2


class Failure(NamedTuple):
    """The reason why a task has no result."""

    why: str


def on_processes(
    work: Callable[[Item], Result], tasks: Mapping[str, Item], processes: int, initializer: Callable[[], None]
) -> Generator[tuple[str, Result | Failure]]:
    """Call `work` on every task in a process pool, and yield the results by name as they come.

    Only as many tasks are submitted as the pool will soon need, so memory use does not grow with their number. A
    crashed worker does not report which task it was running. So every submitted task is retried alone, and a task
    whose worker crashes repeatedly is a failure.

    Args:
        work: Importable by its module and name; an exception is a failure of that task only.
        tasks: By name.
        processes: Size of the pool.
        initializer: Called first in each process.
    """
    waiting, suspects, crashes = dict(tasks), dict[str, Item](), Counter[str]()
    while waiting or suspects:
        alone = bool(suspects)
        batch, room = (suspects, 1) if alone else (waiting, 2 * processes)
        going = dict[Future[Result], str]()
        try:
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1 if alone else processes, spawn, initializer) as pool, ending_at_once():
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
            crashes[names[0]] += 1
            if crashes[names[0]] == ATTEMPTS:
                del suspects[names[0]]
                yield names[0], Failure(f"its worker crashed {ATTEMPTS} times; it was killed, or memory is short")


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Terminate the child processes when the block ends with an exception."""
    try:
        yield
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
