"""One training run, measured after each epoch, from its first epoch or where it was interrupted to its last."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from descent.checkpoint import Checkpoint
from descent.data import Dataset, Split
from descent.models import build_model
from descent.optimizers import OPTIMIZERS, Optimizer
from descent.params import Evaluation, Run
from descent.training import TASKS, fit, measure

# A loss beyond it counts as infinite: what averages the curve afterwards must not overflow.
LARGEST = 1e100


def begin(run: Run, data: Dataset, seed: int) -> tuple[nn.Module, Optimizer, torch.Generator]:
    """Return the model of a run before its first step, its optimizer, and what draws the order of the examples.

    Args:
        run: What is trained, and how.
        data: Gives the model the shape of its input, its device and the type of its weights.
        seed: Of the weights, and of the order.
    """
    x = data.train.x
    model = build_model(run.model, x.shape[1:], TASKS[run.data].outputs, seed).to(x.device, x.dtype)
    optimizer = OPTIMIZERS[run.optimizer](list(model.parameters()), run.weight_decay)
    return model, optimizer, torch.Generator().manual_seed(seed)


def train(
    model: nn.Module,
    optimizer: Optimizer,
    data: Dataset,
    run: Run,
    evaluation: Evaluation,
    rng: torch.Generator,
    checkpoint: Checkpoint,
    progress: Callable[[Mapping[str, float]], None],
) -> int | None:
    """Train `model` in place until the run is over or a loss is no finite number, or one beyond 1e100.

    A run that diverges is left at the last epoch whose losses are finite: the weights, and the rows of the history.
    If that is none, they are those of the beginning, as epoch 0.

    Args:
        model: On the device of `data`.
        optimizer: Made for the parameters of `model`.
        data: Trained on, and tested on.
        run: What is trained, and how.
        evaluation: How it is measured.
        rng: As for `fit`.
        checkpoint: Of all three, entered; it gives the epochs that are over, and takes those that follow.
        progress: Called with each row as it comes.

    Returns:
        The epoch in which the run diverged; None if it did not.
    """
    task, history = TASKS[run.data], checkpoint.history
    parts = {"train": Split(*(tensor[: evaluation.train_subset] for tensor in data.train)), "test": data.test}
    last = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for epoch in fit(model, data.train, run, rng, optimizer, len(history)):
        row = {"epoch": epoch} | measure(model, parts, task, evaluation.batch_size)
        if not all(abs(value) <= LARGEST for value in row.values()):
            model.load_state_dict(last)
            if not history:
                history.append({"epoch": 0} | measure(model, parts, task, evaluation.batch_size))
            return epoch
        last = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        checkpoint.keep(row)
        progress(row)
    return None
