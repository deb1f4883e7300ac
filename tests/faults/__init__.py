"""Every way of breaking the project that was tried, and what must come of it."""
