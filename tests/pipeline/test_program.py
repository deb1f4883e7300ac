"""A program that cannot go on says what its user can do, whatever is missing."""

import errno
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


def said_by(folder: Path, *options: str) -> str:
    """Return what a copy of the code says that must fail with status 1."""
    command = [sys.executable, *options]
    done = subprocess.run(command, cwd=folder, env={}, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    return done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the code and nothing else."""
    for name in ("src", "stages", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("program", ["stages.validate", "stages.train", "tools.repro"])
def test_a_python_without_the_packages_is_told_which_python_has_them(checkout: Path, program: str) -> None:
    said = said_by(checkout, "-S", "-m", program)  # -S: no packages
    assert said.startswith("ERROR: No module named '")
    assert sys.executable in said
    assert "`source .venv/bin/activate`" in said
    assert "`make repro`" in said
    assert "Traceback" not in said


def test_an_import_of_ours_that_fails_is_shown_with_its_place(checkout: Path) -> None:
    program = checkout / "stages" / "validate.py"
    text = program.read_text(encoding="utf-8")
    program.write_text(text.replace("from stages", "from stages import absent\nfrom stages", 1), encoding="utf-8")
    said = said_by(checkout, "-m", "stages.validate")
    assert "Traceback" in said
    assert "ImportError: cannot import name 'absent' from 'stages'" in said
    assert "make clean" not in said


def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.program.flock", refuse)
    with locked("report"):
        pass
    (message,) = caplog.messages
    assert message.startswith(".ckpt/report.lock cannot be locked (Function not implemented): run one `make`")


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        (None, True, "cpu"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cuda", False, "torch can use no GPU here"),
        ("tpu", False, "expected cpu, cuda or auto"),
    ],
)
def test_a_gpu_is_used_where_descent_device_asks_for_it(
    asked: str | None, available: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESCENT_DEVICE", raising=False)
    if asked:
        monkeypatch.setenv("DESCENT_DEVICE", asked)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    if chosen in ("cpu", "cuda"):
        assert chosen_device().type == chosen
    else:
        with pytest.raises(ParamsError, match=f"^DESCENT_DEVICE={asked}: {chosen}"):
            chosen_device()
