"""Every figure of the write-up has its name, says of which data it is, and is the same bytes each time."""

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import matplotlib.image as mpimg
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from descent.io.results import NAMED, load_metrics
from descent.io.run_schema import MLP, Run
from descent.io.schema import Params
from descent.report.bracket_figure import brackets
from descent.report.colours import COLOURS, INK, PAPER, run_colours
from descent.report.figures import all_figures, confusion_matrix, regression_hovering, transfer_matrix
from descent.report.image_figures import slider_sheets
from descent.report.style import literal, save_pixels, svg
from descent.sources.published import FASHION_CLASSES
from tests.imports import ROOT
from tests.report.test_theory_figures import NODES, points, words

PLOTS = ROOT / "plots"
CLASSIFIER, REGRESSION = (pd.read_csv(PLOTS / "curves" / f"{run}.csv") for run in ("mlp", "regression-lr-1e-2"))
ATTACK = pd.read_csv(PLOTS / "attack" / "mlp.csv", **NAMED)
PGD = pd.DataFrame({"epsilon": [0.02, 0.1], "accuracy": [0.6, 0.1], "fgsm_accuracy": [0.7, 0.3]})
BOUNDS = pd.DataFrame(
    {"epsilon": [0.0, 0.001, 0.02, 0.1], "accuracy": [0.9, 0.8, 0.5, 0.0], "attacked_accuracy": [0.9, 0.9, 0.6, 0.1]}
)
LINEAR = {
    "share_of_epochs_with_rising_train_loss": 0.1,
    "least_squares_loss": 90.0,
    "stability_threshold": 0.0153,
    "learning_rate_over_threshold": 0.5,
}
CALM = {"overfitting_epoch": None}
THEORY = {path.stem: pd.read_csv(path) for path in (PLOTS / "theory").iterdir()} | {
    "padding": pd.DataFrame({"row": [0, 0, 1, 1], "column": [0, 1, 0, 1], "error": [1.0, 1.0, 1.0, 0.5]}),
    "sigmoid-graph": NODES,
}
THEORY_FIGURES = [f"theory-{name}" for name in ("twins", "padding", "sigmoid-graph", "sigmoid-gradient")]
THEORY_FIGURES += ["theory-learning-rate", "theory-broadcasting"]
ROBUSTNESS = ["robustness", "robustness-pgd", "brackets", "flips", "transfer"]


def pictures(shown: int, bags: int, classes: int) -> dict[str, torch.Tensor]:
    """Make up what an attack hands on."""
    tensors = {"slider.clean": torch.rand(2, 1, 28, 28), "slider.direction": torch.ones(2, 1, 28, 28)}
    for group, count in (("gallery", shown), ("bag", bags), ("write_up", bags)):
        images = {name: torch.rand(count, 1, 28, 28) for name in ("clean", "direction", "adversarial")}
        certain = torch.eye(classes)
        images |= {"clean_probabilities": certain[:count], "adversarial_probabilities": certain.flip(0)[:count]}
        images |= {"epsilon": torch.full((count,), 0.1), "label": torch.arange(count)}
        tensors |= {f"{group}.{name}": tensor for name, tensor in images.items()}
    return tensors | {"slider.epsilon": torch.tensor([0.1])}


def pairs(names: Sequence[str], columns: list[str], values: Sequence[float]) -> pd.DataFrame:
    """Return a table with a row for each pair of names."""
    rows = [(a, b, value) for (a, b), value in zip(((a, b) for a in names for b in names), values, strict=True)]
    return pd.DataFrame(rows, columns=columns)


def confusion(classes: Sequence[str]) -> pd.DataFrame:
    """Return a confusion matrix with all images classified correctly."""
    return pairs(classes, ["actual", "predicted", "images"], [100.0 * (a == b) for a in classes for b in classes])


def inputs(
    runs: dict[str, Run], attacked: Sequence[str], *, source: str = "folder", shown: int = 3, bags: int = 1,
    classes: Sequence[str] = FASHION_CLASSES, metrics: dict[str, Any] = CALM,
) -> dict[str, Any]:  # fmt: skip
    """Return results of these runs, made up."""
    quantiles = [(name, share, share / 5) for name in classes for share in (0.25, 0.5, 0.75)]
    return {
        "runs": runs,
        "epsilon": 0.1,
        "data": {"source": source, "class_names": list(classes)},
        "theory": load_metrics(ROOT / "metrics" / "theory.json"),
        "trained": {name: LINEAR if run.model.kind == "linear" else metrics for name, run in runs.items()},
        "theory_tables": THEORY,
        "curves": {name: CLASSIFIER if run.data == "images" else REGRESSION for name, run in runs.items()},
        "fgsm": dict.fromkeys(attacked, ATTACK),
        "pgd": dict.fromkeys(attacked, PGD.assign(low=0.0, high=1.0)),
        "certified": dict.fromkeys(attacked, BOUNDS),
        "flips": dict.fromkeys(attacked, pd.DataFrame(quantiles, columns=["series", "quantile", "epsilon"])),
        "confusion": dict.fromkeys(attacked, confusion(classes)),
        "examples": {name: pictures(shown, bags, len(classes)) for name in attacked},
        "transfer": pairs(attacked, ["source", "target", "accuracy"], [0.5] * len(attacked) ** 2),
    }


def cells(axes: Axes) -> dict[tuple[float, float], str]:
    """Return the words of a matrix by row and column."""
    return {(text.xy[1], text.xy[0]): text.get_text() for text in axes.texts if isinstance(text, Annotation)}


def test_the_figures_are_named_in_the_order_of_the_write_up(params: Params) -> None:
    figures = all_figures(**inputs(params.train, ["mlp", "convnet"], source="fashion-mnist"))
    assert list(figures) == [
        "stories",
        *THEORY_FIGURES,
        *(*ROBUSTNESS, "bag", "write-up", "regression-loss", "regression-hovering"),
        *("mlp-loss", "mlp-accuracy", "convnet-loss", "convnet-accuracy"),
        *("confusion-mlp", "adversarial-mlp", "confusion-convnet", "adversarial-convnet"),
    ]
    for name, said in zip(figures, map(words, figures.values()), strict=True):
        assert ("data: Fashion-MNIST" in said) != name.startswith(("theory", "regression")), name
        assert ("fast gradient sign" in said) == (name == "robustness")
        assert ("projected gradient" in said) == (name == "robustness-pgd")
        assert ("unclipped" in said) == (name == "write-up")
        assert ("mlp-weight-decay, test" in said) == (name in ("mlp-loss", "mlp-accuracy"))
        assert ("rises in 10% of epochs" in said) == (name == "stories")
    for text in ("T-shirt/top\n1.000", "Ankle boot\n1.000", "ε = 0.100"):
        assert text in words(figures["adversarial-mlp"])
    assert 90.0 in [points(line)[1][0] for line in figures["regression-loss"].axes[0].lines]
    rates = [line for line in figures["theory-learning-rate"].axes[0].lines if line.get_marker() == "^"]
    assert [points(line)[0] for line in rates] == [[0.5, 0.5]]


def test_figures_without_data_are_left_out_or_say_so(params: Params) -> None:
    runs = {"mlp": params.train["mlp"]}
    figures = all_figures(**inputs(runs, ["mlp"], source="drawn", shown=0, classes=tuple("0123456789")))
    of_mlp = ["mlp-loss", "mlp-accuracy", "confusion-mlp", "adversarial-mlp"]
    assert list(figures) == [*THEORY_FIGURES, *ROBUSTNESS, *of_mlp]
    assert "no image is flipped" in words(figures["adversarial-mlp"])
    for name in list(figures)[6:]:
        assert "DRAWN STAND-IN, NOT FASHION-MNIST" in words(figures[name]), name
    assert "no bag does so" in words(all_figures(**inputs(runs, ["mlp"], bags=0))["bag"])


@pytest.mark.parametrize("others", [{}, {"a": LINEAR}])
def test_each_kind_of_model_has_its_figures(params: Params, others: dict[str, object]) -> None:
    linear = params.train["regression-lr-1e-2"]
    bent = linear.model_copy(update={"model": MLP(kind="mlp", hidden=[8])})
    mine = params.train["mlp"].model_copy(update={"model": SimpleNamespace(kind="transformer")})
    figures = all_figures(**inputs({"bent": bent, "mine": mine} | dict.fromkeys(others, linear), ["bent"]))
    assert {"transformer-loss", "transformer-accuracy"} <= figures.keys()
    drawn = {name: figure for name, figure in figures.items() if name.startswith("regression")}
    assert list(drawn) == (["regression-loss", "regression-hovering"] if others else [])
    assert all("bent" not in words(figure) for figure in drawn.values())


def test_overfitting_is_marked_where_it_sets_in_and_nowhere_else(params: Params) -> None:
    runs = {"mlp": params.train["mlp"]}
    figures = all_figures(**inputs(runs, ["mlp"], metrics={"overfitting_epoch": 2}))
    for figure in (figures["mlp-loss"], figures["mlp-accuracy"]):
        assert [points(line)[0][0] for line in figure.axes[0].lines[2:]] == [2]
        assert "mlp overfits from epoch 2" in words(figure)
    assert len(all_figures(**inputs(runs, ["mlp"]))["mlp-loss"].axes[0].lines) == 2


@pytest.mark.parametrize(("limits", "shown"), [((0.0153, 0.0153), "2/λmax =\n 0.0153"), ((0.0153, 0.0077), "diverges")])
def test_thresholds_of_regressions_are_drawn_once_or_for_each(limits: tuple[float, float], shown: str) -> None:
    metrics = {name: LINEAR | {"stability_threshold": limit} for name, limit in zip(("a", "b"), limits, strict=True)}
    figure = regression_hovering(
        dict.fromkeys(metrics, REGRESSION), metrics, {"a": 0.01, "b": 0.005}, run_colours(metrics)
    )
    assert set(limits) <= {points(line)[0][0] for line in figure.axes[0].lines}
    assert (shown in words(figure)) == (len(set(limits)) == 1)
    assert ("b, 2/λmax = 0.0077" in words(figure)) == (len(set(limits)) == 2)


def test_matrices_have_the_source_in_rows_and_shares_of_the_row() -> None:
    accuracies = pairs(("net", "mlp"), ["source", "target", "accuracy"], [0.1, 0.2, 0.3, 0.4])
    (axes,) = transfer_matrix(accuracies, 0.1, "drawn").axes
    assert cells(axes) == {(0, 0): "10.0%", (0, 1): "20.0%", (1, 0): "30.0%", (1, 1): "40.0%"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["net", "mlp"]
    counts = pairs(("five", "one", "none"), ["actual", "predicted", "images"], [0, 892, 0, 284, 851, 0, 0, 0, 0])
    (axes,) = confusion_matrix("run", counts, 0.1, "drawn").axes
    assert [cells(axes)[row, 1] for row in range(3)] == ["100%", "75%", "0%"]
    assert np.asarray(axes.images[0].get_array())[:, 1] == pytest.approx([1, 851 / 1135, 0])


def test_flips_are_drawn_for_the_quantiles_that_have_them(params: Params) -> None:
    results = inputs({"mlp": params.train["mlp"]}, ["mlp"])
    few = results["flips"]["mlp"].query("series == 'Bag' and quantile < 0.7")
    (medians,) = all_figures(**results | {"flips": {"mlp": few}})["flips"].axes[0].lines
    assert [x for x in points(medians)[0] if x == x] == [0.1]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_bracket_reaches_from_the_certificate_to_the_attacks(count: int) -> None:
    names = [f"run-{number}" for number in range(count)]
    ensemble = pd.DataFrame(
        {"epsilon": [0.02] * 2 + [0.1] * 2, "attack": ["a", "b"] * 2, "accuracy": [0.6, 0.55, 0.1, 0.05]}
    )
    figure = brackets(
        dict.fromkeys(names, BOUNDS), dict.fromkeys(names, PGD), run_colours(names), "folder", {"run-0": ensemble}
    )
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == names
    for axes in panels:
        lines = {line.get_label(): points(line) for line in axes.lines}
        assert lines.pop("no attack")[1] == [0.9, 0.9]
        assert lines.pop("certified") == ([0.001, 0.02, 0.1], [0.8, 0.5, 0.0])
        assert lines.pop("PGD") == ([0.02, 0.1], [0.6, 0.1])
        assert lines.pop("FGSM") == ([0.02, 0.1], [0.7, 0.3])
        # The last attack of the ensemble counts those that all of them leave.
        assert lines == ({"AutoAttack": ([0.02, 0.1], [0.55, 0.05])} if axes.get_title() == "run-0" else {})
        (band,) = axes.collections
        corners = {(round(x, 3), round(y, 3)) for x, y in np.asarray(band.get_paths()[0].vertices).tolist()}
        left = 0.55 if axes.get_title() == "run-0" else 0.6
        first, second = (
            {(0.001, 0.5), (0.001, 0.9), (0.02, 0.5), (0.02, 0.9)},
            {(0.02, 0.0), (0.02, left), (0.1, 0.0), (0.1, left)},
        )
        assert corners == first | second
    assert len(figure.legends) == min(count, 1)
    figure.draw_without_rendering()


def test_a_sheet_has_a_row_for_each_image_and_a_column_for_each_epsilon(params: Params, tmp_path: Path) -> None:
    clean, direction = torch.rand(3, 1, 28, 28), torch.randint(-1, 2, (3, 1, 28, 28)).float()
    epsilon = torch.tensor([0.0, 0.1, 0.3])
    examples = {"slider.clean": clean, "slider.direction": direction, "slider.epsilon": epsilon}
    pixels, signs = slider_sheets({"run": examples}).values()
    assert (pixels.shape, signs.shape) == ((3 * 28, 3 * 28), (3 * 28, 28, 3))
    expected = (clean[1, 0] + 0.3 * direction[1, 0]).clamp(0, 1)
    torch.testing.assert_close(pixels[28:56, 56:84] / 255, expected, rtol=0, atol=0.5 / 255 + 1e-6)
    for sign, colour in ((-1, [33, 102, 172]), (0, [255, 255, 255]), (1, [178, 24, 43])):
        assert signs[direction.flatten(0, 2) == sign].unique(dim=0).tolist() == [colour]
    save_pixels(tmp_path / "sheet.png", pixels)
    read = torch.from_numpy(mpimg.imread(tmp_path / "sheet.png"))
    torch.testing.assert_close(read * 255, pixels.float(), rtol=0, atol=0.01)
    sheets = slider_sheets(inputs(params.train, ["mlp"])["examples"])
    assert {name: sheet.shape for name, sheet in sheets.items()} == {"mlp": (56, 28), "mlp-direction": (56, 28, 3)}


# Formulas, markup, right-to-left and combining letters, letters of no width, ligatures, words that look like numbers.
NAMES: tuple[str, ...] = ("$x^2$", "a $ b", r"\frac{1}{2}", "_x", "{%s}", "<b>&amp;", "e\u0301 combined")
NAMES += ("\u05e9\u05dc\u05d5\u05dd", "\u0642\u0645\u064a\u0635", "a\u200bb", "\ufb01n", "nan", "null")
NAMES += ("10", "1e5", "True", "Bag", "T-shirt/top")
OF_CLASSES = ("flips", "confusion-mlp", "adversarial-mlp", "bag")


@pytest.mark.filterwarnings("ignore:Glyph .* missing")
def test_a_name_of_a_class_is_drawn_as_it_is(params: Params) -> None:
    figures = all_figures(**inputs({"mlp": params.train["mlp"]}, ["mlp"], shown=len(NAMES), classes=NAMES))
    for kind in OF_CLASSES:
        for name in NAMES[:1] if kind == "bag" else NAMES:
            assert name.replace("$", r"\$") in words(figures[kind]), (kind, name)
        svg(figures[kind])
    assert not any(is_math_text(literal(name)) for name in NAMES)


@pytest.mark.parametrize("count", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_the_widest_names_of_classes_overlap_nothing_and_stay_in_the_picture(params: Params, count: int) -> None:
    classes = [*(f"{'W' * 18}{number:02d}" for number in range(count - 2)), "Bag", "T-shirt/top"]
    figures = all_figures(**inputs({"mlp": params.train["mlp"]}, ["mlp"], shown=count, classes=classes))
    for figure in map(figures.__getitem__, OF_CLASSES):
        figure.draw_without_rendering()
        for axes in figure.axes:
            for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
                within([label for label in labels if "W" in label.get_text()], figure)
        titles = [axes.title for axes in figure.axes if axes.title.get_text()]
        within([*titles, *figure.findobj(Annotation), *(text for text in [figure._suptitle] if text)], figure)  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 9])
def test_the_longest_names_of_runs_stay_in_the_picture(params: Params, count: int) -> None:
    names = [f"{'wwwwwwwww-' * 6}-{number:02d}" for number in range(count)]
    metrics = {"overfitting_epoch": 2, "diverged": True, "diverged_epoch": 9}
    results = inputs(dict.fromkeys(names, params.train["mlp"]), names, shown=0, bags=0, metrics=metrics)
    figures = all_figures(**results | {"examples": {}})
    assert len(figures["mlp-loss"].axes[0].lines) == 3 * count  # no run is left out
    assert [line.get_label() for line in figures["robustness"].axes[0].lines[:count]] == names
    for figure in map(figures.__getitem__, ("mlp-loss", "robustness", "brackets", "transfer")):
        figure.draw_without_rendering()
        assert figure.axes[0].get_position().height * figure.get_figheight() > 0.9
        within([text for legend in figure.legends for text in legend.get_texts()], figure)
        within([label for label in figure.axes[0].get_yticklabels() if "w" in label.get_text()], figure)


def within(texts: Sequence[Any], figure: Figure) -> None:
    """See that texts lie in the figure, and none on another."""
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert figure.bbox.x0 - 1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, text
        assert figure.bbox.y0 - 1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, text
    assert not any(first.padded(-3).overlaps(second.padded(-3)) for first, second in combinations(boxes, 2))


def test_a_figure_is_the_same_bytes_whatever_was_set_before() -> None:
    def draw() -> str:
        return svg(confusion_matrix("run", confusion(FASHION_CLASSES), 0.1, "drawn"))

    first = draw()
    mpl.rcParams.update({"font.family": ["serif"], "font.size": 30, "axes.facecolor": "red", "axes.linewidth": 5})
    assert draw() == first
    assert "<dc:date>" not in first
    assert "<text" not in first  # letters are shapes, which need no font
    # The page replaces these colours.
    assert mpl.rcParams["axes.prop_cycle"].by_key()["color"] == list(COLOURS)
    assert {mpl.rcParams[name] for name in ("text.color", "axes.edgecolor", "axes.labelcolor", "grid.color")} == {INK}
    assert {mpl.rcParams[name] for name in ("figure.facecolor", "axes.facecolor")} == {PAPER}


DRAW = """
import sys
sys.path.insert(0, sys.argv[1])
import stages
from tests.report.test_figures import FASHION_CLASSES, confusion, confusion_matrix, NODES, svg
from descent.report.theory_figures import sigmoid_graph
print(svg(confusion_matrix("run", confusion(FASHION_CLASSES), 0.1, "drawn")), svg(sigmoid_graph(NODES, 1.0)))
"""


@pytest.mark.slow
def test_no_setting_of_the_user_changes_a_figure(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 30\nsvg.fonttype: none\naxes.facecolor: red\n", encoding="utf-8")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "MATPLOT", "NETWORKX"))}
    hostile = dict.fromkeys(("MPLCONFIGDIR", "MATPLOTLIBRC"), str(tmp_path)) | {"LC_ALL": "de_DE.UTF-8"}
    hostile |= dict.fromkeys(("MPLBACKEND", "NETWORKX_BACKEND_PRIORITY"), "nonsense")
    hostile |= {"PANDAS_FUTURE_INFER_STRING": "0", "SOURCE_DATE_EPOCH": "1"}
    command = [sys.executable, "-c", DRAW, str(ROOT)]
    drawn = [subprocess.check_output(command, cwd=tmp_path, env=given) for given in (plain, plain | hostile)]
    assert drawn[0] == drawn[1] != b""


def test_each_run_has_one_colour_in_every_figure(params: Params) -> None:
    colours = run_colours(params.train)
    assert len(set(colours.values())) == len(colours)
    figures = all_figures(**inputs(params.train, ["mlp", "convnet"], source="fashion-mnist"))
    seen = set()
    for figure in figures.values():
        for axes in figure.axes:
            for line in axes.lines:
                run = max((run for run in colours if str(line.get_label()).startswith(run)), key=len, default=None)
                if run:
                    assert line.get_color() == colours[run]
                    seen.add(run)
    assert seen == set(colours)
