"""The table docs/faults.md: what each fault led to. `make test-all` writes it; every other run compares with it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.imports import ROOT

TABLE = ROOT / "docs" / "faults.md"
HEADER = """# What was tried to break it

{} faults, each a test in `tests/faults/`; `make test-all` runs them all and writes this table.
"""
Tell = Callable[[str, str, str], None]


class Row(NamedTuple):
    """A row of the table and the chapter that it belongs to."""

    chapter: str
    text: str


ROWS = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option with which the table is written."""
    parser.addoption("--write-faults", action="store_true", help="write docs/faults.md from the faults that are run")


def pytest_configure(config: pytest.Config) -> None:
    """Begin with an empty table."""
    config.stash[ROWS] = []


@pytest.fixture
def tell(request: pytest.FixtureRequest, tmp_path: Path) -> Tell:
    """Return what takes a row of the table: what was tried, what must happen, what happened."""
    chapter = (request.module.__doc__ or "").splitlines()[0].rstrip(".")
    written = TABLE.read_text(encoding="utf-8").splitlines()
    # What differs from machine to machine: folders, ports, digests of what was trained.
    varying = rf"{re.escape(str(tmp_path))}|(?<=127\.0\.0\.1:)\d+|\b[0-9a-f]{{64}}\b"

    def told(tried: str, must: str, happened: str) -> None:
        happened = re.sub(varying, "…", happened.strip())
        cells = (
            cell.replace("|", "\\|").replace("][", "]\\[").replace("\n", "<br>") for cell in (tried, must, happened)
        )
        row = f"| {' | '.join(cells)} |"
        request.config.stash[ROWS].append(Row(chapter, row))
        if not request.config.getoption("write_faults"):
            assert row in written, f"docs/faults.md has no such row; `make test-all` writes it anew: {row}"

    return told


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - a worker of pytest-xdist
    """Take over the rows of a worker."""
    node.config.stash[ROWS] += [Row(*row) for row in getattr(node, "workeroutput", {}).get("faults", [])]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pass the rows on, or write the table: chapters that were run as they went, the others as they were."""
    told = session.config.stash[ROWS]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = [list(row) for row in told]
    elif session.config.getoption("write_faults") and told:
        old = [
            Row(title, line)
            for title, *lines in map(str.splitlines, TABLE.read_text(encoding="utf-8").split("\n## ")[1:])
            for line in lines[3:]
            if line
        ]
        place = {row: number for number, row in enumerate(old)}
        run = {row.chapter for row in told}
        # Workers end in any order: known rows keep theirs.
        rows = [row for row in old if row.chapter not in run] + sorted(told, key=lambda row: place.get(row, len(old)))
        lines = [HEADER.format(len(rows))]
        for chapter in sorted({row.chapter for row in rows}):
            lines += [f"## {chapter}", "", "| tried | must happen | happened |", "| --- | --- | --- |"]
            lines += [*(row.text for row in rows if row.chapter == chapter), ""]
        TABLE.write_text("\n".join(lines), encoding="utf-8")
