"""Robustness: accuracy under attack, the smallest perturbation that flips an image, sanity checks, transfer."""
