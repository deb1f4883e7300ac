"""Keeps what each fault led to; `make faults` writes it into docs/faults.md."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.imports import ROOT
from tests.workspace import Workspace, cloned

TABLE = ROOT / "docs" / "faults.md"
Tell = Callable[[str, str, str], None]
ROWS = pytest.StashKey[list[tuple[str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make faults` ask for the table."""
    parser.addoption("--write-faults", action="store_true", help="write docs/faults.md from the faults that were run")


def pytest_configure(config: pytest.Config) -> None:
    """Begin with an empty table."""
    config.stash[ROWS] = []


@pytest.fixture
def tell(request: pytest.FixtureRequest, tmp_path: Path) -> Tell:
    """Return what takes a row of the table: what was tried, what must happen, what happened."""
    chapter = (request.module.__doc__ or "").splitlines()[0].rstrip(".")

    def told(tried: str, must: str, happened: str) -> None:
        for secret in (str(tmp_path.resolve()), str(tmp_path)):
            happened = happened.replace(secret, "…")
        happened = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:…", happened.strip())
        cells = (
            cell.replace("|", "\\|").replace("][", "]\\[").replace("\n", "<br>") for cell in (tried, must, happened)
        )
        request.config.stash[ROWS].append((chapter, f"| {' | '.join(cells)} |"))

    return told


def in_its_place(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Remove a file, and make something else there."""

    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


@pytest.fixture(scope="session")
def rows(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    """Return the rows so far, each after its chapter."""
    return request.config.stash[ROWS]


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
def elsewhere(miniature: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """Run the miniature again: another folder, user, home, language, time zone, hash seed, threads; and listen."""

    class Missing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name that the library calls
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    base = tmp_path_factory.mktemp("elsewhere")
    (base / "hooks").mkdir()
    (base / "heard").mkdir()
    (base / "hooks" / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
    workspace = cloned(miniature.folder, base / "dossier d'élève; $HOME & 数据")
    (workspace.folder / "dvc.lock").unlink()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Missing)
    server.daemon_threads = True
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
        "PYTHONPATH": f"{base / 'hooks'}:{workspace.folder / 'src'}",
        "RECORD_IN": str(base / "heard"),
        "TZ": "Pacific/Kiritimati",
        "USER": "somebody",
    }
    workspace.first_run = workspace.run("dvc", "repro")
    server.shutdown()
    lines = [line for path in (base / "heard").iterdir() for line in path.read_text("utf-8").splitlines()]
    yield Elsewhere(workspace, workspace.environment["DESCENT_MIRROR"], [Heard(*json.loads(line)) for line in lines])
    server.server_close()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the table where it was asked for: the chapters that were run, as they went; the others stay as they are."""
    if not session.config.getoption("write_faults", default=False):
        return
    chapters: dict[str, list[str]] = {}
    for part in TABLE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, *lines = part.splitlines()
        chapters[title] = [line for line in lines if line.startswith("| ")][2:]
    chapters |= {chapter: [] for chapter, _ in session.config.stash[ROWS]}
    for chapter, row in session.config.stash[ROWS]:
        chapters[chapter].append(row)
    lines = [
        "# What was tried to break it",
        "",
        f"{sum(map(len, chapters.values()))} faults, each a test in `tests/faults/`; `make faults` runs them all and "
        "writes this table.",
    ]
    for chapter, rows in sorted(chapters.items()):
        lines += ["", f"## {chapter}", "", "| tried | must happen | happened |", "| --- | --- | --- |", *rows]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
