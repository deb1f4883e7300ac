"""The commands of each page print what the page shows."""

import json
import re
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from PIL import Image

from tests.imports import ROOT
from tests.pipeline.test_download import take_for_published, write_mirror
from tests.pipeline.test_pipeline import STAGES
from tests.walkthrough import blocks, commands, follow
from tests.workspace import Workspace, copy

DOCS = ROOT / "docs"


@pytest.fixture
def clone(miniature: Workspace, tmp_path: Path) -> Workspace:
    """Return a clone of the miniature that has its cache."""
    return copy(miniature, tmp_path / "clone")


@pytest.mark.slow
def test_the_page_on_data_with_a_folder_of_pictures(clone: Workspace) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:20, :24]
    shapes = {"1": (y - 10) ** 2 + (x - 12) ** 2 < 30, "NA": abs(y - x) < 3, "pear": (y > 12) & (x > 4)}
    for part, count, name in ((part, count, name) for part, count in (("train", 40), ("test", 10)) for name in shapes):
        (folder := clone.folder / "images" / part / name).mkdir(parents=True)
        for number in range(count):
            pixels = (rng.random((20, 24)) * 60 + 150 * shapes[name]).astype(np.uint8)
            Image.fromarray(pixels).convert("RGB" if number % 2 else "L").save(folder / f"{number}.png")
    clone.set(attack__runs=["mlp"])

    typed = follow(clone, DOCS / "data.md", skip=lambda command: "kmnist" in command)

    assert len(typed) == 3
    data = json.loads((clone.folder / "metrics" / "data.json").read_text())
    assert (data["source"], data["train_images"], data["height"], data["width"]) == ("folder", 120, 20, 24)
    assert data["class_names"] == ["1", "NA", "pear"]  # neither a number nor nothing, for a reader of tables
    assert json.loads((clone.folder / "metrics" / "train" / "mlp.json").read_text())["final_test_accuracy"] > 0.8
    page = (clone.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "Images of a folder, not Fashion-MNIST: the write-up" in page
    assert '<th scope="row"><bdi>NA</bdi></th>' in page
    assert not (clone.folder / "plots" / "figures" / "bag.svg").exists()
    assert clone.run("git", "status", "--porcelain", "images") == ""
    assert clone.run("git", "ls-files", "images").split() == ["images/README.md", "images/test.dvc", "images/train.dvc"]
    Image.new("L", (24, 20)).save(clone.folder / "images" / "train" / "pear" / "new.png")
    assert "download" in clone.ran("prepare")  # a new picture is noticed


@pytest.mark.slow
def test_the_page_on_data_with_a_published_set(clone: Workspace, tmp_path: Path) -> None:
    """Four files of garments take the place of KMNIST, with their hashes as the published ones."""
    mirror = write_mirror(tmp_path / "mirror", train=300, test=100)
    take_for_published(clone, mirror, "kmnist")
    clone.environment["DESCENT_MIRROR"] = str(mirror)
    clone.set(attack__runs=["mlp"])

    assert len(follow(clone, DOCS / "data.md", skip=lambda command: "kmnist" not in command)) == 1

    data = json.loads((clone.folder / "metrics" / "data.json").read_text())
    assert (data["source"], data["train_images"]) == ("kmnist", 300)


@pytest.mark.slow
def test_the_page_on_models(clone: Workspace) -> None:
    assert list(follow(clone, DOCS / "models.md")) == [
        "dvc repro train@normalised",
        "dvc metrics show metrics/train/normalised.json",
    ]
    curve = (clone.folder / "plots" / "curves" / "normalised.csv").read_text(encoding="utf-8")
    assert len(curve.splitlines()) == 11
    for stage in ("figures", "report"):
        clone.run("dvc", "repro", "--single-item", stage)
    assert "normalised" in (clone.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert (clone.folder / "plots" / "figures" / "normalised-loss.svg").exists()


@pytest.mark.slow
def test_the_page_on_experiments(clone: Workspace) -> None:
    def wait(typed: str) -> None:
        deadline, status = monotonic() + 240, "Queued" if typed.startswith("dvc queue start") else "0 active"
        while "Queued" in status or "0 active" not in status:
            assert monotonic() < deadline, status
            if "0 active, 0 idle" in (status := clone.run("dvc", "queue", "status")) and "Queued" in status:
                clone.run("dvc", "queue", "start", "--jobs", "2")  # as the page says
            sleep(1)

    numbers = ("make experiments", "dvc queue status", "dvc queue logs slip", "dvc plots diff")
    page = DOCS / "experiments.md"
    printed = follow(clone, page, loose=lambda typed: typed.startswith(numbers), after=wait)

    states = dict(re.findall(r"^\w{7}  ([\w-]+) .* (\w+)$", printed["dvc queue status"], re.MULTILINE))
    assert states == {"decay-3e-4": "Success", "decay-3e-3": "Success", "slip": "Failed"}
    (everything,) = (text for typed, text in printed.items() if typed.startswith("dvc exp show"))
    assert re.search(r" \[slip\] +Failed .* -1", everything)
    decays = r"^\| .*decay-3e-4\] .* 0\.0003 ", r"^\| .*decay-3e-3\] .* 0\.003 ", r"^\| .*\[slip\] +\| Failed .* -1"
    failed = r"^ERROR: params\.yaml:\d+:5: train\.mlp-weight-decay\.weight_decay: "
    for shown in (page.read_text(encoding="utf-8"), printed["make experiments"] + printed["dvc queue logs slip"]):
        assert [line for line in (*decays, failed) if not re.search(line, shown, re.MULTILINE)] == []
    columns = {column.strip() for column in printed["make experiments"].splitlines()[0].split("|")}
    assert {"train.mlp-weight-decay.weight_decay", "metrics/train/mlp-weight-decay.json:final_test_loss"} <= columns
    assert not [column for column in columns if column.endswith((".py", "params.yaml"))]
    assert clone.run("dvc", "status", *STAGES).strip() == "Data and pipelines are up to date."
    assert clone.run("dvc", "exp", "list", "--all-commits", "--name-only").split() == ["decay-3e-4"]


# Commands that need real images, a network, an hour or another machine, and those that change the user's machine.
ELSEWHERE = (
    *("make repro", "make test", "make studies", "make verify", "make audit", "dvc repro studies/dvc.yaml", "source "),
    *("DESCENT_", "export ", ".venv/bin/python -m dask", "openssl ", "pipx run pre-commit install"),
)


@pytest.mark.slow
def test_the_readme(clone: Workspace, tmp_path: Path) -> None:
    clone.set(train__mlp_weight_decay__weight_decay=0.0001)
    clone.environment["HOME"] = str(tmp_path)
    loose = ("dvc metrics diff", "dvc plots diff", "make experiments")
    page, skip = ROOT / "README.md", lambda typed: typed.startswith(ELSEWHERE)
    printed = follow(clone, page, skip, loose=lambda typed: typed.startswith(loose))
    assert len(printed) == 8
    assert "mlp-weight-decay" in printed["dvc metrics diff"]
    for typed in ("dvc plots diff", "dvc plots diff decay-1e-2"):
        assert printed[typed].strip().splitlines()[-1] == (clone.folder / "dvc_plots" / "index.html").as_uri()


def test_every_command_of_every_page_is_run_or_listed_above() -> None:
    followed = {"README.md", "data.md", "models.md", "experiments.md", "export.md", "remote.md"}
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")):
        typed = [each for language, text in blocks(page) if language == "console" for each, _ in commands(text)]
        assert page.name in followed or all(each.startswith(ELSEWHERE) for each in typed), page.name
