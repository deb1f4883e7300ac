"""Bytes from an address in the web, of a server whom nobody trusts: bounded in time and in size, never led astray."""

import time
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, InvalidURL
from io import BufferedReader, RawIOBase
from socket import socket
from typing import Any, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from descent.io.errors import DownloadError

LIMIT = 64 << 20  # bytes; the largest of the four files has 26 MB
SLOWEST = 5_000  # bytes per second; with less, that file would take more than an hour and a half
CHUNK = 1 << 16
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP: may be another answer next time


class Broken(Exception):
    """A try that failed but may succeed when repeated."""


def checked(size: int | None) -> int | None:
    """Return the size that a file is said to have, if it may have that."""
    if size is not None and size > LIMIT:
        raise DownloadError(f"{size} bytes announced, more than {LIMIT}: not one of the four files")
    return size


def sent(url: str, file: BinaryIO, timeout: float, window: float) -> Iterator[tuple[bytes, int | None]]:
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
                raise Broken("continued at another place than it was asked to")
            total = checked(None if answer.length is None else file.tell() + answer.length)
            # What a server calls the bytes is not asked: many say `gzip` of a file that ends in .gz. Its hash decides.
            while chunk := answer.read1(CHUNK):
                yield chunk, total
            if total is not None and file.tell() < total:
                raise Broken(f"broke off after {file.tell()} of {total} bytes")
    except HTTPError as error:
        error.close()
        if error.code == 416:  # nothing that the server could add: begin anew
            _empty(file)
        elif error.code not in PASSING:
            raise DownloadError(f"HTTP {error.code} {error.reason}") from error
        raise Broken(f"HTTP {error.code} {error.reason}") from error
    except (InvalidURL, ValueError) as error:
        raise DownloadError(f"not an address: {error}") from error
    except (HTTPException, OSError) as error:
        raise Broken(reason(error)) from error


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


def reason(error: Exception) -> str:
    """Say in a few words what went wrong."""
    cause = error.reason if isinstance(error, URLError) else error
    words = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"bad HTTP: {words}" if isinstance(cause, HTTPException) else words


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
                raise Broken(f"in {self._window:g} s neither a whole head nor {SLOWEST} bytes a second")
            self._since, self._count = now, 0
        return count

    def close(self) -> None:
        self._source.close()
        super().close()
