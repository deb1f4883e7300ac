"""Read `studies.yaml`: each study runs over a grid of their parameters, from several seeds."""

from collections.abc import Iterator, Mapping
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

# More would take longer to lay out than anybody waits to be told of a slip.
MOST_SETTINGS = 10_000


class Study(Section):
    """Runs of `params.yaml`, each with every combination of the values in `grid`, from every seed."""

    data: Literal["diabetes", "images"]  # the runs'; DVC cannot look it up
    runs: Annotated[list[RunName], Field(min_length=1)]
    seeds: Annotated[int, Field(gt=0, le=1000)]  # so many, from `seed` on
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]]
    epsilons: list[Annotated[float, Field(ge=0, le=1)]]  # at which what was trained is attacked

    @model_validator(mode="after")
    def _attacks_images(self) -> "Study":
        if self.epsilons and self.data == "diabetes":
            raise ValueError("epsilons must be []; the diabetes data has no images to attack")
        if self.epsilons != sorted(set(self.epsilons)):
            raise ValueError("epsilons must rise from each value to the next")
        return self

    @property
    def varied(self) -> list[str]:
        """What one setting differs in from another: parameters by their dotted names, or `run`."""
        return [*(["run"] if len(self.runs) > 1 or not self.grid else []), *self.grid]


class Setting(NamedTuple):
    """The values of what a study varies, and the run that they make."""

    values: Mapping[str, Any]
    run: Run


class _Named(dict[str, Study]):
    def __missing__(self, name: str) -> Study:
        raise ParamsError(f"studies.yaml: there is no study {name!r}; there are {', '.join(self)}")


class _Studies(Section):
    studies: Annotated[dict[RunName, Study], Field(min_length=1)]


def load_studies(path: Path) -> dict[str, Study]:
    """Read and check the studies by name, all but the values in their grids, which `settings` checks.

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
        ParamsError: A name is none of a run, or of a run's parameter, or a value is none for it, or is there twice, or
            two settings are the same run; a line for each.
    """
    if (count := len(study.runs) * prod(map(len, study.grid.values()))) > MOST_SETTINGS:
        raise ParamsError(f"studies.yaml: studies.{name}.grid: {count:,} settings; {MOST_SETTINGS:,} are the most")
    if repeated := [run for place, run in enumerate(study.runs) if run in study.runs[:place]]:
        raise ParamsError(f"studies.yaml: studies.{name}.runs: {repeated[0]} twice")
    made, others, mistakes = list[Setting](), list[str](), dict[str, None]()
    for run, *values in product(study.runs, *study.grid.values()):
        changes = dict(zip(study.grid, values, strict=True))
        chosen = {parameter: ({"run": run} | changes)[parameter] for parameter in study.varied}
        try:
            made.append(Setting(chosen, Run.model_validate(_changed(runs[run].model_dump(), changes))))
            others += [run] if made[-1].run.data != study.data else []
        except ValidationError as error:
            mistakes |= dict.fromkeys(_mistakes(changes, error))
        except KeyError as error:
            mistakes[f"{error.args[0]}: no such parameter of a run"] = None
    if others:
        raise ParamsError(f"studies.yaml: studies.{name}.data: the run {others[0]} is trained on other data")
    for parameter, listed in study.grid.items():
        # The results hold six digits of a number.
        written = [float(f"{value:.6g}") if isinstance(value, float) else value for value in listed]
        if any(value in written[:place] for place, value in enumerate(written)):
            mistakes[f"{parameter}: the same value twice, to six digits"] = None
    if mistakes:
        raise ParamsError("\n".join(f"studies.yaml: studies.{name}.grid.{one_line(words)}" for words in mistakes))
    seen = dict[str, Setting]()
    for setting in made:
        if (first := seen.setdefault(setting.run.model_dump_json(), setting)) is not setting:
            one, other = (
                ", ".join(f"{key} = {value}" for key, value in each.values.items()) for each in (first, setting)
            )
            raise ParamsError(f"studies.yaml: studies.{name}: the same run twice: {one}; and {other}; leave one out")
    return made


def _changed(run: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in changes.items():
        *parents, last = name.split(".")
        section: Any = run
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last not in section:
            raise KeyError(name)
        section[last] = value
    return run


def _mistakes(changes: Mapping[str, Any], error: ValidationError) -> Iterator[str]:
    """Say of each mistake which value of the grid it is, or which combination where it lies between two."""
    for mistake in error.errors(include_url=False):
        message = mistake["msg"].removeprefix("Value error, ")
        place = [str(part) for part in mistake["loc"]]
        found = [name for name in changes if name.split(".")[0] in place and name.split(".")[-1] in place]
        named = {name: changes[name] for name in found or changes}
        yield f"{', '.join(f'{name} = {value!r}' for name, value in named.items())}: {message}"
