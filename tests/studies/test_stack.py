"""Seeds in one batched model give what each gives alone; here on the CPU, where both can be had."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn

from descent.io.datasets import Dataset
from descent.io.run_schema import MLP, Run
from descent.io.schema import Params
from descent.io.tensors import save_tensors
from descent.models.evaluation import predict, squared_error
from descent.studies import stacked as batched
from descent.studies import stacked as stack
from descent.studies.engine import Failure
from descent.studies.stacked import on_stack, stack_name
from descent.studies.trials import Outcome, Trial, key, outcome, parsed, perform

History = list[dict[str, float]]
CPU = torch.device("cpu")


class Made(NamedTuple):
    """The folder of prepared data, and the digests of its files."""

    folder: Path
    digests: Mapping[str, str]


@pytest.fixture
def made(tmp_path: Path, rng: torch.Generator) -> Made:
    images, patients = dict[str, torch.Tensor](), dict[str, torch.Tensor]()
    for part, count in (("train", 60), ("test", 20)):
        images[f"{part}_images"] = torch.randint(256, (count, 12, 12), generator=rng, dtype=torch.uint8)
        images[f"{part}_labels"] = torch.randint(3, (count,), generator=rng, dtype=torch.uint8)
        patients[f"{part}_x"] = torch.randn(count, 5, generator=rng, dtype=torch.float64)
        patients[f"{part}_y"] = torch.randn(count, 1, generator=rng, dtype=torch.float64)
    data = tmp_path / "data"
    return Made(
        data,
        {
            "images": save_tensors(data / "images.safetensors", images, {"classes": '["a", "b", "c"]'}),
            "diabetes": save_tensors(data / "diabetes.safetensors", patients),
        },
    )


def trials(made: Made, params: Params, *runs: Run, seeds: int = 3) -> dict[str, Trial]:
    """Plan a few seeds of each run; those of classifiers are attacked."""
    planned = [
        Trial(run, seed, params.evaluation, 1, made.digests[run.data], [0.0, 0.1] if run.data == "images" else [])
        for run in runs
        for seed in range(seeds)
    ]
    return {key(trial): trial for trial in planned}


def stacked(planned: Mapping[str, Trial], made: Made) -> dict[str, Outcome]:
    """Perform trials in stacks."""
    outcomes = {}
    for name, result in on_stack(planned, made.folder, CPU):
        assert isinstance(result, bytes)
        outcomes[name] = parsed(name, result)
    assert outcomes.keys() == planned.keys()
    return outcomes


def alone(name: str, trial: Trial, made: Made) -> Outcome:
    """Perform one by itself."""
    return parsed(name, perform(trial, made.folder, made.folder.parent / "kept"))


def same(one: Outcome, other: Outcome) -> None:
    """See that two outcomes differ by rounding only."""
    for row, expected in zip([one.metrics, *one.history], [other.metrics, *other.history], strict=True):
        assert row.keys() == expected.keys()
        for name, value in expected.items():
            assert row[name] is None if value is None else row[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name


def test_every_seed_of_a_stack_gives_what_it_gives_alone(made: Made, params: Params) -> None:
    few = {"epochs": 4, "batch_size": 16}
    planned = trials(
        made,
        params,
        params.train["mlp"].model_copy(update=few),
        params.train["mlp-weight-decay"].model_copy(update=few),
        params.train["regression-lr-1e-2"].model_copy(update=few),
    )
    outcomes = stacked(planned, made)
    for name, trial in planned.items():
        same(outcomes[name], alone(name, trial, made))
    losses = {outcome.metrics["final_test_loss"] for outcome in outcomes.values()}
    assert len(losses) == len(planned)
    attacked = next(iter(outcomes.values())).metrics
    assert 0 <= attacked["accuracy_at_0.1"] <= attacked["accuracy_at_0"] <= 1


def test_a_seed_that_diverges_ends_where_it_does_alone_and_holds_up_no_other(
    made: Made, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = list[tuple[float, float]]()

    def noted(
        name: str, trial: Trial, model: nn.Module, data: Dataset, history: History, diverged: int | None
    ) -> bytes:
        test = data.test
        ended.append((squared_error(predict(model, test.x, 100), test.y).item(), history[-1]["test_loss"]))
        return outcome(name, trial, model, data, history, diverged)

    monkeypatch.setattr(stack, "outcome", noted)
    run = params.train["regression-lr-1e-2"].model_copy(update={"learning_rate": 0.2, "epochs": 60, "batch_size": 7})
    planned = trials(made, params, run, seeds=4)
    outcomes = stacked(planned, made)
    ends = [outcome.metrics["diverged_epoch"] for outcome in outcomes.values()]
    assert len(set(ends)) > 1
    for loss, told in ended:  # the weights are those of the last row
        assert loss == pytest.approx(told)
    for name, trial in planned.items():
        same(outcomes[name], alone(name, trial, made))


def test_an_adversarial_run_is_trained_by_itself(made: Made, params: Params) -> None:
    run = params.train["convnet-adversarial"].model_copy(
        update={"epochs": 2, "batch_size": 16, "model": MLP(kind="mlp", hidden=[8])}
    )
    planned = trials(made, params, run, seeds=2)
    outcomes = stacked(planned, made)
    for name, trial in planned.items():
        assert outcomes[name] == alone(name, trial, made)


def test_what_fails_fails_for_its_setting_only(made: Made, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"epochs": 2, "batch_size": 16}
    wide, narrow = (params.train[name].model_copy(update=few) for name in ("mlp", "mlp-weight-decay"))

    def without_memory(models, data, run, rngs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        if run == wide:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB.\nMore words")
        return batched.fit_stacked(models, data, run, rngs)

    monkeypatch.setattr(stack, "fit_stacked", without_memory)
    planned = trials(made, params, wide, narrow)
    results = dict(on_stack(planned, made.folder, CPU))
    for name, trial in planned.items():
        if trial.run == wide:
            assert results[name] == Failure("CUDA out of memory. Tried to allocate 3 GiB.")
        else:
            assert isinstance(results[name], bytes)


def test_where_it_was_computed_is_part_of_the_folders_name() -> None:
    assert stack_name(CPU).startswith("cpu-")
    assert stack_name(CPU) == stack_name(CPU)
