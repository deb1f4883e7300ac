"""What the project runs on."""

import re
from importlib.metadata import requires, version


def versions() -> dict[str, str]:
    """Return the installed version of every package that the project asks for, builds aside.

    Not that of Python: the packages are pinned and make the results what they are, while any Python runs them.
    """
    names = [re.match(r"[\w.-]+", line) for line in requires("descent") or () if "extra ==" not in line]
    return {match[0]: version(match[0]).partition("+")[0] for match in names if match}
