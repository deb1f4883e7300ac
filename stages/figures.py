"""params.yaml, metrics, curves, data/adversarial/, data/theory/ → plots/figures/*.svg, plots/sheets/*.png."""

import pandas as pd

from descent.io.files import save_text
from descent.io.layout import (
    DATA_METRICS,
    FIGURES,
    PARAMS,
    SHEETS,
    THEORY_CURVES,
    THEORY_METRICS,
    THEORY_TABLES,
    TRANSFER_CURVE,
    RunFiles,
)
from descent.io.params import load_params
from descent.io.results import NAMED, load_metrics
from descent.io.tensors import load_tensors
from descent.report.figures import all_figures
from descent.report.image_figures import slider_sheets
from descent.report.style import save_pixels, svg
from stages.program import stage


def main() -> None:
    """Draw every figure: theory, regressions, classifiers of each kind, robustness, and adversarial images."""
    params = load_params(PARAMS)
    files = {name: RunFiles(name) for name in params.train}
    attacked = {name: files[name] for name in params.attack.runs}
    theory = [THEORY_TABLES / "padding.csv", THEORY_TABLES / "sigmoid-graph.csv", *THEORY_CURVES.glob("*.csv")]
    examples = {name: load_tensors(each.example_images)[0] for name, each in attacked.items()}
    figures = all_figures(
        runs=params.train,
        epsilon=params.attack.bench.epsilon,
        data=load_metrics(DATA_METRICS),
        theory=load_metrics(THEORY_METRICS),
        trained={name: load_metrics(each.train_metrics) for name, each in files.items()},
        theory_tables={path.stem: pd.read_csv(path) for path in theory},
        curves={name: pd.read_csv(each.learning_curve) for name, each in files.items()},
        fgsm={name: pd.read_csv(each.fgsm_curve, **NAMED) for name, each in attacked.items()},
        pgd={name: pd.read_csv(each.pgd_curve, **NAMED) for name, each in attacked.items()},
        certified={name: pd.read_csv(each.certified_curve, **NAMED) for name, each in attacked.items()},
        flips={name: pd.read_csv(each.flip_quantiles, **NAMED) for name, each in attacked.items()},
        confusion={name: pd.read_csv(each.confusion, **NAMED) for name, each in attacked.items()},
        examples=examples,
        transfer=pd.read_csv(TRANSFER_CURVE, **NAMED),
    )

    for name, drawn in figures.items():
        save_text(FIGURES / f"{name}.svg", svg(drawn))
    for name, pixels in slider_sheets(examples).items():
        save_pixels(SHEETS / f"{name}.png", pixels)


if __name__ == "__main__":
    stage(main)
