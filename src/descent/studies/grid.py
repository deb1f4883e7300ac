"""The settings of a study: runs of `params.yaml` with every combination of the values in a grid."""

from collections.abc import Mapping
from functools import reduce
from itertools import product
from operator import getitem
from typing import Any, NamedTuple

from pydantic import ValidationError

from descent.io.errors import ParamsError
from descent.io.params import one_line
from descent.io.run_schema import Run
from descent.io.schema import Params
from descent.io.study_schema import Studies, Study


class Setting(NamedTuple):
    """The values of the varied parameters, and the resulting run."""

    values: Mapping[str, Any]
    run: Run


def check_studies(studies: Studies, params: Params) -> None:
    """Compare all studies with the parameters.

    Raises:
        ParamsError: As for `settings`; or a run that is no attacked MLP is to be verified; or AutoAttack has an ε that
            PGD is not tried at.
    """
    for name, study in studies.studies.items():
        settings(name, study, params.train)
    of_pgd = params.attack.bench.pgd.epsilons
    dense = [run for run in params.attack.runs if params.train[run].model.kind != "convnet"]
    for key, given, known, where in (
        ("autoattack.epsilons", studies.autoattack.epsilons, of_pgd, "attack.bench.pgd.epsilons of params.yaml"),
        ("verification.runs", studies.verification.runs, dense, "attack.runs of params.yaml, without ConvNets"),
    ):
        if unknown := [value for value in given if value not in known]:
            raise ParamsError(f"studies.yaml: {key}: {unknown[0]} is not in {where}: {', '.join(map(str, known))}")


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
