"""Downloads from a real server on this machine; what mirrors do wrong is in tests/faults/test_mirrors.py."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import socket
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from descent.io.errors import DownloadError
from descent.sources.download import fetch
from descent.sources.web import SLOWEST

CONTENT = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
# Answers the request of this number, which has this text.
Play = Callable[[socket, str, int], None]


@contextmanager
def mirror(play: Play) -> Iterator[tuple[str, list[str]]]:
    """Run a server that plays a mirror; yield its address and the requests that it gets.

    It ends when all answers have, and so shows when one was not given up.
    """
    requests: list[str] = []

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(20)
            with suppress(OSError):  # the client hung up
                requests.append(self.request.recv(1 << 16).decode("latin-1"))
                play(self.request, requests[-1], len(requests))

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/folder", requests
        finally:
            server.shutdown()
            thread.join()


def head(status: str, *headers: str, length: int | None = None) -> bytes:
    """Return the head of an answer, with the length of its body where there is one."""
    lines = [f"HTTP/1.1 {status}", *headers, *([] if length is None else [f"Content-Length: {length}"])]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def start(request: str) -> int:
    """Return where the client asks to continue."""
    asked = re.search(r"Range: bytes=(\d+)-\r\n", request)
    return int(asked[1]) if asked else 0


def good(wire: socket, request: str, turn: int) -> None:
    """Deliver, from the place asked for."""
    first, whole = start(request), len(CONTENT)
    if first:
        wire.sendall(head("206 Partial", f"Content-Range: bytes {first}-{whole - 1}/{whole}", length=whole - first))
    else:
        wire.sendall(head("200 OK", length=whole))
    wire.sendall(CONTENT[first:])


def first(bad: Play, then: Play = good, times: int = 1) -> Play:
    """Play `bad` so many times, then the other."""
    return lambda wire, request, turn: (bad if turn <= times else then)(wire, request, turn)


def cut(wire: socket, request: str, turn: int) -> None:
    """Break off after a thousand bytes."""
    wire.sendall(head("200 OK", length=len(CONTENT)) + CONTENT[:1000])


def nothing_left(wire: socket, request: str, turn: int) -> None:
    """Send too much once, as if for another file, then refuse to continue."""
    if turn == 1:
        wire.sendall(head("200 OK", length=len(CONTENT) + 9) + CONTENT + b"x")
    elif start(request):
        wire.sendall(head("416 Range Not Satisfiable", length=0))
    else:
        good(wire, request, turn)


def elsewhere(wire: socket, request: str, turn: int) -> None:
    """Continue at another place than asked for, then send all."""
    if turn == 1:
        cut(wire, request, turn)
    elif start(request):
        wire.sendall(head("206 Partial", "Content-Range: bytes 0-255999/256000", length=len(CONTENT)) + CONTENT)
    else:
        good(wire, request, turn)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach this machine without a proxy, whatever this machine's owner has set."""
    monkeypatch.setenv("no_proxy", "*")


def fetch_quickly(mirrors: list[str], folder: Path) -> None:
    """Fetch without pauses."""
    fetch("file.gz", DIGEST, mirrors, folder, pause=0.01)


@pytest.mark.parametrize(
    ("play", "asked"),
    [
        (good, [0]),
        (first(cut), [0, 1000]),
        (nothing_left, [0, 256001, 0]),
        (elsewhere, [0, 1000, 0]),
    ],
)
def test_what_was_received_is_continued_where_the_server_can(tmp_path: Path, play: Play, asked: list[int]) -> None:
    with mirror(play) as (address, requests):
        fetch_quickly([address], tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert [start(request) for request in requests] == asked


def test_nothing_is_sent_but_the_request(tmp_path: Path) -> None:
    with mirror(good) as (address, requests):
        fetch_quickly([address], tmp_path)
    host = address.split("/")[2]
    assert requests == [
        "GET /folder/file.gz HTTP/1.1\r\n"
        f"Host: {host}\r\nUser-Agent: descent\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    ]


def test_a_proxy_of_the_environment_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mirror(good) as (address, requests):
        monkeypatch.setenv("no_proxy", "localhost")
        monkeypatch.setenv("http_proxy", address)
        fetch_quickly(["http://mirror.invalid"], tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert requests[0].startswith("GET http://mirror.invalid/file.gz HTTP/1.1\r\n")


def test_the_password_of_a_proxy_is_not_taken_along_where_it_redirects_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirror(good) as (address, requests):

        def leading_on(wire: socket, request: str, turn: int) -> None:
            assert "Proxy-Authorization: Basic" in request
            wire.sendall(head("302 Found", f"Location: {address}/file.gz", length=0))

        with mirror(leading_on) as (proxy, _):
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            monkeypatch.setenv("http_proxy", proxy.replace("//", "//user:secret@"))
            fetch_quickly(["http://mirror.invalid"], tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert "Authorization" not in requests[0]


@pytest.mark.parametrize("form", [str, Path.as_uri, lambda folder: f"{folder}/", lambda folder: f"~/{folder.name}"])
def test_a_folder_is_a_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Callable[[Path], str]) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "a folder, with café #1?"
    folder.mkdir()
    (folder / "file.gz").write_bytes(CONTENT)
    fetch_quickly([form(folder)], tmp_path / "here")
    assert (tmp_path / "here" / "file.gz").read_bytes() == CONTENT


def test_a_folder_is_found_as_the_system_finds_it(tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    (tmp_path / "far" / "file.gz").write_bytes(CONTENT)
    fetch_quickly([f"{tmp_path}/link/.."], tmp_path / "here")
    assert (tmp_path / "here" / "file.gz").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "address", ["~/mirror", "~no-such-user/mirror", "", "/", "\0", "file:///%00", "file://host/folder"]
)
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DownloadError, match="No such file|null (byte|character)|third slash"):
        fetch_quickly([address], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(CONTENT[:-1])
    with mirror(good) as (address, _):
        fetch_quickly([address], tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_progress_is_reported_to_the_last_byte(tmp_path: Path) -> None:
    reports: list[tuple[int, int | None]] = []
    with mirror(first(cut)) as (address, _):
        fetch("file.gz", DIGEST, [address], tmp_path, pause=0.01, progress=lambda *report: reports.append(report))
    assert reports[0] == (1000, 256000)
    assert reports[-1] == (256000, 256000)


def test_a_failure_of_the_one_who_is_told_of_progress_is_not_the_mirrors(tmp_path: Path) -> None:
    def closed(received: int, total: int | None) -> None:
        raise BrokenPipeError

    with mirror(good) as (address, requests), pytest.raises(BrokenPipeError):
        fetch("file.gz", DIGEST, [address], tmp_path, progress=closed)
    assert len(requests) == 1
    assert not list(tmp_path.iterdir())


def test_a_mirror_of_20_kb_a_second_is_fast_enough() -> None:
    assert SLOWEST <= 10_000
