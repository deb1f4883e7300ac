"""Robustness of a classifier: accuracy against ε, the smallest flipping ε, sanity checks, example images."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from descent.attacks.gradient_sign import moved
from descent.attacks.losses import dlr
from descent.attacks.norms import Images
from descent.io.datasets import Dataset, Split
from descent.io.results import Value
from descent.io.schema import Bench
from descent.models.evaluation import accuracy, predict
from descent.robustness.bracket import bracket
from descent.robustness.checks import AttackResults, check
from descent.robustness.examples import bag_to_t_shirt, class_probabilities, examples, typical_of_each_class
from descent.robustness.flips import Rows, quantiles, smallest_flips
from descent.robustness.sweep import directions, fgsm_accuracy, sweep, zero_gradient_share


class Curves(NamedTuple):
    """Rows of the plots: accuracy under FGSM and PGD, certified accuracy, flipping ε, class probabilities against ε."""

    fgsm: list[dict[str, float]]
    pgd: list[dict[str, float]]
    certified: list[dict[str, float]]
    flips: Rows
    probabilities: Rows


class Assessment(NamedTuple):
    """Everything that `assess` returns."""

    curves: Curves
    confusion: Rows  # at `epsilon` of the settings
    metrics: dict[str, Value]  # None where there is no such image
    example_images: dict[str, Tensor]  # named `gallery.…`, `bag.…`, `write_up.…` and `slider.…`
    adversarial: Images  # all test images, attacked at `epsilon` of the settings


def assess(model: nn.Sequential, data: Dataset, settings: Bench, batch_size: int, rng: torch.Generator) -> Assessment:
    """Attack every test image with FGSM at every ε, the first with PGD, certify those, and run the sanity checks.

    Pixels are in [0, 1]. The training images give the units of the write-up. `rng` draws the noise of the control and
    the random starts of PGD.
    """
    model.eval()
    test, classes = data.test, data.classes
    direction = directions(model, test, batch_size)
    fgsm, predicted, confidence = sweep(model, test, direction, settings.epsilons, batch_size, rng)
    wrong = predicted != test.y
    bounds = bracket(model, test, ~wrong, settings, batch_size, rng)
    flips = smallest_flips(model, test, direction, wrong, settings.epsilons, settings.tolerance, batch_size)
    flipping, y = flips.epsilon[~wrong[0]], test.y[~wrong[0]]
    results = AttackResults(
        fgsm=fgsm,
        pgd=bounds.pgd,
        dlr_accuracy=fgsm_accuracy(model, test, settings.epsilon, dlr, batch_size) if len(classes) > 2 else None,
        zero_gradient_share=zero_gradient_share(direction),
        epsilon=settings.epsilon,
        pgd_images=min(settings.pgd.images, len(test.y)),
        contradictions=bounds.contradictions,
    )

    bag = bag_to_t_shirt(flips, test.y, classes, confidence[0] > settings.bag_confidence)
    typical = typical_of_each_class(flips, test.y, len(classes))
    # The first of each class do not depend on predictions.
    first = torch.cat([(test.y == label).nonzero().flatten()[:1] for label in range(len(classes))])
    scaled = direction * data.train.x.norm(dim=0)
    unclipped, unclipped_bag = write_up(model, test, scaled, settings.write_up_epsilon, bag, batch_size)
    steps = torch.linspace(0, settings.slider_stop, settings.slider_steps + 1)
    images = {
        "gallery": examples(model, Split(test.x[typical], test.y[typical]), direction[typical], flips.epsilon[typical]),
        "bag": examples(model, Split(test.x[bag], test.y[bag]), direction[bag], flips.epsilon[bag]),
        "write_up": unclipped_bag,
        "slider": {"clean": test.x[first], "direction": direction[first], "epsilon": steps},
    }
    of_bag = {
        "index": bag,
        "epsilon": flips.epsilon[bag],
        "clean_confidence": confidence[0, bag],
        "t_shirt_confidence": flips.confidence[bag],
    }
    metrics = {
        "clean_accuracy": (~wrong[0]).float().mean().item(),
        "clean_mean_confidence": confidence[0].mean().item(),
        **attack_metrics(results, check(model, test, results), flipping),
        **metrics_by_epsilon("certified", bounds.rows),
        "half_certified_epsilon": bounds.half_certified,
        **{f"bag_{name}": values.item() if len(bag) else None for name, values in of_bag.items()},
        **unclipped,
    }
    probabilities = class_probabilities(model, images["slider"], test.y[first], classes)
    return Assessment(
        Curves(fgsm, bounds.pgd, bounds.rows, quantiles(flipping, y, classes), probabilities),
        confusion_rows(test.y, predicted[settings.epsilons.index(settings.epsilon)], classes),
        metrics,
        {f"{group}.{name}": tensor for group, tensors in images.items() for name, tensor in tensors.items()},
        moved(test.x, direction, settings.epsilon),
    )


def attack_metrics(
    results: AttackResults, checks: Mapping[str, bool | None], flipping: Float[Tensor, " correct"]
) -> dict[str, Value]:
    """Return the metrics of attacks and checks; `flipping` is the smallest ε that flips each correct image."""
    median = flipping.median().item() if len(flipping) else torch.inf
    curves: dict[str, Value] = {f"accuracy_at_{row['epsilon']:g}": row["accuracy"] for row in results.fgsm}
    curves |= metrics_by_epsilon("pgd", results.pgd)
    return {
        "zero_gradient_share": results.zero_gradient_share,
        "median_flipping_epsilon": median if median < torch.inf else None,
        "never_flipped_share": flipping.isinf().float().mean().item() if len(flipping) else 0.0,
        "failed_checks": ", ".join(name for name, passed in checks.items() if passed is False) or "none",
        "checks_not_applicable": ", ".join(name for name, passed in checks.items() if passed is None) or "none",
        **curves,
    }


def metrics_by_epsilon(prefix: str, rows: Sequence[Mapping[str, float]]) -> dict[str, Value]:
    """Return the accuracy of each row and its interval as metrics, named by the prefix and the row's ε."""
    return {f"{prefix}_{name}_at_{row['epsilon']:g}": row[name] for row in rows for name in ("accuracy", "low", "high")}


def write_up(
    model: nn.Module, data: Split, direction: Images, epsilon: float, shown: Int[Tensor, " shown"], batch_size: int
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Attack as in the write-up: ε in units of columns of length 1, without clipping.

    The write-up scaled each column (one pixel) of its table of training images to length 1, which keeps the sign of the
    gradient. A step of ε there is one of ε times the column's length here, and `direction` is FGSM's times that length.

    Returns:
        `write_up_accuracy`; `write_up_mean_change`, the mean absolute perturbation of a pixel; and
        `write_up_share_out_of_range`, the share of pixels outside [0, 1]. Second, the example images `shown` as
        `examples` returns them, but with the whole perturbation as `direction`.
    """
    adversarial = moved(data.x, direction, epsilon, bounds=None)
    metrics = {
        "write_up_accuracy": accuracy(predict(model, adversarial, batch_size), data.y).item(),
        "write_up_mean_change": epsilon * direction.abs().mean().item(),
        "write_up_share_out_of_range": ((adversarial < 0) | (adversarial > 1)).float().mean().item(),
    }
    clean, along, epsilons = Split(data.x[shown], data.y[shown]), direction[shown], torch.full((len(shown),), epsilon)
    return metrics, examples(model, clean, along, epsilons, bounds=None) | {"direction": epsilon * along}


def confusion_rows(y: Int[Tensor, " n"], predicted: Int[Tensor, " n"], classes: Sequence[str]) -> Rows:
    """Count the images of each true class by predicted class: rows of `actual`, `predicted`, `images`."""
    counts = (y * len(classes) + predicted).bincount(minlength=len(classes) ** 2).tolist()
    pairs = zip(product(classes, classes), counts, strict=True)
    return [{"actual": actual, "predicted": predicted, "images": images} for (actual, predicted), images in pairs]
