"""params.yaml, metrics, data, models/RUN.safetensors → metrics/attack/RUN.json, plots/*/RUN.csv, data/*/RUN.*."""

import logging

import torch

from descent.io.datasets import load_dataset
from descent.io.layout import PARAMS, RunFiles, dataset
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
    files, data = RunFiles(name), load_dataset(dataset("images"))
    trained, outputs = load_metrics(files.train_metrics), len(data.classes)
    model = load_model(files.weights, architecture, data.test.x.shape[1:], outputs)
    if trained["diverged"]:
        words = "%s diverged in epoch %d; the weights of the epoch before are attacked"
        logging.warning(words, name, trained["diverged_epoch"])
    rng = torch.Generator().manual_seed(params.seed)

    found = assess(model, data, bench, params.evaluation.batch_size, rng)

    save_table(files.fgsm_curve, found.curves.fgsm)
    save_table(files.pgd_curve, found.curves.pgd)
    save_table(files.certified_curve, found.curves.certified)
    save_table(files.flip_quantiles, found.curves.flips, ("series", "quantile", "epsilon"))
    save_table(files.probabilities, found.curves.probabilities)
    save_table(files.confusion, found.confusion)
    save_tensors(files.example_images, found.example_images)
    save_adversarial_set(files.adversarial_set, found.adversarial, data.test.y, bench.epsilon)
    # `transfer` reads this file, so it depends on the attacked classifiers only, not on every run.
    save_classifier(files.attacked_classifier, model, architecture, outputs)
    diverged = {key: trained[key] for key in ("diverged", "diverged_epoch")}
    save_metrics(files.attack_metrics, found.metrics | diverged)


if __name__ == "__main__":
    stage(main)
