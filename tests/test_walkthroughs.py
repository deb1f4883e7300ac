"""How-to pages do what they say, followed to the letter in a clone."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from descent.files import sha256
from descent.image_sets import FILES, PUBLISHED
from tests.imports import ROOT
from tests.walkthrough import follow
from tests.workspace import Workspace, cloned

DOCS = ROOT / "docs"


@pytest.fixture
def clone(miniature: Workspace, tmp_path: Path) -> Workspace:
    """Return a clone of the miniature that has its cache."""
    workspace = cloned(miniature.folder, tmp_path / "clone")
    shutil.copytree(miniature.folder / ".dvc" / "cache", workspace.folder / ".dvc" / "cache")
    workspace.run("dvc", "checkout")
    return workspace


def draw_fruit(folder: Path) -> None:
    """Draw discs and bars, in grey and in colours, 24 pixels wide and 20 high."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:20, :24]
    shapes = {"1": (y - 10) ** 2 + (x - 12) ** 2 < 30, "NA": abs(y - x) < 3, "pear": (y > 12) & (x > 4)}
    for part, count in (("train", 40), ("test", 10)):
        for name, shape in shapes.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = (rng.random((20, 24)) * 60 + 150 * shape).astype(np.uint8)
                picture = Image.fromarray(pixels).convert("RGB" if number % 2 else "L")
                picture.save(folder / part / name / f"{number}.png")


def test_the_page_on_data_with_a_folder_of_pictures(clone: Workspace) -> None:
    draw_fruit(clone.folder / "images")

    typed = follow(clone, DOCS / "data.md", skip=lambda command: "kmnist" in command)

    assert len(typed) == 3
    data = json.loads((clone.folder / "metrics" / "data.json").read_text())
    assert (data["source"], data["train_images"], data["height"], data["width"]) == ("folder", 120, 20, 24)
    assert data["class_names"] == ["1", "NA", "pear"]  # neither a number nor nothing, to whoever reads a table
    accuracy = json.loads((clone.folder / "metrics" / "train" / "mlp.json").read_text())["final_test_accuracy"]
    assert accuracy > 0.8
    page = (clone.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "images of a folder: not Fashion-MNIST, of which the write-up speaks." in page
    assert '<th scope="row">NA</th>' in page
    assert not (clone.folder / "plots" / "figures" / "bag.svg").exists()
    assert clone.run("git", "status", "--porcelain", "images").splitlines() == [
        "A  images/.gitignore",
        "A  images/test.dvc",
        "A  images/train.dvc",
    ]
    Image.new("L", (24, 20)).save(clone.folder / "images" / "train" / "pear" / "new.png")
    assert "download" in clone.ran("prepare")  # what is in the folder is what is learned


def test_the_page_on_data_with_a_published_set(clone: Workspace, tmp_path: Path) -> None:
    """The four files of KMNIST are not here: others stand in for them, whose hashes the clone takes for published."""
    rng = np.random.default_rng(0)
    mirror, module = tmp_path / "mirror", clone.folder / "src" / "descent" / "image_sets.py"
    mirror.mkdir()
    text = module.read_text(encoding="utf-8")
    for part, name in FILES.items():
        count = 300 if part.startswith("train") else 100
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = (rng.random((count, 28, 28)) * 60).astype(np.uint8) + 15 * labels[:, None, None]
        array = pixels if part.endswith("images") else labels
        header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        (mirror / name).write_bytes(gzip.compress(header + array.tobytes(), mtime=0))
        text = text.replace(PUBLISHED["kmnist"].sha256[part], sha256(mirror / name))
    module.write_text(text, encoding="utf-8")
    clone.environment["DESCENT_MIRROR"] = str(mirror)

    typed = follow(clone, DOCS / "data.md", skip=lambda command: "kmnist" not in command)

    assert len(typed) == 1
    data = json.loads((clone.folder / "metrics" / "data.json").read_text())
    assert (data["source"], data["train_images"]) == ("kmnist", 300)
    page = (clone.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "Kuzushiji-MNIST: not Fashion-MNIST, of which the write-up speaks." in page
    assert "CC BY-SA 4.0), each file verified by its published hash" in page
    del clone.environment["DESCENT_MIRROR"]
    clone.set(data__mirrors={})
    said = clone.run("dvc", "repro", "--force", "download", status=255)
    assert "a stand-in there is for Fashion-MNIST only" in said


def test_the_page_on_models(clone: Workspace) -> None:
    assert follow(clone, DOCS / "models.md") == [
        "dvc repro train@normalised",
        "dvc metrics show metrics/train/normalised.json",
    ]
    curve = (clone.folder / "plots" / "curves" / "normalised.csv").read_text(encoding="utf-8")
    assert len(curve.splitlines()) == 11
    clone.run("dvc", "repro")
    assert "normalised" in (clone.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert (clone.folder / "plots" / "figures" / "normalised-loss.svg").exists()
    assert set(clone.run("git", "diff", "--name-only", "metrics", "plots/curves").splitlines()) == set()
