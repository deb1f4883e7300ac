"""The results as tables, and the tables in Markdown for a terminal or a README."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from tabulate import tabulate

from descent.report.claims import MetricsByRun
from descent.report.markup import TEMPLATES, divergence, templates
from descent.sources.published import warning

TABLES = YAML(typ="safe").load(TEMPLATES / "tables.yaml")

PGD = "pgd_accuracy_at_"


class Table(NamedTuple):
    """A header, whose first column names the runs, and a row of text for each run."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def result_tables(trained: MetricsByRun, attacked: MetricsByRun) -> dict[str, Table]:
    """Return a table for each kind of run."""
    tables, jinja = dict[str, Table](), templates()
    for kind, table in TABLES["runs"].items():
        has, *cells = map(jinja.compile_expression, (table["has"], *table["columns"].values()))
        runs = attacked if kind == "attacks" else trained
        known = {f"{name}{divergence(m)}": m for name, m in runs.items() if has(m=m)}
        rows = [(name, *(str(cell(m=m)) for cell in cells)) for name, m in known.items()]
        tables[kind] = Table((table["heading"], *table["columns"]), rows)
    return tables


def bracket_table(certified: Mapping[str, Sequence[Mapping[str, float]]], attacked: MetricsByRun) -> Table:
    """Return the bounds of each classifier's robust accuracy, at the ε of PGD; `certified` are rows of a bracket."""
    epsilons = [name.removeprefix(PGD) for name in next(iter(attacked.values()), {}) if PGD in name]
    rows = []
    for name, metrics in attacked.items():
        known = {f"{row['epsilon']:g}": row for row in certified[name]}
        cells = (f"{100 * known[at]['accuracy']:.1f}–{known[at]['attacked_accuracy']:.1%}" for at in epsilons)
        half = metrics["half_certified_epsilon"]
        rows.append((name, *cells, "–" if half is None else f"{half:.2g}"))
    return Table(("robust accuracy", *(f"ε = {at}" for at in epsilons), "half certified at ε"), rows)


def markdown_tables(data: Mapping[str, Any], trained: MetricsByRun, attacked: MetricsByRun) -> str:
    """Write all tables in Markdown, after a warning if the images of `metrics/data.json` are not Fashion-MNIST."""
    warned = warning(data["source"])
    written = [f"**{warned}**"] if warned else []
    for name, (header, rows) in result_tables(trained, attacked).items():
        if rows or name != "others":
            align = ["left", *["right"] * (len(header) - 1)] if rows else None
            written.append(tabulate(rows, header, tablefmt="pipe", disable_numparse=True, colalign=align))
    return "\n\n".join(written)
