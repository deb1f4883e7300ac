"""The machine and its settings."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import time

import pytest

from descent.sources.published import FILES
from tests.faults.table import Tell
from tests.imports import ROOT
from tests.workspace import Workspace, cloned, copied_code, copy

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


@pytest.fixture
def workspace(miniature: Workspace, tmp_path: Path) -> Workspace:
    """Return a clone with all data and models, in a folder whose name a careless shell would trip over."""
    return copy(miniature, tmp_path / "dossier d'élève; $HOME & 数据")


def attempt(workspace: Workspace, *command: str, limit: Callable[[], object] | None = None, **environment: str) -> str:
    """Run a command that must fail with status 1 and without a traceback, and return what it said."""
    said = workspace.run(*command, status=1, limit=limit, **environment)
    assert "Traceback" not in said, said
    return said


def ordinary_user() -> None:
    """Give up what lets root write and read everywhere."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def last(said: str) -> str:
    """Return the last line of what was said."""
    return said.splitlines()[-1]


MOUNTING = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
needs_mount = pytest.mark.skipif(
    subprocess.run([*MOUNTING, "mount -t tmpfs tmpfs /mnt"], check=False, capture_output=True).returncode != 0,
    reason="this machine lets nobody mount a small disk",
)


@needs_mount
def test_a_full_disk(workspace: Workspace, tell: Tell) -> None:
    said = attempt(workspace, *MOUNTING, "mount -t tmpfs -o size=64k tmpfs models && python -m stages.train mlp")
    tell("the disk is full", "one line that names the file; nothing is left half-written", last(said))
    assert last(said) == "ERROR: [Errno 28] No space left on device: 'models/mlp.safetensors'"
    assert (workspace.folder / "models" / "mlp.safetensors").exists()  # the old one, below the small disk
    assert not list(workspace.folder.rglob("*.part"))


@pytest.mark.slow
@needs_mount
def test_a_disk_that_cannot_be_written(workspace: Workspace, tell: Tell) -> None:
    before = workspace.outputs()
    readonly = "mount --bind models models && mount -o remount,ro,bind models"
    said = attempt(workspace, *MOUNTING, f"{readonly} && python -m stages.train mlp")
    tell("a folder is on a disk that can only be read", "one line that names it", last(said))
    assert last(said).startswith("ERROR: [Errno 30] Read-only file system: 'models/")
    assert workspace.outputs().keys() == before.keys()


@pytest.mark.slow
def test_a_file_larger_than_allowed(workspace: Workspace, tell: Tell) -> None:
    before = workspace.outputs()
    limit = 100_000
    said = attempt(
        workspace,
        *("python", "-m", "stages.train", "mlp"),
        limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    tell("files may have 100 kB at most", "one line that names the file; what was there is left", last(said))
    assert last(said).startswith("ERROR: [Errno 27] File too large: '")
    assert workspace.outputs().keys() == before.keys()
    assert workspace.outputs()["models/mlp.safetensors"] == before["models/mlp.safetensors"]


@pytest.mark.parametrize(
    ("folder", "mode", "stage"),
    [
        ("models", 0o500, "train mlp"),
        pytest.param("metrics/train", 0o500, "train mlp", marks=pytest.mark.slow),
        pytest.param("data/raw", 0o000, "prepare", marks=pytest.mark.slow),
    ],
    ids=lambda value: str(value),
)
def test_a_folder_without_permission(workspace: Workspace, folder: str, mode: int, stage: str, tell: Tell) -> None:
    path = workspace.folder / folder
    path.chmod(mode)
    try:
        said = attempt(workspace, "python", "-m", *f"stages.{stage}".split(), limit=ordinary_user)
    finally:
        path.chmod(0o755)
    tell(f"no permission for {folder} (mode {mode:o})", "one line that names it", last(said))
    assert f"Permission denied: '{folder}" in last(said)


@pytest.mark.slow
def test_a_file_where_a_folder_should_be(workspace: Workspace, tell: Tell) -> None:
    shutil.rmtree(workspace.folder / "models")
    (workspace.folder / "models").write_text("")
    said = attempt(workspace, "python", "-m", "stages.train", "mlp")
    tell("a file stands where the folder models should be", "one line that names it", last(said))
    assert last(said) == "ERROR: [Errno 17] File exists: 'models'"


@pytest.mark.slow
def test_few_file_handles(workspace: Workspace, tell: Tell) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5))

    said = attempt(workspace, "python", "-m", "stages.figures", limit=limit)
    # Which file it was depends on where Python and its packages are.
    tell("five file handles", "one line that says so", last(said).partition(": '")[0])
    assert last(said).startswith("ERROR: ")
    assert "Too many open files" in last(said)


@pytest.mark.slow
def test_too_little_memory_to_begin(workspace: Workspace, tell: Tell) -> None:
    said = attempt(workspace, "python", "-m", "stages.train", "mlp", limit=memory(200))
    tell("200 MB of memory, too little to load torch", "one line that says what fails", "so it does")
    assert last(said).startswith("ERROR: ")


@pytest.mark.slow
def test_too_little_memory_to_go_on(workspace: Workspace, tell: Tell) -> None:
    workspace.set(train__mlp__model__hidden=[10_000, 10_000])
    said = attempt(workspace, "python", "-m", "stages.train", "mlp", limit=memory(1100))
    tell("1.1 GB of memory, and a model of 1.3 GB", "one line that says so", last(said))
    assert last(said) == (
        "ERROR: not enough memory; a stage takes up to 1 GB, and `make repro JOBS=1` runs one at a time"
    )


def memory(megabytes: int) -> Callable[[], None]:
    """Return what limits the memory of a process to be."""
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


@pytest.mark.slow
def test_no_network(miniature: Workspace, tmp_path: Path, tell: Tell) -> None:
    workspace = cloned(miniature.folder, tmp_path / "offline")
    workspace.set(
        data__fallback="none", data__mirrors={"fashion-mnist": ["https://mirror.example/a", "http://127.0.0.1:9/b"]}
    )
    cut_off = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*cut_off, "true"], check=False, capture_output=True).returncode:
        cut_off = []
    said = attempt(workspace, *cut_off, "python", "-m", "stages.download")
    tell("no network, and `data.fallback: none`", "each mirror with its reason, and what to do", last(said))
    assert "https://mirror.example/a/train-images-idx3-ubyte.gz: " in said
    assert "http://127.0.0.1:9/b/train-images-idx3-ubyte.gz: " in said
    assert last(said) == (
        f"  Set DESCENT_MIRROR to a folder or address that has the files {', '.join(FILES.values())}, "
        "or let data.fallback in params.yaml be `drawn`."
    )


def test_an_old_python(workspace: Workspace, tmp_path: Path, tell: Tell) -> None:
    old = tmp_path / "python3.10"
    program = (
        "import runpy, sys; sys.version_info = (3, 10, 4); del sys.argv[:2]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}" "$@"\n', encoding="utf-8")
    old.chmod(0o755)
    said = workspace.run("make", "--no-print-directory", f"PYTHON={old}", "repro", status=2).splitlines()[0]
    tell("Python 3.10", "`make` says which it needs, and how to name it", said)
    assert said == "ERROR: descent needs Python 3.11 to 3.14, not 3.10.4: make PYTHON=python3.11 ..."
    assert not (workspace.folder / ".venv").exists()


def test_a_zip_without_git(tmp_path: Path, tell: Tell) -> None:
    workspace = copied_code(tmp_path / "descent-main")
    shutil.rmtree(workspace.folder / ".git")
    said = workspace.run("make", "--no-print-directory", "repro", status=2).splitlines()[0]
    tell("a ZIP, which has no .git", "`make` says so before it installs anything", said)
    assert said.startswith("ERROR: no git repository here, as in a ZIP")
    assert not (workspace.folder / ".venv").exists()


def test_a_checkout_with_other_line_endings(tmp_path: Path, tell: Tell) -> None:
    workspace = copied_code(tmp_path / "written")
    workspace.commit("All")
    clone = tmp_path / "clone"
    workspace.run("git", "clone", "--quiet", "--config", "core.autocrlf=true", str(workspace.folder), str(clone))
    names = workspace.run("git", "ls-files").splitlines()
    differing = [name for name in names if (workspace.folder / name).read_bytes() != (clone / name).read_bytes()]
    tell(
        "core.autocrlf=true, with which git writes CRLF on Windows",
        "every file has the committed bytes",
        ", ".join(differing) or "so it has",
    )
    assert not differing
    assert len(names) > 100


@pytest.mark.parametrize("name", ["data", "models", "report", ".venv"])
def test_a_link_to_a_larger_disk_is_ignored_by_git(tmp_path: Path, name: str) -> None:
    workspace = copied_code(tmp_path / "linked")
    (workspace.folder / name).symlink_to(tmp_path)
    assert workspace.run("git", "check-ignore", name) == f"{name}\n"


@pytest.mark.slow
def test_no_git(workspace: Workspace, tmp_path: Path, tell: Tell) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("python", "dvc", "bash", "sh"):
        found = Path(sys.executable).parent / tool
        (tools / tool).symlink_to(found if found.exists() else shutil.which(tool) or tool)
    said = workspace.run("dvc", "repro", PATH=str(tools))
    tell("no git on the path", "`dvc repro` needs none", last(said))
    assert said.endswith("Data and pipelines are up to date.\n")


@pytest.mark.slow
def test_a_clock_that_runs_backwards(workspace: Workspace, tell: Tell) -> None:
    before = workspace.outputs()
    tomorrow = time() + 86_400
    for folder in ("data", "models", "metrics", "plots", "src", "stages"):
        for path in (workspace.folder / folder).rglob("*"):
            os.utime(path, (tomorrow, tomorrow))
    os.utime(workspace.folder / "params.yaml", (tomorrow, tomorrow))
    said = workspace.run("dvc", "repro")
    workspace.set(train__mlp__epochs=2)
    again = workspace.run("dvc", "repro", "--single-item", "train@mlp")
    tell("every file is from tomorrow", "nothing runs again, and what is changed does", last(said))
    assert said.endswith("Data and pipelines are up to date.\n")
    assert "Running stage 'train@mlp'" in again
    assert workspace.outputs()["models/mlp.safetensors"] != before["models/mlp.safetensors"]


@pytest.mark.parametrize("shell", ["/bin/sh", pytest.param("/bin/bash", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_any_shell(workspace: Workspace, shell: str, tell: Tell) -> None:
    said = workspace.run("dvc", "repro", "--force", "--single-item", "train@regression-lr-1e-4", SHELL=shell)
    tell(f"SHELL={shell}", "DVC's name of the stage reaches it", "so it does")
    assert "Running stage 'train@regression-lr-1e-4'" in said
    assert workspace.run("git", "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("tried", "command", "said"),
    [
        pytest.param(
            "a stage without the run that it asks for",
            "stages.train",
            "usage: python -m stages.train NAME",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "a word too many", "tools.repro 1 2", "usage: python -m tools.repro [JOBS]", marks=pytest.mark.slow
        ),
        ("a run that does not exist", "stages.train mpl", "ERROR: params.yaml: train has no run 'mpl'; it has mlp"),
        pytest.param(
            "a run that is a path",
            "stages.train ../x",
            "ERROR: params.yaml: train has no run '../x'; it has mlp",
            marks=pytest.mark.slow,
        ),
        ("a number of jobs that is none", "tools.repro many", "ERROR: JOBS=many: how many stages run at once"),
    ],
    ids=lambda value: value,
)
def test_a_slip_on_the_command_line(workspace: Workspace, tried: str, command: str, said: str, tell: Tell) -> None:
    line = attempt(workspace, "python", "-m", *command.split()).strip()
    tell(f"{tried}: `{command}`", "one line that says what was expected", line)
    assert len(line.splitlines()) == 1
    assert line.startswith(said.removesuffix("mlp"))


@pytest.mark.slow
def test_a_device_that_is_none(workspace: Workspace, tell: Tell) -> None:
    said = attempt(workspace, "python", "-m", "stages.train", "mlp", DESCENT_DEVICE="tpu")
    tell("DESCENT_DEVICE=tpu", "one line that says what there is", last(said))
    assert last(said) == "ERROR: DESCENT_DEVICE=tpu: expected cpu, cuda or auto"


@pytest.mark.slow
def test_torchvision_without_its_operators(tell: Tell) -> None:
    # The public wheel is one for CUDA, and fails beside a torch for the CPU: pytorch/vision#9337.
    program = (
        "import stages; from descent.sources.vision import torchvision as tv; "
        "print(len(tv.datasets.FashionMNIST.classes))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    tell("torchvision without its operators", "what is used of it works all the same", "so it does")
    assert done.stdout == "10\n"
