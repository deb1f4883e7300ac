"""A program that cannot go on says what its user can do, whatever is missing."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from descent.io.errors import ParamsError
from stages.program import chosen_device, locked
from tests.imports import ROOT


def checkout(folder: Path) -> Path:
    """Copy the code and nothing else."""
    for name in ("src", "stages", "tools"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def said_by(folder: Path, *command: Path | str) -> str:
    """Return what a program says that must fail with status 1 and without a traceback."""
    done = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("program", ["stages.validate", "stages.train", "tools.repro", "tools.compare"])
def test_a_python_without_the_packages_is_told_which_python_has_them(tmp_path: Path, program: str) -> None:
    said = said_by(checkout(tmp_path), sys.executable, "-S", "-m", program)  # -S: no packages
    assert said.startswith("ERROR: No module named '")
    assert f"{sys.executable} is not the project's Python; `source .venv/bin/activate` takes that one" in said


def test_an_environment_without_a_package_is_made_again_by_make_clean(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "pyvenv.cfg").write_text(f"home = {Path(sys._base_executable).parent}\n")  # type: ignore[attr-defined]
    python = folder / ".venv" / "bin" / "python"
    python.symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    said = said_by(folder, python, "-m", "stages.validate")
    assert said.endswith(f"{folder}/.venv is incomplete; `make clean` and then `make repro` reinstalls everything\n")


def test_an_import_of_ours_that_fails_is_shown_with_its_place(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    program = folder / "stages" / "validate.py"
    text = program.read_text(encoding="utf-8")
    program.write_text(text.replace("from stages", "from stages import absent\nfrom stages", 1), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "stages.validate"], cwd=folder, capture_output=True, text=True)
    assert "Traceback" in done.stderr
    assert "ImportError: cannot import name 'absent' from 'stages'" in done.stderr
    assert "make clean" not in done.stderr


def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr("stages.program.flock", refuse)
    with locked("report"):
        pass
    assert caplog.messages == [
        ".ckpt/report.lock cannot be locked (Function not implemented): run one `make` or `dvc` at a time here"
    ]


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        (None, True, "cpu"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        (None, False, "cpu"),
    ],
)
def test_a_gpu_is_taken_where_it_is_asked_for(
    asked: str | None, available: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESCENT_DEVICE", raising=False)
    if asked:
        monkeypatch.setenv("DESCENT_DEVICE", asked)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert chosen_device().type == chosen


@pytest.mark.parametrize(
    ("asked", "said"), [("cuda", "torch can use no GPU here"), ("tpu", "expected cpu, cuda or auto")]
)
def test_what_cannot_be_had_is_refused(asked: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESCENT_DEVICE", asked)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParamsError, match=f"^DESCENT_DEVICE={asked}: {said}"):
        chosen_device()
