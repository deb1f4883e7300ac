"""What it costs that a run can be killed at any moment: a state kept after each epoch, files that appear whole."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.inputs import fresh, images, params
from benchmarks.timing import Section, alternate, spread
from descent.io.results import save_table
from descent.io.tensors import save_tensors
from descent.training.checkpoint import Checkpoint, Row
from descent.training.optimizers import OPTIMIZERS
from descent.training.runs import train

KEEPING = "What it costs to be killed at any moment"
EPOCHS = 5
WITH, WITHOUT = "state kept after each epoch, files flushed and renamed", "neither"


class Forgetful(Checkpoint):
    """Keeps nothing but the curve."""

    def keep(self, row: Row) -> None:
        """Add the row of an epoch."""
        self.history.append(row)


def section(rounds: int) -> Section:
    """Time training of the MLP, measured after each epoch, with its outputs."""
    run = params().train["mlp"].model_copy(update={"epochs": EPOCHS})
    evaluation, data = params().evaluation, images()

    def of(kind: type[Checkpoint], folder: Path) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            model, rng = fresh(run), torch.Generator().manual_seed(0)
            optimizer = OPTIMIZERS[run.optimizer](list(model.parameters()), run.weight_decay)

            def timed() -> None:
                state = {**model.state_dict(), **optimizer.state}
                with kind(folder / "kept", "stamp", state, rng) as checkpoint:
                    train(model, optimizer, data, run, evaluation, rng, checkpoint, lambda row: None)
                    if kind is Checkpoint:
                        save_table(folder / "curve.csv", checkpoint.history)
                        save_tensors(folder / "model.safetensors", model.state_dict())

            return timed

        return prepare

    # On the disk of the repository: another may be a part of the memory.
    with TemporaryDirectory(dir="data") as folder:
        seconds = alternate({WITH: of(Checkpoint, Path(folder)), WITHOUT: of(Forgetful, Path(folder))}, rounds)
    # Pair by pair: neighbours in time share a slow minute.
    ratios = sorted(kept / bare for kept, bare in zip(seconds[WITH], seconds[WITHOUT], strict=True))
    return {
        "title": KEEPING,
        "note": f"mlp, {EPOCHS} epochs on {len(data.train.y):,} images, measured after each.",
        "rows": {
            WITH: spread(seconds[WITH]) | {"× without, median of pairs": ratios[len(ratios) // 2]},
            WITHOUT: spread(seconds[WITHOUT]) | {"× without, median of pairs": 1.0},
        },
    }
