"""Runs trained in one stack, on the device of DESCENT_DEVICE, end where each ends alone on the CPU."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from descent.io.datasets import Split
from descent.io.run_schema import MLP, Run
from descent.io.schema import Params
from descent.io.tensors import save_tensors
from descent.models.evaluation import TASKS, measure, predict, squared_error
from descent.models.networks import build_model
from descent.studies.engine import Failure
from descent.studies.stacked import (
    fit_stacked,
    on_stack,
    stack_name,
    stacked,
    stacked_gradient,
)
from descent.studies.trials import Outcome, Trial, key, outcome, parsed, perform
from descent.training.loop import fit
from stages.program import chosen_device
from tests.models.known import convnet, strided

SEEDS = (0, 1, 5)
CPU = torch.device("cpu")


def split(run: Run, rng: torch.Generator) -> Split:
    """Return data that can be learned from, and as much as leaves a smaller last batch.

    In float64, for Adam makes as large a step of a gradient that is rounding as of any other.
    """
    if run.data == "diabetes":
        x = torch.randn(150, 10, generator=rng, dtype=torch.float64)
        return Split(x, x.sum(dim=1, keepdim=True) + 1)
    y = torch.randint(10, (150,), generator=rng)
    return Split((torch.rand(150, 1, 28, 28, generator=rng, dtype=torch.float64) + y.view(-1, 1, 1, 1) / 10) / 2, y)


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in SEEDS]


def fresh(run: Run, data: Split) -> list[nn.Sequential]:
    outputs = 1 if run.data == "diabetes" else 10
    return [build_model(run.model, data.x.shape[1:], outputs, seed).to(data.x.dtype) for seed in SEEDS]


def weights(model: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in model.state_dict().values()]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("regression-lr-1e-4", {}),
        ("mlp", {"horizontal_flips": True, "label_smoothing": 0.2, "warm_up": 0.5}),
        ("mlp-weight-decay", {}),
        ("mlp-weight-decay", {"optimizer": "sgd", "momentum": 0.9}),
        ("convnet", {"model": strided(batch_norm=True)}),
        pytest.param("convnet", {}, marks=pytest.mark.slow),
    ],
)
def test_a_stack_equals_separate_runs(name: str, changes: dict[str, Any], params: Params, rng: torch.Generator) -> None:
    run, device = params.train[name].model_copy(update={"epochs": 3} | changes), chosen_device()
    data = split(run, rng)
    there = Split(data.x.to(device), data.y.to(device))
    alone, together = fresh(run, data), [model.to(device) for model in fresh(run, data)]
    before = [weight.clone().cpu() for weight in weights(together[0])]

    for model, generator in zip(alone, generators(), strict=True):
        assert list(fit(model, data, run, generator)) == [1, 2, 3]
    for epoch in fit_stacked(together, there, run, generators()):
        assert epoch in (1, 2, 3)
        assert all(model.training for model in together)
        for model in together:  # every model can be measured as any other
            measure(model, {"train": there}, TASKS[run.data], 100)

    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(weights(other.cpu()), weights(one), rtol=1e-8, atol=1e-9)
    assert not any(map(torch.equal, weights(together[0]), before))
    assert not torch.allclose(weights(together[0])[0], weights(together[1])[0], atol=1e-3) or name.startswith("regr")


def test_an_adversary_is_refused_before_anything_is_trained(params: Params, rng: torch.Generator) -> None:
    run = params.train["convnet-adversarial"]
    data = split(run, rng)
    with pytest.raises(ValueError, match="a stacked run has no adversary"):
        next(fit_stacked(fresh(run, data), data, run, generators()))


def test_gradients_lie_in_memory_as_the_weights_do(rng: torch.Generator) -> None:
    class Product(nn.Linear):
        """A linear model whose gradient comes out transposed."""

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight.t().contiguous()

    models = [Product(4, 2, bias=False) for _ in range(2)]
    stack, buffers = stacked(models)
    gradient = stacked_gradient(models[0], TASKS["diabetes"].loss)
    for part in gradient(stack, buffers, torch.rand(2, 7, 4, generator=rng), torch.rand(2, 7, 2, generator=rng)):
        assert part.is_contiguous()


class Made(NamedTuple):
    """The folder of prepared data, and the digests of its files."""

    folder: Path
    digests: Mapping[str, str]

    def trials(self, params: Params, *runs: Run, seeds: int = 3) -> dict[str, Trial]:
        """Plan a few seeds of each run; those of classifiers are attacked."""
        epsilons = {"images": [0.0, 0.1], "diabetes": []}
        rest = [(params.evaluation, 1, self.digests[run.data], epsilons[run.data]) for run in runs]
        planned = [Trial(run, seed, *each) for run, each in zip(runs, rest, strict=True) for seed in range(seeds)]
        return {key(trial): trial for trial in planned}

    def performed(self, planned: Mapping[str, Trial]) -> list[Outcome]:
        """Perform trials in stacks, and see that each outcome differs from that of the trial alone by rounding only."""
        results, outcomes = dict(on_stack(planned, self.folder, CPU)), list[Outcome]()
        assert results.keys() == planned.keys()
        for name, result in results.items():
            assert isinstance(result, bytes)
            one, other = parsed(name, result), parsed(name, perform(planned[name], self.folder, self.folder / "kept"))
            for row, expected in zip([one.metrics, *one.history], [other.metrics, *other.history], strict=True):
                assert row == {
                    column: value if value is None else pytest.approx(value, rel=1e-3, abs=1e-4)
                    for column, value in expected.items()
                }
            outcomes.append(one)
        return outcomes


@pytest.fixture
def made(tmp_path: Path, rng: torch.Generator) -> Made:
    images, patients = dict[str, Tensor](), dict[str, Tensor]()
    for part, count in (("train", 60), ("test", 20)):
        images[f"{part}_images"] = torch.randint(256, (count, 12, 12), generator=rng, dtype=torch.uint8)
        images[f"{part}_labels"] = torch.randint(3, (count,), generator=rng, dtype=torch.uint8)
        patients[f"{part}_x"] = torch.randn(count, 5, generator=rng, dtype=torch.float64)
        patients[f"{part}_y"] = torch.randn(count, 1, generator=rng, dtype=torch.float64)
    digest = save_tensors(tmp_path / "images.safetensors", images, {"classes": '["a", "b", "c"]'})
    return Made(tmp_path, {"images": digest, "diabetes": save_tensors(tmp_path / "diabetes.safetensors", patients)})


def test_every_seed_of_a_stack_gives_what_it_gives_alone(made: Made, params: Params) -> None:
    few = {"epochs": 4, "batch_size": 16}
    runs = [params.train[name].model_copy(update=few) for name in ("mlp", "mlp-weight-decay", "regression-lr-1e-2")]
    outcomes = made.performed(made.trials(params, *runs))
    assert len({each.metrics["final_test_loss"] for each in outcomes}) == len(outcomes)
    attacked = outcomes[0].metrics
    assert 0 <= attacked["accuracy_at_0.1"] <= attacked["accuracy_at_0"] <= 1


def test_a_seed_that_diverges_stops_no_other(made: Made, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = list[tuple[float, float]]()

    def noted(*of: Any) -> bytes:  # noqa: ANN401
        _, _, model, data, history, _ = of
        test = data.test
        ended.append((squared_error(predict(model, test.x, 100), test.y).item(), history[-1]["test_loss"]))
        return outcome(*of)

    monkeypatch.setattr("descent.studies.stacked.outcome", noted)
    run = params.train["regression-lr-1e-2"].model_copy(update={"learning_rate": 0.2, "epochs": 60, "batch_size": 7})
    outcomes = made.performed(made.trials(params, run, seeds=4))
    assert len({each.metrics["diverged_epoch"] for each in outcomes}) > 1
    assert len(ended) == 4
    for loss, told in ended:  # the weights are those of the last row
        assert loss == pytest.approx(told)


def test_an_adversarial_run_is_trained_by_itself(made: Made, params: Params) -> None:
    few = {"epochs": 2, "batch_size": 16, "model": MLP(kind="mlp", hidden=[8])}
    run = params.train["convnet-adversarial"].model_copy(update=few)
    assert len(made.performed(made.trials(params, run, seeds=2))) == 2


def test_what_fails_fails_for_its_setting_only(made: Made, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"epochs": 2, "batch_size": 16}
    wide, narrow = (params.train[name].model_copy(update=few) for name in ("mlp", "mlp-weight-decay"))

    def without_memory(models: Sequence[nn.Module], data: Split, run: Run, rngs: object) -> Iterator[int]:
        if run == wide:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB.\nMore words")
        return iter([])

    monkeypatch.setattr("descent.studies.stacked.fit_stacked", without_memory)
    hopeless = wide.model_copy(update={"model": convnet(2, 2, 2, 2, 2)})
    planned = made.trials(params, wide, narrow, hopeless)
    monkeypatch.setattr("descent.studies.stacked.outcome", lambda name, *_: name.encode())
    performed = dict(on_stack(planned, made.folder, CPU))
    reasons = (
        "CUDA out of memory. Tried to allocate 3 GiB.",
        "model.convolutions.2: images of 1×12×12 are too small for it",
    )
    for run, expected in ((wide, Failure(reasons[0])), (hopeless, Failure(reasons[1])), (narrow, None)):
        names = [name for name, trial in planned.items() if trial.run == run]
        assert [performed.pop(name) for name in names] == [expected or name.encode() for name in names]
    assert not performed


def test_where_it_was_computed_is_part_of_the_folders_name() -> None:
    assert stack_name(CPU).startswith("cpu-")
