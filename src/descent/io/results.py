"""Read and write results: metrics as JSON, tables as CSV."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from descent.io.errors import DataError
from descent.io.files import replacing

Value = float | int | str | bool | None
Metric = Value | Sequence[str]
# For pandas: columns with the names of classes, which may look like numbers, or like nothing.
NAMED: Mapping[str, Any] = {"dtype": dict.fromkeys(("series", "actual", "predicted"), str), "keep_default_na": False}


def save_metrics(path: Path, metrics: Mapping[str, Metric]) -> None:
    """Write `metrics` as JSON, floats rounded to six significant digits, keys in the given order.

    Raises:
        ValueError: A number is not finite; JSON has no word for it.
    """
    rounded = {key: _rounded(value) for key, value in metrics.items()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(rounded, indent=2, allow_nan=False) + "\n", encoding="utf-8")


class _FileMetrics(dict[str, Any]):
    """The metrics of the file `name`; a missing one is an error that names the file."""

    name = ""

    def __missing__(self, key: str) -> Any:  # noqa: ANN401 - never returns
        raise DataError(f"{self.name}: has no {key}; `dvc repro --force` makes the file anew")


def load_metrics(path: Path) -> dict[str, Any]:
    """Read what `save_metrics` wrote.

    Raises:
        DataError: The file is missing or holds no JSON object; or, when it is asked for, lacks a metric.
    """
    try:
        return parse_metrics(str(path), path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `dvc repro` makes it") from error


def parse_metrics(name: str, content: bytes) -> dict[str, Any]:
    """Read metrics from the content of the file `name`; raises as `load_metrics` does."""
    try:
        metrics = _FileMetrics(json.loads(content))
    except (ValueError, TypeError) as error:
        raise DataError(f"{name}: no JSON object ({error}); `dvc repro --force` makes it anew") from error
    metrics.name = name
    return metrics


def save_table(path: Path, rows: Iterable[Mapping[str, Value]], columns: Sequence[str] = ()) -> None:
    """Write `rows` as CSV with `columns`, by default the first row's, as header; floats to six significant digits.

    Rows are written as they come; no more than one is held.
    """
    coming = iter(rows)
    first = [] if columns else [next(coming)]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, fieldnames=columns or list(first[0]), lineterminator="\n")
        table.writeheader()
        table.writerows({key: _rounded(value) for key, value in row.items()} for row in chain(first, coming))


def _rounded(value: Metric) -> Metric:
    """Round a float to six significant digits: what float32 carries, and what a diff can be read by."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
