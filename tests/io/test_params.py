"""`params.yaml` is read as DVC reads it, into types that cannot be changed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from pydantic import ValidationError
from ruamel.yaml import YAML

from descent.io.errors import ParamsError
from descent.io.params import load_params
from descent.io.schema import Params
from tests.imports import CLASSIFIERS, ROOT


def test_the_projects_own_file_is_read_as_dvc_reads_it(params: Params) -> None:
    assert params.train["mlp-weight-decay"].weight_decay == 0.001
    assert list(params.train)[2:] == params.attack.runs == list(CLASSIFIERS)
    assert Params.model_validate(YAML(typ="safe", pure=True).load(ROOT / "params.yaml")) == params
    with pytest.raises(ValidationError, match="frozen"):
        params.seed = 1


def test_a_run_that_does_not_exist_is_named_with_those_that_do(params: Params) -> None:
    with pytest.raises(ParamsError, match=r"no run 'mpl'; it has regression-lr-1e-4, .*mlp"):
        params.train["mpl"]


def test_a_byte_order_mark_and_line_ends_of_windows_change_nothing(params_file: Path, params: Params) -> None:
    text = params_file.read_text(encoding="utf-8")
    params_file.write_text("\ufeff" + text, encoding="utf-8", newline="\r\n")
    assert load_params(params_file) == params


def test_an_alias_and_a_merge_key_stand_for_their_values(params_file: Path, params: Params) -> None:
    text, model = params_file.read_text(encoding="utf-8"), "    model:\n      kind: linear\n"
    text = text.replace(model, "    model: &linear\n      kind: linear\n", 1)
    params_file.write_text(text.replace(model, "    model:\n      <<: *linear\n"), encoding="utf-8")
    assert load_params(params_file) == params


def scalars(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of every key that holds no list and no section."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("name", ["params.yaml", "studies.yaml"])
def test_dvc_exp_run_changes_one_line_for_each_parameter(tmp_path: Path, name: str) -> None:
    path, before = tmp_path / name, (ROOT / name).read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    found = dict(scalars(YAML(typ="safe").load(before)))
    others = {key: "other" if isinstance(value, str) else value + 1 for key, value in found.items()}
    apply_overrides(path, [f"{key}={value}" for key, value in others.items()])  # as `--set-param` does
    assert dict(scalars(YAML(typ="safe").load(path))) == others
    pairs = zip(before.splitlines(), path.read_text(encoding="utf-8").splitlines(), strict=True)
    assert sum(old != new for old, new in pairs) == len(found)
