"""Damaged models and results."""

import os
import pickle
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
from tests.faults.table import Tell
from tests.workspace import Workspace, copy

slow = partial(pytest.param, marks=pytest.mark.slow)
SPEC = MLP(kind="mlp", hidden=[8])


@pytest.fixture(scope="module")
def workspace(miniature: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a clone with all data, whose files a test puts back as they were."""
    return copy(miniature, tmp_path_factory.mktemp("damaged") / "project")


def flip(path: Path) -> None:
    """Change one bit in the last byte, and neither size nor time, by which DVC would notice."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def bomb(path: Path) -> None:
    """Put a pickle there that would leave a mark if anybody loaded it."""

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return (os.mkdir, ("models/pwned",))

    path.write_bytes(pickle.dumps(Bomb()))


@pytest.mark.parametrize(
    ("tried", "path", "damage", "stage", "said"),
    [
        slow("the model is missing", "models/mlp.safetensors", Path.unlink, "attack mlp", "no such file; `dvc repro`"),
        ("one bit of the model", "models/mlp.safetensors", flip, "attack mlp", "expected SHA-256 "),
        slow("the model is a pickle", "models/mlp.safetensors", bomb, "attack mlp", "expected SHA-256 "),
        slow(
            "the model is cut short", "models/mlp.safetensors", lambda p: os.truncate(p, 900), "attack mlp", "expected"
        ),
        slow("one bit of the images", "data/images.safetensors", flip, "train mlp", "expected SHA-256 "),
        slow("one bit of the patients", "data/diabetes.safetensors", flip, "theory", "expected SHA-256 "),
        slow("one bit of a raw file", "data/raw/t10k-labels-idx1-ubyte.gz", flip, "prepare", "expected SHA-256 "),
        slow(
            "one bit of an adversarial set", "data/adversarial-sets/mlp.safetensors", flip, "transfer", "expected SHA-"
        ),
        slow("one bit of the pictures", "data/adversarial/mlp.safetensors", flip, "figures", "expected SHA-256 "),
        slow(
            "metrics that are no JSON",
            "metrics/train/mlp.json",
            lambda p: p.write_text("{'a': 1}"),
            "attack mlp",
            "not valid JSON",
        ),
        (
            "metrics without the hash of the data",
            "metrics/data.json",
            lambda p: p.write_text('{"source": "drawn"}'),
            "train mlp",
            "has no sha256_images; `dvc repro --force` makes the file anew",
        ),
        slow(
            "data/raw does not say where it comes from",
            "data/raw/source.json",
            lambda p: p.write_text("{}"),
            "prepare",
            "has no source",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_as_it_was_made_is_refused(
    workspace: Workspace,
    tried: str,
    path: str,
    damage: Callable[[Path], object],
    stage: str,
    said: str,
    tell: Tell,
) -> None:
    file = workspace.folder / path
    whole, before = file.read_bytes(), workspace.outputs()
    try:
        file.chmod(0o644)
        damage(file)
        line = workspace.run("python", "-m", *f"stages.{stage}".split(), status=1)
        after = workspace.outputs()
    finally:
        file.write_bytes(whole)
    tell(f"{tried} ({path})", f"`{stage}` refuses it in one line that says what to do; nothing is written", line)
    assert line.startswith(f"ERROR: {path}: {said}")
    assert len(line.splitlines()) == 1
    assert {**after, path: b""} == {**before, path: b""}
    assert not (file.parent / "pwned").exists()


@pytest.mark.slow
def test_the_remedy_that_is_named_helps(miniature: Workspace, tmp_path: Path, tell: Tell) -> None:
    workspace = copy(miniature, tmp_path / "remedy")
    expected = workspace.outputs()
    workspace.run("dvc", "status", "dvc.yaml")  # from now on DVC knows time and size of each file
    flip(workspace.folder / "models" / "mlp.safetensors")
    unnoticed = workspace.run("dvc", "status", "dvc.yaml")
    assert "up to date" in unnoticed
    workspace.run("python", "-m", "stages.attack", "mlp", status=1)
    workspace.run("dvc", "repro", "--force", "--single-item", "train@mlp")
    tell("one bit of a model, of which DVC takes no notice", "after `dvc repro --force` all is as before", "so it was")
    assert workspace.outputs() == expected


def changed(change: Callable[[dict[str, Tensor]], object]) -> dict[str, Tensor]:
    """Return the weights of a model, changed."""
    weights = dict(build_model(SPEC, (1, 4, 4), 10, seed=0).state_dict())
    change(weights)
    return weights


@pytest.mark.parametrize(
    ("tried", "change"),
    [
        ("a tensor too many", lambda w: w.update(extra=torch.zeros(1))),
        ("a tensor too few", lambda w: w.pop("3.bias")),
        ("a tensor of another name", lambda w: w.update(bias=w.pop("3.bias"))),
        ("a tensor of another shape", lambda w: w.update({"1.weight": torch.zeros(8, 17)})),
        ("a tensor of another type", lambda w: w.update({"1.weight": w["1.weight"].double()})),
        ("a weight that is NaN", lambda w: w.update({"1.bias": torch.full((8,), torch.nan)})),
        ("an infinite weight", lambda w: w.update({"1.bias": torch.full((8,), torch.inf)})),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_weights_of_another_model_are_refused(
    tmp_path: Path, tried: str, change: Callable[[dict[str, Tensor]], object], tell: Tell
) -> None:
    path = tmp_path / "model.safetensors"
    digest = save_tensors(path, changed(change))
    with pytest.raises(DataError) as error:
        load_model(path, SPEC, (1, 4, 4), 10, digest)
    tell(f"a model with {tried}", "refused in one line that says what was expected", str(error.value))
    assert str(error.value).startswith(f"{path}: ")
    assert "holds the weights of another model: expected" in str(error.value) or "is not finite" in str(error.value)
    assert "\n" not in str(error.value)
