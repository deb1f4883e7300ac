"""Time several ways of doing the same in turn."""

import sys
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import TypedDict

Prepare = Callable[[], Callable[[], object]]
Figures = dict[str, float | int | str | None]
ON_A_GPU = "On a GPU: "  # begins the titles of what `make bench` does not measure


class Section(TypedDict):
    """A table of the results: a row of figures for each label, and what has to be known to read it."""

    title: str
    note: str
    rows: dict[str, Figures]


def alternate(candidates: Mapping[str, Prepare], rounds: int, *, warm_up: bool = True) -> dict[str, list[float]]:
    """Return the seconds of each candidate, taken in turn so that a slow minute hits all alike.

    Args:
        candidates: By label, what prepares a run, untimed, and returns what is timed.
        rounds: How often each is timed.
        warm_up: Whether there is one more round before them, which is not counted.
    """
    seconds: dict[str, list[float]] = {label: [] for label in candidates}
    for counted in range(0 if warm_up else 1, rounds + 1):
        for label, prepare in candidates.items():
            run = prepare()
            start = perf_counter()
            run()
            took = perf_counter() - start
            if counted:
                seconds[label].append(took)
            sys.stderr.write(f"{'round ' + str(counted) if counted else 'warm-up':8} {label:40} {took:8.3f} s\n")
    return seconds


def spread(seconds: list[float]) -> Figures:
    """Return median, smallest and largest."""
    return {"median s": median(seconds), "min s": min(seconds), "max s": max(seconds)}


def beside(seconds: Mapping[str, list[float]], ours: str) -> dict[str, Figures]:
    """Return a row for each candidate, with its median as a multiple of ours."""
    return {
        label: spread(times) | {"× ours": median(times) / median(seconds[ours])} for label, times in seconds.items()
    }


def named(count: int, what: str) -> str:
    """Write a number of things."""
    return f"{count} {what}{'' if count == 1 else 's'}"
