"""One training run, measured after each epoch, from its first epoch or where it was interrupted to its last."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from descent.checkpoint import Checkpoint
from descent.data import Dataset, Split
from descent.determinism import denormals_as_zero
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
        data: Gives the model the shapes of its input and output, its device and the type of its weights.
        seed: Of the weights, and of the order.
    """
    x = data.train.x
    model = build_model(run.model, x.shape[1:], data.outputs, seed).to(x.device, x.dtype)
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
    watched = Watched(model, data, run, evaluation, checkpoint.history)
    with denormals_as_zero():
        for epoch in fit(model, data.train, run, rng, optimizer, len(checkpoint.history)):
            row = watched.after(epoch)
            if row is None:
                return epoch
            checkpoint.keep(row)
            progress(row)
    return None


class Watched:
    """A model that is measured after each epoch, and goes back to the last one that had finite losses.

    Args:
        model: On the device of `data`.
        data: Whose training and test part it is measured on.
        run: Says what the losses are.
        evaluation: How it is measured.
        history: The rows of the epochs that are over. A model that diverges in the first gets one, of epoch 0.
    """

    def __init__(
        self, model: nn.Module, data: Dataset, run: Run, evaluation: Evaluation, history: list[dict[str, float]]
    ) -> None:
        self.history = history
        self._model, self._task, self._batch_size = model, TASKS[run.data], evaluation.batch_size
        train = Split(*(tensor[: evaluation.train_subset] for tensor in data.train))
        self._parts = {"train": train, "test": data.test}
        self._keep()

    def after(self, epoch: int) -> dict[str, float] | None:
        """Measure the model; None if a loss is no finite number, or one beyond 1e100."""
        row = self._row(epoch)
        if all(abs(value) <= LARGEST for value in row.values()):
            self._keep()
            return row
        self.back()
        if not self.history:
            self.history.append(self._row(0))
        return None

    def back(self) -> None:
        """Give the model the weights that it had after the last epoch with finite losses."""
        self._model.load_state_dict(self._last)

    def _keep(self) -> None:
        self._last = {name: tensor.clone() for name, tensor in self._model.state_dict().items()}

    def _row(self, epoch: int) -> dict[str, float]:
        return {"epoch": epoch} | measure(self._model, self._parts, self._task, self._batch_size)
