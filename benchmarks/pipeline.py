"""`make repro` in a clone of the last commit: from nothing, after a change, with nothing to do; how stages start."""

import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from ruamel.yaml import YAML

from benchmarks.timing import Figures, Section, alternate, spread
from descent.io.results import load_metrics
from descent.sources.published import DRAWN

CHANGED = ("mlp-weight-decay", 0.0001)


class Clone:
    """A clone with no data, no weights, no cache and no dvc.lock, so that every stage runs.

    Its `python` writes down what each program took.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "descent"
        self._log = folder / "log"
        subprocess.run(  # noqa: S603
            ["git", "clone", "--quiet", Path.cwd().as_uri(), str(self.folder)],  # noqa: S607
            check=True,
        )
        (self.folder / "dvc.lock").unlink(missing_ok=True)
        python = self.folder / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        words = [sys.executable, str(Path(__file__).with_name("measured.py")), str(self._log)]
        python.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        python.chmod(0o755)

    def repro(self) -> tuple[Figures, list[Figures]]:
        """Run `make repro` and return what it took in all, and each stage."""
        self._log.write_text("", encoding="utf-8")
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
        subprocess.run(  # noqa: S603
            # What is measured begins after the installation: `true` takes the place of the Python that installs.
            ["make", "--silent", "PYTHON=true", "repro"],  # noqa: S607
            cwd=self.folder,
            env=os.environ | self._mirror(),
            stdout=sys.stderr,
            check=True,
        )
        took, after = perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"wall s": took, "processor s": processor}, list(self._stages())

    def _mirror(self) -> dict[str, str]:
        """Name the images here as the mirror, unless they are garments, which no mirror has."""
        raw = Path("data/raw").resolve()
        return {} if load_metrics(raw / "source.json")["source"] == DRAWN else {"DESCENT_MIRROR": str(raw)}

    def _stages(self) -> Iterator[Figures]:
        for line in self._log.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            _, module, *words = row.pop("arguments")
            if module.startswith("stages."):
                yield {"stage": "@".join([module.removeprefix("stages."), *words]), **row}  # as DVC names it

    def differing(self) -> list[str]:
        """Return which results are not what they are in git."""
        return subprocess.run(
            ["git", "diff", "--name-only", "--", "metrics", "plots"],  # noqa: S607
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()

    def change(self) -> None:
        """Set another weight decay."""
        path, yaml = self.folder / "params.yaml", YAML()
        params = yaml.load(path.read_text(encoding="utf-8"))
        run, params["train"][run]["weight_decay"] = CHANGED
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(params, file)


@contextmanager
def clone() -> Iterator[Clone]:
    """Make a clone that is gone afterwards."""
    with TemporaryDirectory() as folder:
        yield Clone(Path(folder))


def sections(rounds: int) -> list[Section]:
    """Time the whole and its stages."""
    cores = len(os.sched_getaffinity(0))
    with clone() as fresh:
        whole: dict[str, Figures] = {}
        whole["from nothing"], stages = fresh.repro()
        differing = fresh.differing()
        idle = [fresh.repro()[0] for _ in range(rounds)]
        fresh.change()
        whole[f"one parameter changed ({CHANGED[0]})"], _ = fresh.repro()
    whole["nothing to do"] = {
        column: median(float(figures[column] or 0) for figures in idle) for column in ("wall s", "processor s")
    }
    of_stages = sum(float(stage["processor s"] or 0) for stage in stages)
    whole["from nothing"] |= {
        "stages' processor s": of_stages,
        "wall / (stages' processor / cores)": float(whole["from nothing"]["wall s"] or 0) / (of_stages / cores),
    }
    return [
        {
            "title": "make repro",
            "note": f"A clone of the last commit on {cores} cores, the packages installed, no lock, data or cache. "
            f"Results that came out other than they are in git: {', '.join(differing) or 'none'}. Nothing to do: the "
            f"median of {rounds}.",
            "rows": whole,
        },
        {
            "title": "Stages, side by side in `make repro` from nothing",
            "note": "In the order in which they ended. Peak memory counts shared libraries, such as torch's.",
            "rows": {
                str(stage["stage"]): {name: figure for name, figure in stage.items() if name != "stage"}
                for stage in stages
            },
        },
        start_up(rounds),
    ]


def start_up(rounds: int) -> Section:
    """Time each kind of stage until it has read its parameters, which is when its work begins."""

    def start(stage: str) -> None:
        program = f"import stages.{stage}; from pathlib import Path; stages.{stage}.load_params(Path('params.yaml'))"
        subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603 - names of our own stages

    kinds = YAML(typ="safe").load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    seconds = alternate({stage: lambda stage=stage: lambda: start(stage) for stage in kinds}, rounds)  # type: ignore[misc]
    return {
        "title": "Start of a stage",
        "note": "A new Python, its imports, and the parameters read.",
        "rows": {stage: spread(times) for stage, times in seconds.items()},
    }
