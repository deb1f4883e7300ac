"""The page says what the metrics say, and needs nothing but itself."""

import json
import re
from base64 import b64decode
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from markupsafe import escape

from descent.io.errors import DataError
from descent.report.claims import claims
from descent.report.colours import BLUE, COLOURS, INK, PAPER
from descent.report.page import TOKENS, ReportInputs, data_uri, flattened, inlined, math, report_page, slider
from descent.sources.published import FASHION_CLASSES as CLASSES
from tests.browser import browsing, needs_chromium
from tests.imports import ROOT
from tests.report.test_claims import ATTACKED, THEORY, TRAINED
from tests.workspace import Workspace

SVG = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns:xlink="x" width="446.4pt" height="345.6pt" '
    f'viewBox="0 0 446.4 345.6" version="1.1">\n <metadata>by <b>somebody</b></metadata>\n <g id="axes_1">'
    f'<path id="m1" clip-path="url(#p1)" style="fill: {BLUE}; stroke: {INK}"/><use xlink:href="#m1"/>'
    f'<rect style="fill: {PAPER}"/></g></svg>'
)


STYLE = (ROOT / "src" / "descent" / "report" / "templates" / "report.css").read_text(encoding="utf-8")


def probabilities() -> list[dict[str, Any]]:
    """Return the rows of a table of two images at three ε, which become trousers."""
    return [
        {"series": image, "epsilon": epsilon, "true": 0.5} | {name: float(name == given) for name in CLASSES}
        for image in ("Bag", "Coat")
        for epsilon, given in ((0.0, image), (0.1, "Trouser"), (0.2, "Trouser"))
    ]


IMAGES = {"data": "images"}


def results(**changes: Any) -> ReportInputs:  # noqa: ANN401
    """Return all that a page needs, made up."""
    relu = ("", "_deviation", "_of_twin", "_of_twin_deviation", "_minus_twins", "_minus_twins_deviation")
    theory = (
        THEORY
        | {f"parametrised_relu_final_loss{name}": 2571.0 for name in relu}
        | {"parametrised_relu_start_difference": 4.7e-16, "parametrised_relu_seeds": 5}
        | {f"sigmoid_{name}": -88.72 for name in ("graph_nan_below", "graph_zero_below", "closed_zero_above")}
    )
    data = {"source": "fashion-mnist", "train_images": 60000, "test_images": 10000, "height": 28, "width": 28}
    data |= {
        "classes": 10,
        "class_names": list(CLASSES),
        "diabetes_train": 354,
        "diabetes_test": 88,
        "diabetes_features": 10,
    }
    made = ReportInputs(
        params={
            "seed": 7,
            "threads": 1,
            "evaluation": {"overfitting_window": 5, "overfitting_rise": 0.1},
            "theory": {"learning_rate": {"epochs": 50}},
            "train": {
                "mlp": IMAGES | {"model": {"kind": "mlp", "hidden": [100]}, "adversary": "none"},
                "convnet": IMAGES | {"model": {"kind": "convnet"}, "epochs": 8, "adversary": "none"},
                "convnet-adversarial": IMAGES
                | {"model": {"kind": "convnet"}, "epochs": 10, "adversary": {"epsilon": 0.1, "step": 0.125}},
            },
            "attack": {
                "bench": {
                    "epsilon": 0.1,
                    "write_up_epsilon": 0.01,
                    "tolerance": 0.0001,
                    "pgd": {"steps": 20, "restarts": 5, "images": 1000},
                }
            },
        },
        data=data | {"sha256_train_images": "abc123"},
        theory=theory,
        trained={
            name: metrics | {"torch": "2.13.0", "weights": 1} for name, metrics in TRAINED.items() if "lr" not in name
        },
        attacked={
            "mlp": ATTACKED["mlp"]
            | {"zero_gradient_share": 0.0003, "failed_checks": "none", "checks_not_applicable": "none"}
            | {"write_up_accuracy": 0.05, "write_up_mean_change": 0.9, "write_up_share_out_of_range": 0.7}
            | {"pgd_accuracy_at_0.1": 0.002, "pgd_low_at_0.1": 0.001, "pgd_high_at_0.1": 0.007}
        },
        transfer={"failed_checks": "none"},
        probabilities={"mlp": probabilities()},
        figures={"mlp-loss": SVG, "robustness": SVG},
        sheets={"mlp": b"PNG", "mlp-direction": b"png"},
    )
    return made._replace(**changes)


def text(html: str) -> str:
    """Return what a page says, tags and white space aside."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def test_every_claim_stands_on_the_page_with_verdict_and_number() -> None:

    page, made = text(report_page(results())), results()
    for claim in claims("fashion-mnist", made.theory, made.trained, made.attacked):
        assert page.count(claim.says) == 2  # in the summary and in its section
        assert claim.shows in page
    assert "Of 18 claims, 12 hold in this run and 4 do not; 2 were not measured." in page


def test_a_defence_says_what_it_costs() -> None:
    made = results()
    paid = {"convnet-adversarial": {**made.trained["convnet"], "final_test_accuracy": 0.8439, "weights": 85_910}}
    page = text(report_page(made._replace(trained={**made.trained, **paid})))
    assert "two gradients a step instead of one, 20 for each training image in all where convnet takes 8." in page
    accuracy = 100 * made.trained["convnet"]["final_test_accuracy"]
    assert (
        "Of the unmoved test images it classifies 84.4 % correctly; "
        f"convnet, with 1 weights instead of 85,910, {accuracy:.1f} %" in page
    )
    assert "two gradients" not in text(report_page(made))


def test_a_number_that_turns_a_verdict_turns_the_page() -> None:
    calm = {**results().trained, "mlp": {**results().trained["mlp"], "overfitting_epoch": None}}
    page = text(report_page(results(trained=calm)))
    assert "Of 18 claims, 11 hold in this run and 5 do not; 2 were not measured." in page
    assert "✗ Does not hold. Averaged over a few epochs, no epoch from which it rises" in page


def test_drawn_data_is_announced_on_top_and_real_data_is_not() -> None:
    drawn = text(report_page(results(data={**results().data, "source": "drawn"})))
    assert 0 < drawn.index("Drawn stand-in data, not Fashion-MNIST") < drawn.index("Gradient descent on weights")
    assert "Images: drawn by the project" in drawn
    assert "Drawn stand-in" not in text(report_page(results()))


def test_other_images_are_announced_with_their_name_and_source() -> None:
    published = text(report_page(results(data={**results().data, "source": "kmnist"})))
    assert "Kuzushiji-MNIST, not Fashion-MNIST: the write-up's claims about images are not judged." in published
    assert "The images are Kuzushiji-MNIST; the claim is about Fashion-MNIST." in published
    assert "CC BY-SA 4.0), each file verified by its published hash" in published
    own = text(report_page(results(data={**results().data, "source": "folder"})))
    assert "Images of a folder, not Fashion-MNIST" in own
    assert "those of the folder images/" in own


def test_figures_are_numbered_in_order_and_missing_ones_leave_no_gap() -> None:
    page = report_page(results())
    assert re.findall(r"<b>Figure (\d+)\.</b>", page) == ["1", "2"]
    assert page.count("<figure id=") == 2


def test_the_end_says_how_it_came_about() -> None:
    page = text(report_page(results()))
    for words in ("Seed 7, 1 thread per process", "train images abc123", "train.mlp.model.hidden 100"):
        assert words in page
    assert "Trained with torch 2.13.0." in page


def test_the_page_knows_no_machine_and_no_installed_package() -> None:
    page = (ROOT / "stages" / "report.py").read_text(encoding="utf-8") + report_page(results())
    assert not re.search("importlib|platform|hostname|getlogin|datetime|numpy", page)


def test_a_regression_with_another_model_has_a_row_of_its_own_and_no_threshold() -> None:
    other = {"final_train_loss": 2512.3, "final_test_loss": 3100.9, "test_r2": 0.412, "weights": 385, "torch": "2"}
    page = text(report_page(results(trained={**results().trained, "mlp-on-diabetes": other})))
    assert "mlp-on-diabetes 385 2512 3101 0.412" in page
    assert "Regressions with another model on the same data" in page
    assert "Regressions with another model" not in text(report_page(results()))


def test_the_same_results_give_the_same_page() -> None:
    assert report_page(results()) == report_page(results())


def test_names_from_the_parameters_cannot_become_markup() -> None:
    hostile = '</script><b onload="x">'
    page = report_page(results(params={**results().params, "extra": hostile}))
    assert hostile not in page


def test_a_failed_check_is_a_warning_by_its_name() -> None:
    assert "mlp: every check passes." in text(report_page(results()))
    warned = {"mlp": {**results().attacked["mlp"], "failed_checks": "gradients_not_zero, inputs_in_range"}}
    page = text(report_page(results(attacked=warned, transfer={"failed_checks": "white_box_beats_transfer (a on b)"})))
    assert "✗ mlp: these checks fail, so distrust its numbers: gradients_not_zero, inputs_in_range." in page
    assert "these are fooled better by images crafted elsewhere: white_box_beats_transfer (a on b)." in page


def test_a_check_that_does_not_apply_is_not_said_to_pass() -> None:
    mlp, name = dict(results().attacked["mlp"]), "large_epsilon_breaks"
    page = text(report_page(results(attacked={"mlp": mlp | {"checks_not_applicable": name}})))
    assert f"✓ mlp: every applicable check passes; not applicable here: {name}." in page
    both = mlp | {"failed_checks": "noise_not_stronger", "checks_not_applicable": name}
    page = text(report_page(results(attacked={"mlp": both})))
    assert f"distrust its numbers: noise_not_stronger; not applicable here: {name}." in page


def test_without_an_attack_there_is_no_bench() -> None:
    page = report_page(results(attacked={}, probabilities={}, sheets={}))
    assert 'id="bench"' not in page
    assert "<script" not in page


def test_a_figure_is_described_and_kept_apart_from_others() -> None:
    html = inlined(SVG, "mlp-loss", 'Loss "of" <the> MLP')
    assert html.startswith('<svg role="img" aria-label="Loss &#34;of&#34; &lt;the&gt; MLP" style="max-width: 37.2rem"')
    assert 'viewBox="0 0 446.4 345.6"' in html
    assert 'id="mlp-loss-axes_1"' in html
    assert 'id="mlp-loss-m1"' in html
    assert "url(#mlp-loss-p1)" in html
    assert 'xlink:href="#mlp-loss-m1"' in html
    assert "metadata" not in html
    assert "fill: var(--blue); stroke: var(--ink)" in html
    assert "fill: var(--paper)" in html


def test_every_colour_of_the_figures_has_a_name_in_the_style_for_light_and_dark() -> None:
    assert {*COLOURS, INK, PAPER} == set(TOKENS)
    for token in TOKENS.values():
        assert len(re.findall(rf"--{token}: #", STYLE)) == 2


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2, "relative luminance")."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_their_ground_by_four_and_a_half_and_lines_by_three(dark: bool) -> None:
    found = re.findall(r"--(\w+): (#[0-9a-f]{6});", STYLE)
    colours = dict(found[len(found) // 2 :] if dark else found[: len(found) // 2])
    assert len(colours) == 13
    for ground in (colours.pop("paper"), colours.pop("panel")):
        for name, colour in colours.items():
            low, high = sorted((luminance(ground), luminance(colour)))
            needed = 4.5 if name in ("ink", "quiet", "link", "good", "bad") else 1.0 if name == "line" else 3.0
            assert (high + 0.05) / (low + 0.05) >= needed, (name, ground)


def test_a_file_that_is_no_figure_is_named() -> None:
    with pytest.raises(DataError, match=r"plots/figures/bag.svg: not an SVG of this pipeline"):
        inlined("<html>", "bag", "")


def test_formulas_are_mathml() -> None:
    assert str(math(r"\frac{a}{2}")).startswith("<math")
    assert "<mfrac>" in math(r"\frac{a}{2}")
    assert 'display="block"' in math("a", "block")


def test_the_slider_has_the_probabilities_by_image_step_and_class() -> None:
    laid = slider(probabilities(), CLASSES)
    assert laid["epsilons"] == [0.0, 0.1, 0.2]
    assert laid["images"] == ["Bag", "Coat"]
    assert laid["steps"] == [0, 1, 2]
    assert laid["probabilities"][1][0][CLASSES.index("Coat")] == 1
    assert laid["probabilities"][1][2][CLASSES.index("Trouser")] == 1


def test_parameters_are_flattened_with_their_dotted_names() -> None:
    assert list(flattened({"a": {"b": [1, 2], "c": {"d": "x"}}, "e": []})) == [
        ("a.b", "1, 2"),
        ("a.c.d", "x"),
        ("e", "none"),
    ]  # fmt: skip


def test_a_picture_becomes_an_address() -> None:
    assert b64decode(data_uri(b"PNG").removeprefix("data:image/png;base64,")) == b"PNG"


@pytest.fixture(scope="module")
def page(committed: Workspace) -> Path:
    """Return the page of the committed results, built in a clone that has no data."""
    committed.run("python", "-m", "stages.report")
    return committed.folder / "report" / "index.html"


def test_a_clone_builds_its_page_from_metrics_and_plots_alone(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 5e6
    assert "Drawn stand-in" not in html
    assert text(html).count("not measured") == 0
    assert html.count("<figure id=") == 26
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', html)


@needs_chromium
def test_every_picture_of_the_page_is_decoded_and_nothing_is_asked_for(page: Path) -> None:
    with browsing() as watched:
        watched.page.goto(page.as_uri())
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
        assert watched.errors == []
        assert watched.outside == []
        sizes = watched.page.eval_on_selector_all(
            "figure > svg, .wide > svg",
            "all => all.map(svg => [svg.getBoundingClientRect().width, svg.innerHTML.length])",
        )
        assert len(sizes) == 29  # with the three of the slider
        assert all(width > 80 and length > 10 for width, length in sizes)


@needs_chromium
def test_the_slider_moves_picture_words_and_bars(page: Path) -> None:
    with browsing() as watched:
        watched.page.goto(page.as_uri())
        bench = watched.page.locator("#bench")
        data = json.loads(watched.page.locator("#probabilities").text_content() or "")
        assert bench.is_visible()
        assert not watched.page.locator(".strip").is_visible()
        column = bench.locator(".bars td:nth-child(2)").first.bounding_box()
        assert column is not None
        assert column["width"] > 200  # room for a bar
        assert set(data) == {"mlp", "mlp-weight-decay", "convnet", "convnet-adversarial"}

        def shown() -> tuple[str, str, list[str]]:
            picture = bench.locator(".moved")
            place = f"{picture.locator('use').get_attribute('href')} {picture.get_attribute('viewBox')}"
            return (
                place,
                bench.locator(".moved-words").inner_text(),
                bench.locator(".bars td:last-child").all_inner_texts(),
            )

        for run, image, step in (("mlp", 8, 0), ("mlp", 8, 30), ("convnet", 8, 30), ("convnet", 1, 12)):
            bench.locator(f"input[value={run}]").check()
            bench.locator("select").select_option(str(image))
            bench.locator("input[type=range]").fill(str(step))
            given = data[run]["probabilities"][image][step]
            place, words, bars = shown()
            assert place == f"#sheet-{run} {28 * step} {28 * image} 28 28"
            assert words == f"\u2068{CLASSES[given.index(max(given))]}\u2069, {100 * max(given):.1f}\u00a0%"
            assert bars == [f"{100 * share:.1f}\u00a0%" for share in given]
            widths = bench.locator(".bar").evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
            assert widths == pytest.approx([100 * share for share in given], abs=0.01)
        bench.locator("input[type=range]").press("ArrowRight")
        assert bench.locator("output").inner_text() == f"{data['convnet']['epsilons'][13]:.3f}"
        assert watched.errors == []


@needs_chromium
@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.slow)])
def test_the_widest_names_of_fifty_classes_fit_the_page(tmp_path: Path, width: int) -> None:
    classes = [f"{'W' * 18}{number:02d}" for number in range(50)]
    rows = [
        {"series": image, "epsilon": epsilon, "true": 0.5} | {name: float(name == image) for name in classes}
        for image in classes
        for epsilon in (0.0, 0.1)
    ]
    data = {**results().data, "source": "folder", "classes": 50, "class_names": classes}
    path = tmp_path / "index.html"
    path.write_text(report_page(results(data=data, probabilities={"mlp": rows})), encoding="utf-8")
    for scripts in (True, False):
        with browsing(width=width, scripts=scripts) as watched:
            watched.page.goto(path.as_uri())
            assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
            beyond = watched.page.eval_on_selector_all(
                ".bars th, .shown figcaption, .strip td",
                "all => all.filter(cell => cell.scrollWidth > cell.clientWidth + 1).length",
            )
            assert beyond == 0


def test_a_name_of_a_class_stands_on_the_page_as_it_is() -> None:
    classes = [
        "<b>&amp;",
        "</script>",
        "$x$",
        "{{ 1 }}",
        "\\u0041",
        "\u0642\u0645\u064a\u0635",
        "e\u0301",
        "nan",
        "1e5",
        "True",
    ]
    rows = [
        {"series": image, "epsilon": 0.0, "true": 1.0} | {name: float(name == image) for name in classes}
        for image in classes
    ]
    data = {**results().data, "source": "folder", "class_names": classes}
    html = report_page(results(data=data, probabilities={"mlp": rows}))
    assert re.findall(r'<th scope="row"><bdi>(.*?)</bdi>', html) == [escape(name) for name in classes]
    (told,) = re.findall(r'id="classes">(.*?)</script>', html)
    assert json.loads(told) == classes
    (bench,) = re.findall(r'id="probabilities">(.*?)</script>', html)
    assert json.loads(bench)["mlp"]["images"] == classes


@needs_chromium
def test_without_a_script_a_static_strip_takes_the_sliders_place(page: Path) -> None:
    with browsing(scripts=False) as watched:
        watched.page.goto(page.as_uri())
        assert not watched.page.locator("#bench").is_visible()
        assert watched.page.locator(".strip .picture").count() == 4 * 10 * 6
        assert watched.page.locator(".strip .picture").first.is_visible()


@needs_chromium
@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "light"),
        pytest.param(1280, "dark", marks=pytest.mark.slow),
        pytest.param(390, "dark", marks=pytest.mark.slow),
        pytest.param(1280, "light", marks=pytest.mark.slow),
    ],
)
def test_nobody_is_kept_from_reading_it(page: Path, width: int, scheme: Any) -> None:  # noqa: ANN401

    with browsing(width=width, scheme=scheme) as watched:
        watched.page.goto(page.as_uri())
        found = Axe().run(watched.page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
        # Nothing makes the page itself scroll sideways.
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width


@needs_chromium
def test_it_prints_with_the_strip_and_without_the_slider(page: Path) -> None:
    with browsing() as watched:
        watched.page.goto(page.as_uri())
        watched.page.emulate_media(media="print")
        assert not watched.page.locator("#bench").is_visible()
        assert watched.page.locator(".strip .picture").first.is_visible()
        assert watched.page.pdf(format="A4").startswith(b"%PDF")
