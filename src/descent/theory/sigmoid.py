"""σ' = σ(1 − σ): by algebra, by finite differences, and along the computational graph of 1/(1 + exp(−x))."""

from collections.abc import Callable
from math import isnan
from typing import Any, NamedTuple, no_type_check

import sympy
import torch
from jaxtyping import Float
from torch import Tensor, fx
from torch.autograd import gradcheck, gradgradcheck

from descent.io.results import Value
from descent.io.schema import Sigmoid
from descent.theory.evidence import Evidence


def sigmoid_evidence(settings: Sigmoid) -> Evidence:
    """Show that σ' = σ(1 − σ), the graph that computes it, and where the two part in float32."""
    points = torch.linspace(-6, 6, 49, dtype=torch.float64, requires_grad=True)
    graph, closed = gradients(points)
    numbers = {
        "symbolic_difference": symbolic_difference(),
        "gradcheck": gradcheck(SigmoidFunction.apply, points),
        "gradgradcheck": gradgradcheck(SigmoidFunction.apply, points),
        "largest_difference": (graph - closed).abs().max().item(),
        "traced_at": settings.traced_at,
        **limits(torch.float32, settings.largest_x),
    }
    x = torch.linspace(-settings.largest_x, settings.largest_x, 481)
    curves = zip(("graph of 1/(1 + exp(−x))", "σ(1 − σ)"), gradients(x), strict=True)
    rows: list[dict[str, Value]] = [
        {"series": name, "x": at.item(), "gradient": gradient.item()}
        for name, found in curves
        for at, gradient in zip(x, found, strict=True)
        if gradient > 0  # neither 0 nor NaN has a place on a logarithmic axis
    ]
    nodes: list[dict[str, Value]] = [
        node._asdict() | {"inputs": " ".join(node.inputs)} for node in trace(settings.traced_at)
    ]
    return Evidence(numbers, {"sigmoid-gradient": rows}, {"sigmoid-graph": nodes})


@no_type_check  # torch.fx calls it with something that only looks like a tensor
def naive(x: Tensor) -> Tensor:
    """Return 1/(1 + exp(−x)), operation by operation, for autograd to differentiate one by one."""
    return 1 / (1 + torch.exp(-x))


class SigmoidFunction(torch.autograd.Function):
    """σ with its derivative in closed form; all that it keeps for the way back is its own result."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - torch gives its context no type
        """Return σ(x)."""
        y = torch.sigmoid(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401
        """Return the gradient times σ(1 − σ)."""
        (y,) = ctx.saved_tensors
        slope: Tensor = y * (1 - y)
        return gradients[0] * slope


def symbolic_difference() -> str:
    """Return what computer algebra makes of σ'(x) − σ(x)(1 − σ(x)), for real x: "0" if the claim holds."""
    x = sympy.Symbol("x", real=True)
    sigma = 1 / (1 + sympy.exp(-x))
    return str(sympy.simplify(sympy.diff(sigma, x) - sigma * (1 - sigma)))


class GraphNode(NamedTuple):
    """A step of a computation, with what autograd found there."""

    name: str
    operation: str
    inputs: tuple[str, ...]  # names of the nodes that it takes
    value: float
    gradient: float | None  # ∂result/∂value; None for a constant


def trace(x: float) -> list[GraphNode]:
    """Follow `naive` at one point, in float64: torch.fx records its operations, autograd their gradients.

    Returns:
        A node for each operation and each constant, in the order of computation.
    """
    recorder = _Recorder(fx.symbolic_trace(naive))
    result = recorder.run(torch.tensor(x, dtype=torch.float64, requires_grad=True))
    derivatives = torch.autograd.grad(result, [tensor for _, tensor in recorder.seen])
    nodes: list[GraphNode] = []
    for (step, tensor), derivative in zip(recorder.seen, derivatives, strict=True):
        inputs = []
        for argument in step.args:
            if isinstance(argument, fx.Node):
                inputs.append(argument.name)
            else:
                inputs.append(f"constant_{len(nodes)}")
                nodes.append(GraphNode(inputs[-1], "constant", (), float(str(argument)), None))
        operation = "input" if step.op == "placeholder" else step._pretty_print_target(step.target).rpartition(".")[2]
        nodes.append(GraphNode(step.name, operation, tuple(inputs), tensor.item(), derivative.item()))
    return nodes


class _Recorder(fx.Interpreter):
    """Runs a traced function and keeps each step of it with its result."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.seen: list[tuple[fx.Node, Tensor]] = []

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 - whatever an operation returns
        result = super().run_node(n)
        if n.op != "output":
            self.seen.append((n, result))
        return result


def gradients(x: Float[Tensor, " n"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Return ∂σ/∂x as autograd has it along the naive graph, and by the closed form, in the precision of `x`."""
    x = x.detach().requires_grad_()
    (graph,) = torch.autograd.grad(naive(x).sum(), x)
    (closed,) = torch.autograd.grad(SigmoidFunction.apply(x).sum(), x)  # type: ignore[no-untyped-call]
    return graph, closed


def limits(dtype: torch.dtype, largest: float) -> dict[str, float]:
    """Find, to one part in 10⁷, where either gradient stops being a positive number.

    Returns:
        `graph_nan_below`: exp(−x) overflows there, and the chain rule multiplies its infinity by the 0 of
        1/(1 + exp(−x))². `graph_zero_below`: that square underflows before. `closed_zero_above`: 1 − σ(x)
        is rounded to 0, which the graph is spared.

    Args:
        dtype: The precision to compute in.
        largest: An |x| beyond all three.
    """

    def at(x: float) -> tuple[float, float]:
        graph, closed = gradients(torch.tensor([x], dtype=dtype))
        return graph.item(), closed.item()

    return {
        "graph_nan_below": _edge(lambda x: isnan(at(x)[0]), -largest),
        "graph_zero_below": _edge(lambda x: not at(x)[0] > 0, -largest),
        "closed_zero_above": _edge(lambda x: at(x)[1] == 0, largest),
    }


def _edge(holds: Callable[[float], bool], far: float) -> float:
    """Return, by bisection, the x closest to 0 at which a condition that holds at `far` still holds."""
    near = 0.0
    while abs(far - near) > 1e-7 * abs(far):
        middle = (near + far) / 2
        near, far = (near, middle) if holds(middle) else (middle, far)
    return far
