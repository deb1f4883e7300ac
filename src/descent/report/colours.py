"""The colours of the figures, in a module that the page can import without matplotlib."""

# The page replaces these colours by its own (`page.TOKENS`), which follow a dark colour scheme.
INK, PAPER = "#1b1b1f", "#ffffff"
# Three of Okabe & Ito's colour-blind-safe palette, and two more with enough contrast on white.
BLUE, VERMILION, GREEN, PURPLE, BROWN = "#0072b2", "#d55e00", "#009e73", "#a3528a", "#7a5c00"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, BROWN)
