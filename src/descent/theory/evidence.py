"""What is shown for a claim of the theory."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Row = dict[str, float | str | None]


class Evidence(NamedTuple):
    """Numbers by name; curves by name, in rows with a `series` each; and tables of what else a figure needs."""

    numbers: Mapping[str, float | int | str | bool | None]
    curves: Mapping[str, Sequence[Row]]
    tables: Mapping[str, Sequence[Row]]
