"""params.yaml, metrics/, plots/ → report/index.html."""

from pathlib import Path

import pandas as pd

from descent.io.files import save_text
from descent.io.params import load_params
from descent.io.results import NAMED, load_metrics
from descent.report.page import ReportInputs, report_page
from stages.terminal import stage


def main() -> None:
    """Write the page from what the other stages left in metrics/ and plots/; nothing is computed again."""
    params = load_params(Path("params.yaml"))
    trained, attacked = params.train, params.attack.runs
    tables = {name: pd.read_csv(f"plots/probabilities/{name}.csv", **NAMED) for name in attacked}
    results = ReportInputs(
        params=params.model_dump(),
        data=load_metrics(Path("metrics/data.json")),
        theory=load_metrics(Path("metrics/theory.json")),
        trained={name: load_metrics(Path(f"metrics/train/{name}.json")) for name in trained},
        attacked={name: load_metrics(Path(f"metrics/attack/{name}.json")) for name in attacked},
        transfer=load_metrics(Path("metrics/transfer.json")),
        probabilities={
            name: [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
            for name, table in tables.items()
        },
        figures={path.stem: path.read_text(encoding="utf-8") for path in Path("plots/figures").glob("*.svg")},
        sheets={path.stem: path.read_bytes() for path in Path("plots/sheets").glob("*.png")},
    )
    save_text(Path("report/index.html"), report_page(results))


if __name__ == "__main__":
    stage(main)
