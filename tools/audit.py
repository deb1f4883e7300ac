"""constraints.txt → the pinned packages that have known vulnerabilities, as pip-audit finds them."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tabulate import tabulate

from descent.io.errors import DescentError
from stages.program import command

PINNED = Path("constraints.txt")
# Seconds for the whole: a question for each package, one after the other.
LIMIT = 600.0


class AuditError(DescentError):
    """The packages, or some of them, could not be held to the list of vulnerabilities."""


def asked(*options: str) -> list[dict[str, Any]]:
    """Ask pip-audit about every pinned package.

    Args:
        options: More words for its command line.

    Returns:
        For each package `name` and either `skip_reason` or `version` and `vulns`.

    Raises:
        AuditError: It is not installed, or could not ask.
    """
    if find_spec("pip_audit") is None:
        raise AuditError("nothing was audited: pip-audit is not installed; `make audit` installs it")
    # Without dependencies to resolve, pins need no hashes, and nothing is downloaded or built.
    words = ["--requirement", str(PINNED), "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            [sys.executable, "-m", "pip_audit", *words, "--format", "json", "--desc", "off", *options],
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        raise AuditError(f"nothing was audited: no answer within {LIMIT:.0f} seconds") from error
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError as error:
        raise AuditError(f"nothing was audited: {reason(done.stderr)}") from error
    return packages


def reason(said: str) -> str:
    """Take from what pip-audit said, a traceback perhaps, the last line that gives a reason."""
    begins = r"ERROR:pip_audit\._cli:(?!Tip)|([\w-]+\.)*(?=[\w-]+: )"
    reasons = [line[found.end() :] for line in said.splitlines() if (found := re.match(begins, line))]
    return reasons[-1] if reasons else "pip-audit gave no reason"


def table(packages: list[dict[str, Any]]) -> str:
    """Lay out each vulnerability with the versions that mend it."""
    rows = [
        (package["name"], package["version"], found["id"], ", ".join(found["fix_versions"]) or "–")
        for package in packages
        for found in package.get("vulns", [])
    ]
    return tabulate(rows, headers=("package", "version", "vulnerability", "mended in"), disable_numparse=True)


def main(*options: str) -> None:
    """Hold every pinned package to the list of known vulnerabilities; the options are pip-audit's."""
    packages = asked(*options)
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    vulnerable = [package for package in packages if package.get("vulns")]
    if len(skipped) == len(packages):
        raise AuditError(f"nothing was audited: the service knows none of the {len(packages)} packages")
    if vulnerable:
        sys.stdout.write(f"{table(vulnerable)}\n")
    # pip-audit itself calls those clean that the service does not know.
    if skipped:
        raise AuditError(f"{len(skipped)} of {len(packages)} packages were not audited: {', '.join(skipped)}")
    if vulnerable:
        raise AuditError(f"{len(vulnerable)} of {len(packages)} packages in {PINNED} have known vulnerabilities")
    sys.stdout.write(f"{len(packages)} packages in {PINNED}: none has a known vulnerability\n")


if __name__ == "__main__":
    command(main)
