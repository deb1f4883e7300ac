"""The bracket around robust accuracy: a certificate from below, attacks from above, on the same images."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from descent.attacks.gradient_sign import pgd
from descent.io.datasets import Split
from descent.io.schema import PGD, Bench
from descent.models.evaluation import predict
from descent.robustness.certificate import certified, half_certified
from descent.robustness.sweep import with_interval

Hits = Bool[Tensor, " n"]


class Bracket(NamedTuple):
    """Bounds of the robust accuracy for each ε, which increase from 0."""

    # `epsilon`; certified `accuracy` with its interval, `low` and `high`; and, each named `attacked_…`, the same of the
    # images that neither FGSM nor PGD flips at this or a smaller ε.
    rows: list[dict[str, float]]
    pgd: list[dict[str, float]]  # for each ε of PGD: `accuracy`, `low`, `high`, and `fgsm_accuracy` on the same images
    half_certified: float | None
    contradictions: int  # images that are certified for an ε, and flipped at it or a smaller one


def bracket(
    model: nn.Sequential,
    data: Split,
    hits: Bool[Tensor, "epsilons n"],
    settings: Bench,
    batch_size: int,
    rng: torch.Generator,
) -> Bracket:
    """Attack the first images with PGD, and certify them; `hits` are those that FGSM leaves correct, at each ε.

    The robust accuracy is at least that of the certificate and at most that under attack.
    """
    data, hits = Split(*(part[: settings.pgd.images] for part in data)), hits[:, : settings.pgd.images]
    fgsm: Mapping[float, Hits] = dict(zip(settings.epsilons, hits, strict=True))
    pgd = dict(zip(settings.pgd.epsilons, pgd_robust(model, data, settings.pgd, batch_size, rng), strict=True))
    epsilons = sorted({*settings.small_epsilons, *fgsm})
    proven = certified(model, data, epsilons)
    robust, rows, contradictions = fgsm[0.0], list[dict[str, float]](), 0
    for epsilon, holds in zip(epsilons, proven, strict=True):
        robust = robust & fgsm.get(epsilon, robust) & pgd.get(epsilon, robust)
        attacked = {f"attacked_{name}": value for name, value in with_interval(robust).items()}
        rows.append({"epsilon": epsilon, **with_interval(holds), **attacked})
        contradictions += int((holds & ~robust).sum())
    pgd_rows = [
        {"epsilon": epsilon, **with_interval(hits), "fgsm_accuracy": fgsm[epsilon].float().mean().item()}
        for epsilon, hits in pgd.items()
    ]
    return Bracket(rows, pgd_rows, half_certified(model, data, epsilons, proven), contradictions)


def pgd_robust(
    model: nn.Module, data: Split, settings: PGD, batch_size: int, rng: torch.Generator
) -> Bool[Tensor, "epsilons n"]:
    """Return which images are still classified correctly under PGD, at each ε.

    An adversarial example for one ε is one for every larger ε too, so its image is not attacked again.
    """
    robust = predict(model, data.x, batch_size).argmax(dim=1) == data.y
    attack, masks = settings.model_dump(include={"steps", "restarts"}), list[Hits]()
    for epsilon in settings.epsilons:
        for index in robust.nonzero().flatten().split(batch_size) if robust.any() else ():
            x, y = data.x[index], data.y[index]
            adversarial = pgd(model, x, y, epsilon, step=settings.step * epsilon, rng=rng, **attack)
            robust[index] = predict(model, adversarial, batch_size).argmax(dim=1) == y
        masks.append(robust.clone())
    return torch.stack(masks)
