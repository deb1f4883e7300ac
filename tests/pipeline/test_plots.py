"""Every plot draws in a real browser with the network cut."""

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe

from descent.io.schema import Params
from descent.report.colours import TOKENS, run_colours
from descent.report.markup import TEMPLATES
from tests.browser import Watched, browsing, needs_chromium
from tests.imports import CLASSIFIERS, ROOT
from tests.workspace import Once, Workspace, copy
from tools.plots_template import page

# Lines in each overlay: files times columns.
OVERLAYS = {
    "Regression: training loss": 2,
    "Regression: test loss": 2,
    "MLP: loss with and without weight decay": 4,
    "MLP: accuracy with and without weight decay": 4,
    "ConvNets: loss": 6,
    "ConvNets: accuracy": 6,
    "Attacks: accuracy under FGSM": 5,
    "Attacks: accuracy under PGD": 5,
    "Attacks: certified accuracy": 5,
}
# A bar for each pair; and a class without two quantiles of flips has no line.
LINELESS = "accuracy on transferred adversarial examples|smallest ε that changes the class"


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
    curves = {f"Single runs: {run}, test loss" for run in CLASSIFIERS}
    attacks = {f"Single runs: {run}, accuracy under FGSM" for run in CLASSIFIERS}
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


def opened(watched: Watched, count: int) -> None:
    """Unfold every section, and wait until each plot is drawn."""
    watched.page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    watched.page.wait_for_function(
        "count => document.querySelectorAll('svg.marks').length === count", arg=count, timeout=60_000
    )


def lines_of(watched: Watched, title: str) -> list[tuple[str, bool, float]]:
    """Return colour, whether it is dashed, and width of each line of a plot."""
    found = watched.page.eval_on_selector_all(
        f'[data-title="{title}"] .mark-line path',
        """paths => paths.filter(path => path.getTotalLength() > 10).map(path =>
             ["stroke", "stroke-dasharray", "stroke-width"].map(name => path.getAttribute(name)))""",
    )
    return [(colour, dash not in (None, "", "1,0"), float(width)) for colour, dash, width in found]


@needs_chromium
def test_the_plots_page_draws_every_panel_and_asks_the_network_for_nothing(
    page_of_plots: Path, specifications: dict[str, dict[str, Any]]
) -> None:
    with browsing(page_of_plots) as watched:
        opened(watched, len(specifications))
        lines = {title: len(lines_of(watched, title)) for title in specifications}
        assert {title: lines[title] for title in OVERLAYS} == OVERLAYS
        assert [title for title, count in lines.items() if not count and not re.search(LINELESS, title)] == []
        sections = watched.page.eval_on_selector_all("h2", "all => all.map(each => each.textContent)")
        assert sections == ["Regression", "MLP", "ConvNets", "Attacks", "Theory", "Single runs", "Figures"]
        pictures = watched.page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
        assert len(pictures) == 30 + 2 * len(CLASSIFIERS)  # figures, and a sheet and its directions for each classifier
        assert min(pictures) >= 28
        assert watched.errors == []
        assert watched.outside == []


@needs_chromium
def test_each_run_has_one_colour_on_the_plots_page_and_in_the_figures(
    page_of_plots: Path, specifications: dict[str, dict[str, Any]], params: Params
) -> None:
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"--(\w+): (#\w{6});", css.partition("@media")[0]))
    expected = {run: light[TOKENS[colour]] for run, colour in run_colours(params.train).items()}
    with browsing(page_of_plots) as watched:
        opened(watched, len(specifications))
        for title, spec in specifications.items():
            if "usermeta" not in spec or "series" in spec["data"]["values"][0]:
                continue
            buttons = watched.page.eval_on_selector_all(
                f'[data-title="{title}"] .legend button',
                "all => all.map(each => [each.dataset.name, each.style.getPropertyValue('--colour')])",
            )
            assert buttons == [[name, expected[name]] for name, _ in buttons]
            assert {colour for colour, *_ in lines_of(watched, title)} <= {colour for _, colour in buttons}


@needs_chromium
def test_training_curves_are_dashed_and_a_click_on_the_legend_hides_a_series(page_of_plots: Path) -> None:
    title = "MLP: loss with and without weight decay"
    with browsing(page_of_plots) as watched:
        watched.page.wait_for_selector(f'[data-title="{title}"] svg.marks')
        both = lines_of(watched, title)
        assert sorted(dashed for _, dashed, _ in both) == [False, False, True, True]
        button = watched.page.locator(f'[data-title="{title}"] .legend button').first
        for pressed, left in (("false", 2), ("true", 4)):
            button.press("Enter")
            watched.page.wait_for_selector(f'[data-title="{title}"] button[aria-pressed="{pressed}"]:first-child')
            assert len(lines_of(watched, title)) == left
        assert lines_of(watched, title) == both


@needs_chromium
def test_a_point_tells_its_values_and_ctrl_and_the_wheel_zoom(page_of_plots: Path) -> None:
    plot = '[data-title="Regression: test loss"]'
    with browsing(page_of_plots) as watched:
        page, point = watched.page, watched.page.locator(f"{plot} .mark-symbol path").nth(4)
        point.hover(force=True)
        told = page.inner_text(".vg-tooltip.visible").split("\n")
        assert [word.strip() for word in told if word.strip()][:-1] == [
            *("series", "regression-lr-1e-4", "revision", "workspace", "epoch", "5", "mean squared error")
        ]

        def labels() -> set[str]:
            return set(page.locator(f"{plot} .role-axis-label text").all_text_contents())

        before = labels()
        page.keyboard.down("Control")
        page.mouse.wheel(0, -500)
        page.keyboard.up("Control")
        page.wait_for_timeout(500)
        assert labels() != before
        point.dblclick(force=True)
        page.wait_for_timeout(500)
        assert labels() == before
        assert watched.errors == []


@needs_chromium
def test_revisions_differ_in_width_and_the_legend_says_so(page_of_plots: Path, tmp_path: Path) -> None:
    def three_times(found: re.Match[str]) -> str:
        spec = json.loads(found[1])
        values = spec["data"]["values"]
        spec["data"]["values"] = [row | {"rev": rev} for rev in ("workspace", "HEAD", "decay-1e-2") for row in values]
        return f"var spec = {json.dumps(spec)};"

    page = tmp_path / "index.html"
    html = page_of_plots.read_text(encoding="utf-8")
    page.write_text(re.sub(r"var spec = (\{.*?\});(?=\s*vegaEmbed\()", three_times, html, flags=re.DOTALL), "utf-8")
    title = "ConvNets: loss"
    with browsing(page) as watched:
        watched.page.wait_for_selector(f'[data-title="{title}"] svg.marks')
        assert "workspace, HEAD, decay-1e-2" in watched.page.inner_text("#revisions")
        found = lines_of(watched, title)
        widths = sorted({width for *_, width in found})
        assert (len(found), len(widths)) == (18, 3)
        said = watched.page.eval_on_selector_all(
            f'[data-title="{title}"] .legend > span', "all => all.map(each => each.textContent)"
        )
        assert said == ["test", "training", "workspace", "HEAD", "decay-1e-2"]


@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), pytest.param(1440, "light", marks=pytest.mark.slow)])
def test_the_plots_page_is_accessible(
    page_of_plots: Path, specifications: dict[str, dict[str, Any]], width: int, scheme: Literal["light", "dark"]
) -> None:
    with browsing(page_of_plots, width=width, scheme=scheme) as watched:
        opened(watched, len(specifications))
        found = Axe().run(watched.page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        beside = watched.page.eval_on_selector_all(
            "main section:nth-child(2) .plots > div", "all => new Set(all.map(each => each.offsetTop)).size"
        )
        assert beside == (2 if width == 390 else 1)
