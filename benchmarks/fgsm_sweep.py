"""A sweep of FGSM over twelve ε on all test images: ours, foolbox's, and one call per ε of torchattacks.

`python -m benchmarks.fgsm_sweep [RUN]` needs the test dependencies and the data and weights of a run.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import foolbox
import torch
from torch import Tensor, nn

import stages  # noqa: F401 - sets OpenMP's environment
from descent import vision
from descent.data import Split, load_dataset
from descent.determinism import make_deterministic
from descent.fashion_mnist import CLASSES
from descent.models import load_model
from descent.params import load_params
from descent.robustness import along, directions
from descent.training import accuracy, predict

assert vision  # noqa: S101 - torchattacks imports torchvision
import torchattacks  # noqa: E402

ROUNDS = 5


def ours(model: nn.Module, data: Split, epsilons: list[float], batch: int) -> Tensor:
    """Sweep with one gradient for each image."""
    logits = along(model, data.x, directions(model, data, batch), epsilons, batch)
    return torch.stack([accuracy(of_epsilon, data.y) for of_epsilon in logits])


def by_foolbox(model: nn.Module, data: Split, epsilons: list[float], batch: int) -> Tensor:
    """Sweep with foolbox, which is given all ε at once."""
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfFastGradientAttack()
    parts = zip(data.x.split(batch), data.y.split(batch), strict=True)
    success = [attack(bounded, x, y, epsilons=epsilons)[2] for x, y in parts]
    return 1 - torch.cat(success, dim=1).float().mean(dim=1)


def by_torchattacks(model: nn.Module, data: Split, epsilons: list[float], batch: int) -> Tensor:
    """Sweep with one call of torchattacks for each ε."""
    accuracies = []
    for epsilon in epsilons:
        attack = torchattacks.FGSM(model, eps=epsilon)
        parts = zip(data.x.split(batch), data.y.split(batch), strict=True)
        images = torch.cat([attack(x, y) for x, y in parts])
        accuracies.append(accuracy(predict(model, images, batch), data.y))
    return torch.stack(accuracies)


def main(name: str = "mlp") -> None:
    """Time the three in turn, several times over, and print medians."""
    params = load_params(Path("params.yaml"))
    make_deterministic(params.threads)
    run, epsilons, batch = params.train[name], params.attack.bench.epsilons, params.evaluation.batch_size
    data = load_dataset(Path(f"data/{run.data}.safetensors")).test
    model = load_model(Path(f"models/{name}.safetensors"), run.model, data.x.shape[1:], len(CLASSES))
    sweeps: dict[str, Callable[[nn.Module, Split, list[float], int], Tensor]] = {
        "ours": ours,
        "foolbox": by_foolbox,
        "torchattacks": by_torchattacks,
    }
    seconds: dict[str, list[float]] = {label: [] for label in sweeps}
    found: dict[str, Tensor] = {}
    for _ in range(ROUNDS):
        for label, sweep in sweeps.items():
            start = perf_counter()
            found[label] = sweep(model, data, epsilons, batch)
            seconds[label].append(perf_counter() - start)
    for label, times in seconds.items():
        largest = (found[label] - found["ours"]).abs().max().item()
        sys.stdout.write(
            f"{name} {label:13} {median(times):7.3f} s, {median(times) / median(seconds['ours']):5.1f} × ours, "
            f"accuracies differ by at most {largest:.4f}\n"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
