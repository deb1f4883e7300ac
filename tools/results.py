"""params.yaml, metrics/ → the results as tables, on the terminal or between the marks of a README."""

import re
from pathlib import Path

from descent.io.files import save_text
from descent.io.layout import DATA_METRICS, PARAMS, RunFiles
from descent.io.params import load_params
from descent.io.results import load_metrics
from descent.report.tables import markdown_tables
from stages.program import command

BEGIN, END = "<!-- results: written by `make readme` -->", "<!-- end of results -->"


def replaced(page: str, tables: str) -> str:
    """Return `page` with the tables between its two marks; without these marks it is a ValueError."""
    text, count = re.subn(f"(?s){BEGIN}.*{END}", lambda _: f"{BEGIN}\n\n{tables}\n\n{END}", page)
    if not count:
        raise ValueError(f"the page lacks the marks {BEGIN} and {END}")
    return text


def main(readme: str | None = None) -> None:
    """Print the tables, or write them into the file named."""
    params = load_params(PARAMS)
    tables = markdown_tables(
        load_metrics(DATA_METRICS),
        {name: load_metrics(RunFiles(name).train_metrics) for name in params.train},
        {name: load_metrics(RunFiles(name).attack_metrics) for name in params.attack.runs},
    )
    if readme:
        save_text(Path(readme), replaced(Path(readme).read_text(encoding="utf-8"), tables))
        return
    print(f"\n{tables}\n\nThe whole story: {Path('report/index.html').resolve().as_uri()}")
    print("The report, the laboratory and the curves: `make view`")


if __name__ == "__main__":
    command(main)
