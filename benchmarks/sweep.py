"""A sweep of FGSM over all ε of params.yaml and all test images: ours and three independent libraries."""

from collections.abc import Callable

import foolbox
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.inputs import OURS, images, params, trained
from benchmarks.timing import Prepare, Section, alternate, beside
from descent.io.datasets import Split
from descent.models.evaluation import accuracy, predict
from descent.robustness.sweep import along, directions
from descent.sources import vision
from descent.sources.published import FASHION_CLASSES

assert vision  # noqa: S101 - torchattacks imports torchvision
import torchattacks  # noqa: E402
from art.attacks.evasion import FastGradientMethod  # noqa: E402
from art.estimators.classification import PyTorchClassifier  # noqa: E402

Sweep = Callable[[nn.Module, Split, list[float], int], Tensor]


def ours(model: nn.Module, data: Split, epsilons: list[float], batch: int) -> Tensor:
    """Sweep with one gradient for each image."""
    logits = along(model, data.x, directions(model, data, batch), epsilons, batch)
    return torch.stack([accuracy(of_epsilon, data.y) for of_epsilon in logits])


def by_foolbox(model: nn.Module, data: Split, epsilons: list[float], batch: int) -> Tensor:
    """Sweep with foolbox, which is given all ε at once."""
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfFastGradientAttack()
    parts = zip(data.x.split(batch), data.y.split(batch), strict=True)
    success = [attack(bounded, x, y, epsilons=epsilons)[2] for x, y in parts]
    return 1 - torch.cat(success, dim=1).float().mean(dim=1)


def by_torchattacks(model: nn.Module, data: Split, epsilons: list[float], batch: int) -> Tensor:
    """Sweep with one call of torchattacks for each ε."""
    accuracies = []
    for epsilon in epsilons:
        attack = torchattacks.FGSM(model, eps=epsilon)
        parts = zip(data.x.split(batch), data.y.split(batch), strict=True)
        moved = torch.cat([attack(x, y) for x, y in parts])
        accuracies.append(accuracy(predict(model, moved, batch), data.y))
    return torch.stack(accuracies)


def by_art(model: nn.Module, data: Split, epsilons: list[float], batch: int) -> Tensor:
    """Sweep with one call of the Adversarial Robustness Toolbox for each ε."""
    classifier = PyTorchClassifier(
        model=model,
        loss=nn.CrossEntropyLoss(),
        input_shape=data.x.shape[1:],
        nb_classes=len(FASHION_CLASSES),
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    x, y = data.x.numpy(), data.y.numpy()
    accuracies = []
    for epsilon in epsilons:
        # It takes no ε of 0, at which nothing moves.
        attack = FastGradientMethod(classifier, eps=epsilon, batch_size=batch) if epsilon else None
        moved = attack.generate(x, y) if attack else x
        accuracies.append(float(np.mean(classifier.predict(moved, batch_size=batch).argmax(axis=1) == y)))
    return torch.tensor(accuracies)


SWEEPS: dict[str, Sweep] = {
    OURS: ours,
    "foolbox": by_foolbox,
    "torchattacks": by_torchattacks,
    "Adversarial Robustness Toolbox": by_art,
}


def section(name: str, rounds: int) -> Section:
    """Time a sweep against one of the classifiers."""
    epsilons, batch = params().attack.bench.epsilons, params().evaluation.batch_size
    data, model = images().test, trained(name)
    found: dict[str, Tensor] = {}

    def of(sweep: Sweep, label: str) -> Prepare:
        def timed() -> None:
            found[label] = sweep(model, data, epsilons, batch)

        return lambda: timed

    seconds = alternate({label: of(sweep, label) for label, sweep in SWEEPS.items()}, rounds)
    rows = beside(seconds, OURS)
    for label, row in rows.items():
        row["accuracy differs by"] = (found[label] - found[OURS]).abs().max().item()
    return {
        "title": f"FGSM against {name}",
        "note": f"{len(epsilons)} ε, {len(data.y):,} images in batches of {batch}, {torch.get_num_threads()} thread.",
        "rows": rows,
    }
