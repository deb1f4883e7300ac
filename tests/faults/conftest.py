"""The pipeline run with everything else different, and what several tests of faults need."""

import json
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.workspace import Once, Workspace, cloned


def in_its_place(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Remove a file, and make something else there."""

    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


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
    mirror: str
    heard: list[Heard]


@pytest.fixture(scope="session")
def elsewhere(miniature: Workspace, once: Once) -> Elsewhere:
    """Run the miniature again: another folder, user, home, language, time zone, hash seed, threads; and listen."""
    hooks, heard = (miniature.folder.parent / name for name in ("hooks", "heard"))

    def run(folder: Path) -> Workspace:
        hooks.mkdir()
        heard.mkdir()
        (hooks / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
        workspace = cloned(miniature.folder, folder)
        (workspace.folder / "dvc.lock").unlink()
        handler = partial(SimpleHTTPRequestHandler, directory=str(heard))  # it has none of the files
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            workspace.environment |= {
                "DESCENT_MIRROR": f"http://127.0.0.1:{server.server_port}",
                "HOME": "/proc/no-home",
                "LANG": "tr_TR.UTF-8",
                "LC_ALL": "tr_TR.UTF-8",
                "LOGNAME": "somebody",
                "MKL_NUM_THREADS": "2",
                "OMP_DYNAMIC": "TRUE",
                "OMP_NUM_THREADS": "2",
                "PYTHONHASHSEED": "4242",
                "PYTHONPATH": str(hooks),
                "RECORD_IN": str(heard),
                "TZ": "Pacific/Kiritimati",
                "USER": "somebody",
            }
            workspace.first_run = f"{server.server_port}\n{workspace.run('dvc', 'repro')}"
            server.shutdown()
        return workspace

    workspace = once("dossier d'élève; $HOME & 数据", run)
    lines = [line for path in heard.iterdir() for line in path.read_text("utf-8").splitlines()]
    port = workspace.first_run.partition("\n")[0]
    return Elsewhere(workspace, f"http://127.0.0.1:{port}", [Heard(*json.loads(line)) for line in lines])
