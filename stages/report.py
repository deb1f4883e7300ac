"""params.yaml, metrics/, plots/ → report/index.html."""

from pathlib import Path
from typing import Any

import pandas as pd

from descent.io.files import save_text
from descent.io.layout import DATA_METRICS, FIGURES, PARAMS, REPORT, SHEETS, THEORY_METRICS, TRANSFER_METRICS, RunFiles
from descent.io.params import load_params
from descent.io.results import NAMED, load_metrics
from descent.report.page import ReportInputs, report_page
from stages.program import stage


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    return [{str(key): value for key, value in row.items()} for row in pd.read_csv(path, **NAMED).to_dict("records")]


def main() -> None:
    """Write the page from what the other stages wrote to metrics/ and plots/; nothing is computed again."""
    params = load_params(PARAMS)
    files = {name: RunFiles(name) for name in params.train}
    attacked = {name: files[name] for name in params.attack.runs}
    results = ReportInputs(
        params=params.model_dump(),
        data=load_metrics(DATA_METRICS),
        theory=load_metrics(THEORY_METRICS),
        trained={name: load_metrics(each.train_metrics) for name, each in files.items()},
        attacked={name: load_metrics(each.attack_metrics) for name, each in attacked.items()},
        transfer=load_metrics(TRANSFER_METRICS),
        certified={name: rows(each.certified_curve) for name, each in attacked.items()},
        probabilities={name: rows(each.probabilities) for name, each in attacked.items()},
        figures={path.stem: path.read_text(encoding="utf-8") for path in FIGURES.glob("*.svg")},
        sheets={path.stem: path.read_bytes() for path in SHEETS.glob("*.png")},
    )
    save_text(REPORT, report_page(results))


if __name__ == "__main__":
    stage(main)
