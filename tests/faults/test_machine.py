"""The machine and its settings."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Tell
from tests.imports import ROOT
from tests.test_pipeline import share_cache
from tests.workspace import Workspace, cloned

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


@pytest.fixture
def workspace(miniature: Workspace, tmp_path: Path) -> Workspace:
    """Return a clone with all data and models, in a folder whose name a careless shell would trip over."""
    clone = cloned(miniature.folder, tmp_path / "dossier d'élève; $HOME & 数据")
    share_cache(miniature, clone)
    return clone


def attempt(workspace: Workspace, *command: str, limit: Callable[[], object] | None = None, **environment: str) -> str:
    """Run a command that must fail with status 1 and without a traceback, and return what it said."""
    done = subprocess.run(  # noqa: S603
        command,
        cwd=workspace.folder,
        env=workspace.environment | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        preexec_fn=limit,  # noqa: PLW1509 - no threads here
    )
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


def ordinary_user() -> None:
    """Give up what lets root write and read everywhere."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def last(said: str) -> str:
    """Return the last line of what was said."""
    return said.splitlines()[-1]


def mounted(*options: str) -> list[str]:
    """Return the beginning of a command that first mounts something on the folder `models`."""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount "$1" "$2" "$3" models "$4" && shift 4 && exec "$@"', "-", *options]


MOUNT = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False, capture_output=True)
needs_mount = pytest.mark.skipif(MOUNT.returncode != 0, reason="this machine lets nobody mount a small disk")


@needs_mount
def test_a_full_disk(workspace: Workspace, tell: Tell) -> None:
    full = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    said = attempt(
        workspace, *full, 'mount -t tmpfs -o size=64k tmpfs models && python -m stages.train mlp', PYTHON=sys.executable
    )
    tell("the disk is full", "one line that names the file; nothing is left half-written", last(said))
    assert last(said) == "ERROR: [Errno 28] No space left on device: 'models/mlp.safetensors'"
    assert (workspace.folder / "models" / "mlp.safetensors").exists()  # the old one, below the small disk
    assert not list(workspace.folder.rglob("*.part"))


@needs_mount
def test_a_disk_that_cannot_be_written(workspace: Workspace, tell: Tell) -> None:
    before = workspace.outputs()
    readonly = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    said = attempt(
        workspace,
        *readonly,
        "mount --bind models models && mount -o remount,ro,bind models && python -m stages.train mlp",
    )
    tell("a folder is on a disk that can only be read", "one line that names it", last(said))
    assert last(said).startswith("ERROR: [Errno 30] Read-only file system: 'models/")
    assert workspace.outputs().keys() == before.keys()


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
    assert {name for name in before} == {name for name in workspace.outputs()}
    assert workspace.outputs()["models/mlp.safetensors"] == before["models/mlp.safetensors"]


@pytest.mark.parametrize(
    ("folder", "mode", "stage"),
    [("models", 0o500, "train mlp"), ("metrics/train", 0o500, "train mlp"), ("data/raw", 0o000, "prepare")],
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


def test_a_file_where_a_folder_should_be(workspace: Workspace, tell: Tell) -> None:
    shutil.rmtree(workspace.folder / "models")
    (workspace.folder / "models").write_text("")
    said = attempt(workspace, "python", "-m", "stages.train", "mlp")
    tell("a file stands where the folder models should be", "one line that names it", last(said))
    assert last(said) == "ERROR: [Errno 17] File exists: 'models'"


@pytest.mark.parametrize("files", [5, 8, 12])
def test_few_file_handles(workspace: Workspace, files: int, tell: Tell) -> None:
    said = attempt(
        workspace,
        *("python", "-m", "stages.report"),
        limit=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
    ) if files < 6 else workspace.run("python", "-m", "stages.report")
    tell(f"{files} file handles", "one line that says so", last(said))
    assert "Too many open files" in last(said)


@pytest.mark.parametrize("megabytes", [200, 700, 1100])
def test_little_memory(workspace: Workspace, megabytes: int, tell: Tell) -> None:
    limit = megabytes << 20
    said = attempt(
        workspace,
        *("python", "-m", "stages.train", "mlp"),
        limit=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    tell(f"{megabytes} MB of memory", "one line that says so", last(said))
    assert last(said).startswith("ERROR: ")
