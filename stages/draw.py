"""params.yaml, metrics, curves, data/adversarial/, data/theory/ → plots/figures/*.svg, plots/sheets/*.png."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from descent.io.files import save_text
from descent.io.params import load_params
from descent.io.results import NAMED, load_metrics
from descent.io.tensors import load_tensors
from descent.report.all_figures import FigureInputs, all_figures, all_sheets
from descent.report.style import save_pixels, svg
from stages.terminal import stage


def main() -> None:
    """Draw every figure: theory, regressions, classifiers of each kind, robustness, and adversarial images."""
    params = load_params(Path("params.yaml"))
    runs, attacked = params.train, params.attack.runs
    results = FigureInputs(
        runs=runs,
        epsilon=params.attack.bench.epsilon,
        data=load_metrics(Path("metrics/data.json")),
        theory=load_metrics(Path("metrics/theory.json")),
        trained={name: load_metrics(Path(f"metrics/train/{name}.json")) for name in runs},
        theory_tables=load_tables("data/theory", ("padding", "sigmoid-graph"))
        | load_tables("plots/theory", ("parametrised-relu", "sigmoid-gradient", "learning-rate", "broadcasting")),
        curves=load_tables("plots/curves", runs),
        fgsm=load_tables("plots/attack", attacked, **NAMED),
        pgd=load_tables("plots/pgd", attacked, **NAMED),
        flips=load_tables("plots/flips", attacked, **NAMED),
        confusion=load_tables("data/confusion", attacked, **NAMED),
        examples=load_examples(attacked),
        transfer=pd.read_csv("plots/transfer.csv", **NAMED),
    )

    for name, figure in all_figures(results).items():
        save_text(Path(f"plots/figures/{name}.svg"), svg(figure))
    for name, pixels in all_sheets(results).items():
        save_pixels(Path(f"plots/sheets/{name}.png"), pixels)


def load_tables(folder: str, names: Iterable[str], **options: Any) -> dict[str, pd.DataFrame]:  # noqa: ANN401
    """Read the tables of these names."""
    return {name: pd.read_csv(Path(folder, f"{name}.csv"), **options) for name in names}


def load_examples(names: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """Read the adversarial examples of these runs; their metrics have the hashes."""
    digests = {name: load_metrics(Path(f"metrics/attack/{name}.json"))["sha256_pictures"] for name in names}
    paths = {name: Path(f"data/adversarial/{name}.safetensors") for name in names}
    return {name: load_tensors(paths[name], digests[name])[0] for name in names}


if __name__ == "__main__":
    stage(main)
