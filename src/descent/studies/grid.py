"""Read `studies.yaml`: each study repeats runs over a grid of parameters and over seeds."""

from collections.abc import Mapping
from functools import reduce
from itertools import permutations, product
from math import prod
from operator import getitem
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, ValidationError, model_validator

from descent.io.errors import ParamsError
from descent.io.params import load_yaml, one_line
from descent.io.run_schema import Run, Section
from descent.io.schema import Distinct, Epsilons, RunName, RunNames

# More would take too long to check.
MOST_SETTINGS = 10_000


class Study(Section):
    """Runs of `params.yaml`, each with every combination of the values in `grid`, from every seed."""

    data: Literal["diabetes", "images"]  # of the runs; written down because DVC cannot look it up
    runs: RunNames
    seeds: Annotated[int, Field(gt=0, le=1000)]  # number of seeds, the first being `seed` of params.yaml
    grid: dict[str, Annotated[list[Any], Field(min_length=1), Distinct]]
    epsilons: Epsilons  # of the FGSM attack after training

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        if self.epsilons and self.data == "diabetes":
            raise ValueError("epsilons must be []; the diabetes data has no images to attack")
        if (count := len(self.runs) * prod(map(len, self.grid.values()))) > MOST_SETTINGS:
            raise ValueError(f"grid: {count:,} settings; {MOST_SETTINGS:,} are the most")
        for outer, inner in permutations(self.grid, 2):
            if inner.startswith(f"{outer}."):
                raise ValueError(f"grid.{inner}: a part of {outer}; vary one of the two")
        return self

    @property
    def varied(self) -> list[str]:
        """The varied parameters by their dotted names; `run` comes first with several runs or without a grid."""
        return [*(["run"] if len(self.runs) > 1 or not self.grid else []), *self.grid]


class Setting(NamedTuple):
    """The values of the varied parameters, and the resulting run."""

    values: Mapping[str, Any]
    run: Run


class _Named(dict[str, Study]):
    def __missing__(self, name: str) -> Study:
        raise ParamsError(f"studies.yaml: there is no study {name!r}; there are {', '.join(self)}")


class _Studies(Section):
    studies: Annotated[dict[RunName, Study], Field(min_length=1), AfterValidator(_Named)]


def load_studies(path: Path) -> dict[str, Study]:
    """Read and check the studies by name, as `load_yaml` does; `settings` checks the values in their grids."""
    return load_yaml(path, _Studies).studies


def settings(name: str, study: Study, runs: Mapping[str, Run]) -> list[Setting]:
    """Return every combination of the runs and the grid of the study `name`, the last parameter changing fastest.

    Raises:
        ParamsError: A run or a parameter does not exist, a value is invalid, or two settings are the same run. All
            mistakes of the grid are reported, one line each.
    """
    where = f"studies.yaml: studies.{name}"
    if unknown := [run for run in study.runs if run not in runs]:
        raise ParamsError(f"{where}.runs: params.yaml has no run {unknown[0]!r} under train; it has {', '.join(runs)}")
    made, mistakes = dict[str, Setting](), dict[str, None]()  # a mistake in several combinations is reported once
    for run, *values in product(study.runs, *study.grid.values()):
        changes = dict(zip(study.grid, values, strict=True))
        chosen = {"run": run} | changes
        try:
            changed = _changed(runs[run], changes)
        except ParamsError as error:
            mistakes |= dict.fromkeys(f"{where}.grid.{mistake}" for mistake in str(error).split("\n"))
            continue
        if changed.data != study.data:
            raise ParamsError(f"{where}.data: the run {run} is trained on other data")
        setting = Setting({parameter: chosen[parameter] for parameter in study.varied}, changed)
        if (same := made.setdefault(changed.model_dump_json(), setting)) is not setting:
            pair = (", ".join(f"{key} = {value}" for key, value in each.values.items()) for each in (same, setting))
            raise ParamsError(f"{where}: the same run twice: {'; and '.join(pair)}; leave one out")
    if mistakes:
        raise ParamsError("\n".join(mistakes))
    return list(made.values())


def _changed(run: Run, changes: Mapping[str, Any]) -> Run:
    """Return the run with other values of its parameters.

    Raises:
        ParamsError: Has, for each mistake, a line with the value that causes it, or the combination of several.
    """
    changed: Any = run.model_dump()
    for name, value in changes.items():
        *sections, parameter = name.split(".")
        try:
            reduce(getitem, [*sections, parameter], changed)
        except (KeyError, TypeError) as error:
            raise ParamsError(f"{one_line(name)}: no such parameter of a run") from error
        reduce(getitem, sections, changed)[parameter] = value
    try:
        return Run.model_validate(changed)
    except ValidationError as error:
        lines = list[str]()
        for mistake in error.errors(include_url=False):
            place = [str(part) for part in mistake["loc"]]
            causes = [name for name in changes if name.split(".")[0] in place and name.split(".")[-1] in place]
            values = ", ".join(f"{name} = {changes[name]!r}" for name in causes or changes)
            lines.append(one_line(f"{values}: {mistake['msg'].removeprefix('Value error, ')}"))
        raise ParamsError("\n".join(lines)) from error
