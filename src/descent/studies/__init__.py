"""Studies: runs over a grid of parameters and seeds, on one machine or many."""
