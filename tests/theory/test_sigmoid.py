"""σ' = σ(1 − σ), and the graph that says so."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from descent.theory.sigmoid import SigmoidFunction, gradients, limits, naive, symbolic_difference, trace

X = torch.linspace(-6, 6, 25, dtype=torch.float64)


def test_computer_algebra_finds_no_difference() -> None:
    assert symbolic_difference() == "0"


def test_the_closed_form_passes_finite_differences_twice() -> None:
    points = X.clone().requires_grad_()
    assert gradcheck(SigmoidFunction.apply, points)
    assert gradgradcheck(SigmoidFunction.apply, points)


def test_the_function_and_both_gradients_are_torchs() -> None:
    torch.testing.assert_close(naive(X), torch.sigmoid(X), rtol=0, atol=1e-15)
    expected = torch.sigmoid(X) * torch.sigmoid(-X)
    for gradient in gradients(X):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-15)


def test_the_way_back_needs_nothing_but_the_result() -> None:
    y = SigmoidFunction.apply(X.clone().requires_grad_())  # type: ignore[no-untyped-call]
    saved = y.grad_fn.saved_tensors
    assert [tensor.data_ptr() for tensor in saved] == [y.data_ptr()]


def test_the_traced_graph_has_each_operation_once_with_its_inputs() -> None:
    nodes = {node.name: node for node in trace(0.5)}
    assert [node.operation for node in nodes.values()] == [
        "input", "neg", "exp", "constant", "add", "constant", "truediv",
    ]  # fmt: skip
    assert nodes["exp"].inputs == ("neg",)
    assert nodes["add"].inputs == ("constant_3", "exp")
    assert nodes["truediv"].inputs == ("constant_5", "add")


def test_values_and_gradients_along_the_graph_follow_the_chain_rule() -> None:
    x = 0.5
    nodes = {node.name: node for node in trace(x)}
    e = torch.tensor(-x, dtype=torch.float64).exp().item()
    y = 1 / (1 + e)
    values = {"x": x, "neg": -x, "exp": e, "constant_3": 1, "add": 1 + e, "constant_5": 1, "truediv": y}
    slopes = {"x": y * (1 - y), "neg": -y * (1 - y), "exp": -y * y, "add": -y * y, "truediv": 1.0}
    assert {name: node.value for name, node in nodes.items()} == pytest.approx(values, abs=1e-15)
    assert {n: node.gradient for n, node in nodes.items() if node.gradient is not None} == pytest.approx(
        slopes, abs=1e-15
    )
    assert nodes["constant_3"].gradient is None


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float32, 120.0), (torch.float64, 1000.0)])
def test_the_graph_loses_its_gradient_on_the_left_and_the_closed_form_on_the_right(
    dtype: torch.dtype, largest: float
) -> None:
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


def test_far_out_the_closed_form_is_zero_where_the_graph_is_not_a_number() -> None:
    graph, closed = gradients(torch.tensor([-110.0]))
    assert graph.isnan().all()
    assert closed.item() == 0
