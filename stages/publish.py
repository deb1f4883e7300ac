"""params.yaml, studies.yaml, metrics/data.json, plots/, studies/*/ → studies/figures/*.svg, studies/index.html."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from descent.io.files import save_text
from descent.io.layout import DATA_METRICS, PARAMS, STUDIES, STUDY_FIGURES, STUDY_PAGE, STUDY_RESULTS, RunFiles
from descent.io.params import load_params
from descent.io.results import load_metrics
from descent.io.study_schema import load_studies
from descent.report.bounds_tables import BoundTables
from descent.report.bracket_figure import brackets
from descent.report.colours import run_colours
from descent.report.study_figures import study_figures
from descent.report.study_page import studies_page
from descent.report.study_results import StudyResults
from descent.report.style import svg
from stages.program import stage

# What was varied may look like a number or like nothing; what is empty was not measured.
WORDS: Mapping[str, Any] = {"dtype": {"run": str}, "keep_default_na": False, "na_values": [""]}


def main() -> None:
    """Draw the figures of every study, and write the page with all of them."""
    params, chosen = load_params(PARAMS), load_studies(STUDIES)
    colours, studies, figures = run_colours(params.train), list[StudyResults](), dict[str, str]()
    for name, study in chosen.studies.items():
        folder = STUDY_RESULTS / name
        tables = [pd.read_csv(folder / f"{table}.csv", **WORDS) for table in ("curves", "trials", "summary")]
        results = StudyResults(name, study.varied, load_metrics(folder / "metrics.json"), *tables)
        studies.append(results)
        figures |= {f"{name}-{kind}": svg(figure) for kind, figure in study_figures(results, colours).items()}
    attacked = {name: RunFiles(name) for name in params.attack.runs}
    bounds = BoundTables(
        certified={name: pd.read_csv(each.certified_curve) for name, each in attacked.items()},
        pgd={name: pd.read_csv(each.pgd_curve) for name, each in attacked.items()},
        autoattack={name: pd.read_csv(each.autoattack) for name, each in attacked.items()},
        verification={name: pd.read_csv(RunFiles(name).verification) for name in chosen.verification.runs},
    )
    source = load_metrics(DATA_METRICS)["source"]
    figures["brackets"] = svg(brackets(bounds.certified, bounds.pgd, colours, source, bounds.autoattack))
    for name, figure in figures.items():
        save_text(STUDY_FIGURES / f"{name}.svg", figure)
    save_text(STUDY_PAGE, studies_page(studies, bounds, figures))


if __name__ == "__main__":
    stage(main)
