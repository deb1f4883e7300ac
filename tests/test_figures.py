"""Figures say of which data they are, and are the same bytes each time."""

from pathlib import Path
from typing import Any

import matplotlib.image as mpimg
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from descent.figures import bag, gallery, regression, robustness, save_figure, training

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
ATTACK = pd.DataFrame({"epsilon": [0.0, 0.1], "accuracy": [0.9, 0.2]})


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
        "training": training("ConvNet", {"run": CLASSIFIER, "calm": CLASSIFIER}, metrics, source),
        "robustness": robustness({"run": ATTACK}, source),
        "gallery": gallery("run", pictures(3), source),
        "bag": bag({"run": pictures(1)}, source),
    }


def test_every_figure_of_the_stand_in_says_so() -> None:
    for name, figure in of("drawn").items():
        assert "DRAWN STAND-IN, NOT FASHION-MNIST" in words(figure), name
    for name, figure in of("fashion-mnist").items():
        assert "data: Fashion-MNIST" in words(figure), name
        assert "DRAWN" not in words(figure), name


def test_overfitting_is_marked_where_it_sets_in_and_nowhere_else() -> None:
    figure = of("fashion-mnist")["training"]
    assert words(figure).count("overfits") == 1
    assert "run overfits\n from epoch 2" in words(figure)


def test_the_regression_figure_shows_optimum_and_threshold() -> None:
    metrics = {"a": {"least_squares_loss": 90.0, "stability_threshold": 0.0153}}
    figure = regression({"a": REGRESSION}, metrics, {"a": 0.01})
    assert "2/λmax =\n 0.0153" in words(figure)
    left, right = figure.axes
    assert all(90.0 in [line.get_ydata()[0] for line in axes.lines] for axes in (left, right))  # type: ignore[index]
    assert 0.0153 in [line.get_xdata()[0] for line in right.lines]  # type: ignore[index]


def test_no_run_is_left_out_however_many_there_are() -> None:
    names = [f"run-{number}" for number in range(9)]
    drawn = robustness(dict.fromkeys(names, ATTACK), "drawn")
    assert [line.get_label() for line in drawn.axes[0].lines[:9]] == names
    drawn = training(
        "MLP", dict.fromkeys(names, CLASSIFIER), dict.fromkeys(names, {"overfitting_epoch": None}), "drawn"
    )
    assert len(drawn.axes[0].lines) == 18


def test_pictures_are_titled_with_class_and_probability() -> None:
    text = words(of("fashion-mnist")["gallery"])
    assert "T-shirt/top\n1.000" in text
    assert "Ankle boot\n1.000" in text
    assert "ε = 0.100" in text


def test_a_missing_bag_or_flip_is_said_in_words() -> None:
    assert "no bag does so" in words(bag({"run": pictures(0)}, "drawn"))
    assert "no image is flipped" in words(gallery("run", pictures(0), "drawn"))


@pytest.mark.parametrize("name", ["training", "bag"])
def test_the_bytes_are_the_same_each_time(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    save_figure(tmp_path / "a.png", of("drawn")[name])
    torch.manual_seed(0)
    save_figure(tmp_path / "b.png", of("drawn")[name])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert mpimg.imread(tmp_path / "a.png").shape[1] >= 1100
