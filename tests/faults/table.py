"""The type of the fixture `tell`."""

from collections.abc import Callable

Tell = Callable[[str, str, str], None]
