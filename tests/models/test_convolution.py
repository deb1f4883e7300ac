"""The convolution of images is PyTorch's, and so is its gradient, found another way."""

from typing import Any
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from descent.attacks.losses import loss_gradient
from descent.io.run_schema import ConvNet
from descent.models.convolution import ImageConvolution
from descent.models.networks import build_model

SHAPES = st.tuples(*(st.integers(*ends) for ends in ((1, 9), (1, 4), (3, 9), (3, 9))))
# Filter, stride, padding, dilation and groups for which PyTorch's own gradient is taken.
OTHERS = [(3, 2, 0, 1, 1), (3, 1, 1, 1, 1), (3, 1, 0, 2, 1), (3, 1, 0, 1, 2), (2, 1, 0, 1, 1)]


def pair(*settings: Any, dtype: torch.dtype = torch.float64) -> tuple[ImageConvolution, nn.Conv2d]:  # noqa: ANN401
    """Return ours and PyTorch's with the same weights, in the layout of a ConvNet."""
    torch.manual_seed(0)
    ours, theirs = ImageConvolution(*settings).to(dtype), nn.Conv2d(*settings).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    # torch's types know no module that is given a layout alone.
    return tuple(layer.to(memory_format=torch.channels_last) for layer in (ours, theirs))  # type: ignore[call-overload]


@given(SHAPES, st.integers(1, 17), st.booleans())
def test_pixels_and_weights_get_pytorchs_gradient(shape: tuple[int, ...], filters: int, channels_last: bool) -> None:
    ours, theirs = pair(shape[1], filters, 3)
    x = torch.randn(shape, dtype=torch.float64).requires_grad_()
    upstream = torch.randn_like(theirs(x))
    if channels_last:
        upstream = upstream.to(memory_format=torch.channels_last)
    found, expected = (torch.autograd.grad(layer(x), [x, *layer.parameters()], upstream) for layer in (ours, theirs))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("settings", OTHERS)
def test_other_convolutions_have_pytorchs_gradient(settings: tuple[int, ...], rng: torch.Generator) -> None:
    x = torch.randn(2, 2, 9, 9, generator=rng).double().requires_grad_()
    found, expected = (torch.autograd.grad(layer(x).square().sum(), x)[0] for layer in pair(2, 4, *settings))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_outputs_and_gradients_of_weights_are_the_same_bits(rng: torch.Generator) -> None:
    ours, theirs = pair(1, 32, 3, dtype=torch.float32)
    x = torch.rand(64, 1, 28, 28, generator=rng)

    def results(layer: nn.Conv2d, given: Tensor) -> list[Tensor]:
        output = layer(given)
        return [output, *torch.autograd.grad(output.square().sum(), list(layer.parameters()))]

    for given_x in (x, x.clone().requires_grad_()):
        torch.testing.assert_close(results(ours, given_x), results(theirs, x), rtol=0, atol=0)


def test_only_attacks_on_a_convnet_take_our_gradient(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(ConvNet(kind="convnet", channels=[4, 6], hidden=[8]), (1, 28, 28), 10, seed=0)
    assert [type(layer) for layer in model if isinstance(layer, nn.Conv2d)] == [ImageConvolution, nn.Conv2d]
    x, y = torch.rand(5, 1, 28, 28, generator=rng), torch.randint(10, (5,), generator=rng)
    recorded = Mock(side_effect=lambda upstream, weight, shape: torch.ones(shape))
    monkeypatch.setattr("descent.models.convolution.pixel_gradient", recorded)
    assert loss_gradient(model, x, y).eq(1).all()
    assert [call.args[2] for call in recorded.mock_calls] == [(5, 1, 28, 28)]
    model(x).sum().backward()
    assert recorded.call_count == 1


def test_it_has_no_second_derivative_to_be_silently_wrong(rng: torch.Generator) -> None:
    ours, _ = pair(1, 2, 3)
    x = torch.rand(1, 1, 5, 5, generator=rng, dtype=torch.float64).requires_grad_()
    (first,) = torch.autograd.grad(ours(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
