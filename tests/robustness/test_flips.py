"""Bisection finds the smallest ε that flips an image, to the tolerance or to the last float32."""

import signal

import pytest
import torch
from torch import Tensor

from descent.attacks.gradient_sign import moved
from descent.robustness.flips import Flips, quantiles, smallest_flips
from descent.robustness.sweep import sweep
from descent.sources.published import FASHION_CLASSES as CLASSES
from tests.robustness.known import DATA, DIRECTION, EPSILONS, Brightness


def flips_of(epsilons: list[float], tolerance: float) -> Flips:
    _, predicted, _ = sweep(Brightness(), DATA, DIRECTION, epsilons, 3, torch.Generator().manual_seed(0))
    return smallest_flips(Brightness(), DATA, DIRECTION, predicted != DATA.y, epsilons, tolerance, 2)


def flipped(epsilon: Tensor) -> Tensor:
    logits: Tensor = Brightness()(moved(DATA.x, DIRECTION * epsilon.view(-1, 1, 1, 1), 1.0))
    return logits.argmax(dim=1) != DATA.y


@pytest.mark.parametrize("tolerance", [0.01, 1e-4])
def test_the_smallest_flip_is_found_to_the_tolerance(tolerance: float) -> None:
    flips = flips_of(EPSILONS, tolerance)
    beyond = flips.epsilon - torch.tensor([0.2, 0.05, 0.1, 0.0])
    assert ((beyond >= -1e-6) & (beyond <= tolerance + 1e-6)).all()
    assert flips.becomes.tolist() == [1, 1, 0, 1]
    assert flips.confidence[:3].tolist() == pytest.approx([0.5] * 3, abs=20 * tolerance)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-8, 1e-12, 1e-45, 1e-300])
def test_bisection_ends_where_float32_has_no_value_between(tolerance: float) -> None:
    signal.alarm(60)  # an endless loop is killed
    flips = flips_of(EPSILONS, tolerance)
    signal.alarm(0)
    assert flipped(flips.epsilon).all()
    assert flipped(flips.epsilon - max(tolerance, 1e-7)).tolist() == [False] * 3 + [True]  # the last is misclassified


def test_what_no_epsilon_flips_is_infinite_and_stays_what_it_is() -> None:
    flips = flips_of(EPSILONS[:2], 1e-3)
    assert flips.epsilon.isinf().tolist() == [True, False, True, False]
    assert flips.becomes[[0, 2]].tolist() == [0, 1]


def test_quantiles_leave_out_images_that_never_flip() -> None:
    rows = quantiles(torch.tensor([0.1, 0.2, 0.3, torch.inf, torch.inf]), torch.zeros(5).long(), CLASSES)
    assert [(row["series"], row["quantile"]) for row in rows] == [(CLASSES[0], share) for share in (0.05, 0.25, 0.5)]
    assert [row["epsilon"] for row in rows] == pytest.approx([0.1, 0.2, 0.3])
