"""The gradient that is written out is autograd's, to the last bit, and is taken only where it is right."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from descent.io.run_schema import MLP, ConvNet, Linear, Model
from descent.models.evaluation import squared_error
from descent.models.networks import build_model
from descent.training.gradients import cross_entropy_gradient, dense_layers, gradient_of


def autograd(model: nn.Module, loss: Callable[..., Tensor], reduction: str, x: Tensor, y: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss(model(x), y, reduction=reduction), list(model.parameters())))


REDUCTIONS, DTYPES = st.sampled_from(["mean", "sum"]), st.sampled_from([torch.float32, torch.float64])
SIZES = st.integers(2, 130)  # of one image through a layer of one unit, some processors round otherwise


@given(st.lists(st.integers(1, 40), max_size=3), SIZES, REDUCTIONS, DTYPES, st.integers(0, 1000))
def test_the_gradients_are_autograds(hidden: list[int], n: int, reduction: str, dtype: torch.dtype, seed: int) -> None:
    model, rng = build_model(MLP(kind="mlp", hidden=hidden), (1, 5, 6), 10, seed).to(dtype), torch.Generator()
    x = 10 * torch.randn(n, 1, 5, 6, generator=rng.manual_seed(seed), dtype=dtype)
    y = torch.randint(10, (n,), generator=rng)
    ours = gradient_of(model, F.cross_entropy, reduction)(x, y)
    for own, other in zip(ours, autograd(model, F.cross_entropy, reduction, x, y), strict=True):
        assert torch.equal(own, other)
        assert own.stride() == other.stride()


@pytest.mark.parametrize(
    ("spec", "loss", "written_out"),
    [
        (MLP(kind="mlp", hidden=[100]), F.cross_entropy, True),  # that of the write-up
        (Linear(kind="linear"), F.cross_entropy, True),
        (ConvNet(kind="convnet", channels=[2], hidden=[5]), F.cross_entropy, False),
        (MLP(kind="mlp", hidden=[5]), squared_error, False),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_every_model_gets_its_gradient_and_dense_ones_the_written_out(
    spec: Model, loss: Callable[..., Tensor], written_out: bool, reduction: str, rng: torch.Generator
) -> None:
    model, x = build_model(spec, (1, 28, 28), 10, 0), torch.rand(64, 1, 28, 28, generator=rng)
    y = torch.randint(10, (64,), generator=rng) if loss is F.cross_entropy else torch.rand(64, 10, generator=rng)
    with patch("descent.training.gradients.cross_entropy_gradient", wraps=cross_entropy_gradient) as ours:
        gradient = gradient_of(model, loss, reduction)
        for _ in range(2):  # two batches do not add up
            for own, other in zip(gradient(x, y), autograd(model, loss, reduction, x, y), strict=True):
                assert torch.equal(own, other)
    assert ours.called == written_out


FLAT, TWO = nn.Flatten(), nn.Linear(4, 2)


@pytest.mark.parametrize(
    "layers",
    [[TWO], [FLAT, TWO, TWO], [FLAT, TWO, nn.ReLU()], [FLAT, TWO, nn.Tanh(), TWO], [FLAT, nn.Linear(4, 2, bias=False)]],
)
def test_no_other_network_passes_for_a_dense_one(layers: list[nn.Module]) -> None:
    assert dense_layers(nn.Sequential(*layers)) == []
