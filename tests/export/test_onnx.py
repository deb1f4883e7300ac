"""An exported classifier is the trained one: any number of images, the same classes, their names inside."""

import json
import re
import runpy
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from descent.export.card import model_card
from descent.export.onnx import compare, export, mean_border
from descent.io.datasets import load_dataset
from descent.io.results import load_metrics
from descent.io.run_schema import MLP, ConvNet
from descent.io.schema import Params
from descent.models.networks import build_model
from descent.sources.published import FASHION_CLASSES as CLASSES
from tests.imports import CLASSIFIERS, ROOT, imports
from tests.models.known import convnet, strided
from tests.walkthrough import follow
from tests.workspace import Workspace, copy

SPECS: list[MLP | ConvNet] = [
    MLP(kind="mlp", hidden=[9, 8]),
    convnet(4, 3, hidden=7),
    strided(batch_norm=True),
]
NAMES = [f"\u8863{name}" for name in CLASSES]  # in no encoding of one byte
SCRIPT = ROOT / "export" / "classify.py"
# Light on black, with no symmetry.
SHOWN = np.zeros((28, 28), dtype=np.uint8)
SHOWN[4:20, 6:25] = np.arange(16 * 19).reshape(16, 19) % 200 + 50
GREY = Image.fromarray(SHOWN)
TURNED = Image.Exif()
TURNED[274] = 6  # of a camera that was held upright
MODEL = build_model(SPECS[1], (1, 28, 28), len(CLASSES), seed=1).eval()


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_an_export_says_what_the_model_says(spec: MLP | ConvNet, tmp_path: Path, rng: torch.Generator) -> None:
    model, other = (build_model(spec, (1, 28, 28), len(CLASSES), seed).eval() for seed in (1, 2))
    images = torch.randint(0, 256, (23, 1, 28, 28), generator=rng, dtype=torch.uint8)
    export(model, tmp_path / "a.onnx", (28, 28), CLASSES, 12.0, "of a test")
    found, others = (compare(either, tmp_path / "a.onnx", images / 255, batch_size=10) for either in (model, other))
    assert (found["images"], found["other_classes"]) == (23, 0)
    assert found["largest_difference"] < 1e-5 < 1e-3 < others["largest_difference"]
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    (probabilities,) = session.run(["probabilities"], {"images": images[:1, 0].numpy()})
    expected = model(images[:1] / 255).softmax(dim=1).detach()
    torch.testing.assert_close(torch.from_numpy(probabilities), expected, rtol=0, atol=1e-6)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(CLASSES)


def test_an_export_is_the_same_bytes_and_tells_nothing_of_this_machine(classifier: Path, tmp_path: Path) -> None:
    export(MODEL, tmp_path / "b.onnx", (28, 28), NAMES, 12.0, "of a test")
    content, made = classifier.read_bytes(), onnx.load(classifier)
    assert content == (tmp_path / "b.onnx").read_bytes()
    assert not any(str(place).encode() in content for place in (ROOT, sys.prefix))
    assert made.ir_version == onnx.helper.find_min_ir_version_for(made.opset_import) == 9  # the oldest for the opset


def test_the_mean_border_is_that_of_the_four_edges() -> None:
    x = torch.zeros(2, 1, 4, 4)
    x[:, :, 1:3, 1:3] = 1
    assert mean_border(x) == 0
    x[0, 0, 0] = x[1, 0, :, -1] = 1  # of the four edges, one and the ends of two others
    assert mean_border(x) == pytest.approx(255 * 6 / 16)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an exported classifier of images with a dark border."""
    path = tmp_path_factory.mktemp("export") / "a.onnx"
    export(MODEL, path, (28, 28), NAMES, 12.0, "of a test")
    return path


Classify = Callable[..., str]


@pytest.fixture
def classify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Classify:
    """Return a function that runs the script, and returns its output or its message when it refuses."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            return f"{end.code} {capsys.readouterr().err}"
        return capsys.readouterr().out

    return run


def test_the_script_tells_usage_and_missing_packages(classify: Classify, monkeypatch: pytest.MonkeyPatch) -> None:
    assert classify("a.onnx").startswith("2 usage: classify.py [-h] [--invert] model picture\n")
    others = {module.partition(".")[0] for module in imports(SCRIPT)} - sys.stdlib_module_names
    assert others == {"PIL", "numpy", "onnxruntime"}
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install numpy onnxruntime pillow" in classify()


@pytest.mark.parametrize(
    ("picture", "options"),
    [
        *((GREY.convert(mode), {}) for mode in ("RGB", "P", "LA", "RGBA")),
        (GREY.convert("P"), {"transparency": b"\xff" * 256}),
        (GREY.transpose(Image.Transpose.ROTATE_90), {"exif": TURNED}),
        (GREY.resize((280, 281)), {}),  # nearly square, as a picture can be that was cropped by hand
    ],
)
def test_the_output_does_not_depend_on_how_the_picture_is_stored(
    picture: Image.Image, options: dict[str, Any], classifier: Path, classify: Classify, tmp_path: Path
) -> None:
    GREY.save(tmp_path / "grey.png")
    picture.save(tmp_path / "other.png", **options)
    other, grey = classify(classifier, tmp_path / "other.png"), classify(classifier, tmp_path / "grey.png")
    assert other == grey or picture.size != GREY.size
    assert re.findall("% +(.*)", other) == re.findall("% +(.*)", grey) != []


TRANSPARENT, EIGHT_BITS = "transparent in places; flatten it on black first", "save it with 8 bits, as grey or RGB"
EXIF = "Corrupt EXIF data. Expecting to read 12 bytes but only got 0."
BOMB, HUGE = "more than 89,478,485 pixels; scale it down", bytes([0, 0, 78, 32] * 2)  # 20,000 × 20,000


def png(place: int = 16, content: bytes = b"") -> bytes:
    """Return the picture as PNG in RGB, with other bytes at a place of its header."""
    GREY.convert("RGB").save(written := BytesIO(), format="PNG")
    changed = bytearray(written.getvalue())
    changed[place : place + len(content)] = content
    changed[29:33] = zlib.crc32(changed[12:29]).to_bytes(4, "big")
    return bytes(changed)


@pytest.mark.parametrize(
    ("write", "refusal"),
    [
        (Image.merge("LA", (GREY, Image.new("L", GREY.size, 254))).save, TRANSPARENT),
        (lambda path: GREY.convert("P").save(path, transparency=0), TRANSPARENT),
        (Image.fromarray(SHOWN.astype(np.uint16)).save, f"pixel type I;16; {EIGHT_BITS}"),
        (lambda path: path.write_bytes(png(24, bytes([16]))), f"pixel type RGB; {EIGHT_BITS}"),
        (lambda path: GREY.save(path, save_all=True, append_images=[GREY.rotate(90)]), "animated; save one frame"),
        (lambda path: path.write_bytes(png(16, HUGE)), BOMB),
        (GREY.resize((1, 1)).save, "1×1 pixels; expected 28×28 at least"),
        (GREY.resize((40, 30)).save, "40×30 pixels; expected the aspect ratio of 28×28: crop or pad it"),
        (Image.new("L", (28, 28)).save, "all pixels are equal; there is nothing to classify"),
        (lambda path: GREY.save(path, format="GIF"), "not a picture in one of the formats PNG, JPEG"),
        (lambda path: GREY.save(path, exif=b"II*\0\x08\0\0\0\x09\0"), f"damaged ({EXIF})"),
        (lambda path: path.write_bytes(png()[:60]), "damaged (image file is truncated)"),
        (lambda path: None, "No such file or directory"),
    ],
)
def test_a_picture_that_would_be_misread_is_refused(
    write: Callable[[Path], object], refusal: str, classifier: Path, classify: Classify, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    write(path)
    assert classify(classifier, path) == f"ERROR: {path}: {refusal} "


def test_inverted_pictures_are_refused_without_the_option(classifier: Path, classify: Classify, tmp_path: Path) -> None:
    light, dark = tmp_path / "light-\udcff.png", tmp_path / "dark-on-white.png"  # a name that is not UTF-8
    GREY.save(light)
    Image.fromarray(255 - SHOWN).save(dark)
    border = "its border has a mean brightness of 255 of 255, that of the training images 12"
    assert f"{dark}: {border}; add --invert if light and dark" in classify(classifier, dark)
    assert f": {border}; leave out --invert if light and dark" in classify("--invert", classifier, light)
    assert classify("--invert", classifier, dark) == classify(classifier, light)


def without_border(path: Path, classifier: Path) -> None:
    """Write a classifier without `border` in its metadata."""
    made = onnx.load(classifier)
    del made.metadata_props[1:]
    onnx.save(made, path)


@pytest.mark.parametrize(
    ("write", "refusal"),
    [
        (lambda path, _: path.write_bytes(b"not ONNX"), "not an ONNX file that onnxruntime "),
        (lambda path, _: None, "No such file or directory"),
        (without_border, "its metadata lacks `classes` or `border`; write the file with `make export`"),
    ],
)
def test_what_is_no_classifier_of_ours_is_refused(
    write: Callable[[Path, Path], object], refusal: str, classifier: Path, classify: Classify, tmp_path: Path
) -> None:
    path = tmp_path / "b.onnx"
    write(path, classifier)
    said = classify(path, tmp_path / "a.png")
    assert said.startswith(f"ERROR: {path}: {refusal}")
    assert said.count("\n") == 0


def test_the_script_prints_the_most_probable_classes_in_any_encoding(classifier: Path, tmp_path: Path) -> None:
    GREY.save(tmp_path / "a.png")
    command = [sys.executable, *map(str, (SCRIPT, classifier, tmp_path / "a.png"))]
    done = subprocess.run(command, env={"PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=True)
    ranked = MODEL(torch.from_numpy(SHOWN)[None, None] / 255)[0].argsort(descending=True)
    assert re.findall("% +(.*)", done.stdout) == [rf"\u8863{CLASSES[place]}" for place in ranked[:3]]


@pytest.mark.slow
def test_the_page_on_export(miniature: Workspace, tmp_path: Path) -> None:
    workspace, others, origin = copy(miniature, tmp_path / "here"), Workspace(tmp_path / "there"), tmp_path / "origin"
    others.folder.mkdir()
    subprocess.run(["git", "clone", "--quiet", "--bare", str(workspace.folder), str(origin)], check=True)
    workspace.run("git", "remote", "add", "origin", str(origin))
    GREY.save(workspace.folder / "garment.png")
    page, address = ROOT / "docs" / "export.md", ("https://example.com/descent.git", str(origin))

    def keep(typed: str) -> None:
        if typed == "make export":
            workspace.commit("Export")
            workspace.run("git", "push", "--quiet", "origin", "main")

    printed = follow(workspace, page, skip=lambda typed: typed.startswith("dvc"), after=keep)
    got = follow(others, page, skip=lambda it: not it.startswith("dvc"), edit=lambda it: it.replace(*address))
    assert (len(printed), len(got)) == (4, 1)
    said = printed["python export/classify.py export/convnet.onnx garment.png"].splitlines()
    assert [line.split("%")[1].strip() in CLASSES for line in said] == [True] * 3
    train, *_ = load_dataset(workspace.folder / "data" / "images.safetensors")
    session = onnxruntime.InferenceSession(others.folder / "convnet.onnx")
    assert session.get_modelmeta().custom_metadata_map["border"] == f"{mean_border(train.x):.1f}"
    assert (others.folder / "convnet.onnx").read_bytes() == (workspace.folder / "export/convnet.onnx").read_bytes()
    card = (workspace.folder / "export" / "convnet.md").read_text(encoding="utf-8")
    assert "drawn garments, not Fashion-MNIST: 1,000 images for training and 500 for the test" in card


def test_every_attacked_classifier_is_an_artifact(params: Params) -> None:
    artifacts = YAML(typ="safe").load((ROOT / "export" / "dvc.yaml").read_text(encoding="utf-8"))["artifacts"]
    expected = {run: f"{run}.onnx" for run in params.attack.runs}
    assert {name: made["path"] for name, made in artifacts.items()} == expected


def measured(name: str) -> dict[str, dict[str, Any]]:
    paths = {"data": "metrics/data", "trained": f"metrics/train/{name}", "attacked": f"metrics/attack/{name}"}
    return {key: load_metrics(ROOT / f"{path}.json") for key, path in (paths | {"exported": f"export/{name}"}).items()}


@pytest.mark.parametrize(
    ("source", "identifier", "credit"),
    [
        ("fashion-mnist", "mit", "Zalando SE, MIT licence"),
        ("mnist", "cc-by-sa-3.0", "CC BY-SA 3.0"),
        ("kmnist", "cc-by-sa-4.0", "CC BY-SA 4.0"),
        ("drawn", "mit", ""),
        ("folder", None, "The licence of the images is not known: add `license`"),
    ],
)
def test_the_licence_follows_the_images(params: Params, source: str, identifier: str | None, credit: str) -> None:
    known = measured("mlp")
    known["data"] |= {"source": source}
    card = model_card("mlp", params.train["mlp"], params.evaluation, params.attack.bench, known)
    assert YAML(typ="safe").load(card.split("---\n")[1]).get("license") == identifier
    assert credit in card
    assert ("licence of the images is not known" in card) == (identifier is None)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_cards_are_those_of_the_committed_metrics(params: Params, name: str) -> None:
    known = measured(name)
    assert known["exported"]["other_classes"] == 0
    assert known["exported"]["largest_difference"] < 1e-3
    card = (ROOT / "export" / f"{name}.md").read_text(encoding="utf-8")
    assert card == model_card(name, params.train[name], params.evaluation, params.attack.bench, known)
