"""Download a file from the first mirror that has the published bytes."""

import logging
import os.path
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from descent.io.errors import DownloadError
from descent.io.files import replacing, sha256
from descent.sources.web import CHUNK, LIMIT, Broken, checked, reason, sent

TRIES = 3
WINDOW = 30.0  # seconds; twice the timeout, so that one pause does not fail a fast mirror

Progress = Callable[[int, int | None], None]
log = logging.getLogger(__name__)


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
    """Download the file `name` into `folder` from the first of `mirrors` whose bytes have this SHA-256.

    A transient error is retried twice: no connection, a timeout, a slow or an interrupted transfer. A retry resumes the
    transfer if the server supports it. Other errors are not retried: a missing file, more than 64 MiB, another
    SHA-256, a redirect to another scheme. The file gets its name only after its SHA-256 was verified.

    Args:
        name: The file's name, the same on every mirror.
        digest: Its SHA-256 in hexadecimal.
        mirrors: Folders, or addresses that begin with `file://`, `http://` or `https://`.
        folder: Receives the file; created if missing.
        progress: Called with the number of bytes received and, if known, the total.
        pause: Seconds before the second try; doubled before the third.
        timeout: Seconds without data after which a try fails.
        window: Seconds after which a try fails if the head of the response is incomplete, or the body came at less than
            5 kB/s.

    Raises:
        DownloadError: No mirror has the file; the message has a line for each, with its reason.
        OSError: The file cannot be written.
    """
    refusals = []
    for mirror in mirrors:
        url = _url(mirror, name)
        try:
            with replacing(folder / name) as part:
                _download(url, part, progress, pause, partial(sent, timeout=timeout, window=window))
                if (found := sha256(part)) != digest:
                    size = part.stat().st_size
                    raise DownloadError(f"wrong file: expected SHA-256 {digest}, received {found} ({size} bytes)")
            return
        except DownloadError as error:
            refusals.append(f"{_line(url)}: {_line(str(error))}")
            log.warning("%s", refusals[-1])
    listed = "".join(f"\n  {refusal}" for refusal in refusals)
    raise DownloadError(f"no mirror delivered {name}{listed}")


def holds(path: Path, digest: str) -> bool:
    """Return whether `path` is a file with this SHA-256."""
    return path.is_file() and sha256(path) == digest


def restored(path: Path, copy: Path, digest: str) -> bool:
    """Copy `copy` to `path` if it has this SHA-256; return whether it was copied."""
    with suppress(OSError):  # an unreadable copy counts as missing
        if holds(copy, digest):
            with replacing(path) as temporary:
                shutil.copyfile(copy, temporary)
            return holds(path, digest)
    return False


def _url(mirror: str, name: str) -> str:
    # Not Path.expanduser, which raises for an unknown user.
    base = mirror if "://" in mirror else Path(os.path.expanduser(mirror)).absolute().as_uri()
    return f"{base.removesuffix('/')}/{name}"


def _line(text: str) -> str:
    """Return text of a user or a server as one short line, without passwords and control characters."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return re.sub(r"//[^/]*(:.*)?@", "//…@", printable)[:300]


def _download(
    url: str,
    part: Path,
    progress: Progress,
    pause: float,
    received: Callable[[str, BinaryIO], Iterator[tuple[bytes, int | None]]],
) -> None:
    """Append to `part` until the file is complete, with up to three tries."""
    last = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            with part.open("ab") as file:
                for chunk, total in _read(url) if url.startswith("file://") else received(url, file):
                    if file.tell() + len(chunk) > LIMIT:
                        raise DownloadError(f"more than {LIMIT} bytes: not one of the four files")
                    file.write(chunk)
                    progress(file.tell(), total)
            return
        except Broken as error:
            last = str(error)
    raise DownloadError(f"{last} ({TRIES} tries)")


def _read(url: str) -> Iterator[tuple[bytes, int | None]]:
    """Yield chunks of a local file, each with the size of the file."""
    try:
        if urlsplit(url).netloc not in {"", "localhost"}:
            raise DownloadError("file:// is followed by a path, which begins with a third slash")
        path = Path(url2pathname(urlsplit(url).path))
        if not path.exists() and path.suffix and path.with_suffix("").is_file():
            raise DownloadError(f"only {path.stem} is there; its hash is that of the packed file, {path.name}")
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a pipe would block, and a device may never end
            raise DownloadError("not a file")
        total = checked(found.st_size)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk, total
    except (OSError, ValueError) as error:
        raise DownloadError(reason(error)) from error
