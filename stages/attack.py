"""params.yaml, data, models/RUN.safetensors → metrics/attack/RUN.json, plots/*/RUN.csv, data/adversarial/."""

from pathlib import Path

from descent.data import load_dataset
from descent.determinism import make_deterministic
from descent.fashion_mnist import CLASSES
from descent.files import save_metrics, save_table
from descent.models import load_model
from descent.params import load_params
from descent.robustness import assess
from descent.tensors import save_tensors
from stages.terminal import command


def main(name: str) -> None:
    """Attack one of the classifiers listed under `attack.runs` in params.yaml."""
    params = load_params(Path("params.yaml"))
    run = params.train[name]
    make_deterministic(params.threads)
    test = load_dataset(Path(f"data/{run.data}.safetensors")).test
    model = load_model(Path(f"models/{name}.safetensors"), run.model, test.x.shape[1:], len(CLASSES))

    curve, metrics, pictures, probabilities = assess(model, test, params.attack.fgsm, params.evaluation.batch_size)

    save_table(Path(f"plots/attack/{name}.csv"), curve)
    save_table(Path(f"plots/probabilities/{name}.csv"), probabilities)
    save_metrics(Path(f"metrics/attack/{name}.json"), metrics)
    save_tensors(Path(f"data/adversarial/{name}.safetensors"), pictures)


if __name__ == "__main__":
    command(main)
