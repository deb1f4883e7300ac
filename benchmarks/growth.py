"""How the cost of training grows: with the images, with the batch, with the runs side by side."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from benchmarks.epochs import train
from benchmarks.inputs import fresh, images, params
from benchmarks.timing import Figures, Prepare, Section, alternate, named, spread
from descent.io.datasets import Split
from descent.io.run_schema import Run

SHARES = (1 / 6, 1 / 2, 1.0)
BATCHES = (16, 32, 64, 128, 256, 512, 1024)
RUNS = (1, 2, 4)
EPOCHS = 5
# One run of the MLP in a process of its own, as a stage is.
PROGRAM = f"""
from benchmarks.epochs import train
from benchmarks.inputs import fresh, images, params
from descent.models.machine import keep_freed_memory, make_deterministic
make_deterministic(params().threads)
keep_freed_memory()
run = params().train["mlp"].model_copy(update={{"epochs": {EPOCHS}}})
train(fresh(run), images().train, run)
"""


def sections(rounds: int) -> list[Section]:
    """Time an epoch of growing size, and several runs at once."""
    return [with_images("mlp", rounds), with_images("convnet", rounds), with_batches(rounds), with_runs(rounds)]


def epoch(run: Run, data: Split) -> Prepare:
    """Prepare an epoch of ours."""

    def prepare() -> Callable[[], object]:
        model = fresh(run)
        return lambda: train(model, data, run)

    return prepare


def an_image(seconds: dict[str, list[float]], images_of: dict[str, int]) -> dict[str, Figures]:
    """Return a row for each label, with the time of one image."""
    return {
        label: spread(times) | {"µs an image": 1e6 * median(times) / images_of[label]}
        for label, times in seconds.items()
    }


def with_images(name: str, rounds: int) -> Section:
    """Train on more and more images."""
    run = params().train[name].model_copy(update={"epochs": 1})
    data = images().train
    counts = {f"{int(share * len(data.y)):,} images": int(share * len(data.y)) for share in SHARES}
    candidates = {label: epoch(run, Split(*(part[:count] for part in data))) for label, count in counts.items()}
    return {
        "title": f"An epoch of {name}, by images",
        "note": f"Batches of {run.batch_size}.",
        "rows": an_image(alternate(candidates, rounds), counts),
    }


def with_batches(rounds: int) -> Section:
    """Train in larger and larger batches."""
    data = images().train
    runs = {
        f"batches of {size}": params().train["mlp"].model_copy(update={"epochs": 1, "batch_size": size})
        for size in BATCHES
    }
    seconds = alternate({label: epoch(run, data) for label, run in runs.items()}, rounds)
    return {
        "title": "An epoch of mlp, by batch",
        "note": f"{len(data.y):,} images.",
        "rows": an_image(seconds, dict.fromkeys(runs, len(data.y))),
    }


def with_runs(rounds: int) -> Section:
    """Train several at once, one a core, each in a process of its own."""
    cores = len(os.sched_getaffinity(0))

    def side_by_side(count: int) -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda _: subprocess.run([sys.executable, "-c", PROGRAM], check=True), range(count)))  # noqa: S603

    def of(count: int) -> Prepare:
        return lambda: lambda: side_by_side(count)

    seconds = alternate({named(count, "run"): of(count) for count in RUNS}, rounds)
    alone = median(seconds[named(RUNS[0], "run")])
    rows = {}
    for count in RUNS:
        times = seconds[named(count, "run")]
        rows[named(count, "run")] = spread(times) | {
            "× evenly shared": median(times) / (alone * max(1.0, count / cores))
        }
    return {
        "title": "Runs of mlp, side by side",
        "note": f"{EPOCHS} epochs each, start included, at most {cores} at once on {cores} cores.",
        "rows": rows,
    }
