"""The outcomes of trials: one file each, or the tables of a study; and the trials that have none yet."""

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from descent.io.dependencies import md5
from descent.io.errors import DataError
from descent.io.files import replacing
from descent.io.run_schema import Evaluation
from descent.studies.engine import Failure
from descent.studies.grid import Setting
from descent.studies.trials import Outcome, Trial, key, parsed

# Performs trials, given by name, and yields the content of an outcome or a failure for each name.
Engine = Callable[[Mapping[str, Trial]], Generator[tuple[str, bytes | Failure]]]
# The trials of a study by name, each with its setting.
Plan = Mapping[str, tuple[Setting, Trial]]


def planned_trials(
    settings: Sequence[Setting],
    seeds: Iterable[int],
    evaluation: Evaluation,
    threads: int,
    sha256_data: str,
    epsilons: Sequence[float] = (),
) -> Plan:
    """Return the trials of a study: every seed of the first setting, then of the next."""
    rest = (evaluation, threads, sha256_data, epsilons)
    pairs = [(setting, Trial(setting.run, seed, *rest)) for setting, seed in product(settings, seeds)]
    return {key(trial): (setting, trial) for setting, trial in pairs}


class Outcomes(NamedTuple):
    """The outcomes in the tables of an earlier run of a study, and those in a folder, one file each."""

    folder: Path  # created when the first outcome is written
    earlier: Mapping[str, Outcome]  # as `recorded` returns them

    def missing(self, plan: Plan) -> dict[str, Trial]:
        """Return the trials, by name, that have no valid outcome yet."""
        missing = {}
        for name, (_, trial) in plan.items():
            try:
                self.read(name)
            except (DataError, FileNotFoundError):
                missing[name] = trial
        return missing

    def complete(
        self, missing: Mapping[str, Trial], engine: Engine, progress: Callable[[], object]
    ) -> dict[str, Failure]:
        """Perform trials, write each outcome as soon as it is available, and return the failures by name.

        `progress` is called after each trial.
        """
        failures = {}
        with closing(engine(missing)) as results:
            for name, result in results:
                if isinstance(result, Failure):
                    failures[name] = result
                else:
                    with replacing(self._path(name), flush=False) as temporary:
                        temporary.write_bytes(result)
                progress()
        return failures

    def read(self, name: str) -> Outcome:
        """Read the outcome of a trial.

        Raises:
            DataError: The file is damaged.
            OSError: The file is missing or cannot be read.
        """
        return self.earlier[name] if name in self.earlier else parsed(name, self._path(name).read_bytes())

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def record(folder: Path, plan: Plan, outcomes: Outcomes) -> None:
    """Write the names of the trials of `curves.csv`, with the number of their epochs and their exact metrics."""
    found = {name: outcomes.read(name) for name in plan}
    with replacing(folder / "trials.json") as temporary:
        lines = [f'"{name}": {json.dumps([len(each.history), each.metrics])}' for name, each in found.items()]
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def recorded(folder: Path, digest: str | None) -> dict[str, Outcome]:
    """Read the outcomes that are in the tables of a study by the names of the trials, their curves to six digits.

    The result is empty if the MD5 of the folder is not `digest`, which DVC recorded: the tables were edited, or their
    run did not end.
    """
    if not (folder / "trials.json").exists() or md5(folder) != digest:
        return {}
    trials = json.loads((folder / "trials.json").read_bytes())
    rows: Iterator[Any] = iter(pd.read_csv(folder / "curves.csv").loc[:, "epoch":].to_dict("records"))
    return {name: Outcome(metrics, list(islice(rows, epochs))) for name, (epochs, metrics) in trials.items()}
