"""Runs that are trained in one stack end where each ends alone."""

import pytest
import torch
from torch import Tensor, nn

from descent.io.datasets import Split
from descent.io.run_schema import Run
from descent.io.schema import Params
from descent.models.evaluation import TASKS, measure
from descent.models.networks import build_model
from descent.studies.stacked import fit_stacked, stacked_batches, stacked_gradient, stacked_weights
from descent.training.loop import batches, fit

SEEDS = (0, 1, 5)


def images(rng: torch.Generator) -> Split:
    """Return images that a class can be learned from, and as many as leave a smaller last batch.

    In float64, for Adam makes as large a step of a gradient that is rounding as of any other.
    """
    y = torch.randint(10, (150,), generator=rng)
    return Split((torch.rand(150, 1, 28, 28, generator=rng, dtype=torch.float64) + y.view(-1, 1, 1, 1) / 10) / 2, y)


def patients(rng: torch.Generator) -> Split:
    """Return numbers and a linear function of them."""
    x = torch.randn(150, 10, generator=rng, dtype=torch.float64)
    return Split(x, x.sum(dim=1, keepdim=True) + 1)


DATA = {"images": images, "diabetes": patients}


def generators() -> list[torch.Generator]:
    """Return one for each seed."""
    return [torch.Generator().manual_seed(seed) for seed in SEEDS]


def fresh(run: Run, data: Split) -> list[nn.Sequential]:
    """Return one model for each seed."""
    outputs = 1 if run.data == "diabetes" else 10
    return [build_model(run.model, data.x.shape[1:], outputs, seed).to(data.x.dtype) for seed in SEEDS]


def weights(model: nn.Module) -> list[Tensor]:
    """Return the weights of a model."""
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize(
    "name", ["regression-lr-1e-4", "mlp", "mlp-weight-decay", pytest.param("convnet", marks=pytest.mark.slow)]
)
def test_a_stack_equals_separate_runs(name: str, params: Params, rng: torch.Generator) -> None:
    run = params.train[name].model_copy(update={"epochs": 3})
    data = DATA[run.data](rng)
    alone, stacked = fresh(run, data), fresh(run, data)
    before = [weight.clone() for weight in weights(stacked[0])]

    for model, generator in zip(alone, generators(), strict=True):
        assert list(fit(model, data, run, generator)) == [1, 2, 3]
    for epoch in fit_stacked(stacked, data, run, generators()):
        assert epoch in (1, 2, 3)
        assert all(model.training for model in stacked)
        for model in stacked:  # every model can be measured as any other
            measure(model, {"train": data}, TASKS[run.data], 100)

    for one, other in zip(alone, stacked, strict=True):
        torch.testing.assert_close(weights(other), weights(one), rtol=1e-8, atol=1e-9)
    assert not any(map(torch.equal, weights(stacked[0]), before))
    assert not torch.allclose(weights(stacked[0])[0], weights(stacked[1])[0], atol=1e-3) or name.startswith("regr")


def test_a_stack_draws_for_each_model_what_it_would_draw_alone(rng: torch.Generator) -> None:
    data = images(rng)
    stacked = list(stacked_batches(data, 64, generators()))
    assert [tuple(x.shape) for x, _ in stacked] == [(3, 64, 1, 28, 28), (3, 64, 1, 28, 28), (3, 22, 1, 28, 28)]
    for number, generator in enumerate(generators()):
        for (x, y), alone in zip(stacked, batches(data, 64, generator), strict=True):
            assert torch.equal(x[number], alone.x)
            assert torch.equal(y[number], alone.y)


def test_an_adversary_is_refused_before_anything_is_trained(params: Params, rng: torch.Generator) -> None:
    run = params.train["convnet-adversarial"]
    data = images(rng)
    models = fresh(run, data)
    with pytest.raises(ValueError, match="a stacked run has no adversary"):
        next(fit_stacked(models, data, run, generators()))


def test_gradients_lie_in_memory_as_the_weights_do(rng: torch.Generator) -> None:
    class Product(nn.Module):
        """A linear model whose gradient comes out transposed."""

        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.rand(2, 4, generator=rng))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.w.t().contiguous()

    models = [Product(), Product()]
    stack = stacked_weights(models)
    gradient = stacked_gradient(models[0], list(stack), TASKS["diabetes"].loss, "mean")
    for part in gradient(list(stack.values()), torch.rand(2, 7, 4, generator=rng), torch.rand(2, 7, 2, generator=rng)):
        assert part.is_contiguous()
