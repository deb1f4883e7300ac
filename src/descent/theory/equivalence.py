"""Does a parametrised ReLU define more functions than biases do? Random networks, counterexamples, training."""

from itertools import chain, pairwise
from math import isfinite
from statistics import fmean, stdev

import numpy as np
import torch
from torch import Tensor, nn

from descent.io.datasets import Split
from descent.io.errors import ParamsError
from descent.io.results import Value
from descent.io.run_schema import Run
from descent.io.schema import ReLUComparison
from descent.models.evaluation import TASKS, evaluate
from descent.models.networks import build_model
from descent.theory.evidence import Evidence
from descent.theory.parametrised_relu import ParametrisedReLU, absorb, parametrised, rewritten
from descent.training.loop import fit

Rows = list[dict[str, Value]]


def relu_evidence(data: Split, settings: ReLUComparison, seed: int) -> Evidence:
    """Show where a parametrised ReLU is an ordinary one with other biases, where not, and that training differs."""
    rng = torch.Generator().manual_seed(seed)
    padding, errors = before_padding(settings.image_size, rng)
    trained, losses = compare_training(data, settings.run, settings.seeds)
    numbers = agreement(settings.networks, rng) | without_bias(settings.networks, rng) | padding | trained
    return Evidence(numbers, {"parametrised-relu": losses}, {"padding": errors})


def agreement(networks: int, rng: torch.Generator) -> dict[str, float]:
    """Compare random networks with their ordinary twins, and with what the write-up's recipe makes of them.

    `max_error` is the largest difference of an output from the twin's, `slip_mean_error` the mean error with W₂o left
    out, and `slip_minus_w2o` the most by which that error is not W₂o.
    """
    errors, slips, residuals = [], [], []
    for _ in range(networks):
        network, x = _drawn(rng, depth=int(torch.randint(1, 5, (), generator=rng)))
        errors.append(_largest(network(x) - absorb(network)(x)))

        network, x = _drawn(rng, depth=1)
        slip = network(x) - rewritten(network, after=False)(x)
        slips.append(slip.abs().mean().item())
        o = next(network[1].parameters())
        residuals.append(_largest(slip - (network[2](o) - network[2](torch.zeros_like(o)))))
    found = {"max_error": max(errors), "slip_mean_error": fmean(slips), "slip_minus_w2o": max(residuals)}
    return {"networks": networks} | found


def without_bias(networks: int, rng: torch.Generator) -> dict[str, float]:
    """Find a network without biases that does what no ReLU network without biases can: f(0) ≠ 0.

    `no_bias_at_zero` is |f(0)| of the network found after `no_bias_tries` random ones, `no_bias_relu_at_zero` the
    largest |g(0)| of as many random ReLU networks without biases as `networks` says.
    """
    tries, found = 0, 0.0
    while not found:
        tries, found = tries + 1, _at_zero(random_mlp(rng, depth=1, bias=False))
    ordinary = [_at_zero(random_mlp(rng, depth=2, bias=False, parametrised=False)) for _ in range(networks)]
    return {"no_bias_tries": tries, "no_bias_at_zero": found, "no_bias_relu_at_zero": max(ordinary)}


def before_padding(size: int, rng: torch.Generator) -> tuple[dict[str, float], Rows]:
    """Show what the recipe does before a convolution that pads with zeros, and before one that does not.

    Two convolutions with a parametrised ReLU between, on random images of `size` × `size` pixels. Returned are the
    largest errors, and the mean error of each pixel of the padded output as rows of `row`, `column`, `error`.
    """
    padded, valid = (
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=pad), ParametrisedReLU(4), nn.Conv2d(4, 1, 3, padding=pad)).double()
        for pad in (1, 0)
    )
    valid.load_state_dict(_randomise(padded, rng).state_dict())
    images = torch.randn(64, 1, size, size, generator=rng, dtype=torch.float64)

    error = (padded(images) - rewritten(padded)(images)).detach().abs()[:, 0]
    inside = nn.functional.pad(error[:, 1:-1, 1:-1], (1, 1, 1, 1))
    numbers = {
        "zero_padding_border_error": _largest(error - inside),
        "zero_padding_inside_error": _largest(inside),
        "valid_padding_error": _largest(valid(images) - absorb(valid)(images)),
    }
    means = np.ndenumerate(error.mean(dim=0).numpy())
    return numbers, [{"row": row, "column": column, "error": float(mean)} for (row, column), mean in means]


def compare_training(data: Split, run: Run, seeds: int) -> tuple[dict[str, float], Rows]:
    """Train networks with parametrised ReLUs and their ordinary twins from the same functions, on the same batches.

    Returns:
        The largest difference of a prediction before the first step, `start_difference`; mean and standard deviation
        over the `seeds` of the final training losses; rows with the mean loss of each epoch, `low`est and `high`est.

    Raises:
        ParamsError: Training diverges.
    """
    curves: dict[str, list[list[float]]] = {"parametrised ReLU": [], "ReLU": []}
    differences = []
    for seed in range(seeds):
        ordinary = build_model(run.model, data.x.shape[1:], 1, seed).to(data.x.dtype)
        network = parametrised(ordinary, torch.Generator().manual_seed(seed))
        twin = absorb(network)
        differences.append(_largest(network(data.x) - twin(data.x)))
        for kind, model in zip(curves, (network, twin), strict=True):
            curves[kind].append(_losses(model, data, run, seed))
    rows: Rows = [
        {"series": kind, "epoch": epoch, "loss": fmean(losses), "low": min(losses), "high": max(losses)}
        for kind, of_seeds in curves.items()
        for epoch, losses in enumerate(zip(*of_seeds, strict=True))
    ]
    own, twins = ([losses[-1] for losses in of_seeds] for of_seeds in curves.values())
    minus = [a - b for a, b in zip(own, twins, strict=True)]
    numbers: dict[str, float] = {"seeds": seeds, "start_difference": max(differences)}
    for name, final in ("final_loss", own), ("final_loss_of_twin", twins), ("final_loss_minus_twins", minus):
        numbers |= {name: fmean(final), f"{name}_deviation": stdev(final)}
    return numbers, rows


def random_mlp(rng: torch.Generator, depth: int, *, bias: bool = True, parametrised: bool = True) -> nn.Sequential:
    """Draw a network in float64: `depth` hidden layers of 1 to 16 neurons, weights of N(0, 1/fan-in), o of N(0, 1)."""
    layers: list[nn.Module] = []
    for before, after in pairwise(torch.randint(1, 17, (depth + 2,), generator=rng).tolist()):
        layers += [nn.Linear(before, after, bias=bias), ParametrisedReLU(after) if parametrised else nn.ReLU()]
    return _randomise(nn.Sequential(*layers[:-1]).double(), rng)


def _randomise(network: nn.Sequential, rng: torch.Generator) -> nn.Sequential:
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        parameter.data = torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / fan_in**0.5
    return network


def _losses(model: nn.Sequential, data: Split, run: Run, seed: int) -> list[float]:
    """Train a model, and return its loss before training and after each epoch."""
    losses = []
    for epoch in chain([0], fit(model, data, run, torch.Generator().manual_seed(seed))):
        losses.append(evaluate(model, data, TASKS[run.data], len(data.y))["loss"])
        if not isfinite(losses[-1]):
            raise ParamsError(
                f"params.yaml: theory.parametrised_relu.run: training from seed {seed} diverges in epoch {epoch} "
                f"(loss {losses[-1]}); lower its learning_rate or weight_decay"
            )
    return losses


def _drawn(rng: torch.Generator, depth: int) -> tuple[nn.Sequential, Tensor]:
    """Draw a network and 64 inputs for it."""
    network = random_mlp(rng, depth)
    return network, torch.randn(64, next(network.parameters()).shape[1], generator=rng, dtype=torch.float64)


def _at_zero(network: nn.Sequential) -> float:
    return _largest(network(torch.zeros_like(next(network.parameters())[:1])))


def _largest(x: Tensor) -> float:
    return x.abs().max().item()
