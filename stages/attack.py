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
    data, trained = load_metrics(Path("metrics/data.json")), load_metrics(Path(f"metrics/train/{name}.json"))
    train, test, classes = load_dataset(Path(f"data/{run.data}.safetensors"), data[f"sha256_{run.data}"])
    model = load_model(
        Path(f"models/{name}.safetensors"), run.model, test.x.shape[1:], len(classes), trained["sha256_model"]
    )
    if trained["diverged"]:
        logging.warning("%s diverged in epoch %d; attacked are its weights before", name, trained["diverged_epoch"])
    rng = torch.Generator().manual_seed(params.seed)

    shown = assess(model, test, classes, train.x.norm(dim=0), bench, params.evaluation.batch_size, rng)

    save_table(Path(f"plots/attack/{name}.csv"), shown.curve)
    save_table(Path(f"plots/pgd/{name}.csv"), shown.pgd_curve)
    save_table(Path(f"plots/flips/{name}.csv"), shown.flips, ("series", "quantile", "epsilon"))
    save_table(Path(f"data/confusion/{name}.csv"), shown.confusion)
    save_table(Path(f"plots/probabilities/{name}.csv"), shown.probabilities)
    pictures = save_tensors(Path(f"data/adversarial/{name}.safetensors"), shown.pictures)
    images = save_adversarial_set(
        Path(f"data/adversarial-sets/{name}.safetensors"), shown.images, test.y, bench.epsilon
    )
    # For `transfer`, which then depends on what was attacked, and not on every run.
    attacked = save_classifier(Path(f"data/attacked/{name}.safetensors"), model, run.model, len(classes))
    save_metrics(
        Path(f"metrics/attack/{name}.json"),
        shown.metrics
        | {key: trained[key] for key in ("diverged", "diverged_epoch")}
        | {"sha256_pictures": pictures, "sha256_adversarial_set": images, "sha256_classifier": attacked},
    )


if __name__ == "__main__":
    stage(main)
