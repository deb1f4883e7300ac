"""The templates of the pages, and the filters that they use: formulas, figures, images and numbers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from latex2mathml.converter import convert
from markupsafe import Markup

from descent.io.errors import DataError
from descent.report.colours import TOKENS

TEMPLATES = Path(__file__).with_name("templates")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def templates() -> Environment:
    """Return the templates with their filters; only HTML is escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(default_for_string=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"math": math, "inlined": inlined, "power": power, "times": times, "number": number}
    return made


def math(latex: str, display: str = "inline") -> Markup:
    """Convert LaTeX to MathML, which a browser renders without a script."""
    formula = Markup(convert(latex, display=display))  # noqa: S704 - written in the template
    block = Markup('<div class="formula" tabindex="0" role="group" aria-label="Formula">{}</div>')
    return formula if display == "inline" else block.format(formula)


def inlined(svg: str, name: str, alt: str) -> Markup:
    """Prepare a figure for the page: add a description, make its ids unique, use the colours of the page."""
    box = re.search(r'<svg[^>]* (viewBox="0 0 ([\d.]+) [\d.]+")[^>]*>', svg)
    if box is None:
        raise DataError(f"plots/figures/{name}.svg: not an SVG of this pipeline; `dvc repro --force figures` draws it")
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[box.end() :], flags=re.DOTALL)
    body = re.sub(r'(?<=\bid=")|(?<=href="#)|(?<=url\(#)', f"{name}-", body)
    for colour, token in TOKENS.items():
        body = body.replace(colour, f"var(--{token})")
    head = Markup('<svg role="img" aria-label="{}" style="max-width: {:.4g}rem" {}>')
    return head.format(alt, float(box[2]) / 12, Markup(box[1])) + Markup(body)  # noqa: S704 - drawn by the pipeline


def power(value: float) -> str:
    """Format a small number as a power of ten."""
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits}·10{str(int(exponent)).translate(SUPERSCRIPTS)}" if value else "0"


def times(rate: float | None) -> str:
    """Format a multiple of a threshold; None where no rate was found."""
    return "none" if rate is None else f"{rate:.3g} times"


def number(value: float | None, form: str) -> str:
    """Format a metric; None where there is none."""
    return "–" if value is None else format(value, form)


def divergence(metrics: Mapping[str, Any]) -> str:
    """Return the words behind the name of a run that diverged."""
    return f" (diverged in epoch {metrics['diverged_epoch']})" if metrics.get("diverged") else ""
