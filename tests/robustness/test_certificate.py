"""Certified accuracy counts the images that no attack flips."""

import pytest
import torch
from torch import Tensor, nn

from descent.attacks.gradient_sign import pgd
from descent.io.datasets import Split
from descent.io.run_schema import MLP, Model
from descent.models.networks import build_model
from descent.robustness.bounds import crown, intervals
from descent.robustness.certificate import certified, certified_rows, half_certified
from tests.models.known import convnet, strided
from tests.robustness.known import grey

# Bright is class 1: an image of the level 0.5 + d is flipped from ε = d on. The last one is misclassified.
DATA = Split(grey(0.45, 0.7, 0.9, 0.9).double(), torch.tensor([0, 1, 1, 0]))


@pytest.fixture
def bright() -> nn.Sequential:
    layer = nn.Linear(4, 2).double()
    layer.weight.data, layer.bias.data = torch.tensor([[0.0] * 4, [0.25] * 4]).double(), torch.tensor([0.5, 0]).double()
    return nn.Sequential(nn.Flatten(), layer)


def test_a_linear_classifier_is_certified_up_to_its_margin(bright: nn.Sequential) -> None:
    rows = certified_rows(bright.train(), DATA, [0.0, 0.04, 0.06, 0.19, 0.3, 0.5])
    assert [row["accuracy"] for row in rows] == [0.75, 0.75, 0.5, 0.5, 0.25, 0]
    assert [row["epsilon"] for row in rows] == [0.0, 0.04, 0.06, 0.19, 0.3, 0.5]
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
    assert not bright.training


@pytest.mark.parametrize(
    ("epsilons", "least", "most"),
    [
        ([0.0, 0.01, 0.5], 0.2 / 1.05, 0.2),  # of three images the second falls at 0.2
        ([0.0, 0.15, 0.19], 0.19, 0.19),  # all that are measured leave more than half
        ([0.0, 0.3, 0.5], None, None),  # the first leaves less
    ],
)
def test_half_of_the_recognised_images_are_certified_for_one_epsilon(
    bright: nn.Sequential, epsilons: list[float], least: float | None, most: float | None
) -> None:
    found = half_certified(bright, DATA, epsilons, certified(bright, DATA, epsilons))
    assert found is None if least is None or most is None else least <= (found or 0) <= most


def test_half_of_no_image_has_no_epsilon(bright: nn.Sequential) -> None:
    wrong = Split(DATA.x[:3], 1 - DATA.y[:3])
    assert half_certified(bright, wrong, [0.0, 0.1], certified(bright, wrong, [0.0, 0.1])) is None


def test_the_epsilon_of_half_the_images_is_that_of_each_image_tried(rng: torch.Generator) -> None:
    model, x = build_model(MLP(kind="mlp", hidden=[20]), (1, 4, 4), 10, seed=0), torch.rand(101, 1, 4, 4, generator=rng)
    data, epsilons = Split(x, model(x).argmax(dim=1)), [0.0, 0.001, 0.5]
    found = half_certified(model, data, epsilons, certified(model, data, epsilons))
    ladder = torch.logspace(-3, -0.31, 200, base=10).tolist()
    radii = torch.tensor([0.0, *ladder])[certified(model, data, ladder).sum(dim=0)]
    assert found == pytest.approx(radii.median().item(), rel=0.1)


def test_what_is_not_certified_for_an_epsilon_is_not_for_a_larger(
    bright: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    def proven(model: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> Tensor:
        return torch.full_like(y, epsilon != 0.1, dtype=torch.bool)

    monkeypatch.setattr("descent.robustness.certificate._proven", proven)
    assert certified(bright, DATA, [0.0, 0.1, 0.2]).sum(dim=1).tolist() == [4, 0, 0]


def test_a_tie_is_not_certified(bright: nn.Sequential) -> None:
    data = Split(grey(0.75).double(), torch.tensor([1]))  # at ε = 0.25 both logits are equal
    assert certified(bright, data, [0.0, 0.24, 0.25]).tolist() == [[True], [True], [False]]
    assert intervals(bright, data.x, data.y, 0.25).lower.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(1, 4, 3, padding="same"),
        nn.MaxPool2d(3, ceil_mode=True),
        nn.MaxPool2d(2, dilation=2),
        nn.BatchNorm2d(1, affine=False),
    ],
    ids=str,
)
def test_nothing_is_certified_with_settings_of_unknown_bounds(layer: nn.Module, rng: torch.Generator) -> None:
    x = torch.rand(8, 1, 8, 8, generator=rng)
    model = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).eval()
    assert not certified(model, Split(x, model(x).argmax(dim=1)), [0.0, 0.01]).any()


@pytest.mark.parametrize("settings", [{"dilation": 2}, {"groups": 2}])
def test_dilated_and_grouped_convolutions_are_certified(settings: dict[str, int], rng: torch.Generator) -> None:
    x = torch.rand(8, 1, 8, 8, generator=rng)
    layers = (nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=2, **settings))
    model = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).eval()
    y = model(x).argmax(dim=1)
    assert certified(model, Split(x, y), [0.0])[0].all()
    lower = crown(model, x, y, 0.05).lower
    for _ in range(50):
        logits = model((x + 0.05 * (2 * torch.rand(x.shape, generator=rng) - 1).sign()).clamp(0, 1))
        assert (logits.gather(1, y[:, None]) - logits >= lower - 1e-5).all()


def test_nothing_is_certified_with_a_layer_of_unknown_bounds(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 2))
    rows = certified_rows(model, Split(grey(0.2, 0.7), torch.tensor([0, 1])), [0.0, 0.1])
    assert [row["accuracy"] for row in rows] == [0, 0]
    assert caplog.messages == ["the certified accuracy is 0: no bounds of the outputs of a LayerNorm"]


@pytest.mark.parametrize("spec", [MLP(kind="mlp", hidden=[20, 20]), convnet(4), strided(), strided(batch_norm=True)])
def test_what_intervals_or_crown_prove_is_certified_and_no_attack_flips_it(spec: Model, rng: torch.Generator) -> None:
    model = build_model(spec, (1, 12, 12), 10, seed=0)
    x: Tensor = torch.rand(100, 1, 12, 12, generator=rng)
    y = model.eval()(x).argmax(dim=1)
    shares = []
    for epsilon in (0.001, 0.01, 0.05):
        (holds,) = certified(model, Split(x, y), [epsilon])
        by_crown = crown(model, x, y, epsilon, relax_hidden=spec.kind == "mlp")
        proofs = [
            bounds.lower.scatter(1, y[:, None], torch.inf).gt(0)
            for bounds in (intervals(model, x, y, epsilon), by_crown)
        ]
        assert torch.equal(holds, torch.stack([proof.all(dim=1) for proof in proofs]).any(dim=0))
        adversarial = pgd(model, x, y, epsilon, step=epsilon / 4, steps=10, rng=rng)
        assert (model(adversarial).argmax(dim=1) == y)[holds].all()
        shares.append(holds.float().mean().item())
    assert shares[0] > 0.5 > shares[-1]  # it is not by chance that all are certified or none
