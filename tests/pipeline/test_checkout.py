"""A program runs the library of the checkout that it lies in, whatever environment runs it."""

import json
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.imports import ROOT
from tests.workspace import Workspace, copied_code, copy

RUN, NETWORKS = "regression-lr-1e-2", "src/descent/models/networks.py"


@pytest.mark.parametrize("package", ["stages", "tools", "benchmarks"])
def test_a_program_imports_the_library_beside_it(package: str, tmp_path: Path) -> None:
    workspace = copied_code(tmp_path / "copy")
    program = f"import {package}, descent.io.errors; print(descent.io.errors.__file__)"
    said = workspace.run(sys.executable, "-c", program, PYTHONPATH=str(ROOT / "src"))  # as a user may have set it
    assert said == f"{workspace.folder}/src/descent/io/errors.py\n"


def test_the_environment_has_no_library_of_ours() -> None:
    """Else a program that does not look beside itself would find one."""
    assert not [path for path in map(Path, sys.path) if "site-packages" in path.parts and (path / "descent").exists()]
    assert not [path for folder in sys.path for path in Path(folder).glob("*descent*.pth")]


def edit(workspace: Workspace, value: float) -> None:
    """Let the weights of a linear model start from this value."""
    workspace.run("git", "checkout", "src")
    path, zeros = workspace.folder / NETWORKS, "nn.init.zeros_(layer.weight)"
    text = path.read_text(encoding="utf-8")
    assert zeros in text
    path.write_text(text.replace(zeros, f"nn.init.constant_(layer.weight, {value})"), encoding="utf-8")


def result(workspace: Workspace, experiment: str = "") -> float:
    """Return the final loss in the work tree, or of an experiment."""
    path = f"metrics/train/{RUN}.json"
    text = (workspace.folder / path).read_text(encoding="utf-8")
    if experiment:
        ref = workspace.run("git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{experiment}").strip()
        text = workspace.run("git", "show", f"{ref}:{path}")
    return float(json.loads(text)["final_train_loss"])


@pytest.mark.slow
def test_an_experiment_has_the_result_of_its_own_code_wherever_it_runs(miniature: Workspace, tmp_path: Path) -> None:
    expected = dict[float, float]()  # by the program itself, without DVC
    for value in (0.0, 1.0, 2.0):
        workspace = copy(miniature, tmp_path / f"edit {value}")
        edit(workspace, value)
        workspace.run("python", "-m", "stages.train", RUN)
        expected[value] = result(workspace)
    assert len(set(expected.values())) == 3

    lab = copy(miniature, tmp_path / "lab")
    edit(lab, 1.0)
    lab.run("dvc", "exp", "run", "--queue", "--name", "queued", f"train@{RUN}")
    edit(lab, 2.0)
    lab.run("dvc", "exp", "run", "--temp", "--name", "temporary", f"train@{RUN}")
    # A mistake in the work tree does not reach the queued experiment.
    (lab.folder / NETWORKS).write_text("import\n", encoding="utf-8")
    lab.run("dvc", "queue", "start")
    deadline = monotonic() + 240
    while "Success" not in (status := lab.run("dvc", "queue", "status")):
        assert "Failed" not in status
        assert monotonic() < deadline, status
        sleep(1)

    assert (result(lab, "queued"), result(lab, "temporary")) == (expected[1.0], expected[2.0])
    # Nor has DVC kept a result under the hash of other code.
    for value in (1.0, 2.0, 0.0):
        edit(lab, value)
        lab.run("dvc", "repro", f"train@{RUN}")
        assert result(lab) == expected[value]
