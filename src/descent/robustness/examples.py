"""Example images for figures and the page: typical ones, and the bag that becomes a T-shirt."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from descent.attacks.gradient_sign import PIXELS, Bounds
from descent.attacks.norms import Images
from descent.io.datasets import Split
from descent.models.evaluation import predict
from descent.robustness.flips import Flips, Rows, moved_each
from descent.robustness.sweep import along

# The classes of the write-up's image, before and after the attack.
BAG, T_SHIRT = "Bag", "T-shirt/top"


def typical_of_each_class(flips: Flips, y: Int[Tensor, " n"], classes: int) -> Int[Tensor, " shown"]:
    """Return, for each class, the correctly classified image whose smallest flipping ε is the (lower) median.

    Not the minimum: the image with the smallest flipping ε is barely classified correctly without an attack. A class
    without flipped images has no example.
    """
    order = flips.epsilon.argsort(stable=True)
    flipped = order[(flips.epsilon[order] > 0) & flips.epsilon[order].isfinite()]
    of_class = (flipped[y[flipped] == label] for label in range(classes))
    return torch.cat([ranked[(len(ranked) - 1) // 2 :][:1] for ranked in of_class])


def bag_to_t_shirt(
    flips: Flips, y: Int[Tensor, " n"], classes: Sequence[str], confident: Bool[Tensor, " n"]
) -> Int[Tensor, " found"]:
    """Return the bag, classified with confidence, that becomes a T-shirt with the lowest confidence, or no image."""
    label = {name: number for number, name in enumerate(classes)}
    becomes = (y == label.get(BAG, -1)) & (flips.becomes == label.get(T_SHIRT, -1))
    candidates = (becomes & (flips.epsilon > 0) & confident).nonzero().flatten()
    return candidates[flips.confidence[candidates].argsort(stable=True)[:1]]


def examples(
    model: nn.Module, data: Split, direction: Images, epsilon: Float[Tensor, " n"], bounds: Bounds = PIXELS
) -> dict[str, Tensor]:
    """Return images, each attacked with its own ε, with what a figure shows of them."""
    adversarial = moved_each(data.x, direction, epsilon, bounds)
    return {
        "clean": data.x,
        "adversarial": adversarial,
        "direction": direction,
        "epsilon": epsilon,
        "label": data.y,
        "clean_probabilities": predict(model, data.x, 1).softmax(dim=1),
        "adversarial_probabilities": predict(model, adversarial, 1).softmax(dim=1),
    }


def class_probabilities(
    model: nn.Module, slider: Mapping[str, Tensor], y: Int[Tensor, " n"], classes: Sequence[str]
) -> Rows:
    """Return the probability of every class for each image at each ε of a slider.

    The slider has `clean` images, the `direction` of each, and `epsilon`, the steps of all. A row has the true class,
    `series`, the `epsilon`, the probability of the true class, `true`, and of all classes, by their names.
    """
    epsilons = slider["epsilon"].tolist()
    probabilities = along(model, slider["clean"], slider["direction"], epsilons, 1).softmax(dim=2).transpose(0, 1)
    return [
        {"series": classes[label], "epsilon": epsilon, "true": row[label]} | dict(zip(classes, row, strict=True))
        for label, of_image in zip(y.tolist(), probabilities.tolist(), strict=True)
        for epsilon, row in zip(epsilons, of_image, strict=True)
    ]
