"""Known ways to overrate a classifier's robustness, each looked for by name."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import NamedTuple

import torch
from torch import nn

from descent.data import Split

Row = Mapping[str, float]
# Images that the model itself is tried on.
FEW = 200
# More images without any gradient than this, and the attack has not been tried on them.
ZERO_GRADIENTS = 0.01
# Under PGD at the largest ε hardly anything should be recognised: no more than by guessing.
GUESSING = 0.1


class Findings(NamedTuple):
    """What the attacks on a classifier have shown."""

    fgsm: Sequence[Row]  # rows of `sweep`
    pgd: Sequence[Row]  # rows of `pgd_curve`
    dlr_accuracy: float  # under FGSM with the difference-of-logits ratio, at `epsilon`
    zero_gradient_share: float
    epsilon: float
    pgd_images: int


def failed_checks(model: nn.Module, data: Split, findings: Findings) -> list[str]:
    """Return the names of the checks that fail, in the style of AutoAttack's flags (Croce & Hein 2020).

    - `logits_not_probabilities`: the outputs of every image are shares that add up to 1, whose cross-entropy has
      hardly a gradient.
    - `deterministic_forward`: the same images give other outputs a second time.
    - `evaluation_mode`: a part of the model is in training mode.
    - `inputs_in_range`: pixels lie outside [0, 1], so that ε and clipping mean something else.
    - `gradients_not_zero`: too many images have no gradient at all.
    - `cross_entropy_not_saturated`: with the difference-of-logits ratio, which scaling does not change, FGSM does
      clearly better than with cross-entropy.
    - `pgd_not_weaker_than_fgsm`: at some ε PGD leaves clearly more images recognised.
    - `large_epsilon_breaks`: at the largest ε of PGD more is recognised than by guessing.
    - `noise_not_stronger`: moving every pixel by ε at random does clearly better than FGSM.
    """
    x, n = data.x[:FEW], len(data.y)
    training = any(module.training for module in model.modules())
    with torch.no_grad():
        once, again = model(x), model(x)
    shares = bool((once >= 0).all()) and torch.allclose(once.sum(dim=1), torch.ones(len(once), dtype=once.dtype))
    (fgsm,) = (row for row in findings.fgsm if row["epsilon"] == findings.epsilon)
    # Two standard deviations of the difference of two shares of so many images, at most.
    noise, few = 2 * sqrt(0.5 / n), 2 * sqrt(0.5 / findings.pgd_images)
    holds = {
        "logits_not_probabilities": not shares,
        "deterministic_forward": torch.equal(once, again),
        "evaluation_mode": not training,
        "inputs_in_range": bool((data.x >= 0).all() and (data.x <= 1).all()),
        "gradients_not_zero": findings.zero_gradient_share <= ZERO_GRADIENTS,
        "cross_entropy_not_saturated": fgsm["accuracy"] <= findings.dlr_accuracy + noise,
        "pgd_not_weaker_than_fgsm": all(row["accuracy"] <= row["fgsm_accuracy"] + few for row in findings.pgd),
        "large_epsilon_breaks": findings.pgd[-1]["accuracy"] <= GUESSING,
        "noise_not_stronger": all(row["accuracy"] <= row["noise_accuracy"] + noise for row in findings.fgsm),
    }
    return [name for name, held in holds.items() if not held]
