"""The attacks do what their formulas say, and what three independent libraries do."""

import math
from collections.abc import Callable
from typing import Any

import foolbox
import pytest
import torch
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from descent.attacks.gradient_sign import fgsm, pgd
from descent.attacks.losses import cross_entropy, dlr
from descent.attacks.norms import L2, LINF, Norm
from descent.io.run_schema import MLP, ConvNet
from descent.models.networks import build_model
from descent.sources import vision  # torchattacks imports torchvision
from tests.models.known import convnet, strided

assert vision
import torchattacks  # noqa: E402

IMAGES, SEED = (1, 28, 28), 0


def halfspace(weight: Tensor, bias: float = 0.0) -> nn.Module:
    """Return a model of logits (0, w·x + b), whose boundary is a known hyperplane."""
    layer = nn.Linear(len(weight), 2)
    layer.weight.data = torch.stack([torch.zeros_like(weight), weight])
    layer.bias.data = torch.tensor([0.0, bias], dtype=weight.dtype)
    return nn.Sequential(nn.Flatten(), layer).eval()


def by_torchattacks(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, kind: str) -> Any:  # noqa: ANN401
    many = {"alpha": epsilon / 4, "steps": 5, "random_start": False}
    attack = torchattacks.FGSM(model, eps=epsilon) if kind == "fgsm" else torchattacks.PGD(model, eps=epsilon, **many)
    if kind == "pgd targeted":
        attack.set_mode_targeted_by_label(quiet=True)
    return attack(x, y)


def by_foolbox(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, kind: str) -> Any:  # noqa: ANN401
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    many = foolbox.attacks.LinfPGD(abs_stepsize=epsilon / 4, steps=5, random_start=False)
    attack = foolbox.attacks.LinfFastGradientAttack() if kind == "fgsm" else many
    goal = foolbox.criteria.TargetedMisclassification(y) if kind == "pgd targeted" else y
    return attack(bounded, x, goal, epsilons=epsilon)[1]


def by_art(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, kind: str) -> Tensor:
    loss = nn.CrossEntropyLoss(reduction="sum")
    classifier = PyTorchClassifier(model, loss, IMAGES, nb_classes=10, clip_values=(0, 1), device_type="cpu")
    attack = FastGradientMethod if kind == "fgsm" else ProjectedGradientDescentPyTorch
    options: dict[str, Any] = {"eps": epsilon, "targeted": "targeted" in kind, "batch_size": len(x)}
    if kind != "fgsm":
        options |= {"eps_step": epsilon / 4, "max_iter": 5, "num_random_init": 0, "verbose": False}
    return torch.from_numpy(attack(classifier, **options).generate(x.numpy(), y.numpy()))


@pytest.mark.parametrize("kind", ["fgsm", "pgd", "pgd targeted"])
@pytest.mark.parametrize("theirs", [by_torchattacks, by_foolbox, by_art])
@pytest.mark.parametrize("spec", [MLP(kind="mlp", hidden=[20]), convnet(4, 4), strided()])
@pytest.mark.parametrize("epsilon", [0.01, 0.1])
def test_attacks_are_bit_identical_to_independent_ones_on_a_thousand_images(
    theirs: Callable[..., Tensor], spec: MLP | ConvNet, epsilon: float, kind: str, rng: torch.Generator
) -> None:
    model = build_model(spec, IMAGES, 10, SEED).eval()
    # Many pixels at the bounds; and a power of two, which divides the gradients of a mean loss without rounding.
    x = (torch.rand(1024, *IMAGES, generator=rng) * 1.6 - 0.3).clamp(0, 1)
    y = torch.randint(10, (1024,), generator=rng)
    many: dict[str, Any] = {"step": epsilon / 4, "steps": 5, "rng": None, "targeted": "targeted" in kind}
    ours = fgsm(model, x, y, epsilon) if kind == "fgsm" else pgd(model, x, y, epsilon, **many)
    assert torch.equal(ours, theirs(model, x, y, epsilon, kind))


def test_the_euclidean_attacks_are_foolboxs_to_rounding(rng: torch.Generator) -> None:
    model = build_model(MLP(kind="mlp", hidden=[20]), IMAGES, 10, SEED).eval()
    x, y = torch.rand(200, *IMAGES, generator=rng), torch.randint(10, (200,), generator=rng)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    theirs = foolbox.attacks.L2FastGradientAttack()(bounded, x, y, epsilons=2.0)[1]
    torch.testing.assert_close(fgsm(model, x, y, 2.0, norm=L2), theirs, rtol=0, atol=1e-6)
    theirs = foolbox.attacks.L2PGD(abs_stepsize=0.4, steps=5, random_start=False)(bounded, x, y, epsilons=2.0)[1]
    ours = pgd(model, x, y, 2.0, step=0.4, steps=5, rng=None, norm=L2)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


NORMS = st.sampled_from([L2, LINF])
CHOICES = {"norm": NORMS, "loss": st.sampled_from([dlr, cross_entropy]), "targeted": st.booleans()}
COUNTS = {"steps": st.integers(0, 3), "restarts": st.integers(1, 3)}
SHAPES, SEEDS = st.sampled_from([(1, 5, 5), (3, 4, 6), (7,)]), st.integers(0, 2**32 - 1)


@given(st.floats(0, 1), st.fixed_dictionaries(CHOICES), st.fixed_dictionaries(COUNTS), SHAPES, SEEDS)
def test_no_attack_goes_beyond_its_bounds_or_touches_what_it_is_given(
    epsilon: float, options: dict[str, Any], counts: dict[str, Any], shape: tuple[int, ...], seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 4)).eval()
    x, y = torch.rand(6, *shape, generator=rng), torch.randint(4, (6,), generator=rng)
    copy, weights = x.clone(), [parameter.clone() for parameter in model.parameters()]
    many = pgd(model, x, y, epsilon, step=epsilon / 2, rng=rng, **counts, **options)
    for moved_images in (fgsm(model, x, y, epsilon, **options), many):
        length = (moved_images - x).flatten(1).norm(p=2 if options["norm"] is L2 else math.inf, dim=1)
        assert length.max() <= epsilon + 1e-5
        assert 0 <= moved_images.min() <= moved_images.max() <= 1
        assert epsilon > 0 or torch.equal(moved_images, x)
    assert torch.equal(x, copy)
    assert all(torch.equal(*pair) for pair in zip(weights, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


@given(seed=SEEDS, epsilon=st.floats(0, 0.2), norm=NORMS, targeted=st.booleans())
def test_fgsm_moves_margins_by_epsilon_times_dual_norm(seed: int, epsilon: float, norm: Norm, targeted: bool) -> None:
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn(784, generator=rng, dtype=torch.float64) / 100  # or the loss saturates
    model, x = halfspace(weight), torch.rand(3, *IMAGES, generator=rng, dtype=torch.float64)
    y, length = torch.ones(3, dtype=torch.int64), weight.norm(p=2 if norm is L2 else 1)
    reached = fgsm(model, x, y, epsilon, norm=norm, targeted=targeted, bounds=None)
    rise = (model(reached)[:, 1] - model(x)[:, 1]) * (1 if targeted else -1)
    torch.testing.assert_close(rise, (epsilon * length).expand(3), rtol=1e-7, atol=1e-10)


def test_more_steps_reach_the_optimum_of_a_linear_model(rng: torch.Generator) -> None:
    weight = torch.randn(784, generator=rng, dtype=torch.float64)
    model, x = halfspace(weight), torch.full((4, *IMAGES), 0.5, dtype=torch.float64)
    y = torch.ones(4, dtype=torch.int64)
    for norm, length in ((LINF, weight.abs().sum()), (L2, weight.norm())):
        reached = pgd(model, x, y, 0.1, step=0.03, steps=10, rng=rng, norm=norm)
        drop = model(x)[:, 1] - model(reached)[:, 1]
        torch.testing.assert_close(drop, (0.1 * length).expand(4), rtol=0.02, atol=0)


@pytest.mark.parametrize(("y", "targeted"), [([0, 1], False), ([1, 0], True)])
def test_restarts_try_again_only_what_failed(rng: torch.Generator, y: list[int], targeted: bool) -> None:
    model, calls = halfspace(torch.ones(784) / 784, bias=-0.05), list[int]()
    model.register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    x = torch.stack([torch.full(IMAGES, 0.01), torch.full(IMAGES, 0.9)])  # one can be flipped, one cannot
    reached = pgd(model, x, torch.tensor(y), 0.1, step=0.1, steps=1, rng=rng, restarts=3, targeted=targeted)
    assert calls == [2, 2, 1, 1, 1, 1]  # a gradient and a look at what it gave, for what is left
    assert model(reached).argmax(dim=1).tolist() == [1, 1]
