"""An exported classifier is the trained one: any number of images, the same classes, their names inside."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from descent.export import compare, export
from descent.files import load_metrics
from descent.image_sets import FASHION_CLASSES as CLASSES
from descent.model_card import Measured, model_card
from descent.models import build_model
from descent.params import MLP, ConvNet, Params
from tests.imports import ROOT
from tests.walkthrough import follow
from tests.workspace import Workspace, copy

SPECS: list[MLP | ConvNet] = [
    MLP(kind="mlp", hidden=[]),
    MLP(kind="mlp", hidden=[9, 8]),
    ConvNet(kind="convnet", channels=[4, 3], hidden=[7]),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_an_exported_classifier_says_what_the_model_says(
    spec: MLP | ConvNet, tmp_path: Path, rng: torch.Generator
) -> None:
    model = build_model(spec, (1, 28, 28), len(CLASSES), seed=1).eval()
    images = torch.randint(0, 256, (23, 1, 28, 28), generator=rng, dtype=torch.uint8)
    export(model, tmp_path / "a.onnx", (28, 28), CLASSES, "of a test")
    found = compare(model, tmp_path / "a.onnx", images / 255, batch_size=10)
    assert (found["images"], found["other_classes"]) == (23, 0)
    assert found["largest_difference"] < 1e-5
    other = build_model(spec, (1, 28, 28), len(CLASSES), seed=2).eval()
    assert compare(other, tmp_path / "a.onnx", images / 255, batch_size=10)["largest_difference"] > 1e-3

    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    (probabilities,) = session.run(["probabilities"], {"images": images[:1, 0].numpy()})
    with torch.no_grad():
        expected = model(images[:1] / 255).softmax(dim=1)
    assert torch.allclose(torch.from_numpy(probabilities), expected, atol=1e-6)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(CLASSES)


def test_an_export_is_the_same_bytes_and_tells_nothing_of_this_machine(tmp_path: Path) -> None:
    model = build_model(SPECS[2], (1, 28, 28), len(CLASSES), seed=1).eval()
    for name in "ab":
        export(model, tmp_path / f"{name}.onnx", (28, 28), CLASSES, "of a test")
    content = (tmp_path / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    assert str(ROOT).encode() not in content
    assert sys.prefix.encode() not in content
    onnx.checker.check_model(onnx.load(tmp_path / "a.onnx"), full_check=True)


def test_the_script_says_what_a_picture_shows(tmp_path: Path, rng: torch.Generator) -> None:
    model = build_model(SPECS[1], (1, 28, 28), len(CLASSES), seed=1).eval()
    export(model, tmp_path / "a.onnx", (28, 28), CLASSES, "of a test")
    image = torch.randint(0, 256, (1, 1, 28, 28), generator=rng, dtype=torch.uint8)
    Image.fromarray(image[0, 0].numpy()).save(tmp_path / "a.png")
    paths = [ROOT / "export" / "classify.py", tmp_path / "a.onnx", tmp_path / "a.png"]
    said = subprocess.run(
        [sys.executable, *map(str, paths)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    with torch.no_grad():
        ranked = model(image / 255)[0].argsort(descending=True)
    assert [line.split("%")[1].strip() for line in said] == [CLASSES[place] for place in ranked[:3]]


@pytest.mark.slow
def test_the_page_on_export(miniature: Workspace, tmp_path: Path) -> None:
    workspace, others, origin = copy(miniature, tmp_path / "here"), tmp_path / "there", tmp_path / "origin"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(workspace.folder), str(origin)], check=True)
    workspace.run("git", "remote", "add", "origin", str(origin))
    Image.new("L", (28, 28)).save(workspace.folder / "garment.png")
    page = ROOT / "docs" / "export.md"

    def keep(typed: str) -> None:
        if typed == "make export":
            workspace.commit("Export")
            workspace.run("git", "push", "--quiet", "origin", "main")

    printed = follow(workspace, page, skip=lambda typed: typed.startswith("dvc"), after=keep)
    others.mkdir()
    address = ("https://example.com/descent.git", str(origin))
    got = follow(
        Workspace(others),
        page,
        skip=lambda typed: not typed.startswith("dvc"),
        edit=lambda typed: typed.replace(*address),
    )

    assert (len(printed), len(got)) == (4, 1)
    said = printed["python export/classify.py export/convnet.onnx garment.png"].splitlines()
    assert [line.split("%")[1].strip() in CLASSES for line in said] == [True] * 3
    assert (others / "convnet.onnx").read_bytes() == (workspace.folder / "export" / "convnet.onnx").read_bytes()
    card = (workspace.folder / "export" / "convnet.md").read_text(encoding="utf-8")
    assert "drawn garments, not Fashion-MNIST: 1,000 images for training and 500 for the test" in card


def test_every_attacked_classifier_is_an_artifact(params: Params) -> None:
    pipeline = YAML(typ="safe").load((ROOT / "export" / "dvc.yaml").read_text(encoding="utf-8"))
    assert {name: entry["path"] for name, entry in pipeline["artifacts"].items()} == {
        name: f"{name}.onnx" for name in params.attack.runs
    }


@pytest.mark.parametrize("name", ["mlp", "mlp-weight-decay", "convnet", "convnet-adversarial"])
def test_the_cards_are_those_of_the_committed_metrics(committed: Workspace, params: Params, name: str) -> None:
    read = [
        load_metrics(committed.folder / path)
        for path in (
            "metrics/data.json",
            f"metrics/train/{name}.json",
            f"metrics/attack/{name}.json",
            f"export/{name}.json",
        )
    ]
    assert read[-1]["other_classes"] == 0
    assert read[-1]["largest_difference"] < 1e-3
    card = (committed.folder / "export" / f"{name}.md").read_text(encoding="utf-8")
    assert card == model_card(name, params.train[name], params.evaluation, params.attack.bench, Measured(*read))
    head = YAML(typ="safe").load(card.split("---\n")[1])
    (result,) = head["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "accuracy", "value": read[1]["final_test_accuracy"]}]
