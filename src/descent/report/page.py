"""The report as one self-contained HTML page, built from the results of a run."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from descent.io.errors import DataError
from descent.report.claims import claims
from descent.report.markup import templates
from descent.report.tables import bracket_table, result_tables
from descent.sources.published import PUBLISHED, title, warning


class ReportInputs(NamedTuple):
    """The parameters, metrics, tables and figures of the page."""

    params: Mapping[str, Any]  # as in params.yaml
    data: Mapping[str, Any]
    theory: Mapping[str, Any]
    trained: Mapping[str, Mapping[str, Any]]  # by run
    attacked: Mapping[str, Mapping[str, Any]]  # by run
    transfer: Mapping[str, Any]
    certified: Mapping[str, Sequence[Mapping[str, Any]]]  # rows of plots/certified/RUN.csv, by run
    probabilities: Mapping[str, Sequence[Mapping[str, Any]]]  # rows of plots/probabilities/RUN.csv, by run
    figures: Mapping[str, str]  # SVG, by name
    sheets: Mapping[str, bytes]  # PNG, by name


def report_page(results: ReportInputs) -> str:
    """Write the page: HTML with styles, images, formulas and data, byte-identical for equal results.

    Raises:
        DataError: The results are of different images.
    """
    source, classes = results.data["source"], results.data["class_names"]
    for run, rows in results.probabilities.items():
        if not set(classes) <= rows[0].keys():
            raise DataError(f"plots/probabilities/{run}.csv is of other images than metrics/data.json; `make repro`")
    page = templates().get_template("report.html")
    return page.render(
        results._asdict() | {"sheets": {name: b64encode(png).decode() for name, png in results.sheets.items()}},
        claims=claims(source, results.theory, results.trained, results.attacked),
        warning=warning(source),
        images=title(source),
        published=PUBLISHED.get(source),
        classes=classes,
        tables=result_tables(results.trained, results.attacked),
        brackets=bracket_table(results.certified, results.attacked),
        settings=pd.json_normalize(results.params).to_dict("records")[0],  # type: ignore[arg-type]
        bench={run: slider(rows, classes) for run, rows in results.probabilities.items()},
    )


def slider(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    """Lay out the slider: `epsilons` by step, `images` by true class, `probabilities` by image, step and class.

    `steps` are those that a page without a script shows.
    """
    epsilons, images = (list(dict.fromkeys(row[name] for row in rows)) for name in ("epsilon", "series"))
    last = len(epsilons) - 1
    return {
        "epsilons": epsilons,
        "steps": sorted({0, last // 30, last // 6, last // 3, 2 * last // 3, last}),
        "images": images,
        "probabilities": [
            [[round(row[name], 4) for name in classes] for row in rows if row["series"] == image] for image in images
        ],
    }
