"""Download a file with pooch, from the first mirror that has the published bytes."""

import logging
import os.path
import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

import pooch
import requests

from descent.io.errors import DownloadError
from descent.io.files import replacing

LIMIT = 64 << 20  # bytes; the largest of the four files has 26 MB
RETRIES, REDIRECTS = 2, 5
# A name, with or without a password, before the host of an address.
USER = re.compile(r"//[^/]*(:.*)?@")

log = logging.getLogger(__name__)
for logger in (pooch.get_logger(), logging.getLogger("urllib3")):  # which repeat passwords and the words of servers
    logger.setLevel(logging.ERROR)


def fetch(
    name: str,
    digest: str,
    mirrors: Sequence[str],
    folder: Path,
    bar: Any,  # noqa: ANN401 - a progress bar of tqdm
    *,
    silence: float = 15.0,
    patience: float = 1800.0,
) -> None:
    """Download the file `name` into `folder` from the first of `mirrors` whose bytes have this SHA-256.

    A download that failed, or brought other bytes, is tried twice more, from the start.

    Args:
        name: The file's name, the same on every mirror.
        digest: Its SHA-256 in hexadecimal.
        mirrors: Folders, or addresses that begin with `file://`, `http://` or `https://`.
        folder: Receives the file when it is whole and verified.
        bar: Shows how many bytes have been received.
        silence: Seconds without data after which a try fails.
        patience: Seconds after which a mirror is given up.

    Raises:
        DownloadError: No mirror has the file; the message has a line for each, with its reason.
        OSError: The file cannot be written.
    """
    refusals = []
    for mirror in mirrors:
        # Not Path.expanduser, which raises for an unknown user.
        base = mirror if "://" in mirror else Path(os.path.expanduser(mirror)).absolute().as_uri()
        url = f"{base.removesuffix('/')}/{name}"
        local = url.startswith("file://")
        try:
            # Not in `folder`: if the program is killed, pooch's temporary file stays.
            with TemporaryDirectory() as staging, _time_limit(patience):
                retriever = pooch.Pooch(staging, "", {name: digest}, {name: url}, 0 if local else RETRIES)
                transfer = _copy if local else partial(_download, bar=bar, silence=silence)
                received = retriever.fetch(name, downloader=transfer)
                with replacing(folder / name) as part:
                    shutil.copyfile(received, part)
            return
        except (DownloadError, ValueError, requests.RequestException) as error:
            refusals.append(f"{_line(url)}: {_line(_reason(error).partition(' Deleted download')[0])}")
            log.warning("%s", refusals[-1])
    raise DownloadError("\n  ".join([f"no mirror delivered {name}", *refusals]))


def _copy(url: str, output: str, _: object) -> None:
    try:
        if urlsplit(url).netloc not in {"", "localhost"}:
            raise DownloadError("file:// is followed by a path, which begins with a third slash")
        path = Path(url2pathname(urlsplit(url).path))
        if not path.exists() and path.suffix and path.with_suffix("").is_file():
            raise DownloadError(f"only {path.stem} is there; its hash is that of the packed file, {path.name}")
        _check_size(path.stat().st_size)
        if not path.is_file():  # reading a pipe would block, and a device may never end
            raise DownloadError("not a file")
        shutil.copyfile(path, output)
    except (OSError, ValueError) as error:
        raise DownloadError(_reason(error)) from error


def _download(url: str, output: str, _: object, *, bar: Any, silence: float) -> None:  # noqa: ANN401
    """Download over HTTP(S); a DownloadError is final, pooch tries again after other errors."""
    session = requests.Session()
    session.auth = lambda request: request  # otherwise passwords of ~/.netrc are sent
    # Otherwise the body of a redirect is read, which may never end.
    session.resolve_redirects = lambda *_, **__: iter(())  # type: ignore[method-assign, assignment]
    headers = {"User-Agent": "descent", "Accept-Encoding": "identity"}
    for _ in range(REDIRECTS + 1):
        if not url.startswith(("http://", "https://")) or USER.search(url):
            raise DownloadError("a mirror is a folder, file://…, http://… or https://…, without a user's name")
        try:
            answer = session.get(url, headers=headers, timeout=silence, stream=True, allow_redirects=False)
        except ValueError as error:
            raise DownloadError(f"not an address: {_reason(error)}") from error
        with answer, open(output, "wb") as file:
            if target := session.get_redirect_target(answer):
                scheme, url = urlsplit(url).scheme, urljoin(url, target)
                if urlsplit(url).scheme not in {"https", scheme}:
                    raise DownloadError(f"redirected from {scheme}:// to {url}")
                continue
            if answer.status_code >= 300:
                kind = requests.HTTPError if answer.status_code >= 500 else DownloadError
                raise kind(f"HTTP {answer.status_code} {answer.reason}")
            bar.reset(answer.raw.length_remaining)
            _check_size(bar.total or 0)
            # Many servers send `gzip` for a file that ends in .gz. Its hash decides.
            answer.raw.headers.pop("Content-Encoding", None)
            for chunk in answer.iter_content(1 << 16):
                file.write(chunk)
                bar.update(len(chunk))
                _check_size(file.tell())
            return
    raise DownloadError(f"more than {REDIRECTS} redirects")


def _check_size(size: float) -> None:
    if size > LIMIT:
        raise DownloadError(f"more than {LIMIT} bytes: not one of the four files")


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise a DownloadError after so many seconds: a timeout of Requests begins anew with every byte."""

    def expire(*_: object) -> None:
        raise DownloadError(f"not done after {seconds:g} s")

    former = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _reason(error: BaseException) -> str:
    """Return the words of the first cause."""
    while not isinstance(error, DownloadError) and (cause := error.__cause__ or error.__context__):
        error = cause
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _line(text: str) -> str:
    """Return text of a user or a server as one short line, without passwords and control characters."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return USER.sub("//…@", printable)[:300]
