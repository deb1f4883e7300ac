"""Gradient descent on linear regression does what its eigenvalues say."""

import pytest
import torch

from descent.io.datasets import Split
from descent.io.schema import LearningRate
from descent.theory.learning_rate import closed_form_error, edges, learning_rate_evidence, worst_batch_threshold
from descent.training.least_squares import hessian, stability_threshold


@pytest.fixture
def data(rng: torch.Generator) -> Split:
    x = torch.randn(40, 3, generator=rng).double() * torch.tensor([1.0, 2.0, 0.5])
    return Split(x, x.sum(dim=1, keepdim=True) + torch.randn(40, 1, generator=rng).double() + 3)


def test_full_batch_descent_follows_the_closed_form(data: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    for rate in (0.1, 0.9, 1.0, 1.1):
        assert closed_form_error(data, rate, steps=30) < 1e-10
    monkeypatch.setattr("descent.theory.learning_rate.hessian", lambda x: 1.001 * hessian(x))
    assert closed_form_error(data, 0.5, steps=30) > 1e-5  # another path is noticed


def test_below_the_threshold_of_the_worst_batch_no_order_diverges(data: Split) -> None:
    assert worst_batch_threshold(data, batch_size=40, epochs=2, seed=0) == pytest.approx(1)
    single = min(stability_threshold(data.x[i : i + 1]) for i in range(40)) / stability_threshold(data.x)
    assert worst_batch_threshold(data, batch_size=1, epochs=1, seed=0) == pytest.approx(single)
    rate, start = 0.99 * worst_batch_threshold(data, batch_size=4, epochs=20, seed=0), data.y.square().mean().item()
    shown = learning_rate_evidence(data, LearningRate(rates=[rate, 50.0], batch_size=4, epochs=20), seed=0)
    _, hopeless, below, as_hopeless = (row["loss"] for row in shown.curves["learning-rate"])
    assert below < start  # type: ignore[operator]
    assert hopeless == as_hopeless == 1e9 * start  # stopped


def test_edges_lie_around_the_first_loss_above_the_start() -> None:
    assert edges([0.1, 0.5, 1.5, 2.0], [1.0, 2.0, 9.0, 8.0], start=5.0) == (0.5, 1.5)
    assert edges([2.0, 0.5], [9.0, 1.0], start=5.0) == (0.5, 2.0)
    assert edges([0.1, 0.5], [1.0, 2.0], start=5.0) == (0.5, None)
    assert edges([1.5], [9.0], start=5.0) == (None, 1.5)


def test_the_evidence_has_a_row_for_each_rate_and_kind_of_batch(data: Split) -> None:
    shown = learning_rate_evidence(data, LearningRate(rates=[0.5, 1.5], batch_size=8, epochs=30), seed=0)
    kinds = [(row["series"], row["learning_rate_over_threshold"]) for row in shown.curves["learning-rate"]]
    assert kinds == [(series, rate) for series in ("all examples at once", "batches of 8") for rate in (0.5, 1.5)]
    assert (shown.numbers["full_batch_converges_at"], shown.numbers["full_batch_diverges_at"]) == (0.5, 1.5)
    assert shown.numbers["loss_at_start"] == pytest.approx(data.y.square().mean().item())
