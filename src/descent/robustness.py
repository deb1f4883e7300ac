"""How a classifier fares under FGSM: accuracy against ε, the smallest ε that flips an image, telling examples."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from descent.attacks import loss_gradient, moved
from descent.data import Split
from descent.fashion_mnist import CLASSES
from descent.params import FGSM
from descent.training import accuracy, predict

Images = Float[Tensor, "n channels height width"]
Row = dict[str, float]

BAG, T_SHIRT = CLASSES.index("Bag"), CLASSES.index("T-shirt/top")


class Assessment(NamedTuple):
    """What an attack showed: a row for each ε, flat metrics, tensors of its pictures, class probabilities."""

    curve: list[Row]
    metrics: dict[str, float | int | None]
    pictures: dict[str, Tensor]
    probabilities: list[dict[str, float | str]]


def assess(model: nn.Module, data: Split, settings: FGSM, batch_size: int) -> Assessment:
    """Attack every image with FGSM at every ε, and find the smallest ε that flips each.

    Returns:
        The curve of `sweep`; the metrics of a clean and an attacked classifier, and of the bag that becomes a
        T-shirt (None where no bag does); pictures named `gallery.…` and `bag.…`, see `examples`, and `slider.…`
        of the first image of each class, at rising ε; and what the classifier says of these, see `class_probabilities`.
    """
    direction = directions(model, data, batch_size)
    curve = sweep(model, data, direction, settings.epsilons, batch_size)
    probabilities = predict(model, data.x, batch_size).softmax(dim=1)
    clean_confidence, clean_class = probabilities.max(dim=1)
    correct = clean_class == data.y
    grid = torch.arange(settings.search_step, settings.search_stop + settings.search_step / 2, settings.search_step)
    flips = smallest_flips(model, data, direction, grid.tolist(), batch_size)
    bag = least_confident_flip(flips, data.y, BAG, T_SHIRT, clean_confidence > settings.bag_confidence)

    metrics: dict[str, float | int | None] = {
        "clean_accuracy": correct.float().mean().item(),
        "clean_mean_confidence": clean_confidence.mean().item(),
        "zero_gradient_share": zero_gradient_share(direction),
        "median_flipping_epsilon": median if (median := flips.epsilon[correct].median().item()) < torch.inf else None,
        "never_flipped_share": flips.epsilon[correct].isinf().float().mean().item(),
    }
    metrics |= {f"accuracy_at_{row['epsilon']:g}": row["accuracy"] for row in curve}
    metrics |= {
        "bag_index": bag,
        "bag_epsilon": None if bag is None else flips.epsilon[bag].item(),
        "bag_clean_confidence": None if bag is None else clean_confidence[bag].item(),
        "bag_t_shirt_confidence": None if bag is None else flips.confidence[bag].item(),
    }
    chosen = {
        "gallery": typical_of_each_class(flips, data.y, len(CLASSES)),
        "bag": torch.tensor([] if bag is None else [bag], dtype=torch.int64),
    }
    pictures = {
        f"{group}.{name}": tensor
        for group, index in chosen.items()
        for name, tensor in examples(model, data, direction, flips, index).items()
    }
    first = first_of_each_class(data.y, len(CLASSES))
    shown = Split(data.x[first], data.y[first])
    steps = torch.linspace(0, settings.search_stop, settings.slider_steps + 1)
    pictures |= {"slider.clean": shown.x, "slider.direction": direction[first], "slider.epsilon": steps}
    told = class_probabilities(model, shown, direction[first], steps)
    return Assessment(curve, metrics, pictures, told)


def directions(model: nn.Module, data: Split, batch_size: int) -> Images:
    """Return FGSM's direction for each image: the sign of the loss's gradient.

    The gradient is taken at the clean image, so one direction serves every ε.
    """
    model.eval()
    parts = zip(data.x.split(batch_size), data.y.split(batch_size), strict=True)
    return torch.cat([loss_gradient(model, x, y).sign() for x, y in parts])


def zero_gradient_share(direction: Images) -> float:
    """Return the share of images with no direction at all, which FGSM cannot move.

    They count as robust although nothing was tried: with confident logits the softmax saturates and the
    gradient underflows in float32.
    """
    return (direction.flatten(1) == 0).all(dim=1).float().mean().item()


def sweep(model: nn.Module, data: Split, direction: Images, epsilons: Sequence[float], batch_size: int) -> list[Row]:
    """Attack every image at every ε.

    Returns:
        A row for each ε: `accuracy` over all images, `flip_rate` (share of the images that were classified
        correctly and no longer are) and `mean_confidence` (mean of the largest class probability).
    """
    correct = predict(model, data.x, batch_size).argmax(dim=1) == data.y
    rows = []
    for epsilon in epsilons:
        logits = predict(model, moved(data.x, direction, epsilon), batch_size)
        still = (logits.argmax(dim=1) == data.y)[correct]
        rows.append(
            {
                "epsilon": epsilon,
                "accuracy": accuracy(logits, data.y).item(),
                "flip_rate": 1 - still.float().mean().item(),
                "mean_confidence": logits.softmax(dim=1).amax(dim=1).mean().item(),
            }
        )
    return rows


class Flips(NamedTuple):
    """For each image, the smallest ε on the grid at which it is misclassified, and what it then looks like."""

    epsilon: Float[Tensor, " n"]  # 0: misclassified unmoved; infinite: not flipped by any ε tried
    becomes: Int[Tensor, " n"]  # the class predicted at that ε; -1 where no ε flipped it
    confidence: Float[Tensor, " n"]  # of that class at that ε, in [0, 1]; 0 where no ε flipped it


def smallest_flips(
    model: nn.Module, data: Split, direction: Images, epsilons: Sequence[float], batch_size: int
) -> Flips:
    """Try each ε in rising order on the images that none has flipped yet."""
    n = len(data.y)
    flips = Flips(torch.full((n,), torch.inf), torch.full((n,), -1), torch.zeros(n))
    left = torch.arange(n)
    for epsilon in sorted({0.0, *epsilons}):
        if not len(left):
            break
        images = moved(data.x[left], direction[left], epsilon)
        confidence, becomes = predict(model, images, batch_size).softmax(dim=1).max(dim=1)
        wrong = becomes != data.y[left]
        hit = left[wrong]
        flips.epsilon[hit] = epsilon
        flips.becomes[hit] = becomes[wrong]
        flips.confidence[hit] = confidence[wrong]
        left = left[~wrong]
    return flips


def typical_of_each_class(flips: Flips, y: Int[Tensor, " n"], classes: int) -> Int[Tensor, " shown"]:
    """Pick, for each class, the correctly classified image whose smallest flipping ε is the (lower) median.

    The median and not the minimum: an image that the least ε flips was hardly recognised to begin with.
    Classes of which no image is flipped are left out.
    """
    picked = []
    for label in range(classes):
        candidates = _where((y == label) & (flips.epsilon > 0) & flips.epsilon.isfinite())
        if len(candidates):
            ranked = flips.epsilon[candidates].argsort(stable=True)
            picked.append(candidates[ranked[(len(ranked) - 1) // 2]])
    return torch.stack(picked) if picked else torch.empty(0, dtype=torch.int64)


def first_of_each_class(y: Int[Tensor, " n"], classes: int) -> Int[Tensor, " shown"]:
    """Return the first image of each class, whatever a classifier makes of it: nobody picked these."""
    return torch.cat([_where(y == label)[:1] for label in range(classes)])


def class_probabilities(
    model: nn.Module, data: Split, direction: Images, epsilons: Float[Tensor, " steps"]
) -> list[dict[str, float | str]]:
    """Tell the probability of every class for each image, moved by each ε.

    Returns:
        For each image (`series`, its true class) and each `epsilon` the probability of the true class, `true`, and
        of all classes, by their names.
    """
    rows: list[dict[str, float | str]] = []
    for x, y, toward in zip(*data, direction, strict=True):
        shown = torch.stack([moved(x, toward, epsilon) for epsilon in epsilons.tolist()])
        for epsilon, given in zip(epsilons, predict(model, shown, 1).softmax(dim=1), strict=True):
            named = dict(zip(CLASSES, given.tolist(), strict=True))
            rows.append({"series": CLASSES[y], "epsilon": epsilon.item(), "true": named[CLASSES[y]]} | named)
    return rows


def least_confident_flip(
    flips: Flips, y: Int[Tensor, " n"], before: int, after: int, sure: Bool[Tensor, " n"]
) -> int | None:
    """Pick the image of class `before` that becomes `after` with the lowest confidence.

    Args:
        flips: Of every image.
        y: True classes.
        before: The class it must have, and be given unmoved.
        after: The class it must be given at its smallest flipping ε.
        sure: Which images are confident enough, unmoved, to be of interest.

    Returns:
        Its index, or None where no image does so.
    """
    candidates = _where((y == before) & (flips.becomes == after) & (flips.epsilon > 0) & sure)
    return int(candidates[flips.confidence[candidates].argmin()]) if len(candidates) else None


def examples(
    model: nn.Module, data: Split, direction: Images, flips: Flips, index: Int[Tensor, " shown"]
) -> dict[str, Tensor]:
    """Collect what a picture of these images needs, each at the smallest ε that flips it.

    Returns:
        `clean` and `adversarial` images, the `direction` in which they differ, `epsilon`, the true `label`, and
        the `clean_probabilities` and `adversarial_probabilities` of all classes.
    """
    clean, epsilon = data.x[index], flips.epsilon[index]
    adversarial = moved(clean, direction[index] * epsilon[:, None, None, None], 1.0)
    return {
        "clean": clean,
        "adversarial": adversarial,
        "direction": direction[index],
        "epsilon": epsilon,
        "label": data.y[index],
        "clean_probabilities": predict(model, clean, 1).softmax(dim=1),
        "adversarial_probabilities": predict(model, adversarial, 1).softmax(dim=1),
    }


def _where(mask: Bool[Tensor, " n"]) -> Int[Tensor, " found"]:
    return mask.nonzero().flatten()
