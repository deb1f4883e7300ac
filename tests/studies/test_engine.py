"""Every task has its result or a reason, whatever becomes of the processes."""

import os
import signal
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import pytest

from descent.studies.engine import Failure, on_processes


def nothing() -> None:
    """Begin a process without more ado."""


def square(number: int) -> int:
    """Refuse 3, and square everything else."""
    if number == 3:
        raise ValueError("three")
    return number**2


def deadly(number: int, folder: Path) -> int:
    """Note the attempt; kill the process with 0 each time, with 1 the first time."""
    with (folder / str(number)).open("a") as notes:
        notes.write("x")
    if number == 0 or (number == 1 and (folder / "1").read_text() == "x"):
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_every_task_has_its_result_and_an_error_stops_no_other() -> None:
    tasks = {str(number): number for number in range(20)}
    results = dict(on_processes(square, tasks, 2, nothing))
    assert results.pop("3") == Failure("ValueError: three")
    assert results == {str(number): number**2 for number in range(20) if number != 3}
    assert not active_children()


def test_a_process_that_dies_is_replaced_and_only_what_kills_several_is_given_up(tmp_path: Path) -> None:
    tasks = {str(number): number for number in range(8)}
    results = list(on_processes(partial(deadly, folder=tmp_path), tasks, 2, nothing))
    assert sorted(name for name, _ in results) == sorted(tasks)
    assert {name for name, result in results if isinstance(result, Failure)} == {"0"}
    assert (tmp_path / "0").read_text() == "xxx"


def test_what_waits_is_not_handed_out() -> None:
    taken = list[int]()

    class Tasks(dict[str, int]):
        def __getitem__(self, name: str) -> int:
            taken.append(len(taken))
            return super().__getitem__(name)

    results = on_processes(square, Tasks({str(number): number for number in range(50)}), 1, nothing)
    for count, _ in enumerate(results):
        assert len(taken) <= count + 2
        if count == 10:
            break
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)
    assert not active_children()
