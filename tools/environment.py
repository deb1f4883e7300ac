"""The packages that a group in pyproject.toml needs, one per line: `python3 -I tools/environment.py GROUP`.

Runs in the Python from which the environment is made, so it needs nothing but the standard library.
"""

import sys


def requirements(extra: str) -> list[str]:
    """Return the dependencies in pyproject.toml, with an optional one and all that it names; not the project itself."""
    import tomllib  # an old Python has none

    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    optional = project.get("optional-dependencies", {})
    asked: list[str] = project["dependencies"] + optional.get(extra, [])
    while own := [each for each in asked if each.startswith(f"{project['name']}[")]:
        extras = own[0].removesuffix("]").partition("[")[2].split(",")
        asked = [each for each in asked if each != own[0]] + [each for name in extras for each in optional[name]]
    return asked


if __name__ == "__main__":
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        number = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"ERROR: descent needs Python 3.11 to 3.14, not {number}: make PYTHON=python3.11 ...")
    print(*requirements(sys.argv[1]), sep="\n")
