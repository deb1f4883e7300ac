"""Bad mirrors.

A server on this machine plays each, or a folder is one.
"""

import gzip
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from socket import EAI_NONAME, SO_LINGER, SOL_SOCKET, gaierror, socket
from typing import NamedTuple, NoReturn

import pytest
from ruamel.yaml import YAML

from descent.io.errors import DownloadError
from descent.sources.download import fetch
from descent.sources.web import LIMIT
from tests.faults.table import Tell
from tests.imports import ROOT
from tests.sources.test_download import CONTENT, DIGEST, Play, cut, elsewhere, first, good, head, mirror, start

WHOLE = len(CONTENT)


def says(*answer: bytes) -> Play:
    """Give the same answer always."""
    return lambda wire, request, turn: wire.sendall(b"".join(answer))


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
    cut(wire, request, turn)
    wire.close()


def elsewhere_always(wire: socket, request: str, turn: int) -> None:
    """Break off, then continue at another place than asked for, and so on."""
    (elsewhere if start(request) else cut)(wire, request, turn)


def slow(wire: socket, request: str, turn: int) -> None:
    """Deliver over half a second."""
    wire.sendall(head("200 OK", length=WHOLE))
    for place in range(0, WHOLE, WHOLE // 10):
        wire.sendall(CONTENT[place : place + WHOLE // 10])
        time.sleep(0.05)


def chunked(content: bytes, end: bytes = b"\r\n") -> bytes:
    """Return an answer in two pieces, each with its length."""
    pieces = (content[:1000], content[1000:])
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head("200 OK", "Transfer-Encoding: chunked") + framed + b"0\r\n" + end


class Bad(NamedTuple):
    """A mirror that cannot deliver."""

    tried: str
    play: Play
    reason: str
    requests: int = 3  # at most
    # Who waits for silence, or for drips, is told to wait for nothing else, and briefly.
    patience: dict[str, float] = {}


SILENCE, DRIPS = {"timeout": 0.1}, {"window": 0.1}
DRIPPING = "in 0.1 s neither a whole head nor 5000 bytes a second (3 tries)"
NOT_ALLOWED = "HTTP 302 Found - Redirection to url '{}' is not allowed"
NO_ADDRESS = "not an address: after the two slashes comes a host, without a user's name or password"
FOR_EVER = "HTTP 302 redirected too often: Found"
REFUSED = [
    Bad("HTTP 404", says(head("404 Not Found", length=0)), "HTTP 404 Not Found", 1),
    Bad("HTTP 403", says(head("403 Forbidden", length=0)), "HTTP 403 Forbidden", 1),
    Bad("HTTP 500, always", says(head("500 Oops", length=0)), "HTTP 500 Oops (3 tries)"),
    Bad("HTTP 204", says(head("204 No Content")), "wrong file: … (0 bytes)", 1),
    Bad(
        "an HTML page with status 200", says(head("200 OK", length=13), b"<p>Log in</p>"), "wrong file: … (13 bytes)", 1
    ),
    Bad("one byte wrong", says(head("200 OK", length=WHOLE), b"\1", CONTENT[1:]), "wrong file: … (256000 bytes)", 1),
    Bad(
        "the file in another gzip",
        # Padded, for its length depends on the version of zlib.
        says(head("200 OK", "Content-Encoding: gzip", length=9999), gzip.compress(CONTENT).ljust(9999)),
        "wrong file: … (9999 bytes)",
        1,
    ),
    Bad("silence before the head", silent(b""), "timed out (3 tries)", patience=SILENCE),
    Bad("silence in the body", silent(head("200 OK", length=9999) + b"x"), "timed out (3 tries)", patience=SILENCE),
    Bad("a head that drips", for_ever(b"HTTP/1.1 200 OK\r\n", b"x", pause=0.01), DRIPPING, patience=DRIPS),
    Bad("a body that drips", for_ever(head("200 OK", length=9999), b"x", pause=0.01), DRIPPING, patience=DRIPS),
    Bad("`100 Continue` for ever", for_ever(b"", head("100 Continue")), DRIPPING, patience=DRIPS),
    Bad(
        "headers for ever",
        for_ever(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        "bad HTTP: got more than 100 headers (3 tries)",
    ),
    Bad("a header without end", for_ever(b"HTTP/1.1 200 OK\r\n", b"x" * 999), "bad HTTP: got more than 65536 bytes …"),
    Bad("a body without end", for_ever(head("200 OK"), b"x" * (1 << 20)), f"more than {LIMIT} bytes: …", 1),
    Bad(
        "a trailer without end",
        for_ever(chunked(CONTENT, end=b""), b"x" * 60_000 + b"\r\n"),
        f"{2 * LIMIT} bytes, and still no end",
        1,
    ),
    Bad(
        "a Content-Length of 10 GB", silent(head("200 OK", length=10**10)), f"{10**10} bytes announced, more than …", 1
    ),
    Bad("the connection reset in the body", reset, "Connection reset by peer (3 tries)"),
    Bad("the end after 1000 bytes, always", cut, "broke off after 1000 of 256000 bytes (3 tries)"),
    Bad("chunks without a length", says(head("200 OK", "Transfer-Encoding: chunked"), b"x\r\n"), "bad HTTP: …"),
    Bad("always another range than asked for", elsewhere_always, "broke off after 1000 of 256000 bytes (3 tries)"),
    Bad(
        "a redirect to file:///etc/passwd", redirects("file:///etc/passwd"), NOT_ALLOWED.format("file:///etc/passwd"), 1
    ),
    Bad("a redirect to data:", redirects("data:,x"), NOT_ALLOWED.format("data:,x"), 1),
    Bad("a redirect to ftp://", redirects("ftp://localhost/x"), "redirected from http:// to ftp://localhost/x", 1),
    Bad("a redirect to an address with a password", redirects("http://me:it@host/"), NO_ADDRESS, 1),
    Bad("a redirect to what is no address", redirects("http://["), "not an address: Invalid IPv6 URL", 1),
    Bad("a redirect to nowhere", says(head("302 Found", length=0)), "HTTP 302 Found", 1),
    Bad("a redirect to itself, for ever", redirects("file.gz"), FOR_EVER, 5),
    Bad("a redirect ever farther", lambda wire, request, turn: redirects(f"{turn}")(wire, request, turn), FOR_EVER, 6),
    Bad("another protocol", says(b"SSH-2.0-OpenSSH_9.6\r\n"), "bad HTTP: SSH-2.0-OpenSSH_9.6 (3 tries)"),
    Bad("the file without a head, as in HTTP/0.9", says(CONTENT), "bad HTTP: ????????? (3 tries)"),
    Bad("signals to the terminal, and 9 kB", says(head("404 \x1b[2J" + "x" * 9000, length=0)), "HTTP 404 ?[2Jxxx…", 1),
]
DELIVERS: list[tuple[str, Play, dict[str, float]]] = [
    ("HTTP 503, twice", first(says(head("503 Busy", length=0)), times=2), {}),
    ("the end after 1000 bytes, once", first(cut), {}),
    ("the same, and no way to continue", first(cut, says(head("200 OK", length=WHOLE), CONTENT)), {}),
    ("silence in the body, once", first(silent(head("200 OK", length=WHOLE) + CONTENT[:1000])), {"timeout": 0.5}),
    ("another range than asked for, once", elsewhere, {}),
    ("the file, slowly", slow, {"window": 0.1}),
    ("the file in chunks", says(chunked(CONTENT)), {}),
    ("the file, said to be in gzip for its name", says(head("200 OK", "Content-Encoding: gzip"), CONTENT), {}),
    ("a negative Content-Length", says(head("200 OK", length=-5), CONTENT), {}),
    ("a Content-Length that is no number", says(head("200 OK", "Content-Length: much"), CONTENT), {}),
]


def short(said: str) -> str:
    """Cut what makes a table too wide, or differs from machine to machine."""
    said = re.sub(r"\b[0-9a-f]{64}\b", "…", said)
    said = re.sub(r"\[SSL: .*\.c:\d+\)|_ssl\.c:\d+", "SSL", said)
    return re.sub("x{9,}", "x…", said)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach this machine without a proxy, whatever this machine's owner has set."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(autouse=True)
def no_hanging() -> Iterator[None]:
    """Let what waits for ever fail."""

    def fail(*_: object) -> None:
        pytest.fail("hangs")

    former = signal.signal(signal.SIGALRM, fail)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, former)


@pytest.fixture
def refused(tmp_path: Path, tell: Tell) -> Callable[..., None]:
    """Return what sees a mirror refused for a reason, leaving nothing, and the next one asked."""
    here, better = tmp_path / "here", tmp_path / "better"
    better.mkdir()
    (better / "file.gz").write_bytes(CONTENT)

    def refuse(tried: str, address: str, reason: str, *, timeout: float = 10.0, window: float = 10.0) -> None:
        with pytest.raises(DownloadError) as error:
            fetch("file.gz", DIGEST, [address], here, pause=0.01, timeout=timeout, window=window)
        left = list(here.iterdir())
        fetch("file.gz", DIGEST, [address, str(better)], here, pause=0.01, timeout=timeout, window=window)
        delivered = {path.name: path.read_bytes() for path in here.iterdir()}

        title, *lines = str(error.value).splitlines()
        said = lines[0].partition("/file.gz: ")[2]
        tell(tried, "refused in one line with the reason, the next one asked", short(said))
        assert title == "no mirror delivered file.gz"
        assert len(lines) == 1
        assert re.fullmatch(".*".join(re.escape(part) for part in reason.split("…")), said)
        assert lines[0].isprintable()
        assert len(said) <= 300
        assert left == []
        assert delivered == {"file.gz": CONTENT}

    return refuse


@pytest.fixture
def arrives(tmp_path: Path, tell: Tell) -> Callable[..., None]:
    """Return what sees a file arrive, alone."""

    def arrive(tried: str, address: str, *, timeout: float = 10.0, window: float = 10.0) -> None:
        fetch("file.gz", DIGEST, [address], tmp_path, pause=0.01, timeout=timeout, window=window)
        found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        tell(tried, "the file arrives", "it did" if found == {"file.gz": CONTENT} else f"found {found.keys()}")
        assert found == {"file.gz": CONTENT}

    return arrive


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.tried)
def test_a_server_that_cannot_deliver_is_refused_with_the_reason(refused: Callable[..., None], bad: Bad) -> None:
    with mirror(bad.play) as (address, requests):
        refused(bad.tried, address, bad.reason, **bad.patience)
    assert len(requests) <= 2 * bad.requests


@pytest.mark.parametrize(("tried", "play", "patience"), DELIVERS, ids=[tried for tried, *_ in DELIVERS])
def test_a_server_that_can_deliver_does(
    arrives: Callable[..., None], tried: str, play: Play, patience: dict[str, float]
) -> None:
    with mirror(play) as (address, _):
        arrives(tried, address, **patience)


def test_a_redirect_to_another_server_is_followed(arrives: Callable[..., None]) -> None:
    with mirror(good) as (there, _), mirror(redirects(f"{there}/file.gz")) as (address, _):
        arrives("a redirect to another mirror", address)


def test_who_redirects_is_left_at_once_whatever_comes_with_it(arrives: Callable[..., None]) -> None:
    left = threading.Event()

    def endless(wire: socket, request: str, turn: int) -> None:
        try:
            for_ever(head("302 Found", f"Location: {there}/file.gz"), b"x" * (1 << 20))(wire, request, turn)
        finally:
            left.set()

    def patient(wire: socket, request: str, turn: int) -> None:
        (good if left.wait(5) else says(head("404 Still there", length=0)))(wire, request, turn)

    with mirror(patient) as (there, _), mirror(endless) as (address, _):
        arrives("a redirect with a body without end", address)


def test_a_redirect_does_not_lead_from_https_to_http(
    refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HTTPSConnection, "connect", HTTPConnection.connect)  # saves a certificate
    with mirror(redirects("http://localhost/x")) as (address, _):
        reason = "redirected from https:// to http://localhost/x"
        refused("a redirect from https:// to http://", address.replace("http:", "https:"), reason)


def test_a_server_without_encryption_is_not_taken_for_one_with(refused: Callable[..., None]) -> None:
    with mirror(says(head("200 OK", length=WHOLE), CONTENT)) as (address, _):
        refused("http behind https://", address.replace("http:", "https:"), "[SSL: …")


def test_a_handshake_that_drips_is_given_up(refused: Callable[..., None]) -> None:
    with mirror(for_ever(b"\x16\x03\x03\x40\x00", b"x", pause=0.01)) as (address, _):
        reason = "…handshake operation timed out (3 tries)"
        refused("an SSL handshake that drips", address.replace("http:", "https:"), reason, **SILENCE)


def test_a_proxy_that_drips_is_given_up(refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    with mirror(for_ever(b"HTTP/1.1 200 OK\r\n", b"x", pause=0.01)) as (address, _):
        monkeypatch.setenv("no_proxy", "localhost")
        monkeypatch.setenv("https_proxy", address)
        refused("a proxy that drips before https://", "https://mirror.invalid", DRIPPING, **DRIPS)


def test_a_closed_port_is_tried_three_times(refused: Callable[..., None]) -> None:
    with socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, so that nobody else opens it, but not listening
        refused("a closed port", f"http://127.0.0.1:{closed.getsockname()[1]}", "Connection refused (3 tries)")


def test_a_name_that_no_resolver_knows_is_tried_three_times(
    refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> NoReturn:
        raise gaierror(EAI_NONAME, "Name or service not known")

    # Where there is no network a resolver takes its time to say so, and in other words.
    monkeypatch.setattr("socket.getaddrinfo", unknown)
    refused("a name that no resolver knows", "http://mirror.invalid", "Name or service not known (3 tries)")


@pytest.mark.parametrize("word", ["secret", "sec/ret", "sec ret", "sec℀ret"])
def test_a_password_in_an_address_is_neither_sent_nor_said(
    refused: Callable[..., None], caplog: pytest.LogCaptureFixture, word: str
) -> None:
    with mirror(good) as (address, requests):
        refused(f"`user:{word}@` in an address", address.replace("//", f"//user:{word}@"), NO_ADDRESS)
    assert not requests
    assert "sec" not in caplog.text
    assert "@127.0.0.1" in caplog.text


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ftp://localhost", "a mirror is a folder or begins with file://, http:// or https://"),
        ("http:///", NO_ADDRESS),
        ("http://localhost:many", NO_ADDRESS),
        ("http://localhost:99999", NO_ADDRESS),
        ("http://[", NO_ADDRESS),
        ("http://localhost/a folder", "not an address: URL can't contain control characters. …"),
        ("http://localhost/café", "not an address: 'ascii' codec can't encode character …"),
        ("file://localhost.invalid/folder", "file:// is followed by a path, which begins with a third slash"),
    ],
)
def test_what_is_no_address_is_refused_at_once(refused: Callable[..., None], address: str, reason: str) -> None:
    refused(f"the mirror `{address}`", address, reason)


def none(path: Path) -> None:
    """Make a folder without the file."""


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
        ("a folder without the file", none, "No such file or directory"),
        ("a folder that is a file", no_folder, "Not a directory"),
        ("a folder of the file's name", Path.mkdir, "not a file"),
        ("a pipe of the file's name", os.mkfifo, "not a file"),
        ("a link to /dev/zero", lambda path: path.symlink_to("/dev/zero"), "not a file"),
        ("a link to itself", lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        ("a file that cannot be read", lambda path: path.symlink_to("/proc/self/mem"), "Input/output error"),
        ("half a file", lambda path: path.write_bytes(CONTENT[:1000]), "wrong file: … (1000 bytes)"),
        ("a file of 64 MiB and a byte", large, f"{LIMIT + 1} bytes announced, more than {LIMIT}: …"),
    ],
)
def test_a_folder_that_cannot_deliver_is_refused_with_the_reason(
    tmp_path: Path, refused: Callable[..., None], tried: str, make: Callable[[Path], object], reason: str
) -> None:
    (tmp_path / "folder").mkdir()
    make(tmp_path / "folder" / "file.gz")
    refused(tried, str(tmp_path / "folder"), reason)


@pytest.mark.parametrize(
    ("tried", "play"),
    [
        ("`python -m stages.download` and HTTP 404", says(head("404 Not Found", length=0))),
        ("`python -m stages.download` and an HTML page", says(head("200 OK", length=13), b"<p>Log in</p>")),
    ],
    ids=["404", "page"],
)
def test_the_stage_ends_in_words_where_no_mirror_delivers(tmp_path: Path, tell: Tell, tried: str, play: Play) -> None:
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"mirrors": {}, "fallback": "none"}
    yaml.dump(params, tmp_path / "params.yaml")
    with mirror(play) as (address, _):
        done = subprocess.run(
            [sys.executable, "-m", "stages.download"],
            cwd=tmp_path,
            env=os.environ | {"DESCENT_MIRROR": address, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    tell(
        tried,
        "status 1, the mirror and what to do in words, no file",
        f"status {done.returncode}\n{short(done.stderr)}",
    )
    assert done.returncode == 1
    assert f"{address}/train-images-idx3-ubyte.gz: " in done.stderr
    assert "Set DESCENT_MIRROR" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "data").rglob("*.*"))
