"""The images that are shown are typical ones, and the bag that becomes a T-shirt."""

import torch

from descent.robustness.examples import BAG, T_SHIRT, bag_to_t_shirt, typical_of_each_class
from descent.robustness.flips import Flips


def test_the_picture_of_a_class_is_its_median_flip() -> None:
    epsilon = torch.tensor([0.3, 0.0, 0.1, 0.2, torch.inf, torch.inf, 0.4])
    flips = Flips(epsilon, becomes=torch.ones(7).long(), confidence=torch.rand(7))
    assert typical_of_each_class(flips, torch.tensor([0, 0, 0, 0, 0, 1, 0]), classes=3).tolist() == [3]


def test_the_bag_is_the_least_confident_among_the_confident_ones() -> None:
    epsilon, confidence = torch.tensor([[0.1, 0.1, 0.1, 0.0, 0.1, 0.1], [0.5, 0.4, 0.1, 0.2, 0.1, 0.3]])
    flips = Flips(epsilon, torch.tensor([1, 1, 1, 1, 0, 1]), confidence)
    y, confident = torch.tensor([2, 2, 2, 2, 2, 0]), torch.tensor([True, True, False, True, True, True])
    assert bag_to_t_shirt(flips, y, ["Coat", T_SHIRT, BAG], confident).tolist() == [1]
    assert bag_to_t_shirt(flips, y, [T_SHIRT, "Coat", BAG], confident).tolist() == [4]
    assert bag_to_t_shirt(flips, y, ["Coat", BAG, T_SHIRT], confident).tolist() == []
    assert bag_to_t_shirt(flips, y, ["Coat", "Shirt", BAG], confident).tolist() == []
