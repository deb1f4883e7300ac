"""How far metrics may be from the committed ones where another processor or thread count computed them."""

import re
from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

import pandas as pd

from descent.fashion_mnist import FILES

ABSENT = "(absent)"


class Kind(NamedTuple):
    """Metrics whose names hold `pattern`, and how far they may go: `absolute` + `relative` · |committed value|."""

    name: str
    pattern: str
    absolute: float = 0.0
    relative: float = 0.0


# TABLE
KINDS: tuple[Kind, ...] = (
    Kind("raw data", f"^sha256_({'|'.join(FILES)})$"),
    Kind("hash", "^sha256_", absolute=inf),
    Kind("circumstance", "^(torch|device)$", absolute=inf),
    Kind("accuracy", "accuracy", absolute=0.02),
    Kind("loss", "loss$", relative=0.2),
    Kind("rounding", "_error$|_difference$|_minus_w2o$", absolute=1e-12, relative=1e-5),
    Kind("exact", ""),
)


class Difference(NamedTuple):
    """A metric that is not as committed; `change` and `allowed` where both values are numbers."""

    key: str
    old: object
    new: object
    change: float | None
    allowed: float | None
    kind: str
    within: bool


def kind_of(key: str) -> Kind:
    """Return the first of KINDS that a metric's name fits."""
    return next(kind for kind in KINDS if re.search(kind.pattern, key))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Compare two files of metrics.

    Args:
        old: The committed metrics.
        new: The same, computed again.

    Returns:
        Each metric that is not equal, in the order of `old`, those that only `new` has last. One that is missing on one
        side is never within tolerance, nor one that is a number on one side and a word, or nothing, on the other.
    """
    values = {key: (old.get(key, ABSENT), new.get(key, ABSENT)) for key in dict.fromkeys([*old, *new])}
    return [
        _difference(key, before, after)
        for key, (before, after) in values.items()
        if before != after or _type(before) != _type(after)
    ]


def _difference(key: str, old: Any, new: Any) -> Difference:  # noqa: ANN401 - any word of JSON
    kind = kind_of(key)
    same_type = ABSENT not in (old, new) and _type(old) == _type(new)
    if not same_type or _type(old) is not float:
        return Difference(key, old, new, None, None, kind.name, within=same_type and kind.absolute == inf)
    change, allowed = new - old, kind.absolute + kind.relative * abs(old)
    return Difference(key, old, new, change, allowed, kind.name, within=abs(change) <= allowed)


def _type(value: object) -> type:
    """Return the type of a word of JSON, which has only one for numbers; true is none of them."""
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def largest_changes(old: pd.DataFrame, new: pd.DataFrame) -> dict[str, float]:
    """Compare two tables of the same columns and length.

    Returns:
        max |new − old| / max |old| of each column: 0 where nothing differs, ∞ where that cannot be said, since a word
        differs, or a cell is empty on one side only, or every old number is 0.
    """
    return {str(column): _largest_change(old[column], new[column]) for column in old.columns}


def _largest_change(old: "pd.Series[Any]", new: "pd.Series[Any]") -> float:
    if old.equals(new):
        return 0.0
    if not all(pd.api.types.is_numeric_dtype(each) for each in (old, new)) or not old.isna().equals(new.isna()):
        return inf
    change, scale = (new - old).abs().max(), old.abs().max()
    return float(change / scale) if scale else inf
