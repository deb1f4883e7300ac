"""Models: their layers, predictions and evaluation, and the settings of the machine that they run on."""
