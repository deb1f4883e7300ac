"""The gradient that is written out is autograd's, to the last bit, and is taken only where it is right."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from descent.io.run_schema import MLP, Linear, Model
from descent.models.evaluation import squared_error
from descent.models.networks import build_model
from descent.training.gradients import Bounded, batch_loss, cross_entropy_gradient, dense_layers, gradient_of, loss_of
from descent.training.loop import attacked
from tests.models.known import convnet
from tests.training.known import run


def autograd(model: nn.Module, loss: Callable[..., Tensor], reduction: str, x: Tensor, y: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss(model(x), y, reduction=reduction), list(model.parameters())))


REDUCTIONS, DTYPES = st.sampled_from(["mean", "sum"]), st.sampled_from([torch.float32, torch.float64])
SIZES = st.integers(2, 130)  # of one image through a layer of one unit, some processors round otherwise


@given(st.lists(st.integers(1, 40), max_size=3), SIZES, REDUCTIONS, DTYPES, st.integers(0, 1000))
def test_the_gradients_are_autograds(hidden: list[int], n: int, reduction: str, dtype: torch.dtype, seed: int) -> None:
    model, rng = build_model(MLP(kind="mlp", hidden=hidden), (1, 5, 6), 10, seed).to(dtype), torch.Generator()
    x = 10 * torch.randn(n, 1, 5, 6, generator=rng.manual_seed(seed), dtype=dtype)
    y = torch.randint(10, (n,), generator=rng)
    ours = gradient_of(model, run(data="images", reduction=reduction))(x, y)
    for own, other in zip(ours, autograd(model, F.cross_entropy, reduction, x, y), strict=True):
        assert torch.equal(own, other)
        assert own.stride() == other.stride()


@pytest.mark.parametrize(
    ("spec", "loss", "written_out"),
    [
        (MLP(kind="mlp", hidden=[100]), F.cross_entropy, True),  # that of the write-up
        (Linear(kind="linear"), F.cross_entropy, True),
        (convnet(2, hidden=5), F.cross_entropy, False),
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
        data = "images" if loss is F.cross_entropy else "diabetes"
        gradient = gradient_of(model, run(data=data, reduction=reduction, model=spec))
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


def test_label_smoothing_compares_with_probabilities_moved_towards_equal_ones(rng: torch.Generator) -> None:
    logits, y = torch.randn(7, 5, generator=rng).double().requires_grad_(), torch.randint(5, (7,), generator=rng)
    (found,) = torch.autograd.grad(loss_of(run(data="images", label_smoothing=0.3))(logits, y), logits)
    target = 0.7 * F.one_hot(y, 5) + 0.3 / 5
    torch.testing.assert_close(found, (logits.softmax(dim=1) - target) / 7)
    (plain,) = torch.autograd.grad(loss_of(run(data="images", reduction="sum"))(logits, y), logits)
    torch.testing.assert_close(plain, logits.softmax(dim=1) - F.one_hot(y, 5))


def test_a_dense_network_learns_with_smoothed_labels(rng: torch.Generator) -> None:
    spec = MLP(kind="mlp", hidden=[6])
    model, settings = build_model(spec, (1, 4, 4), 10, 0), run(data="images", model=spec, label_smoothing=0.1)
    x, y = torch.rand(9, 1, 4, 4, generator=rng), torch.randint(10, (9,), generator=rng)
    loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
    torch.testing.assert_close(
        gradient_of(model, settings)(x, y), list(torch.autograd.grad(loss, [*model.parameters()]))
    )


@pytest.mark.parametrize(("share", "plain", "plain_at_the_end"), [(0.25, 7, 6), (0.5, 6, 4), (1.0, 4, 0), (0.1, 8, 7)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_is_of_plain_images_and_of_worst_logits(
    share: float, plain: int, plain_at_the_end: int, reduction: str, rng: torch.Generator
) -> None:
    # Of a linear model the worst logits are those of the corner of the ball; of two classes, the loss is ln(1 + exp).
    layer = nn.Linear(4, 2).double()
    model = nn.Sequential(nn.Flatten(), layer)
    adversary = {"kind": "interval-bounds", "epsilon": 0.1, "ramp": 0.5, "share": share}
    settings = run(data="images", adversary=adversary, reduction=reduction)
    x, y = 0.2 + 0.6 * torch.rand(8, 1, 2, 2, generator=rng).double(), torch.tensor([0, 1] * 4)
    rise = layer.weight[1 - y] - layer.weight[y]
    margin = (rise * x.flatten(1)).sum(dim=1) + layer.bias[1 - y] - layer.bias[y]
    for done, epsilon, learned in ((0.0, 0.0, 8), (0.25, 0.05, plain), (0.9, 0.1, plain_at_the_end)):
        bounded = attacked(model, x, y, settings, done, rng)
        assert isinstance(bounded, Bounded)
        rest = x[learned:]
        torch.testing.assert_close(tuple(bounded), (x[:learned], rest - epsilon, rest + epsilon))
        expected = F.softplus(margin + epsilon * rise.abs().sum(dim=1) * (torch.arange(8) >= learned))
        torch.testing.assert_close(batch_loss(model, settings)(bounded, y), getattr(expected, reduction)())
