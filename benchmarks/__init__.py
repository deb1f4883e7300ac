"""Measurements of this project and its peers; nothing here is a test."""

import stages  # noqa: F401 - sets what torch reads once, in every process that measures
