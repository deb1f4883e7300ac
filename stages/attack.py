"""params.yaml, metrics, data, models/RUN.safetensors → metrics/attack/RUN.json, plots/*/RUN.csv, data/*/RUN.*."""

import logging
from pathlib import Path

import torch

from descent.io.datasets import load_dataset
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics, save_table
from descent.io.tensors import save_tensors
from descent.models.machine import keep_freed_memory, make_deterministic
from descent.models.networks import load_model
from descent.robustness.adversarial_set import save_adversarial_set
from descent.robustness.assessment import assess
from descent.robustness.classifier import save_classifier
from stages.terminal import stage


def main(name: str) -> None:
    """Attack one of the classifiers listed under `attack.runs` in params.yaml."""
    params = load_params(Path("params.yaml"))
    run, bench = params.train[name], params.attack.bench
    make_deterministic(params.threads)
    keep_freed_memory()
    recorded, trained = load_metrics(Path("metrics/data.json")), load_metrics(Path(f"metrics/train/{name}.json"))
    data = load_dataset(Path(f"data/{run.data}.safetensors"), recorded[f"sha256_{run.data}"])
    inputs, outputs = data.test.x.shape[1:], len(data.classes)
    model = load_model(Path(f"models/{name}.safetensors"), run.model, inputs, outputs, trained["sha256_model"])
    if trained["diverged"]:
        logging.warning("%s diverged in epoch %d; attacked are its weights before", name, trained["diverged_epoch"])
    rng = torch.Generator().manual_seed(params.seed)

    found = assess(model, data, bench, params.evaluation.batch_size, rng)

    save_table(Path(f"plots/attack/{name}.csv"), found.curves.fgsm)
    save_table(Path(f"plots/pgd/{name}.csv"), found.curves.pgd)
    save_table(Path(f"plots/flips/{name}.csv"), found.curves.flips, ("series", "quantile", "epsilon"))
    save_table(Path(f"plots/probabilities/{name}.csv"), found.curves.probabilities)
    save_table(Path(f"data/confusion/{name}.csv"), found.confusion)
    pictures = save_tensors(Path(f"data/adversarial/{name}.safetensors"), found.pictures)
    images = save_adversarial_set(
        Path(f"data/adversarial-sets/{name}.safetensors"), found.adversarial, data.test.y, bench.epsilon
    )
    # For `transfer`, which then depends on what was attacked, and not on every run.
    attacked = save_classifier(Path(f"data/attacked/{name}.safetensors"), model, run.model, outputs)
    save_metrics(
        Path(f"metrics/attack/{name}.json"),
        found.metrics
        | {key: trained[key] for key in ("diverged", "diverged_epoch")}
        | {"sha256_pictures": pictures, "sha256_adversarial_set": images, "sha256_classifier": attacked},
    )


if __name__ == "__main__":
    stage(main)
