"""A classifier that is read again is the same, and a file that does not describe its weights is refused."""

from pathlib import Path

import pytest
import torch

from descent.io.errors import DataError
from descent.io.run_schema import MLP, Linear, Model
from descent.io.tensors import save_tensors
from descent.models.networks import build_model
from descent.robustness.classifier import load_classifier, save_classifier
from tests.models.known import strided

SHAPE = (1, 8, 8)
MLP_SPEC = MLP(kind="mlp", hidden=[5])


@pytest.mark.parametrize("spec", [Linear(kind="linear"), MLP_SPEC, strided(batch_norm=True)])
@pytest.mark.parametrize("classes", [2, 50])
def test_a_classifier_needs_no_other_file(tmp_path: Path, spec: Model, classes: int) -> None:
    model, path = build_model(spec, SHAPE, classes, seed=0).eval(), tmp_path / "model.safetensors"
    save_classifier(path, model, spec, classes)
    content, x = path.read_bytes(), torch.rand(4, *SHAPE)
    assert torch.equal(load_classifier(path, SHAPE)(x), model(x))
    save_classifier(path, model, spec, classes)
    assert path.read_bytes() == content


@pytest.mark.parametrize("words", [{}, {"classifier": "no JSON"}, {"classifier": '{"classes": 3}'}])
def test_a_file_that_does_not_describe_its_weights_is_refused(tmp_path: Path, words: dict[str, str]) -> None:
    path = tmp_path / "model.safetensors"
    save_tensors(path, dict(build_model(MLP_SPEC, SHAPE, 3, seed=0).state_dict()), words)
    with pytest.raises(DataError, match="does not say what classifier it holds"):
        load_classifier(path, SHAPE)
