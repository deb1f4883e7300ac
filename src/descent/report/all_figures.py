"""Every figure of the write-up, by name."""

from collections.abc import Mapping
from typing import Any, NamedTuple

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


class FigureInputs(NamedTuple):
    """The settings, metrics, tables and tensors that the figures are drawn from."""

    runs: Mapping[str, Run]
    epsilon: float  # of the adversarial examples in `transfer` and `confusion`
    data: Mapping[str, Any]  # metrics/data.json
    theory: Mapping[str, Any]  # metrics/theory.json
    trained: Mapping[str, Mapping[str, Any]]  # metrics/train/RUN.json, by run
    theory_tables: Mapping[str, pd.DataFrame]  # {data,plots}/theory/NAME.csv, by name
    curves: Mapping[str, pd.DataFrame]  # plots/curves/RUN.csv, by run
    fgsm: Mapping[str, pd.DataFrame]  # plots/attack/RUN.csv, by attacked run, as all below
    pgd: Mapping[str, pd.DataFrame]  # plots/pgd/RUN.csv
    flips: Mapping[str, pd.DataFrame]  # plots/flips/RUN.csv
    confusion: Mapping[str, pd.DataFrame]  # data/confusion/RUN.csv
    examples: Mapping[str, Mapping[str, Tensor]]  # data/adversarial/RUN.safetensors
    transfer: pd.DataFrame  # plots/transfer.csv


def all_figures(results: FigureInputs) -> dict[str, Figure]:
    """Draw every figure: theory, robustness, regressions, classifiers by kind of model, adversarial examples.

    Only linear regressions have an optimum and a stability threshold, so other models are not among the regressions.
    The bags of the write-up are drawn for Fashion-MNIST alone.
    """
    runs, trained, tables, theory = results.runs, results.trained, results.theory_tables, results.theory
    source, classes = results.data["source"], results.data["class_names"]
    linear = [name for name, run in runs.items() if (run.data, run.model.kind) == ("diabetes", "linear")]
    thresholds = [trained[name]["learning_rate_over_threshold"] for name in linear]
    fgsm, pgd = "Accuracy under the fast gradient sign method", "Accuracy under projected gradient descent"
    figures = {
        "theory-twins": twins(tables["parametrised-relu"]),
        "theory-padding": padding(tables["padding"]),
        "theory-sigmoid-graph": sigmoid_graph(tables["sigmoid-graph"], theory["sigmoid_traced_at"]),
        "theory-sigmoid-gradient": sigmoid_gradient(tables["sigmoid-gradient"], theory),
        "theory-learning-rate": learning_rate(tables["learning-rate"], theory, thresholds),
        "theory-broadcasting": broadcasting(tables["broadcasting"], theory),
        "robustness": robust_accuracies(fgsm, results.fgsm, len(classes), source),
        "robustness-pgd": robust_accuracies(pgd, results.pgd, len(classes), source),
        "flips": flipping_epsilons(results.flips, classes, source),
        "transfer": transfer_matrix(results.transfer, results.epsilon, source),
    }
    if {"Bag", "T-shirt/top"} <= set(classes):
        clipped, unclipped = "A bag becomes a T-shirt/top", "The same bags, ε in the write-up's units, unclipped"
        figures["bag"] = bag_becomes_t_shirt(clipped, "bag", results.examples, classes, source)
        figures["write-up"] = bag_becomes_t_shirt(unclipped, "write_up", results.examples, classes, source)
    if linear:
        curves = {name: results.curves[name] for name in linear}
        rates = {name: runs[name].learning_rate for name in linear}
        figures["regression-loss"] = regression_losses(curves, trained, rates)
        figures["regression-hovering"] = regression_hovering(curves, trained, rates)
    for kind in dict.fromkeys(run.model.kind for run in runs.values() if run.data == "images"):
        of_kind = [name for name, run in runs.items() if (run.data, run.model.kind) == ("images", kind)]
        curves = {name: results.curves[name] for name in of_kind}
        for measure in ("loss", "accuracy"):
            title = MODELS.get(kind, kind)
            figures[f"{kind}-{measure}"] = training_curves(title, measure, curves, trained, source)
    for name, examples in results.examples.items():
        figures[f"confusion-{name}"] = confusion_matrix(name, results.confusion[name], results.epsilon, source)
        figures[f"adversarial-{name}"] = gallery(name, examples, classes, source)
    return figures


def all_sheets(results: FigureInputs) -> dict[str, Tensor]:
    """Lay out the pixels of the slider: `RUN`, the adversarial images, and `RUN-direction`, their directions."""
    sheets = {}
    for name, examples in results.examples.items():
        sheets[name], sheets[f"{name}-direction"] = slider_sheets(examples)
    return sheets
