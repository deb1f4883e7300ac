"""The write-up's theory, shown numerically and symbolically."""
