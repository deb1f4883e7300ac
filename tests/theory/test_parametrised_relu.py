"""A parametrised ReLU is an ordinary one with other biases, where there are biases to take it up."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck

from descent.theory.parametrised_relu import ParametrisedReLU, absorb, parametrised, rewritten

seeds = st.integers(0, 2**32 - 1)


def randomised(seed: int, *layers: nn.Module) -> nn.Sequential:
    """Draw every parameter from N(0, 1), in float64."""
    rng, network = torch.Generator().manual_seed(seed), nn.Sequential(*layers).double()
    for parameter in network.parameters():
        parameter.data.normal_(generator=rng)
    return network


def inputs(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def agree(network: nn.Sequential, x: Tensor) -> None:
    """See that the ordinary twin has only ordinary layers and gives the same, to 1e-10 of the largest output."""
    before = [parameter.clone() for parameter in network.parameters()]
    twin, expected = absorb(network), network(x)
    assert not any(isinstance(layer, ParametrisedReLU) for layer in twin)
    assert (twin(x) - expected).abs().max() <= 1e-10 * max(1.0, expected.abs().max().item())
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


@given(
    widths=st.lists(st.integers(1, 12), min_size=3, max_size=7), plain=st.lists(st.booleans(), min_size=5), seed=seeds
)
def test_any_mlp_and_its_ordinary_twin_agree(widths: list[int], plain: list[bool], seed: int) -> None:
    layers: list[nn.Module] = []
    for before, after, ordinary in zip(widths, widths[1:], [*plain, False, False][: len(widths) - 1], strict=False):
        layers += [nn.Linear(before, after), nn.ReLU() if ordinary else ParametrisedReLU(after)]
    agree(randomised(seed, nn.Flatten(), *layers[:-1]), inputs(8, widths[0], seed=seed + 1))


@pytest.mark.parametrize(("before", "after"), [(False, True), (True, False)])
def test_it_is_refused_where_no_bias_can_take_it_up(before: bool, after: bool) -> None:
    layers = nn.Linear(2, 3, bias=before), ParametrisedReLU(3), nn.Linear(3, 1, bias=after)
    for refused in (layers, layers[:2], layers[1:]):
        with pytest.raises(ValueError, match="no bias before or after it"):
            absorb(nn.Sequential(*refused))


@pytest.mark.parametrize("padding", [1, (0, 1), "same"])
def test_before_padding_it_is_refused_and_wrong_at_the_border_only(padding: int | tuple[int, int] | str) -> None:
    network = randomised(0, nn.Conv2d(1, 2, 3), ParametrisedReLU(2), nn.Conv2d(2, 1, 3, padding=padding))
    with pytest.raises(ValueError, match="pads with zeros"):
        absorb(network)
    x = inputs(4, 1, 9, 9, seed=1)
    error = (network(x) - rewritten(network)(x)).abs()
    assert error[..., 1:-1, 1:-1].max() < 1e-10 < 0.1 < error.max()
    for unpadded in (nn.Conv2d(2, 1, 3), nn.Conv2d(2, 1, 3, padding="valid")):
        agree(randomised(0, nn.Conv2d(1, 2, 3), ParametrisedReLU(2), unpadded), x)


def test_it_starts_as_relu_and_its_gradients_pass_finite_differences() -> None:
    layer, z = ParametrisedReLU(3).double(), inputs(4, 3, seed=0)
    assert torch.equal(layer(z), z.relu())
    o = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda z, o: torch.func.functional_call(layer, {"o": o}, (z,)), (z.requires_grad_(), o))


def test_parametrised_puts_a_random_o_behind_each_linear_layer() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    made = parametrised(network, torch.Generator().manual_seed(0))
    found = [layer.o for layer in made if isinstance(layer, ParametrisedReLU)]
    assert [len(o) for o in found] == [4, 3]
    assert len({value for o in found for value in o.tolist()}) == 7
    assert isinstance(network[2], nn.ReLU)
