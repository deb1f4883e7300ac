"""Temporary repositories in which tests run the real commands."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.imports import ROOT

RESULTS = (
    "dvc.lock",
    "metrics/",
    "plots/",
    "data/",
    "models/",
    "report/",
    *(f"export/{name}" for name in ("dvc.lock", "mlp", "convnet")),
    *(f"studies/{name}" for name in ("dvc.lock", "results/", "figures/", "index.html")),
)
# A port on which nothing listens.
NO_MIRROR = "http://127.0.0.1:9"


class Workspace:
    """A repository in a folder of its own, and the commands that its user types there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first_run = ""
        # Without SHELL, as under cron or in CI, DVC takes /bin/sh, which may stay between it and the stage.
        kept = (name for name in os.environ if name != "SHELL" and not name.startswith(("DESCENT_", "DVC_")))
        self.environment = {name: os.environ[name] for name in kept}
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def run(self, *command: str, status: int = 0, limit: Callable[[], object] | None = None, **environment: str) -> str:
        """Run a command and return all that it prints; `limit` is called in the new process before the command."""
        done = subprocess.run(  # noqa: S603
            command,
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            preexec_fn=limit,  # noqa: PLW1509 - no threads here
        )
        assert done.returncode == status, f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own; its output is read by `communicate`."""
        return subprocess.Popen(  # noqa: S603
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ran(self, *command: str) -> set[str]:
        """Run a `dvc repro` and return the names of the stages that it ran."""
        return stages_run(self.run("dvc", "repro", *command))

    def commit(self, message: str) -> None:
        """Commit everything that is not ignored."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def set(self, name: str = "params.yaml", /, **values: object) -> None:
        """Change values in a file, given by their names with __ for the dots and _ for the dashes of runs."""
        path, yaml = self.folder / name, YAML()
        params = yaml.load(path)
        for key, value in values.items():
            *parents, last = key.split("__")
            section = params
            for parent in parents:
                section = section[parent if parent in section else parent.replace("_", "-")]
            assert last in section, key
            section[last] = value
        yaml.dump(params, path)

    def set_study(self, name: str, **keys: object) -> None:
        """Give a study in studies.yaml two seeds, and other values of some keys."""
        path, yaml = self.folder / "studies.yaml", YAML()
        studies = yaml.load(path)
        studies["studies"][name] |= {"seeds": 2} | keys
        yaml.dump(studies, path)

    def outcomes(self) -> dict[str, int]:
        """Return when the outcome of each trial was written, by name."""
        return {path.name: path.stat().st_mtime_ns for path in (self.folder / ".ckpt" / "trials").glob("*.json")}

    def outputs(self) -> dict[str, bytes]:
        """Return the bytes of every output, by path."""
        folders = ("data", "models", "metrics", "plots", "report")
        files = (path for name in folders for path in (self.folder / name).rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}


# Makes a workspace of this name in the first worker that asks for it, and gives it to the others.
Once = Callable[[str, Callable[[Path], Workspace]], Workspace]


def stages_run(said: str) -> set[str]:
    """Return the names of the stages that DVC says it ran."""
    return {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")}


def copied_code(folder: Path) -> Workspace:
    """Copy the code as it stands, without any result, into a new repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in listed.split("\0"):
        if name and not name.startswith(RESULTS) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    workspace = Workspace(folder)
    workspace.run("git", "init", "--quiet", "--initial-branch=main")
    return workspace


def cloned(source: Path, folder: Path) -> Workspace:
    """Clone what is committed, as a newcomer does: no cache, no data."""
    subprocess.run(["git", "clone", "--quiet", f"file://{source}", str(folder)], check=True)
    return Workspace(folder)


def copy(source: Workspace, folder: Path) -> Workspace:
    """Copy a workspace with its results, cache and history, for a test that changes it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "--archive", "--reflink=auto", str(source.folder), str(folder)], check=True)
    return Workspace(folder)


def locks(workspace: Workspace) -> Any:  # noqa: ANN401
    """Return the content of dvc.lock, in which the order of the stages varies."""
    return YAML(typ="safe").load(workspace.folder / "dvc.lock")
