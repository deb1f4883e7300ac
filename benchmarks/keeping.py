"""What it costs that a run can be killed at any moment: a state kept after each epoch, files that appear whole."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.inputs import images, params
from benchmarks.timing import Section, alternate, spread
from descent.io.results import save_table
from descent.io.tensors import save_tensors
from descent.training.checkpoint import Checkpoint
from descent.training.runs import initial_state, train

KEEPING = "What it costs to be killed at any moment"
EPOCHS = 5
WITH, WITHOUT = "state kept after each epoch, files flushed and renamed", "neither"


class Forgetful(Checkpoint):
    """Keeps nothing but the curve."""

    def keep(self, row: dict[str, float]) -> None:
        """Add the row of an epoch."""
        self.history.append(row)


def section(rounds: int) -> Section:
    """Time training of the MLP, measured after each epoch, with its outputs."""
    run = params().train["mlp"].model_copy(update={"epochs": EPOCHS})
    evaluation, data = params().evaluation, images()

    def of(kind: type[Checkpoint], folder: Path) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            state = initial_state(run, data, seed=0)

            def timed() -> None:
                with kind(folder / "kept", "stamp", state.tensors(), state.rng) as checkpoint:
                    train(state, data, run, evaluation, checkpoint, lambda row: None)
                    if kind is Checkpoint:
                        save_table(folder / "curve.csv", checkpoint.history)
                        save_tensors(folder / "model.safetensors", state.model.state_dict())

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
