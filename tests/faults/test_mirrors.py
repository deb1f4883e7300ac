"""Bad mirrors, each played by a server on this machine, or a folder."""

import os
import re
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from socket import EAI_NONAME, SO_LINGER, SOL_SOCKET, gaierror, socket
from typing import NamedTuple
from unittest.mock import Mock

import pytest
import urllib3

from tests.sources.test_download import CONTENT, GOOD, Play, fetch_quietly, head, mirror, quick, says

__all__ = ["quick"]
WHOLE, LIMIT = len(CONTENT), 1 << 20
Refuse = Callable[..., None]


def redirects(address: str) -> Play:
    """Lead to another address always."""
    return says(head("302 Found", f"Location: {address}", length=0))


def for_ever(beginning: bytes, again: bytes, pause: float = 0.0) -> Play:
    """Repeat `again` until the client hangs up."""

    def play(wire: socket, request: str, turn: int) -> None:
        wire.sendall(beginning)
        while True:
            wire.sendall(again)
            time.sleep(pause)

    return play


def silent(beginning: bytes) -> Play:
    """Say nothing more until the client hangs up."""

    def play(wire: socket, request: str, turn: int) -> None:
        wire.sendall(beginning)
        wire.recv(1)

    return play


def reset(wire: socket, request: str, turn: int) -> None:
    """Have the connection reset after a thousand bytes."""
    wire.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    CUT(wire, request, turn)
    wire.close()


def first(bad: Play, times: int = 1) -> Play:
    """Play `bad` so many times, then deliver."""
    return lambda wire, request, turn: (bad if turn <= times else GOOD)(wire, request, turn)


CUT = says(head("200 OK", length=WHOLE), CONTENT[:1000])
CHUNKED = head("200 OK", "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n" % (WHOLE, CONTENT)


class Bad(NamedTuple):
    """A mirror that cannot deliver; `…` in its reason stands for anything."""

    tried: str
    play: Play
    reason: str
    requests: int = 3
    limits: dict[str, float] = {}
    scheme: str = "http:"


SILENCE, PATIENCE = {"silence": 0.2}, {"patience": 0.5}
WRONG, LATE, LARGE = "SHA256 hash of …", "not done after 0.5 s", f"more than {LIMIT} bytes: not one of the four files"
NO_MIRROR = "a mirror is a folder, file://…, http://… or https://…, without a user's name"
REFUSED = [
    Bad("HTTP 404", says(head("404 Not Found", length=0)), "HTTP 404 Not Found", 1),
    Bad("HTTP 500, always", says(head("500 Oops", length=0)), "HTTP 500 Oops"),
    Bad("an HTML page with status 200", says(head("200 OK", length=13), b"<p>Log in</p>"), WRONG),
    Bad("silence before the head", silent(b""), "timed out", 3, SILENCE),
    Bad("a head that drips", for_ever(b"HTTP/1.1 200 OK\r\n", b"x", pause=0.01), LATE, 1, PATIENCE),
    Bad("a body that drips", for_ever(head("200 OK", length=9999), b"x", pause=0.01), LATE, 1, PATIENCE),
    Bad("`100 Continue` for ever", for_ever(b"", head("100 Continue")), LATE, 1, PATIENCE),
    Bad("headers for ever", for_ever(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"), "got more than 100 headers"),
    Bad("a body without end", for_ever(head("200 OK"), b"x" * LIMIT), LARGE, 1),
    Bad("a trailer without end", for_ever(CHUNKED, b"x" * 60_000 + b"\r\n"), LATE, 1, PATIENCE),
    Bad("a Content-Length of 10 GB", silent(head("200 OK", length=10**10)), LARGE, 1),
    Bad("the connection reset in the body", reset, "Connection reset by peer"),
    Bad("the end after 1000 bytes, always", CUT, "IncompleteRead(1000 bytes read, 255000 more expected)"),
    Bad("a redirect to a file", redirects("file:///etc/passwd"), "redirected from http:// to file:///etc/passwd", 1),
    Bad("a redirect to an address with a password", redirects("http://me:it@host/"), NO_MIRROR, 1),
    Bad("a redirect to what is no address", redirects("http://["), "Invalid IPv6 URL"),
    Bad("a redirect to nowhere", says(head("302 Found", length=0)), "HTTP 302 Found", 1),
    Bad("a redirect to itself, for ever", redirects("file.gz"), "more than 5 redirects", 6),
    Bad("another protocol", says(b"SSH-2.0-OpenSSH_9.6\r\n"), "SSH-2.0-OpenSSH_9.6"),
    Bad("signals to the terminal, and 9 kB", says(head("404 \x1b[2J" + "x" * 9000, length=0)), "HTTP 404 ?[2Jxxx…", 1),
    Bad("http behind https://", GOOD, "[SSL: …", 3, {}, "https:"),
    Bad("an SSL handshake that drips", for_ever(b"\x16\x03\x03\x40\0", b"x", 0.01), LATE, 1, PATIENCE, "https:"),
]
DELIVERS: list[tuple[str, Play, dict[str, float]]] = [
    ("HTTP 503, twice", first(says(head("503 Busy", length=0)), times=2), {}),
    ("the end after 1000 bytes, once", first(CUT), {}),
    ("silence in the body, once", first(silent(head("200 OK", length=WHOLE) + CONTENT[:1000])), {"silence": 1.0}),
    ("the file in chunks", says(CHUNKED, b"\r\n"), {}),
    ("the file, said to be in gzip for its name", says(head("200 OK", "Content-Encoding: gzip"), CONTENT), {}),
    ("a Content-Length that is no number", says(head("200 OK", "Content-Length: much"), CONTENT), {}),
]


@pytest.fixture
def refuse(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Return a function that sees a mirror refused for a reason, and the next one asked."""
    monkeypatch.setattr("descent.sources.download.LIMIT", LIMIT)
    here, better = tmp_path / "here", tmp_path / "better"
    better.mkdir()
    (better / "file.gz").write_bytes(CONTENT)

    def refuse(address: str, reason: str, **limits: float) -> None:
        fetch_quietly([address, str(better)], here, **limits)
        (line,) = caplog.messages
        said = line.partition("/file.gz: ")[2]
        assert re.fullmatch(".*".join(map(re.escape, reason.split("…"))), said)
        assert line.isprintable()
        assert len(said) <= 300
        assert {path.name: path.read_bytes() for path in here.iterdir()} == {"file.gz": CONTENT}

    return refuse


@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")  # the alarm interrupts its handshake
@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.tried)
def test_a_server_that_cannot_deliver_is_refused_with_the_reason(refuse: Refuse, bad: Bad) -> None:
    with mirror(bad.play) as (address, requests):
        refuse(address.replace("http:", bad.scheme), bad.reason, **bad.limits)
    assert len(requests) == bad.requests


@pytest.mark.parametrize(("play", "limits"), [each[1:] for each in DELIVERS], ids=[tried for tried, *_ in DELIVERS])
def test_a_server_that_can_deliver_does(tmp_path: Path, play: Play, limits: dict[str, float]) -> None:
    with mirror(play) as (address, _):
        fetch_quietly([address], tmp_path, **limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file.gz": CONTENT}


def test_a_redirect_is_followed_before_its_body_ends(tmp_path: Path) -> None:
    left = threading.Event()

    def endless(wire: socket, request: str, turn: int) -> None:
        try:
            for_ever(head("302 Found", f"Location: {there}/file.gz"), b"x" * LIMIT)(wire, request, turn)
        finally:
            left.set()

    def patient(wire: socket, request: str, turn: int) -> None:
        (GOOD if left.wait(5) else says(head("404 Still there", length=0)))(wire, request, turn)

    with mirror(patient) as (there, _), mirror(endless) as (address, _):
        fetch_quietly([address], tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_redirect_does_not_lead_from_https_to_http(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    # Saves a certificate.
    monkeypatch.setattr(urllib3.connection.HTTPSConnection, "connect", urllib3.connection.HTTPConnection.connect)
    with mirror(redirects("http://localhost/x")) as (address, _):
        refuse(address.replace("http:", "https:"), "redirected from https:// to http://localhost/x")


def test_a_proxy_that_drips_is_given_up(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    with mirror(for_ever(b"HTTP/1.1 200 OK\r\n", b"x", pause=0.01)) as (address, _):
        monkeypatch.setenv("no_proxy", "localhost")
        monkeypatch.setenv("https_proxy", address)
        refuse("https://mirror.invalid", LATE, **PATIENCE)


def test_an_unknown_host_is_refused(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where there is no network a resolver takes its time to say so, and in other words.
    unknown = Mock(side_effect=gaierror(EAI_NONAME, "Name or service not known"))
    monkeypatch.setattr("socket.getaddrinfo", unknown)
    refuse("http://mirror.invalid", "Name or service not known")


@pytest.mark.parametrize("word", ["secret", "sec/ret", "sec ret", "sec℀ret"])
def test_a_password_in_an_address_is_neither_sent_nor_said(
    refuse: Refuse, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], word: str
) -> None:
    with mirror(GOOD) as (address, requests):
        refuse(address.replace("//", f"//user:{word}@"), NO_MIRROR)
    assert not requests
    assert "@127.0.0.1" in caplog.text
    assert "sec" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file or directory"),
        (Path.mkdir, "not a file"),
        (os.mkfifo, "not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("/proc/self/mem"), "Input/output error"),
        (lambda path: path.write_bytes(CONTENT[:1000]), WRONG),
        (lambda path: path.write_bytes(bytes(LIMIT + 1)), LARGE),
        (lambda path: path.with_suffix("").touch(), "only file is there; its hash is that of the packed file, file.gz"),
    ],
)
def test_a_folder_that_cannot_deliver_is_refused_with_the_reason(
    tmp_path: Path, refuse: Refuse, make: Callable[[Path], object], reason: str
) -> None:
    (tmp_path / "folder").mkdir()
    make(tmp_path / "folder" / "file.gz")
    refuse(str(tmp_path / "folder"), reason)
