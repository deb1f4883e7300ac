"""The accuracies of a trial under attack; trials without an attack do not depend on this module."""

from collections.abc import Sequence

from torch import nn

from descent.io.datasets import Split
from descent.models.evaluation import accuracy
from descent.robustness.certificate import certified_rows
from descent.robustness.sweep import along, directions


def under_attack(model: nn.Sequential, test: Split, epsilons: Sequence[float], batch_size: int) -> dict[str, float]:
    """Return the accuracy under FGSM and the certified accuracy for each ε, named as in metrics/attack/RUN.json."""
    model.eval()
    logits = along(model, test.x, directions(model, test, batch_size), epsilons, batch_size)
    attacked = zip(epsilons, logits, strict=True)
    return {f"accuracy_at_{epsilon:g}": accuracy(each, test.y).item() for epsilon, each in attacked} | {
        f"certified_accuracy_at_{row['epsilon']:g}": row["accuracy"] for row in certified_rows(model, test, epsilons)
    }
