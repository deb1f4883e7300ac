"""Gradient descent on weights, gradient ascent on pixels: the library behind the pipeline's stages."""
