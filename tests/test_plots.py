"""Every plot draws: by Vega itself, and in a real browser with the network cut."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import vl_convert
from playwright.sync_api import Page, sync_playwright

from tests.imports import ROOT
from tests.workspace import Workspace
from tools.plots_template import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Lines in each overlay: files times columns. Any other plot of a curve has one.
OVERLAYS = {
    "Linear regression: training loss": 2,
    "MLP: loss with and without weight decay": 4,
    "MLP: accuracy with and without weight decay": 4,
    "ConvNet: loss": 2,
    "ConvNet: accuracy": 2,
    "Accuracy under FGSM": 3,
}


@pytest.fixture(scope="session")
def specifications(miniature: Workspace) -> dict[str, dict[str, Any]]:
    """Return the Vega-Lite specification of each plot that is no picture, as DVC writes it into its page."""
    miniature.run("dvc", "plots", "show")
    html = (miniature.folder / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    found = [json.loads(spec) for spec in re.findall(r"var spec = (\{.*?\});\s*vegaEmbed\(", html, re.DOTALL)]
    return {spec["title"]["text"]: spec for spec in found}


def test_each_overlay_and_each_curve_has_a_plot_with_title_and_axes(specifications: dict[str, dict[str, Any]]) -> None:
    curves = {f"{run}, loss on the test part" for run in ("mlp", "mlp-weight-decay", "convnet")}
    attacks = {f"{run}, accuracy under FGSM" for run in ("mlp", "mlp-weight-decay", "convnet")}
    assert specifications.keys() >= OVERLAYS.keys() | curves | attacks
    for spec in specifications.values():
        text = json.dumps(spec, ensure_ascii=False)
        assert re.search(r'"title": "(epoch|ε, largest change of a pixel)"', text), spec["title"]
        assert re.search(r'"title": "(test loss|mean squared error|cross-entropy.*|share classified correctly)"', text)


def test_vega_draws_every_line_of_every_plot(specifications: dict[str, dict[str, Any]]) -> None:
    for title, spec in specifications.items():
        svg = vl_convert.vegalite_to_svg(spec, vl_version="5.20")
        lines = re.findall(r'aria-roledescription="line mark"[^>]*? d="([^"]+)"', svg)
        drawn = [line for line in lines if line.count("L") >= 1]
        assert len(drawn) == OVERLAYS.get(title, 1), title
        assert "NaN" not in svg, title


def test_the_two_templates_differ_in_nothing_but_the_scale_of_y() -> None:
    linear, log = (json.loads((ROOT / ".dvc" / "plots" / f"{name}.json").read_text()) for name in ("curves", "log"))
    assert linear["encoding"]["y"].pop("scale") == {"zero": False}
    assert log["encoding"]["y"].pop("scale")["type"] == "log"
    assert linear == log


def test_the_template_of_the_page_is_what_the_package_gives() -> None:
    assert (ROOT / ".dvc" / "plots_offline.html").read_text(encoding="utf-8") == page(), "run `make template`"


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    """Return a page of a real Chromium without a network."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(offline=True)
        yield context.new_page()
        browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here; .ci/run installs one")
def test_the_plots_page_draws_every_panel_and_asks_the_network_for_nothing(
    miniature: Workspace, specifications: dict[str, dict[str, Any]], browser_page: Page
) -> None:
    requests: list[str] = []
    errors: list[str] = []
    browser_page.on("request", lambda request: requests.append(request.url))
    browser_page.on("pageerror", lambda error: errors.append(str(error)))
    browser_page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)

    browser_page.goto((miniature.folder / "dvc_plots" / "index.html").as_uri())
    browser_page.wait_for_function(
        "count => document.querySelectorAll('svg.marks').length === count", arg=len(specifications), timeout=30_000
    )

    marks = browser_page.eval_on_selector_all(
        "svg.marks",
        """plots => plots.map(plot => [...plot.querySelectorAll('.mark-line path')]
             .filter(path => path.getTotalLength() > 10).length)""",
    )
    assert sorted(marks) == sorted(OVERLAYS.get(title, 1) for title in specifications)
    pictures = browser_page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
    assert len(pictures) == 8
    assert min(pictures) >= 1000
    assert errors == []
    assert [url for url in requests if not url.startswith(("file://", "data:", "blob:"))] == []
