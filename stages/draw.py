"""params.yaml, metrics, curves, data/adversarial/, data/theory/ → plots/figures/*.svg, plots/sheets/*.png."""

from pathlib import Path

import pandas as pd

from descent.drawing import save_pixels, svg
from descent.figures import bag, confusion, flips, gallery, hovering, regression, robustness, sheet, training, transfer
from descent.files import load_metrics, save_text
from descent.params import load_params
from descent.tensors import load_tensors
from descent.theory_figures import broadcasting, learning_rate, padding, sigmoid_gradient, sigmoid_graph, twins
from stages.terminal import stage

TITLES = {"linear": "Softmax regression", "mlp": "MLP", "convnet": "ConvNet"}


def main() -> None:
    """Draw every figure: theory, regressions, classifiers of each kind, robustness, and adversarial images."""
    params = load_params(Path("params.yaml"))
    runs, attacked = params.train, params.attack.runs
    source = load_metrics(Path("metrics/data.json"))["source"]
    theory = load_metrics(Path("metrics/theory.json"))
    metrics = {name: load_metrics(Path(f"metrics/train/{name}.json")) for name in runs}
    tables = {path.stem: pd.read_csv(path) for folder in ("data", "plots") for path in Path(folder, "theory").iterdir()}
    curves = {name: pd.read_csv(f"plots/curves/{name}.csv") for name in runs}
    attacks, pgd, flipped = (
        {name: pd.read_csv(f"plots/{kind}/{name}.csv") for name in attacked} for kind in ("attack", "pgd", "flips")
    )
    pictures = {
        name: load_tensors(
            Path(f"data/adversarial/{name}.safetensors"),
            load_metrics(Path(f"metrics/attack/{name}.json"))["sha256_pictures"],
        )[0]
        for name in attacked
    }

    regressions = {name: curves[name] for name in runs if runs[name].data == "diabetes"}
    rates = {name: runs[name].learning_rate for name in regressions}
    over = [metrics[name]["learning_rate_over_threshold"] for name in regressions]
    figures = {
        "theory-twins": twins(tables["parametrised-relu"]),
        "theory-padding": padding(tables["padding"]),
        "theory-sigmoid-graph": sigmoid_graph(tables["sigmoid-graph"], theory["sigmoid_traced_at"]),
        "theory-sigmoid-gradient": sigmoid_gradient(tables["sigmoid-gradient"], theory),
        "theory-learning-rate": learning_rate(tables["learning-rate"], theory, over),
        "theory-broadcasting": broadcasting(tables["broadcasting"], theory),
        "robustness": robustness("Accuracy under the fast gradient sign method", attacks, source),
        "robustness-pgd": robustness("Accuracy under projected gradient descent", pgd, source),
        "flips": flips(flipped, source),
        "transfer": transfer(pd.read_csv("plots/transfer.csv"), params.attack.bench.epsilon, source),
        "bag": bag("A bag becomes a T-shirt/top", "bag", pictures, source),
        "write-up": bag("The same bags, ε in the write-up's units, unclipped", "write_up", pictures, source),
    }
    if regressions:
        figures |= {
            "regression-loss": regression(regressions, metrics, rates),
            "regression-hovering": hovering(regressions, metrics, rates),
        }
    for kind, title in TITLES.items():
        of_kind = [name for name in runs if runs[name].data == "fashion-mnist" and runs[name].model.kind == kind]
        if of_kind:
            chosen = {name: curves[name] for name in of_kind}
            for measure in ("loss", "accuracy"):
                figures[f"{kind}-{measure}"] = training(title, measure, chosen, metrics, source)
    epsilon = params.attack.bench.epsilon
    for name in attacked:
        counts = pd.read_csv(f"data/confusion/{name}.csv")
        figures[f"confusion-{name}"] = confusion(name, counts, epsilon, source)
        figures[f"adversarial-{name}"] = gallery(name, pictures[name], source)

    for name, figure in figures.items():
        save_text(Path(f"plots/figures/{name}.svg"), svg(figure))
    for name in attacked:
        pixels, directions = sheet(pictures[name])
        save_pixels(Path(f"plots/sheets/{name}.png"), pixels)
        save_pixels(Path(f"plots/sheets/{name}-direction.png"), directions)


if __name__ == "__main__":
    stage(main)
