"""Robustness is counted right, on models whose answers are known beforehand."""

import pytest
import torch
from torch import Tensor, nn

from descent.data import Split
from descent.fashion_mnist import CLASSES
from descent.params import FGSM
from descent.robustness import (
    BAG,
    T_SHIRT,
    Flips,
    assess,
    directions,
    least_confident_flip,
    smallest_flips,
    sweep,
    typical_of_each_class,
    zero_gradient_share,
)


class Brightness(nn.Module):
    """Says 1 where the mean pixel is above one half, else 0, surer the further away it is."""

    def forward(self, x: Tensor) -> Tensor:
        excess = 10 * (x.flatten(1).mean(dim=1) - 0.5)
        return torch.stack([-excess, excess], dim=1)


def grey(*levels: float) -> Tensor:
    """Return an image of one grey for each level."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, 1, 2, 2).clone()


DATA = Split(grey(0.30, 0.45, 0.60, 0.90), torch.tensor([0, 0, 1, 0]))  # the last is misclassified
DIRECTION = grey(1.0, 1.0, -1.0, -1.0)


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_the_direction_raises_the_loss_whatever_the_batch(batch_size: int) -> None:
    # The misclassified image is moved further up, away from its class.
    assert torch.equal(directions(Brightness(), DATA, batch_size), grey(1.0, 1.0, -1.0, 1.0))


def test_the_sweep_counts_all_images_and_apart_those_that_were_correct() -> None:
    rows = sweep(Brightness(), DATA, DIRECTION, [0.0, 0.06, 0.15, 0.25], batch_size=3)

    assert [row["epsilon"] for row in rows] == [0.0, 0.06, 0.15, 0.25]
    assert [row["accuracy"] for row in rows] == [0.75, 0.5, 0.25, 0.0]
    assert [row["flip_rate"] for row in rows] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    sure = torch.sigmoid(20 * torch.tensor([0.2, 0.05, 0.1, 0.4])).mean().item()
    assert rows[0]["mean_confidence"] == pytest.approx(sure)


def test_the_smallest_flip_is_the_first_on_the_grid() -> None:
    flips = smallest_flips(Brightness(), DATA, DIRECTION, [0.02, 0.04, 0.06, 0.08, 0.12], batch_size=2)

    torch.testing.assert_close(flips.epsilon, torch.tensor([torch.inf, 0.06, 0.12, 0.0]))
    assert flips.becomes.tolist() == [-1, 1, 0, 1]
    torch.testing.assert_close(flips.confidence[1], torch.sigmoid(torch.tensor(20 * 0.01)))
    assert flips.confidence[0] == 0


def test_an_image_without_any_gradient_is_counted() -> None:
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1e4] * 4, [-1e4] * 4]))
    saturated = nn.Sequential(nn.Flatten(), layer)
    data = Split(grey(0.9, 0.8), torch.tensor([0, 1]))  # sure and right; sure and wrong

    assert zero_gradient_share(directions(saturated, data, 2)) == 0.5


def test_the_picture_of_a_class_is_its_median_flip() -> None:
    flips = Flips(
        epsilon=torch.tensor([0.3, 0.0, 0.1, 0.2, torch.inf, torch.inf]),
        becomes=torch.tensor([1, 1, 1, 1, -1, -1]),
        confidence=torch.rand(6),
    )
    assert typical_of_each_class(flips, torch.tensor([0, 0, 0, 0, 0, 1]), classes=3).tolist() == [3]


def test_the_bag_is_the_least_confident_among_the_sure_ones() -> None:
    flips = Flips(
        epsilon=torch.tensor([0.1, 0.1, 0.1, 0.0, 0.1, 0.1]),
        becomes=torch.tensor([7, 7, 7, 7, 6, 7]),
        confidence=torch.tensor([0.5, 0.4, 0.1, 0.2, 0.1, 0.3]),
    )
    y = torch.tensor([8, 8, 8, 8, 8, 5])
    sure = torch.tensor([True, True, False, True, True, True])

    assert least_confident_flip(flips, y, before=8, after=7, sure=sure) == 1
    assert least_confident_flip(flips, y, before=8, after=0, sure=sure) is None


class BagOrShirt(nn.Module):
    """Ten logits, of which only those of bag and T-shirt ever win."""

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.full((len(x), 10), -20.0)
        two = Brightness()(x)
        return logits.index_put((torch.arange(len(x))[:, None], torch.tensor([[BAG, T_SHIRT]])), two)


SETTINGS = FGSM(epsilons=[0.0, 0.1, 0.3], search_step=0.05, search_stop=0.3, slider_steps=3, bag_confidence=0.9)


def test_an_assessment_finds_the_bag_that_becomes_a_t_shirt() -> None:
    data = Split(grey(0.28, 0.32, 0.45), torch.tensor([BAG, BAG, BAG]))

    curve, metrics, pictures, told = assess(BagOrShirt(), data, SETTINGS, batch_size=2)

    assert [row["accuracy"] for row in curve] == pytest.approx([1, 2 / 3, 0])
    assert metrics["clean_accuracy"] == 1
    assert metrics["accuracy_at_0.1"] == pytest.approx(2 / 3)
    assert metrics["median_flipping_epsilon"] == pytest.approx(0.2)
    assert metrics["never_flipped_share"] == 0
    # Of the two sure enough, the one that the grid's ε takes less far beyond the boundary.
    assert metrics["bag_index"] == 1
    assert metrics["bag_epsilon"] == pytest.approx(0.2)
    assert metrics["bag_t_shirt_confidence"] == pytest.approx(torch.sigmoid(torch.tensor(20 * 0.02)).item())
    torch.testing.assert_close(pictures["bag.adversarial"], grey(0.52))
    torch.testing.assert_close(pictures["bag.clean"], grey(0.32))
    assert pictures["gallery.label"].tolist() == [BAG]
    torch.testing.assert_close(pictures["bag.adversarial_probabilities"].sum(dim=1), torch.ones(1))
    # The slider has the first bag, from 0 to 0.3 in three steps.
    torch.testing.assert_close(pictures["slider.clean"], grey(0.28))
    assert [row["series"] for row in told] == ["Bag"] * 4
    assert [row["epsilon"] for row in told] == pytest.approx([0, 0.1, 0.2, 0.3])
    for row in told:
        assert row["true"] == row["Bag"]
        brightness = torch.tensor(0.28 + row["epsilon"])  # type: ignore[operator]
        assert row["T-shirt/top"] == pytest.approx(torch.sigmoid(20 * (brightness - 0.5)).item(), abs=1e-5)
        assert sum(row[name] for name in CLASSES) == pytest.approx(1)  # type: ignore[misc]


def test_an_assessment_without_such_a_bag_says_so() -> None:
    data = Split(grey(0.01, 0.02), torch.tensor([BAG, BAG]))  # too far from the boundary for any ε tried

    _, metrics, pictures, _ = assess(BagOrShirt(), data, SETTINGS, batch_size=2)

    assert metrics["bag_index"] is None
    assert metrics["bag_epsilon"] is None
    assert metrics["median_flipping_epsilon"] is None
    assert metrics["never_flipped_share"] == 1
    assert len(pictures["bag.label"]) == len(pictures["gallery.label"]) == 0
