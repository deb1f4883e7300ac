"""`make` installs what is needed into an environment of its own, and leaves those of others alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from zipfile import ZipFile

import pytest

from tests.imports import ROOT

# Settings of a user with which pip installs into another place, or Python finds other modules.
HOSTILE = {"PIP_USER": "1", "PIP_TARGET": "/proc/target", "PIP_PREFIX": "/proc/prefix", "PIP_NO_INDEX": "1"}
HOSTILE |= {"PYTHONHOME": "/proc/home", "PYTHONSAFEPATH": "1"}
# Imitates a Python whose environments are made, and whose packages installed, at once.
IMITATION = f"""#!/bin/sh
case "$*" in
    "-m venv .venv") mkdir .venv/bin && cp "$0" .venv/bin/python && $MAKING ;;
    *"-m pip"*) echo pip; $INSTALLING ;;
    -V) echo Python 3.11.2 ;;
    "-c import ensurepip") $ENSUREPIP ;;
    -I*environment.py*) exec {sys.executable} "$@" ;;
esac
"""
INSTALLING, DONE = "Installing into .venv, once: a few minutes.", ".venv/bin/python -m tools.results README.md"
AGAIN = "Making .venv again: it is half made, was made elsewhere, or its Python does not run."


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with this one's Makefile, whose only dependency is a file."""
    folder = tmp_path / "dossier d'élève; & 数据"
    wheel = tmp_path / "packages" / "p-0-py3-none-any.whl"
    for path, text in {
        folder / "Makefile": (ROOT / "Makefile").read_text(encoding="utf-8"),
        folder / "tools" / "environment.py": (ROOT / "tools" / "environment.py").read_text(encoding="utf-8"),
        folder / "tools" / "results.py": "import json",
        folder / "pyproject.toml": f'[project]\nname = "descent"\ndependencies = ["p @ {wheel.as_uri()}"]\n',
        folder / "constraints.txt": "",
        tmp_path / "json.py": "raise ImportError",
        tmp_path / "pip" / "pip.conf": "[install]\nuser = true\n[global]\ntarget = /proc/configured\n",
        tmp_path / "python": IMITATION,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "python").chmod(0o755)
    wheel.parent.mkdir()
    with ZipFile(wheel, "w") as file:
        file.writestr("torch.py", "")
        file.writestr("p-0.dist-info/METADATA", "Metadata-Version: 2.1\nName: p\nVersion: 0\n")
        file.writestr("p-0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("p-0.dist-info/RECORD", "torch.py,,\n")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def begun(project: Path, python: str = "", **environment: str) -> subprocess.Popen[str]:
    """Begin `make readme`, in a session of its own, for a user with hostile settings."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "GIT_"))}
    hostile = HOSTILE | {"PYTHONPATH": str(project.parent), "XDG_CONFIG_HOME": str(project.parent)}
    return subprocess.Popen(
        ["make", "--no-print-directory", f"PYTHON={python or project.parent / 'python'}", "readme"],
        cwd=project,
        env=settings | hostile | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def said(project: Path, python: str = "", status: int = 0, **environment: str) -> list[str]:
    """Run `make readme` to its end, and return the lines that it printed."""
    words, _ = (running := begun(project, python, **environment)).communicate(timeout=300)
    assert running.returncode == status, words
    return words.splitlines()


@pytest.mark.slow
def test_settings_of_a_user_move_no_installation(project: Path) -> None:
    words = said(project, python=sys._base_executable)  # type: ignore[attr-defined]
    assert words == [INSTALLING, DONE]
    assert len(list(project.glob(".venv/lib/python*/site-packages/torch.py"))) == 1


def test_packages_are_installed_once_and_again_after_a_change(project: Path) -> None:
    assert said(project) == [INSTALLING, "pip", DONE]
    assert said(project) == [DONE]
    for name in ("constraints.txt", "pyproject.toml"):
        os.utime(project / name)
        assert said(project) == ["pip", DONE]


def test_two_at_once_install_once(project: Path) -> None:
    first, second = (begun(project, INSTALLING="sleep 1") for _ in range(2))
    words = [running.communicate(timeout=100)[0].splitlines() for running in (first, second)]
    assert sorted(words, key=len) == [[DONE], [INSTALLING, "pip", DONE]]


@pytest.mark.parametrize(("file", "slow"), [("installing", "MAKING"), ("requirements.txt", "INSTALLING")])
def test_after_a_kill_at_any_moment_make_goes_on(project: Path, file: str, slow: str) -> None:
    running, deadline = begun(project, **{slow: "sleep 60"}), monotonic() + 60
    while not (project / ".venv" / file).exists():
        assert monotonic() < deadline
        sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    (project / ".venv.part").mkdir()  # as a killed removal leaves it
    assert said(project) == [AGAIN, INSTALLING, "pip", DONE]
    assert not (project / ".venv.part").exists()


def test_an_installation_that_fails_leaves_what_was_there(project: Path) -> None:
    said(project)
    os.utime(project / "constraints.txt")
    assert said(project, status=2, INSTALLING="false")[:2] == [
        "pip",
        "ERROR: pip could not install the packages, see above",
    ]
    assert said(project) == ["pip", DONE]


@pytest.mark.parametrize("damage", ["renamed", "broken", "of another Python"])
def test_an_environment_that_cannot_be_used_is_made_again(project: Path, damage: str) -> None:
    said(project)
    python = project / ".venv" / "bin" / "python"
    if damage == "renamed":
        project = project.rename(project.with_name("renamed"))
    elif damage == "broken":
        python.unlink()
        python.symlink_to("/usr/lib/removed/python3")
    else:
        python.write_text(IMITATION.replace("3.11.2", "3.10.1"))
    assert said(project) == [AGAIN, INSTALLING, "pip", DONE]


@pytest.mark.parametrize("command", ["mkdir .venv", "touch .venv", "ln -s ../packages .venv"])
def test_what_make_did_not_make_is_left_alone(project: Path, command: str) -> None:
    (project.parent / "packages" / "made-by-make").touch()
    subprocess.run(["sh", "-c", command], cwd=project, check=True)
    before = (project / ".venv").lstat()
    assert said(project, status=2)[0] == "ERROR: .venv: make did not make it; remove it, or move it away"
    assert (project / ".venv").lstat() == before


def test_a_python_without_ensurepip_is_an_error_with_its_remedy(project: Path) -> None:
    words = "ERROR: this Python has no ensurepip; on Debian and Ubuntu: apt install python3-venv"
    assert said(project, status=2, ENSUREPIP="false")[0] == words
    assert not (project / ".venv").exists()


def test_make_gives_dvc_a_user_and_a_home_where_there_are_none(project: Path) -> None:
    with (project / "Makefile").open("a") as file:
        file.write("\nshow:\n\t@env\n")
    foreign = {"GIT_DIR": "/elsewhere/.git", "GIT_WORK_TREE": "/elsewhere", "DVC_ROOT": "/else"}
    kept = {"PATH": os.environ["PATH"]} | foreign
    shown = subprocess.run(["make", "show"], cwd=project, env=kept, capture_output=True, text=True, check=True).stdout
    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    assert (found["LOGNAME"], found["HOME"]) == (str(os.getuid()), f"{project}/.ckpt")
    assert not foreign.keys() & found.keys()
