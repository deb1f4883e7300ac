"""Fetch a file from the first mirror that delivers the published bytes; keep nothing else."""

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
WINDOW = 30.0  # seconds; twice the silence allowed, so that one pause makes no slow mirror of a good one

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
    """Tell whether `path` is a file with this SHA-256."""
    return path.is_file() and sha256(path) == digest


def restored(path: Path, copy: Path, digest: str) -> bool:
    """Copy `copy` to `path` if it has this SHA-256; tell whether it was so."""
    with suppress(OSError):  # a copy that cannot be read is none
        if holds(copy, digest):
            with replacing(path) as temporary:
                shutil.copyfile(copy, temporary)
            return holds(path, digest)
    return False


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
    received: Callable[[str, BinaryIO], Iterator[tuple[bytes, int | None]]],
) -> None:
    """Append to `part` until it is whole, in up to three tries."""
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
    """Yield the bytes of a file of this machine, each time with their number in all."""
    try:
        if urlsplit(url).netloc not in {"", "localhost"}:
            raise DownloadError("file:// is followed by a path, which begins with a third slash")
        path = Path(url2pathname(urlsplit(url).path))
        if not path.exists() and path.suffix and path.with_suffix("").is_file():
            raise DownloadError(f"only {path.stem} is there; its hash is that of the packed file, {path.name}")
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, a device may never end
            raise DownloadError("not a file")
        total = checked(found.st_size)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk, total
    except (OSError, ValueError) as error:
        raise DownloadError(reason(error)) from error
