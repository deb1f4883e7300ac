"""What a group of packages in pyproject.toml needs, a requirement per line: `python3 -I tools/environment.py GROUP`.

Runs in the Python from which the environment is made, so it needs nothing but the standard library.
"""

import sys
from collections.abc import Iterator


def requirements(extra: str) -> Iterator[str]:
    """Yield what pyproject.toml asks for, with an optional dependency and all that this one names.

    The project itself is not installed: its programs import the library of the checkout that they lie in.
    """
    import tomllib  # an old Python has none

    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    asked = project["dependencies"] + project.get("optional-dependencies", {}).get(extra, [])
    for requirement in asked:
        name, _, extras = requirement.removesuffix("]").partition("[")
        if name == project["name"]:
            asked += [each for own in extras.split(",") for each in project["optional-dependencies"][own]]
        else:
            yield requirement


if __name__ == "__main__":
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        number = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"ERROR: descent needs Python 3.11 to 3.14, not {number}: make PYTHON=python3.11 ...")
    print(*requirements(sys.argv[1]), sep="\n")
