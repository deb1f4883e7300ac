"""Figures say of which data they are, and are the same bytes each time."""

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image as mpimg
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from descent.report.figures import (
    confusion_matrix,
    flipping_epsilons,
    overlay,
    regression_hovering,
    regression_losses,
    robust_accuracies,
    training_curves,
    transfer_matrix,
)
from descent.report.image_figures import bag_becomes_t_shirt, gallery, slider_sheets
from descent.report.style import literal, save_pixels, svg
from descent.sources.published import FASHION_CLASSES as CLASSES
from tests.imports import ROOT

CLASSIFIER = pd.DataFrame(
    {
        "epoch": range(1, 5),
        "train_loss": [0.5, 0.3, 0.2, 0.1],
        "test_loss": [0.6, 0.4, 0.5, 0.6],
        "train_accuracy": [0.8, 0.9, 0.95, 0.99],
        "test_accuracy": [0.8, 0.85, 0.86, 0.85],
    }
)
REGRESSION = CLASSIFIER[["epoch", "train_loss", "test_loss"]] * 1000
ATTACK = pd.DataFrame({"epsilon": [0.0, 0.1], "accuracy": [0.9, 0.2], "low": [0.8, 0.1], "high": [0.95, 0.3]})
FLIPS = pd.DataFrame([("Bag", share, share / 5) for share in (0.05, 0.25, 0.5, 0.75, 0.95)])
FLIPS.columns = pd.Index(["series", "quantile", "epsilon"])
CONFUSION = pd.DataFrame(
    [{"actual": a, "predicted": b, "images": 100 if a == b else 0} for a in CLASSES for b in CLASSES]
)
TRANSFER = pd.DataFrame([(a, b, 0.25 if a == b else 0.75) for a in ("mlp", "net") for b in ("mlp", "net")])
TRANSFER.columns = pd.Index(["source", "target", "accuracy"])


def pictures(shown: int, classes: int = 10) -> dict[str, torch.Tensor]:
    """Make up what an attack hands on."""
    one = {
        "clean": torch.rand(shown, 1, 28, 28),
        "direction": torch.rand(shown, 1, 28, 28).sub(0.5).sign(),
        "adversarial": torch.rand(shown, 1, 28, 28),
        "epsilon": torch.full((shown,), 0.1),
        "label": torch.arange(shown),
        "clean_probabilities": torch.eye(classes)[:shown],
        "adversarial_probabilities": torch.eye(classes).flip(0)[:shown],
    }
    return {f"{group}.{name}": tensor for group in ("gallery", "bag") for name, tensor in one.items()}


def words(figure: Figure) -> str:
    """Return every text of a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))  # type: ignore[attr-defined]


def of(source: str) -> dict[str, Figure]:
    """Draw each figure of images once."""
    metrics: dict[str, dict[str, Any]] = {"run": {"overfitting_epoch": 2}, "calm": {"overfitting_epoch": None}}
    return {
        "loss": training_curves("ConvNet", "loss", {"run": CLASSIFIER, "calm": CLASSIFIER}, metrics, source),
        "accuracy": training_curves("ConvNet", "accuracy", {"run": CLASSIFIER, "calm": CLASSIFIER}, metrics, source),
        "robustness": robust_accuracies("Accuracy", {"run": ATTACK}, 10, source),
        "flips": flipping_epsilons({"run": FLIPS, "other": FLIPS}, CLASSES, source),
        "transfer": transfer_matrix(TRANSFER, 0.1, source),
        "confusion": confusion_matrix("run", CONFUSION, 0.1, source),
        "gallery": gallery("run", pictures(3), CLASSES, source),
        "bag": bag_becomes_t_shirt("bag", "bag", {"run": pictures(1)}, CLASSES, source),
    }


def test_every_figure_of_the_stand_in_says_so() -> None:
    for name, figure in of("drawn").items():
        assert "DRAWN STAND-IN, NOT FASHION-MNIST" in words(figure), name
    for name, figure in of("fashion-mnist").items():
        assert "data: Fashion-MNIST" in words(figure), name
        assert "DRAWN" not in words(figure), name


def test_overfitting_is_marked_where_it_sets_in_and_nowhere_else() -> None:
    (axes,) = of("fashion-mnist")["loss"].axes
    marked = {str(line.get_label()): line.get_xdata()[0] for line in axes.lines if "overfits" in str(line.get_label())}  # type: ignore[index]
    assert marked == {"run overfits from epoch 2": 2}


def test_the_regression_figures_show_optimum_and_threshold() -> None:
    metrics = {"a": {"least_squares_loss": 90.0, "stability_threshold": 0.0153}}
    curves, rates = {"a": REGRESSION}, {"a": 0.01}
    for draw in (regression_losses, regression_hovering):
        (axes,) = draw(curves, metrics, rates).axes
        assert 90.0 in [line.get_ydata()[0] for line in axes.lines]  # type: ignore[index]
    figure = regression_hovering(curves, metrics, rates)
    assert "2/λmax =\n 0.0153" in words(figure)
    assert 0.0153 in [line.get_xdata()[0] for line in figure.axes[0].lines]  # type: ignore[index]


def test_runs_with_thresholds_of_their_own_have_a_line_each() -> None:
    metrics = {
        name: {"least_squares_loss": 90.0, "stability_threshold": limit}
        for name, limit in {"small": 0.0153, "large": 0.0077}.items()
    }
    figure = regression_hovering(dict.fromkeys(metrics, REGRESSION), metrics, {"small": 0.01, "large": 0.005})
    lines = [line.get_xdata()[0] for line in figure.axes[0].lines]  # type: ignore[index]
    assert {0.0153, 0.0077} <= set(lines)
    assert "large, 2/λmax = 0.0077" in words(figure)
    assert "diverges" not in words(figure)


def test_a_cell_of_the_confusion_table_is_a_share_of_its_row() -> None:
    counts = pd.DataFrame(
        [("five", "one", 892), ("five", "five", 0), ("one", "one", 1135), ("one", "five", 0), ("none", "one", 0)],
        columns=["actual", "predicted", "images"],
    )
    counts = pd.concat([counts, counts.assign(predicted="none", images=0)]).drop_duplicates(["actual", "predicted"])
    (axes,) = confusion_matrix("run", counts, 0.1, "drawn").axes
    shown = {(text.xy[1], text.xy[0]): text.get_text() for text in axes.texts if isinstance(text, Annotation)}
    assert (shown[0, 1], shown[1, 1], shown[2, 1]) == ("100%", "100%", "0%")  # five and one as one; no image of none
    colours = np.asarray(axes.images[0].get_array())
    assert colours[:, 1].tolist() == [1, 1, 0]


def test_no_run_is_left_out_however_many_there_are() -> None:
    names = [f"run-{number}" for number in range(9)]
    drawn = robust_accuracies("Accuracy", dict.fromkeys(names, ATTACK), 10, "drawn")
    assert [line.get_label() for line in drawn.axes[0].lines[:9]] == names
    drawn = training_curves(
        "MLP", "loss", dict.fromkeys(names, CLASSIFIER), dict.fromkeys(names, {"overfitting_epoch": None}), "drawn"
    )
    assert len(drawn.axes[0].lines) == 18


def test_the_transfer_table_has_the_source_in_rows_and_the_target_in_columns() -> None:
    lopsided = TRANSFER.assign(accuracy=[0.1, 0.2, 0.3, 0.4])
    (axes,) = transfer_matrix(lopsided, 0.1, "drawn").axes
    shown = {(text.xy[1], text.xy[0]): text.get_text() for text in axes.texts if isinstance(text, Annotation)}
    assert shown == {(0, 0): "10.0%", (0, 1): "20.0%", (1, 0): "30.0%", (1, 1): "40.0%"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mlp", "net"]


def test_flips_are_drawn_for_the_classes_that_have_them() -> None:
    (axes,) = flipping_epsilons(
        {"run": FLIPS.head(3)}, CLASSES, "drawn"
    ).axes  # the upper quantiles are not reached by any ε
    (medians,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert [x for x in np.asarray(medians.get_xdata()) if x == x] == [0.1]


def test_pictures_are_titled_with_class_and_probability() -> None:
    text = words(of("fashion-mnist")["gallery"])
    assert "T-shirt/top\n1.000" in text
    assert "Ankle boot\n1.000" in text
    assert "ε = 0.100" in text


def test_a_missing_bag_or_flip_is_said_in_words() -> None:
    assert "no bag does so" in words(bag_becomes_t_shirt("bag", "bag", {"run": pictures(0)}, CLASSES, "drawn"))
    assert "no image is flipped" in words(gallery("run", pictures(0), CLASSES, "drawn"))


def test_two_revisions_are_laid_over_each_other() -> None:
    figure = overlay("mlp", ["train_loss", "test_loss"], [("main", CLASSIFIER), ("workspace", CLASSIFIER * 2)], "data")
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["main, training", "main, test", "workspace, training", "workspace, test"]
    (line,) = overlay("mlp", ["accuracy"], [("main", ATTACK)], "data").axes[0].lines
    assert line.get_xdata().tolist() == [0.0, 0.1]  # type: ignore[union-attr]


def test_a_sheet_has_a_row_for_each_image_and_a_column_for_each_epsilon(tmp_path: Path) -> None:
    clean, direction = torch.rand(3, 1, 28, 28), torch.randint(-1, 2, (3, 1, 28, 28)).float()
    epsilon = torch.tensor([0.0, 0.1, 0.3])
    pixels, signs = slider_sheets({"slider.clean": clean, "slider.direction": direction, "slider.epsilon": epsilon})
    assert pixels.shape == (3 * 28, 3 * 28)
    expected = (clean[1, 0] + 0.3 * direction[1, 0]).clamp(0, 1)
    torch.testing.assert_close(pixels[28:56, 56:84] / 255, expected, rtol=0, atol=0.5 / 255 + 1e-6)
    assert signs.shape == (3 * 28, 28, 3)
    for sign, colour in ((-1, [33, 102, 172]), (0, [255, 255, 255]), (1, [178, 24, 43])):
        assert signs[direction.flatten(0, 2) == sign].unique(dim=0).tolist() == [colour]

    save_pixels(tmp_path / "sheet.png", pixels)
    read = mpimg.imread(tmp_path / "sheet.png")
    assert read.shape == (84, 84)
    torch.testing.assert_close(torch.from_numpy(read) * 255, pixels.float(), rtol=0, atol=0.01)


@pytest.mark.parametrize("name", ["loss", "bag"])
def test_the_bytes_are_the_same_each_time(name: str) -> None:
    torch.manual_seed(0)
    first = svg(of("drawn")[name])
    torch.manual_seed(0)
    assert svg(of("drawn")[name]) == first
    assert "<dc:date>" not in first


def test_text_is_drawn_as_shapes_that_need_no_font() -> None:
    assert "<text" not in svg(of("drawn")["loss"])


def of_classes(classes: Sequence[str]) -> dict[str, Figure]:
    """Draw each figure that names classes."""
    counts = pd.DataFrame([(a, b, 1 + (a == b)) for a in classes for b in classes])
    counts.columns = pd.Index(["actual", "predicted", "images"])
    few = pd.DataFrame([(name, share, share / 5) for name in classes for share in (0.25, 0.5, 0.75)])
    few.columns = FLIPS.columns
    shown = pictures(len(classes), len(classes))
    return {
        "flips": flipping_epsilons({"run": few}, classes, "folder"),
        "confusion": confusion_matrix("run", counts, 0.1, "folder"),
        "gallery": gallery("run", shown, classes, "folder"),
        "bag": bag_becomes_t_shirt("bag", "bag", {"run": shown}, classes, "folder"),
    }


NAMES = (
    "$x^2$",
    "a $ b",
    r"\frac{1}{2}",
    "_x",
    "{%s}",
    "<b>&amp;",
    "e\u0301 combined",
    "\u05e9\u05dc\u05d5\u05dd",  # Hebrew
    "\u0642\u0645\u064a\u0635",  # Arabic
    "a\u200bb",  # of no width
    "\ufb01n",  # a ligature
    "nan",
    "null",
    "10",
    "1e5",
    "True",
)


@pytest.mark.filterwarnings("ignore:Glyph .* missing")
def test_a_name_of_a_class_is_drawn_as_it_is() -> None:
    for kind, figure in of_classes(NAMES).items():
        said = words(figure)
        for name in NAMES[:1] if kind == "bag" else NAMES:
            assert name.replace("$", r"\$") in said, (kind, name)
        svg(figure)
    assert not any(is_math_text(literal(name)) for name in NAMES)


def test_a_revision_with_any_name_is_in_the_legend() -> None:
    figure = overlay("mlp", ["accuracy"], [("_a", ATTACK), ("$b$", ATTACK)], "data")
    (shown,) = figure.legends
    assert [text.get_text().strip() for text in shown.get_texts()] == ["_a", r"\$b\$"]


@pytest.mark.parametrize("classes", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_the_widest_names_overlap_nothing_and_stay_in_the_picture(classes: int) -> None:
    for kind, figure in of_classes([f"{'W' * 18}{number:02d}" for number in range(classes)]).items():
        figure.draw_without_rendering()
        for axes in figure.axes:
            for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
                within([label for label in labels if "W" in label.get_text()], figure, kind)
        titles = [axes.title for axes in figure.axes if axes.title.get_text()]
        within([*titles, *figure.findobj(Annotation), *(text for text in [figure._suptitle] if text)], figure, kind)  # type: ignore[attr-defined]


@pytest.mark.parametrize("runs", [1, 9])
def test_the_longest_names_of_runs_stay_in_the_picture(runs: int) -> None:
    names = [f"{'wwwwwwwww-' * 6}-{number:02d}" for number in range(runs)]
    metrics = dict.fromkeys(names, {"overfitting_epoch": 2, "diverged": True, "diverged_epoch": 9})
    rows = pd.DataFrame([(a, b, 0.5) for a in names for b in names], columns=TRANSFER.columns)
    for figure in (
        training_curves("MLP", "loss", dict.fromkeys(names, CLASSIFIER), metrics, "drawn"),
        robust_accuracies("Accuracy", dict.fromkeys(names, ATTACK), 10, "drawn"),
        transfer_matrix(rows, 0.1, "drawn"),
    ):
        figure.draw_without_rendering()
        assert figure.axes[0].get_position().height * figure.get_figheight() > 0.9
        within([text for legend in figure.legends for text in legend.get_texts()], figure, "legend")
        within([label for label in figure.axes[0].get_yticklabels() if "w" in label.get_text()], figure, "table")


def within(texts: Sequence[Any], figure: Figure, kind: str) -> None:
    """See that texts lie in the figure, and none on another."""
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert figure.bbox.x0 - 1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, (kind, text)
        assert figure.bbox.y0 - 1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, (kind, text)
    for first, second in combinations(boxes, 2):
        assert not first.padded(-3).overlaps(second.padded(-3)), kind


HOSTILE = (
    "font.family: serif\nfont.size: 30\nsvg.fonttype: none\naxes.facecolor: red\naxes.formatter.use_locale: True\n"
)
DRAW = """
import sys
sys.path.insert(0, sys.argv[1])
import stages
from tests.report.test_figures import CONFUSION, svg, confusion_matrix
from tests.report.test_theory_figures import nodes, sigmoid_graph
print(svg(confusion_matrix("run", CONFUSION, 0.1, "fashion-mnist")), svg(sigmoid_graph(nodes(1.0), 1.0)))
"""


def drawn_with(folder: Path, **environment: str) -> str:
    """Draw two figures in a process of their own, from a folder."""
    folder.mkdir()
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("MPL", "MATPLOTLIB", "NETWORKX"))
    }
    done = subprocess.run(
        [sys.executable, "-c", DRAW, str(ROOT)],
        cwd=folder,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
def test_no_setting_of_the_user_changes_a_figure(tmp_path: Path) -> None:
    expected = drawn_with(tmp_path / "plain")
    home = tmp_path / "home"
    (home / "stylelib").mkdir(parents=True)
    (home / "matplotlibrc").write_text(HOSTILE, encoding="utf-8")
    changed = drawn_with(
        tmp_path / "changed",
        MPLCONFIGDIR=str(home),
        MATPLOTLIBRC=str(home),
        MPLBACKEND="nonsense",
        NETWORKX_BACKEND_PRIORITY="nonsense",
        PANDAS_FUTURE_INFER_STRING="0",
        SOURCE_DATE_EPOCH="1",
        LC_ALL="de_DE.UTF-8",
    )
    assert changed == expected


def test_a_setting_in_the_folder_changes_no_figure() -> None:
    first = svg(confusion_matrix("run", CONFUSION, 0.1, "drawn"))
    mpl.rcParams.update({"font.family": ["serif"], "font.size": 30, "axes.facecolor": "red", "axes.linewidth": 5})
    assert svg(confusion_matrix("run", CONFUSION, 0.1, "drawn")) == first
