"""How a classifier fares under attack: accuracy against ε, the smallest ε that flips each image, self-checks."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from descent.attacks.gradient_sign import moved, pgd
from descent.attacks.losses import dlr
from descent.attacks.norms import Images
from descent.io.datasets import Split
from descent.io.schema import PGD, Bench
from descent.models.evaluation import accuracy, predict
from descent.robustness.checks import Findings, check
from descent.robustness.examples import (
    Flips,
    class_probabilities,
    examples,
    first_of_each_class,
    least_confident_flip,
    typical_of_each_class,
)
from descent.robustness.sweep import (
    along,
    directions,
    fgsm_accuracy,
    sweep,
    with_interval,
    zero_gradient_share,
)

# The classes of the write-up's image, before and after.
BAG, T_SHIRT = "Bag", "T-shirt/top"


class Assessment(NamedTuple):
    """What an attack showed: curves, flat metrics, tensors of its pictures, class probabilities, adversarial images."""

    curve: list[dict[str, float]]
    pgd_curve: list[dict[str, float]]
    flips: list[dict[str, float | str]]
    confusion: list[dict[str, float | str]]
    metrics: dict[str, float | int | str | bool | None]
    pictures: dict[str, Tensor]
    probabilities: list[dict[str, float | str]]
    images: Images


def assess(
    model: nn.Module,
    data: Split,
    classes: Sequence[str],
    columns: Float[Tensor, "channels height width"],
    settings: Bench,
    batch_size: int,
    rng: torch.Generator,
) -> Assessment:
    """Attack every image with FGSM at every ε, the first of them with PGD, and check that nobody is fooled.

    Args:
        model: Maps images with pixels in [0, 1] to logits.
        data: Test images and their classes.
        classes: What these are called.
        columns: Length of each pixel's column in the table of training images, for the write-up's setting.
        settings: Which ε, how PGD goes, what is shown.
        batch_size: Images per pass.
        rng: Draws the noise of the control, and where PGD starts.

    Returns:
        The curves of `sweep` and `pgd_curve`; quantiles of the smallest flipping ε by class; what the images of
        each class are taken for at `settings.epsilon`; metrics, None where there is no such image; pictures named
        `gallery.…`, `bag.…`, `write_up.…` and `slider.…`; what the classifier says of the latter; and all images
        moved by `settings.epsilon`. Where there are no bags or no T-shirts, none is looked for.
    """
    model.eval()
    direction = directions(model, data, batch_size)
    curve, predicted, confidence = sweep(model, data, direction, settings.epsilons, batch_size, rng)
    robust = pgd_curve(model, data, direction, settings.pgd, batch_size, rng)
    flips = smallest_flips(model, data, direction, settings.epsilons, predicted, settings.tolerance, batch_size)
    clean, correct = confidence[0], predicted[0] == data.y
    bag = None
    if {BAG, T_SHIRT} <= set(classes):
        before, after = classes.index(BAG), classes.index(T_SHIRT)
        bag = least_confident_flip(flips, data.y, before, after, clean > settings.bag_confidence)
    recognised = flips.epsilon[correct]
    median = recognised.median().item() if len(recognised) else torch.inf
    zero_gradients = zero_gradient_share(direction)
    checks = check(
        model,
        data,
        Findings(
            fgsm=curve,
            pgd=robust,
            dlr_accuracy=fgsm_accuracy(model, data, settings.epsilon, dlr, batch_size) if len(classes) > 2 else None,
            zero_gradient_share=zero_gradients,
            epsilon=settings.epsilon,
            pgd_images=min(settings.pgd.images, len(data.y)),
        ),
    )

    metrics: dict[str, float | int | str | bool | None] = {
        "clean_accuracy": correct.float().mean().item(),
        "clean_mean_confidence": clean.mean().item(),
        "zero_gradient_share": zero_gradients,
        "median_flipping_epsilon": median if median < torch.inf else None,
        "never_flipped_share": recognised.isinf().float().mean().item() if len(recognised) else 0.0,
        "failed_checks": ", ".join(checks.failed) or "none",
        "checks_not_applicable": ", ".join(checks.not_applicable) or "none",
    }
    metrics |= {f"accuracy_at_{row['epsilon']:g}": row["accuracy"] for row in curve}
    metrics |= {
        f"pgd_{name}_at_{row['epsilon']:g}": row[name] for row in robust for name in ("accuracy", "low", "high")
    }
    metrics |= {
        "bag_index": bag,
        "bag_epsilon": None if bag is None else flips.epsilon[bag].item(),
        "bag_clean_confidence": None if bag is None else clean[bag].item(),
        "bag_t_shirt_confidence": None if bag is None else flips.confidence[bag].item(),
    }
    bags = torch.tensor([] if bag is None else [bag], dtype=torch.int64)
    unclipped, as_written = write_up(model, data, direction * columns, settings.write_up_epsilon, bags, batch_size)
    metrics |= unclipped
    groups = {
        "gallery": examples(model, data, direction, flips.epsilon, typical_of_each_class(flips, data.y, len(classes))),
        "bag": examples(model, data, direction, flips.epsilon, bags),
        "write_up": as_written,
    }
    pictures = {f"{group}.{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}
    first = first_of_each_class(data.y, len(classes))
    shown = Split(data.x[first], data.y[first])
    steps = torch.linspace(0, settings.slider_stop, settings.slider_steps + 1)
    pictures |= {"slider.clean": shown.x, "slider.direction": direction[first], "slider.epsilon": steps}
    return Assessment(
        curve,
        robust,
        quantiles(flips, data.y, classes, correct),
        confusion(data.y, predicted[settings.epsilons.index(settings.epsilon)], classes),
        metrics,
        pictures,
        class_probabilities(model, shown, classes, direction[first], steps),
        moved(data.x, direction, settings.epsilon),
    )


def pgd_curve(
    model: nn.Module, data: Split, direction: Images, settings: PGD, batch_size: int, rng: torch.Generator
) -> list[dict[str, float]]:
    """Attack the first images with PGD, at each ε those that still stand.

    An image that falls at one ε has fallen at every larger one, whose ball holds the same adversarial image.

    Returns:
        A row for each ε: `accuracy` with its interval, `low` and `high`, and `fgsm_accuracy` on the same images.
    """
    few, direction = Split(*(part[: settings.images] for part in data)), direction[: settings.images]
    singles = along(model, few.x, direction, settings.epsilons, batch_size)
    stands = predict(model, few.x, batch_size).argmax(dim=1) == few.y
    rows = []
    for epsilon, single in zip(settings.epsilons, singles, strict=True):
        for index in _where(stands).split(batch_size) if stands.any() else ():
            x, y = few.x[index], few.y[index]
            images = pgd(
                model,
                x,
                y,
                epsilon,
                step=settings.step * epsilon,
                steps=settings.steps,
                restarts=settings.restarts,
                rng=rng,
            )
            stands[index] = predict(model, images, batch_size).argmax(dim=1) == y
        rows.append({"epsilon": epsilon, **with_interval(stands), "fgsm_accuracy": accuracy(single, few.y).item()})
    return rows


def write_up(
    model: nn.Module,
    data: Split,
    direction: Images,
    epsilon: float,
    shown: Int[Tensor, " shown"],
    batch_size: int,
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Attack as the write-up does: ε in units of columns of length 1, and nothing is clipped.

    In its table of training images each column, a pixel, was scaled to length 1. That scales the gradient by a
    positive number a pixel, which leaves its sign alone, so a step of ε there is one of ε times the column's
    length here.

    Args:
        model: Maps images with pixels in [0, 1] to logits.
        data: Images and their classes.
        direction: FGSM's, times the length of each pixel's column.
        epsilon: In those units.
        shown: Images to make pictures of.
        batch_size: Images per pass.

    Returns:
        `write_up_accuracy`; `write_up_mean_change` of a pixel, of which white is 1; `write_up_share_out_of_range`,
        the share of pixels darker than black or lighter than white. And the pictures, as `examples` does, their
        `direction` being all that is added.
    """
    images = moved(data.x, direction, epsilon, bounds=None)
    row = {
        "write_up_accuracy": accuracy(predict(model, images, batch_size), data.y).item(),
        "write_up_mean_change": epsilon * direction.abs().mean().item(),
        "write_up_share_out_of_range": ((images < 0) | (images > 1)).float().mean().item(),
    }
    pictures = examples(model, data, direction, torch.full((len(data.y),), epsilon), shown, bounds=None)
    return row, pictures | {"direction": epsilon * pictures["direction"]}


def smallest_flips(
    model: nn.Module,
    data: Split,
    direction: Images,
    epsilons: Sequence[float],
    predicted: Int[Tensor, "epsilons n"],
    tolerance: float,
    batch_size: int,
) -> Flips:
    """Bisect, for each image, between the first ε of a sweep that flips it and the one before.

    The ε found flips the image, and one smaller by the tolerance does not, nor the next smaller float32 where that is
    further away. Should the image flip and flip back between two values of the sweep, that goes unseen.
    """
    wrong = predicted != data.y
    first = torch.where(wrong.any(dim=0), wrong.int().argmax(dim=0), len(epsilons))
    ladder = torch.tensor([0.0, *epsilons, torch.inf])
    low, high = ladder[first], ladder[first + 1]
    left = _where((first > 0) & (first < len(epsilons)))
    while True:
        middle = (low[left] + high[left]) / 2
        # Between neighbours in float32 there is no middle.
        if not ((high[left] - low[left] > tolerance) & (low[left] < middle) & (middle < high[left])).any():
            break
        images = moved(data.x[left], direction[left] * middle.view(-1, 1, 1, 1), 1.0)
        flipped = predict(model, images, batch_size).argmax(dim=1) != data.y[left]
        high[left] = torch.where(flipped, middle, high[left])
        low[left] = torch.where(flipped, low[left], middle)
    reach = torch.where(high.isinf(), 0.0, high).view(-1, 1, 1, 1)
    confidence, becomes = predict(model, moved(data.x, direction * reach, 1.0), batch_size).softmax(dim=1).max(dim=1)
    return Flips(high, becomes, confidence)


def quantiles(
    flips: Flips, y: Int[Tensor, " n"], classes: Sequence[str], correct: Bool[Tensor, " n"]
) -> list[dict[str, float | str]]:
    """Return, for each class (`series`), the smallest flipping ε at five quantiles of its recognised images.

    Where an image that no ε flipped stands at the quantile there is no row.
    """
    rows: list[dict[str, float | str]] = []
    for label, name in enumerate(classes):
        ranked = flips.epsilon[correct & (y == label)].sort().values
        for share in (0.05, 0.25, 0.5, 0.75, 0.95) if len(ranked) else ():
            epsilon = ranked[round(share * (len(ranked) - 1))].item()
            if epsilon < torch.inf:
                rows.append({"series": name, "quantile": share, "epsilon": epsilon})
    return rows


def confusion(
    y: Int[Tensor, " n"], predicted: Int[Tensor, " n"], classes: Sequence[str]
) -> list[dict[str, float | str]]:
    """Count, for each true class, what its images are taken for: rows of `actual`, `predicted`, `images`."""
    counts = torch.zeros(len(classes), len(classes), dtype=torch.int64)
    counts.index_put_((y, predicted), torch.ones_like(y), accumulate=True)
    return [
        {"actual": actual, "predicted": given, "images": int(counts[row, column])}
        for row, actual in enumerate(classes)
        for column, given in enumerate(classes)
    ]


def _where(mask: Bool[Tensor, " n"]) -> Int[Tensor, " found"]:
    return mask.nonzero().flatten()
