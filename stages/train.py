"""params.yaml, metrics/data.json, data/DATA.safetensors → models/RUN.safetensors, metrics and curve of the run."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from descent.io.datasets import load_dataset
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics, save_table
from descent.io.tensors import save_tensors
from descent.models.machine import keep_freed_memory, make_deterministic
from descent.models.networks import count_weights
from descent.training.checkpoint import Checkpoint, stamp
from descent.training.diagnostics import describe
from descent.training.runs import initial_state, train
from stages.device import chosen_device
from stages.terminal import KEPT, epochs, stage


def main(name: str) -> None:
    """Train one of the runs listed under `train` in params.yaml, and measure it after each epoch."""
    params = load_params(Path("params.yaml"))
    run, evaluation, seed, threads = params.train[name], params.evaluation, params.seed, params.threads
    digest = load_metrics(Path("metrics/data.json"))[f"sha256_{run.data}"]
    device = chosen_device()
    make_deterministic(threads, device)
    keep_freed_memory()
    data = load_dataset(Path(f"data/{run.data}.safetensors"), digest)
    moved = data.to(device)

    state = initial_state(run, moved, seed)
    depends = [run.model_dump(), evaluation.model_dump(), seed, threads, digest, device.type]
    curve = Path(f"plots/curves/{name}.csv")
    kept = Checkpoint(KEPT / f"train@{name}", stamp(depends, {"descent", "stages"}), state.tensors(), state.rng)
    with kept, epochs(name, run.epochs, len(kept.history)) as progress:

        def tell(row: Mapping[str, float]) -> None:
            save_table(curve, kept.history)  # to be watched meanwhile
            progress(row)

        diverged = train(state, moved, run, evaluation, kept, tell)
        if diverged:
            logging.warning("train.%s diverged in epoch %d; its curve and weights end before that", name, diverged)

        save_table(curve, kept.history)
        digest = save_tensors(Path(f"models/{name}.safetensors"), state.model.state_dict())
        save_metrics(
            Path(f"metrics/train/{name}.json"),
            {"diverged": bool(diverged), "diverged_epoch": diverged}
            | describe(run, kept.history, data, evaluation)
            | {
                "weights": count_weights(state.model),
                "torch": torch.__version__.partition("+")[0],
                "device": device.type,
                "sha256_model": digest,
            },
        )


if __name__ == "__main__":
    stage(main)
