"""params.yaml, metrics/data.json, data/diabetes.safetensors → metrics/theory.json, {plots,data}/theory/*.csv."""

from descent.io.datasets import load_dataset
from descent.io.layout import DATA_METRICS, PARAMS, THEORY_METRICS, dataset, theory_curve, theory_table
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics, save_table
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
    recorded = load_metrics(DATA_METRICS)
    data = load_dataset(dataset("diabetes"), recorded["sha256_diabetes"]).train

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
        for name, rows in shown.curves.items():
            save_table(theory_curve(name), rows)
        for name, rows in shown.tables.items():
            save_table(theory_table(name), rows)


if __name__ == "__main__":
    stage(main)
