"""`make` uses an environment only if it works, replaces its own and leaves those of others alone."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.imports import ROOT
from tools.environment import EnvironmentFault, fault, install, main, remove

NUMBER = ".".join(map(str, sys.version_info[:3]))


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return an environment as `make` leaves it, with an imitation of pip."""
    folder = tmp_path / "dossier d'élève; $HOME & 数据" / ".venv"
    venv.create(folder)
    (folder / "made-by-make").touch()
    (folder / "bin" / "pip").write_text(f"#!{folder}/bin/python3.11\n", encoding="utf-8")
    (next(folder.glob("lib/python*/site-packages")) / "pip.py").touch()
    return folder


def script(path: Path, text: str) -> None:
    """Replace a file by a shell script."""
    path.unlink()
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def dangling(path: Path) -> None:
    """Replace an interpreter by a link to one that was removed."""
    path.unlink()
    path.symlink_to("/usr/lib/removed/python3")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "its Python does not run": lambda folder: dangling(folder / "bin" / "python"),
    "its Python is 3.9.18": lambda folder: script(
        folder / "bin" / "python", f"echo '{json.dumps([[3, 9, 18], 'x'])}'; exit 1"
    ),
    "it has no pip": lambda folder: shutil.rmtree(folder / "lib"),
    "its installation was interrupted": lambda folder: (folder / "installing").touch(),
    "it was made for /elsewhere/.venv": lambda folder: (folder / "bin" / "pip").write_text(
        '#!/bin/sh\n\'\'\'exec\' "/elsewhere/.venv/bin/python" "$0" "$@"\n'
    ),
}


def test_a_whole_environment_is_used(environment: Path) -> None:
    assert fault(environment) is None
    assert fault(environment, only=NUMBER) is None
    assert fault(environment, only="3.11.99") == f"its Python is {NUMBER}"


@pytest.mark.parametrize("reason", DAMAGE)
def test_a_damaged_environment_is_made_again(
    environment: Path, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGE[reason](environment)
    assert fault(environment) == reason
    remove(environment, reason)
    assert capsys.readouterr().out == f"Making {environment} again: {reason}.\n"
    assert not environment.exists()


@pytest.mark.parametrize("move", [shutil.copytree, Path.rename])
def test_an_environment_in_a_copied_or_renamed_folder_is_not_used(
    environment: Path, tmp_path: Path, move: Callable[[Path, Path], object]
) -> None:
    move(environment.parent, tmp_path / "other")
    assert fault(tmp_path / "other" / ".venv") == f"it was made for {environment}"


@pytest.mark.parametrize("kind", ["a foreign folder", "a link", "a file"])
def test_what_make_did_not_make_is_left_alone(environment: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".venv"
    match kind:
        case "a foreign folder":
            (environment / "made-by-make").unlink()
            path = environment
        case "a link":
            path.symlink_to(environment)
        case "a file":
            path.touch()
    with pytest.raises(EnvironmentFault, match="has no pip; `make` did not make it, so remove it, or move it away"):
        remove(path, "it has no pip")
    assert path.exists()
    assert environment.exists()


def test_a_link_to_the_environment_of_another_project_is_not_used(environment: Path, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(environment)
    assert fault(tmp_path / ".venv") == f"it is a link to {environment}"


def test_what_a_killed_removal_left_is_removed_too(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".venv.part" / "bin").mkdir(parents=True)
    environment.rename(".venv")
    remove(Path(".venv"), "it has no pip")
    assert not list(tmp_path.glob(".venv*"))


@pytest.mark.parametrize("status", [0, 1, -9])
def test_stamps_tell_of_what_is_installed(
    environment: Path, tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group whose packages another constraints.txt may have changed has no stamp, whatever becomes of pip."""
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text('[project]\nname = "descent"\ndependencies = ["torch"]\n')
    Path("constraints.txt").touch()
    (environment / "installed-docs").write_text("of another constraints.txt")
    done = subprocess.CompletedProcess([], status, "", "")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: done)
    with nullcontext() if status == 0 else pytest.raises(EnvironmentFault, match="pip could not install"):
        install(environment, "run")
    assert [path.name for path in environment.glob("installed-*")] == (["installed-run"] if status == 0 else [])
    assert (environment / "installing").exists() == (status < 0)  # after a kill it is made again


def test_an_empty_folder_counts_as_made_by_make(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    remove(tmp_path / ".venv", "its Python does not run")
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 15, 0)])
def test_a_python_that_is_not_supported_is_refused(version: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    words = f"descent needs Python 3.11 to 3.14, not {'.'.join(map(str, version))}: make PYTHON=python3.11 ..."
    with pytest.raises(EnvironmentFault, match=words):
        main("run")


BACKEND = """
import os, time, zipfile
WHEEL = "packages-0-py3-none-any.whl"
def build_wheel(folder, *_):
    time.sleep(float(os.environ.get("BUILDING", 0)))
    files = {f"{name}.py": "" for name in ("dvc", "matplotlib", "pandas", "torch")}
    files["packages-0.dist-info/METADATA"] = "Metadata-Version: 2.1\\nName: packages\\nVersion: 0\\n"
    files["packages-0.dist-info/WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    with zipfile.ZipFile(os.path.join(folder, WHEEL), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr("packages-0.dist-info/RECORD", "".join(f"{name},,\\n" for name in files))
    return WHEEL
"""
# Settings of a user with which pip installs into another place, or Python finds other modules.
HOSTILE = {
    "PIP_USER": "1",
    "PIP_TARGET": "/proc/target",
    "PIP_PREFIX": "/proc/prefix",
    "PYTHONHOME": "/proc/home",
    "PYTHONSAFEPATH": "1",
    "PIP_NO_INDEX": "1",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with this one's Makefile, whose only dependency is built from a folder."""
    folder = tmp_path / "a project"
    (folder / "tools").mkdir(parents=True)
    (folder / ".git").touch()
    for name in ("Makefile", "tools/environment.py"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "tools" / "results.py").write_text("import json")
    (tmp_path / "json.py").write_text("raise ImportError")
    (folder / "constraints.txt").touch()
    (folder / "packages").mkdir()
    (folder / "packages" / "backend.py").write_text(BACKEND, encoding="utf-8")
    (folder / "packages" / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "descent"\nversion = "0"\ndependencies = ["packages @ {(folder / "packages").as_uri()}"]\n'
    )
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "pip.conf").write_text("[install]\nuser = true\n[global]\ntarget = /proc/configured\n")
    return folder


def begun(project: Path, **environment: str) -> subprocess.Popen[str]:
    """Begin `make readme`, in a session of its own, for a user with hostile settings."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    hostile = HOSTILE | {"PYTHONPATH": str(project.parent), "XDG_CONFIG_HOME": str(project.parent)}
    return subprocess.Popen(  # noqa: S603
        ["make", "--no-print-directory", f"PYTHON={sys._base_executable}", "readme"],  # type: ignore[attr-defined] # noqa: S607
        cwd=project,
        env=settings | hostile | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_settings_of_a_user_move_no_installation(project: Path) -> None:
    said, _ = (running := begun(project)).communicate(timeout=100)
    assert running.returncode == 0, said
    assert len(list(project.glob(".venv/lib/python*/site-packages/torch.py"))) == 1
    again, _ = (running := begun(project)).communicate(timeout=100)
    assert (running.returncode, again) == (0, ".venv/bin/python -m tools.results README.md\n")


def test_a_folder_without_git_is_refused_before_anything_is_installed(project: Path) -> None:
    (project / ".git").unlink()
    said, _ = (running := begun(project)).communicate(timeout=100)
    assert running.returncode == 2
    assert said.startswith("ERROR: no git repository here, as in a ZIP, and DVC needs one: get the project with `git ")
    assert not (project / ".venv").exists()


def test_make_gives_dvc_a_user_and_a_home_where_there_are_none(project: Path) -> None:
    with (project / "Makefile").open("a") as file:
        file.write("\nshow:\n\t@env\n")
    kept = {
        "PATH": os.environ["PATH"],
        "GIT_DIR": "/elsewhere/.git",
        "GIT_WORK_TREE": "/elsewhere",
        "DVC_ROOT": "/else",
    }
    said = subprocess.run(["make", "show"], cwd=project, env=kept, capture_output=True, text=True, check=True).stdout
    found = dict(line.partition("=")[::2] for line in said.splitlines())
    assert (found["LOGNAME"], found["HOME"]) == (str(os.getuid()), f"{project}/.ckpt")
    assert not {"GIT_DIR", "GIT_WORK_TREE", "DVC_ROOT"} & found.keys()


def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr("tools.environment.fault", lambda *_: None)
    monkeypatch.setattr("tools.environment.install", lambda *_: None)
    Path(".venv").mkdir()
    main("docs")
    said = "WARNING: this folder cannot be locked (Function not implemented): run one `make` at a time here\n"
    assert capsys.readouterr().out == said


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["made-by-make", "installing"])
def test_after_a_kill_at_any_moment_make_goes_on(project: Path, moment: str) -> None:
    running = begun(project, BUILDING="60")
    deadline = monotonic() + 60
    while not (project / ".venv" / moment).exists():
        assert monotonic() < deadline
        sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    said, _ = (running := begun(project)).communicate(timeout=100)
    assert running.returncode == 0, said
    assert said.startswith("Making .venv again: it")
    assert (project / ".venv" / "installed-run").exists()
