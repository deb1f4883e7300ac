"""Tests, each named after the fact that it shows."""

from beartype import BeartypeConf, beartype

# What pytest hangs on our own functions (see pyproject.toml). An int will do for a float, as it does for mypy.
typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))
