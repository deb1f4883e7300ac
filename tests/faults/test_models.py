"""Damaged models and results are refused, and nothing is written."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from descent.io.errors import DataError
from descent.io.run_schema import MLP
from descent.io.tensors import save_tensors
from descent.models.networks import build_model, load_model
from tests.workspace import Workspace, copy

slow = partial(pytest.param, marks=pytest.mark.slow)
SPEC, ARCHITECTURE = MLP(kind="mlp", hidden=[8]), ((1, 4, 4), 10)


@pytest.fixture(scope="module")
def workspace(miniature: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a copy with all data, whose files a test puts back as they were."""
    return copy(miniature, tmp_path_factory.mktemp("damaged") / "project")


def flip(path: Path) -> None:
    """Change one bit in the last byte, and neither size nor time, by which DVC would notice."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("path", "damage", "stage"),
    [
        ("models/mlp.safetensors", flip, "attack@mlp"),
        slow("models/mlp.safetensors", Path.unlink, "attack@mlp"),
        slow("models/mlp.safetensors", lambda path: os.truncate(path, 900), "attack@mlp"),
        slow("data/images.safetensors", flip, "train@mlp"),
        slow("data/diabetes.safetensors", flip, "theory"),
        slow("data/raw/images.safetensors", flip, "prepare"),
        slow("data/raw/source.json", lambda path: path.write_text("{}"), "prepare"),
        slow("data/adversarial-sets/mlp.safetensors", flip, "transfer"),
        slow("data/adversarial/mlp.safetensors", flip, "figures"),
        slow("metrics/train/mlp.json", lambda path: path.write_text("{'a': 1}"), "attack@mlp"),
    ],
)
def test_a_dependency_that_is_not_as_it_was_made_is_refused(
    workspace: Workspace, path: str, damage: Callable[[Path], object], stage: str
) -> None:
    file, before = workspace.folder / path, workspace.outputs()
    try:
        file.chmod(0o644)
        damage(file)
        line = workspace.run("python", "-m", *f"stages.{stage}".split("@"), status=1, DVC_STAGE=stage)
        after = workspace.outputs()
    finally:
        file.write_bytes(before[path])
    assert line.startswith((f"ERROR: {path}", "ERROR: data/raw is"))  # a folder that DVC knows as a whole
    assert "`dvc repro" in line  # what to do
    assert len(line.splitlines()) == 1
    assert {**after, path: b""} == {**before, path: b""}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda w: w.update(extra=torch.zeros(1)), id="surplus tensor"),
        pytest.param(lambda w: w.pop("3.bias"), id="missing tensor"),
        pytest.param(lambda w: w.update({"1.weight": torch.zeros(8, 17)}), id="other shape"),
        pytest.param(lambda w: w.update({"1.weight": w["1.weight"].double()}), id="other type"),
        pytest.param(lambda w: w.update({"1.bias": torch.full((8,), torch.nan)}), id="NaN"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    path, weights = tmp_path / "model.safetensors", dict(build_model(SPEC, *ARCHITECTURE, seed=0).state_dict())
    save_tensors(path, weights)
    load_model(path, SPEC, *ARCHITECTURE)
    change(weights)
    save_tensors(path, weights)
    with pytest.raises(DataError, match=rf"^{path}: .*(holds the weights of another model: expected|is not finite)"):
        load_model(path, SPEC, *ARCHITECTURE)
