"""Download over HTTP(S) with limits on time, size and redirects."""

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
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP status codes of transient errors


class Broken(Exception):
    """A transient error: the download is retried."""


def checked(size: int | None) -> int | None:
    """Return the announced size of a file, or raise an error if it is over the limit."""
    if size is not None and size > LIMIT:
        raise DownloadError(f"{size} bytes announced, more than {LIMIT}: not one of the four files")
    return size


def sent(url: str, file: BinaryIO, timeout: float, window: float) -> Iterator[tuple[bytes, int | None]]:
    """Yield the chunks that `file` still lacks, each with the total size.

    Raises:
        Broken: A transient error.
        DownloadError: Any other error.
    """
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
            # Content-Encoding is ignored: many servers send `gzip` for a file that ends in .gz. Its hash decides.
            while chunk := answer.read1(CHUNK):
                yield chunk, total
            if total is not None and file.tell() < total:
                raise Broken(f"broke off after {file.tell()} of {total} bytes")
    except HTTPError as error:
        error.close()
        if error.code == 416:  # no bytes after this offset: restart
            _empty(file)
        elif error.code not in PASSING:
            raise DownloadError(f"HTTP {error.code} {error.reason}") from error
        raise Broken(f"HTTP {error.code} {error.reason}") from error
    except (InvalidURL, ValueError) as error:
        raise DownloadError(f"not an address: {error}") from error
    except (HTTPException, OSError) as error:
        raise Broken(reason(error)) from error


def _check(url: str) -> None:
    """Refuse a URL that is not HTTP(S), or has a user name: urllib does not use it, but shows it in errors."""
    if not url.startswith(("http://", "https://")):
        raise DownloadError("a mirror is a folder or begins with file://, http:// or https://")
    try:
        address = urlsplit(url)
        found = address.hostname and address.port != 0 and "@" not in address.netloc
    except ValueError:  # an invalid port or host; the message may contain a password
        found = False
    if not found:
        raise DownloadError("not an address: after the two slashes comes a host, without a user's name or password")


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def reason(error: Exception) -> str:
    """Return the reason of an error in a few words."""
    cause = error.reason if isinstance(error, URLError) else error
    words = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"bad HTTP: {words}" if isinstance(cause, HTTPException) else words


class _Redirects(HTTPRedirectHandler):
    """Follow up to five redirects, to HTTP(S) only, and never from https:// to http://."""

    max_redirections = 5
    inf_msg = "redirected too often: "

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request:  # noqa: ANN401
        fp.close()  # otherwise urllib reads the body of the redirect, which may never end
        scheme = urlsplit(req.full_url).scheme
        if urlsplit(newurl).scheme not in {"https", scheme}:
            raise DownloadError(f"redirected from {scheme}:// to {newurl}")
        _check(newurl)
        # The password of a proxy is not for the new host; urllib sets it again for the proxy.
        kept = {name: value for name, value in req.headers.items() if name != "Proxy-authorization"}
        return Request(newurl, headers=kept)  # noqa: S310 - checked above


class _Web(HTTPHandler, HTTPSHandler):
    """Open http:// and https:// with a time limit on every response, including a proxy's."""

    def __init__(self, window: float) -> None:
        super().__init__()
        self._window = window

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(self._connection, HTTPConnection), req)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(self._connection, HTTPSConnection), req)

    def _connection(self, kind: type[HTTPConnection], host: str, **options: Any) -> HTTPConnection:  # noqa: ANN401
        connection = kind(host, **options)
        connection.response_class = partial(_Answer, window=self._window)  # type: ignore[assignment] # it is only called
        return connection


class _Answer(HTTPResponse):
    """A response with limits on time and size."""

    def __init__(self, sock: socket, *, method: str | None, window: float) -> None:
        super().__init__(sock, method=method)
        self._wire = _Wire(self.fp.detach(), window)
        self.fp = BufferedReader(self._wire)

    def begin(self) -> None:
        super().begin()
        self._wire.head = False


class _Wire(RawIOBase):
    """The raw bytes of a response, including head and framing.

    The timeout of a socket limits only the time without data. A response of a byte now and then, or of lines that
    http.client skips, would never time out.
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
