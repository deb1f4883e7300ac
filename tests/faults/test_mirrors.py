"""Bad mirrors.

A server on this machine plays each, or a folder is one.
"""

import gzip
import os
import re
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from socket import EAI_NONAME, SO_LINGER, SOL_SOCKET, gaierror, socket
from typing import NamedTuple, NoReturn

import pytest
import urllib3
from ruamel.yaml import YAML

from tests.faults.table import Tell
from tests.imports import ROOT
from tests.sources.test_download import CONTENT, GOOD, Play, fetch_quietly, head, mirror, quick, says

__all__ = ["quick"]
WHOLE, LIMIT = len(CONTENT), 1 << 20
PAGE = says(head("200 OK", length=13), b"<p>Log in</p>")


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


SILENCE, PATIENCE = {"silence": 0.2}, {"patience": 0.5}
WRONG, LATE, LARGE = "SHA256 hash of …", "not done after 0.5 s", f"more than {LIMIT} bytes: not one of the four files"
NO_MIRROR = "a mirror is a folder, file://…, http://… or https://…, without a user's name"
REFUSED = [
    Bad("HTTP 404", says(head("404 Not Found", length=0)), "HTTP 404 Not Found", 1),
    Bad("HTTP 500, always", says(head("500 Oops", length=0)), "HTTP 500 Oops"),
    Bad("an HTML page with status 200", PAGE, WRONG),
    Bad("one byte wrong", says(head("200 OK", length=WHOLE), b"\1", CONTENT[1:]), WRONG),
    Bad("the file in another gzip", says(head("200 OK", "Content-Encoding: gzip"), gzip.compress(CONTENT)), WRONG),
    Bad("silence before the head", silent(b""), "timed out", 3, SILENCE),
    Bad("silence in the body", silent(head("200 OK", length=9999) + b"x"), "timed out", 3, SILENCE),
    Bad("a head that drips", for_ever(b"HTTP/1.1 200 OK\r\n", b"x", pause=0.01), LATE, 1, PATIENCE),
    Bad("a body that drips", for_ever(head("200 OK", length=9999), b"x", pause=0.01), LATE, 1, PATIENCE),
    Bad("`100 Continue` for ever", for_ever(b"", head("100 Continue")), LATE, 1, PATIENCE),
    Bad("headers for ever", for_ever(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"), "got more than 100 headers"),
    Bad("a body without end", for_ever(head("200 OK"), b"x" * LIMIT), LARGE, 1),
    Bad("a trailer without end", for_ever(CHUNKED, b"x" * 60_000 + b"\r\n"), LATE, 1, PATIENCE),
    Bad("a Content-Length of 10 GB", silent(head("200 OK", length=10**10)), LARGE, 1),
    Bad("the connection reset in the body", reset, "Connection reset by peer"),
    Bad("the end after 1000 bytes, always", CUT, "IncompleteRead(1000 bytes read, 255000 more expected)"),
    Bad("chunks without a length", says(head("200 OK", "Transfer-Encoding: chunked"), b"x\r\n"), "invalid literal …"),
    Bad(
        "a redirect to file:///etc/passwd",
        redirects("file:///etc/passwd"),
        "redirected from http:// to file:///etc/passwd",
        1,
    ),
    Bad("a redirect to an address with a password", redirects("http://me:it@host/"), NO_MIRROR, 1),
    Bad("a redirect to what is no address", redirects("http://["), "Invalid IPv6 URL"),
    Bad("a redirect to nowhere", says(head("302 Found", length=0)), "HTTP 302 Found", 1),
    Bad("a redirect to itself, for ever", redirects("file.gz"), "more than 5 redirects", 6),
    Bad("another protocol", says(b"SSH-2.0-OpenSSH_9.6\r\n"), "SSH-2.0-OpenSSH_9.6"),
    Bad("signals to the terminal, and 9 kB", says(head("404 \x1b[2J" + "x" * 9000, length=0)), "HTTP 404 ?[2Jxxx…", 1),
]
DELIVERS: list[tuple[str, Play, dict[str, float]]] = [
    ("HTTP 503, twice", first(says(head("503 Busy", length=0)), times=2), {}),
    ("the end after 1000 bytes, once", first(CUT), {}),
    ("silence in the body, once", first(silent(head("200 OK", length=WHOLE) + CONTENT[:1000])), {"silence": 1.0}),
    ("the file in chunks", says(CHUNKED, b"\r\n"), {}),
    ("the file, said to be in gzip for its name", says(head("200 OK", "Content-Encoding: gzip"), CONTENT), {}),
    ("a negative Content-Length", says(head("200 OK", length=-5), CONTENT), {}),
    ("a Content-Length that is no number", says(head("200 OK", "Content-Length: much"), CONTENT), {}),
]


def short(said: str) -> str:
    """Cut what makes a table too wide, or differs from machine to machine."""
    said = re.sub(r"\b[0-9a-f]{64}\b", "…", said)
    said = re.sub(r"\[SSL: .*\.c:\d+\)|_ssl\.c:\d+", "SSL", said)
    return re.sub("x{9,}", "x…", said)


@pytest.fixture
def refused(
    tmp_path: Path, tell: Tell, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Return what sees a mirror refused for a reason, and the next one asked."""
    monkeypatch.setattr("descent.sources.download.LIMIT", LIMIT)
    here, better = tmp_path / "here", tmp_path / "better"
    better.mkdir()
    (better / "file.gz").write_bytes(CONTENT)

    def refuse(tried: str, address: str, reason: str, **limits: float) -> None:
        fetch_quietly([address, str(better)], here, **limits)
        (line,) = caplog.messages
        said = line.partition("/file.gz: ")[2]
        tell(tried, "refused in one line with the reason, the next one asked", short(said))
        assert re.fullmatch(".*".join(re.escape(part) for part in reason.split("…")), said)
        assert line.isprintable()
        assert len(said) <= 300
        assert {path.name: path.read_bytes() for path in here.iterdir()} == {"file.gz": CONTENT}

    return refuse


@pytest.fixture
def arrives(tmp_path: Path, tell: Tell) -> Callable[..., None]:
    """Return what sees a file arrive, alone."""

    def arrive(tried: str, address: str, **limits: float) -> None:
        fetch_quietly([address], tmp_path, **limits)
        found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        tell(tried, "the file arrives", "it did" if found == {"file.gz": CONTENT} else f"found {found.keys()}")
        assert found == {"file.gz": CONTENT}

    return arrive


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.tried)
def test_a_server_that_cannot_deliver_is_refused_with_the_reason(refused: Callable[..., None], bad: Bad) -> None:
    with mirror(bad.play) as (address, requests):
        refused(bad.tried, address, bad.reason, **bad.limits)
    assert len(requests) == bad.requests


@pytest.mark.parametrize(("tried", "play", "limits"), DELIVERS, ids=[tried for tried, *_ in DELIVERS])
def test_a_server_that_can_deliver_does(
    arrives: Callable[..., None], tried: str, play: Play, limits: dict[str, float]
) -> None:
    with mirror(play) as (address, _):
        arrives(tried, address, **limits)


def test_a_redirect_is_followed_at_once_whatever_comes_with_it(arrives: Callable[..., None]) -> None:
    left = threading.Event()

    def endless(wire: socket, request: str, turn: int) -> None:
        try:
            for_ever(head("302 Found", f"Location: {there}/file.gz"), b"x" * LIMIT)(wire, request, turn)
        finally:
            left.set()

    def patient(wire: socket, request: str, turn: int) -> None:
        (GOOD if left.wait(5) else says(head("404 Still there", length=0)))(wire, request, turn)

    with mirror(patient) as (there, _), mirror(endless) as (address, _):
        arrives("a redirect with a body without end", address)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_redirect_does_not_lead_from_https_to_http(
    refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Saves a certificate.
    monkeypatch.setattr(urllib3.connection.HTTPSConnection, "connect", urllib3.connection.HTTPConnection.connect)
    with mirror(redirects("http://localhost/x")) as (address, _):
        reason = "redirected from https:// to http://localhost/x"
        refused("a redirect from https:// to http://", address.replace("http:", "https:"), reason)


@pytest.mark.parametrize(
    ("tried", "play", "reason", "limits"),
    [
        ("http behind https://", says(head("200 OK", length=WHOLE), CONTENT), "[SSL: …", {}),
        ("an SSL handshake that drips", for_ever(b"\x16\x03\x03\x40\x00", b"x", pause=0.01), LATE, PATIENCE),
    ],
)
def test_a_server_without_encryption_is_refused(
    refused: Callable[..., None], tried: str, play: Play, reason: str, limits: dict[str, float]
) -> None:
    with mirror(play) as (address, _):
        refused(tried, address.replace("http:", "https:"), reason, **limits)


def test_a_proxy_that_drips_is_given_up(refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    with mirror(for_ever(b"HTTP/1.1 200 OK\r\n", b"x", pause=0.01)) as (address, _):
        monkeypatch.setenv("no_proxy", "localhost")
        monkeypatch.setenv("https_proxy", address)
        refused("a proxy that drips before https://", "https://mirror.invalid", LATE, **PATIENCE)


def test_a_closed_port_is_refused(refused: Callable[..., None]) -> None:
    with socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, so that nobody else opens it, but not listening
        refused("a closed port", f"http://127.0.0.1:{closed.getsockname()[1]}", "Connection refused")


def test_a_name_that_no_resolver_knows_is_refused(
    refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> NoReturn:
        raise gaierror(EAI_NONAME, "Name or service not known")

    # Where there is no network a resolver takes its time to say so, and in other words.
    monkeypatch.setattr("socket.getaddrinfo", unknown)
    refused("a name that no resolver knows", "http://mirror.invalid", "Name or service not known")


@pytest.mark.parametrize("word", ["secret", "sec/ret", "sec ret", "sec℀ret"])
def test_a_password_in_an_address_is_neither_sent_nor_said(
    refused: Callable[..., None], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], word: str
) -> None:
    with mirror(GOOD) as (address, requests):
        refused(f"`user:{word}@` in an address", address.replace("//", f"//user:{word}@"), NO_MIRROR)
    assert not requests
    assert "@127.0.0.1" in caplog.text
    assert "sec" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ftp://localhost", NO_MIRROR),
        ("http://localhost:many", "not an address: …"),
        ("http://[", "not an address: …"),
        ("file://localhost.invalid/folder", "file:// is followed by a path, which begins with a third slash"),
    ],
)
def test_what_is_no_address_is_refused_at_once(refused: Callable[..., None], address: str, reason: str) -> None:
    refused(f"the mirror `{address}`", address, reason)


def no_folder(path: Path) -> None:
    """Make a file where the folder was."""
    path.parent.rmdir()
    path.parent.write_bytes(CONTENT)


def large(path: Path) -> None:
    """Make a file that takes no room."""
    with path.open("wb") as file:
        file.truncate(LIMIT + 1)


@pytest.mark.parametrize(
    ("tried", "make", "reason"),
    [
        ("a folder without the file", lambda path: None, "No such file or directory"),
        ("a folder that is a file", no_folder, "Not a directory"),
        ("a folder of the file's name", Path.mkdir, "not a file"),
        ("a pipe of the file's name", os.mkfifo, "not a file"),
        ("a link to /dev/zero", lambda path: path.symlink_to("/dev/zero"), "not a file"),
        ("a link to itself", lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        ("a file that cannot be read", lambda path: path.symlink_to("/proc/self/mem"), "Input/output error"),
        ("half a file", lambda path: path.write_bytes(CONTENT[:1000]), WRONG),
        ("a file over the limit", large, LARGE),
        (
            "an unpacked file",
            lambda path: path.with_suffix("").touch(),
            "only file is there; its hash is that of the packed file, file.gz",
        ),
    ],
)
def test_a_folder_that_cannot_deliver_is_refused_with_the_reason(
    tmp_path: Path, refused: Callable[..., None], tried: str, make: Callable[[Path], object], reason: str
) -> None:
    (tmp_path / "folder").mkdir()
    make(tmp_path / "folder" / "file.gz")
    refused(tried, str(tmp_path / "folder"), reason)


def test_the_stage_ends_in_words_where_no_mirror_delivers(tmp_path: Path, tell: Tell) -> None:
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"mirrors": {}, "fallback": "none"}
    yaml.dump(params, tmp_path / "params.yaml")
    with mirror(PAGE) as (address, _):
        done = subprocess.run(
            [sys.executable, "-m", "stages.download"],
            cwd=tmp_path,
            env=os.environ | {"DESCENT_MIRROR": address, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=100,
        )
    said = f"status {done.returncode}\n{short(done.stderr)}"
    tell("`python -m stages.download` and an HTML page", "status 1, the mirror and what to do in words, no file", said)
    assert done.returncode == 1
    assert f"{address}/train-images-idx3-ubyte.gz: " in done.stderr
    assert "Set DESCENT_MIRROR" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "data").rglob("*.*"))
