"""params.yaml, data/DATA.safetensors → models/RUN.safetensors, metrics/train/RUN.json, plots/curves/RUN.csv."""

from math import isfinite
from pathlib import Path

import torch

from descent.data import Split, load_dataset
from descent.determinism import make_deterministic
from descent.diagnostics import describe
from descent.errors import DivergedError
from descent.files import save_metrics, save_table
from descent.heap import keep_freed_memory
from descent.models import build_model, count_weights
from descent.params import load_params
from descent.tensors import save_tensors
from descent.training import TASKS, fit, measure
from stages.device import chosen_device
from stages.terminal import command, epochs


def main(name: str) -> None:
    """Train one of the runs listed under `train` in params.yaml, and measure it after each epoch."""
    params = load_params(Path("params.yaml"))
    run, evaluation = params.train[name], params.evaluation
    device = chosen_device()
    make_deterministic(params.threads, device)
    keep_freed_memory()
    task = TASKS[run.data]
    data = load_dataset(Path(f"data/{run.data}.safetensors"))
    train, test = (Split(*(tensor.to(device) for tensor in split)) for split in data)
    parts = {"train": Split(*(tensor[: evaluation.train_subset] for tensor in train)), "test": test}

    model = build_model(run.model, train.x.shape[1:], task.outputs, params.seed).to(device, train.x.dtype)
    history: list[dict[str, float]] = []
    with epochs(name, run.epochs) as progress:
        for epoch in fit(model, train, run, torch.Generator().manual_seed(params.seed)):
            history.append({"epoch": epoch} | measure(model, parts, task, evaluation.batch_size))
            if not all(isfinite(loss) for loss in history[-1].values()):
                raise DivergedError(
                    f"train.{name}: the loss is {history[-1]['train_loss']}, on the test part "
                    f"{history[-1]['test_loss']}, after epoch {epoch}; lower its learning_rate "
                    f"(now {run.learning_rate:g}) in params.yaml"
                )
            save_table(Path(f"plots/curves/{name}.csv"), history)
            progress(history[-1])

    save_tensors(Path(f"models/{name}.safetensors"), model.state_dict())
    save_metrics(
        Path(f"metrics/train/{name}.json"),
        describe(run, history, data, evaluation)
        | {"weights": count_weights(model), "torch": torch.__version__.partition("+")[0], "device": device.type},
    )


if __name__ == "__main__":
    command(main)
