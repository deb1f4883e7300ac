"""Steps are PyTorch's own, to the last bit."""

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from descent.io.run_schema import MLP, ConvNet, Model
from descent.models.networks import build_model
from descent.training.optimizers import OPTIMIZERS, optimizer_of
from tests.models.known import convnet
from tests.training.known import run

THEIRS: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SPECS: list[MLP | ConvNet] = [MLP(kind="mlp", hidden=[17]), convnet(8, 16, hidden=12, batch_norm=True)]


@pytest.mark.parametrize(("name", "momentum"), [*((name, 0.0) for name in OPTIMIZERS), ("sgd", 0.9)])
@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_torchs(
    name: str, momentum: float, spec: Model, decay: float, dtype: torch.dtype, rng: torch.Generator
) -> None:
    ours = build_model(spec, (1, 16, 16), 10, seed=1).to(dtype)
    theirs = deepcopy(ours)
    more = {"momentum": momentum, "nesterov": True} if momentum else {}
    optimizer = THEIRS[name](theirs.parameters(), lr=0.1, weight_decay=decay, fused=True, **more)
    step = optimizer_of(run(optimizer=name, weight_decay=decay, momentum=momentum), list(ours.parameters()))
    for number in range(5):
        x, y = torch.rand(6, 1, 16, 16, generator=rng, dtype=dtype), torch.randint(10, (6,), generator=rng)
        optimizer.param_groups[0]["lr"] = rate = 0.1 / (number + 1)
        step(gradients(ours, x, y), rate)
        gradients(theirs, x, y)  # left in its parameters
        optimizer.step()
        assert all(torch.equal(*pair) for pair in zip(ours.parameters(), theirs.parameters(), strict=True))


def gradients(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    model.zero_grad()
    F.cross_entropy(model(x), y).backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
