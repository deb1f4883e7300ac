"""What `make audit` makes of each answer; a stand-in plays pip-audit, which asks a service on the network."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.imports import ROOT
from tools.audit import AuditError, asked

CLEAN = {"name": "torch", "version": "2.13.0", "vulns": []}
UNKNOWN = {"name": "tqdm", "skip_reason": "Dependency not found on PyPI and could not be audited: tqdm (4.70.1)"}
VULNERABLE = {
    "name": "jinja2",
    "version": "3.1.6",
    "vulns": [{"id": "CVE-2030-1", "fix_versions": ["3.1.7", "4.0"]}, {"id": "PYSEC-2030-2", "fix_versions": []}],
}
WARNING = "WARNING:pip_audit._cli:--no-deps is supported, but users are encouraged to fully hash their dependencies\n"
TRACEBACK = """Traceback (most recent call last):
socket.gaierror: [Errno -2] Name or service not known

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "pip_audit/_cli.py", line 604, in audit
    for spec, vulns in auditor.audit(source):
requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded
"""
HTTP_ERROR = """Traceback (most recent call last):
requests.exceptions.HTTPError: 500 Server Error: Internal Server Error for url: https://pypi.org/pypi/torch/2.13.0/json

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
pip_audit._service.interface.ServiceError
"""
FATAL = """ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed
ERROR:pip_audit._cli:Tip: your network may be blocking this service. Try another service with `-s SERVICE`
"""
# It answers as pip-audit does: JSON on one stream, all else on the other, 1 where something was found.
STAND_IN = """import pathlib, sys
pathlib.Path({asked!r}).write_text("\\n".join(sys.argv[1:]))
sys.stdout.write({answer!r})
sys.stderr.write({said!r})
sys.exit({status!r})
"""


def audit(folder: Path, *options: str) -> tuple[int, str, str]:
    """Run the audit with the modules in a folder; return its status and what it printed on each stream."""
    path = os.pathsep.join([str(folder), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "tools.audit", *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def answering(folder: Path, packages: list[dict[str, Any]] | None, said: str = WARNING, status: int = 0) -> Path:
    """Put a stand-in for pip-audit into a folder, and return the folder."""
    answer = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []}) + "\n"
    text = STAND_IN.format(asked=str(folder / "asked"), answer=answer, said=said, status=status)
    (folder / "pip_audit.py").write_text(text, encoding="utf-8")
    return folder


def test_packages_without_vulnerabilities_are_counted(tmp_path: Path) -> None:
    assert audit(answering(tmp_path, [CLEAN, CLEAN])) == (
        0,
        "2 packages in constraints.txt: none has a known vulnerability\n",
        "",
    )


def test_it_asks_about_every_pin_and_neither_resolves_nor_builds_anything(tmp_path: Path) -> None:
    audit(answering(tmp_path, [CLEAN]), "--ignore-vuln", "CVE-2030-1")
    words = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert words[words.index("--requirement") + 1] == "constraints.txt"
    assert {"--no-deps", "--disable-pip"} <= set(words)
    assert words[-2:] == ["--ignore-vuln", "CVE-2030-1"]


def test_vulnerabilities_are_listed_with_what_mends_them(tmp_path: Path) -> None:
    status, printed, said = audit(answering(tmp_path, [CLEAN, VULNERABLE], status=1))
    assert status == 1
    header, _, *rows = printed.splitlines()
    assert header.split() == ["package", "version", "vulnerability", "mended", "in"]
    assert [row.split() for row in rows] == [
        ["jinja2", "3.1.6", "CVE-2030-1", "3.1.7,", "4.0"],
        ["jinja2", "3.1.6", "PYSEC-2030-2", "–"],
    ]
    assert said == "ERROR: 1 of 2 packages in constraints.txt have known vulnerabilities\n"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (TRACEBACK, "ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded"),
        (
            HTTP_ERROR,
            "HTTPError: 500 Server Error: Internal Server Error for url: https://pypi.org/pypi/torch/2.13.0/json",
        ),
        (FATAL, "Could not connect to PyPI's vulnerability feed"),
        ("", "pip-audit gave no reason"),
    ],
)
def test_a_service_out_of_reach_ends_the_audit_in_one_line(tmp_path: Path, said: str, reason: str) -> None:
    assert audit(answering(tmp_path, None, WARNING + said, status=1)) == (
        1,
        "",
        f"ERROR: nothing was audited: {reason}\n",
    )


def test_packages_that_the_service_does_not_know_are_not_called_clean(tmp_path: Path) -> None:
    # pip-audit ends with 0 there and says "No known vulnerabilities found".
    assert audit(answering(tmp_path, [UNKNOWN, UNKNOWN])) == (
        1,
        "",
        "ERROR: nothing was audited: the service knows none of the 2 packages\n",
    )
    assert audit(answering(tmp_path, [CLEAN, UNKNOWN])) == (1, "", "ERROR: 1 of 2 packages were not audited: tqdm\n")


def test_where_some_are_vulnerable_and_some_unknown_both_are_told(tmp_path: Path) -> None:
    status, printed, said = audit(answering(tmp_path, [VULNERABLE, UNKNOWN], status=1))
    assert status == 1
    assert "CVE-2030-1" in printed
    assert said == "ERROR: 1 of 2 packages were not audited: tqdm\n"


def test_without_pip_audit_it_says_how_to_get_it(tmp_path: Path) -> None:
    # A folder in whose stead Python finds nothing, though pip-audit were installed here.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pip_audit'] = None\n", encoding="utf-8")
    assert audit(tmp_path) == (
        1,
        "",
        "ERROR: nothing was audited: pip-audit is not installed; `make audit` installs it\n",
    )


def test_a_service_that_never_answers_is_not_awaited_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip_audit.py").write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("tools.audit.LIMIT", 1.0)
    with pytest.raises(AuditError, match="^nothing was audited: no answer within 1 seconds$"):
        asked()
