"""Fetch a file from the first mirror that delivers the published bytes; keep nothing else."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from descent.errors import DownloadError
from descent.files import replacing, sha256

TRIES = 3
LIMIT = 64 << 20  # bytes; the largest of the four files has 26 MB
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
) -> None:
    """Put the file `name` into `folder`, from the first of `mirrors` that has the bytes with that SHA-256.

    A mirror that is out of reach, falls silent or breaks off is tried three times; what was received is
    continued where the server can, else begun anew. A mirror that lacks the file, or sends other bytes, is
    refused at once. The file gets its name only after its hash was checked.

    Args:
        name: The file's name, the same on every mirror.
        digest: Its SHA-256 in hexadecimal.
        mirrors: Folders, or addresses that begin with `file://`, `http://` or `https://`.
        folder: Where the file goes; made when missing.
        progress: Called with the bytes received so far and the bytes expected in all, where known.
        pause: Seconds before the second try; doubled before the third.
        timeout: Seconds of silence after which a try is given up.

    Raises:
        DownloadError: No mirror delivered; the message has a line for each, with its reason.
    """
    refusals = []
    for mirror in mirrors:
        url = _url(mirror, name)
        try:
            with replacing(folder / name) as part:
                _download(url, part, progress, pause, timeout)
                if (found := sha256(part)) != digest:
                    size = part.stat().st_size
                    raise DownloadError(f"wrong file: expected SHA-256 {digest}, received {found} ({size} bytes)")
            return
        except DownloadError as error:
            refusals.append(f"{url}: {error}")
            log.warning("%s", refusals[-1])
    listed = "".join(f"\n  {refusal}" for refusal in refusals)
    raise DownloadError(f"no mirror delivered {name}{listed}")


def _url(mirror: str, name: str) -> str:
    base = mirror if "://" in mirror else Path(mirror).expanduser().resolve().as_uri()
    return f"{base.rstrip('/')}/{name}"


def _download(url: str, part: Path, progress: Progress, pause: float, timeout: float) -> None:
    """Append to `part` until it is whole, in up to three tries."""
    reason = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            with part.open("ab") as file:
                for chunk in _received(url, file, progress, timeout):
                    file.write(chunk)
            return
        except _Broken as error:
            reason = str(error)
    raise DownloadError(f"{reason} ({TRIES} tries)")


def _received(url: str, file: BinaryIO, progress: Progress, timeout: float) -> Iterator[bytes]:
    """Yield the bytes that `file` still lacks; errors of the transfer, not of the disk, are turned into ours."""
    if not url.startswith(("file://", "http://", "https://")):
        raise DownloadError("a mirror is a folder or begins with file://, http:// or https://")
    offset = file.tell()
    headers = {"User-Agent": "descent", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with urlopen(Request(url, headers=headers), timeout=timeout) as response:  # noqa: S310 - checked above
            if offset and response.status != 206:  # this server cannot continue a file
                file.truncate(0)
                offset = 0
            length = response.headers.get("Content-Length")
            total = offset + int(length) if length else None
            while chunk := response.read1(CHUNK):
                offset += len(chunk)
                if offset > LIMIT:
                    raise DownloadError(f"more than {LIMIT} bytes: not one of the four files")
                progress(offset, total)
                yield chunk
            if total is not None and offset < total:
                raise _Broken(f"broke off after {offset} of {total} bytes")
    except HTTPError as error:
        if error.code == 416:  # nothing that the server could add: begin anew
            file.truncate(0)
        elif error.code not in PASSING:
            raise DownloadError(f"HTTP {error.code} {error.reason}") from error
        raise _Broken(f"HTTP {error.code} {error.reason}") from error
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = str(getattr(error, "reason", "") or error or type(error).__name__)
        if url.startswith("file://"):
            raise DownloadError(reason) from error
        raise _Broken(reason) from error
