"""params.yaml, data/DATA.safetensors → models/RUN.safetensors, metrics and curve of the run."""

import logging
from collections.abc import Mapping

import torch

from descent.io.datasets import load_dataset
from descent.io.errors import DataError
from descent.io.files import sha256
from descent.io.layout import CHECKPOINTS, PARAMS, RunFiles, dataset
from descent.io.params import load_params
from descent.io.results import Metric, save_metrics, save_table
from descent.io.tensors import save_tensors
from descent.models.machine import keep_freed_memory, make_deterministic
from descent.models.networks import count_weights
from descent.training.checkpoint import Checkpoint, stamp
from descent.training.diagnostics import describe
from descent.training.runs import initial_state, train
from stages.program import chosen_device, progress, stage


def main(name: str) -> None:
    """Train one of the runs listed under `train` in params.yaml, and measure it after each epoch."""
    params = load_params(PARAMS)
    run, evaluation, seed, threads = params.train[name], params.evaluation, params.seed, params.threads
    files, device = RunFiles(name), chosen_device()
    make_deterministic(threads, device)
    keep_freed_memory()
    data = load_dataset(dataset(run.data))
    on_device = data.to(device)

    try:
        state = initial_state(run, on_device, seed)
    except DataError as error:
        raise DataError(f"{PARAMS}: train.{name}.{error}") from error
    depends = [run.model_dump(), evaluation.model_dump(), seed, threads, sha256(dataset(run.data)), device.type]
    code = stamp(depends, {"descent", "stages"})
    checkpoint = Checkpoint(CHECKPOINTS / f"train@{name}", code, state.tensors(), state.rng)
    with checkpoint, progress(name, "epoch", run.epochs, len(checkpoint.history)) as bar:

        def show(row: Mapping[str, float]) -> None:
            save_table(files.learning_curve, checkpoint.history)  # to be watched meanwhile
            bar.set_postfix(train=f"{row['train_loss']:.4g}", test=f"{row['test_loss']:.4g}", refresh=False)
            bar.update()

        diverged = train(state, on_device, run, evaluation, checkpoint, show)
        if diverged:
            logging.warning("train.%s diverged in epoch %d; its curve and weights end before that", name, diverged)

        save_table(files.learning_curve, checkpoint.history)
        results: dict[str, Metric] = {"diverged": bool(diverged), "diverged_epoch": diverged}
        results |= describe(run, checkpoint.history, data, evaluation)
        results |= {"weights": count_weights(state.model)}
        results |= {"torch": torch.__version__.partition("+")[0], "device": device.type}
        save_tensors(files.weights, state.model.state_dict())
        save_metrics(files.train_metrics, results)


if __name__ == "__main__":
    stage(main)
