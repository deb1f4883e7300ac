"""What the project runs on."""

import platform
import re
from importlib.metadata import requires, version


def versions() -> dict[str, str]:
    """Return the installed versions of Python and of every package that the project asks for, builds aside."""
    names = [re.match(r"[\w.-]+", line) for line in requires("descent") or () if "extra ==" not in line]
    found = {match[0]: version(match[0]).partition("+")[0] for match in names if match}
    return {"Python": platform.python_version()} | found
