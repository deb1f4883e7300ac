"""Train a run, or resume it, and measure it after each epoch."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from descent.io.datasets import Dataset, Split
from descent.io.errors import DataError
from descent.io.run_schema import Evaluation, Run
from descent.models.evaluation import TASKS, measure
from descent.models.machine import denormals_as_zero
from descent.models.networks import build_model
from descent.training.checkpoint import Checkpoint
from descent.training.cuda_graph import replayed
from descent.training.loop import Step, descent_step, fit
from descent.training.optimizers import Optimizer, optimizer_of

# A larger loss counts as infinite, so that means of the curve do not overflow.
LARGEST = 1e100


class State(NamedTuple):
    """All that training changes."""

    model: nn.Sequential
    optimizer: Optimizer
    rng: torch.Generator

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of model and optimizer by name, not copies of them."""
        return {**self.model.state_dict(), **self.optimizer.state}


def initial_state(run: Run, data: Dataset, seed: int) -> State:
    """Return the state of a run before its first step; `data` gives the model its shapes, device and type.

    `seed` is that of the weights, and of the order of the examples.

    Raises:
        DataError: In a batch of a single example, batch normalisation has one number in a channel.
    """
    x = data.train.x
    model = build_model(run.model, x.shape[1:], data.outputs, seed).to(x.device, x.dtype)
    if min(run.batch_size, len(x) % run.batch_size or len(x)) == 1:
        try:
            deepcopy(model)(x[:1])
        except ValueError as error:
            words = "batch_size: batches of %d leave one of %d examples alone, too little for batch_norm"
            raise DataError(words % (run.batch_size, len(x))) from error
    return State(model, optimizer_of(run, list(model.parameters())), torch.Generator().manual_seed(seed))


def train(
    state: State,
    data: Dataset,
    run: Run,
    evaluation: Evaluation,
    checkpoint: Checkpoint,
    progress: Callable[[Mapping[str, float]], None],
) -> int | None:
    """Train a model in place until the run ends or diverges: a loss is above 1e100, or a loss or weight is not finite.

    A run that diverges ends with the weights and the history of the last epoch whose losses are finite. If there is
    none, they are those before training, as epoch 0. `checkpoint` is that of `state`, entered; `progress` is called
    with each row as it comes. Returned is the epoch in which the run diverged; None if it did not.
    """
    guard = DivergenceGuard(state.model, data, run, evaluation, checkpoint.history)
    step = fast_step(state, run)
    with denormals_as_zero():
        for epoch in fit(state.model, data.train, run, state.rng, step, len(checkpoint.history)):
            row = guard.measured(epoch)
            if row is None:
                return epoch
            checkpoint.keep(row)
            progress(row)
    return None


def fast_step(state: State, run: Run) -> Step:
    """Return the step of a run; on a GPU it is recorded and replayed, unless its batches are attacked first."""
    step = descent_step(state.model, run, state.optimizer)
    on_gpu = next(state.model.parameters()).device.type == "cuda"
    return replayed(step) if on_gpu and run.adversary == "none" else step


class DivergenceGuard:
    """Measures a model after each epoch, and restores the weights of the last epoch with finite losses.

    `history` has the rows of the finished epochs. A model that diverges in the first gets one, of epoch 0.
    """

    def __init__(
        self, model: nn.Module, data: Dataset, run: Run, evaluation: Evaluation, history: list[dict[str, float]]
    ) -> None:
        self.history = history
        self._model, self._task, self._batch_size = model, TASKS[run.data], evaluation.batch_size
        train = Split(*(tensor[: evaluation.train_subset] for tensor in data.train))
        self._parts = {"train": train, "test": data.test}
        self._keep()

    def measured(self, epoch: int) -> dict[str, float] | None:
        """Return the row of an epoch just finished; None, and the last finite weights, if the run diverged."""
        row = self._row(epoch)
        # The infinite variance of a batch normalisation makes zeros, and losses that are finite.
        finite = all(bool(tensor.isfinite().all()) for tensor in self._model.state_dict().values())
        if finite and all(abs(value) <= LARGEST for value in row.values()):
            self._keep()
            return row
        self.restore()
        if not self.history:
            self.history.append(self._row(0))
        return None

    def restore(self) -> None:
        """Give the model the weights that it had after the last epoch with finite losses."""
        self._model.load_state_dict(self._last)

    def _keep(self) -> None:
        self._last = {name: tensor.clone() for name, tensor in self._model.state_dict().items()}

    def _row(self, epoch: int) -> dict[str, float]:
        return {"epoch": epoch} | measure(self._model, self._parts, self._task, self._batch_size)
