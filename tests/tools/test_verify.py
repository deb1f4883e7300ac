"""All that is committed, run again and compared: in full on the miniature, in its verdicts on prepared outputs."""

import json
import signal
import sys
from math import inf
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pytest

from descent.io.errors import DataError
from tests.workspace import Workspace, cloned
from tools.verify import TOO_LARGE, compared, differences, main, read

# Beside one of these a metric is of a classifier.
CLASSIFIED = {"clean_accuracy": 0.88}


def within(metric: str, old: object, new: object, **beside: object) -> bool:
    """Compare one metric, in a file with others, which must differ."""
    (line,) = differences({**beside, metric: old}, {**beside, metric: new})
    assert line.startswith(f"{metric}: {old} committed, {new} now")
    return not line.endswith(TOO_LARGE)


def test_what_is_equal_is_no_difference() -> None:
    metrics = {"epochs": 3, "device": "cpu", "overfitting_epoch": None, "diverged": False, "test_r2": 0.48}
    assert not list(differences(metrics, dict(metrics)))
    assert not list(differences({"share": 0.0}, {"share": 0}))  # JSON has one type of number
    assert within("device", "cpu", "cuda")
    assert within("torch", "2.13.0", "2.14.0")


@pytest.mark.parametrize(
    ("metric", "old", "limit", "beside"),
    [
        ("final_test_accuracy", 0.88, 0.02, CLASSIFIED),
        ("clean_mean_confidence", 0.96, 0.02, CLASSIFIED),
        ("accuracy_at_0.05", 0.2, 0.1, CLASSIFIED),
        ("mlp_on_convnet", 0.55, 0.1, CLASSIFIED),
        ("certified_low_at_0.1", 0.73, 0.1, CLASSIFIED),
        ("never_flipped_share", 0.07, 0.06, CLASSIFIED),
        ("share_of_epochs_with_rising_train_loss", 0.4, 0.2, CLASSIFIED),
        ("final_train_loss", 0.05, 0.025, {"failed_checks": "none"}),
        ("second_half_test_loss_deviation", 0.2, 0.08, CLASSIFIED),
        ("median_flipping_epsilon", 0.02, 0.003, CLASSIFIED),
        ("bag_t_shirt_confidence", 0.34, 0.25, CLASSIFIED),
        ("overfitting_epoch", 20, 5.1, CLASSIFIED),
        # The extreme of many similar values may be any other.
        ("bag_index", 4368, inf, CLASSIFIED),
        ("best_epoch", 88, inf, CLASSIFIED),
        # What is no classifier keeps its six digits.
        ("final_train_loss", 2849.97, 0.0285, {}),
        ("relu_max_error", 2.7e-15, 1e-12, {}),  # should be 0
    ],
)
def test_a_metric_may_differ_up_to_its_limit(metric: str, old: float, limit: float, beside: dict[str, Any]) -> None:
    for sign in (1, -1):
        assert within(metric, old, old + 0.97 * sign * min(limit, 1000), **beside)
        assert limit == inf or not within(metric, old, old + 1.01 * sign * limit, **beside)
    assert not within(metric, old, None, **beside)
    assert not within(metric, None, old, **beside)


@pytest.mark.parametrize("beside", [{}, CLASSIFIED])
@pytest.mark.parametrize(
    ("metric", "old", "new"),
    [
        ("epochs", 1_000_000, 1_000_001),
        ("sigmoid_symbolic_difference", "0", "exp(-x)"),
        ("diverged", False, True),
        ("source", "fashion-mnist", "drawn"),
        ("final_test_loss", 0.5, "0.5"),
        ("failed_checks", "none", "noise does better"),
    ],
)
def test_counts_words_and_verdicts_have_to_be_equal(metric: str, old: Any, new: Any, beside: dict[str, Any]) -> None:  # noqa: ANN401
    assert not within(metric, old, new, **beside)


def test_each_output_that_differs_is_named() -> None:
    old: dict[str, Any] = {"models/a": "0a", "data/b": "0b", "plots/c.csv": b"c", "metrics/d.json": b'{"weights": 1}'}
    new = {"models/a": "1a", "data/e": "0b", "plots/c.csv": b"c", "metrics/d.json": b'{"weights": 2, "new": 0}'}
    assert not list(compared(old, dict(old)))
    assert list(compared(old, new)) == [
        f"data/b: committed, and nothing makes it{TOO_LARGE}",
        f"data/e: not committed{TOO_LARGE}",
        f"metrics/d.json: weights: 1 committed, 2 now{TOO_LARGE}",
        f"metrics/d.json: new: (absent) committed, 0 now{TOO_LARGE}",
        "models/a: differs",
    ]
    assert list(compared(old, old | {"metrics/d.json": b'{"weights":1}'})) == ["metrics/d.json: differs"]


@pytest.mark.parametrize("folder", [".", "inner"])
def test_nothing_is_verified_without_results(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "README.md").touch()
    workspace.run("git", "init", "--quiet")
    workspace.commit("No results")
    monkeypatch.chdir(tmp_path / folder)
    with pytest.raises(DataError, match="^nothing to verify: this folder is no git repository in which results are"):
        main()


def test_other_images_than_the_committed_ones_are_noticed_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the work tree are not downloaded again."""
    files = {"dvc.lock": "stages: {}\n", "metrics/data.json": '{"source": "mnist"}', "data/raw/images.gz": ""}
    for name, text in (files | {"plots/a.csv": "", ".dvc/config": "", ".gitignore": "/data\n"}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    (workspace := Workspace(tmp_path)).run("git", "init", "--quiet")
    workspace.commit("Results")
    modules = list[str]()

    def run(clone: Path, module: str) -> None:
        modules.append(module)
        assert not (clone / "dvc.lock").exists()
        assert [path.name for path in (clone / "data" / "raw").iterdir()] == ["images.gz"]
        (clone / "metrics").mkdir(exist_ok=True)
        (clone / "metrics" / "data.json").write_text('{"source": "drawn"}')

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tools.verify.run", run)
    with pytest.raises(DataError, match="^NOT VERIFIED: the images are not the committed ones"):
        main()
    assert modules == ["stages.download", "stages.prepare"]
    assert capsys.readouterr().out == f"metrics/data.json: source: mnist committed, drawn now{TOO_LARGE}\n"


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

    assert "train@convnet | done" in said
    assert said.splitlines()[-4:] == [
        f"{len(read(clone.folder)) - 2} outputs identical",
        f"metrics/train/mlp.json: final_test_accuracy: {true + 0.4} committed, {true} now{TOO_LARGE}",
        f"plots/curves/old.csv: committed, and nothing makes it{TOO_LARGE}",
        "ERROR: NOT VERIFIED: 2 of these differences are too large",
    ]
    assert {**clone.outputs(), "lock": (clone.folder / "dvc.lock").read_bytes()} == before
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.slow
def test_an_interruption_leaves_neither_a_folder_nor_a_process(clone: Workspace, tmp_path: Path) -> None:
    process, deadline = clone.start(sys.executable, "-m", "tools.verify"), monotonic() + 600
    try:
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
