"""The results as a page of Markdown."""

from collections.abc import Mapping

from tabulate import tabulate

from benchmarks.timing import Figures, Section


def page(machine: Mapping[str, str], sections: Mapping[str, Section]) -> str:
    """Lay out where and with what it was measured, and a table for each section."""
    told = "\n".join(f"- {what}: {value}" for what, value in machine.items())
    tables = "\n\n".join(
        f"## {section['title']}\n\n{section['note']}\n\n{table(section)}" for section in sections.values()
    )
    return f"# Measured\n\nWritten by `make bench`; the same figures are in `results.json`.\n\n{told}\n\n{tables}\n"


def table(section: Section) -> str:
    """Lay out one section, a column for each figure that any of its rows has."""
    columns = list(dict.fromkeys(column for row in section["rows"].values() for column in row))
    rows = [[label, *(shown(row, column) for column in columns)] for label, row in section["rows"].items()]
    return tabulate(rows, ["", *columns], "github", disable_numparse=True, colalign=["left", *["right"] * len(columns)])


def shown(row: Figures, column: str) -> str:
    """Write a figure with three significant digits."""
    figure = row.get(column)
    if not isinstance(figure, float):
        return "" if figure is None else str(figure)
    return f"{figure:.0f}" if abs(figure) >= 1000 else f"{figure:.3g}"
