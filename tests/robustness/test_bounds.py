"""Certified accuracy counts the images that no attack flips."""

import pytest
import torch
from torch import Tensor, nn

from descent.attacks.gradient_sign import pgd
from descent.io.datasets import Split
from descent.models.networks import build_model
from descent.robustness.bounds import certified_rows
from tests.models.known import strided
from tests.robustness.known import grey


def test_a_linear_classifier_is_certified_up_to_its_margin() -> None:
    # Bright is class 1: an image of the level 0.5 + d is flipped from ε = d on.
    layer = nn.Linear(4, 2).double()
    layer.weight.data, layer.bias.data = torch.tensor([[0.0] * 4, [0.25] * 4]).double(), torch.tensor([0.5, 0]).double()
    model = nn.Sequential(nn.Flatten(), layer)
    data = Split(grey(0.45, 0.7, 0.9, 0.9).double(), torch.tensor([0, 1, 1, 0]))  # the last is misclassified
    rows = certified_rows(model.train(), data, [0.0, 0.04, 0.06, 0.19, 0.3, 0.5], batch_size=3)
    assert [row["accuracy"] for row in rows] == [0.75, 0.75, 0.5, 0.5, 0.25, 0]
    assert [row["epsilon"] for row in rows] == [0.0, 0.04, 0.06, 0.19, 0.3, 0.5]
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
    assert not model.training


def test_nothing_is_certified_with_a_layer_of_unknown_bounds(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 2))
    rows = certified_rows(model, Split(grey(0.2, 0.7), torch.tensor([0, 1])), [0.0, 0.1], batch_size=1)
    assert [row["accuracy"] for row in rows] == [0, 0]
    assert caplog.messages == ["the certified accuracy is 0: no bounds of the outputs of a LayerNorm"]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_no_attack_flips_a_certified_image(batch_norm: bool, rng: torch.Generator) -> None:
    model = build_model(strided(batch_norm=batch_norm), (1, 12, 12), 10, seed=0)
    x: Tensor = torch.rand(200, 1, 12, 12, generator=rng)
    y = model.eval()(x).argmax(dim=1)
    for epsilon in (0.001, 0.01, 0.05):
        (row,) = certified_rows(model, Split(x, y), [epsilon], 50)
        adversarial = pgd(model, x, y, epsilon, step=epsilon / 4, steps=10, rng=rng)
        robust = (model(adversarial).argmax(dim=1) == y).float().mean().item()
        assert row["accuracy"] <= robust
        assert row["accuracy"] > 0.5 or epsilon > 0.001  # it is not by chance that all are proven or none
