"""The convolution of images is PyTorch's, and so are its gradients, found another way."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from descent.attacks.gradient_sign import fgsm
from descent.attacks.losses import loss_gradient
from descent.models.convolution import ImageConvolution
from descent.models.networks import build_model
from tests.models.known import strided

SHAPES = st.tuples(*(st.integers(*ends) for ends in ((1, 9), (1, 4), (5, 11), (5, 11))))
SETTINGS = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 3))  # size of the filters, stride, padding


def pair(channels: int, filters: int, size: int, stride: int, padding: int, bias: bool) -> list[nn.Conv2d]:
    """Return ours and PyTorch's with the same weights, in the layout of a ConvNet."""
    torch.manual_seed(0)
    ours, theirs = (
        kind(channels, filters, size, stride, padding, bias=bias).double() for kind in (ImageConvolution, nn.Conv2d)
    )
    theirs.load_state_dict(ours.state_dict())
    # torch's types know no module that is given a layout alone.
    return [layer.to(memory_format=torch.channels_last) for layer in (ours, theirs)]  # type: ignore[call-overload]


@given(SHAPES, st.integers(1, 17), SETTINGS, st.booleans())
def test_output_pixels_and_weights_are_as_with_pytorch(
    shape: tuple[int, ...], filters: int, settings: tuple[int, int, int], bias: bool
) -> None:
    ours, theirs = pair(shape[1], filters, *settings, bias)
    x = torch.randn(shape, dtype=torch.float64).requires_grad_()
    upstream = torch.randn_like(theirs(x))

    def results(layer: nn.Conv2d) -> list[Tensor]:
        output = layer(x)
        return [output, *torch.autograd.grad(output, [x, *layer.parameters()], upstream)]

    torch.testing.assert_close(results(ours), results(theirs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_an_attack_on_a_convnet_with_a_stride_has_pytorchs_gradient(batch_norm: bool, rng: torch.Generator) -> None:
    model = build_model(strided(batch_norm=batch_norm), (1, 28, 28), 10, seed=0).double()
    x, y = torch.rand(5, 1, 28, 28, generator=rng).double(), torch.randint(10, (5,), generator=rng)
    model(x)  # the statistics of the normalisation are no longer those of the start
    model.eval()
    theirs = nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1, bias=not batch_norm).double(), *list(model)[1:]).eval()
    theirs[0].load_state_dict(model[0].state_dict())
    assert isinstance(model[0], ImageConvolution)
    torch.testing.assert_close(loss_gradient(model, x, y), loss_gradient(theirs, x, y), rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(fgsm(model, x, y, 0.1), fgsm(theirs, x, y, 0.1), rtol=0, atol=0)
