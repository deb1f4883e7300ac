"""Many seeds of a run at once, in one batched model, on the device of DESCENT_DEVICE."""

from collections.abc import Callable, Iterator, Mapping
from statistics import median

import torch

from benchmarks.inputs import fresh, images, params
from benchmarks.timing import ON_A_GPU, Prepare, Section, alternate, named, spread
from descent.studies.stacked import fit_stacked
from descent.training.loop import fit
from descent.training.runs import fast_step, initial_state
from stages.program import chosen_device

# How many seeds, for how many epochs: a processor shows the ratio within a minute, a GPU what it is there for.
SIZES: Mapping[str, Mapping[str, tuple[tuple[int, ...], int]]] = {
    "mlp": {"cpu": ((1, 4, 16), 1), "cuda": ((1, 64), 100)},
    "convnet": {"cpu": ((1, 2), 1), "cuda": ((1, 16), 8)},
}


def title(name: str, device: str) -> str:
    """Return the title of the section about a run."""
    return f"{ON_A_GPU + 'seeds' if device == 'cuda' else 'Seeds'} of {name} in a stack"


def section(name: str, rounds: int, *, warm_up: bool = True) -> Section:
    """Time seeds of a run in a stack, and one after the other."""
    device = chosen_device()
    counts, epochs = SIZES[name][device.type]
    run = params().train[name].model_copy(update={"epochs": epochs})
    data = images().to(device)

    def finished(epochs: Iterator[int]) -> None:
        for _ in epochs:
            pass
        if device.type == "cuda":
            torch.cuda.synchronize()

    def stacked(count: int) -> Prepare:
        def prepare() -> Callable[[], object]:
            models = [fresh(run, seed).to(device) for seed in range(count)]
            generators = [torch.Generator().manual_seed(seed) for seed in range(count)]
            return lambda: finished(fit_stacked(models, data.train, run, generators))

        return prepare

    def alone() -> Callable[[], object]:
        state = initial_state(run, data, seed=0)
        return lambda: finished(fit(state.model, data.train, run, state.rng, fast_step(state, run)))

    single = "1 seed, not stacked"
    candidates: dict[str, Prepare] = {single: alone}
    candidates |= {f"{named(count, 'seed')} in a stack": stacked(count) for count in counts}
    seconds = alternate(candidates, rounds, warm_up=warm_up)
    each = dict(zip(candidates, (1, *counts), strict=True))
    return {
        "title": title(name, device.type),
        "note": f"{named(epochs, 'epoch')} on {torch.cuda.get_device_name() if device.type == 'cuda' else 'the CPU'}.",
        "rows": {
            label: spread(times) | {"× so many single runs": median(times) / (each[label] * median(seconds[single]))}
            for label, times in seconds.items()
        },
    }
