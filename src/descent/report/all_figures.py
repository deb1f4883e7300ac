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
    """Draw every figure: theory, robustness, regressions, classifiers by kind of model, adversarial examples."""
    return (
        _theory(results)
        | _robustness(results)
        | _bags(results)
        | _regressions(results)
        | _classifiers(results)
        | _adversarial_examples(results)
    )


def all_sheets(results: FigureInputs) -> dict[str, Tensor]:
    """Lay out the pixels of the slider: `RUN`, the adversarial images, and `RUN-direction`, their directions."""
    sheets = {}
    for name, examples in results.examples.items():
        sheets[name], sheets[f"{name}-direction"] = slider_sheets(examples)
    return sheets


def _theory(results: FigureInputs) -> dict[str, Figure]:
    tables, metrics = results.theory_tables, results.theory
    rates = [results.trained[name]["learning_rate_over_threshold"] for name in _linear_regressions(results)]
    return {
        "theory-twins": twins(tables["parametrised-relu"]),
        "theory-padding": padding(tables["padding"]),
        "theory-sigmoid-graph": sigmoid_graph(tables["sigmoid-graph"], metrics["sigmoid_traced_at"]),
        "theory-sigmoid-gradient": sigmoid_gradient(tables["sigmoid-gradient"], metrics),
        "theory-learning-rate": learning_rate(tables["learning-rate"], metrics, rates),
        "theory-broadcasting": broadcasting(tables["broadcasting"], metrics),
    }


def _robustness(results: FigureInputs) -> dict[str, Figure]:
    source, classes = results.data["source"], results.data["class_names"]
    fgsm, pgd = "Accuracy under the fast gradient sign method", "Accuracy under projected gradient descent"
    return {
        "robustness": robust_accuracies(fgsm, results.fgsm, len(classes), source),
        "robustness-pgd": robust_accuracies(pgd, results.pgd, len(classes), source),
        "flips": flipping_epsilons(results.flips, classes, source),
        "transfer": transfer_matrix(results.transfer, results.epsilon, source),
    }


def _bags(results: FigureInputs) -> dict[str, Figure]:
    """Draw the bag of the write-up; other images than Fashion-MNIST have none."""
    source, classes = results.data["source"], results.data["class_names"]
    if not {"Bag", "T-shirt/top"} <= set(classes):
        return {}
    clipped, unclipped = "A bag becomes a T-shirt/top", "The same bags, ε in the write-up's units, unclipped"
    return {
        "bag": bag_becomes_t_shirt(clipped, "bag", results.examples, classes, source),
        "write-up": bag_becomes_t_shirt(unclipped, "write_up", results.examples, classes, source),
    }


def _regressions(results: FigureInputs) -> dict[str, Figure]:
    names = _linear_regressions(results)
    if not names:
        return {}
    curves = {name: results.curves[name] for name in names}
    rates = {name: results.runs[name].learning_rate for name in names}
    return {
        "regression-loss": regression_losses(curves, results.trained, rates),
        "regression-hovering": regression_hovering(curves, results.trained, rates),
    }


def _linear_regressions(results: FigureInputs) -> list[str]:
    """Name the linear regressions: the only runs with an optimum and a stability threshold."""
    return [name for name, run in results.runs.items() if (run.data, run.model.kind) == ("diabetes", "linear")]


def _classifiers(results: FigureInputs) -> dict[str, Figure]:
    source, by_model = results.data["source"], dict[str, dict[str, pd.DataFrame]]()
    for name, run in results.runs.items():
        if run.data == "images":
            by_model.setdefault(run.model.kind, {})[name] = results.curves[name]
    return {
        f"{kind}-{measure}": training_curves(MODELS.get(kind, kind), measure, curves, results.trained, source)
        for kind, curves in by_model.items()
        for measure in ("loss", "accuracy")
    }


def _adversarial_examples(results: FigureInputs) -> dict[str, Figure]:
    source, classes = results.data["source"], results.data["class_names"]
    figures = {}
    for name, examples in results.examples.items():
        figures[f"confusion-{name}"] = confusion_matrix(name, results.confusion[name], results.epsilon, source)
        figures[f"adversarial-{name}"] = gallery(name, examples, classes, source)
    return figures
