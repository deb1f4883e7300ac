"""A claim of the write-up with its verdict, and how verdicts write numbers."""

from typing import NamedTuple

VERDICTS = {True: "holds", False: "does not hold", None: "not measured"}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Claim(NamedTuple):
    """A sentence, whether the results support it (None: it was not measured), and the numbers that show so."""

    section: str
    says: str
    holds: bool | None
    shows: str
    ours: bool = False  # not a claim of the write-up, but checked as well

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return VERDICTS[self.holds]


def power(value: float) -> str:
    """Write a small number as a power of ten."""
    if value == 0:
        return "0"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits}·10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def times(rate: float | None) -> str:
    """Write a multiple of a threshold; None where no rate was found."""
    return "none" if rate is None else f"{rate:.3g} times"
