"""params.yaml, data, models/RUN.safetensors → metrics/attack/RUN.json, plots/*/RUN.csv, data/*/RUN.safetensors."""

from pathlib import Path

import torch

from descent.adversarial_set import save_adversarial_set
from descent.data import load_dataset
from descent.determinism import make_deterministic
from descent.fashion_mnist import CLASSES
from descent.files import save_metrics, save_table
from descent.heap import keep_freed_memory
from descent.models import load_model
from descent.params import load_params
from descent.robustness import assess
from descent.tensors import save_tensors
from stages.terminal import command


def main(name: str) -> None:
    """Attack one of the classifiers listed under `attack.runs` in params.yaml."""
    params = load_params(Path("params.yaml"))
    run, bench = params.train[name], params.attack.bench
    make_deterministic(params.threads)
    keep_freed_memory()
    train, test = load_dataset(Path(f"data/{run.data}.safetensors"))
    model = load_model(Path(f"models/{name}.safetensors"), run.model, test.x.shape[1:], len(CLASSES))
    rng = torch.Generator().manual_seed(params.seed)

    shown = assess(model, test, train.x.norm(dim=0), bench, params.evaluation.batch_size, rng)

    save_table(Path(f"plots/attack/{name}.csv"), shown.curve)
    save_table(Path(f"plots/pgd/{name}.csv"), shown.pgd_curve)
    save_table(Path(f"plots/flips/{name}.csv"), shown.flips)
    save_table(Path(f"data/confusion/{name}.csv"), shown.confusion)
    save_table(Path(f"plots/probabilities/{name}.csv"), shown.probabilities)
    save_metrics(Path(f"metrics/attack/{name}.json"), shown.metrics)
    save_tensors(Path(f"data/adversarial/{name}.safetensors"), shown.pictures)
    save_adversarial_set(Path(f"data/adversarial-sets/{name}.safetensors"), shown.images, test.y, bench.epsilon)


if __name__ == "__main__":
    command(main)
