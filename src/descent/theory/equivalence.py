"""Does a parametrised ReLU define more functions than biases do? Random networks, counterexamples, training."""

from itertools import count, pairwise
from math import isfinite
from statistics import fmean, stdev

import torch
from jaxtyping import Float64
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


def relu_evidence(data: Split, settings: ReLUComparison, seed: int) -> Evidence:
    """Show where a parametrised ReLU is an ordinary one with other biases, where not, and that training differs.

    Args:
        data: Regression data in float64, to train on.
        settings: How many random networks, how large an image, how many pairs are trained, and how.
        seed: Of the random networks.
    """
    rng = torch.Generator().manual_seed(seed)
    padding, errors = before_padding(settings.image_size, rng)
    trained, losses = compare_training(data, settings.run, settings.seeds)
    numbers = agreement(settings.networks, rng) | without_bias(settings.networks, rng) | padding | trained
    return Evidence(numbers, {"parametrised-relu": losses}, {"padding": errors})


def agreement(networks: int, rng: torch.Generator) -> dict[str, float]:
    """Compare random networks with their ordinary twins, and with what the write-up's recipe makes of them.

    Returns:
        How many `networks`; the largest difference of any output from the twin's, `max_error`; and with W₂o left
        out the mean error, `slip_mean_error`, and the most by which it is not W₂o, `slip_minus_w2o`.
    """
    errors, slips, residuals = [], [], []
    for _ in range(networks):
        network = random_mlp(rng, depth=_between(1, 4, rng))
        x = _normal(64, _inputs(network), rng=rng)
        errors.append(_largest(network(x) - absorb(network)(x)))

        network = random_mlp(rng, depth=1)
        x = _normal(64, _inputs(network), rng=rng)
        slip = network(x) - rewritten(network, after=False)(x)
        slips.append(slip.abs().mean().item())
        o = next(network[1].parameters())
        residuals.append(_largest(slip - (network[2](o) - network[2](torch.zeros_like(o)))))
    return {
        "networks": networks,
        "max_error": max(errors),
        "slip_mean_error": fmean(slips),
        "slip_minus_w2o": max(residuals),
    }


def without_bias(networks: int, rng: torch.Generator) -> dict[str, float]:
    """Find a network without biases that does what no ReLU network without biases can: f(0) ≠ 0.

    Returns:
        |f(0)| of the network found, `no_bias_at_zero`, after `no_bias_tries` random ones; and the largest |g(0)|
        of so many random ReLU networks without biases, `no_bias_relu_at_zero`.
    """
    drawn = (_at_zero(random_mlp(rng, depth=1, bias=False)) for _ in count())
    tries, found = next((tries, value) for tries, value in enumerate(drawn, start=1) if value > 0)
    ordinary = [_at_zero(random_mlp(rng, depth=2, bias=False, parametrised=False)) for _ in range(networks)]
    return {"no_bias_tries": tries, "no_bias_at_zero": found, "no_bias_relu_at_zero": max(ordinary)}


def before_padding(size: int, rng: torch.Generator) -> tuple[dict[str, float], list[dict[str, Value]]]:
    """Show what the recipe does before a convolution that pads with zeros, and before one that does not.

    Two convolutions with a parametrised ReLU between, on random images of `size` × `size` pixels.

    Returns:
        The largest error at the border and inside, `zero_padding_border_error`, `zero_padding_inside_error`, and
        without padding, `valid_padding_error`; and the mean error of each pixel of the padded output as rows of
        `row`, `column`, `error`.
    """
    padded = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), ParametrisedReLU(4), nn.Conv2d(4, 1, 3, padding=1)).double()
    _randomise(padded, rng)
    valid = nn.Sequential(nn.Conv2d(1, 4, 3), ParametrisedReLU(4), nn.Conv2d(4, 1, 3)).double()
    valid.load_state_dict(padded.state_dict())
    images = _normal(64, 1, size, size, rng=rng)

    error = (padded(images) - rewritten(padded)(images)).detach().abs()[:, 0]
    inside = error[:, 1:-1, 1:-1]
    border = error.clone()
    border[:, 1:-1, 1:-1] = 0
    numbers: dict[str, float] = {
        "zero_padding_border_error": _largest(border),
        "zero_padding_inside_error": _largest(inside),
        "valid_padding_error": _largest(valid(images) - absorb(valid)(images)),
    }
    means = error.mean(dim=0)
    return numbers, [
        {"row": row, "column": column, "error": means[row, column].item()}
        for row in range(size)
        for column in range(size)
    ]


def compare_training(data: Split, run: Run, seeds: int) -> tuple[dict[str, float], list[dict[str, Value]]]:
    """Train networks with parametrised ReLUs and their ordinary twins from the same functions, on the same batches.

    Args:
        data: Regression data in float64.
        run: How both are trained.
        seeds: How many pairs.

    Returns:
        The largest difference of any prediction before the first step, `start_difference`; mean and standard
        deviation over the seeds of the final training losses and of their difference; and for both kinds, from
        epoch 0 on, the mean training loss with the `low`est and the `high`est.

    Raises:
        ParamsError: Training diverges.
    """
    kinds: dict[str, list[list[float]]] = {"parametrised ReLU": [], "ReLU": []}
    differences = []
    for seed in range(seeds):
        ordinary = build_model(run.model, data.x.shape[1:], 1, seed).to(data.x.dtype)
        network = parametrised(ordinary, torch.Generator().manual_seed(seed))
        twin = absorb(network)
        differences.append(_largest(network(data.x) - twin(data.x)))
        for losses, model in zip(kinds.values(), (network, twin), strict=True):
            losses.append(_losses(model, data, run, seed))
    rows: list[dict[str, Value]] = [
        {"series": kind, "epoch": epoch, "loss": fmean(values), "low": min(values), "high": max(values)}
        for kind, runs in kinds.items()
        for epoch, values in enumerate(zip(*runs, strict=True))
    ]
    own, twins = ([losses[-1] for losses in runs] for runs in kinds.values())
    compared = {
        "final_loss": own,
        "final_loss_of_twin": twins,
        "final_loss_minus_twins": [a - b for a, b in zip(own, twins, strict=True)],
    }
    numbers: dict[str, float] = {"seeds": seeds, "start_difference": max(differences)}
    for name, values in compared.items():
        numbers |= {name: fmean(values), f"{name}_deviation": stdev(values)}
    return numbers, rows


def random_mlp(rng: torch.Generator, depth: int, *, bias: bool = True, parametrised: bool = True) -> nn.Sequential:
    """Draw a network in float64: `depth` hidden layers of 1 to 16 neurons, weights of N(0, 1/fan-in), o of N(0, 1)."""
    sizes = [_between(1, 16, rng) for _ in range(depth + 2)]
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after, bias=bias), ParametrisedReLU(after) if parametrised else nn.ReLU()]
    return _randomise(nn.Sequential(*layers[:-1]).double(), rng)


def _randomise(network: nn.Sequential, rng: torch.Generator) -> nn.Sequential:
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        parameter.data = _normal(*parameter.shape, rng=rng) / fan_in**0.5
    return network


def _losses(model: nn.Sequential, data: Split, run: Run, seed: int) -> list[float]:
    def loss() -> float:
        return evaluate(model, data, TASKS[run.data], len(data.y))["loss"]

    losses = [loss()]
    for epoch in fit(model, data, run, torch.Generator().manual_seed(seed)):
        losses.append(loss())
        if not isfinite(losses[-1]):
            raise ParamsError(
                f"params.yaml: theory.parametrised_relu.run: training from seed {seed} diverges in epoch {epoch} "
                f"(loss {losses[-1]}); lower its learning_rate or weight_decay"
            )
    return losses


def _at_zero(network: nn.Sequential) -> float:
    return _largest(network(torch.zeros(1, _inputs(network), dtype=torch.float64)))


def _inputs(network: nn.Sequential) -> int:
    return next(network.parameters()).shape[1]


def _largest(x: Tensor) -> float:
    return x.abs().max().item()


def _between(low: int, high: int, rng: torch.Generator) -> int:
    return int(torch.randint(low, high + 1, (), generator=rng))


def _normal(*shape: int, rng: torch.Generator) -> Float64[Tensor, "..."]:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)
