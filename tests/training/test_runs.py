"""A run that was interrupted ends with the bits of one that was not; one that diverges keeps what came before."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from descent.io.datasets import Dataset, Split
from descent.io.errors import DataError
from descent.io.run_schema import FGSM, MLP, Evaluation, IntervalBounds, Run
from descent.training.checkpoint import Checkpoint, stamp
from descent.training.loop import fit
from descent.training.optimizers import OPTIMIZERS
from descent.training.runs import State, fast_step, initial_state, train
from stages.program import chosen_device
from tests.models.known import convnet, strided
from tests.training.known import run

EVALUATION = Evaluation(train_subset=20, batch_size=16, overfitting_window=1, overfitting_rise=0.1)


class Killed(BaseException):
    """Comes from nowhere, like a signal."""


SHORT = {"learning_rate": 0.01, "schedule": "linear", "weight_decay": 0.01, "batch_size": 7, "epochs": 4}
IMAGES = SHORT | {"data": "images", "optimizer": "adam", "model": MLP(kind="mlp", hidden=[12])}
RUNS = {
    "linear": run(**SHORT),
    "mlp": run(**IMAGES),
    "convnet": run(**IMAGES | {"model": convnet(4, 6, hidden=8)}),
    "normalised": run(
        **IMAGES | {"model": strided(batch_norm=True), "optimizer": "sgd", "momentum": 0.9},
        warm_up=0.3,
        label_smoothing=0.1,
        horizontal_flips=True,
    ),
    "adversarial": run(**IMAGES, adversary=FGSM(kind="fgsm", epsilon=0.1, step=0.125)),
    "certified": run(
        **IMAGES | {"model": strided()},
        adversary=IntervalBounds(kind="interval-bounds", epsilon=0.1, ramp=0.5, share=0.5),
    ),
}


def data_of(settings: Run) -> Dataset:
    rng = torch.Generator().manual_seed(5)
    if settings.data == "diabetes":
        x, y = torch.randn(30, 4, generator=rng).double(), torch.randn(30, 1, generator=rng).double()
    else:
        x, y = torch.rand(30, 1, 14, 14, generator=rng), torch.randint(10, (30,), generator=rng)
    return Dataset(Split(x[:24], y[:24]), Split(x[24:], y[24:]), "" if settings.data == "diabetes" else "0123456789")


def trained(
    path: Path, settings: Run, kill_after: int = 0, stamped: str = "s", state: State | None = None
) -> tuple[nn.Module, list[dict[str, float]]]:
    """Train, or be killed after so many epochs."""
    data = data_of(settings)
    state = state or initial_state(settings, data, seed=1)

    def progress(row: Mapping[str, float]) -> None:
        if len(checkpoint.history) - done == kill_after:
            raise Killed

    with Checkpoint(path, stamped, state.tensors(), state.rng) as checkpoint:
        done = len(checkpoint.history)
        train(state, data, settings, EVALUATION, checkpoint, progress)
    return state.model, checkpoint.history


@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_twice_ends_with_the_same_bits(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, history = trained(tmp_path / "whole", RUNS[name])
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    for epochs in (1, 2):
        with pytest.raises(Killed):
            trained(tmp_path / "killed", RUNS[name], kill_after=epochs)
    resumed, rows = trained(tmp_path / "killed", RUNS[name])
    keeps, going_on = "keeps %d finished epochs, and the next run goes on from there", "going on after epoch %d"
    said = [keeps % 1, going_on % 1, keeps % 3, going_on % 3]
    assert caplog.messages == [f"{tmp_path / 'killed'}: {words}" for words in said]
    assert rows == history
    torch.testing.assert_close(resumed.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert not list(tmp_path.iterdir())  # deleted on success


@pytest.mark.parametrize(
    ("stamped", "place", "message"),
    [("other", None, "of other parameters, data or code"), *(("s", place, "damaged") for place in (0, 70, 200, -1))],
)
def test_a_kept_state_of_other_parameters_or_with_a_changed_byte_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, stamped: str, place: int | None, message: str
) -> None:
    whole, history = trained(tmp_path / "whole", RUNS["mlp"])
    with pytest.raises(Killed):
        trained(tmp_path / "kept", RUNS["mlp"], kill_after=2, stamped=stamped)
    content = bytearray((tmp_path / "kept").read_bytes())
    if place is not None:
        content[place] ^= 1
    (tmp_path / "kept").write_bytes(content)
    caplog.clear()
    model, rows = trained(tmp_path / "kept", RUNS["mlp"])
    assert caplog.messages == [f"{tmp_path / 'kept'}: {message}, and not used; training begins anew"]
    assert rows == history
    torch.testing.assert_close(model.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_a_stamp_changes_with_what_it_is_of_and_with_the_code(tmp_path: Path) -> None:
    plain = stamp([1, {"rate": 0.1}], {"descent"})
    assert plain == stamp([1, {"rate": 0.1}], {"descent"})
    assert plain != stamp([1, {"rate": 0.2}], {"descent"})
    assert plain != stamp([1, {"rate": 0.1}], {"descent", "tests"})


@pytest.mark.parametrize(("rate", "last"), [(1e80, 0), (1e30, 1)])
def test_a_run_that_diverges_is_left_at_its_last_finite_epoch(tmp_path: Path, rate: float, last: int) -> None:
    # Beyond what the parameters allow, so that it takes one epoch or two.
    settings = run(epochs=9, batch_size=24).model_copy(update={"learning_rate": rate})
    data = data_of(settings)
    state = initial_state(settings, data, seed=3)
    with Checkpoint(tmp_path / "kept", "s", state.tensors(), state.rng) as checkpoint:
        assert train(state, data, settings, EVALUATION, checkpoint, lambda row: None) == last + 1
    assert [row["epoch"] for row in checkpoint.history] == list(range(min(last, 1), last + 1))
    assert all(abs(value) <= 1e100 for row in checkpoint.history for value in row.values())
    mean = (state.model(data.test.x) - data.test.y).square().mean().item()
    assert checkpoint.history[-1]["test_loss"] == pytest.approx(mean)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_tensors_of_a_state_are_those_that_training_changes(optimizer: str) -> None:
    settings = run(**IMAGES | {"optimizer": optimizer, "epochs": 1})
    state = initial_state(settings, data_of(settings), seed=1)
    tensors = state.tensors()
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    assert list(fit(state.model, data_of(settings).train, settings, state.rng, fast_step(state, settings))) == [1]
    assert tensors.keys() == state.model.state_dict().keys() | state.optimizer.state.keys()
    assert not any(torch.equal(tensor, before[name]) for name, tensor in tensors.items())
    for tensor in tensors.values():
        tensor.fill_(7)
    assert all((tensor == 7).all() for tensor in (*state.model.parameters(), *state.optimizer.state.values()))


@pytest.mark.parametrize(
    ("device", "name", "recorded"), [("cuda", "mlp", True), ("cuda", "adversarial", False), ("cpu", "mlp", False)]
)
def test_a_gpu_records_plain_steps(monkeypatch: pytest.MonkeyPatch, device: str, name: str, recorded: bool) -> None:
    model, launch = nn.Sequential(nn.Linear(1, 1)), Mock()
    monkeypatch.setattr(model, "parameters", lambda: iter([SimpleNamespace(device=torch.device(device))]))
    monkeypatch.setattr("descent.training.runs.replayed", lambda step: launch)
    state = State(model, OPTIMIZERS["sgd"]([torch.zeros(1)], 0.0), torch.Generator())
    assert (fast_step(state, RUNS[name]) is launch) == recorded


def test_weights_below_the_range_of_float32_are_0_after_training_and_nowhere_else(tmp_path: Path) -> None:
    settings = run(**IMAGES | {"weight_decay": 0.0, "epochs": 1})
    state = initial_state(settings, data_of(settings), seed=0)
    with torch.no_grad():
        next(state.model.parameters()).fill_(1e-40)
    trained(tmp_path / "kept", settings, state=state)
    weights = next(state.model.parameters()).abs()
    assert not ((weights > 0) & (weights < torch.finfo(torch.float32).tiny)).any()
    assert (torch.tensor(1e-30) * torch.tensor(1e-10)).item() == pytest.approx(1e-40, rel=1e-3)


@pytest.mark.parametrize("name", RUNS)
def test_the_chosen_device_and_the_cpu_give_the_same_weights(name: str) -> None:
    settings, ends = RUNS[name], []
    for device, step in ((torch.device("cpu"), None), (chosen_device(), fast_step)):
        data = data_of(settings).to(device)
        train = Split(data.train.x.double(), data.train.y)
        state = initial_state(settings, data._replace(train=train), seed=0)
        for _ in fit(state.model, train, settings, state.rng, step and step(state, settings)):
            pass
        ends.append([tensor.cpu() for tensor in state.model.state_dict().values()])
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("batch_size", [1, 23])
def test_batch_normalisation_refuses_one_number_in_a_channel(batch_size: int) -> None:
    settings = RUNS["normalised"].model_copy(update={"batch_size": batch_size})
    data, tiny = data_of(settings), strided(batch_norm=True, max_pool=7)
    initial_state(settings, data, seed=0)  # with several numbers it is as good as any other
    with pytest.raises(DataError, match=f"batches of {batch_size} leave one of 24 examples alone"):
        initial_state(settings.model_copy(update={"model": tiny}), data, seed=0)
    initial_state(settings.model_copy(update={"model": tiny, "batch_size": 22}), data, seed=0)


def test_a_run_whose_running_variance_is_infinite_has_diverged(tmp_path: Path) -> None:
    settings = RUNS["normalised"].model_copy(update={"learning_rate": 1e6, "epochs": 9})
    data = data_of(settings)
    state = initial_state(settings, data, seed=3)
    with Checkpoint(tmp_path / "kept", "s", state.tensors(), state.rng) as checkpoint:
        diverged = train(state, data, settings, EVALUATION, checkpoint, lambda row: None)
    assert diverged
    assert all(bool(tensor.isfinite().all()) for tensor in state.model.state_dict().values())
