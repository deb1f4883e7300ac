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
    fgsm_curve,
    flip_quantiles,
    pgd_curve,
    pictures,
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
    run, bench = params.train[name], params.attack.bench
    make_deterministic(params.threads)
    keep_freed_memory()
    data, trained = load_metrics(DATA_METRICS), load_metrics(train_metrics(name))
    train, test, classes = load_dataset(dataset(run.data), data[f"sha256_{run.data}"])
    model = load_model(weights(name), run.model, test.x.shape[1:], len(classes), trained["sha256_model"])
    if trained["diverged"]:
        logging.warning("%s diverged in epoch %d; attacked are its weights before", name, trained["diverged_epoch"])
    rng = torch.Generator().manual_seed(params.seed)

    shown = assess(model, test, classes, train.x.norm(dim=0), bench, params.evaluation.batch_size, rng)

    save_table(fgsm_curve(name), shown.curve)
    save_table(pgd_curve(name), shown.pgd_curve)
    save_table(flip_quantiles(name), shown.flips, ("series", "quantile", "epsilon"))
    save_table(confusion(name), shown.confusion)
    save_table(probabilities(name), shown.probabilities)
    shown_digest = save_tensors(pictures(name), shown.pictures)
    set_digest = save_adversarial_set(adversarial_set(name), shown.images, test.y, bench.epsilon)
    # For `transfer`, which then depends on what was attacked, and not on every run.
    model_digest = save_classifier(attacked_classifier(name), model, run.model, len(classes))
    save_metrics(
        attack_metrics(name),
        shown.metrics
        | {key: trained[key] for key in ("diverged", "diverged_epoch")}
        | {"sha256_pictures": shown_digest, "sha256_adversarial_set": set_digest, "sha256_classifier": model_digest},
    )


if __name__ == "__main__":
    stage(main)
