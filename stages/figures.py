"""params.yaml, metrics, curves, data/adversarial/, data/theory/ → plots/figures/*.svg, plots/sheets/*.png."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from descent.io.files import save_text
from descent.io.layout import (
    DATA_METRICS,
    PARAMS,
    THEORY_METRICS,
    TRANSFER_CURVE,
    attack_metrics,
    confusion,
    example_images,
    fgsm_curve,
    figure,
    flip_quantiles,
    learning_curve,
    pgd_curve,
    sheet,
    theory_curve,
    theory_table,
    train_metrics,
)
from descent.io.params import load_params
from descent.io.results import NAMED, load_metrics
from descent.io.tensors import load_tensors
from descent.report.all_figures import FigureInputs, all_figures, all_sheets
from descent.report.style import save_pixels, svg
from stages.program import stage


def main() -> None:
    """Draw every figure: theory, regressions, classifiers of each kind, robustness, and adversarial images."""
    params = load_params(PARAMS)
    runs, attacked = params.train, params.attack.runs
    results = FigureInputs(
        runs=runs,
        epsilon=params.attack.bench.epsilon,
        data=load_metrics(DATA_METRICS),
        theory=load_metrics(THEORY_METRICS),
        trained={name: load_metrics(train_metrics(name)) for name in runs},
        theory_tables=load_tables(theory_table, ("padding", "sigmoid-graph"))
        | load_tables(theory_curve, ("parametrised-relu", "sigmoid-gradient", "learning-rate", "broadcasting")),
        curves=load_tables(learning_curve, runs),
        fgsm=load_tables(fgsm_curve, attacked, **NAMED),
        pgd=load_tables(pgd_curve, attacked, **NAMED),
        flips=load_tables(flip_quantiles, attacked, **NAMED),
        confusion=load_tables(confusion, attacked, **NAMED),
        examples=load_examples(attacked),
        transfer=pd.read_csv(TRANSFER_CURVE, **NAMED),
    )

    for name, drawn in all_figures(results).items():
        save_text(figure(name), svg(drawn))
    for name, pixels in all_sheets(results).items():
        save_pixels(sheet(name), pixels)


def load_tables(path: Callable[[str], Path], names: Iterable[str], **options: Any) -> dict[str, pd.DataFrame]:  # noqa: ANN401
    """Read the tables of these names."""
    return {name: pd.read_csv(path(name), **options) for name in names}


def load_examples(names: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """Read the adversarial examples of these runs; their metrics have the hashes."""
    digests = {name: load_metrics(attack_metrics(name))["sha256_pictures"] for name in names}
    return {name: load_tensors(example_images(name), digest)[0] for name, digest in digests.items()}


if __name__ == "__main__":
    stage(main)
