"""The colours of the figures, in a module that the page can import without matplotlib."""

INK, PAPER = "#1b1b1f", "#ffffff"
# Three of Okabe & Ito's colour-blind-safe palette, and two more with enough contrast on white.
BLUE, VERMILION, GREEN, PURPLE, BROWN = COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a3528a", "#7a5c00")
# The CSS variables that take their places on the page; each has a value for a light and a dark colour scheme.
TOKENS = {INK: "ink", PAPER: "paper", BLUE: "blue", VERMILION: "vermilion", GREEN: "green", PURPLE: "purple"}
TOKENS |= {BROWN: "brown"}
