"""Fetch a file from the first mirror that delivers the published bytes; keep nothing else."""

import logging
import os.path
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, InvalidURL
from io import BufferedReader, RawIOBase
from pathlib import Path
from socket import socket
from typing import Any, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener, url2pathname

from descent.errors import DownloadError
from descent.files import replacing, sha256

TRIES = 3
LIMIT = 64 << 20  # bytes; the largest of the four files has 26 MB
SLOWEST = 5_000  # bytes per second; with less, that file would take more than an hour and a half
WINDOW = 30.0  # seconds; twice the silence allowed, so that one pause makes no slow mirror of a good one
CHUNK = 1 << 16
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP: may be another answer next time

Progress = Callable[[int, int | None], None]
log = logging.getLogger(__name__)


class _Broken(Exception):
    """A try that failed but may succeed when repeated."""


def fetch(
    name: str,
    digest: str,
    mirrors: Sequence[str],
    folder: Path,
    *,
    progress: Progress = lambda received, total: None,
    pause: float = 1.0,
    timeout: float = 15.0,
    window: float = WINDOW,
) -> None:
    """Put the file `name` into `folder`, from the first of `mirrors` that has the bytes with that SHA-256.

    A mirror that is out of reach, falls silent, drips or breaks off is tried three times; what was received is
    continued where the server can, else begun anew. A mirror that lacks the file, has one of over 64 MiB, sends
    other bytes or leads away from the web is refused at once. The file gets its name only after its hash was
    checked.

    Args:
        name: The file's name, the same on every mirror.
        digest: Its SHA-256 in hexadecimal.
        mirrors: Folders, or addresses that begin with `file://`, `http://` or `https://`.
        folder: Where the file goes; made when missing.
        progress: Called with the bytes received so far and the bytes expected in all, where known.
        pause: Seconds before the second try; doubled before the third.
        timeout: Seconds of silence after which a try is given up.
        window: Seconds after which it is given up too when the answer's head is not whole, or when the body brought
            less than 5 kB for each of them.

    Raises:
        DownloadError: No mirror delivered; the message has a line for each, with its reason.
        OSError: The file cannot be written.
    """
    refusals = []
    for mirror in mirrors:
        url = _url(mirror, name)
        try:
            with replacing(folder / name) as part:
                _download(url, part, progress, pause, partial(_sent, timeout=timeout, window=window))
                if (found := sha256(part)) != digest:
                    size = part.stat().st_size
                    raise DownloadError(f"wrong file: expected SHA-256 {digest}, received {found} ({size} bytes)")
            return
        except DownloadError as error:
            refusals.append(f"{_line(url)}: {_line(str(error))}")
            log.warning("%s", refusals[-1])
    listed = "".join(f"\n  {refusal}" for refusal in refusals)
    raise DownloadError(f"no mirror delivered {name}{listed}")


def _url(mirror: str, name: str) -> str:
    # Not Path.expanduser, which raises for a user whom nobody knows.
    base = mirror if "://" in mirror else Path(os.path.expanduser(mirror)).absolute().as_uri()
    return f"{base.removesuffix('/')}/{name}"


def _line(text: str) -> str:
    """Return what a user or a server wrote as one short line, without passwords and signals to the terminal."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return re.sub(r"//[^/]*(:.*)?@", "//…@", printable)[:300]


def _download(
    url: str,
    part: Path,
    progress: Progress,
    pause: float,
    sent: Callable[[str, BinaryIO], Iterator[tuple[bytes, int | None]]],
) -> None:
    """Append to `part` until it is whole, in up to three tries."""
    reason = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            with part.open("ab") as file:
                for chunk, total in _read(url) if url.startswith("file://") else sent(url, file):
                    if file.tell() + len(chunk) > LIMIT:
                        raise DownloadError(f"more than {LIMIT} bytes: not one of the four files")
                    file.write(chunk)
                    progress(file.tell(), total)
            return
        except _Broken as error:
            reason = str(error)
    raise DownloadError(f"{reason} ({TRIES} tries)")


def _checked(size: int | None) -> int | None:
    """Return the size that a file is said to have, if it may have that."""
    if size is not None and size > LIMIT:
        raise DownloadError(f"{size} bytes announced, more than {LIMIT}: not one of the four files")
    return size


def _read(url: str) -> Iterator[tuple[bytes, int | None]]:
    """Yield the bytes of a file of this machine, each time with their number in all."""
    try:
        if urlsplit(url).netloc not in {"", "localhost"}:
            raise DownloadError("file:// is followed by a path, which begins with a third slash")
        path = Path(url2pathname(urlsplit(url).path))
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, a device may never end
            raise DownloadError("not a file")
        total = _checked(found.st_size)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk, total
    except (OSError, ValueError) as error:
        raise DownloadError(_reason(error)) from error


def _sent(url: str, file: BinaryIO, timeout: float, window: float) -> Iterator[tuple[bytes, int | None]]:
    """Yield the bytes that `file` still lacks, with their number in all; errors of the transfer become ours."""
    try:
        _check(url)
        headers = {"User-Agent": "descent", "Accept-Encoding": "identity"}
        if offset := file.tell():
            headers["Range"] = f"bytes={offset}-"
        opener = build_opener(_Web(window), _Redirects())
        with opener.open(Request(url, headers=headers), timeout=timeout) as answer:  # noqa: S310 - checked above
            if offset and answer.status != 206:  # this server cannot continue a file
                _empty(file)
            elif offset and not answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                _empty(file)
                raise _Broken("continued at another place than it was asked to")
            total = _checked(None if answer.length is None else file.tell() + answer.length)
            # What a server calls the bytes is not asked: many say `gzip` of a file that ends in .gz. Its hash decides.
            while chunk := answer.read1(CHUNK):
                yield chunk, total
            if total is not None and file.tell() < total:
                raise _Broken(f"broke off after {file.tell()} of {total} bytes")
    except HTTPError as error:
        error.close()
        if error.code == 416:  # nothing that the server could add: begin anew
            _empty(file)
        elif error.code not in PASSING:
            raise DownloadError(f"HTTP {error.code} {error.reason}") from error
        raise _Broken(f"HTTP {error.code} {error.reason}") from error
    except (InvalidURL, ValueError) as error:
        raise DownloadError(f"not an address: {error}") from error
    except (HTTPException, OSError) as error:
        raise _Broken(_reason(error)) from error


def _check(url: str) -> None:
    """Refuse what is no address in the web, or names a user, whom urllib would not log in but name in its errors."""
    if not url.startswith(("http://", "https://")):
        raise DownloadError("a mirror is a folder or begins with file://, http:// or https://")
    try:
        address = urlsplit(url)
        found = address.hostname and address.port != 0 and "@" not in address.netloc
    except ValueError:  # a port that is no number, or of the host; its words may have a password in them
        found = False
    if not found:
        raise DownloadError("not an address: after the two slashes comes a host, without a user's name or password")


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return f"bad HTTP: {words}" if isinstance(reason, HTTPException) else words


class _Redirects(HTTPRedirectHandler):
    """Follow a few, never out of the web and never from https:// to http://."""

    max_redirections = 5
    inf_msg = "redirected too often: "

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request:  # noqa: ANN401
        fp.close()  # or urllib would read to its end what comes with the redirect, which may have none
        scheme = urlsplit(req.full_url).scheme
        if urlsplit(newurl).scheme not in {"https", scheme}:
            raise DownloadError(f"redirected from {scheme}:// to {newurl}")
        _check(newurl)
        # A proxy's password is for the proxy; it gets it again.
        kept = {name: value for name, value in req.headers.items() if name != "Proxy-authorization"}
        return Request(newurl, headers=kept)  # noqa: S310 - checked above


class _Web(HTTPHandler, HTTPSHandler):
    """Open http:// and https:// so that no answer, a proxy's included, takes for ever."""

    def __init__(self, window: float) -> None:
        super().__init__()
        self._window = window

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(self._connection, HTTPConnection), req)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(self._connection, HTTPSConnection), req)

    def _connection(self, kind: type[HTTPConnection], host: str, **options: Any) -> HTTPConnection:  # noqa: ANN401
        connection = kind(host, **options)
        connection.response_class = partial(_Answer, window=self._window)  # type: ignore[assignment] # it is but called
        return connection


class _Answer(HTTPResponse):
    """An answer that is given up when it takes too long or is too much."""

    def __init__(self, sock: socket, *, method: str | None, window: float) -> None:
        super().__init__(sock, method=method)
        self._wire = _Wire(self.fp.detach(), window)
        self.fp = BufferedReader(self._wire)

    def begin(self) -> None:
        super().begin()
        self._wire.head = False


class _Wire(RawIOBase):
    """The bytes of an answer as they come, head and framing included.

    The time limit of a socket is one of silence: a byte every now and then, or lines that http.client skips, would
    hold us for ever.
    """

    def __init__(self, source: RawIOBase, window: float) -> None:
        self.head = True
        self._source, self._window = source, window
        self._since, self._count, self._total = time.monotonic(), 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401
        count = self._source.readinto(buffer) or 0
        self._count += count
        self._total += count
        if self._total > 2 * LIMIT:
            raise DownloadError(f"{2 * LIMIT} bytes, and still no end")
        if (now := time.monotonic()) - self._since > self._window:
            if self.head or self._count < SLOWEST * (now - self._since):
                raise _Broken(f"in {self._window:g} s neither a whole head nor {SLOWEST} bytes a second")
            self._since, self._count = now, 0
        return count

    def close(self) -> None:
        self._source.close()
        super().close()
