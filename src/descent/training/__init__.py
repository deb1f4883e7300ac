"""Training: the loop, gradients, optimizers, checkpoints, and what a curve tells."""
