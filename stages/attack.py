"""params.yaml, metrics, data, models/RUN.safetensors → metrics/attack/RUN.json, plots/*/RUN.csv, data/*/RUN.*."""

import logging

import torch

from descent.io.datasets import load_dataset
from descent.io.layout import (
    DATA_METRICS,
    PARAMS,
    adversarial_set,
    attack_metrics,
    attacked_classifier,
    confusion,
    dataset,
    example_images,
    fgsm_curve,
    flip_quantiles,
    pgd_curve,
    probabilities,
    train_metrics,
    weights,
)
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics, save_table
from descent.io.tensors import save_tensors
from descent.models.machine import keep_freed_memory, make_deterministic
from descent.models.networks import load_model
from descent.robustness.adversarial_set import save_adversarial_set
from descent.robustness.assessment import assess
from descent.robustness.classifier import save_classifier
from stages.program import stage


def main(name: str) -> None:
    """Attack one of the classifiers listed under `attack.runs` in params.yaml."""
    params = load_params(PARAMS)
    architecture, bench = params.train[name].model, params.attack.bench
    make_deterministic(params.threads)
    keep_freed_memory()
    recorded, trained = load_metrics(DATA_METRICS), load_metrics(train_metrics(name))
    data = load_dataset(dataset("images"), recorded["sha256_images"])
    inputs, outputs = data.test.x.shape[1:], len(data.classes)
    model = load_model(weights(name), architecture, inputs, outputs, trained["sha256_model"])
    if trained["diverged"]:
        words = "%s diverged in epoch %d; the weights of the epoch before are attacked"
        logging.warning(words, name, trained["diverged_epoch"])
    rng = torch.Generator().manual_seed(params.seed)

    found = assess(model, data, bench, params.evaluation.batch_size, rng)

    save_table(fgsm_curve(name), found.curves.fgsm)
    save_table(pgd_curve(name), found.curves.pgd)
    save_table(flip_quantiles(name), found.curves.flips, ("series", "quantile", "epsilon"))
    save_table(probabilities(name), found.curves.probabilities)
    save_table(confusion(name), found.confusion)
    digests = {
        "sha256_pictures": save_tensors(example_images(name), found.example_images),
        "sha256_adversarial_set": save_adversarial_set(
            adversarial_set(name), found.adversarial, data.test.y, bench.epsilon
        ),
        # `transfer` reads this file, so it depends on the attacked classifiers only, not on every run.
        "sha256_classifier": save_classifier(attacked_classifier(name), model, architecture, outputs),
    }
    diverged = {key: trained[key] for key in ("diverged", "diverged_epoch")}
    save_metrics(attack_metrics(name), found.metrics | diverged | digests)


if __name__ == "__main__":
    stage(main)
