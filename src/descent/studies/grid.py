"""Read `studies.yaml`: each study repeats runs over a grid of parameters and over seeds."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from descent.io.errors import ParamsError
from descent.io.params import explained
from descent.io.run_schema import Run, Section
from descent.io.schema import RunName
from descent.io.yaml import one_line, read_yaml

# More would take too long to check.
MOST_SETTINGS = 10_000


class Study(Section):
    """Runs of `params.yaml`, each with every combination of the values in `grid`, from every seed."""

    data: Literal["diabetes", "images"]  # of the runs; written down because DVC cannot look it up
    runs: Annotated[list[RunName], Field(min_length=1)]
    seeds: Annotated[int, Field(gt=0, le=1000)]  # number of seeds, the first being `seed` of params.yaml
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]]
    epsilons: list[Annotated[float, Field(ge=0, le=1)]]  # of the FGSM attack after training

    @model_validator(mode="after")
    def _attacks_images(self) -> "Study":
        if self.epsilons and self.data == "diabetes":
            raise ValueError("epsilons must be []; the diabetes data has no images to attack")
        named = [float(f"{epsilon:g}") for epsilon in self.epsilons]  # as in the names of metrics
        if named != sorted(set(named)):
            raise ValueError("epsilons must increase from each value to the next, to six digits")
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
    studies: Annotated[dict[RunName, Study], Field(min_length=1)]


def load_studies(path: Path) -> dict[str, Study]:
    """Read and check the studies by name; `settings` checks the values in their grids.

    Raises:
        ParamsError: As for `load_params`.
    """
    tree, values = read_yaml(path)
    try:
        return _Named(_Studies.model_validate(values).studies)
    except ValidationError as error:
        raise ParamsError("\n".join(explained(path, tree, error))) from error


def settings(name: str, study: Study, runs: Mapping[str, Run]) -> list[Setting]:
    """Return every combination of runs and grid, the last parameter changing fastest.

    Args:
        name: Of the study, for errors.
        study: Names some of the runs.
        runs: Those of `params.yaml`, by name.

    Raises:
        ParamsError: A run or a parameter does not exist, a value is invalid or repeated, or two settings are the same
            run. All mistakes of the grid are reported, one line each.
    """
    where = f"studies.yaml: studies.{name}"
    count = len(study.runs) * prod(map(len, study.grid.values()))
    if count > MOST_SETTINGS:
        raise ParamsError(f"{where}.grid: {count:,} settings; {MOST_SETTINGS:,} are the most")
    if repeated := _repeated(study.runs):
        raise ParamsError(f"{where}.runs: {repeated[0]} twice")
    if unknown := [run for run in study.runs if run not in runs]:
        raise ParamsError(f"{where}.runs: params.yaml has no run {unknown[0]!r} under train; it has {', '.join(runs)}")

    named = {run: runs[run] for run in study.runs}
    made, mistakes = list[Setting](), dict[str, None]()  # a mistake in several combinations is reported once
    for run, *values in product(study.runs, *study.grid.values()):
        changes = dict(zip(study.grid, values, strict=True))
        changed = _changed(named[run], changes)
        if isinstance(changed, Run):
            if changed.data != study.data:
                raise ParamsError(f"{where}.data: the run {run} is trained on other data")
            chosen = {"run": run} | changes
            made.append(Setting({parameter: chosen[parameter] for parameter in study.varied}, changed))
        else:
            mistakes |= dict.fromkeys(changed)
    mistakes |= dict.fromkeys(
        f"{inner}: a part of {outer}; vary one of the two"
        for outer, inner in product(study.grid, study.grid)
        if inner.startswith(f"{outer}.")
    )
    mistakes |= dict.fromkeys(
        f"{parameter}: the same value twice, to six digits"
        for parameter, values in study.grid.items()
        if _repeated([_as_saved(value) for value in values])
    )
    if mistakes:
        raise ParamsError("\n".join(f"{where}.grid.{one_line(mistake)}" for mistake in mistakes))
    if same := _same_run(made):
        one, other = (", ".join(f"{parameter} = {value}" for parameter, value in each.values.items()) for each in same)
        raise ParamsError(f"{where}: the same run twice: {one}; and {other}; leave one out")
    return made


def _repeated(values: Sequence[Any]) -> list[Any]:
    """Return the values that are equal to an earlier one; they need not be hashable."""
    return [value for place, value in enumerate(values) if value in values[:place]]


def _as_saved(value: Any) -> Any:  # noqa: ANN401 - any value of YAML
    """Round a number as `save_table` does, to six digits."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _changed(run: Run, changes: Mapping[str, Any]) -> Run | list[str]:
    """Return the run with other values of its parameters, or the mistakes in these values."""
    changed = run.model_dump()
    for name, value in changes.items():
        *sections, parameter = name.split(".")
        place: Any = changed
        for section in sections:
            place = place.get(section) if isinstance(place, dict) else None
        if not isinstance(place, dict) or parameter not in place:
            return [f"{name}: no such parameter of a run"]
        place[parameter] = value
    try:
        return Run.model_validate(changed)
    except ValidationError as error:
        return list(_mistakes(changes, error))


def _mistakes(changes: Mapping[str, Any], error: ValidationError) -> Iterator[str]:
    """Name, for each mistake, the value of the grid that causes it, or the combination of several."""
    for mistake in error.errors(include_url=False):
        message = mistake["msg"].removeprefix("Value error, ")
        place = [str(part) for part in mistake["loc"]]
        causes = [name for name in changes if name.split(".")[0] in place and name.split(".")[-1] in place]
        yield f"{', '.join(f'{name} = {changes[name]!r}' for name in causes or changes)}: {message}"


def _same_run(made: Sequence[Setting]) -> tuple[Setting, Setting] | None:
    """Return the first two settings that are the same run; None: all differ."""
    seen = dict[str, Setting]()
    for setting in made:
        first = seen.setdefault(setting.run.model_dump_json(), setting)
        if first is not setting:
            return first, setting
    return None
