"""DVC records the code and the parameters that a stage ran with, or nothing."""

from pathlib import Path
from time import monotonic, sleep

import pytest

from stages.program import recorded
from tests.workspace import Workspace, copied_code, copy

# The stage `validate`, during which somebody edits a file.
EDITED = """
import sys
from pathlib import Path
import stages.validate
from stages.program import stage

def edited(path, old, new):
    stages.validate.main()
    Path(path).write_text(Path(path).read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

stage(edited)
"""


def run(workspace: Workspace, stage: str, *edit: str, status: int, program: str = EDITED) -> str:
    """Run the stage as DVC would under this name, while a file is edited: its path, the old words, the new ones."""
    return workspace.run("python", "-c", program, *edit, status=status, DVC_STAGE=stage)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return copied_code(tmp_path_factory.mktemp("recorded") / "project")


@pytest.mark.parametrize(
    ("stage", "path", "old", "new", "said"),
    [
        ("validate", "params.yaml", "seed: 0", "seed: 1", "params.yaml"),
        ("train@mlp", "params.yaml", "seed: 0", "seed: 1", "params.yaml: seed"),
        (
            "studies/dvc.yaml:study@weight-decay",
            "studies.yaml",
            "seeds: ",
            "seeds: 1",
            "studies.yaml: studies.w",
        ),
        ("validate", "src/descent/io/results.py", "import csv", "import csv  # x", "src/descent/io/results.py"),
    ],
)
def test_an_edit_while_a_stage_runs_fails_it(
    workspace: Workspace, stage: str, path: str, old: str, new: str, said: str
) -> None:
    file = workspace.folder / path
    before = file.read_text(encoding="utf-8")
    try:
        words = run(workspace, stage, path, old, new, status=1)
    finally:
        file.write_text(before, encoding="utf-8")
    assert words.startswith(f"ERROR: {said}")
    assert f" changed while {stage} ran; " in words
    assert len(words.splitlines()) == 1


def test_an_edit_of_what_the_stage_does_not_read_fails_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.folder)
    before, convnet = recorded("train@mlp"), recorded("train@convnet")
    (workspace.folder / "src" / "descent" / "report" / "figures.py").touch()
    workspace.set(train__convnet__epochs=7)
    assert recorded("train@mlp") == before
    assert [name for name, value in recorded("train@convnet").items() if value != convnet[name]] == [
        "params.yaml: train.convnet"
    ]
    assert len(before) > 20


LEFT_BEHIND = (
    "__pycache__/params.cpython-311.pyc",
    ".params.py.swp",
    ".#params.py",
    "#params.py#",
    "params.py~",
    "params.py.orig",
    "params.py.rej",
    "._params.py",
    ".DS_Store",
    ".ipynb_checkpoints/params.py",
    ".nfs000000000001",
)


def test_what_editors_and_systems_leave_is_no_code(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.folder)
    folder, before = Path("src/descent/io"), recorded("train@mlp")
    paths = [folder / name for name in LEFT_BEHIND]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (folder / ".#datasets.py").symlink_to("user@machine.1")  # Emacs' lock, a link to nothing
    assert recorded("train@mlp") == before
    ignored = workspace.run("dvc", "check-ignore", *map(str, paths)).split()
    for path in [*paths, folder / ".#datasets.py"]:
        path.unlink()
    (folder / "__pycache__").rmdir()
    (folder / ".ipynb_checkpoints").rmdir()
    assert ignored == [str(path) for path in paths]


@pytest.mark.parametrize("path", ["src/descent/report/mine.py", "src/descent/mine/__init__.py", "mine.py"])
def test_code_that_is_no_dependency_fails_the_stage(workspace: Workspace, path: str) -> None:
    mine = workspace.folder / path
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("VALUE = 1\n", encoding="utf-8")
    module = path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    program = EDITED.replace("import stages.validate", f"import stages.validate, {module}")
    said = run(workspace, "validate", "params.yaml", "seed: 0", "seed: 0", status=1, program=program)
    mine.unlink()
    assert said.startswith(f"ERROR: {path} is no dependency of validate, which ran it, and DVC would not notice")


def test_code_in_the_root_of_the_library_fails_every_stage(workspace: Workspace) -> None:
    path = workspace.folder / "src" / "descent" / "__init__.py"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "import os\n", encoding="utf-8")
    said = workspace.run("python", "-m", "stages.validate", status=1, DVC_STAGE="validate")
    path.write_text(before, encoding="utf-8")
    assert said.startswith("ERROR: src/descent/__init__.py is no dependency of validate")


# The stage `validate`, whose code is saved anew after the process has begun.
IMPORTING = """
import stages
from pathlib import Path
from time import sleep

path = Path("src/descent/io/results.py")
sleep(0.05)  # the clock of a file system ticks slower
path.write_bytes(path.read_bytes())
import stages.validate
from stages.program import stage

stage(stages.validate.main)
"""


def test_an_edit_while_a_stage_imports_its_code_fails_it(workspace: Workspace) -> None:
    said = workspace.run("python", "-c", IMPORTING, status=1, DVC_STAGE="validate")
    assert said == (
        "ERROR: src/descent/io/results.py changed while validate started; no result is recorded. Run it again\n"
    )
    workspace.run("python", "-m", "stages.validate", DVC_STAGE="validate")


def test_no_bytecode_is_kept_that_python_could_take_for_that_of_another_source(workspace: Workspace) -> None:
    workspace.run("python", "-m", "stages.validate", DVC_STAGE="validate", PYTHONDONTWRITEBYTECODE="")
    assert not list((workspace.folder / "src").rglob("*.pyc"))


@pytest.mark.slow
def test_dvc_records_nothing_of_a_run_whose_parameters_changed_meanwhile(miniature: Workspace, tmp_path: Path) -> None:
    workspace = copy(miniature, tmp_path / "edited")
    workspace.set(train__mlp__epochs=300)
    lock, curve = workspace.folder / "dvc.lock", workspace.folder / "plots" / "curves" / "mlp.csv"
    before = lock.read_bytes()
    curve.unlink()
    process = workspace.start("dvc", "repro", "--single-item", "train@mlp")
    deadline = monotonic() + 100
    while not curve.exists():
        assert monotonic() < deadline
        sleep(0.05)
    workspace.set(train__mlp__learning_rate=0.5)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 255
    assert "ERROR: params.yaml: train.mlp changed while train@mlp ran; " in said
    assert lock.read_bytes() == before
