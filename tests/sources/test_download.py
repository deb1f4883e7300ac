"""Downloads from a real server on this machine; what mirrors do wrong is in tests/faults/test_mirrors.py."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from socket import socket
from socketserver import BaseRequestHandler, ThreadingTCPServer
from types import SimpleNamespace

import pytest
from tqdm import tqdm

from descent.io.errors import DownloadError
from descent.sources.download import fetch

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


def says(*answer: bytes) -> Play:
    """Give the same answer always."""
    return lambda wire, request, turn: wire.sendall(b"".join(answer))


GOOD = says(head("200 OK", length=len(CONTENT)), CONTENT)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once; reach this machine without a proxy, whatever its owner has set."""
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setenv("no_proxy", "*")


def fetch_quietly(mirrors: list[str], folder: Path, **limits: float) -> None:
    """Fetch the file, without a progress bar."""
    fetch("file.gz", DIGEST, mirrors, folder, tqdm(disable=True), **limits)


def test_nothing_is_sent_but_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login me password secret", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with mirror(GOOD) as (address, requests):
        fetch_quietly([address], tmp_path / "here")
    line, *headers = requests[0].strip().splitlines()
    assert line == "GET /folder/file.gz HTTP/1.1"
    assert {header.partition(":")[0] for header in headers} == {
        "Host", "User-Agent", "Accept-Encoding", "Accept", "Connection"
    }  # fmt: skip


def test_the_password_of_a_proxy_is_kept_from_the_next_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mirror(GOOD) as (address, requests):
        redirect = says(head("302 Found", f"Location: {address}/file.gz", length=0))
        with mirror(redirect) as (proxy, asked):
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            monkeypatch.setenv("http_proxy", proxy.replace("//", "//user:secret@"))
            fetch_quietly(["http://mirror.invalid"], tmp_path)
    assert asked[0].startswith("GET http://mirror.invalid/file.gz HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic" in asked[0]
    assert "Authorization" not in requests[0]


@pytest.mark.parametrize("form", [str, Path.as_uri, lambda folder: f"{folder}/", lambda folder: f"~/{folder.name}"])
def test_a_folder_is_a_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Callable[[Path], str]) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "a folder, with café #1?"
    folder.mkdir()
    (folder / "file.gz").write_bytes(CONTENT)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file.gz").write_bytes(CONTENT[:-1])
    fetch_quietly([form(folder)], tmp_path / "here")
    assert (tmp_path / "here" / "file.gz").read_bytes() == CONTENT
    assert (tmp_path / "here" / "file.gz").stat().st_mode & 0o044  # others may read it


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        (["~/mirror", "~no-such-user/mirror", "", "/"], "No such file or directory"),
        (["\0", "file:///%00"], ".*null (byte|character).*"),
        (["file://host/folder"], "file:// is followed by a path, .* third slash"),
        (["http://localhost:many", "http://["], "not an address: .*"),
        (["ftp://localhost"], "a mirror is a folder, .*"),
        (["http://127.0.0.1:9"], "Connection refused"),
    ],
)
def test_the_error_has_a_line_for_each_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, addresses: list[str], reason: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DownloadError) as error:
        fetch_quietly(addresses, tmp_path)
    title, *lines = str(error.value).splitlines()
    assert title == "no mirror delivered file.gz"
    assert [re.fullmatch(rf"  \S+/file\.gz: {reason}", line) is not None for line in lines] == [True] * len(addresses)
    assert not list(tmp_path.iterdir())


def test_progress_is_reported_to_the_last_byte(tmp_path: Path) -> None:
    with mirror(GOOD) as (address, _), tqdm(file=StringIO(), mininterval=1e9) as bar:
        fetch("file.gz", DIGEST, [address], tmp_path, bar)
        assert (bar.n, bar.total) == (len(CONTENT), len(CONTENT))


def test_a_failure_to_write_is_not_the_mirrors(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    with mirror(GOOD) as (address, requests), pytest.raises(FileExistsError):
        fetch_quietly([address], tmp_path / "here")
    assert len(requests) == 1
