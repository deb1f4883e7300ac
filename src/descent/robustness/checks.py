"""Sanity checks: signs that an attack is weak and overestimates robustness."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import NamedTuple

import torch
from torch import nn

from descent.io.datasets import Split


class AttackResults(NamedTuple):
    """The results of the attacks on a classifier that the checks use."""

    fgsm: Sequence[Mapping[str, float]]  # rows of `sweep`
    pgd: Sequence[Mapping[str, float]]  # of `Bracket`, as `contradictions`
    # Under FGSM with the difference-of-logits ratio, at `epsilon`; None with two classes, for which it is not defined.
    dlr_accuracy: float | None
    zero_gradient_share: float
    epsilon: float
    pgd_images: int
    contradictions: int


def check(model: nn.Module, data: Split, results: AttackResults) -> dict[str, bool | None]:
    """Return whether each check passes, None where it does not apply (AutoAttack's flags; Croce & Hein 2020).

    A check fails if

    - `logits_not_probabilities`: the outputs of every image are probabilities, whose cross-entropy has almost no
      gradient.
    - `deterministic_forward`: a second pass of the same images gives other outputs.
    - `evaluation_mode`: a part of the model is in training mode.
    - `inputs_in_range`: pixels lie outside [0, 1], so that ε and clipping have another meaning.
    - `gradients_not_zero`: more than 1 % of the images have a zero gradient, so that FGSM cannot perturb them.
    - `cross_entropy_not_saturated`: under FGSM the accuracy is clearly lower with the difference-of-logits ratio, which
      scaling does not change, than with cross-entropy. Not applicable with two classes: the ratio needs three logits.
    - `fgsm_not_above_clean`: at some ε the accuracy under FGSM is clearly higher than without an attack.
    - `pgd_not_weaker_than_fgsm`: at some ε the accuracy under PGD is clearly higher than under FGSM.
    - `certified_not_flipped`: an attack flips an image that is certified for its ε, so that one of the two is wrong.
    - `large_epsilon_breaks`: at the largest ε of PGD the accuracy is clearly above the share of the largest class. From
      ε = 0.5 on every image can be made grey, and all grey images get one class; its share is the best accuracy that a
      classifier can keep (Carlini et al. 2019, arXiv:1902.06705, on large perturbations). Not applicable if the largest
      ε is below 0.5, or if no accuracy can be clearly above the share, as with few images or one class.
    - `noise_not_stronger`: the accuracy under random noise of size ε is clearly lower than under FGSM.

    Clearly: by more than two standard deviations of the difference of two accuracies on this number of images.
    """
    x, n = data.x[:200], len(data.y)
    with torch.no_grad():
        once, again = model(x), model(x)
    shares = bool((once >= 0).all()) and torch.allclose(once.sum(dim=1), torch.ones(len(once), dtype=once.dtype))
    (fgsm,) = (row for row in results.fgsm if row["epsilon"] == results.epsilon)
    noise, few = 2 * sqrt(0.5 / n), 2 * sqrt(0.5 / results.pgd_images)
    # Not 1 / classes: where classes differ in size, a constant prediction has a higher accuracy.
    chance = data.y[: results.pgd_images].bincount().max().item() / results.pgd_images + few
    return {
        "logits_not_probabilities": not shares,
        "deterministic_forward": torch.equal(once, again),
        "evaluation_mode": not any(module.training for module in model.modules()),
        "inputs_in_range": bool((data.x >= 0).all() and (data.x <= 1).all()),
        "gradients_not_zero": results.zero_gradient_share <= 0.01,
        "cross_entropy_not_saturated": (
            None if results.dlr_accuracy is None else fgsm["accuracy"] <= results.dlr_accuracy + noise
        ),
        "fgsm_not_above_clean": all(row["accuracy"] <= results.fgsm[0]["accuracy"] + noise for row in results.fgsm),
        "pgd_not_weaker_than_fgsm": all(row["accuracy"] <= row["fgsm_accuracy"] + few for row in results.pgd),
        "certified_not_flipped": results.contradictions == 0,
        "large_epsilon_breaks": (
            results.pgd[-1]["accuracy"] <= chance if results.pgd[-1]["epsilon"] >= 0.5 and chance < 1 else None
        ),
        "noise_not_stronger": all(row["accuracy"] <= row["noise_accuracy"] + noise for row in results.fgsm),
    }
