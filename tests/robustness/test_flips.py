"""Bisection finds the smallest ε that flips an image, to the tolerance or to the last float32."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
import torch

from descent.attacks.gradient_sign import moved
from descent.robustness.flips import brackets, quantiles, smallest_flips
from descent.robustness.sweep import sweep
from descent.sources.published import FASHION_CLASSES as CLASSES
from tests.robustness.known import DATA, DIRECTION, EPSILONS, Brightness


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def expired(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("tolerance", [0.01, 1e-4])
def test_the_smallest_flip_is_found_to_the_tolerance(tolerance: float, rng: torch.Generator) -> None:
    _, predicted, _ = sweep(Brightness(), DATA, DIRECTION, EPSILONS, 3, rng)
    flips = smallest_flips(Brightness(), DATA, DIRECTION, brackets(predicted != DATA.y, EPSILONS), tolerance, 2)

    expected = torch.tensor([0.2, 0.05, 0.1, 0.0])
    assert ((flips.epsilon - expected) >= -1e-6).all()
    assert ((flips.epsilon - expected) <= tolerance + 1e-6).all()
    assert flips.becomes.tolist() == [1, 1, 0, 1]
    assert flips.confidence[:3].tolist() == pytest.approx([0.5] * 3, abs=20 * tolerance)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-8, 1e-12, 1e-45, 1e-300])
def test_bisection_ends_where_float32_has_no_value_between(tolerance: float, rng: torch.Generator) -> None:
    _, predicted, _ = sweep(Brightness(), DATA, DIRECTION, EPSILONS, 3, rng)
    with time_limit(10):
        flips = smallest_flips(Brightness(), DATA, DIRECTION, brackets(predicted != DATA.y, EPSILONS), tolerance, 2)
    for epsilon, flipped in ((flips.epsilon, True), (flips.epsilon - max(tolerance, 1e-7), False)):
        images = moved(DATA.x, DIRECTION * epsilon.view(-1, 1, 1, 1), 1.0)
        wrong = Brightness()(images).argmax(dim=1) != DATA.y
        assert wrong.tolist() == [flipped] * 3 + [True]  # the last is misclassified unmoved


@pytest.mark.parametrize("tolerance", [0.1, 0.01, 1e-4, 1e-6])
def test_at_larger_tolerances_bisection_halves_until_the_widest_interval_is_small_enough(
    tolerance: float, rng: torch.Generator
) -> None:
    epsilons = [0.0, 0.005, 0.06, 0.3]
    _, predicted, _ = sweep(Brightness(), DATA, DIRECTION, epsilons, 3, rng)
    flips = smallest_flips(Brightness(), DATA, DIRECTION, brackets(predicted != DATA.y, epsilons), tolerance, 2)

    low, high = torch.tensor([0.06, 0.005, 0.06]), torch.tensor([0.3, 0.06, 0.3])
    while (high - low).max() > tolerance:
        middle = (low + high) / 2
        images = moved(DATA.x[:3], DIRECTION[:3] * middle.view(-1, 1, 1, 1), 1.0)
        flipped = Brightness()(images).argmax(dim=1) != DATA.y[:3]
        low, high = torch.where(flipped, low, middle), torch.where(flipped, middle, high)
    assert torch.equal(flips.epsilon[:3], high)


def test_what_no_epsilon_flips_is_infinite_and_stays_what_it_is(rng: torch.Generator) -> None:
    _, predicted, _ = sweep(Brightness(), DATA, DIRECTION, EPSILONS[:2], 3, rng)
    flips = smallest_flips(Brightness(), DATA, DIRECTION, brackets(predicted != DATA.y, EPSILONS[:2]), 1e-3, 2)
    assert flips.epsilon.isinf().tolist() == [True, False, True, False]
    assert flips.becomes[[0, 2]].tolist() == [0, 1]


def test_quantiles_leave_out_images_that_never_flip() -> None:
    rows = quantiles(torch.tensor([0.1, 0.2, 0.3, torch.inf, torch.inf]), torch.zeros(5).long(), CLASSES)
    assert [(row["series"], row["quantile"]) for row in rows] == [(CLASSES[0], share) for share in (0.05, 0.25, 0.5)]
    assert [row["epsilon"] for row in rows] == pytest.approx([0.1, 0.2, 0.3])
