"""Write a file whole or not at all."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield an empty file `.NAME.part` beside `path`, which takes its name when the block ends without an error.

    Whoever reads `path` sees the old file or the new one, never a half; an error leaves the old one in place
    and no other. Parent folders are made. What a killed program left half-written is written over: the name is always
    the same, and only one process may write a file at a time.

    Args:
        path: The file.
        flush: Wait until the disk has it, so that a whole file is there after a power failure too.

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
