"""Random perturbations are uniform in the ball of each norm."""

import pytest
import torch

from descent.attacks.norms import L2, LINF


def test_a_random_start_is_uniform_in_the_ball(rng: torch.Generator) -> None:
    like = torch.zeros(4000, 2)
    square = LINF.random(like, 0.5, rng)
    assert square.abs().max() <= 0.5
    assert square.var(dim=0).tolist() == pytest.approx([1 / 12] * 2, rel=0.1)
    disc = L2.random(like, 0.5, rng).norm(dim=1)
    assert disc.max() <= 0.5
    assert (disc <= 0.25).float().mean().item() == pytest.approx(0.25, abs=0.03)  # a quarter of the area
