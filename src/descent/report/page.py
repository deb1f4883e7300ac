"""The report as one self-contained HTML page, built from the results of a run."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from latex2mathml.converter import convert
from markupsafe import Markup

from descent.io.errors import DataError
from descent.report.claims import claims
from descent.report.colours import BLUE, BROWN, GREEN, INK, PAPER, PURPLE, VERMILION
from descent.report.tables import result_tables
from descent.report.verdict import VERDICTS, power
from descent.sources.published import DRAWN, PUBLISHED, title, warning

# CSS variables for the colours of the figures; the page has values for a light and a dark colour scheme.
TOKENS = {
    INK: "ink",
    PAPER: "paper",
    BLUE: "blue",
    VERMILION: "vermilion",
    GREEN: "green",
    PURPLE: "purple",
    BROWN: "brown",
}


class ReportInputs(NamedTuple):
    """The parameters, metrics, tables and figures of the page."""

    params: Mapping[str, Any]  # as in params.yaml
    data: Mapping[str, Any]
    theory: Mapping[str, Any]
    trained: Mapping[str, Mapping[str, Any]]  # by run
    attacked: Mapping[str, Mapping[str, Any]]  # by run
    transfer: Mapping[str, Any]
    probabilities: Mapping[str, Sequence[Mapping[str, Any]]]  # rows of plots/probabilities/RUN.csv, by run
    figures: Mapping[str, str]  # SVG, by name
    sheets: Mapping[str, bytes]  # PNG, by name


def report_page(results: ReportInputs) -> str:
    """Write the page.

    Returns:
        HTML that contains styles, images, formulas and data; byte-identical for equal results.
    """
    judged = claims(results.data["source"], results.theory, results.trained, results.attacked)
    return (
        templates()
        .get_template("report.html")
        .render(
            results._asdict(),
            claims=judged,
            counts={word: sum(claim.verdict == word for claim in judged) for word in VERDICTS.values()},
            warning=warning(results.data["source"]),
            images=title(results.data["source"]),
            credit=credit(results.data["source"]),
            classes=results.data["class_names"],
            kinds=list(
                dict.fromkeys(
                    run["model"]["kind"] for run in results.params["train"].values() if run["data"] == "images"
                )
            ),
            tables=result_tables(results.trained, results.attacked),
            settings=list(flattened(results.params)),
            bench={run: slider(rows, results.data["class_names"]) for run, rows in results.probabilities.items()},
        )
    )


def templates() -> Environment:
    """Return the templates with their filters."""
    made = Environment(
        loader=PackageLoader("descent.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"math": math, "inlined": inlined, "data_uri": data_uri, "power": power}
    return made


def math(latex: str, display: str = "inline") -> Markup:
    """Convert LaTeX to MathML, which a browser renders without a script."""
    formula = Markup(convert(latex, display=display))  # noqa: S704 - written in the template
    if display == "inline":
        return formula
    return Markup('<div class="formula" tabindex="0" role="group" aria-label="Formula">{}</div>').format(formula)


def inlined(svg: str, name: str, alt: str) -> Markup:
    """Prepare a figure for the page: add a description, make its ids unique, use the colours of the page."""
    _, opening, rest = svg.partition("<svg")
    attributes, _, body = rest.partition(">")
    box = re.search(r'viewBox="0 0 ([\d.]+) [\d.]+"', attributes)
    if not opening or box is None:
        raise DataError(f"plots/figures/{name}.svg: not an SVG of this pipeline; `dvc repro --force figures` draws it")
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(?<=\bid=")|(?<=href="#)|(?<=url\(#)', f"{name}-", body)
    for colour, token in TOKENS.items():
        body = body.replace(colour, f"var(--{token})")
    width = f"{float(box[1]) / 12:.4g}rem"
    head = Markup('<svg role="img" aria-label="{}" style="max-width: {}" {}>').format(alt, width, Markup(box[0]))  # noqa: S704 - numbers
    return head + Markup(body)  # noqa: S704 - drawn by the pipeline


def data_uri(png: bytes) -> str:
    """Return a PNG file as a data URI."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def first_warning(warnings: Iterable[str | None]) -> str | None:
    """Return the first warning, None if there is none."""
    return next(filter(None, warnings), None)


def credit(source: str) -> str:
    """Return the credit of the images of a source."""
    if source == DRAWN:
        return "drawn by the project from the seed, since no mirror delivered Fashion-MNIST"
    if source not in PUBLISHED:
        return "those of the folder images/"
    return f"{PUBLISHED[source].title} ({PUBLISHED[source].credit}), each file verified by its published hash"


def slider(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    """Lay out the probabilities for the slider.

    Returns:
        `epsilons`, one for each step; the `steps` that a page without a script shows; `images`, the true class of
        each; `probabilities` by image, step and class.
    """
    epsilons = list(dict.fromkeys(float(row["epsilon"]) for row in rows))
    last = len(epsilons) - 1
    images = list(dict.fromkeys(row["series"] for row in rows))
    return {
        "epsilons": epsilons,
        "steps": sorted({0, last // 30, last // 6, last // 3, 2 * last // 3, last}),
        "images": images,
        "probabilities": [
            [[round(float(row[name]), 4) for name in classes] for row in rows if row["series"] == image]
            for image in images
        ],
    }


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every parameter by its dotted name, as text."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{name}", str(value)
