"""A claim of the write-up with its verdict, and the format of numbers in verdicts."""

from typing import NamedTuple

VERDICTS = {True: "holds", False: "does not hold", None: "not measured"}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Claim(NamedTuple):
    """A sentence, whether the results support it (None: not measured), and the numbers that decide."""

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
    """Format a small number as a power of ten."""
    if value == 0:
        return "0"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits}·10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def times(rate: float | None) -> str:
    """Format a multiple of a threshold; None where no rate was found."""
    return "none" if rate is None else f"{rate:.3g} times"
