"""Attacks: norms, losses, the fast gradient sign method and projected gradient descent."""
