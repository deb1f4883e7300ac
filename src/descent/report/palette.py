"""The colours of the figures, which the report exchanges for its own in dark surroundings."""

INK, PAPER = "#1b1b1f", "#ffffff"
# Okabe & Ito's first three, told apart by the colour-blind, and two more that stand out from white as well.
BLUE, VERMILION, GREEN, PURPLE, BROWN = "#0072b2", "#d55e00", "#009e73", "#a3528a", "#7a5c00"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, BROWN)
