"""A machine that lacks something: the error is one line that names it, and no result is damaged."""

import ctypes
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.workspace import Workspace, copied_code, copy

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
slow = partial(pytest.param, marks=pytest.mark.slow)


@pytest.fixture
def workspace(miniature: Workspace, tmp_path: Path) -> Workspace:
    """Return a clone with all data and models, in a folder whose name a careless shell would trip over."""
    return copy(miniature, tmp_path / "dossier d'élève; $HOME & 数据")


def ordinary_user() -> None:
    """Give up what lets root write and read everywhere."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def limited(kind: str, limit: int) -> partial[None]:
    """Return what limits a resource of a process."""
    return partial(resource.setrlimit, getattr(resource, f"RLIMIT_{kind}"), (limit, limit))


@pytest.mark.parametrize(
    ("damage", "limit", "stage", "said"),
    [
        ("chmod 500 models", ordinary_user, "train mlp", "Permission denied: 'models"),
        slow("chmod 000 data/raw", ordinary_user, "prepare", "Permission denied: 'data/raw"),
        slow("rm -r models; touch models", None, "train mlp", "File exists: 'models'"),
        slow("true", limited("FSIZE", 100_000), "train mlp", "File too large: '"),
        slow("true", limited("NOFILE", 5), "figures", "Too many open files"),
        slow("true", limited("AS", 200 << 20), "train mlp", ""),
        slow(r"sed -i 's/- 100$/&00\n      - 10000/' params.yaml", limited("AS", 1100 << 20), "train mlp", "memory"),
    ],
    ids=["permission", "permission-raw", "file-for-folder", "file-size", "handles", "memory-to-begin", "memory"],
)
def test_a_missing_resource_ends_a_stage_in_one_line(
    workspace: Workspace, damage: str, limit: Callable[[], object] | None, stage: str, said: str
) -> None:
    workspace.run("sh", "-c", damage)
    printed = workspace.run("python", "-m", *f"stages.{stage}".split(), status=1, limit=limit)
    workspace.run("chmod", "-R", "u+rwX", "models", "data")
    assert printed.splitlines()[-1].startswith("ERROR: ")
    assert said in printed.splitlines()[-1]
    assert "Traceback" not in printed
    assert not list(workspace.folder.rglob("*.part"))


def test_git_keeps_line_ends(tmp_path: Path) -> None:
    workspace, clone = copied_code(tmp_path / "written"), tmp_path / "clone"
    workspace.commit("All")
    workspace.run("git", "clone", "--quiet", "--config", "core.autocrlf=true", str(workspace.folder), str(clone))
    names = workspace.run("git", "ls-files").splitlines()
    assert [name for name in names if (workspace.folder / name).read_bytes() != (clone / name).read_bytes()] == []
    assert len(names) > 100


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("stages.train", "usage: python -m stages.train"),
        slow("tools.repro 1 2", "usage: python -m tools.repro"),
        ("stages.train mpl", "ERROR: params.yaml: train has no run 'mpl'; it has "),
    ],
)
def test_a_wrong_argument_is_one_line_that_says_what_is_expected(miniature: Workspace, command: str, said: str) -> None:
    line = miniature.run("python", "-m", *command.split(), status=1)
    assert line.startswith(said)
    assert len(line.splitlines()) == 1
