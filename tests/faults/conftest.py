"""Keeps what each fault led to; `make faults` writes it into docs/faults.md."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.imports import ROOT

TABLE = ROOT / "docs" / "faults.md"
Tell = Callable[[str, str, str], None]
ROWS = pytest.StashKey[list[tuple[str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make faults` ask for the table."""
    parser.addoption("--write-faults", action="store_true", help="write docs/faults.md from the faults that were run")


def pytest_configure(config: pytest.Config) -> None:
    """Begin with an empty table."""
    config.stash[ROWS] = []


@pytest.fixture
def tell(request: pytest.FixtureRequest, tmp_path: Path) -> Tell:
    """Return what takes a row of the table: what was tried, what must happen, what happened."""
    chapter = (request.module.__doc__ or "").splitlines()[0].rstrip(".")

    def told(tried: str, must: str, happened: str) -> None:
        for secret in (str(tmp_path.resolve()), str(tmp_path)):
            happened = happened.replace(secret, "…")
        happened = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:…", happened.strip())
        cells = (cell.replace("|", "\\|").replace("\n", "<br>") for cell in (tried, must, happened))
        request.config.stash[ROWS].append((chapter, f"| {' | '.join(cells)} |"))

    return told


@pytest.fixture(scope="session")
def rows(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    """Return the rows so far, each after its chapter."""
    return request.config.stash[ROWS]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the table where it was asked for, and everything passed."""
    if not session.config.getoption("write_faults", default=False) or exitstatus:
        return
    rows = session.config.stash[ROWS]
    lines = [
        "# What was tried to break it",
        "",
        f"{len(rows)} faults, each a test in `tests/faults/`; `make faults` runs them all and writes this table.",
    ]
    for chapter in dict.fromkeys(chapter for chapter, _ in rows):
        lines += ["", f"## {chapter}", "", "| tried | must happen | happened |", "| --- | --- | --- |"]
        lines += [row for of, row in rows if of == chapter]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
