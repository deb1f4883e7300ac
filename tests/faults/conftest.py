"""The pipeline run with everything else different."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.workspace import Once, Workspace, cloned

# Python tells its own hooks of these; what a process did and to what goes into a file of its own.
RECORDER = """
import json, os, sys
WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "pickle.find_class",
           "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
def _heard(event, args, _file=os.environ["RECORD_IN"], _words=list(sys.orig_argv)):
    if event in WATCHED:
        with open(f"{_file}/{os.getpid()}.jsonl", "a") as file:
            file.write(json.dumps([_words, event, repr(args)]) + "\\n")
sys.addaudithook(_heard)
"""


class Heard(NamedTuple):
    """What a process did that could reach beyond it."""

    words: list[str]
    event: str
    args: str


class Elsewhere(NamedTuple):
    """The pipeline run with everything else different, and what it did."""

    workspace: Workspace
    heard: list[Heard]


@pytest.fixture(scope="session")
def elsewhere(miniature: Workspace, once: Once) -> Elsewhere:
    """Run the miniature again: another folder, user, home, language, time zone, hash seed, threads; and listen."""
    hooks, heard = (miniature.folder.parent / name for name in ("hooks", "heard"))
    threads = {"MKL_NUM_THREADS": "2", "OMP_DYNAMIC": "TRUE", "OMP_NUM_THREADS": "2"}
    user = {"HOME": "/proc/no-home", "LOGNAME": "somebody", "USER": "somebody", "TZ": "Pacific/Kiritimati"}
    language = {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "4242"}

    def run(folder: Path) -> Workspace:
        hooks.mkdir()
        heard.mkdir()
        (hooks / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
        workspace = cloned(miniature.folder, folder)
        (workspace.folder / "dvc.lock").unlink()
        workspace.environment |= threads | user | language | {"PYTHONPATH": str(hooks), "RECORD_IN": str(heard)}
        workspace.first_run = workspace.run("dvc", "repro")
        return workspace

    workspace = once("dossier d'élève; $HOME & 数据", run)
    lines = [line for path in heard.iterdir() for line in path.read_text("utf-8").splitlines()]
    return Elsewhere(workspace, [Heard(*json.loads(line)) for line in lines])
