"""Every figure of the write-up has its name and its place, and only those with data are drawn."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from descent.io.run_schema import MLP, Run
from descent.io.schema import Params
from descent.report.all_figures import FigureInputs, all_figures, all_sheets
from descent.sources.published import FASHION_CLASSES as CLASSES
from tests.report.test_figures import ATTACK, CLASSIFIER, CONFUSION, FLIPS, REGRESSION, TRANSFER, pictures, words
from tests.report.test_theory_figures import nodes

THEORY = {
    "sigmoid_traced_at": 1.0,
    "sigmoid_graph_nan_below": -3.0,
    "sigmoid_graph_zero_below": -2.0,
    "sigmoid_closed_zero_above": 2.0,
    "learning_rate_loss_at_start": 10.0,
    "learning_rate_worst_batch_threshold": 0.2,
    "broadcasting_variance": 2.0,
    "broadcasting_least_squares_loss": 1.0,
}
LOSSES = pd.DataFrame({"series": ["one", "one"], "loss": [2.0, 1.0], "low": [1.5, 0.5], "high": [2.5, 1.5]})
TABLES = {
    "parametrised-relu": LOSSES.assign(epoch=[1, 2]),
    "padding": pd.DataFrame({"row": [0, 0, 1, 1], "column": [0, 1, 0, 1], "error": [1.0, 1.0, 1.0, 0.5]}),
    "sigmoid-graph": nodes(1.0),
    "sigmoid-gradient": pd.DataFrame({"series": ["graph"] * 2, "x": [-5.0, 5.0], "gradient": [0.1, 0.2]}),
    "learning-rate": LOSSES.assign(learning_rate_over_threshold=[0.5, 0.9]),
    "broadcasting": LOSSES.assign(step=[1, 2]),
}
LINEAR = {"least_squares_loss": 90.0, "stability_threshold": 0.0153, "learning_rate_over_threshold": 0.5}
THEORY_FIGURES = [
    "theory-twins",
    "theory-padding",
    "theory-sigmoid-graph",
    "theory-sigmoid-gradient",
    "theory-learning-rate",
    "theory-broadcasting",
]


def inputs(runs: dict[str, Run], attacked: list[str], classes: tuple[str, ...] = CLASSES) -> FigureInputs:
    """Return results of these runs, made up."""
    examples = pictures(1) | {name.replace("bag", "write_up"): tensor for name, tensor in pictures(1).items()}
    slider = {"clean": torch.rand(2, 1, 28, 28), "direction": torch.ones(2, 1, 28, 28), "epsilon": torch.tensor([0.1])}
    examples |= {f"slider.{name}": tensor for name, tensor in slider.items()}
    linear = {name for name, run in runs.items() if run.model.kind == "linear"}
    return FigureInputs(
        runs=runs,
        epsilon=0.1,
        data={"source": "folder", "class_names": list(classes)},
        theory=THEORY,
        trained={name: LINEAR if name in linear else {"overfitting_epoch": None} for name in runs},
        theory_tables=TABLES,
        curves={name: CLASSIFIER if run.data == "images" else REGRESSION for name, run in runs.items()},
        fgsm=dict.fromkeys(attacked, ATTACK),
        pgd=dict.fromkeys(attacked, ATTACK),
        flips=dict.fromkeys(attacked, FLIPS),
        confusion=dict.fromkeys(attacked, CONFUSION),
        examples=dict.fromkeys(attacked, examples),
        transfer=TRANSFER,
    )


def test_the_figures_are_named_in_the_order_of_the_write_up(params: Params) -> None:
    figures = all_figures(inputs(params.train, ["mlp", "convnet"]))
    assert list(figures) == [
        *THEORY_FIGURES,
        *("robustness", "robustness-pgd", "flips", "transfer", "bag", "write-up"),
        *("regression-loss", "regression-hovering"),
        *("mlp-loss", "mlp-accuracy", "convnet-loss", "convnet-accuracy"),
        *("confusion-mlp", "adversarial-mlp", "confusion-convnet", "adversarial-convnet"),
    ]
    assert "mlp-weight-decay, test" in words(figures["mlp-loss"])
    assert "convnet" not in words(figures["mlp-loss"])
    assert "fast gradient sign method" in words(figures["robustness"])
    assert "projected gradient descent" in words(figures["robustness-pgd"])
    assert "unclipped" not in words(figures["bag"])
    assert "unclipped" in words(figures["write-up"])
    (axes,) = figures["theory-learning-rate"].axes
    (rates,) = [line for line in axes.lines if line.get_label() == "learning rates of the runs"]
    assert list(rates.get_xdata()) == [0.5, 0.5]  # type: ignore[arg-type]


def test_images_without_bags_and_runs_without_regressions_have_fewer_figures(params: Params) -> None:
    figures = all_figures(inputs({"mlp": params.train["mlp"]}, ["mlp"], tuple("0123456789")))
    expected = ["robustness", "robustness-pgd", "flips", "transfer", "mlp-loss", "mlp-accuracy"]
    assert list(figures) == [*THEORY_FIGURES, *expected, "confusion-mlp", "adversarial-mlp"]


def test_a_model_of_another_kind_has_figures_under_its_own_name(params: Params) -> None:
    run = params.train["mlp"].model_copy(update={"model": SimpleNamespace(kind="transformer")})
    assert {"transformer-loss", "transformer-accuracy"} <= all_figures(inputs({"mine": run}, ["mine"])).keys()


@pytest.mark.parametrize("others", [{}, {"a": LINEAR}])
def test_only_linear_models_are_drawn_as_linear_regressions(params: Params, others: dict[str, object]) -> None:
    linear = params.train["regression-lr-1e-2"]
    bent = linear.model_copy(update={"model": MLP(kind="mlp", hidden=[8])})
    figures = all_figures(inputs({"bent": bent} | dict.fromkeys(others, linear), ["bent"]))
    drawn = {name: figure for name, figure in figures.items() if name.startswith("regression")}
    assert list(drawn) == (["regression-loss", "regression-hovering"] if others else [])
    assert all("bent" not in words(figure) for figure in drawn.values())


def test_each_attacked_run_has_a_sheet_of_images_and_one_of_directions(params: Params) -> None:
    sheets = all_sheets(inputs(params.train, ["mlp", "convnet"]))
    assert {name: tuple(pixels.shape) for name, pixels in sheets.items()} == {
        "mlp": (56, 28),
        "mlp-direction": (56, 28, 3),
        "convnet": (56, 28),
        "convnet-direction": (56, 28, 3),
    }
