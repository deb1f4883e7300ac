"""Bounds of margins hold in the whole ball, are exact at its centre, and are those of an independent library."""

from collections.abc import Callable

import pytest
import torch
from bound_propagation import BoundModelFactory, HyperRectangle
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from descent.io.run_schema import MLP, Model
from descent.models.intervals import Margins, ball
from descent.robustness.bounds import crown, intervals
from tests.models.known import convnet, strided
from tests.models.test_intervals import IMAGE, images, made, margins

SPECS: list[Model] = [
    MLP(kind="mlp", hidden=[9, 7]),
    MLP(kind="mlp", hidden=[]),
    convnet(3, 5, hidden=6),
    convnet(4, hidden=6, batch_norm=True),
    strided(batch_norm=True),
]


def by_relaxed_intervals(model: nn.Sequential, x: Tensor, y: Tensor, epsilon: float) -> Margins:
    return crown(model, x, y, epsilon, relax_hidden=False)


METHODS = [intervals, crown, by_relaxed_intervals]


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40)
@given(st.sampled_from(SPECS), st.integers(0, 1000), st.sampled_from([0.001, 0.02, 0.1, 0.5]))
def test_no_image_of_the_ball_beats_a_bound(
    method: Callable[..., Margins], spec: Model, seed: int, epsilon: float
) -> None:
    model, (x, y), rng = made(spec, seed), images(seed), torch.Generator().manual_seed(seed)
    least, most = method(model, x, y, epsilon)
    lower, upper = ball(x, epsilon)
    for corner in (False, True):
        for _ in range(10):
            share = torch.rand(x.shape, generator=rng, dtype=x.dtype)
            reached = margins(model, lower + (share.round() if corner else share) * (upper - lower), y)
            assert (least - 1e-9 <= reached).all()
            assert (reached <= most + 1e-9).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spec", SPECS)
def test_a_ball_of_radius_0_has_the_exact_margins(method: Callable[..., Margins], spec: Model) -> None:
    model, (x, y) = made(spec, 1), images(1)
    for bound in method(model, x, y, 0.0):
        torch.testing.assert_close(bound, margins(model, x, y), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("spec", SPECS)
def test_crown_is_tighter_than_intervals_on_average(spec: Model) -> None:
    for epsilon in (0.005, 0.05):
        widths = []
        for method in METHODS:
            bounds = [method(made(spec, seed), *images(seed), epsilon) for seed in range(10)]
            widths.append(sum((most - least).mean().item() for least, most in bounds))
        of_intervals, of_crown, between = widths
        assert of_crown <= between + 1e-9
        assert of_crown < 0.999 * of_intervals or spec == SPECS[1]  # of a linear model all bounds are exact


def test_the_relaxation_of_two_neurons_is_that_of_the_paper() -> None:
    # z = relu(t) − relu(−t) / 2 for −ε ≤ t ≤ ε. Below lies 0 − (ε − t) / 4, at least −ε / 2; above (t + ε) / 2 − 0, at
    # most ε.
    first, last = nn.Linear(1, 2), nn.Linear(2, 2)
    model = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last).double()
    first.weight.data, first.bias.data = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([-0.5, 0.5]).double()
    last.weight.data, last.bias.data = torch.tensor([[1.0, -0.5], [0.0, 0.0]]).double(), torch.zeros(2).double()
    least, most = crown(model, torch.full((1, 1, 1, 1), 0.5).double(), torch.tensor([0]), 0.25)
    torch.testing.assert_close(least, torch.tensor([[0.0, -0.125]]).double())
    torch.testing.assert_close(most, torch.tensor([[0.0, 0.25]]).double())


def dense(model: nn.Sequential, x: Tensor) -> nn.Sequential:
    """Return the same function of flat images, with a linear layer for each part between two ReLUs."""
    parts, part = [], list[nn.Module]()
    for layer in [*model, nn.ReLU()]:
        if isinstance(layer, nn.ReLU):
            parts.append(nn.Sequential(*part))
            part = []
        else:
            part.append(layer)
    layers = list[nn.Module]()
    for affine in parts:
        weight = torch.autograd.functional.jacobian(lambda given, affine=affine: affine(given).flatten(), x)
        layer = nn.Linear(x.numel(), len(weight)).double()
        layer.weight.data = weight.flatten(1)
        layer.bias.data = affine(x).flatten() - layer.weight.data @ x.flatten()
        layers += [layer, nn.ReLU()]
        x = affine(x)
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("spec", [SPECS[0], MLP(kind="mlp", hidden=[20]), strided(batch_norm=True, max_pool=1)])
@pytest.mark.parametrize("epsilon", [0.003, 0.03])
def test_bounds_are_those_of_an_independent_library(spec: Model, epsilon: float) -> None:
    model, (x, y) = made(spec, 3), images(3)
    flat = dense(model, x[:1].detach())
    torch.testing.assert_close(flat(x.flatten(1)), model(x))
    for image, label in zip(x, y, strict=True):
        # The library bounds outputs, so the last layer gives the margins.
        *hidden, last = flat
        assert isinstance(last, nn.Linear)
        margin = nn.Linear(last.in_features, 10).double()
        margin.weight.data = last.weight.data[label] - last.weight.data
        margin.bias.data = last.bias.data[label] - last.bias.data
        bounded = BoundModelFactory(adaptive_relu=True).build(nn.Sequential(*hidden, margin))
        region = HyperRectangle(*(each.flatten(1) for each in ball(image[None], epsilon)))
        for theirs, ours, close in (
            (bounded.ibp(region), intervals(model, image[None], label[None], epsilon), 1e-5),
            (bounded.crown(region).concretize(), crown(model, image[None], label[None], epsilon), 1e-4),
        ):
            torch.testing.assert_close(ours.lower, theirs.lower, rtol=close, atol=close)
            torch.testing.assert_close(ours.upper, theirs.upper, rtol=close, atol=close)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.Tanh(), "a Tanh"),
        (nn.MaxPool2d(3, stride=1), "a MaxPool2d, unless its windows are squares side by side"),
        (nn.MaxPool2d(2, padding=1), "a MaxPool2d, unless its windows are squares side by side"),
    ],
)
def test_a_layer_without_known_bounds_is_refused(layer: nn.Module, named: str) -> None:
    features = layer(torch.zeros(1, *IMAGE)).numel()
    model, (x, y) = nn.Sequential(layer, nn.Flatten(), nn.Linear(features, 10)).double(), images(0)
    with pytest.raises(TypeError, match=f"no bounds of the outputs of {named}"):
        crown(model, x, y, 0.1)


def test_models_and_images_are_left_alone() -> None:
    model, (x, y) = made(SPECS[3], 0), images(0)
    before, copy = [p.clone() for p in model.state_dict().values()], x.clone()
    crown(model, x, y, 0.1)
    assert torch.equal(x, copy)
    assert all(torch.equal(old, new) for old, new in zip(before, model.state_dict().values(), strict=True))
    assert not any(after.grad_fn for after in (x, y))
