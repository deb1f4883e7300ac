"""Every plot draws in a real browser with the network cut."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser import browsing, needs_chromium
from tests.imports import CLASSIFIERS, ROOT
from tests.workspace import Once, Workspace, copy
from tools.plots_template import page

# Lines in each overlay: files times columns.
OVERLAYS = {
    "Linear regression: training loss": 2,
    "MLP: loss with and without weight decay": 4,
    "MLP: accuracy with and without weight decay": 4,
    "ConvNet: loss": 6,
    "ConvNet: accuracy": 6,
    "Accuracy under FGSM": 5,
    "Accuracy under PGD": 5,
}
# A bar for each pair; and a class without two quantiles of flips has no line.
LINELESS = "Accuracy on transferred adversarial images|smallest ε that changes the class"


@pytest.fixture(scope="session")
def page_of_plots(miniature: Workspace, once: Once) -> Path:
    """Return the page that `dvc plots show` writes."""

    def show(folder: Path) -> Workspace:
        (workspace := copy(miniature, folder)).run("dvc", "plots", "show")
        return workspace

    return once("plots", show).folder / "dvc_plots" / "index.html"


@pytest.fixture(scope="session")
def specifications(page_of_plots: Path) -> dict[str, dict[str, Any]]:
    """Return the Vega-Lite specification of each plot that is no picture, as DVC writes it into its page."""
    html = page_of_plots.read_text(encoding="utf-8")
    found = [json.loads(spec) for spec in re.findall(r"var spec = (\{.*?\});\s*vegaEmbed\(", html, re.DOTALL)]
    return {spec["title"]["text"]: spec for spec in found}


def test_each_overlay_and_each_curve_has_a_plot_with_title_and_axes(specifications: dict[str, dict[str, Any]]) -> None:
    curves = {f"{run}, test loss" for run in CLASSIFIERS}
    attacks = {f"{run}, accuracy under FGSM" for run in CLASSIFIERS}
    assert specifications.keys() >= OVERLAYS.keys() | curves | attacks
    for spec in specifications.values():
        encoding = spec["encoding"]
        for axis in ("x", "y"):
            assert re.search(
                r"epoch|step|rate|ε|x$|loss|error|entropy|quantile|accuracy|probability|source|∂σ",
                encoding[axis]["title"],
            ), spec


def test_the_two_templates_differ_in_nothing_but_the_scale_of_y() -> None:
    linear, log = (json.loads((ROOT / ".dvc" / "plots" / f"{name}.json").read_text()) for name in ("curves", "log"))
    assert linear["encoding"]["y"].pop("scale") == {"zero": False}
    assert log["encoding"]["y"].pop("scale")["type"] == "log"
    assert linear == log


def test_the_template_of_the_page_is_what_the_package_gives() -> None:
    assert (ROOT / ".dvc" / "plots_offline.html").read_text(encoding="utf-8") == page(), "run `make template`"


@needs_chromium
def test_the_plots_page_draws_every_panel_and_asks_the_network_for_nothing(
    page_of_plots: Path, specifications: dict[str, dict[str, Any]]
) -> None:
    with browsing(page_of_plots) as watched:
        watched.page.wait_for_function(
            "count => document.querySelectorAll('svg.marks').length === count", arg=len(specifications), timeout=30_000
        )
        marks = watched.page.eval_on_selector_all(
            "svg.marks",
            """plots => plots.map(plot => [...plot.querySelectorAll('.mark-line path')]
                 .filter(path => path.getTotalLength() > 10).length)""",
        )
        lines = dict(zip(specifications, marks, strict=True))
        assert {title: lines[title] for title in OVERLAYS} == OVERLAYS
        assert [title for title, count in lines.items() if not count and not re.search(LINELESS, title)] == []
        pictures = watched.page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
        assert len(pictures) == 29 + 2 * len(CLASSIFIERS)  # figures, and a sheet and its directions for each classifier
        assert min(pictures) >= 28
        assert watched.errors == []
        assert watched.outside == []
