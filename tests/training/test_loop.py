"""The loop descends as the mathematics says."""

from itertools import islice

import pytest
import torch
from torch import Tensor, nn

from descent.io.datasets import Split
from descent.io.run_schema import Run
from descent.models.evaluation import TASKS, accuracy, evaluate, measure, predict, squared_error
from descent.models.networks import build_model, linear
from descent.training.least_squares import least_squares_loss, stability_threshold
from descent.training.loop import batches, descent_step, fit, flipped, learning_rate, shares_done
from descent.training.optimizers import OPTIMIZERS
from tests.models.known import strided
from tests.training.known import run


@pytest.fixture
def data(rng: torch.Generator) -> Split:
    x, noise = torch.randn(40, 3, generator=rng).double(), torch.randn(40, 1, generator=rng).double()
    return Split(x, x @ torch.tensor([[1.0], [-2.0], [0.5]]).double() + 3 + 0.1 * noise)


def trained(data: Split, settings: Run) -> nn.Module:
    model = linear(data.x.shape[1], 1).double()
    assert list(fit(model, data, settings, torch.Generator().manual_seed(0))) == [*range(1, settings.epochs + 1)]
    return model


@pytest.mark.parametrize(("share", "converges"), [(0.5, True), (0.9, True), (1.01, False)])
def test_gradient_descent_converges_exactly_below_2_over_lambda_max(data: Split, share: float, converges: bool) -> None:
    model = trained(data, run(learning_rate=share * stability_threshold(data.x), epochs=300))
    reached, optimum = evaluate(model, data, TASKS["diabetes"], 1000)["loss"], least_squares_loss(*data)
    assert reached == pytest.approx(optimum, rel=1e-9) if converges else reached > 100 * optimum


def test_a_summed_loss_equals_a_mean_one_at_as_many_times_the_rate(data: Split) -> None:
    summed = trained(data, run(reduction="sum", learning_rate=0.001, batch_size=8, epochs=3))
    averaged = trained(data, run(reduction="mean", learning_rate=0.008, batch_size=8, epochs=3))
    torch.testing.assert_close(summed.state_dict(), averaged.state_dict())


@pytest.mark.parametrize("schedule", ["constant", "linear"])
@pytest.mark.parametrize("epochs_done", [0, 1, 3])
def test_a_continued_run_takes_the_learning_rates_that_follow(schedule: str, epochs_done: int) -> None:
    settings = run(schedule=schedule, batch_size=4, epochs=5)  # 3 steps an epoch: 4, 4 and 2 examples
    whole = list(islice(shares_done(settings, 10), 15))
    continued = islice(shares_done(settings, 10, epochs_done), 15 - 3 * epochs_done)
    assert list(continued) == whole[3 * epochs_done :]
    rates = [learning_rate(settings, done) for done in whole]
    assert rates == [0.1 * (1 - done / 15 if schedule == "linear" else 1) for done in range(15)]


def test_the_schedule_follows_the_warm_up() -> None:
    settings = run(warm_up=0.25, schedule="linear")
    rates = [learning_rate(settings, done) for done in (0.0, 0.125, 0.25, 0.625, 1.0)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.05, 0])
    assert learning_rate(run(warm_up=0.25), 0.9) == 0.1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_default_step_is_the_descent_step_of_the_run(data: Split, optimizer: str) -> None:
    settings = run(optimizer=optimizer, schedule="linear", weight_decay=0.01, batch_size=16, epochs=3)
    by_default, given = linear(3, 1).double(), linear(3, 1).double()
    made = OPTIMIZERS[optimizer](list(given.parameters()), settings.weight_decay)
    for model, step in ((by_default, None), (given, descent_step(given, settings, made))):
        assert list(fit(model, data, settings, torch.Generator().manual_seed(0), step)) == [1, 2, 3]
    for name, tensor in by_default.state_dict().items():
        assert torch.equal(tensor, given.state_dict()[name])
        assert tensor.abs().sum() > 0  # trained: it begins at 0


def test_the_loop_takes_the_step_that_it_is_given_and_no_other(data: Split) -> None:
    model, taken = linear(3, 1).double(), list[tuple[int, float]]()
    settings = run(schedule="linear", batch_size=16, epochs=2)
    epochs = fit(model, data, settings, torch.Generator(), lambda x, y, rate: taken.append((len(x), rate)), 1)
    assert list(epochs) == [2]
    assert [count for count, _ in taken] == [16, 16, 8]
    assert [rate for _, rate in taken] == pytest.approx([0.1 * left / 6 for left in (3, 2, 1)])
    assert not any(parameter.any() for parameter in model.parameters())


def test_the_loop_draws_every_example_once_in_an_order_that_the_seed_decides(rng: torch.Generator) -> None:
    data, settings = Split(torch.arange(10.0)[:, None], torch.arange(10)[:, None]), run(batch_size=4)
    drawn, again = list(batches(data, settings, rng)), list(batches(data, settings, torch.Generator().manual_seed(0)))
    assert [len(x) for x, _ in drawn] == [4, 4, 2]
    assert sorted(torch.cat([y for _, y in drawn]).flatten().tolist()) == [*range(10)]
    assert all(torch.equal(a.x.long(), b.y) for a, b in zip(drawn, again, strict=True))


def test_flips_mirror_about_half_of_the_images_in_each_epoch(rng: torch.Generator) -> None:
    data = Split(torch.arange(200.0).view(100, 1, 1, 2), torch.arange(100))
    settings = run(data="images", batch_size=30, horizontal_flips=True)
    mirrored = []
    for _ in range(2):
        drawn = list(batches(data, settings, rng))
        x, y = torch.cat([x for x, _ in drawn]), torch.cat([y for _, y in drawn])
        assert y.sort().values.tolist() == [*range(100)]
        straight = torch.stack([2 * y, 2 * y + 1], dim=1).view(100, 1, 1, 2).float()
        flips = (x != straight).all(dim=3).flatten()
        torch.testing.assert_close(x, torch.where(flips[:, None, None, None], straight.flip(3), straight))
        assert 30 < flips.sum() < 70
        mirrored.append(set(y[flips].tolist()))
    assert mirrored[0] != mirrored[1]
    assert all((x[:, 0, 0, 0] < x[:, 0, 0, 1]).all() for x, _ in batches(data, run(data="images"), rng))
    once = flipped(data.x, torch.ones(100).bool())
    assert once[3].flatten().tolist() == [7, 6]  # left and right


def test_attacks_do_not_change_the_statistics_of_batch_normalisation() -> None:
    rng, spec = torch.Generator().manual_seed(0), strided(batch_norm=True)
    model, modes = build_model(spec, (1, 12, 12), 10, 0), list[bool]()
    model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    images = Split(torch.rand(20, 1, 12, 12, generator=rng), torch.randint(10, (20,), generator=rng))
    adversary = {"kind": "fgsm", "epsilon": 0.1, "step": 0.125}
    settings = run(data="images", model=spec, batch_size=10, adversary=adversary)
    assert list(fit(model, images, settings, rng)) == [1]
    assert modes == [False, True] * 2
    assert model[1].num_batches_tracked == 2


def test_predictions_are_made_in_evaluation_mode_and_measured_by_part(data: Split) -> None:
    model, x = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2)).train(), torch.rand(10, 4)
    torch.testing.assert_close(predict(model, x, 3), predict(model, x, 10))
    assert not predict(model, x, 3).requires_grad
    measured = measure(linear(3, 1).double(), {"train": data, "test": data}, TASKS["diabetes"], 7)
    assert list(measured) == ["train_loss", "test_loss"]
    assert measured["train_loss"] == pytest.approx(data.y.square().mean().item())
    logits = torch.tensor([[0.0, 1.0], [2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])
    assert accuracy(logits, torch.tensor([1, 0, 0, 0])).item() == 0.75
    with pytest.raises(ValueError, match=r"prediction \(5, 1\) and target \(5,\) differ in shape"):
        squared_error(torch.zeros(5, 1), torch.zeros(5))


def test_an_adversary_attacks_each_batch_within_its_bound_before_the_model_learns_from_it(rng: torch.Generator) -> None:
    images = Split(torch.rand(40, 1, 6, 6, generator=rng), torch.randint(10, (40,), generator=rng))
    seen, adversary = list[Tensor](), {"kind": "fgsm", "epsilon": 0.1, "step": 0.125}

    def weights(**changes: object) -> Tensor:
        torch.manual_seed(0)
        # Not a dense network, whose gradient is computed without calling it.
        model = nn.Sequential(nn.Flatten(), nn.Identity(), nn.Linear(36, 10))
        model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
        settings = run(data="images", batch_size=16, epochs=2, **changes)
        assert list(fit(model, images, settings, torch.Generator().manual_seed(0))) == [1, 2]
        return next(model.parameters()).detach()

    robust = weights(adversary=adversary)
    assert len(seen) == 2 * 3 * 2  # epochs, batches; the start of the attack and what it led to
    nearest = torch.cdist(seen[1].flatten(1), images.x.flatten(1), p=torch.inf).min(dim=1).values
    assert 0.05 < nearest.min() <= nearest.max() <= 0.1 + 1e-6
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(robust, weights())
    assert torch.equal(robust, weights(adversary=adversary))
