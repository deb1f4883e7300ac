"""params.yaml, metrics, curves, data/adversarial/ → plots/figures/*.png."""

from pathlib import Path

import pandas as pd

from descent.figures import bag, gallery, regression, robustness, save_figure, training
from descent.files import load_metrics
from descent.params import load_params
from descent.tensors import load_tensors
from stages.terminal import command

TITLES = {
    "linear": "Softmax regression",
    "mlp": "Multilayer perceptron",
    "convnet": "ConvNet",
}


def main() -> None:
    """Draw every figure: regressions, classifiers of each kind, their robustness, and adversarial images."""
    params = load_params(Path("params.yaml"))
    runs, attacked = params.train, params.attack.runs
    source = load_metrics(Path("metrics/data.json"))["source"]
    metrics = {name: load_metrics(Path(f"metrics/train/{name}.json")) for name in runs}
    curves = {name: pd.read_csv(f"plots/curves/{name}.csv") for name in runs}
    attacks = {name: pd.read_csv(f"plots/attack/{name}.csv") for name in attacked}
    pictures = {name: load_tensors(Path(f"data/adversarial/{name}.safetensors"))[0] for name in attacked}

    figures = {}
    regressions = {name: curves[name] for name in runs if runs[name].data == "diabetes"}
    if regressions:
        figures["regression"] = regression(
            regressions, metrics, {name: runs[name].learning_rate for name in regressions}
        )
    for kind, title in TITLES.items():
        of_kind = [name for name in runs if runs[name].data == "fashion-mnist" and runs[name].model.kind == kind]
        if of_kind:
            figures[kind] = training(title, {name: curves[name] for name in of_kind}, metrics, source)
    figures["robustness"] = robustness(attacks, source)
    figures["bag"] = bag(pictures, source)
    for name in attacked:
        figures[f"adversarial-{name}"] = gallery(name, pictures[name], source)

    for name, figure in figures.items():
        save_figure(Path(f"plots/figures/{name}.png"), figure)


if __name__ == "__main__":
    command(main)
