"""A program runs the library of the checkout that it lies in, whatever environment runs it."""

import json
import shutil
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.imports import ROOT
from tests.workspace import Workspace, copied_code, copy

RUN = "regression-lr-1e-2"
METRICS = f"metrics/train/{RUN}.json"


@pytest.mark.parametrize("package", ["stages", "tools", "benchmarks"])
def test_a_program_imports_the_library_beside_it(package: str, tmp_path: Path) -> None:
    workspace = copied_code(tmp_path / "copy")
    said = workspace.run(
        sys.executable,
        "-c",
        f"import {package}, descent.io.errors; print(descent.io.errors.__file__)",
        PYTHONPATH=str(ROOT / "src"),  # as somebody may have set it
    )
    assert said == f"{workspace.folder}/src/descent/io/errors.py\n"


@pytest.mark.slow
def test_the_tests_import_the_library_beside_them(tmp_path: Path) -> None:
    workspace = copied_code(tmp_path / "copy")
    (workspace.folder / "tests" / "test_here.py").write_text(
        "import descent.io.errors\ndef test_here(): raise Exception(descent.io.errors.__file__)\n"
    )
    said = workspace.run("python", "-m", "pytest", "-p", "no:cacheprovider", "tests/test_here.py", status=1)
    assert f"Exception: {workspace.folder}/src/descent/io/errors.py" in said


def test_the_environment_has_no_library_of_ours() -> None:
    """Else a program that does not look beside itself would find one."""
    assert not [path for path in map(Path, sys.path) if "site-packages" in path.parts and (path / "descent").exists()]
    assert not [path for folder in sys.path for path in Path(folder).glob("*descent*.pth")]


def edit(workspace: Workspace, value: float) -> None:
    """Let the weights of a linear model start from another value than 0."""
    path = workspace.folder / "src" / "descent" / "models" / "networks.py"
    text = path.read_text(encoding="utf-8")
    assert "nn.init.zeros_(layer.weight)" in text
    path.write_text(text.replace("nn.init.zeros_(layer.weight)", f"nn.init.constant_(layer.weight, {value})"), "utf-8")


def result(workspace: Workspace, experiment: str = "") -> float:
    """Return the final loss in the work tree, or of an experiment."""
    text = (workspace.folder / METRICS).read_text(encoding="utf-8")
    if experiment:
        ref = workspace.run("git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{experiment}").strip()
        text = workspace.run("git", "show", f"{ref}:{METRICS}")
    loss: float = json.loads(text)["final_train_loss"]
    return loss


@pytest.fixture
def expected(miniature: Workspace, tmp_path: Path) -> dict[float, float]:
    """Return what the program gives with each edit when it runs by itself, without DVC."""
    found = {}
    for value in (0.0, 1.0, 2.0, 3.0):
        workspace = copy(miniature, tmp_path / f"edit {value}")
        edit(workspace, value)
        workspace.run("python", "-m", "stages.train", RUN)
        found[value] = result(workspace)
    assert len(set(found.values())) == 4
    return found


@pytest.mark.slow
def test_an_experiment_has_the_result_of_its_own_code_wherever_it_runs(
    miniature: Workspace, expected: dict[float, float], tmp_path: Path
) -> None:
    lab = copy(miniature, tmp_path / "lab")
    edit(lab, 1.0)
    lab.run("dvc", "exp", "run", "--queue", "--name", "queued", f"train@{RUN}")
    lab.run("git", "checkout", "src")
    edit(lab, 2.0)
    lab.run("dvc", "exp", "run", "--temp", "--name", "temporary", f"train@{RUN}")
    lab.run("git", "checkout", "src")
    # A mistake in the work tree is none of the queued experiment's.
    path = lab.folder / "src" / "descent" / "models" / "networks.py"
    path.write_text("import\n", encoding="utf-8")
    lab.run("dvc", "queue", "start")
    deadline = monotonic() + 240
    while "Success" not in (status := lab.run("dvc", "queue", "status")):
        assert "Failed" not in status
        assert monotonic() < deadline, status
        sleep(1)
    lab.run("git", "checkout", "src")

    other = Workspace(tmp_path / "worktree")
    lab.run("git", "worktree", "add", "--quiet", str(other.folder))
    (other.folder / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {lab.folder}/.dvc/cache\n")
    other.run("dvc", "checkout", status=0)
    edit(other, 3.0)
    other.run("dvc", "repro", f"train@{RUN}")

    assert result(lab, "queued") == expected[1.0]
    assert result(lab, "temporary") == expected[2.0]
    assert result(other) == expected[3.0]
    # Nor has DVC kept a result under the hash of other code.
    for value in (1.0, 2.0, 3.0, 0.0):
        edit(lab, value)
        lab.run("dvc", "repro", f"train@{RUN}")
        assert result(lab) == expected[value]
        lab.run("git", "checkout", "src")


def test_a_copied_folder_runs_its_own_code(miniature: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "copy")
    shutil.copytree(miniature.folder, workspace.folder, symlinks=True)
    path = workspace.folder / "src" / "descent" / "models" / "networks.py"
    path.write_text("import\n", encoding="utf-8")
    assert "SyntaxError" in workspace.run("dvc", "repro", "--single-item", f"train@{RUN}", status=255)
