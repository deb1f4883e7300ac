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
    pairs = [
        (setting, Trial(setting.run, seed, evaluation, threads, sha256_data, epsilons))
        for setting, seed in product(settings, seeds)
    ]
    return {key(trial): (setting, trial) for setting, trial in pairs}


class Outcomes:
    """The outcomes of trials in a folder, one file each.

    Args:
        folder: Created when the first outcome is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def missing(self, plan: Plan) -> dict[str, Trial]:
        """Return the trials, by name, that have no valid outcome yet."""
        return {name: trial for name, (_, trial) in plan.items() if not self._has(name)}

    def complete(
        self, missing: Mapping[str, Trial], engine: Engine, progress: Callable[[], object]
    ) -> dict[str, Failure]:
        """Perform trials, and write each outcome as soon as it is available.

        Args:
            missing: By name.
            engine: Performs the trials.
            progress: Called after each trial.

        Returns:
            The failures by name.
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

    def _has(self, name: str) -> bool:
        try:
            self.read(name)
        except (DataError, FileNotFoundError):
            return False
        return True

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"
