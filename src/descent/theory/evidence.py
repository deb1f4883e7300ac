"""The results for one claim of the theory."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from descent.io.results import Value


class Evidence(NamedTuple):
    """Metrics by name; rows of curves by name, with a `series` each; and rows of other tables that a figure needs."""

    numbers: Mapping[str, Value]
    curves: Mapping[str, Sequence[Mapping[str, Value]]]
    tables: Mapping[str, Sequence[Mapping[str, Value]]] = {}
