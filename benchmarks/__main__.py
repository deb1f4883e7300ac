"""Measure this project and its peers: `python -m benchmarks [--rounds N] [PART ...]`, or `make bench` for all.

Needs the test dependencies and the data and weights of a run. All parts together write benchmarks/results.md and
results.json; a part named alone is printed.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks import epochs, growth, keeping, pipeline, seeds, sweep
from benchmarks.inputs import params
from benchmarks.results import load_results, save_results
from benchmarks.tables import page
from benchmarks.timing import ON_A_GPU, Section
from descent.models.machine import keep_freed_memory, make_deterministic
from stages.program import command

PARTS: Mapping[str, Callable[[int], list[Section]]] = {
    "mlp": lambda rounds: [epochs.section("mlp", rounds)],
    "convnet": lambda rounds: [epochs.section("convnet", rounds)],
    "sweep": lambda rounds: [sweep.section(name, rounds) for name in ("mlp", "convnet-adversarial")],
    "pipeline": pipeline.sections,
    "growth": growth.sections,
    "keeping": lambda rounds: [keeping.section(rounds)],
    "seeds": lambda rounds: [seeds.section("mlp", rounds)],
}
PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "keras",
    "scikit-learn",
    "foolbox",
    "torchattacks",
    "adversarial-robustness-toolbox",
    "dvc",
)


def machine() -> dict[str, str]:
    """Say what it is measured on, and with what."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": f"{model}, {len(os.sched_getaffinity(0))} cores",
        "Python": platform.python_version(),
        "packages": ", ".join(f"{package} {version(package)}" for package in PACKAGES),
    }


def main(*words: str) -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure this project and its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each candidate is timed (default 3)")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; none: all, and write them"
    )
    asked = parser.parse_args(words)
    if unknown := set(asked.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if asked.rounds < 1:
        parser.error("--rounds: at least 1")
    _, before = load_results()
    make_deterministic(params().threads)
    keep_freed_memory()
    found = {section["title"]: section for part in asked.parts or PARTS for section in PARTS[part](asked.rounds)}
    if asked.parts:
        sys.stdout.write(page(machine(), found))
        return
    save_results(machine(), found | {title: section for title, section in before.items() if title.startswith(ON_A_GPU)})


if __name__ == "__main__":
    command(main)
