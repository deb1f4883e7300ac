"""Accuracy against ε, its interval and images without a gradient are counted correctly."""

import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from descent.io.datasets import Split
from descent.robustness.sweep import directions, sweep, wilson, zero_gradient_share
from tests.robustness.known import DATA, DIRECTION, EPSILONS, Brightness, grey


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_the_direction_raises_the_loss_whatever_the_batch(batch_size: int) -> None:
    # The misclassified image is moved further up, away from its class.
    assert torch.equal(directions(Brightness(), DATA, batch_size), grey(1.0, 1.0, -1.0, 1.0))


def test_the_sweep_counts_all_images_and_apart_those_that_were_correct(rng: torch.Generator) -> None:
    rows, predicted, confidence = sweep(Brightness(), DATA, DIRECTION, EPSILONS, 3, rng)
    assert [row["epsilon"] for row in rows] == EPSILONS
    assert [row["accuracy"] for row in rows] == [0.75, 0.5, 0.25, 0.0]
    assert [row["success_rate"] for row in rows] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert predicted.tolist() == [[0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 0, 1], [1, 1, 0, 1]]
    sure = torch.sigmoid(20 * torch.tensor([0.2, 0.05, 0.1, 0.4])).mean().item()
    assert rows[0]["mean_confidence"] == pytest.approx(sure)
    assert confidence.mean(dim=1).tolist() == pytest.approx([row["mean_confidence"] for row in rows])
    assert rows[0]["noise_accuracy"] == rows[0]["accuracy"]
    assert all(row["low"] < row["accuracy"] < row["high"] for row in rows[:3])


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (837, 1000), (1, 10000)])
def test_the_interval_is_scipys(successes: int, n: int) -> None:
    theirs = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_an_image_without_any_gradient_is_counted() -> None:
    layer = nn.Linear(4, 2)
    layer.weight.data = torch.tensor([[1e4] * 4, [-1e4] * 4])
    data = Split(grey(0.9, 0.8), torch.tensor([0, 1]))  # sure and right; sure and wrong
    assert zero_gradient_share(directions(nn.Sequential(nn.Flatten(), layer), data, 2)) == 0.5
