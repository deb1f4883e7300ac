"""Write a file whole or not at all; read and write metrics (JSON) and tables (CSV)."""

import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from descent.errors import DataError

Value = float | int | str | bool | None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its name when the block ends without an error.

    Whoever reads `path` sees the old file or the new one, never a half; an error leaves the old one in place
    and no temporary file. Parent folders are made. The new file has the permissions of any newly made file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_text(path: Path, text: str) -> None:
    """Write text in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_metrics(path: Path, metrics: Mapping[str, Value]) -> None:
    """Write `metrics` as JSON, floats rounded to six significant digits, keys in the given order.

    Raises:
        ValueError: A number is not finite; JSON has no word for it.
    """
    rounded = {key: _rounded(value) for key, value in metrics.items()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(rounded, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def load_metrics(path: Path) -> dict[str, Any]:
    """Read what `save_metrics` wrote.

    Raises:
        DataError: The file is missing or holds no JSON object.
    """
    try:
        return parse_metrics(str(path), path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `dvc repro` makes it") from error


def parse_metrics(name: str, content: bytes) -> dict[str, Any]:
    """Read metrics from the bytes of a file of this name.

    Raises:
        DataError: They are no JSON object.
    """
    try:
        metrics = json.loads(content)
    except ValueError as error:
        raise DataError(f"{name}: not valid JSON ({error}); `dvc repro --force` makes it anew") from error
    if not isinstance(metrics, dict):
        raise DataError(f"{name}: expected a JSON object, found {type(metrics).__name__}")
    return metrics


def save_table(path: Path, rows: Sequence[Mapping[str, Value]]) -> None:
    """Write `rows` as CSV with the first row's keys as header, floats rounded to six significant digits."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows({key: _rounded(value) for key, value in row.items()} for row in rows)


def _rounded(value: Value) -> Value:
    """Round a float to six significant digits: what float32 carries, and what a diff can be read by."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
