"""Downloads against a real server on this machine that plays every kind of mirror."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from descent.errors import DownloadError
from descent.fetch import fetch

CONTENT = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
Play = Callable[[BaseHTTPRequestHandler, int], None]


def body(request: BaseHTTPRequestHandler, content: bytes, *, status: int = 200, length: int | None = None) -> None:
    """Answer with `content`, announcing `length` bytes."""
    request.send_response(status)
    request.send_header("Content-Length", str(len(content) if length is None else length))
    request.end_headers()
    request.wfile.write(content)


def offset(request: BaseHTTPRequestHandler) -> int:
    """Return where the client asks to continue."""
    return int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))


def good(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Deliver, from the place asked for."""
    start = offset(request)
    body(request, CONTENT[start:], status=206 if start else 200)


def busy_twice(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Be overloaded for two requests."""
    body(request, b"", status=503) if turn <= 2 else good(request, turn)


def cut_once(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Break off in the first answer, then continue."""
    body(request, CONTENT[:1000], length=len(CONTENT)) if turn == 1 else good(request, turn)


def cut_once_without_ranges(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Break off in the first answer, then send everything again."""
    body(request, CONTENT[:1000] if turn == 1 else CONTENT, length=len(CONTENT))


def cut_always(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Never come to the end."""
    body(request, CONTENT[:1000], length=len(CONTENT))


def silent(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Say nothing for longer than anyone waits."""
    time.sleep(0.5)


def stalling(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Fall silent in the middle of the first answer."""
    if turn == 1:
        body(request, CONTENT[:1000], length=len(CONTENT))
        request.wfile.flush()
        time.sleep(0.5)
    else:
        good(request, turn)


def nothing_left(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Send too much once, as if for another file, then refuse to continue."""
    if turn == 1:
        body(request, CONTENT + b"x", length=len(CONTENT) + 9)
    elif offset(request):
        body(request, b"", status=416)
    else:
        body(request, CONTENT)


def one_byte_wrong(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Deliver a damaged file."""
    body(request, b"\1" + CONTENT[1:])


def login_page(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Answer as a hotel's network does."""
    body(request, b"<html>Welcome! Please log in.</html>")


def missing(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Lack the file."""
    body(request, b"no such file", status=404)


def circle(request: BaseHTTPRequestHandler, turn: int) -> None:
    """Redirect for ever."""
    request.send_response(302)
    request.send_header("Location", request.path)
    request.end_headers()


@pytest.fixture
def serve() -> Iterator[Callable[[Play], tuple[str, list[str]]]]:
    """Start a server that plays a mirror; returns its address and the requests that it gets."""
    servers = []

    def start(play: Play) -> tuple[str, list[str]]:
        requests: list[str] = []

        class Mirror(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 - the name that the library calls
                requests.append(self.headers.get("Range", "all"))
                with suppress(BrokenPipeError):
                    play(self, len(requests))

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/folder", requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fetch_quickly(mirrors: list[str], folder: Path) -> None:
    """Fetch with little patience."""
    fetch("file.gz", DIGEST, mirrors, folder, pause=0.01, timeout=0.2)


@pytest.mark.parametrize(
    ("play", "requests"),
    [
        (good, ["all"]),
        (busy_twice, ["all"] * 3),
        (cut_once, ["all", "bytes=1000-"]),
        (cut_once_without_ranges, ["all", "bytes=1000-"]),
        (stalling, ["all", "bytes=1000-"]),
        (nothing_left, ["all", "bytes=256001-", "all"]),
    ],
)
def test_a_mirror_that_can_deliver_does(
    tmp_path: Path, serve: Callable[[Play], tuple[str, list[str]]], play: Play, requests: list[str]
) -> None:
    address, seen = serve(play)
    fetch_quickly([address], tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert seen == requests


@pytest.mark.parametrize(
    ("play", "tries", "reason"),
    [
        (missing, 1, "HTTP 404 Not Found"),
        (one_byte_wrong, 1, f"wrong file: expected SHA-256 {DIGEST}, received [0-9a-f]{{64}} \\(256000 bytes\\)"),
        (login_page, 1, r"wrong file: .* \(36 bytes\)"),
        (cut_always, 3, r"HTTP|broke off|wrong file"),
        (silent, 3, r"timed out \(3 tries\)"),
        (circle, None, "redirect"),
    ],
)
def test_a_mirror_that_cannot_is_refused_with_the_reason_and_the_next_one_asked(
    tmp_path: Path,
    serve: Callable[[Play], tuple[str, list[str]]],
    caplog: pytest.LogCaptureFixture,
    play: Play,
    tries: int | None,
    reason: str,
) -> None:
    (bad, seen), (better, _) = serve(play), serve(good)

    with pytest.raises(DownloadError, match=rf"no mirror delivered file.gz\n  {bad}/file.gz: .*{reason}"):
        fetch_quickly([bad], tmp_path)
    assert not list(tmp_path.iterdir())
    assert tries in (len(seen), None)

    fetch_quickly([bad, better], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz"]
    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert bad in caplog.text


def test_a_closed_port_is_tried_three_times(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"refused \(3 tries\)"):
        fetch_quickly(["http://127.0.0.1:1"], tmp_path)


@pytest.mark.parametrize("form", [str, Path.as_uri, lambda folder: f"{folder}/"])
def test_a_folder_is_a_mirror(tmp_path: Path, form: Callable[[Path], str]) -> None:
    folder = tmp_path / "a folder, with café"
    folder.mkdir()
    (folder / "file.gz").write_bytes(CONTENT)
    fetch_quickly([form(folder)], tmp_path / "here")
    assert (tmp_path / "here" / "file.gz").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("mirror", "reason"),
    [
        ("/nowhere", "No such file or directory"),
        ("ftp://example.org", "a mirror is a folder or begins with"),
        ("", "No such file or directory|wrong file"),
    ],
)
def test_a_mirror_that_is_none_is_named(tmp_path: Path, mirror: str, reason: str) -> None:
    with pytest.raises(DownloadError, match=reason):
        fetch_quickly([mirror], tmp_path)


def test_a_damaged_file_is_replaced(tmp_path: Path, serve: Callable[[Play], tuple[str, list[str]]]) -> None:
    (tmp_path / "file.gz").write_bytes(CONTENT[:-1])
    fetch_quickly([serve(good)[0]], tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_progress_is_reported_to_the_last_byte(tmp_path: Path, serve: Callable[[Play], tuple[str, list[str]]]) -> None:
    reports: list[tuple[int, int | None]] = []
    address, _ = serve(cut_once)
    fetch(
        "file.gz", DIGEST, [address], tmp_path, pause=0.01, progress=lambda done, total: reports.append((done, total))
    )
    assert reports[0] == (1000, 256000)
    assert reports[-1] == (256000, 256000)
