"""The measured sections in results.json, and the page results.md that shows them."""

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.tables import page
from benchmarks.targets import TITLE, targets
from benchmarks.timing import Section
from descent.io.files import save_text

RESULTS = Path("benchmarks/results.json")


def load_results() -> tuple[dict[str, str], dict[str, Section]]:
    """Return the machine, and the sections by title."""
    results = json.loads(RESULTS.read_bytes())
    return results["machine"], results["sections"]


def save_results(machine: Mapping[str, str], sections: Mapping[str, Section]) -> None:
    """Write the sections, below what was asked and what they say to it."""
    measured = {title: section for title, section in sections.items() if title != TITLE}
    shown = {TITLE: targets(measured)} | measured
    save_text(RESULTS, json.dumps({"machine": machine, "sections": shown}, indent=1) + "\n")
    save_text(RESULTS.with_suffix(".md"), page(machine, shown))
