"""Figures say of which data they are, and are the same bytes each time."""

from pathlib import Path
from typing import Any

import matplotlib.image as mpimg
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from descent.drawing import save_pixels, svg
from descent.figures import (
    bag,
    confusion,
    flips,
    gallery,
    hovering,
    overlay,
    regression,
    robustness,
    sheet,
    training,
    transfer,
)
from descent.image_sets import FASHION_CLASSES as CLASSES

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


def pictures(shown: int) -> dict[str, torch.Tensor]:
    """Make up what an attack hands on."""
    one = {
        "clean": torch.rand(shown, 1, 28, 28),
        "direction": torch.rand(shown, 1, 28, 28).sub(0.5).sign(),
        "adversarial": torch.rand(shown, 1, 28, 28),
        "epsilon": torch.full((shown,), 0.1),
        "label": torch.arange(shown),
        "clean_probabilities": torch.eye(10)[:shown],
        "adversarial_probabilities": torch.eye(10).flip(0)[:shown],
    }
    return {f"{group}.{name}": tensor for group in ("gallery", "bag") for name, tensor in one.items()}


def words(figure: Figure) -> str:
    """Return every text of a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))  # type: ignore[attr-defined]


def of(source: str) -> dict[str, Figure]:
    """Draw each figure of images once."""
    metrics: dict[str, dict[str, Any]] = {"run": {"overfitting_epoch": 2}, "calm": {"overfitting_epoch": None}}
    return {
        "loss": training("ConvNet", "loss", {"run": CLASSIFIER, "calm": CLASSIFIER}, metrics, source),
        "accuracy": training("ConvNet", "accuracy", {"run": CLASSIFIER, "calm": CLASSIFIER}, metrics, source),
        "robustness": robustness("Accuracy", {"run": ATTACK}, 10, source),
        "flips": flips({"run": FLIPS, "other": FLIPS}, CLASSES, source),
        "transfer": transfer(TRANSFER, 0.1, source),
        "confusion": confusion("run", CONFUSION, 0.1, source),
        "gallery": gallery("run", pictures(3), CLASSES, source),
        "bag": bag("bag", "bag", {"run": pictures(1)}, CLASSES, source),
    }


def test_every_figure_of_the_stand_in_says_so() -> None:
    for name, figure in of("drawn").items():
        assert "DRAWN STAND-IN, NOT FASHION-MNIST" in words(figure), name
    for name, figure in of("fashion-mnist").items():
        assert "data: Fashion-MNIST" in words(figure), name
        assert "DRAWN" not in words(figure), name


def test_overfitting_is_marked_where_it_sets_in_and_nowhere_else() -> None:
    figure = of("fashion-mnist")["loss"]
    assert words(figure).count("overfits") == 1
    assert "run overfits from epoch 2" in words(figure)


def test_the_regression_figures_show_optimum_and_threshold() -> None:
    metrics = {"a": {"least_squares_loss": 90.0, "stability_threshold": 0.0153}}
    curves, rates = {"a": REGRESSION}, {"a": 0.01}
    for draw in (regression, hovering):
        (axes,) = draw(curves, metrics, rates).axes
        assert 90.0 in [line.get_ydata()[0] for line in axes.lines]  # type: ignore[index]
    figure = hovering(curves, metrics, rates)
    assert "2/λmax =\n 0.0153" in words(figure)
    assert 0.0153 in [line.get_xdata()[0] for line in figure.axes[0].lines]  # type: ignore[index]


def test_no_run_is_left_out_however_many_there_are() -> None:
    names = [f"run-{number}" for number in range(9)]
    drawn = robustness("Accuracy", dict.fromkeys(names, ATTACK), 10, "drawn")
    assert [line.get_label() for line in drawn.axes[0].lines[:9]] == names
    drawn = training(
        "MLP", "loss", dict.fromkeys(names, CLASSIFIER), dict.fromkeys(names, {"overfitting_epoch": None}), "drawn"
    )
    assert len(drawn.axes[0].lines) == 18


def test_the_transfer_table_has_the_source_in_rows_and_the_target_in_columns() -> None:
    lopsided = TRANSFER.assign(accuracy=[0.1, 0.2, 0.3, 0.4])
    (axes,) = transfer(lopsided, 0.1, "drawn").axes
    shown = {(text.xy[1], text.xy[0]): text.get_text() for text in axes.texts if isinstance(text, Annotation)}
    assert shown == {(0, 0): "10.0%", (0, 1): "20.0%", (1, 0): "30.0%", (1, 1): "40.0%"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mlp", "net"]


def test_flips_are_drawn_for_the_classes_that_have_them() -> None:
    (axes,) = flips({"run": FLIPS.head(3)}, CLASSES, "drawn").axes  # the upper quantiles are not reached by any ε
    (medians,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert [x for x in np.asarray(medians.get_xdata()) if x == x] == [0.1]


def test_pictures_are_titled_with_class_and_probability() -> None:
    text = words(of("fashion-mnist")["gallery"])
    assert "T-shirt/top\n1.000" in text
    assert "Ankle boot\n1.000" in text
    assert "ε = 0.100" in text


def test_a_missing_bag_or_flip_is_said_in_words() -> None:
    assert "no bag does so" in words(bag("bag", "bag", {"run": pictures(0)}, CLASSES, "drawn"))
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
    pixels, signs = sheet({"slider.clean": clean, "slider.direction": direction, "slider.epsilon": epsilon})
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
