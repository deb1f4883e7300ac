"""Robustness: accuracy under attack, the smallest perturbation that flips an image, self-checks, transfer."""
