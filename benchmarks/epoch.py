"""An epoch of training: ours, the same loop with autograd and torch.optim, PyTorch's quickstart, and the bound.

`python -m benchmarks.epoch [RUN [ROUNDS]]` needs the test dependencies and data/; RUN is an MLP of one hidden layer.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

import stages  # noqa: F401 - sets what torch reads once
from descent.data import Split, load_dataset
from descent.determinism import make_deterministic
from descent.fashion_mnist import CLASSES
from descent.models import build_model
from descent.params import Run, load_params
from descent.training import batches, fit
from descent.vision import torchvision


class Images(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """What torchvision's FashionMNIST gives, one PIL image after the other, from the tensors of data/."""

    def __init__(self, data: Split) -> None:
        self.transform = torchvision.transforms.ToTensor()
        self.images = (255 * data.x[:, 0]).round().to(torch.uint8)
        self.labels = data.y.tolist()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Make an image and turn it into a tensor, as that data set does."""
        image = torchvision.transforms.functional.to_pil_image(self.images[index])
        return self.transform(image), self.labels[index]


def ours(model: nn.Sequential, data: Split, run: Run) -> None:
    """Train for an epoch."""
    for _ in fit(model, data, run, torch.Generator().manual_seed(0)):
        pass


def by_autograd(model: nn.Sequential, data: Split, run: Run) -> None:
    """Train on the same batches with autograd and the fused Adam of torch.optim."""
    optimizer = torch.optim.Adam(model.parameters(), lr=run.learning_rate, fused=True)
    for x, y in batches(data, run.batch_size, torch.Generator().manual_seed(0)):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def by_quickstart(model: nn.Sequential, data: Split, run: Run) -> None:
    """Train as PyTorch's quickstart does, with a DataLoader."""
    optimizer = torch.optim.Adam(model.parameters(), lr=run.learning_rate)
    for x, y in DataLoader(Images(data), batch_size=run.batch_size, shuffle=True):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@torch.no_grad()
def bound(model: nn.Sequential, data: Split, run: Run) -> None:
    """Multiply the matrices of every step, and nothing else."""
    first, second = (layer.weight for layer in model if isinstance(layer, nn.Linear))
    x = data.x[: run.batch_size].flatten(1)
    hidden, logits = torch.rand(len(x), first.shape[0]), torch.rand(len(x), second.shape[0])
    for _ in range(-(-len(data.y) // run.batch_size)):
        x.mm(first.t())
        hidden.mm(second.t())
        logits.t().mm(hidden)
        logits.mm(second)
        hidden.t().mm(x)


def main(name: str = "mlp", rounds: str = "5") -> None:
    """Time them in turn, several times over, and print medians."""
    params = load_params(Path("params.yaml"))
    make_deterministic(params.threads)
    run = params.train[name].model_copy(update={"epochs": 1})
    data = load_dataset(Path(f"data/{run.data}.safetensors")).train
    loops: dict[str, Callable[[nn.Sequential, Split, Run], None]] = {
        "ours": ours,
        "autograd and torch.optim": by_autograd,
        "quickstart": by_quickstart,
        "matrix products only": bound,
    }
    seconds: dict[str, list[float]] = {label: [] for label in loops}
    weights: dict[str, list[Tensor]] = {}
    for _ in range(int(rounds)):
        for label, loop in loops.items():
            model = build_model(run.model, data.x.shape[1:], len(CLASSES), params.seed)
            start = perf_counter()
            loop(model, data, run)
            seconds[label].append(perf_counter() - start)
            weights[label] = list(model.parameters())
    same = all(map(torch.equal, weights["ours"], weights["autograd and torch.optim"]))
    for label, times in seconds.items():
        sys.stdout.write(
            f"{name} {label:26} {median(times):7.3f} s ({min(times):.3f} to {max(times):.3f}), "
            f"{median(times) / median(seconds['ours']):5.2f} × ours\n"
        )
    sys.stdout.write(f"weights of ours and of autograd are {'the same bits' if same else 'DIFFERENT'}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
