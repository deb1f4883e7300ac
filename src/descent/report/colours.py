"""The colours of the figures, in a module that the page can import without matplotlib."""

from collections.abc import Iterable
from itertools import cycle

INK, PAPER = "#1b1b1f", "#ffffff"
# Three of Okabe & Ito's colour-blind-safe palette, and two more with enough contrast on white.
BLUE, VERMILION, GREEN, PURPLE, BROWN = COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a3528a", "#7a5c00")
# The runs take these in turn. The write-up's regressions come first; no figure shows them beside a classifier.
SLATE, CRIMSON, INDIGO = "#5a6675", "#b5123e", "#4b47b8"
RUN_COLOURS = (SLATE, CRIMSON, *COLOURS, INDIGO)
# The CSS variables that take their places on the page; each has a value for a light and a dark colour scheme.
TOKENS = {INK: "ink", PAPER: "paper", BLUE: "blue", VERMILION: "vermilion", GREEN: "green", PURPLE: "purple"}
TOKENS |= {BROWN: "brown", SLATE: "slate", CRIMSON: "crimson", INDIGO: "indigo"}


def run_colours(runs: Iterable[str]) -> dict[str, str]:
    """Return the colour of each run under `train` in params.yaml, which it has in every figure and plot."""
    return dict(zip(runs, cycle(RUN_COLOURS)))
