"""Each model is evaluated on the adversarial examples of every model."""

import pytest
import torch
from torch import nn

from descent.io.datasets import Split
from descent.robustness.transfer import stronger_from_elsewhere, transfer_rows


def threshold(level: float) -> nn.Module:
    """Return a classifier that says 1 where the pixel is above a level."""
    made = nn.Linear(1, 2)
    made.weight.data, made.bias.data = torch.tensor([[-1.0], [1.0]]), torch.tensor([level, -level])
    return made


def test_every_model_is_tried_on_every_set() -> None:
    y = torch.tensor([1, 1, 0])
    sets = {"low": Split(torch.tensor([[0.2], [0.5], [0.1]]), y), "high": Split(torch.tensor([[0.6], [0.9], [0.5]]), y)}
    rows = transfer_rows({"low": threshold(0.3), "high": threshold(0.7)}, sets, batch_size=2)
    assert [row["pair"] for row in rows] == ["low on low", "low on high", "high on low", "high on high"]
    assert [row["accuracy"] for row in rows] == pytest.approx([2 / 3, 1 / 3, 2 / 3, 2 / 3])


def test_a_model_that_others_fool_better_than_its_own_attack_is_named() -> None:
    def rows(elsewhere: float) -> list[dict[str, float | str]]:
        found = {("a", "a"): 0.2, ("a", "b"): elsewhere, ("b", "a"): 0.5, ("b", "b"): 0.3}
        return [{"source": s, "target": t, "accuracy": v, "images": 10000} for (s, t), v in found.items()]

    assert stronger_from_elsewhere(rows(0.6)) == []
    assert stronger_from_elsewhere(rows(0.29)) == []  # within noise
    assert stronger_from_elsewhere(rows(0.2)) == ["white_box_beats_transfer (a on b)"]
