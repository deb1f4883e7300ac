"""The page says what the metrics say, and needs nothing but itself."""

import json
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from markupsafe import escape
from matplotlib.colors import to_rgb

from descent.io.errors import DataError
from descent.io.params import load_params
from descent.io.results import load_metrics
from descent.report.claims import claims
from descent.report.colours import BLUE, COLOURS, INK, PAPER, RUN_COLOURS, TOKENS
from descent.report.markup import inlined
from descent.report.page import ReportInputs, report_page, slider
from descent.sources.published import FASHION_CLASSES as CLASSES
from tests.browser import browsing, needs_chromium
from tests.imports import CLASSIFIERS, ROOT
from tests.report.test_claims import ATTACKED, METRICS, THEORY, TRAINED
from tests.report.test_figures import NAMES
from tests.workspace import Workspace

SVG = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns:xlink="x" width="446.4pt" height="345.6pt" '
    f'viewBox="0 0 446.4 345.6" version="1.1">\n <metadata>by <b>somebody</b></metadata>\n <g id="axes_1">'
    f'<path id="m1" clip-path="url(#p1)" style="fill: {BLUE}; stroke: {INK}"/><use xlink:href="#m1"/>'
    f'<rect style="fill: {PAPER}"/></g></svg>'
)
STYLE = (ROOT / "src" / "descent" / "report" / "templates" / "report.css").read_text(encoding="utf-8")


BOUNDS = [
    {"epsilon": float(name.removeprefix("pgd_accuracy_at_")), "accuracy": 0.123, "attacked_accuracy": 0.456}
    for name in ATTACKED["mlp"]
    if name.startswith("pgd_accuracy")
]


def probabilities(classes: Sequence[str] = CLASSES, epsilons: Sequence[float] = (0.0, 0.1)) -> list[dict[str, Any]]:
    """Return the rows of a table of an image of each class, which become the second class."""
    return [
        {"series": image, "epsilon": epsilon, "true": 0.5}
        | {name: float(name == (classes[1] if epsilon else image)) for name in classes}
        for image in classes
        for epsilon in epsilons
    ]


def results(*, source: str = "fashion-mnist", classes: Sequence[str] = CLASSES, **changes: Any) -> ReportInputs:  # noqa: ANN401
    """Return the committed results with changes; of the figures two, of the bench one classifier."""
    data = load_metrics(METRICS / "data.json") | {"source": source, "class_names": classes, "classes": len(classes)}
    made = ReportInputs(
        params=load_params(ROOT / "params.yaml").model_dump(),
        data=data,
        theory=THEORY,
        trained=TRAINED,
        attacked={"mlp": ATTACKED["mlp"]},
        transfer={"failed_checks": "none"},
        certified={"mlp": BOUNDS},
        probabilities={"mlp": probabilities(classes)},
        figures={"mlp-loss": SVG, "robustness": SVG},
        sheets={"mlp": b"PNG", "mlp-direction": b"png"},
    )
    return made._replace(**changes)


def text(**changes: Any) -> str:  # noqa: ANN401
    """Return what the page of changed results says, tags and white space aside."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", report_page(results(**changes)))))


def test_every_claim_stands_on_the_page_with_verdict_and_number() -> None:
    page = text()
    for claim in claims("fashion-mnist", THEORY, TRAINED, {"mlp": ATTACKED["mlp"]}):
        # In the summary and in its section, and in brief where it does not hold.
        assert page.count(claim.says) == 2 + (claim.verdict == "does not hold")
        assert claim.shows in page


def checks(failed: str, unused: str = "none") -> dict[str, Any]:
    return {"attacked": {"mlp": ATTACKED["mlp"] | {"failed_checks": failed, "checks_not_applicable": unused}}}


CALM = TRAINED | {"mlp": TRAINED["mlp"] | {"overfitting_epoch": None}}
UNDEFENDED = {name: m for name, m in TRAINED.items() if "adversarial" not in name and "certified" not in name}
OWN, CONVNET = (TRAINED[run] for run in ("convnet-adversarial", "convnet"))
COST = f"weights instead of {OWN['weights']:,}, {100 * CONVNET['final_test_accuracy']:.1f} %"
BENT = {"final_train_loss": 2512.3, "final_test_loss": 3100.9, "test_r2": 0.412, "weights": 385, "torch": "2"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Of 18 claims, 14 hold in this run and 4 do not."),
        ({"trained": CALM, "attacked": {}}, "Of 18 claims, 11 hold in this run and 5 do not; 2 were not measured."),
        ({}, "half certified at ε mlp 12.3–45.6% 12.3–45.6% "),
        ({}, f"–45.6% {ATTACKED['mlp']['half_certified_epsilon']:.2g} The page of the studies"),
        (
            {"attacked": {"mlp": ATTACKED["mlp"] | {"half_certified_epsilon": None}}},
            "12.3–45.6% – The page of the studies",
        ),
        ({"trained": CALM}, "✗ Does not hold. Averaged over a few epochs, no epoch from which it rises"),
        ({"trained": TRAINED | {"bent": BENT}}, "bent 385 2512 3101 0.412"),
        ({"trained": UNDEFENDED}, "14 hold in this run"),
        ({}, f"it classifies {100 * OWN['final_test_accuracy']:.1f} % correctly; convnet, with"),
        ({}, COST),
        ({}, "convnet-certified learns from bounds: intervals around the pixels, 0.1 to either side,"),
        ({}, "Images: Fashion-MNIST (Xiao"),
        ({"source": "drawn"}, "Images: drawn by the project from the seed"),
        ({"source": "kmnist"}, "not Fashion-MNIST: the write-up's claims about images are not judged."),
        ({"source": "kmnist"}, "CC BY-SA 4.0), each file verified by its published hash"),
        ({"source": "folder"}, "Images: those of the folder images/."),
        (checks("none"), "✓ mlp: every check passes."),
        (checks("none", "large"), "✓ mlp: every applicable check passes; not applicable here: large."),
        (checks("a, b"), "✗ mlp: these checks fail, so distrust its numbers: a, b."),
        ({"transfer": {"failed_checks": "x (a on b)"}}, "fooled better by images crafted elsewhere: x (a on b)."),
        ({}, "no classifier is fooled better"),
    ],
)
def test_the_page_says_what_the_results_say(changes: dict[str, Any], said: str) -> None:
    page = text(**changes)
    assert said in page
    assert ("not Fashion-MNIST" in page.partition("Gradient descent on weights")[0]) == ("source" in changes)
    assert ("Regressions with another model on the same data" in page) == said.startswith("bent")
    assert ("two gradients a step instead of one" in page) == (changes.get("trained") is not UNDEFENDED)


def test_figures_are_numbered_in_order_and_missing_ones_leave_no_gap() -> None:
    page = report_page(results())
    assert re.findall(r"<b>Figure (\d+)\.</b>", page) == ["1", "2"]
    assert page.count("<figure id=") == 2
    assert report_page(results()) == page
    without_attack = report_page(results(attacked={}, probabilities={}, sheets={}))
    assert not re.search('id="bench"|<script', without_attack)


def test_results_of_different_images_make_no_page() -> None:
    with pytest.raises(DataError, match=r"^plots/probabilities/mlp.csv is of other images than metrics/data.json"):
        report_page(results(probabilities={"mlp": probabilities("abc")}))


def test_the_end_says_how_it_came_about() -> None:
    params = {**results().params, "hostile": '</script><b onload="x">', "none": []}
    page = text(params=params)
    for words in ("thread per process", "train.mlp.model.hidden 100", f"Seed {params['seed']}, ", " none none "):
        assert words in page
    assert f"Trained with torch {TRAINED['mlp']['torch']}." in page
    assert params["hostile"] not in report_page(results(params=params))


def test_the_page_knows_no_machine_and_no_installed_package() -> None:
    page = (ROOT / "stages" / "report.py").read_text(encoding="utf-8") + report_page(results())
    assert not re.search("importlib|platform|hostname|getlogin|datetime|numpy", page)


def test_a_figure_is_described_and_kept_apart_from_others() -> None:
    html = inlined(SVG, "mlp-loss", 'Loss "of" <the> MLP')
    assert html.startswith('<svg role="img" aria-label="Loss &#34;of&#34; &lt;the&gt; MLP" style="max-width: 37.2rem"')
    for expected in (
        *('viewBox="0 0 446.4 345.6">', 'id="mlp-loss-axes_1"', 'id="mlp-loss-m1"', "url(#mlp-loss-p1)"),
        *('xlink:href="#mlp-loss-m1"', "fill: var(--blue); stroke: var(--ink)", "fill: var(--paper)"),
    ):
        assert expected in html
    assert "metadata" not in html
    with pytest.raises(DataError, match=r"plots/figures/bag.svg: not an SVG of this pipeline"):
        inlined("<html>", "bag", "")


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2, "relative luminance")."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return float(np.dot(parts, (0.2126, 0.7152, 0.0722)))


def test_words_stand_out_from_their_ground_by_four_and_a_half_and_lines_by_three() -> None:
    found = re.findall(r"--(\w+): (#[0-9a-f]{6});", STYLE)
    assert len(found) == 2 * 16
    assert {*RUN_COLOURS, *COLOURS, INK, PAPER} == set(TOKENS)
    for colours in (dict(found[:16]), dict(found[16:])):  # light and dark
        assert set(TOKENS.values()) <= colours.keys()
        for ground in (colours.pop("paper"), colours.pop("panel")):
            for name, colour in colours.items():
                low, high = sorted((luminance(ground), luminance(colour)))
                needed = 4.5 if name in ("ink", "quiet", "link", "good", "bad") else 1.0 if name == "line" else 3.0
                assert (high + 0.05) / (low + 0.05) >= needed, (name, ground)


def test_the_slider_has_the_probabilities_by_image_step_and_class() -> None:
    laid = slider(probabilities(epsilons=(0.0, 0.1, 0.2)), CLASSES)
    assert (laid["epsilons"], laid["steps"], laid["images"]) == ([0.0, 0.1, 0.2], [0, 1, 2], list(CLASSES))
    assert laid["probabilities"][3][0][3] == laid["probabilities"][3][2][1] == 1


@pytest.fixture(scope="module")
def page(committed: Workspace) -> Path:
    """Return the page of the committed results, built in a clone that has no data."""
    committed.run("python", "-m", "stages.report")
    return committed.folder / "report" / "index.html"


def test_a_clone_builds_its_page_from_metrics_and_plots_alone(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 5e6
    assert "Drawn stand-in" not in html
    assert (html.count("ot measured"), html.count("<figure id=")) == (0, 29)
    assert "<mfrac>" in html
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', html)


@needs_chromium
def test_every_picture_of_the_page_is_decoded_and_nothing_is_asked_for(page: Path) -> None:
    with browsing(page) as watched:
        decoded = watched.page.evaluate(
            """async () => Promise.all([...document.querySelectorAll('image, img')].map(async found => {
                 const image = new Image();
                 image.src = found.getAttribute('href') || found.getAttribute('xlink:href') || found.src;
                 await image.decode();
                 return image.naturalWidth;
               }))"""
        )
        assert len(decoded) >= 8 + 4 * 30 + 9  # sheets, galleries, bags
        assert min(decoded) >= 4  # the heat maps have a pixel for a cell
        assert watched.errors == watched.outside == []
        widths = watched.page.eval_on_selector_all(
            "figure > svg, .wide > svg", "all => all.map(svg => svg.innerHTML ? svg.getBoundingClientRect().width : 0)"
        )
        assert len(widths) == 32  # with the three of the slider
        assert min(widths) > 80


@needs_chromium
def test_the_slider_moves_picture_words_and_bars(page: Path) -> None:
    with browsing(page) as watched:
        bench = watched.page.locator("#bench")
        data = json.loads(watched.page.locator("#probabilities").text_content() or "")
        assert bench.is_visible()
        assert not watched.page.locator(".strip").is_visible()
        assert bench.locator(".bars td:nth-child(2)").first.evaluate("cell => cell.clientWidth") > 200  # room for a bar
        assert set(data) == set(CLASSIFIERS)
        for run, image, step in (("mlp", 8, 0), ("mlp", 8, 30), ("convnet", 1, 12)):
            bench.locator(f"input[value={run}]").check()
            bench.locator("select").select_option(str(image))
            bench.locator("input[type=range]").fill(str(step))
            given = data[run]["probabilities"][image][step]
            assert bench.locator(".moved use").get_attribute("href") == f"#sheet-{run}"
            assert bench.locator(".moved").get_attribute("viewBox") == f"{28 * step} {28 * image} 28 28"
            words = f"\u2068{CLASSES[given.index(max(given))]}\u2069, {100 * max(given):.1f}\u00a0%"
            assert bench.locator(".moved-words").inner_text() == words
            assert bench.locator(".bars td:last-child").all_inner_texts() == [f"{100 * p:.1f}\u00a0%" for p in given]
            widths = bench.locator(".bar").evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
            assert widths == pytest.approx([100 * share for share in given], abs=0.01)
        bench.locator("input[type=range]").press("ArrowRight")
        assert bench.locator("output").inner_text() == f"{data['convnet']['epsilons'][13]:.3f}"
        assert watched.errors == []


@needs_chromium
def test_the_widest_names_of_fifty_classes_fit_the_page(tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    html = report_page(results(source="folder", classes=[f"{'W' * 18}{number:02d}" for number in range(50)]))
    path.write_text(html, encoding="utf-8")
    for scripts in (True, False):
        with browsing(path, width=390, scripts=scripts) as watched:
            assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
            beyond = watched.page.eval_on_selector_all(
                ".bars th, .shown figcaption, .strip td",
                "all => all.filter(cell => cell.scrollWidth > cell.clientWidth + 1).length",
            )
            assert beyond == 0


def test_a_name_of_a_class_stands_on_the_page_as_it_is() -> None:
    classes = [*NAMES, "</script>", "{{ 1 }}", "\\u0041"]
    html = report_page(results(source="folder", classes=classes))
    assert re.findall(r'<th scope="row"><bdi>(.*?)</bdi>', html) == [escape(name) for name in classes]
    (told,) = re.findall(r'id="classes">(.*?)</script>', html)
    assert json.loads(told) == classes
    (bench,) = re.findall(r'id="probabilities">(.*?)</script>', html)
    assert json.loads(bench)["mlp"]["images"] == classes


@needs_chromium
@pytest.mark.parametrize("printed", [False, True])
def test_without_a_script_and_in_print_a_strip_takes_the_sliders_place(page: Path, printed: bool) -> None:
    with browsing(page, scripts=printed) as watched:
        if printed:
            watched.page.emulate_media(media="print")
            assert watched.page.pdf(format="A4").startswith(b"%PDF")
        assert not watched.page.locator("#bench").is_visible()
        assert watched.page.locator(".strip .picture").count() == len(CLASSIFIERS) * 10 * 6
        assert watched.page.locator(".strip .picture").first.is_visible()


@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), pytest.param(1280, "dark", marks=pytest.mark.slow)])
def test_the_page_is_accessible(page: Path, width: int, scheme: Any) -> None:  # noqa: ANN401
    with browsing(page, width=width, scheme=scheme) as watched:
        found = Axe().run(watched.page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
        # Nothing makes the page itself scroll sideways.
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
