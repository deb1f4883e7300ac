"""Transfer: accuracy of each classifier on the others' adversarial examples."""

from collections.abc import Mapping, Sequence
from math import sqrt

from torch import nn

from descent.io.datasets import Split
from descent.models.evaluation import accuracy, predict


def transfer_rows(
    models: Mapping[str, nn.Module], sets: Mapping[str, Split], batch_size: int
) -> list[dict[str, float | str]]:
    """Return the `accuracy` of every model (`target`) on the adversarial examples of every model (`source`)."""
    return [
        {
            "pair": f"{source} on {target}",
            "source": source,
            "target": target,
            "accuracy": accuracy(predict(model, images.x, batch_size), images.y).item(),
            "images": len(images.y),
        }
        for source, images in sets.items()
        for target, model in models.items()
    ]


def stronger_from_elsewhere(rows: Sequence[Mapping[str, float | str]]) -> list[str]:
    """Name each pair whose target is clearly less accurate than under its own attack: that attack is weak.

    Clearly: by more than two standard deviations of the difference of two accuracies on this number of images.
    """
    own = {row["target"]: float(row["accuracy"]) for row in rows if row["source"] == row["target"]}
    noise = 2 * sqrt(0.5 / min(float(row["images"]) for row in rows))
    return [
        f"white_box_beats_transfer ({row['source']} on {row['target']})"
        for row in rows
        if float(row["accuracy"]) < own[row["target"]] - noise
    ]
