"""The gradients of the losses are right, and the difference-of-logits ratio ignores scale and shift."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from descent.attacks.losses import dlr, loss_gradient
from descent.io.run_schema import MLP
from descent.models.networks import build_model

IMAGES, SEED = (1, 28, 28), 0


def test_the_gradient_is_the_finite_difference(rng: torch.Generator) -> None:
    model = build_model(MLP(kind="mlp", hidden=[5]), IMAGES, 10, SEED).double().eval()
    x = torch.rand(3, *IMAGES, generator=rng, dtype=torch.float64)
    y, step = torch.tensor([1, 2, 3]), 1e-6
    gradient = loss_gradient(model, x, y)
    torch.testing.assert_close(gradient[:1], loss_gradient(model, x[:1], y[:1]))  # whatever the batch
    for pixel in (0, 100, 400, 783):
        nudge = torch.zeros(784, dtype=torch.float64)
        nudge[pixel] = step
        up, down = (F.cross_entropy(model(x + sign * nudge.view(IMAGES)), y, reduction="none") for sign in (1, -1))
        torch.testing.assert_close(gradient.flatten(1)[:, pixel], (up - down) / (2 * step), rtol=1e-5, atol=1e-8)


@given(scale=st.floats(0.01, 1000), shift=st.floats(-100, 100), seed=st.integers(0, 2**32 - 1))
def test_the_logits_ratio_ignores_scale_and_shift_and_tells_errors(scale: float, shift: float, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits, y = torch.randn(8, 5, generator=rng, dtype=torch.float64), torch.randint(5, (8,), generator=rng)
    ratio = dlr(logits, y)
    torch.testing.assert_close(dlr(scale * logits + shift, y), ratio, rtol=1e-6, atol=1e-6)
    assert ((ratio > 0) == (logits.argmax(dim=1) != y)).all()
    assert ratio.min() >= -1 - 1e-9
    with pytest.raises(ValueError, match="needs three classes; here are 2"):
        dlr(logits[:, :2], y.clamp(max=1))
