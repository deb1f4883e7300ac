"""DVC records the code and the parameters that a stage ran with, or nothing."""

import os
import py_compile
from collections.abc import Iterator

import pytest

from descent.io.dependencies import matches
from tests.workspace import Workspace, copy

# A stage that reads something, and during which `sed` edits a file.
EDITED = """
import subprocess, stages, {reads}
from stages.program import stage

stage(lambda *edit: subprocess.run(["sed", "-i", *edit], check=True))
"""
# A stage whose code is saved again after the process has begun.
IMPORTING = """
import stages
from pathlib import Path
from time import sleep

import descent.io.results
sleep(0.05)  # the clock of a file system ticks slower
path = Path(descent.io.results.__file__)
path.write_bytes(path.read_bytes())
import stages.validate
from stages.program import stage

stage(stages.validate.main)
"""
LIBRARY = "src/descent/__init__.py"
LEFT = """__pycache__/params.cpython-311.pyc .params.py.swp .#params.py #params.py# params.py~ params.py.orig
params.py.rej ._params.py .DS_Store .ipynb_checkpoints/params.py .nfs000000000001"""  # by editors and systems


@pytest.fixture(scope="module")
def whole(miniature: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a copy of the miniature, in which files are edited and put back."""
    return copy(miniature, tmp_path_factory.mktemp("recorded") / "project")


@pytest.fixture
def workspace(whole: Workspace) -> Iterator[Workspace]:
    """Return the copy, and put every file back."""
    yield whole
    whole.run("git", "checkout", "--quiet", "--", ".")
    whole.run("git", "clean", "--quiet", "-d", "--force", "-x", "src", "mine.py", "plots")


@pytest.mark.parametrize(
    ("stage", "path", "edit", "said"),
    [
        ("validate", "src/descent/io/results.py", "1a # more", "src/descent/io/results.py"),
        ("train@mlp", "params.yaml", "s/^seed: 0/seed: 1/", "params.yaml: seed"),
        ("train@convnet", "params.yaml", "s/filters: 24$/filters: 25/", "params.yaml: train.convnet"),
        ("studies/dvc.yaml:study@classifiers", "studies.yaml", "s/seeds: /&1/", "studies.yaml: studies.classifiers"),
        ("train@mlp", "params.yaml", "s/filters: 24$/filters: 25/", ""),
        ("train@mlp", "src/descent/report/figures.py", "1a # more", ""),
        ("validate", "LICENSE", "w src/descent/io/added.py", "src/descent/io/added.py"),
        ("validate", "LICENSE", "w src/descent/io/.added.py.swp", ""),
    ],
)
def test_an_edited_dependency_fails_a_stage(workspace: Workspace, stage: str, path: str, edit: str, said: str) -> None:
    program = EDITED.format(reads="descent.io.results")
    printed = workspace.run("python", "-c", program, edit, path, status=1 if said else 0, DVC_STAGE=stage)
    if said:
        assert printed.startswith(f"ERROR: {said} changed while {stage} ran; ")
    assert len(printed.splitlines()) == bool(said)


def test_what_editors_and_systems_leave_is_no_code(workspace: Workspace) -> None:
    paths = [f"src/descent/io/{name}" for name in LEFT.split()]
    assert workspace.run("dvc", "check-ignore", *paths).split() == paths
    for name in (".DS_Store", "Thumbs.db", "#1#", "1~"):
        (workspace.folder / "plots" / "figures" / name).touch()
    workspace.run("python", "-c", EDITED.format(reads="descent.io.results"), "1p", "README.md", DVC_STAGE="report")


def test_a_pattern_ends_at_the_folder() -> None:
    patterns = ["data/*.safetensors", "src/descent/io"]
    within = ["data/images.safetensors", "src/descent/io", "src/descent/io/a/b.py"]
    outside = ["data/attacked/mlp.safetensors", "data/imagesXsafetensors", "src/descent/io2", "src/descent"]
    assert [path for path in within + outside if matches(path, patterns)] == within


def test_bytecode_of_another_source_is_not_run(workspace: Workspace) -> None:
    source = workspace.folder / "src" / "descent" / "io" / "results.py"
    text, clock = source.read_text(encoding="utf-8"), (1e9, 1e9)
    for value in (1, 2):
        source.write_text(f"{text}VALUE = {value}\n", encoding="utf-8")
        os.utime(source, clock)
        if value == 1:
            py_compile.compile(str(source))
    program = "import stages; from descent.io.results import VALUE; print(VALUE)"
    assert workspace.run("python", "-c", program, DVC_STAGE="validate") == "2\n"
    assert workspace.run("python", "-c", program) == "1\n"  # it is the bytecode that a stage would have run


@pytest.mark.parametrize("path", ["src/descent/report/mine.py", "src/descent/mine/__init__.py", "mine.py", LIBRARY])
def test_code_that_is_no_dependency_fails_the_stage(workspace: Workspace, path: str) -> None:
    mine = workspace.folder / path
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("VALUE = 1\n", encoding="utf-8")
    module = path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    program = EDITED.format(reads=module)
    said = workspace.run("python", "-c", program, "1p", "README.md", status=1, DVC_STAGE="validate")
    assert said.startswith(f"ERROR: {path} is no dependency of validate")


def test_an_edit_while_a_stage_imports_its_code_fails_it(workspace: Workspace) -> None:
    said = workspace.run("python", "-c", IMPORTING, status=1, DVC_STAGE="validate")
    assert said.startswith("ERROR: src/descent/io/results.py changed while validate ")
    # Nor is bytecode kept, which Python could take for that of another source.
    workspace.run("python", "-m", "stages.validate", DVC_STAGE="validate", PYTHONDONTWRITEBYTECODE="")
    assert not list((workspace.folder / "src").rglob("*.pyc"))
