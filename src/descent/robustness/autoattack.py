"""Accuracy under AutoAttack, the field's standard set of attacks, in the implementation of its authors."""

from collections.abc import Callable, Sequence

from torch import nn

from descent.io.datasets import Split
from descent.models.evaluation import predict
from descent.robustness.sweep import with_interval

# APGD on the cross-entropy; APGD and FAB on each wrong class; Square, which needs no gradient.
ATTACKS = ("apgd-ce", "apgd-t", "fab-t", "square")


def autoattack_rows(
    model: nn.Module,
    data: Split,
    epsilons: Sequence[float],
    batch_size: int,
    seed: int,
    progress: Callable[[], object] = lambda: None,
) -> list[dict[str, float | str]]:
    """Attack images with each attack in turn, at each ε, which increase; `progress` is called after each attack.

    The standard version of AutoAttack (Croce & Hein 2020, arXiv:2003.01690, §4), with its parameters. An image that is
    flipped is not attacked again: its adversarial example is one for every larger ε too. Counted is what the model says
    of images that lie in [0, 1] and in the ball. The attack on each wrong class by APGD needs four classes; with fewer
    it is left out.

    Returns:
        A row for each ε and attack: `epsilon`, `attack`, and `accuracy` with its interval, `low` and `high`, of the
        images that neither this attack nor one before it flips.
    """
    from pyautoattack import AutoAttack  # imported here, since only this study has it installed

    predicted = predict(model, data.x, batch_size)
    robust, wrong_classes = predicted.argmax(dim=1) == data.y, predicted.shape[1] - 1
    rows = list[dict[str, float | str]]()
    for epsilon in epsilons:
        attack = AutoAttack(model, eps=epsilon, seed=seed)
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(9, wrong_classes)
        for name in ATTACKS if wrong_classes > 2 else (name for name in ATTACKS if name != "apgd-t"):
            index = robust.nonzero().flatten()
            if len(index):
                x, y = data.x[index], data.y[index]
                attack.attacks_to_run = [name]
                adversarial, _ = attack.run_standard_evaluation(x, y, batch_size=batch_size)
                allowed = (adversarial - x).abs().flatten(1).amax(dim=1) <= epsilon + 1e-6  # float32
                allowed &= ((adversarial >= 0) & (adversarial <= 1)).flatten(1).all(dim=1)
                robust[index] = ~allowed | (predict(model, adversarial, batch_size).argmax(dim=1) == y)
            rows.append({"epsilon": epsilon, "attack": name, **with_interval(robust)})
            progress()
    return rows
