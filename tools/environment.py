"""Install the packages that a target of the Makefile needs into .venv: `python3 -I tools/environment.py GROUP`.

Needs nothing but the standard library: it runs in the Python from which the environment is made.
"""

from __future__ import annotations  # so that an old Python gets as far as the message about its version

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

OLDEST, NEWEST = (3, 11), (3, 14)


class Group(NamedTuple):
    """A target's packages: an optional dependency of pyproject.toml, or all that are not optional."""

    extra: str
    modules: str  # must import afterwards
    includes: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()  # arguments of a second call of pip


# torchattacks requires an older `requests` than DVC does, and imports none.
TORCHATTACKS = ("--no-deps", "torchattacks==3.5.1")
GROUPS = {
    "run": Group("", "dvc, matplotlib, pandas, torch"),
    "docs": Group("docs", "mkdocs", ("run",)),
    "export": Group("onnx", "onnx, onnxruntime", ("run",)),
    "test": Group("test", "mypy, pytest, torchattacks", ("run", "docs", "export"), TORCHATTACKS),
    "test-all": Group("test-all", "moto", ("run", "docs", "export", "test"), TORCHATTACKS),
}
# An empty value overrides one in the user's pip.conf, with which pip would install into another place.
PIP_CONF = "".join(f"[{section}]\nuser =\ntarget =\nprefix =\nroot =\npython =\n" for section in ("global", "install"))
# There as long as pip works, and from before the environment is made, so that a half-made one is known as ours.
INSTALLING, MADE = "installing", "made-by-make"


class EnvironmentFault(Exception):
    """The environment cannot be made or used."""


def fault(folder: Path, only: str = "") -> str | None:
    """Return why an environment cannot be used, None if it can.

    Args:
        folder: Where it is.
        only: The one version of Python that will do, if not every supported one.
    """
    program = "import json, sys; print(json.dumps([sys.version_info[:3], sys.prefix]), flush=True); import pip"
    if folder.is_symlink():
        return f"it is a link to {folder.resolve()}"
    try:
        command = [str(folder / "bin" / "python"), "-I", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)  # noqa: S603 - no shell
        version, prefix = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return "its Python does not run"
    number = ".".join(map(str, version))
    if not OLDEST <= tuple(version[:2]) <= NEWEST or number != (only or number):
        return f"its Python is {number}"
    pip = folder / "bin" / "pip"
    if done.returncode or not pip.exists():
        return "it has no pip"
    # A script names the Python that it is for: in a renamed or copied folder, the one in the old place.
    script = pip.read_text(encoding="utf-8", errors="replace")
    if f"{folder.absolute()}/bin/python" not in script:
        named = re.search(r'(/[^\n"]*)/bin/python', script)
        prefix = named[1] if named else prefix
    if not Path(prefix).exists() or not Path(prefix).samefile(folder):
        return f"it was made for {prefix}"
    return "its installation was interrupted" if (folder / INSTALLING).exists() else None


def remove(folder: Path, reason: str) -> None:
    """Remove an environment that cannot be used.

    Raises:
        EnvironmentFault: `make` did not make it.
    """
    files = list(folder.glob("*")) if folder.is_dir() and not folder.is_symlink() else [folder]
    if files and folder / MADE not in files:
        raise EnvironmentFault(
            f"{folder} cannot be used: {reason}; `make` did not make it, so remove it, or move it away"
        )
    print(f"Making {folder} again: {reason}.", flush=True)
    # Removed under another name: half of it, after a kill, would not be known as ours.
    removed = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(removed, ignore_errors=True)
    folder.rename(removed)
    shutil.rmtree(removed)


def make(folder: Path) -> None:
    """Make an environment that has pip and no other package."""
    print(f"Installing into {folder}, once: a few minutes.", flush=True)
    folder.mkdir()
    (folder / MADE).touch()
    try:
        venv.create(folder, symlinks=True, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EnvironmentFault(f"{folder} could not be made: {error}") from error


def requirements(extra: str) -> list[str]:
    """Return what pyproject.toml asks for, with an optional dependency and all that this one names.

    The project itself is not installed: its programs import the library of the checkout that they lie in.
    """
    import tomllib  # an old Python has none

    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project.get("optional-dependencies", {})

    def expanded(asked: list[str]) -> Iterator[str]:
        for requirement in asked:
            name, _, extras = requirement.removesuffix("]").partition("[")
            if name == project["name"]:
                for own in extras.split(","):
                    yield from expanded(optional[own])
            else:
                yield requirement

    return list(expanded(project.get("dependencies", []) + optional.get(extra, [])))


def install(folder: Path, name: str) -> None:
    """Install the packages of a group, unless they are there as pyproject.toml and constraints.txt say."""
    group = GROUPS[name]
    asked = sha256(Path("pyproject.toml").read_bytes() + Path("constraints.txt").read_bytes()).hexdigest()
    stamps = [folder / f"installed-{each}" for each in (name, *group.includes)]
    if stamps[0].exists() and stamps[0].read_text(encoding="utf-8") == asked:
        return
    python, installing = str(folder / "bin" / "python"), folder / INSTALLING
    options = ["--quiet", "--disable-pip-version-check", "--constraint", "constraints.txt"]
    installing.touch()
    for stamp in folder.glob("installed-*"):
        if stamp.read_text(encoding="utf-8") != asked:
            stamp.unlink()  # its packages are about to change
    if not (folder / "pip.conf").exists():
        (folder / "pip.conf").write_text(PIP_CONF, encoding="utf-8")
    for requirement in filter(None, (requirements(group.extra), group.apart)):
        command = [python, "-I", "-m", "pip", "install", *options, *requirement]
        status = subprocess.run(command, env={**os.environ, "PIP_USER": "0"}).returncode  # noqa: S603
        if status:
            if status > 0:
                installing.unlink()  # pip was not killed: what was there before is whole
            raise EnvironmentFault("pip could not install the packages, see above")
    modules = ", ".join(GROUPS[each].modules for each in (name, *group.includes))
    done = subprocess.run([python, "-I", "-c", f"import {modules}"], capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        why = "".join(done.stderr.strip().splitlines()[-1:])
        raise EnvironmentFault(f"what pip installed into {folder} does not import: {why}")
    for stamp in stamps:
        stamp.write_text(asked, encoding="utf-8")
    installing.unlink()


def main(name: str, only: str = "") -> None:
    """Make the environment if there is none that can be used, and install a group of packages into it."""
    folder, here = Path(".venv"), os.open(".", os.O_RDONLY)
    number = ".".join(map(str, sys.version_info[:3]))
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise EnvironmentFault(f"descent needs Python 3.11 to 3.14, not {number}: make PYTHON=python3.11 ...")
    if name in ("run", "export") and not any((each / ".git").exists() for each in (Path.cwd(), *Path.cwd().parents)):
        raise EnvironmentFault(
            "no git repository here, as in a ZIP, and DVC needs one: get the project with `git clone`, or make one "
            "with `git init && git add --all && git commit --message Start`"
        )
    try:
        fcntl.flock(here, fcntl.LOCK_EX)  # until this process ends: one `make` installs, and another waits
    except OSError as error:  # some network file systems know no locks
        print(f"WARNING: this folder cannot be locked ({error.strerror}): run one `make` at a time here", flush=True)
    there = folder.exists() or folder.is_symlink()
    reason = fault(folder, number if only else "") if there else "there is none"
    if reason:
        if find_spec("ensurepip") is None:
            raise EnvironmentFault("this Python has no ensurepip; on Debian and Ubuntu: apt install python3-venv")
        if there:
            remove(folder, reason)
        make(folder)
    install(folder, name)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (EnvironmentFault, OSError, ValueError) as error:
        sys.exit(f"ERROR: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next `make` goes on.")
