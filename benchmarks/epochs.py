"""An epoch of training: ours, its peers, and the bound."""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from benchmarks.inputs import OURS, fresh, images, params, torchvision_folder
from benchmarks.products import epoch_of_products
from benchmarks.timing import Prepare, Section, alternate, beside
from descent.io.datasets import Split
from descent.io.run_schema import MLP, Run
from descent.training.loop import batches, fit

PLAIN = "indexed loop, autograd and torch.optim"
QUICKSTART = "PyTorch quickstart"
BOUND = "bound: its products alone"


def train(model: nn.Sequential, data: Split, run: Run) -> None:
    """Train for an epoch, as the stage does."""
    for _ in fit(model, data, run, torch.Generator().manual_seed(0)):
        pass


def train_plainly(model: nn.Sequential, data: Split, run: Run) -> None:
    """Train on the same batches with autograd and the fused optimizer of torch.optim."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[run.optimizer]
    optimizer = kind(model.parameters(), lr=run.learning_rate, weight_decay=run.weight_decay, fused=True)
    model.train()
    for x, y in batches(data, run, torch.Generator().manual_seed(0)):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y, label_smoothing=run.label_smoothing).backward()
        optimizer.step()


def train_from_loader(model: nn.Module, loader: Iterable[Sequence[Tensor]], run: Run) -> None:
    """Train as PyTorch's quickstart does."""
    optimizer = torch.optim.Adam(model.parameters(), lr=run.learning_rate)
    loss_of = nn.CrossEntropyLoss()
    model.train()
    for x, y in loader:
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def train_from_files(model: nn.Module, folder: Path, run: Run) -> None:
    """Train from torchvision's data set, one PIL image after the other."""
    from descent.sources.vision import torchvision  # the machine of gpu.sh has none

    data: TorchDataset[tuple[Tensor, Tensor]] = torchvision.datasets.FashionMNIST(
        str(folder), train=True, transform=torchvision.transforms.ToTensor()
    )
    train_from_loader(model, DataLoader(data, batch_size=run.batch_size, shuffle=True), run)


def by_lightning(run: Run, data: Split) -> Callable[[], object]:
    """Prepare Lightning's trainer, with all that it writes or shows switched off."""
    import pytorch_lightning as lightning

    class Classifier(lightning.LightningModule):  # type: ignore[misc] # not installed where the types are checked
        """The module that its users write."""

        def __init__(self) -> None:
            super().__init__()
            self.model = fresh(run)

        def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            """Return the loss of a batch."""
            x, y = batch
            return F.cross_entropy(self.model(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            """Take Adam."""
            return torch.optim.Adam(self.parameters(), lr=run.learning_rate)

    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(TensorDataset(*data), batch_size=run.batch_size, shuffle=True)
    return lambda: trainer.fit(Classifier(), loader)


def by_keras(hidden: int, run: Run, data: Split) -> Callable[[], object]:
    """Prepare Keras on torch."""
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())  # it writes its settings there
    import keras

    model = keras.Sequential(
        [
            keras.Input((1, 28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(hidden, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(run.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x, y = data.x.numpy(), data.y.numpy()
    return lambda: model.fit(x, y, batch_size=run.batch_size, epochs=1, verbose=0)


def by_scikit_learn(hidden: int, run: Run, data: Split) -> Callable[[], object]:
    """Prepare scikit-learn's network, on float32 as all others."""
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(
        (hidden,), batch_size=run.batch_size, learning_rate_init=run.learning_rate, alpha=0.0, max_iter=1
    )
    x, y = data.x.flatten(1).numpy(), data.y.numpy()

    def epoch() -> None:
        with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
            network.fit(x, y)

    return epoch


def with_all_threads(prepare: Prepare) -> Prepare:
    """Let torch take a thread a core, as it does by itself."""

    def prepared() -> Callable[[], object]:
        run, usual = prepare(), torch.get_num_threads()

        def timed() -> None:
            torch.set_num_threads(os.cpu_count() or 1)
            try:
                run()
            finally:
                torch.set_num_threads(usual)

        return timed

    return prepared


def section(name: str, rounds: int) -> Section:
    """Time an epoch of one of the runs."""
    run = params().train[name].model_copy(update={"epochs": 1, "schedule": "constant", "warm_up": 0.0})
    data = images().train
    kept: dict[str, nn.Sequential] = {}

    def of(loop: Callable[[nn.Sequential, Split, Run], None], label: str) -> Prepare:
        def prepare() -> Callable[[], object]:
            model = kept[label] = fresh(run)
            return lambda: loop(model, data, run)

        return prepare

    with torchvision_folder() as folder:

        def quickstart() -> Callable[[], object]:
            # The layout that a network has unless somebody cares.
            model = fresh(run).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            return lambda: train_from_files(model, folder, run)

        candidates: dict[str, Prepare] = {
            OURS: of(train, OURS),
            PLAIN: of(train_plainly, PLAIN),
            BOUND: lambda: lambda: epoch_of_products(fresh(run), data.x, run.batch_size),
            QUICKSTART: quickstart,
        }
        if isinstance(run.model, MLP):
            (hidden,) = run.model.hidden
            loader = DataLoader(TensorDataset(*data), batch_size=run.batch_size, shuffle=True)
            candidates |= {
                f"{QUICKSTART}, {os.cpu_count()} threads": with_all_threads(quickstart),
                "DataLoader over a TensorDataset": lambda: lambda: train_from_loader(fresh(run), loader, run),
                "Lightning": lambda: by_lightning(run, data),
                "Keras on torch": lambda: by_keras(hidden, run, data),
                "scikit-learn MLPClassifier": lambda: by_scikit_learn(hidden, run, data),
            }
        seconds = alternate(candidates, rounds)
    same = all(map(torch.equal, kept[OURS].state_dict().values(), kept[PLAIN].state_dict().values()))
    return {
        "title": f"An epoch of {name}",
        "note": (
            f"{len(data.y):,} images, batches of {run.batch_size}, {run.optimizer}, float32, "
            f"{torch.get_num_threads()} thread where no other number stands. The weights of ours and of the "
            f"indexed loop are {'the same bits' if same else 'DIFFERENT'}. torch is held to "
            "AVX2, scikit-learn's OpenBLAS is not."
        ),
        "rows": beside(seconds, OURS),
    }
