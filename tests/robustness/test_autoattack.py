"""AutoAttack is applied at its full strength, and counted by our own rules."""

from typing import Any

import pyautoattack
import pytest
import torch
from torch import Tensor

from descent.io.datasets import Split
from descent.io.schema import PGD
from descent.robustness.autoattack import autoattack_rows
from descent.robustness.bracket import pgd_robust
from tests.robustness.known import dominant, lit
from tests.robustness.test_checks import data, model

__all__ = ["data", "model"]  # fixtures


@pytest.mark.parametrize("classes", [2, 3, 5, 12])
def test_a_linear_classifier_keeps_its_accuracy_up_to_its_margin(classes: int) -> None:
    # Each image flips at ε = 0.2; the last is misclassified.
    images, called = Split(lit([0, 1, 0, 1]), torch.tensor([0, 1, 0, 0])), list[None]()
    rows = autoattack_rows(dominant(classes), images, [0.1, 0.3], 3, 0, lambda: called.append(None))
    attacks = ["apgd-ce", "apgd-t", "fab-t", "square"] if classes > 3 else ["apgd-ce", "fab-t", "square"]
    expected = [(epsilon, name, accuracy) for epsilon, accuracy in ((0.1, 0.75), (0.3, 0)) for name in attacks]
    assert [(row["epsilon"], row["attack"], row["accuracy"]) for row in rows] == expected
    assert len(called) == len(rows)
    assert float(rows[0]["low"]) < 0.75 < float(rows[0]["high"])


def test_autoattack_is_not_weaker_than_pgd(model: torch.nn.Sequential, data: Split) -> None:
    few = Split(data.x[:30], data.y[:30])
    rows = autoattack_rows(model, few, [0.08], 30, 0)
    left = [float(row["accuracy"]) for row in rows]
    assert left == sorted(left, reverse=True)
    attack = PGD(images=30, epsilons=[0.08], steps=20, step=0.25, restarts=5)
    under_pgd = pgd_robust(model, few, attack, 30, torch.Generator().manual_seed(0)).float().mean().item()
    assert 0.1 < left[-1] <= under_pgd < 0.95
    again = autoattack_rows(model, few, [0.08], 30, 0)
    assert again == rows


@pytest.mark.parametrize("cheat", ["outside the ball", "beyond white"])
def test_what_is_no_adversarial_example_counts_as_robust(cheat: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def perturbed(self: object, x: Tensor, y: Tensor, **_: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        moved = x.roll(1, dims=-1)  # another pixel is the brightest
        return (moved if cheat == "outside the ball" else moved + 0.6 * moved.bool()), y

    monkeypatch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", perturbed)
    epsilon = 0.1 if cheat == "outside the ball" else 1.0
    rows = autoattack_rows(dominant(5), Split(lit([0, 1]), torch.tensor([0, 1])), [epsilon], 2, 0)
    assert [row["accuracy"] for row in rows] == [1] * 4
