"""What was asked of the speed, and what the measured sections say to it."""

from collections.abc import Iterator, Mapping

from benchmarks.epochs import BOUND, PLAIN, QUICKSTART
from benchmarks.inputs import OURS
from benchmarks.keeping import KEEPING, WITH
from benchmarks.seeds import SIZES, title
from benchmarks.timing import Figures, Section, named

TITLE = "Asked and got"


def targets(sections: Mapping[str, Section]) -> Section:
    """Hold the figures of all sections to what was asked."""
    rows: dict[str, Figures] = {}
    for what, got, sign, bound in figures(sections):
        if got is None:
            reached = "not measured"
        else:
            reached = "yes" if (got <= bound if sign == "≤" else got >= bound if sign == "≥" else got > bound) else "NO"
        rows[what] = {"asked": f"{sign} {bound:g}", "got": got, "reached": reached}
    return {"title": TITLE, "note": "Ratios of medians, seconds and MB.", "rows": rows}


def figures(sections: Mapping[str, Section]) -> Iterator[tuple[str, float | None, str, float]]:
    """Yield what was asked, what was got (None: nothing was measured), and the bound."""

    def value(section: str, row: str, column: str) -> float:
        return float(sections[section]["rows"][row][column] or 0)

    for name, bound, quickstart in (("mlp", 1.8, 18.0), ("convnet", 1.4, 2.0)):
        epoch = f"An epoch of {name}"
        yield f"{name}: epoch / its products alone", 1 / value(epoch, BOUND, "× ours"), "≤", bound
        yield f"{name}: {QUICKSTART} / ours", value(epoch, QUICKSTART, "× ours"), "≥", quickstart
        peers = {
            label: float(row["× ours"] or 0)
            for label, row in sections[epoch]["rows"].items()
            if label not in (OURS, BOUND, PLAIN)
        }
        nearest = min(peers, key=peers.__getitem__)
        yield f"{name}: nearest peer ({nearest}) / ours", peers[nearest], ">", 1.0
    yield "make repro from nothing, s", value("make repro", "from nothing", "wall s"), "≤", 240
    ratio = "wall / (stages' processor / cores)"
    yield f"make repro from nothing, {ratio}", value("make repro", "from nothing", ratio), "≤", 1.25
    yield "make repro with nothing to do, s", value("make repro", "nothing to do", "wall s"), "≤", 3
    start = "Start of a stage"
    yield "start of train, s", value(start, "train", "median s"), "≤", 2
    for stage in ("download", "report"):  # the stages that use no torch
        yield f"start of {stage}, s", value(start, stage, "median s"), "≤", 1
    memory = {
        stage: float(row["peak MB"] or 0)
        for stage, row in sections["Stages, side by side in `make repro` from nothing"]["rows"].items()
    }
    largest = max(memory, key=memory.__getitem__)
    yield f"peak memory of any stage ({largest}), MB", memory[largest], "≤", 1000
    kept = value(KEEPING, WITH, "× without, median of pairs")
    yield "mlp: training that can be killed / that cannot", kept, "≤", 1.02
    stack = f"{named(SIZES['mlp']['cuda'][0][-1], 'seed')} in a stack"
    seeds = title("mlp", "cuda")
    yield f"{stack}, on a GPU, s", value(seeds, stack, "median s") if seeds in sections else None, "≤", 60
