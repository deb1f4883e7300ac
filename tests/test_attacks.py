"""The fast gradient sign method does what its formula says, and what two independent libraries do."""

from collections.abc import Callable

import foolbox
import pytest
import torch
from torch import Tensor, nn

from descent import vision  # noqa: F401 - torchattacks imports torchvision
from descent.attacks import fgsm, loss_gradient, moved
from descent.models import build_model
from descent.params import MLP, ConvNet

IMAGES, SEED = (1, 28, 28), 0


class Halfspace(nn.Module):
    """Logits (0, w·x): the boundary is a known hyperplane."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1) @ self.weight
        return torch.stack([torch.zeros_like(score), score], dim=1)


@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.1])
def test_fgsm_lowers_a_linear_margin_by_epsilon_times_the_l1_norm(epsilon: float, rng: torch.Generator) -> None:
    weight = torch.randn(784, generator=rng, dtype=torch.float64)
    model = Halfspace(weight).eval()
    x = torch.rand(8, *IMAGES, generator=rng, dtype=torch.float64) * 0.5 + 0.25  # clear of 0 and 1
    y = torch.ones(8, dtype=torch.int64)

    drop = model(x)[:, 1] - model(fgsm(model, x, y, epsilon))[:, 1]

    torch.testing.assert_close(drop, (epsilon * weight.abs().sum()).expand(8))


def test_an_epsilon_of_zero_changes_nothing(rng: torch.Generator) -> None:
    model = build_model(MLP(kind="mlp", hidden=[5]), IMAGES, 10, SEED).eval()
    x, y = torch.rand(4, *IMAGES, generator=rng), torch.arange(4)
    assert torch.equal(fgsm(model, x, y, 0.0), x)


def test_no_pixel_moves_further_than_epsilon_or_out_of_range(rng: torch.Generator) -> None:
    model = build_model(MLP(kind="mlp", hidden=[5]), IMAGES, 10, SEED).eval()
    x, y = torch.rand(20, *IMAGES, generator=rng), torch.arange(20) % 10
    adversarial = fgsm(model, x, y, 0.2)
    assert (adversarial - x).abs().max() <= 0.2 + 1e-6
    assert adversarial.min() == 0
    assert adversarial.max() == 1


def test_images_weights_and_their_gradients_are_left_alone(rng: torch.Generator) -> None:
    model = build_model(MLP(kind="mlp", hidden=[5]), IMAGES, 10, SEED).eval()
    x, y = torch.rand(4, *IMAGES, generator=rng), torch.arange(4)
    copy, weights = x.clone(), {name: p.clone() for name, p in model.state_dict().items()}

    fgsm(model, x, y, 0.1)

    assert torch.equal(x, copy)
    assert not x.requires_grad
    assert all(p.grad is None for p in model.parameters())
    torch.testing.assert_close(dict(model.state_dict()), weights, rtol=0, atol=0)


def test_the_gradient_is_the_finite_difference(rng: torch.Generator) -> None:
    model = build_model(MLP(kind="mlp", hidden=[5]), IMAGES, 10, SEED).double().eval()
    x = torch.rand(3, *IMAGES, generator=rng, dtype=torch.float64)
    y, step = torch.tensor([1, 2, 3]), 1e-6

    gradient = loss_gradient(model, x, y)

    for pixel in (0, 100, 400, 783):
        nudge = torch.zeros(784, dtype=torch.float64)
        nudge[pixel] = step
        up, down = (
            nn.functional.cross_entropy(model(x + sign * nudge.view(IMAGES)), y, reduction="none") for sign in (1, -1)
        )
        torch.testing.assert_close(gradient.flatten(1)[:, pixel], (up - down) / (2 * step), rtol=1e-5, atol=1e-8)


def test_the_gradient_of_an_image_does_not_depend_on_its_batch(rng: torch.Generator) -> None:
    model = build_model(MLP(kind="mlp", hidden=[5]), IMAGES, 10, SEED).double().eval()
    x, y = torch.rand(50, *IMAGES, generator=rng, dtype=torch.float64), torch.arange(50) % 10
    torch.testing.assert_close(loss_gradient(model, x, y)[:1], loss_gradient(model, x[:1], y[:1]))


def theirs_by_torchattacks(model: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """Attack with torchattacks."""
    import torchattacks

    adversarial: Tensor = torchattacks.FGSM(model, eps=epsilon)(x, y)
    return adversarial


def theirs_by_foolbox(model: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """Attack with foolbox."""
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    _, clipped, _ = foolbox.attacks.LinfFastGradientAttack()(bounded, x, y, epsilons=epsilon)
    adversarial: Tensor = clipped
    return adversarial


@pytest.mark.parametrize("theirs", [theirs_by_torchattacks, theirs_by_foolbox])
@pytest.mark.parametrize("spec", [MLP(kind="mlp", hidden=[20]), ConvNet(kind="convnet", channels=[4, 4], hidden=[])])
@pytest.mark.parametrize("epsilon", [0.01, 0.1])
def test_fgsm_is_bit_identical_to_independent_ones_on_a_thousand_images(
    theirs: Callable[[nn.Module, Tensor, Tensor, float], Tensor],
    spec: MLP | ConvNet,
    epsilon: float,
    rng: torch.Generator,
) -> None:
    model = build_model(spec, IMAGES, 10, SEED).eval()
    x = (torch.rand(1000, *IMAGES, generator=rng) * 1.6 - 0.3).clamp(0, 1)  # many pixels at the bounds
    y = torch.randint(10, (1000,), generator=rng)

    assert torch.equal(fgsm(model, x, y, epsilon), theirs(model, x, y, epsilon))


def test_moving_adds_epsilon_times_the_direction_and_clips() -> None:
    x, direction = torch.tensor([[0.05, 0.5, 0.95, 0.3]]), torch.tensor([[-1.0, 1.0, 1.0, 0.0]])
    torch.testing.assert_close(moved(x, direction, 0.1), torch.tensor([[0.0, 0.6, 1.0, 0.3]]))
