"""Write files atomically."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield an empty file `.NAME.part` beside `path`, which takes its name when the block ends without an error.

    The write is atomic: `path` is the old file or the new one, and after an error the old one. Parent folders are
    created. An incomplete file of a killed program is overwritten: the name is always the same, and only one process
    may write a file at a time.

    Args:
        path: The file.
        flush: Call fsync, so that the file is complete after a power failure too.

    Raises:
        OSError: The disk is full, the folder cannot be written, …; it names a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(b"")
        yield temporary
        if flush:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say what it had no room for
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def save_text(path: Path, text: str) -> None:
    """Write text in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
