"""params.yaml, data/diabetes.safetensors → metrics/theory.json, {plots,data}/theory/*.csv."""

from descent.io.datasets import load_dataset
from descent.io.layout import PARAMS, THEORY_CURVES, THEORY_METRICS, THEORY_TABLES, dataset
from descent.io.params import load_params
from descent.io.results import save_metrics, save_table
from descent.models.machine import make_deterministic
from descent.theory.broadcasting import broadcasting_evidence
from descent.theory.equivalence import relu_evidence
from descent.theory.learning_rate import learning_rate_evidence
from descent.theory.sigmoid import sigmoid_evidence
from stages.program import stage


def main() -> None:
    """Check the write-up's theory numerically and symbolically."""
    params = load_params(PARAMS)
    theory, seed = params.theory, params.seed
    make_deterministic(params.threads)
    data = load_dataset(dataset("diabetes")).train

    parts = {
        "parametrised_relu": relu_evidence(data, theory.parametrised_relu, seed),
        "sigmoid": sigmoid_evidence(theory.sigmoid),
        "learning_rate": learning_rate_evidence(data, theory.learning_rate, seed),
        "broadcasting": broadcasting_evidence(data, theory.broadcasting, seed),
    }

    save_metrics(
        THEORY_METRICS,
        {f"{part}_{name}": number for part, shown in parts.items() for name, number in shown.numbers.items()},
    )
    for shown in parts.values():
        for folder, tables in ((THEORY_CURVES, shown.curves), (THEORY_TABLES, shown.tables)):
            for name, rows in tables.items():
                save_table(folder / f"{name}.csv", rows)


if __name__ == "__main__":
    stage(main)
