"""σ' = σ(1 − σ): by algebra, by finite differences, and along the computational graph of 1/(1 + exp(−x))."""

from collections.abc import Callable
from typing import Any, no_type_check

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
    symbol = sympy.Symbol("x", real=True)
    sigma = 1 / (1 + sympy.exp(-symbol))
    points = torch.linspace(-6, 6, 49, dtype=torch.float64, requires_grad=True)
    graph, closed = gradients(points)
    numbers = {
        "symbolic_difference": str(sympy.simplify(sympy.diff(sigma, symbol) - sigma * (1 - sigma))),
        "gradcheck": gradcheck(SigmoidFunction.apply, points),
        "gradgradcheck": gradgradcheck(SigmoidFunction.apply, points),
        "largest_difference": (graph - closed).abs().max().item(),
        "traced_at": settings.traced_at,
        **limits(torch.float32, settings.largest_x),
    }
    x = torch.linspace(-settings.largest_x, settings.largest_x, 481)
    rows = [
        {"series": name, "x": at, "gradient": gradient}
        for name, found in zip(("graph of 1/(1 + exp(−x))", "σ(1 − σ)"), gradients(x), strict=True)
        for at, gradient in zip(x.tolist(), found.tolist(), strict=True)
        if gradient > 0  # neither 0 nor NaN has a place on a logarithmic axis
    ]
    return Evidence(numbers, {"sigmoid-gradient": rows}, {"sigmoid-graph": trace(settings.traced_at)})


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


def trace(x: float) -> list[dict[str, Value]]:
    """Follow `naive` at one point, in float64: torch.fx records its operations, autograd their gradients.

    Returns:
        A row for each operation and each constant, in the order of computation: `name`, `operation`, the names of its
        `inputs`, its `value`, and its `gradient`, ∂result/∂value, None for a constant.
    """
    interpreter = fx.Interpreter(fx.symbolic_trace(naive), garbage_collect_values=False)
    result = interpreter.run(torch.tensor(x, dtype=torch.float64, requires_grad=True))
    steps = {step: tensor for step, tensor in interpreter.env.items() if step.op != "output"}
    derivatives = torch.autograd.grad(result, list(steps.values()))
    nodes: list[tuple[Value, ...]] = []
    for (step, tensor), derivative in zip(steps.items(), derivatives, strict=True):
        inputs = []
        for argument in step.args:
            if not isinstance(argument, fx.Node):
                nodes.append((f"constant_{len(nodes)}", "constant", "", float(str(argument)), None))
            inputs.append(argument.name if isinstance(argument, fx.Node) else str(nodes[-1][0]))
        operation = "input" if step.op == "placeholder" else step._pretty_print_target(step.target).rpartition(".")[2]
        nodes.append((step.name, operation, " ".join(inputs), tensor.item(), derivative.item()))
    return [dict(zip(("name", "operation", "inputs", "value", "gradient"), node, strict=True)) for node in nodes]


def gradients(x: Float[Tensor, " n"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Return ∂σ/∂x as autograd has it along the naive graph, and by the closed form, in the precision of `x`."""
    x = x.detach().requires_grad_()
    (graph,) = torch.autograd.grad(naive(x).sum(), x)
    (closed,) = torch.autograd.grad(SigmoidFunction.apply(x).sum(), x)  # type: ignore[no-untyped-call]
    return graph, closed


def limits(dtype: torch.dtype, largest: float) -> dict[str, float]:
    """Find, to one part in 10⁷, where either gradient stops being a positive number; `largest` is beyond all three.

    Returns:
        `graph_nan_below`: exp(−x) overflows there, and the chain rule multiplies its infinity by the 0 of
        1/(1 + exp(−x))². `graph_zero_below`: that square underflows before. `closed_zero_above`: 1 − σ(x)
        is rounded to 0, which the graph is spared.
    """
    conditions: dict[str, tuple[float, Callable[[Tensor, Tensor], Tensor]]] = {
        "graph_nan_below": (-largest, lambda graph, closed: graph.isnan()),
        "graph_zero_below": (-largest, lambda graph, closed: ~(graph > 0)),
        "closed_zero_above": (largest, lambda graph, closed: closed == 0),
    }
    found = {}
    for name, (far, holds) in conditions.items():
        near = 0.0  # bisected: the condition holds at `far`
        while abs(far - near) > 1e-7 * abs(far):
            middle = (near + far) / 2
            near, far = (near, middle) if holds(*gradients(torch.tensor([middle], dtype=dtype))) else (middle, far)
        found[name] = far
    return found
