"""What is shown of the parametrised ReLU is so."""

from math import isfinite

import pytest
import torch

from descent.io.datasets import Split
from descent.io.errors import ParamsError
from descent.io.schema import Params
from descent.theory.equivalence import agreement, before_padding, compare_training, relu_evidence, without_bias
from descent.theory.parametrised_relu import rewritten


@pytest.fixture
def data(rng: torch.Generator) -> Split:
    x = torch.randn(30, 4, generator=rng).double()
    return Split(x, x.square().sum(dim=1, keepdim=True))


def test_only_networks_with_biases_agree_with_twins(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = agreement(20, rng) | without_bias(20, rng)
    assert 0 < shown["max_error"] < 1e-10
    assert shown["slip_mean_error"] > 0.1
    assert 0 < shown["slip_minus_w2o"] < 1e-10
    assert shown["no_bias_at_zero"] > shown["no_bias_relu_at_zero"] == 0
    monkeypatch.setattr("descent.theory.equivalence.absorb", lambda network: rewritten(network, after=False))
    assert agreement(20, rng)["max_error"] > 0.1  # a wrong twin shows


def test_the_error_before_padding_is_at_the_border_only(rng: torch.Generator) -> None:
    shown, rows = before_padding(6, rng)
    assert 0 < shown["zero_padding_inside_error"] < 1e-10 < 0.1 < shown["zero_padding_border_error"]
    assert shown["valid_padding_error"] < 1e-10
    assert [(row["row"], row["column"]) for row in rows] == [(i, j) for i in range(6) for j in range(6)]
    for row in rows:
        border = row["row"] in (0, 5) or row["column"] in (0, 5)
        assert (row["error"] > 1e-3) == border  # type: ignore[operator]


def test_twins_start_from_the_same_function_and_part(params: Params, data: Split) -> None:
    run = params.theory.parametrised_relu.run.model_copy(update={"epochs": 3, "learning_rate": 0.01})
    shown, rows = compare_training(data, run, seeds=2)
    assert shown["start_difference"] < 1e-10
    expected = [(kind, epoch) for kind in ("parametrised ReLU", "ReLU") for epoch in range(4)]
    assert [(row["series"], row["epoch"]) for row in rows] == expected
    losses = [row["loss"] for row in rows]
    assert losses[0] == pytest.approx(losses[4], rel=1e-12)
    assert losses[3] != pytest.approx(losses[7], rel=1e-6)
    assert (shown["final_loss"], shown["final_loss_of_twin"]) == (losses[3], losses[7])
    assert shown["final_loss_minus_twins"] == pytest.approx(shown["final_loss"] - shown["final_loss_of_twin"])
    assert all(row["low"] <= row["loss"] <= row["high"] for row in rows)  # type: ignore[operator]


def test_training_that_diverges_names_its_parameters(params: Params, data: Split) -> None:
    changes = {"epochs": 99, "batch_size": 2, "learning_rate": 1e6}
    run = params.theory.parametrised_relu.run.model_copy(update=changes)
    with pytest.raises(ParamsError, match=r"^params\.yaml: theory\.parametrised_relu\.run: .* diverges in epoch \d+"):
        compare_training(data, run, seeds=2)


def test_the_least_of_every_setting_gives_finite_numbers(params: Params, data: Split) -> None:
    run = params.theory.parametrised_relu.run.model_copy(update={"epochs": 1, "batch_size": 1_000_000})
    least = {"networks": 1, "image_size": 5, "seeds": 2, "run": run}
    settings = params.theory.parametrised_relu.model_copy(update=least)
    shown = relu_evidence(Split(data.x[:4], data.y[:4]), settings, seed=0)
    assert all(isfinite(number) for number in shown.numbers.values())  # type: ignore[arg-type]
    assert len(shown.tables["padding"]) == 25
