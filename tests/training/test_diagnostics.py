"""What is said of a curve is so."""

import pytest
import torch

from descent.io.datasets import Dataset, Split
from descent.io.schema import Params
from descent.training.diagnostics import describe, largest_deviation, overfitting_epoch, smooth, summarise
from descent.training.least_squares import least_squares_loss, stability_threshold


def curve(test: list[float], train: list[float] | None = None) -> list[dict[str, float]]:
    """Return the rows of a curve with these losses; by default the training loss falls."""
    losses = zip(train or [1 / (1 + epoch) for epoch in range(len(test))], test, strict=True)
    return [{"epoch": epoch, "train_loss": a, "test_loss": b} for epoch, (a, b) in enumerate(losses, start=1)]


VALLEY = [(epoch - 8) ** 2 / 100 + 1 for epoch in range(1, 21)]
LUCKY = [*VALLEY[:13], 0.95, *VALLEY[14:]]


@pytest.mark.parametrize(
    ("test", "train", "window", "epochs"),
    [
        (VALLEY, None, 1, [8]),
        (VALLEY, None, 5, [8]),
        (LUCKY, None, 1, [14]),
        (LUCKY, None, 5, [7, 8, 9]),  # one lucky epoch does not decide
        ([1 / epoch for epoch in range(1, 21)], None, 1, [None]),  # it never rises
        ([1.0, 0.5] + [0.51, 0.5] * 9, None, 1, [None]),  # it hovers
        ([1.0, 0.5, 0.6, 0.7], [1.0, 0.5, 0.6, 0.7], 1, [None]),  # the training loss rises as well
    ],
)
def test_overfitting_sets_in_where_the_smoothed_test_loss_is_lowest(
    test: list[float], train: list[float] | None, window: int, epochs: list[int | None]
) -> None:
    assert overfitting_epoch(curve(test, train), window, rise=0.1) in epochs


def test_a_summary_has_the_last_and_the_best_of_each_column() -> None:
    history = curve([3.0, 2.5, 2.7], train=[2.0, 1.0, 1.5])
    for row, accuracy in zip(history, (0.7, 0.9, 0.8), strict=True):
        row["test_accuracy"] = accuracy
    expected: dict[str, object] = {"epochs": 3, "best_epoch": 2, "share_of_epochs_with_rising_train_loss": 0.5}
    expected |= {"final_train_loss": 1.5, "final_test_loss": 2.7, "final_test_accuracy": 0.8}
    expected |= {"best_train_loss": 1.0, "best_test_loss": 2.5, "best_test_accuracy": 0.9}
    assert summarise(history) == expected
    assert summarise(history[:1])["share_of_epochs_with_rising_train_loss"] == 0
    assert smooth([1.0, 2.0, 6.0, 8.0], 3) == [1.5, 3.0, 16 / 3, 7.0]  # a centred mean, shorter at the ends


@pytest.fixture
def data(rng: torch.Generator) -> Dataset:
    part = Split(torch.randn(30, 4, generator=rng).double(), torch.randn(30, 1, generator=rng).double())
    return Dataset(part, part)


def test_a_regression_is_described_by_its_distance_from_the_optimum(params: Params, data: Dataset) -> None:
    run, optimum = params.train["regression-lr-1e-2"], least_squares_loss(*data.train)
    history = curve([optimum * 2] * 4, train=[optimum * factor for factor in (9, 3, 1.2, 1.1)])
    metrics = describe(run, history, data, params.evaluation)
    assert metrics["final_excess_over_least_squares"] == pytest.approx(0.1)
    assert metrics["hovering_excess_over_least_squares"] == pytest.approx(0.15)
    assert metrics["learning_rate_over_threshold"] == pytest.approx(0.01 / stability_threshold(data.train.x, 16))
    assert metrics["test_r2"] == pytest.approx(1 - 2 * optimum / data.test.y.numpy().var())
    large = run.model_copy(update={"batch_size": 442})  # more than there are examples
    threshold = describe(large, history, data, params.evaluation)["stability_threshold"]
    assert threshold == pytest.approx(stability_threshold(data.train.x, 30))
    # Of Nesterov momentum on a quadratic (Lessard, Recht & Packard 2016, §3.2) with μ = 0.9: (2 + 2μ) / (1 + 2μ) / λ.
    fast = describe(run.model_copy(update={"momentum": 0.9}), history, data, params.evaluation)
    assert fast["stability_threshold"] == pytest.approx(stability_threshold(data.train.x, 16) * 1.9 / 2.8)
    mlp = describe(params.theory.parametrised_relu.run, history, data, params.evaluation)
    assert "test_r2" in mlp
    assert not [name for name in mlp if "least_squares" in name or "threshold" in name]


def test_a_classifier_is_described_by_its_gap_and_its_late_deviation(params: Params, data: Dataset) -> None:
    accuracies = {"train_accuracy": 0.98, "test_accuracy": 0.88}
    history = [row | accuracies for row in curve([9.0, 9.0, 1.0, 1.3], train=[2.0, 2.0, 2.0, 1.0])]
    metrics = describe(params.train["mlp"], history, data, params.evaluation)
    assert metrics["generalization_gap_loss"] == pytest.approx(0.3)
    assert metrics["generalization_gap_accuracy"] == pytest.approx(0.1)
    assert metrics["overfitting_epoch"] is None
    assert metrics["second_half_test_loss_deviation"] == pytest.approx(0.15 / 1.15)
    assert largest_deviation([0.0, 0.0]) == 0
