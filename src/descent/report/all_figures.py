"""Every figure of the write-up, by name."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from descent.io.run_schema import Run
from descent.report.figures import (
    confusion_matrix,
    flipping_epsilons,
    regression_hovering,
    regression_losses,
    robust_accuracies,
    training_curves,
    transfer_matrix,
)
from descent.report.image_figures import bag_becomes_t_shirt, gallery, slider_sheets
from descent.report.theory_figures import broadcasting, learning_rate, padding, sigmoid_gradient, sigmoid_graph, twins

MODELS = {"linear": "Softmax regression", "mlp": "MLP", "convnet": "ConvNet"}


def all_figures(
    *,
    runs: Mapping[str, Run],
    epsilon: float,  # of the adversarial examples in `transfer` and `confusion`
    data: Mapping[str, Any],  # metrics/data.json
    theory: Mapping[str, Any],  # metrics/theory.json
    trained: Mapping[str, Mapping[str, Any]],  # metrics/train/RUN.json, by run
    theory_tables: Mapping[str, pd.DataFrame],  # {data,plots}/theory/NAME.csv, by name
    curves: Mapping[str, pd.DataFrame],  # plots/curves/RUN.csv, by run
    fgsm: Mapping[str, pd.DataFrame],  # plots/attack/RUN.csv, by attacked run, as all below
    pgd: Mapping[str, pd.DataFrame],  # plots/pgd/RUN.csv
    flips: Mapping[str, pd.DataFrame],  # plots/flips/RUN.csv
    confusion: Mapping[str, pd.DataFrame],  # data/confusion/RUN.csv
    examples: Mapping[str, Mapping[str, Tensor]],  # data/adversarial/RUN.safetensors
    transfer: pd.DataFrame,  # plots/transfer.csv
) -> dict[str, Figure]:
    """Draw every figure: theory, robustness, regressions, classifiers by kind of model, adversarial examples.

    Only linear regressions have an optimum and a stability threshold, so other models are not among the regressions.
    The bags of the write-up are drawn for Fashion-MNIST alone.
    """
    source, classes = data["source"], data["class_names"]
    kinds = {name: (run.data, run.model.kind) for name, run in runs.items()}
    linear = {name: curves[name] for name in runs if kinds[name] == ("diabetes", "linear")}
    rates = {name: runs[name].learning_rate for name in linear}
    thresholds = [trained[name]["learning_rate_over_threshold"] for name in linear]
    figures = {
        "theory-twins": twins(theory_tables["parametrised-relu"]),
        "theory-padding": padding(theory_tables["padding"]),
        "theory-sigmoid-graph": sigmoid_graph(theory_tables["sigmoid-graph"], theory["sigmoid_traced_at"]),
        "theory-sigmoid-gradient": sigmoid_gradient(theory_tables["sigmoid-gradient"], theory),
        "theory-learning-rate": learning_rate(theory_tables["learning-rate"], theory, thresholds),
        "theory-broadcasting": broadcasting(theory_tables["broadcasting"], theory),
        "robustness": robust_accuracies("the fast gradient sign method", fgsm, len(classes), source),
        "robustness-pgd": robust_accuracies("projected gradient descent", pgd, len(classes), source),
        "flips": flipping_epsilons(flips, classes, source),
        "transfer": transfer_matrix(transfer, epsilon, source),
    }
    if {"Bag", "T-shirt/top"} <= set(classes):
        clipped, unclipped = "A bag becomes a T-shirt/top", "The same bags, ε in the write-up's units, unclipped"
        figures["bag"] = bag_becomes_t_shirt(clipped, "bag", examples, classes, source)
        figures["write-up"] = bag_becomes_t_shirt(unclipped, "write_up", examples, classes, source)
    if linear:
        figures["regression-loss"] = regression_losses(linear, trained, rates)
        figures["regression-hovering"] = regression_hovering(linear, trained, rates)
    for kind in dict.fromkeys(kind for of, kind in kinds.values() if of == "images"):
        of_kind = {name: curves[name] for name in runs if kinds[name] == ("images", kind)}
        for measure in ("loss", "accuracy"):
            title = MODELS.get(kind, kind)
            figures[f"{kind}-{measure}"] = training_curves(title, measure, of_kind, trained, source)
    for name, images in examples.items():
        figures[f"confusion-{name}"] = confusion_matrix(name, confusion[name], epsilon, source)
        figures[f"adversarial-{name}"] = gallery(name, images, classes, source)
    return figures


def all_sheets(examples: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Lay out the pixels of the slider: `RUN`, the adversarial images, and `RUN-direction`, their directions."""
    sheets = {}
    for name, images in examples.items():
        sheets[name], sheets[f"{name}-direction"] = slider_sheets(images)
    return sheets
