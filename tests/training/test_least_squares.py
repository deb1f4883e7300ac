"""Linear regression is solved as others solve it."""

import numpy as np
import pytest
import torch

from descent.training.least_squares import least_squares_loss, stability_threshold


def test_the_least_squares_loss_is_numpys(rng: torch.Generator) -> None:
    x, y = torch.randn(30, 4, generator=rng).double(), torch.randn(30, 1, generator=rng).double()
    design = np.column_stack([x.numpy(), np.ones(30)])
    _, residual, _, _ = np.linalg.lstsq(design, y.numpy(), rcond=None)
    assert least_squares_loss(x, y) == pytest.approx(residual.item() / 30)


def test_the_stability_threshold_comes_from_the_largest_eigenvalue_that_autograd_finds(rng: torch.Generator) -> None:
    x = torch.randn(30, 4, generator=rng).double()

    def batch_loss(w: torch.Tensor) -> torch.Tensor:
        return 16 * (x @ w[:4] + w[4]).square().mean()  # summed over an average batch of 16

    largest = torch.linalg.eigvalsh(torch.autograd.functional.hessian(batch_loss, torch.zeros(5).double()))[-1]
    assert stability_threshold(x, batch_size=16) == pytest.approx(2 / largest.item())
