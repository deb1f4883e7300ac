"""Measure on a GPU, and hold what is trained there to the committed results: `python -m benchmarks.gpu`, by gpu.sh.

Needs the four published files in .gpu/, and no other part of a run. Replaces its sections of results.md; on a
processor it prints them.
"""

import gzip
import json
import sys
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torch import Tensor

from benchmarks import seeds
from benchmarks.inputs import fresh, images, params
from benchmarks.results import load_results, save_results
from benchmarks.tables import page
from benchmarks.timing import ON_A_GPU, Figures, Section, named
from descent.io.datasets import Dataset
from descent.io.errors import DataError
from descent.io.layout import RunFiles, dataset
from descent.io.results import load_metrics
from descent.io.tensors import save_tensors
from descent.models.machine import make_deterministic
from descent.robustness.sweep import along, directions
from descent.sources.published import FASHION_CLASSES, FASHION_MNIST, FILES, lacking
from descent.training.checkpoint import Checkpoint
from descent.training.diagnostics import describe
from descent.training.runs import initial_state, train
from stages.program import chosen_device, command
from tools.verify import TOO_LARGE, differences

PACKED = Path(".gpu")


def prepared() -> Dataset:
    """Write the prepared images, as the stages do, from the verified files; torchvision need not be there.

    Raises:
        DataError: A file is missing, or not the published one.
    """
    if wrong := lacking(PACKED, FASHION_MNIST):
        raise DataError(f"{PACKED / min(wrong)}: not the published file; `benchmarks/gpu.sh pack` puts it there")
    tensors = dict[str, Tensor]()
    for part, file in FILES.items():
        content = bytearray(gzip.decompress((PACKED / file).read_bytes()))
        shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, 4 + 4 * content[3], 4)]
        tensors[part] = torch.frombuffer(content, dtype=torch.uint8, offset=len(content) - prod(shape)).view(shape)
    save_tensors(dataset("images"), tensors, {"classes": json.dumps(FASHION_CLASSES)})
    return images()


def classifiers(data: Dataset, device: torch.device) -> Section:
    """Train each classifier, and compare its metrics with those that a processor gave, as `make verify` does."""
    rows, there = dict[str, Figures](), data.to(device)
    for name in params().attack.runs:
        run, committed = params().train[name], load_metrics(RunFiles(name).train_metrics)
        state, start = initial_state(run, there, params().seed), perf_counter()
        with TemporaryDirectory() as folder, Checkpoint(Path(folder, "kept"), "", state.tensors(), state.rng) as kept:
            train(state, there, run, params().evaluation, kept, lambda row: None)
            found = describe(run, kept.history, data, params().evaluation)
        compared = differences({key: committed[key] for key in found}, found)
        rows[name] = {
            "s": perf_counter() - start,
            "test accuracy": found["final_test_accuracy"],
            "of a processor": committed["final_test_accuracy"],
            "beyond tolerance": ", ".join(line.partition(":")[0] for line in compared if TOO_LARGE in line) or "none",
        }
    note = "With the measurements after each epoch. The tolerance is that of `make verify`."
    return {"title": f"{ON_A_GPU}classifiers", "note": note, "rows": rows}


def attacks(data: Dataset, device: torch.device) -> Section:
    """Time FGSM at every ε on all test images, with fresh weights: the time does not depend on them."""
    rows, test = dict[str, Figures](), data.to(device).test
    bench, batch = params().attack.bench, params().evaluation.batch_size
    for name in params().attack.runs:
        model = fresh(params().train[name]).to(device).eval()
        for size in (batch, 100 * batch):
            start = perf_counter()
            along(model, test.x, directions(model, test, size), bench.epsilons, size).cpu()
            rows[f"{name}, batches of {size:,}"] = {"s": perf_counter() - start}
    note = f"{named(len(bench.epsilons), 'value')} of ε, {len(test.y):,} images."
    return {"title": f"{ON_A_GPU}FGSM", "note": note, "rows": rows}


def main() -> None:
    """Measure, and add the sections to the results."""
    device, (machine, before) = chosen_device(), load_results()
    make_deterministic(params().threads, device)
    data = prepared()
    stacks = (seeds.section(name, 1, warm_up=False) for name in seeds.SIZES)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "a processor"
    found: dict[str, Section] = {}
    for section in (classifiers(data, device), *stacks, attacks(data, device)):
        section["note"] = f"On {where}, torch {torch.__version__}. {section['note']}"
        found[section["title"]] = section
    if device.type == "cuda":
        save_results(machine, before | found)
    else:
        sys.stdout.write(page(machine, found))


if __name__ == "__main__":
    command(main)
