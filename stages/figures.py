"""params.yaml, metrics, curves, data/adversarial/, data/theory/ → plots/figures/*.svg, plots/sheets/*.png."""

from pathlib import Path

import pandas as pd

from descent.io.files import save_text
from descent.io.params import load_params
from descent.io.results import NAMED, load_metrics
from descent.io.tensors import load_tensors
from descent.report.drawing import save_pixels, svg
from descent.report.figures import (
    bag,
    confusion,
    flips,
    gallery,
    linear_regressions,
    regressions,
    robustness,
    sheet,
    training,
    transfer,
)
from descent.report.theory_figures import broadcasting, learning_rate, padding, sigmoid_gradient, sigmoid_graph, twins
from stages.program import stage

TITLES = {"linear": "Softmax regression", "mlp": "MLP", "convnet": "ConvNet"}


def main() -> None:
    """Draw every figure: theory, regressions, classifiers of each kind, robustness, and adversarial images."""
    params = load_params(Path("params.yaml"))
    runs, attacked = params.train, params.attack.runs
    data = load_metrics(Path("metrics/data.json"))
    source, classes = data["source"], data["class_names"]
    theory = load_metrics(Path("metrics/theory.json"))
    metrics = {name: load_metrics(Path(f"metrics/train/{name}.json")) for name in runs}
    tables = {path.stem: pd.read_csv(path) for folder in ("data", "plots") for path in Path(folder, "theory").iterdir()}
    curves = {name: pd.read_csv(f"plots/curves/{name}.csv") for name in runs}
    attacks, pgd, flipped, counts = (
        {name: pd.read_csv(f"{kind}/{name}.csv", **NAMED) for name in attacked}
        for kind in ("plots/attack", "plots/pgd", "plots/flips", "data/confusion")
    )
    pictures = {
        name: load_tensors(
            Path(f"data/adversarial/{name}.safetensors"),
            load_metrics(Path(f"metrics/attack/{name}.json"))["sha256_pictures"],
        )[0]
        for name in attacked
    }

    over = [metrics[name]["learning_rate_over_threshold"] for name in linear_regressions(runs)]
    figures = {
        "theory-twins": twins(tables["parametrised-relu"]),
        "theory-padding": padding(tables["padding"]),
        "theory-sigmoid-graph": sigmoid_graph(tables["sigmoid-graph"], theory["sigmoid_traced_at"]),
        "theory-sigmoid-gradient": sigmoid_gradient(tables["sigmoid-gradient"], theory),
        "theory-learning-rate": learning_rate(tables["learning-rate"], theory, over),
        "theory-broadcasting": broadcasting(tables["broadcasting"], theory),
        "robustness": robustness("Accuracy under the fast gradient sign method", attacks, len(classes), source),
        "robustness-pgd": robustness("Accuracy under projected gradient descent", pgd, len(classes), source),
        "flips": flips(flipped, classes, source),
        "transfer": transfer(pd.read_csv("plots/transfer.csv", **NAMED), params.attack.bench.epsilon, source),
    }
    if {"Bag", "T-shirt/top"} <= set(classes):
        figures |= {
            "bag": bag("A bag becomes a T-shirt/top", "bag", pictures, classes, source),
            "write-up": bag(
                "The same bags, ε in the write-up's units, unclipped", "write_up", pictures, classes, source
            ),
        }
    figures |= regressions(runs, curves, metrics)
    for kind in dict.fromkeys(run.model.kind for run in runs.values() if run.data == "images"):
        chosen = {name: curves[name] for name, run in runs.items() if (run.data, run.model.kind) == ("images", kind)}
        for measure in ("loss", "accuracy"):
            figures[f"{kind}-{measure}"] = training(TITLES.get(kind, kind), measure, chosen, metrics, source)
    epsilon = params.attack.bench.epsilon
    for name in attacked:
        figures[f"confusion-{name}"] = confusion(name, counts[name], epsilon, source)
        figures[f"adversarial-{name}"] = gallery(name, pictures[name], classes, source)

    for name, figure in figures.items():
        save_text(Path(f"plots/figures/{name}.svg"), svg(figure))
    for name in attacked:
        pixels, directions = sheet(pictures[name])
        save_pixels(Path(f"plots/sheets/{name}.png"), pixels)
        save_pixels(Path(f"plots/sheets/{name}-direction.png"), directions)


if __name__ == "__main__":
    stage(main)
