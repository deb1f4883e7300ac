"""Experiments as a table that fits a terminal: what was changed, what came of it, and why one failed."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dvc.exceptions import DvcException
from dvc.repo import Repo
from tabulate import tabulate

from descent.errors import DataError
from stages.terminal import command

# What matters first, by the folder of its metrics: of each run those are shown in which experiments differ.
MEASURES: Mapping[str, Sequence[str]] = {
    "train": ("final_test_accuracy", "final_test_loss", "overfitting_epoch", "hovering_excess_over_least_squares"),
    "attack": ("accuracy_at_0.1", "pgd_accuracy_at_0.1"),
}
MOST_MEASURES = 6


class Experiment(NamedTuple):
    """A revision, and what is known of it."""

    name: str
    state: str
    params: Mapping[str, Any]  # by dotted name
    metrics: Mapping[str, Any]  # by run and name
    log: Path | None  # of one that failed


def collected() -> Iterator[Experiment]:
    """Yield the work tree, the commit below it, and the experiments that began there."""
    for base in (state.dumpd() for state in Repo().experiments.show()):
        yield _experiment(base["name"] or base["rev"], "", base["data"], None)
        for experiment in base["experiments"] or []:
            last, executor = experiment["revs"][0], experiment["executor"] or {}
            state = executor.get("state") or "success"
            log = (executor.get("local") or {}).get("log")
            yield _experiment(last["name"] or last["rev"][:7], state, last["data"], Path(log) if log else None)


def _experiment(name: str, state: str, data: Mapping[str, Any] | None, log: Path | None) -> Experiment:
    params, metrics = dict[str, Any](), dict[str, Any]()
    if data is not None:
        params = dict(_flat(data["params"].get("params.yaml", {}).get("data", {})))
    if data is not None and state in ("", "success"):  # DVC lends others the metrics of their parent
        for path, read in data["metrics"].items():
            for measure in MEASURES.get(Path(path).parent.name, ()):
                if measure in (found := read.get("data", {})):
                    metrics[f"{Path(path).stem}\n{measure}"] = found[measure]
    return Experiment(name, state, params, metrics, log if state == "failed" else None)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def table(experiments: Sequence[Experiment]) -> str:
    """Lay out the parameters and the first measures in which experiments differ."""
    params = _differing([experiment.params for experiment in experiments])
    measures = _differing([experiment.metrics for experiment in experiments])[:MOST_MEASURES]
    header = ["experiment", "state", *("\n".join(name.rsplit(".", 1)) for name in params), *measures]
    rows = [
        [
            experiment.name,
            experiment.state,
            *(_words(experiment.params.get(name)) for name in params),
            *(_words(experiment.metrics.get(name)) for name in measures),
        ]
        for experiment in experiments
    ]
    return tabulate(rows, header, disable_numparse=True, colalign=["left"] * 2 + ["right"] * (len(header) - 2))


def _differing(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names, in their order, whose values are not the same wherever there is one."""
    names = dict.fromkeys(name for each in found for name in each)
    return [name for name in names if len({repr(each[name]) for each in found if name in each}) > 1]


def _words(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def why(experiment: Experiment) -> str:
    """Say in a line why an experiment failed: the first error of its log."""
    try:
        text = experiment.log.read_text(encoding="utf-8", errors="replace") if experiment.log else ""
    except OSError:
        text = ""
    errors = re.findall(r"^ERROR: (.*)", text, re.MULTILINE) or ["its log is gone"]
    return f"{experiment.name} failed: {errors[0]}"


def main() -> None:
    """Print the table, the reasons of failures, and what to do next."""
    try:
        experiments = list(collected())
    except DvcException as error:
        raise DataError(f"cannot read the experiments: {error}") from error
    if len(experiments) <= 2:  # the work tree and its commit
        sys.stdout.write("No experiments from here yet: dvc exp run --name NAME --set-param KEY=VALUE\n")
        return
    failed = [why(experiment) for experiment in experiments if experiment.state == "failed"]
    hint = "Compare one: make report REV=NAME. Keep one: dvc exp apply NAME, then commit. All columns: dvc exp show."
    sys.stdout.write("\n\n".join(filter(None, [table(experiments), "\n".join(failed), hint])) + "\n")


if __name__ == "__main__":
    command(main)
