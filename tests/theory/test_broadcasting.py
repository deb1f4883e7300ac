"""The mean of the squares of (n, 1) − (n,) is another loss, and ours refuses it."""

import pytest
import torch

from descent.io.datasets import Split
from descent.io.schema import Broadcasting
from descent.models.evaluation import squared_error
from descent.theory.broadcasting import broadcasting_evidence, descend, slipped_error
from descent.training.least_squares import least_squares_loss, stability_threshold, with_bias


@pytest.fixture
def data(rng: torch.Generator) -> Split:
    x = torch.randn(50, 3, generator=rng).double()
    return Split(x, 5 * x.sum(dim=1, keepdim=True) + torch.randn(50, 1, generator=rng).double() + 7)


def test_the_slipped_loss_is_the_variance_and_the_distance_from_the_mean(data: Split, rng: torch.Generator) -> None:
    prediction, y = torch.randn(50, 1, generator=rng).double(), data.y[:, 0]
    expected = y.var(correction=0) + (prediction - y.mean()).square().mean()
    torch.testing.assert_close(slipped_error(prediction, y), expected, rtol=1e-12, atol=0)


def test_it_cannot_go_below_the_variance_however_much_x_says(data: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, variance, optimum = Broadcasting(rate=0.2, steps=300), data.y.var(correction=0), least_squares_loss(*data)
    assert optimum < variance / 50
    expected = dict.fromkeys(("variance", "slipped_loss", "slipped_loss_on_shuffled_targets"), variance.item())
    expected |= {"right_loss": optimum, "least_squares_loss": optimum, "refused": True}
    assert broadcasting_evidence(data, settings, seed=0).numbers == pytest.approx(expected, rel=1e-6)
    monkeypatch.setattr("descent.theory.broadcasting.squared_error", lambda p, y: (p - y).square().mean())
    assert broadcasting_evidence(data, settings, seed=0).numbers["refused"] is False


def test_descent_takes_the_steps_of_the_gradient(data: Split) -> None:
    design, rate = with_bias(data.x), 0.1 * stability_threshold(data.x)
    step = rate * 2 / 50 * design.T @ data.y
    losses = [data.y.square().mean().item(), (design @ step - data.y).square().mean().item()]
    assert descend(design, data.y, squared_error, rate, steps=1) == pytest.approx(losses)
