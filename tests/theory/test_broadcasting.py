"""The mean of the squares of (n, 1) − (n,) is another loss, and ours refuses it."""

import pytest
import torch

from descent.io.datasets import Split
from descent.io.schema import Broadcasting
from descent.models.evaluation import squared_error
from descent.theory.broadcasting import broadcasting_evidence, descend, refused, slipped_error
from descent.training.least_squares import least_squares_loss, stability_threshold, with_bias


@pytest.fixture
def data(rng: torch.Generator) -> Split:
    x = torch.randn(50, 3, generator=rng).double()
    return Split(x, 5 * x.sum(dim=1, keepdim=True) + torch.randn(50, 1, generator=rng).double() + 7)


def test_the_slipped_loss_is_the_variance_and_the_distance_from_the_mean(data: Split, rng: torch.Generator) -> None:
    prediction = torch.randn(50, 1, generator=rng).double()
    y = data.y[:, 0]
    expected = y.var(correction=0) + (prediction - y.mean()).square().mean()
    torch.testing.assert_close(slipped_error(prediction, y), expected, rtol=1e-12, atol=0)


def test_it_cannot_go_below_the_variance_however_much_x_says(data: Split) -> None:
    shown = broadcasting_evidence(data, Broadcasting(rate=0.2, steps=300), seed=0)
    variance = data.y.var(correction=0).item()
    assert least_squares_loss(*data) < variance / 50
    assert shown.numbers["variance"] == pytest.approx(variance)
    assert shown.numbers["slipped_loss"] == pytest.approx(variance, rel=1e-6)
    assert shown.numbers["slipped_loss_on_shuffled_targets"] == pytest.approx(variance, rel=1e-6)
    assert shown.numbers["right_loss"] == pytest.approx(least_squares_loss(*data), rel=1e-6)
    assert shown.numbers["refused"] is True


def test_our_loss_refuses_the_shapes(data: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(data)
    monkeypatch.setattr("descent.theory.broadcasting.squared_error", slipped_error)
    assert not refused(data)


def test_descent_takes_the_steps_of_the_gradient(data: Split) -> None:
    design, rate = with_bias(data.x), 0.1 * stability_threshold(data.x)
    gradient = -2 * design.T @ data.y / 50
    losses = descend(design, data.y, squared_error, rate, steps=1)
    assert losses == pytest.approx(
        [data.y.square().mean().item(), (design @ (-rate * gradient) - data.y).square().mean().item()]
    )
