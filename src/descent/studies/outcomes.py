"""Store the outcomes of trials, one file each, and perform the missing trials."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path

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


class Outcomes:
    """The outcomes of trials in a folder, one file each; the folder is created when the first is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
        return parsed(name, self._path(name).read_bytes())

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"
