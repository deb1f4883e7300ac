"""All that is committed, run again and compared: in full on the miniature, in its verdicts on prepared outputs."""

import json
import signal
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pytest

from descent.io.errors import DataError
from tests.workspace import Workspace, cloned
from tools.verify import TOO_LARGE, compared, differences, read, run

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


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("metric", "old", "limit"),
    [
        ("final_test_accuracy", 0.88, 0.02),
        ("generalization_gap_accuracy", 0.01, 0.02),
        ("clean_mean_confidence", 0.96, 0.02),
        ("accuracy_at_0", 0.88, 0.02),
        ("accuracy_at_0.05", 0.2, 0.1),
        ("pgd_high_at_0.1", 0.5, 0.1),
        ("write_up_accuracy", 0.4, 0.1),
        ("mlp_on_convnet", 0.55, 0.1),
        ("never_flipped_share", 0.07, 0.06),
        ("share_of_epochs_with_rising_train_loss", 0.4, 0.2),
        ("final_train_loss", 0.05, 0.025),
        ("best_test_loss", 0.33, 0.053),
        ("second_half_test_loss_deviation", 0.2, 0.08),
        ("median_flipping_epsilon", 0.02, 0.003),
        ("bag_t_shirt_confidence", 0.34, 0.25),
        ("overfitting_epoch", 20, 5.1),
        ("diverged_epoch", 20, 5.1),
    ],
)
def test_a_classifier_may_differ_as_far_as_its_kind_of_metric_and_no_further(
    metric: str, old: float, limit: float, sign: int
) -> None:
    assert within(metric, old, old + 0.97 * sign * limit, **CLASSIFIED)
    assert not within(metric, old, old + 1.01 * sign * limit, **CLASSIFIED)
    assert not within(metric, old, None, **CLASSIFIED)
    assert not within(metric, None, old, **CLASSIFIED)


@pytest.mark.parametrize(("metric", "old"), [("bag_index", 4368), ("bag_epsilon", 0.016), ("best_epoch", 88)])
def test_the_extreme_of_many_similar_values_may_be_another(metric: str, old: float) -> None:
    assert within(metric, old, 2, **CLASSIFIED)
    assert not within(metric, old, None, **CLASSIFIED)


@pytest.mark.parametrize(
    ("metric", "old", "near", "far"),
    [
        ("final_train_loss", 2849.97, 2849.98, 2850.1),
        ("best_epoch", 2849.97, 2849.98, 2850.1),
        ("relu_max_error", 2.7e-15, 3.6e-13, 1e-11),  # should be 0
    ],
)
def test_what_is_no_classifier_keeps_its_six_digits(metric: str, old: float, near: float, far: float) -> None:
    assert within(metric, old, near)
    assert not within(metric, old, far)


@pytest.mark.parametrize("beside", [{}, CLASSIFIED])
@pytest.mark.parametrize(
    ("metric", "old", "new"),
    [
        ("epochs", 1_000_000, 1_000_001),
        ("weights", 79510, 79511),
        ("sigmoid_symbolic_difference", "0", "exp(-x)"),
        ("diverged", False, True),
        ("diverged", False, 0),
        ("source", "fashion-mnist", "drawn"),
        ("final_test_loss", 0.5, "0.5"),
        ("failed_checks", "none", "noise does better"),
    ],
)
def test_counts_words_and_verdicts_have_to_be_equal(metric: str, old: Any, new: Any, beside: dict[str, Any]) -> None:  # noqa: ANN401
    assert not within(metric, old, new, **beside)


def test_the_device_and_the_version_of_torch_are_no_results() -> None:
    assert within("device", "cpu", "cuda")
    assert within("torch", "2.13.0", "2.14.0")


def test_the_limits_are_those_of_metrics_that_exist(committed: Workspace) -> None:
    names = {name for path in (committed.folder / "metrics").rglob("*.json") for name in json.loads(path.read_bytes())}
    assert {"bag_index", "best_epoch", "final_test_loss", "accuracy_at_0.1", "failed_checks", "torch"} <= names


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


def test_the_real_images_of_the_work_tree_are_the_mirror_and_drawn_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DESCENT_MIRROR", raising=False)
    clone, raw = tmp_path / "temporary" / "clone", tmp_path / "data" / "raw"
    clone.mkdir(parents=True)
    raw.mkdir(parents=True)
    (clone / "show.py").write_text("import os; print(os.environ.get('DESCENT_MIRROR'), file=open('shown', 'w'))")

    def mirror() -> str:
        run(clone, "show")
        return (clone / "shown").read_text().strip()

    assert mirror() == "None"  # there is no data/raw
    (raw / "source.json").write_text('{"source": "drawn"}')
    assert mirror() == "None"
    (raw / "source.json").write_text('{"source": "fashion-mnist"}')
    assert mirror() == str(raw)
    # The user's own comes first: an address as it is, a folder wherever we run from.
    for own, seen in (("https://mirror.example/fashion", "https://mirror.example/fashion"), ("data", f"{raw.parent}")):
        monkeypatch.setenv("DESCENT_MIRROR", own)
        assert mirror() == seen
    with pytest.raises(DataError, match="^what is committed does not run: absent ended with status 1, see above$"):
        run(clone, "absent")


@pytest.mark.parametrize("folder", [".", "inner"])
def test_without_committed_results_there_is_nothing_to_verify(tmp_path: Path, folder: str) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "inner").mkdir()
    (tmp_path / "tools.py").touch()
    workspace.run("git", "init", "--quiet")
    workspace.commit("No results")
    program = "import os, sys; import tools.verify; os.chdir(sys.argv[1]); tools.verify.command(tools.verify.main)"
    program = program.replace("sys.argv[1]", f"{str(tmp_path / folder)!r}")
    said = Workspace(Path.cwd()).run(sys.executable, "-c", program, status=1)
    assert said.endswith("ERROR: nothing to verify: this folder is no git repository in which results are committed\n")


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

    assert "Going on with DRAWN GARMENTS" in said  # the stages did run
    assert "train@convnet | done" in said
    *_, count, metric, curve, verdict = said.splitlines()
    assert count == f"{len(read(clone.folder)) - 2} outputs identical"
    assert metric == f"metrics/train/mlp.json: final_test_accuracy: {true + 0.4} committed, {true} now{TOO_LARGE}"
    assert curve == f"plots/curves/old.csv: committed, and nothing makes it{TOO_LARGE}"
    assert verdict == "ERROR: NOT VERIFIED: 2 of these differences are too large"
    assert {**clone.outputs(), "lock": (clone.folder / "dvc.lock").read_bytes()} == before
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.slow
def test_other_images_are_noticed_before_anything_is_trained_on_them(clone: Workspace) -> None:
    path = clone.folder / "metrics" / "data.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | {"source": "fashion-mnist"}), encoding="utf-8")
    clone.commit("The real ones, says who")

    said = clone.run("python", "-m", "tools.verify", status=1)

    assert f"metrics/data.json: source: fashion-mnist committed, drawn now{TOO_LARGE}" in said
    assert "NOT VERIFIED: the images are not the committed ones" in said.splitlines()[-1]
    assert "train@" not in said


@pytest.mark.slow
def test_an_interruption_leaves_neither_a_folder_nor_a_process(clone: Workspace, tmp_path: Path) -> None:
    process = clone.start(sys.executable, "-m", "tools.verify")
    try:
        deadline = monotonic() + 200
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
