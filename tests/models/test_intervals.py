"""Interval bounds hold for every image between their ends, and are exact where they can be."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from descent.io.run_schema import MLP, Linear, Model
from descent.models.intervals import ball, interval_margins
from descent.models.networks import build_model
from tests.models.known import convnet, strided

IMAGE = (1, 12, 12)
SPECS: list[Model] = [MLP(kind="mlp", hidden=[9, 7]), convnet(3, hidden=6), strided(), strided(batch_norm=True)]


def made(spec: Model, seed: int) -> nn.Sequential:
    """Return a model, in evaluation mode, whose statistics of normalisation are not those of the start."""
    model = build_model(spec, IMAGE, 10, seed).double()
    model(2 * torch.rand(8, *IMAGE).double())
    return model.eval()


def images(seed: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(4, *IMAGE, generator=rng, dtype=torch.float64), torch.randint(10, (4,), generator=rng)


def margins(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    logits: Tensor = model(x)
    return logits.gather(1, y[:, None]) - logits


@given(st.sampled_from(SPECS), st.integers(0, 1000), st.sampled_from([0.001, 0.05, 0.3]))
def test_no_image_of_the_ball_beats_its_bound(spec: Model, seed: int, epsilon: float) -> None:
    model, (x, y), rng = made(spec, seed), images(seed), torch.Generator().manual_seed(seed)
    lower, upper = ball(x, epsilon)
    least, most = interval_margins(model, lower, upper, y)
    for _ in range(20):
        share = torch.rand(x.shape, generator=rng, dtype=x.dtype).round()  # the corners
        reached = margins(model, lower + share * (upper - lower), y)
        assert (least - 1e-9 <= reached).all()
        assert (reached <= most + 1e-9).all()
    for bound in (least, most):
        assert (bound.gather(1, y[:, None]).abs() < 1e-12).all()


@pytest.mark.parametrize("spec", SPECS)
def test_the_bounds_of_a_single_image_are_its_logits(spec: Model) -> None:
    model, (x, y) = made(spec, 1), images(1)
    for bound in interval_margins(model, x, x, y):
        torch.testing.assert_close(bound, margins(model, x, y), rtol=1e-10, atol=1e-12)


def test_the_bounds_of_a_linear_model_are_reached() -> None:
    model, (x, y), epsilon = build_model(Linear(kind="linear"), IMAGE, 10, 0).double(), images(2), 0.01
    x = 0.1 + 0.8 * x  # the ball stays within [0, 1]
    weight = nn.init.normal_(next(model.parameters()))
    bounds = interval_margins(model, *ball(x, epsilon), y)
    for other, (sign, bound) in product(range(10), zip((1, -1), bounds, strict=True)):
        direction = sign * (weight[other] - weight[y]).sign().view_as(x)
        reached = margins(model, x + epsilon * direction, y)[:, other]
        torch.testing.assert_close(bound[:, other], reached, rtol=1e-10, atol=1e-12)


def test_a_ball_ends_at_black_and_at_white() -> None:
    lower, upper = ball(torch.tensor([0.0, 0.05, 0.5, 1.0]), 0.1)
    torch.testing.assert_close(lower, torch.tensor([0.0, 0.0, 0.4, 0.9]))
    torch.testing.assert_close(upper, torch.tensor([0.1, 0.15, 0.6, 1.0]))


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        (nn.Sequential(nn.Flatten(), nn.Tanh(), nn.Linear(144, 10)), "outputs of a Tanh"),
        (nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(144, 10)), "outputs of a BatchNorm2d"),  # in training
        (nn.Sequential(nn.Flatten(), nn.Linear(144, 10), nn.ReLU()), "logits of a ReLU"),
    ],
)
def test_a_layer_without_known_bounds_is_refused(model: nn.Sequential, layer: str) -> None:
    x, y = images(0)
    with pytest.raises(TypeError, match=f"no bounds of the {layer}"):
        interval_margins(model.double(), x, x, y)
