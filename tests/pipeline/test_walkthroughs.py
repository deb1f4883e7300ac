"""How-to pages do what they say, followed to the letter in a clone."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from PIL import Image

from descent.io.files import sha256
from descent.sources.published import FILES, PUBLISHED
from tests.imports import ROOT
from tests.pipeline.test_pipeline import STAGES
from tests.walkthrough import blocks, commands, follow
from tests.workspace import Workspace, copy

DOCS = ROOT / "docs"


@pytest.fixture
def clone(miniature: Workspace, tmp_path: Path) -> Workspace:
    """Return a clone of the miniature that has its cache."""
    return copy(miniature, tmp_path / "clone")


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


@pytest.mark.slow
def test_the_page_on_data_with_a_folder_of_pictures(clone: Workspace) -> None:
    draw_fruit(clone.folder / "images")
    clone.set(attack__runs=["mlp"])

    typed = follow(clone, DOCS / "data.md", skip=lambda command: "kmnist" in command)

    assert len(typed) == 3
    data = json.loads((clone.folder / "metrics" / "data.json").read_text())
    assert (data["source"], data["train_images"], data["height"], data["width"]) == ("folder", 120, 20, 24)
    assert data["class_names"] == ["1", "NA", "pear"]  # neither a number nor nothing, to whoever reads a table
    accuracy = json.loads((clone.folder / "metrics" / "train" / "mlp.json").read_text())["final_test_accuracy"]
    assert accuracy > 0.8
    page = (clone.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "Images of a folder, not Fashion-MNIST: the write-up" in page
    assert '<th scope="row"><bdi>NA</bdi></th>' in page
    assert not (clone.folder / "plots" / "figures" / "bag.svg").exists()
    assert clone.run("git", "status", "--porcelain", "images") == ""
    assert clone.run("git", "ls-files", "images").split() == ["images/README.md", "images/test.dvc", "images/train.dvc"]
    Image.new("L", (24, 20)).save(clone.folder / "images" / "train" / "pear" / "new.png")
    assert "download" in clone.ran("prepare")  # what is in the folder is what is learned


@pytest.mark.slow
def test_the_page_on_data_with_a_published_set(clone: Workspace, tmp_path: Path) -> None:
    """The four files of KMNIST are not here: others stand in for them, whose hashes the clone takes for published."""
    rng = np.random.default_rng(0)
    mirror, module = tmp_path / "mirror", clone.folder / "src" / "descent" / "sources" / "published.py"
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
    clone.set(attack__runs=["mlp"])

    typed = follow(clone, DOCS / "data.md", skip=lambda command: "kmnist" not in command)

    assert len(typed) == 1
    data = json.loads((clone.folder / "metrics" / "data.json").read_text())
    assert (data["source"], data["train_images"]) == ("kmnist", 300)
    page = (clone.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "Kuzushiji-MNIST, not Fashion-MNIST: the write-up" in page
    assert "CC BY-SA 4.0), each file verified by its published hash" in page
    del clone.environment["DESCENT_MIRROR"]
    shutil.rmtree(clone.folder / "data" / "raw")
    clone.set(data__mirrors={})
    said = clone.run("dvc", "repro", "--force", "download", status=255)
    assert "the synthetic fallback exists for Fashion-MNIST only" in said


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
        deadline = monotonic() + 240
        while typed.startswith("dvc queue start"):
            status = clone.run("dvc", "queue", "status")
            assert monotonic() < deadline, status
            if "0 active, 0 idle" in status:
                if "Queued" not in status:
                    return
                clone.run("dvc", "queue", "start", "--jobs", "2")  # as the page says
            sleep(1)

    numbers = ("make experiments", "dvc queue status", "dvc queue logs slip")
    printed = follow(clone, DOCS / "experiments.md", loose=lambda typed: typed in numbers, after=wait)

    states = dict(re.findall(r"^\w{7}  ([\w-]+) .* (\w+)$", printed["dvc queue status"], re.MULTILINE))
    assert states == {"decay-3e-4": "Success", "decay-3e-3": "Success", "slip": "Failed"}
    (everything,) = (text for typed, text in printed.items() if typed.startswith("dvc exp show"))
    assert re.search(r" \[slip\] +Failed .* -1", everything)
    shown = printed["make experiments"]
    page = next(block.text for block in blocks(DOCS / "experiments.md") if block.text.startswith("$ make experiments"))
    rows = (
        r"Experiment +\| State ",
        r"workspace ",
        r"main ",
        r".*\[decay-3e-4\].* 0\.0003 ",
        r".*\[decay-3e-3\].* 0\.003 ",
    )
    for row in (*rows, r".*\[slip\] +\| Failed .* -1"):
        assert re.search(rf"^\| {row}", shown, re.MULTILINE), row
        assert re.search(rf"^\| {row}", page, re.MULTILINE), row
    columns = {column.strip() for column in shown.splitlines()[0].split("|")}
    assert {"train.mlp-weight-decay.weight_decay", "metrics/train/mlp-weight-decay.json:final_test_loss"} <= columns
    assert not [column for column in columns if "sha256" in column or column.endswith((".py", "params.yaml"))]
    failed = re.compile(r"^ERROR: params\.yaml:\d+:5: train\.mlp-weight-decay\.weight_decay: ", re.MULTILINE)
    assert failed.search(printed["dvc queue logs slip"])
    assert failed.search(page)
    assert (
        clone.run("git", "diff", "--unified=0", "main~1", "params.yaml").splitlines()[-1] == "+    weight_decay: 0.0003"
    )
    stages = [name for name in STAGES if name != "publish"]
    assert clone.run("dvc", "status", *stages).strip() == "Data and pipelines are up to date."
    assert clone.run("dvc", "exp", "list", "--all-commits", "--name-only").split() == ["decay-3e-4"]


@pytest.mark.slow
def test_a_curve_can_be_watched_while_its_run_trains(clone: Workspace) -> None:
    clone.set(train__mlp__epochs=2000)
    curve = clone.folder / "plots" / "curves" / "mlp.csv"
    log = (clone.folder / "log.part").open("w")
    running = subprocess.Popen(["dvc", "repro", "train@mlp"], cwd=clone.folder, env=clone.environment, stdout=log)
    try:
        deadline = monotonic() + 100
        while not curve.exists() or len(curve.read_text().splitlines()) < 5:
            assert monotonic() < deadline
            sleep(0.05)
        shown = json.loads(clone.run("dvc", "plots", "show", "plots/curves/mlp.csv", "--json"))
        assert running.poll() is None
    finally:
        running.terminate()
        running.wait()
        log.close()
    assert "test_loss" in json.dumps(shown)


@pytest.mark.slow
def test_the_readme(clone: Workspace, tmp_path: Path) -> None:
    """What takes the real images, an hour or the package index is tried elsewhere."""
    clone.set(train__mlp_weight_decay__weight_decay=0.0001)
    (tmp_path / "fashion-mnist").mkdir()
    clone.environment["HOME"] = str(tmp_path)
    elsewhere = ("make repro", "make test", "make studies", "dvc repro studies", "make verify", "make audit", "DESCENT")
    printed = follow(
        clone,
        ROOT / "README.md",
        skip=lambda typed: typed.startswith(elsewhere),
        loose=lambda typed: typed.startswith(("dvc metrics diff", "dvc plots diff", "make report", "make experiments")),
    )
    assert len(printed) == 8
    assert "mlp-weight-decay" in printed["dvc metrics diff"]
    for typed, page in (
        ("dvc plots diff", "dvc_plots/index.html"),
        ("make report REV=decay-1e-2", "report/compare.html"),
    ):
        assert printed[typed].strip().splitlines()[-1] == (clone.folder / page).as_uri()
        assert (clone.folder / page).exists()


# Which test types what no page is followed for, for want of the package index, a network or an hour.
CLUSTER = "tests/studies/test_cluster.py"
TYPED_BY = {
    "make repro": "tests/tools/test_repro.py",
    "make test": ".ci/run",
    "make test-all": "tests/conftest.py",
    "make studies": "tests/pipeline/test_study_pipeline.py",
    "dvc repro studies/dvc.yaml:study@weight-decay": "tests/pipeline/test_study_pipeline.py",
    "DESCENT_MIRROR=~/fashion-mnist make repro": "tests/faults/test_mirrors.py",
    "make verify": "tests/tools/test_verify.py",
    "make audit": "tests/tools/test_audit.py",
    "DESCENT_DEVICE=cuda make studies": "tests/studies/test_stacked.py",
    "openssl req -x509 -newkey rsa:4096 -nodes -days 365 -subj /CN=descent -keyout tls.key -out tls.pem": CLUSTER,
    'export DASK="--preload stages --tls-ca-file tls.pem --tls-cert tls.pem --tls-key tls.key"': CLUSTER,
    "export DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=60s": CLUSTER,
    ".venv/bin/python -m dask scheduler --protocol tls --host 10.7.0.1 --dashboard-address 127.0.0.1:0 $DASK": CLUSTER,
    "export WORKER='--nthreads 1 --memory-limit 0 --dashboard-address 127.0.0.1:0'": CLUSTER,
    ".venv/bin/python -m dask worker tls://10.7.0.1:8786 --nworkers 16 $WORKER $DASK": CLUSTER,
    "export DASK_DISTRIBUTED__COMM__TLS__CA_FILE=tls.pem": CLUSTER,
    "export DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT=tls.pem": CLUSTER,
    "export DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY=tls.key": CLUSTER,
    "DESCENT_CLUSTER=tls://10.7.0.1:8786 make studies": CLUSTER,
}
# What nobody types here, and why.
NOBODY = {
    "pipx run pre-commit install": "changes the hooks of whoever runs the tests",
}


def test_every_command_of_every_page_is_typed_by_some_test() -> None:
    followed = {"README.md", "data.md", "models.md", "experiments.md", "export.md", "remote.md"}
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")):
        told = [command.typed for block in blocks(page) if block.language == "console" for command in commands(block)]
        if page.name not in followed:
            assert {typed for typed in told if not typed.startswith("source ")} <= {*TYPED_BY, *NOBODY}, page.name
    assert all((ROOT / path).exists() for path in TYPED_BY.values())
