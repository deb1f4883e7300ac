"""The results of a study, read from its tables and metrics."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

# The names of parameters in legends and on axes, where they differ.
LABELS = {"learning_rate": "learning rate", "weight_decay": "weight decay λ", "batch_size": "batch size"}


class StudyResults(NamedTuple):
    """A study: the metrics and tables in `studies/results/NAME`.

    A setting is a combination of values of the varied parameters. A series is a combination of values of all of them
    but the last: figures draw a series in one colour against the last parameter.
    """

    name: str
    parameters: list[str]  # those that are varied
    metrics: Mapping[str, Any]
    curves: pd.DataFrame  # a row for each trial and epoch
    trials: pd.DataFrame  # a row for each trial
    summary: pd.DataFrame  # a row for each setting: `MEASURE_mean`, `MEASURE_low` and `MEASURE_high`

    @property
    def classifies(self) -> bool:
        """Whether its runs classify images."""
        return "test_accuracy" in self.curves

    @property
    def linear_trials(self) -> pd.DataFrame:
        """The trials of linear regressions; no other model has a stability threshold."""
        trials = self.trials
        return trials[trials["stability_threshold"].notna()] if "stability_threshold" in trials else trials.head(0)

    @property
    def varies_learning_rate(self) -> bool:
        """Whether it has linear regressions, and their learning rate is varied last."""
        return self.parameters[-1] == "learning_rate" and not self.linear_trials.empty

    @property
    def epsilons(self) -> list[str]:
        """Each ε of the attack, as the columns of the summary name it; empty without an attack."""
        return [found[1] for name in self.summary if (found := re.fullmatch("accuracy_at_(.*)_mean", str(name)))]

    def series(self, table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield name and rows of each series; with a single parameter, all rows under an empty name."""
        *others, _ = self.parameters
        for values, rows in table.groupby(others, sort=False) if others else [((), table)]:
            named = ((LABELS.get(name, name), format_value(value)) for name, value in zip(others, values, strict=True))
            yield ", ".join(map(" ".join, named)), rows

    def setting(self, row: Mapping[Any, Any]) -> str:
        """Name the setting of a row of the summary."""
        values = {name: format_value(row[name]) for name in self.parameters}
        return ", ".join(value if name == "run" else f"{name} = {value}" for name, value in values.items())


def format_value(value: object) -> str:
    """Format the value of a parameter."""
    return f"{value:g}" if isinstance(value, float) else str(value)
