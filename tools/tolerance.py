"""How far metrics may be from the committed ones where another processor or thread count computed them."""

import re
from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

import pandas as pd

from descent.sources.published import FILES

ABSENT = "(absent)"


class Kind(NamedTuple):
    """Metrics whose names hold `pattern`, and how far they may go: `absolute` + `relative` · |committed value|."""

    name: str
    pattern: str
    absolute: float = 0.0
    relative: float = 0.0


# In every file. ∞: no difference is too large, as long as the value is of the same type.
COMMON = (
    Kind("raw data", f"^sha256_({'|'.join(FILES)})$"),
    # One bit is enough for another hash; what the bits are worth, the other metrics say.
    Kind("hash", "^sha256_", absolute=inf),
    # No results, but what they came from; results are held to the same limits under another version, or on a GPU.
    Kind("circumstance", "^(torch|device)$", absolute=inf),
)

# Of a classifier. Training it in float32 forgives no rounding: after a few hundred steps the weights are others, as
# good, held near the committed ones by the same start and the same batches only. What stands after each limit was
# measured: the largest difference from the committed results, which come of AVX2, over two runs of the whole pipeline,
# one with AVX-512 throughout, one with ATen's plain code and AVX-512 elsewhere. Another processor is another throw of
# the same dice, so the limits lie at two to five times that. Two threads in the stead of one changed no classifier.
CLASSIFIER = (
    # The least confident of many bags that flip: every training has its own, and with it another ε, here 68 % off.
    Kind("choice of a bag", "^bag_(index|epsilon)$", absolute=inf),
    Kind("confidence of a bag", "^bag_", absolute=0.25),  # 0.12
    # The chance that lies in 10,000 images has a standard deviation of 0.003.
    Kind(
        "accuracy",
        r"^(best|final|clean|generalization)\w*_(accuracy|confidence)$|^accuracy_at_0$",
        absolute=0.02,  # 0.0044, and 0.0058 of a difference of two
    ),
    # No example of the training holds in place what lies beside the images.
    Kind("accuracy under attack", "accuracy|^pgd_|_on_", absolute=0.1),  # 0.049 with FGSM, 0.019 with PGD
    Kind("share of epochs", "^share_of_epochs", absolute=0.2),  # 0.091; one step of seven is 0.14
    Kind("share of images", "share|_mean_change$", absolute=0.06),  # 0.023
    # The absolute part is for the MLP's last training losses, which go up and down by a tenth from epoch to epoch.
    Kind("loss", "_loss$", absolute=0.02, relative=0.1),  # 15 % of 0.054; of losses beyond 0.1 at most 5 %
    Kind("deviation", "_deviation$", absolute=0.08),  # 0.027
    Kind("epsilon", "_epsilon$", relative=0.15),  # 5 %
    # The lowest of many low losses: under weight decay 50 on an Intel Xeon, 88 on an AMD EPYC.
    Kind("best epoch", "^best_epoch$", absolute=inf),
    Kind("epoch", "_epoch$", absolute=5),  # 1
)

# Of all else: what is in float64 and convex, or takes few steps, keeps its six digits in both runs. What should be 0 is
# up to 4e-15, and moved by 1e-15.
EXACT = Kind("exact", "", absolute=1e-12, relative=1e-5)


class Difference(NamedTuple):
    """A metric that is not as committed; `change` and `allowed` where both values are numbers."""

    metric: str
    old: object
    new: object
    change: float | None
    allowed: float | None
    kind: str
    within: bool


def kind_of(metric: str, metrics: Mapping[str, Any]) -> Kind:
    """Return the kind of a metric in a file; one with an accuracy, or checks of an attack, is of classifiers."""
    of_classifier = any("accuracy" in name or name == "failed_checks" for name in metrics)
    kinds: list[Kind] = [*COMMON, *(CLASSIFIER if of_classifier else ()), EXACT]
    return next(kind for kind in kinds if re.search(kind.pattern, metric))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Compare two files of metrics.

    Args:
        old: The committed metrics.
        new: The same, computed again.

    Returns:
        Each metric that is not equal, in the order of `old`, those that only `new` has last. One that is missing on one
        side is never within tolerance, nor one that is a number on one side and a word, or nothing, on the other.
    """
    pairs = {metric: (old.get(metric, ABSENT), new.get(metric, ABSENT)) for metric in dict.fromkeys([*old, *new])}
    return [
        _difference(metric, before, after, kind_of(metric, old))
        for metric, (before, after) in pairs.items()
        if before != after or _type(before) != _type(after)
    ]


def _difference(metric: str, old: Any, new: Any, kind: Kind) -> Difference:  # noqa: ANN401 - any word of JSON
    same_type = ABSENT not in (old, new) and _type(old) == _type(new)
    if not same_type or _type(old) is not float:
        return Difference(metric, old, new, None, None, kind.name, within=same_type and kind.absolute == inf)
    # A count is exact, be it as large as it may.
    counted = kind is EXACT and isinstance(old, int)
    change, allowed = new - old, 0.0 if counted else kind.absolute + kind.relative * abs(old)
    return Difference(metric, old, new, change, allowed, kind.name, within=abs(change) <= allowed)


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
