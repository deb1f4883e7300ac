"""The outcomes of a study's trials: performed where they are missing, kept a file each, laid out and summarised."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from statistics import fmean, median
from typing import Any

from descent.io.errors import DataError
from descent.io.files import replacing
from descent.io.results import Value
from descent.io.run_schema import Evaluation
from descent.studies.engine import Failure
from descent.studies.grid import Setting
from descent.studies.trials import Outcome, Trial, key, parsed

# What is summarised of each trial, the first as what a setting is judged by: lower is better.
MEASURES: Mapping[str, Sequence[str]] = {
    "diabetes": (
        "hovering_excess_over_least_squares",
        "final_train_loss",
        "share_of_epochs_with_rising_train_loss",
        "learning_rate_over_threshold",
        "test_r2",
    ),
    "images": (
        "final_test_loss",
        "best_test_loss",
        "final_test_accuracy",
        "best_test_accuracy",
        "final_train_loss",
        "overfitting_epoch",
    ),
}
CONFIDENCE = 0.95
Engine = Callable[[Mapping[str, Trial]], Generator[tuple[str, bytes | Failure]]]


def trials(
    chosen: Sequence[Setting],
    seeds: Iterable[int],
    evaluation: Evaluation,
    threads: int,
    sha256_data: str,
    epsilons: Sequence[float] = (),
) -> dict[str, tuple[Setting, Trial]]:
    """Return the trials by their keys: every seed of the first setting, then of the next."""
    planned = [
        (setting, Trial(setting.run, seed, evaluation, threads, sha256_data, epsilons))
        for setting, seed in product(chosen, seeds)
    ]
    return {key(trial): (setting, trial) for setting, trial in planned}


class Outcomes:
    """The outcomes of trials, a file each in one folder.

    Args:
        folder: Made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def missing(self, planned: Mapping[str, Trial]) -> dict[str, Trial]:
        """Return those of the trials, by key, whose outcome is not there yet."""
        return {name: trial for name, trial in planned.items() if not self._has(name)}

    def complete(
        self, missing: Mapping[str, Trial], engine: Engine, progress: Callable[[], object]
    ) -> dict[str, Failure]:
        """Perform trials, and keep the outcome of each as it comes.

        Args:
            missing: By key.
            engine: Performs trials, and gives what became of each.
            progress: Called after each.

        Returns:
            Those that failed.
        """
        failed = {}
        with closing(engine(missing)) as results:
            for name, result in results:
                if isinstance(result, Failure):
                    failed[name] = result
                else:
                    with replacing(self._path(name), flush=False) as temporary:
                        temporary.write_bytes(result)
                progress()
        return failed

    def read(self, name: str) -> Outcome:
        """Read one.

        Raises:
            DataError: It is damaged.
            OSError: It is not there.
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


def rows(planned: Mapping[str, tuple[Setting, Trial]], outcomes: Outcomes) -> Iterator[dict[str, Value]]:
    """Yield the tidy table, a row for each epoch of each trial: the setting, the seed, the curve."""
    for name, (setting, trial) in planned.items():
        for row in outcomes.read(name).history:
            yield {**_words(setting), "seed": trial.seed, **row}


def results(planned: Mapping[str, tuple[Setting, Trial]], outcomes: Outcomes) -> Iterator[dict[str, Value]]:
    """Yield a row for each trial: the setting, the seed, and every metric; None for one that its run does not have."""
    found = {name: outcomes.read(name).metrics for name in planned}
    # A linear regression has metrics that another model on the same data lacks.
    every = dict.fromkeys(metric for metrics in found.values() for metric in metrics)
    for name, (setting, trial) in planned.items():
        yield {**_words(setting), "seed": trial.seed, **every, **found[name]}


def summary(planned: Mapping[str, tuple[Setting, Trial]], outcomes: Outcomes) -> list[dict[str, Value]]:
    """Summarise each setting over its seeds, a row each.

    Of each measure of the run's data, and of the accuracy at each ε if it was attacked: `…_seeds` that have one (a
    trial that diverged has none, and a model that is not linear has no excess over the optimum); `…_mean`,
    `…_median`, `…_low` and `…_high`, the 95 % interval of the mean by Student's t; `…_difference`,
    `…_difference_low` and `…_difference_high` from the first setting, paired by seed.
    What a single seed cannot tell is left empty.
    """
    by_setting: dict[tuple[str, ...], tuple[Setting, dict[int, dict[str, Any]]]] = {}
    for name, (setting, trial) in planned.items():
        group = by_setting.setdefault(tuple(map(str, setting.values.values())), (setting, {}))
        group[1][trial.seed] = outcomes.read(name).metrics
    _, first = next(iter(by_setting.values()))
    attacked = [measure for measure in next(iter(first.values())) if measure.startswith("accuracy_at_")]
    made = []
    for setting, metrics in by_setting.values():
        row = {**_words(setting), "seeds": len(metrics), "diverged": sum(each["diverged"] for each in metrics.values())}
        for measure in (*MEASURES[setting.run.data], *attacked):
            values, reference = _values(metrics, measure), _values(first, measure)
            low, high = interval(list(values.values()))
            differences = [value - reference[seed] for seed, value in values.items() if seed in reference]
            below, above = interval(differences)
            row |= {
                f"{measure}_seeds": len(values),
                f"{measure}_mean": fmean(values.values()) if values else None,
                f"{measure}_median": median(values.values()) if values else None,
                f"{measure}_low": low,
                f"{measure}_high": high,
                f"{measure}_difference": fmean(differences) if differences else None,
                f"{measure}_difference_low": below,
                f"{measure}_difference_high": above,
            }
        made.append(row)
    return made


def _values(metrics: Mapping[int, Mapping[str, Any]], measure: str) -> dict[int, float]:
    found = {seed: each.get(measure) for seed, each in metrics.items() if not each["diverged"]}
    return {seed: value for seed, value in found.items() if value is not None}


def _words(setting: Setting) -> dict[str, Value]:
    """Return what a setting changes, as a table has it."""
    return {name: value if isinstance(value, int | float) else str(value) for name, value in setting.values.items()}


def interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the 95 % confidence interval of the mean by Student's t; None, None for fewer than two values.

    m ± t₀.₉₇₅(n − 1) · s / √n, with the standard deviation s of n values (Student 1908, Biometrika 6).
    """
    if len(values) < 2:
        return None, None
    from scipy import stats  # a second, which nobody pays who only checks a study

    mean, error = fmean(values), stats.sem(values)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * error)
    return mean - half, mean + half
