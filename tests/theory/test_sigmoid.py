"""σ' = σ(1 − σ), and the graph that says so."""

import pytest
import torch

from descent.io.schema import Sigmoid
from descent.theory.sigmoid import gradients, limits, naive, sigmoid_evidence, trace

X = torch.linspace(-6, 6, 25, dtype=torch.float64)


def test_the_evidence_has_no_difference_and_no_gradient_of_0() -> None:
    shown = sigmoid_evidence(Sigmoid(traced_at=0.5, largest_x=120.0))
    assert shown.numbers["symbolic_difference"] == "0"
    assert shown.numbers["gradcheck"] is shown.numbers["gradgradcheck"] is True
    assert 0 < shown.numbers["largest_difference"] < 1e-15  # type: ignore[operator]
    assert all(row["gradient"] > 0 for row in shown.curves["sigmoid-gradient"])  # type: ignore[operator]
    assert {row["series"] for row in shown.curves["sigmoid-gradient"]} == {"graph of 1/(1 + exp(−x))", "σ(1 − σ)"}


def test_the_function_and_both_gradients_are_torchs() -> None:
    torch.testing.assert_close(naive(X), torch.sigmoid(X), rtol=0, atol=1e-15)
    for gradient in gradients(X):
        torch.testing.assert_close(gradient, torch.sigmoid(X) * torch.sigmoid(-X), rtol=0, atol=1e-15)


def test_values_and_gradients_along_the_traced_graph_follow_the_chain_rule() -> None:
    e = torch.tensor(-0.5, dtype=torch.float64).exp().item()
    y = 1 / (1 + e)
    expected = [
        ("x", "input", "", 0.5, y * (1 - y)),
        ("neg", "neg", "x", -0.5, -y * (1 - y)),
        ("exp", "exp", "neg", e, -y * y),
        ("constant_3", "constant", "", 1, None),
        ("add", "add", "constant_3 exp", 1 + e, -y * y),
        ("constant_5", "constant", "", 1, None),
        ("truediv", "truediv", "constant_5 add", y, 1.0),
    ]
    found = trace(0.5)
    columns = ("name", "operation", "inputs", "value", "gradient")
    assert found == [pytest.approx(dict(zip(columns, row, strict=True)), abs=1e-15) for row in expected]


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float32, 120.0), (torch.float64, 1000.0)])
def test_the_graph_loses_its_gradient_left_and_the_closed_form_right(dtype: torch.dtype, largest: float) -> None:
    found = limits(dtype, largest)
    overflow = -torch.tensor(torch.finfo(dtype).max, dtype=torch.float64).log().item()
    assert found["graph_nan_below"] == pytest.approx(overflow, rel=1e-6)
    beyond = torch.tensor([1.01, 0.99], dtype=dtype)
    graph, closed = gradients(beyond * found["graph_nan_below"])
    assert graph.isnan().tolist() == [True, False]
    assert not closed.isnan().any()
    graph, _ = gradients(beyond * found["graph_zero_below"])
    assert (graph == 0).tolist() == [True, False]
    graph, closed = gradients(beyond * found["closed_zero_above"])
    assert (closed == 0).tolist() == [True, False]
    assert (graph > 0).all()
