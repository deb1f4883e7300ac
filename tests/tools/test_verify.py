"""All that is committed, run again and compared: in full on the miniature, in its verdicts on prepared folders."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pytest
from ruamel.yaml import YAML

from descent.io.errors import DataError
from descent.io.files import sha256
from descent.sources.published import FASHION_MNIST, FILES, PUBLISHED
from tests.workspace import Workspace, cloned
from tools.verify import Comparison, clone_environment, cloned_without_results, committed, compared, read

DATA = {"source": "fashion-mnist", "train_images": 60000, "sha256_train_images": "3aed", "sha256_diabetes": "e20a"}
TRAINED = {"final_test_loss": 0.649974, "final_test_accuracy": 0.8824, "overfitting_epoch": 15, "sha256_model": "aa"}
CURVE = "epoch,test_loss\n1,0.4\n2,0.5\n"
CACHED = {"models/mlp.safetensors": "0a", "data/raw": "0b.dir"}


def prepared(
    folder: Path,
    data: Mapping[str, Any] = DATA,
    trained: Mapping[str, Any] = TRAINED,
    curve: str = CURVE,
    cached: Mapping[str, str] = CACHED,
) -> Path:
    """Write what a run leaves into a folder, and return the folder."""
    outs = {**cached, "metrics/train/mlp.json": "0c", "plots/figures": "0d.dir"}
    files = {
        "metrics/data.json": json.dumps(data),
        "metrics/train/mlp.json": json.dumps(trained),
        "plots/curves/mlp.csv": curve,
        "plots/figures/mlp.svg": "<svg/>",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    stages = {"all": {"outs": [{"path": path, "md5": digest} for path, digest in outs.items()]}, "none": {}}
    with (folder / "dvc.lock").open("w", encoding="utf-8") as file:
        YAML().dump({"stages": stages}, file)
    return folder


def changed_run(tmp_path: Path, **changed: Any) -> Comparison:  # noqa: ANN401 - as `prepared` takes them
    """Compare a run with one in which something is changed."""
    return compared(read(prepared(tmp_path / "old")), read(prepared(tmp_path / "new", **changed)))


def test_without_a_difference_every_byte_is_the_committed_one(tmp_path: Path) -> None:
    assert changed_run(tmp_path) == Comparison(
        ["6 outputs identical", "verified: every byte is the committed one"], verified=True
    )


def test_a_metric_that_is_too_far_is_named_with_both_values_and_nothing_is_verified(tmp_path: Path) -> None:
    said = changed_run(tmp_path, trained=TRAINED | {"final_test_loss": 9.9, "final_test_accuracy": 0.8825})
    assert not said.verified
    assert said.lines[0] == "5 outputs identical"
    assert said.lines[1].startswith(
        "metrics/train/mlp.json: final_test_loss: 0.649974 committed, 9.9 now, +9.25003 (TOO LARGE: "
    )
    assert said.lines[2].startswith(
        "metrics/train/mlp.json: final_test_accuracy: 0.8824 committed, 0.8825 now, +0.0001 ("
    )
    assert "TOO LARGE" not in said.lines[2]
    assert said.lines[3:] == ["NOT VERIFIED: 1 of these differences is too large"]


def test_within_tolerance_it_is_verified_and_says_that_bytes_differ(tmp_path: Path) -> None:
    said = changed_run(
        tmp_path,
        trained=TRAINED | {"final_test_loss": 0.65, "sha256_model": "bb"},
        curve="epoch,test_loss\n1,0.4\n2,0.49\n",
        cached=CACHED | {"models/mlp.safetensors": "1a"},
    )
    assert said.verified
    assert said.lines[0] == "3 outputs identical"
    assert "metrics/train/mlp.json: sha256_model: aa committed, bb now (hash)" in said.lines
    assert "models/mlp.safetensors: differs" in said.lines
    assert (
        "plots/curves/mlp.csv: differs, at most by this much of a column's largest value: test_loss 2.00%" in said.lines
    )
    assert said.lines[-1].startswith("verified within tolerance: 3 outputs have other bytes, ")


def test_an_epoch_in_the_place_of_none_is_too_far(tmp_path: Path) -> None:
    said = changed_run(tmp_path, trained=TRAINED | {"overfitting_epoch": None})
    assert not said.verified
    assert "overfitting_epoch: 15 committed, None now (TOO LARGE: " in said.lines[1]


def test_files_and_outputs_that_are_missing_or_surplus_are_too_much(tmp_path: Path) -> None:
    old, new = prepared(tmp_path / "old"), prepared(tmp_path / "new", cached={"models/convnet.safetensors": "2a"})
    (new / "plots" / "figures" / "mlp.svg").rename(new / "plots" / "figures" / "convnet.svg")
    said = compared(read(old), read(new))
    assert not said.verified
    assert said.lines == [
        "3 outputs identical",
        "data/raw: MISSING: it is committed, and nothing makes it",
        "models/convnet.safetensors: SURPLUS: it was made, and is not committed",
        "models/mlp.safetensors: MISSING: it is committed, and nothing makes it",
        "plots/figures/convnet.svg: SURPLUS: it was made, and is not committed",
        "plots/figures/mlp.svg: MISSING: it is committed, and nothing makes it",
        "NOT VERIFIED: 5 of these differences are too large",
    ]


def test_a_figure_that_differs_is_named_and_no_more(tmp_path: Path) -> None:
    old, new = prepared(tmp_path / "old"), prepared(tmp_path / "new")
    (new / "plots" / "figures" / "mlp.svg").write_text("<svg></svg>", encoding="utf-8")
    assert compared(read(old), read(new)).lines[:2] == ["5 outputs identical", "plots/figures/mlp.svg: differs"]


@pytest.mark.parametrize(
    ("curve", "line", "verified"),
    [
        ("epoch,test_loss\n1,0.4\n", "2 rows committed, 1 now", True),
        ("epoch,loss\n1,0.4\n2,0.5\n", "OTHER COLUMNS: epoch, test_loss committed, epoch, loss now", False),
        ("epoch,test_loss\n1,0.40\n2,0.5\n", "differs", True),
    ],
)
def test_a_table_of_another_shape_is_told(tmp_path: Path, curve: str, line: str, verified: bool) -> None:
    said = changed_run(tmp_path, curve=curve)
    assert said.lines[1] == f"plots/curves/mlp.csv: {line}"
    assert said.verified == verified


@pytest.mark.parametrize(
    "changed",
    [{"source": "drawn"}, {"train_images": 1000}, {"sha256_train_images": "4bfe"}],
)
def test_numbers_from_other_images_are_not_changed_run(tmp_path: Path, changed: dict[str, Any]) -> None:
    ((metric, value),) = changed.items()
    said = changed_run(tmp_path, data=DATA | changed, trained=TRAINED | {"final_test_loss": 9.9})
    assert not said.verified
    assert said.lines[0].startswith(f"metrics/data.json: {metric}: {DATA[metric]} committed, {value} now")
    assert said.lines[1].startswith("NOT VERIFIED: the images are not the committed ones, and numbers from other")
    assert len(said.lines) == 2


def test_tensors_in_other_bytes_from_the_same_images_are_no_other_data(tmp_path: Path) -> None:
    said = changed_run(tmp_path, data=DATA | {"sha256_diabetes": "ffff"})
    assert said.verified
    assert said.lines[1] == "metrics/data.json: sha256_diabetes: e20a committed, ffff now (hash)"


def test_without_history_results_or_git_there_is_nothing_to_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(folder: Path) -> None:
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for folder in ("bare", "empty", "empty/inner"):
        (tmp_path / folder).mkdir()
    init(tmp_path / "empty")
    for folder, words in (
        ("bare", "nothing to verify: git rev-parse: fatal: not a git repository"),
        ("empty", "nothing to verify: nothing is committed here$"),
        ("empty/inner", "nothing to verify: no git history of its own is here, only that of .*/empty$"),
    ):
        monkeypatch.chdir(tmp_path / folder)
        with pytest.raises(DataError, match=f"^{words}"):
            committed()

    workspace = Workspace(tmp_path / "empty")
    (workspace.folder / "README.md").touch()
    workspace.commit("No results")
    monkeypatch.chdir(workspace.folder)
    with pytest.raises(DataError, match=r"^nothing to verify: no results are committed, metrics/data.json or dvc.lock"):
        cloned_without_results(committed(), tmp_path / "clone")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="^nothing to verify: git is not installed$"):
        committed()


def test_the_real_images_of_the_work_tree_are_the_mirror_and_drawn_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DESCENT_MIRROR", raising=False)
    assert "DESCENT_MIRROR" not in clone_environment(tmp_path / "clone")  # there is no data/raw
    raw = tmp_path / "data" / "raw"
    raw.mkdir(parents=True)
    for name in FILES.values():
        (raw / name).write_text(name, encoding="utf-8")
    assert "DESCENT_MIRROR" not in clone_environment(tmp_path / "clone")
    digests = {part: sha256(raw / name) for part, name in FILES.items()}
    monkeypatch.setitem(PUBLISHED, FASHION_MNIST, PUBLISHED[FASHION_MNIST]._replace(sha256=digests))
    assert clone_environment(tmp_path / "clone")["DESCENT_MIRROR"] == str(raw)

    # The user's own comes first: an address as it is, a folder wherever we run from.
    monkeypatch.setenv("DESCENT_MIRROR", "https://mirror.example/fashion")
    assert clone_environment(tmp_path / "clone")["DESCENT_MIRROR"] == "https://mirror.example/fashion"
    monkeypatch.setenv("DESCENT_MIRROR", "data")
    assert clone_environment(tmp_path / "clone")["DESCENT_MIRROR"] == str(tmp_path / "data")


def test_the_clone_sees_nothing_of_a_hook_or_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "DVC_STAGE"):
        monkeypatch.setenv(name, "elsewhere")
    environment = clone_environment(tmp_path / "clone")
    assert not environment.keys() & {"GIT_DIR", "GIT_INDEX_FILE", "DVC_STAGE"}


@pytest.fixture
def clone(miniature: Workspace, tmp_path: Path) -> Workspace:
    """Return a clone of the miniature whose temporary folders, and whose user's DVC cache, are known."""
    clone = cloned(miniature.folder, tmp_path / "descent")
    for folder in ("temporary", "dvc"):
        (tmp_path / folder).mkdir()
    # A cache that has all, which must not be taken from.
    cache = miniature.folder / ".dvc" / "cache"
    (tmp_path / "dvc" / "config").write_text(f"[cache]\n    dir = {cache}\n", encoding="utf-8")
    clone.environment |= {"TMPDIR": str(tmp_path / "temporary"), "DVC_GLOBAL_CONFIG_DIR": str(tmp_path / "dvc")}
    return clone


@pytest.mark.slow
def test_a_clone_gives_every_byte_but_those_that_no_run_gives(clone: Workspace, tmp_path: Path) -> None:
    path = clone.folder / "metrics" / "train" / "mlp.json"
    trained = json.loads(path.read_text(encoding="utf-8"))
    true = trained["final_test_accuracy"]
    path.write_text(json.dumps(trained | {"final_test_accuracy": true + 0.4}), encoding="utf-8")
    (clone.folder / "plots" / "curves" / "old.csv").write_text("epoch,loss\n", encoding="utf-8")
    clone.commit("Better numbers")
    code = clone.folder / "src" / "descent" / "training" / "diagnostics.py"
    code.write_text("raise RuntimeError('not committed')\n", encoding="utf-8")
    before = {**clone.outputs(), "lock": (clone.folder / "dvc.lock").read_bytes()}

    said = clone.run("python", "-m", "tools.verify", status=1)

    assert "the changes in the work tree that are not committed are no part of it" in said
    assert "Going on with DRAWN GARMENTS" in said  # the stages did run
    assert "train@convnet | done" in said
    *_, count, metric, curve, verdict = said.splitlines()
    assert count == f"{len(read(clone.folder).cached) + len(read(clone.folder).files) - 2} outputs identical"
    assert metric.startswith(
        f"metrics/train/mlp.json: final_test_accuracy: {true + 0.4} committed, {true} now, -0.4 (TOO LARGE: "
    )
    assert curve == "plots/curves/old.csv: MISSING: it is committed, and nothing makes it"
    assert verdict == "NOT VERIFIED: 2 of these differences are too large"
    assert {**clone.outputs(), "lock": (clone.folder / "dvc.lock").read_bytes()} == before
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.slow
def test_other_images_are_noticed_before_anything_is_trained_on_them(clone: Workspace) -> None:
    path = clone.folder / "metrics" / "data.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | {"source": "fashion-mnist"}), encoding="utf-8")
    clone.commit("The real ones, says who")

    said = clone.run("python", "-m", "tools.verify", status=1)

    assert "metrics/data.json: source: fashion-mnist committed, drawn now" in said
    assert "NOT VERIFIED: the images are not the committed ones" in said.splitlines()[-1]
    assert "train@" not in said


@pytest.mark.slow
def test_code_that_does_not_run_is_not_verified(clone: Workspace) -> None:
    with (clone.folder / "src" / "descent" / "sources" / "idx.py").open("a", encoding="utf-8") as file:
        file.write("raise SystemExit('broken')\n")
    clone.commit("Broken")
    said = clone.run("python", "-m", "tools.verify", status=1)
    assert said.splitlines()[-1] == (
        "ERROR: what is committed does not run: dvc repro --quiet prepare ended with status 255, see above"
    )


@pytest.mark.slow
def test_an_interruption_leaves_neither_a_folder_nor_a_process(clone: Workspace, tmp_path: Path) -> None:
    process = clone.start(sys.executable, "-m", "tools.verify")
    try:
        deadline = monotonic() + 100
        while not list((tmp_path / "temporary").glob("descent-verify-*/descent/.ckpt/train@mlp.lock")):
            assert monotonic() < deadline
            sleep(0.02)
        running = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 128 + signal.SIGTERM
    assert said.rstrip().endswith("Interrupted by SIGTERM. No file was left half-written.")
    assert "Traceback" not in said
    assert not list((tmp_path / "temporary").iterdir())
    assert not psutil.wait_procs(running, timeout=5)[1]
