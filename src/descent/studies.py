"""Read `studies.yaml`: each study a run over a grid of its parameters, from several seeds."""

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from descent.errors import ParamsError
from descent.params import Run, RunName, Section, explained
from descent.plain_yaml import one_line, read_yaml

# More would take longer to lay out than anybody waits to be told of a slip.
MOST_SETTINGS = 10_000


class Study(Section):
    """One run of `params.yaml`, with every combination of the values in `grid`, each from every seed."""

    data: Literal["diabetes", "fashion-mnist"]  # the run's; DVC cannot look it up
    run: RunName
    seeds: Annotated[int, Field(gt=0, le=1000)]  # so many, from `seed` on
    grid: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]


class Setting(NamedTuple):
    """What one combination changes in the run, by the parameters' dotted names, and the run that it makes."""

    changes: Mapping[str, Any]
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


def settings(name: str, study: Study, run: Run) -> list[Setting]:
    """Return every combination of the grid, the last parameter changing fastest.

    Raises:
        ParamsError: A name is no parameter of the run, or a value is none for it, or is there twice; a line for each.
    """
    if (count := prod(map(len, study.grid.values()))) > MOST_SETTINGS:
        raise ParamsError(f"studies.yaml: studies.{name}.grid: {count:,} settings; {MOST_SETTINGS:,} are the most")
    made, mistakes = list[Setting](), dict[str, None]()
    for values in product(*study.grid.values()):
        changes = dict(zip(study.grid, values, strict=True))
        try:
            made.append(Setting(changes, Run.model_validate(_changed(run.model_dump(), changes))))
        except ValidationError as error:
            mistakes |= dict.fromkeys(_mistakes(changes, error))
        except KeyError as error:
            mistakes[f"{error.args[0]}: no such parameter of a run"] = None
    if any(setting.run.data != study.data for setting in made):
        raise ParamsError(f"studies.yaml: studies.{name}.data: the run {study.run} is trained on other data")
    for parameter, listed in study.grid.items():
        if any(value in listed[:place] for place, value in enumerate(listed)):
            mistakes[f"{parameter}: the same value twice"] = None
    if mistakes:
        raise ParamsError("\n".join(f"studies.yaml: studies.{name}.grid.{one_line(words)}" for words in mistakes))
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
