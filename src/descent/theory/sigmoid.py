"""σ' = σ(1 − σ): by algebra, by finite differences, and along the computational graph of 1/(1 + exp(−x))."""

from bisect import bisect_left
from collections.abc import Callable
from typing import no_type_check

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
        # torch differentiates its own sigmoid in closed form, as σ(1 − σ).
        "gradcheck": gradcheck(torch.sigmoid, points),
        "gradgradcheck": gradgradcheck(torch.sigmoid, points),
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
        operation = getattr(step.target, "__name__", "input")  # an input's target is a string
        nodes.append((step.name, operation, " ".join(inputs), tensor.item(), derivative.item()))
    return [dict(zip(("name", "operation", "inputs", "value", "gradient"), node, strict=True)) for node in nodes]


def gradients(x: Float[Tensor, " n"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Return ∂σ/∂x as autograd has it along the naive graph, and by the closed form, in the precision of `x`."""
    x = x.detach().requires_grad_()
    (graph,) = torch.autograd.grad(naive(x).sum(), x)
    y = torch.sigmoid(x.detach())
    return graph, y * (1 - y)


def limits(dtype: torch.dtype, largest: float) -> dict[str, float]:
    """Bisect, in 10¹² steps, where either gradient stops being a positive number; `largest` is beyond all three.

    Returns:
        `graph_nan_below`: exp(−x) overflows there, and the chain rule multiplies its infinity by the 0 of
        1/(1 + exp(−x))². `graph_zero_below`: that square underflows before. `closed_zero_above`: 1 − σ(x)
        is rounded to 0, which the graph is spared.
    """

    def first(far: float, condition: Callable[[Tensor, Tensor], Tensor]) -> float:
        def holds(steps: int) -> bool:
            return bool(condition(*gradients(torch.tensor([steps * far / 10**12], dtype=dtype))))

        return bisect_left(range(10**12), True, key=holds) * far / 10**12

    return {
        "graph_nan_below": first(-largest, lambda graph, closed: graph.isnan()),
        "graph_zero_below": first(-largest, lambda graph, closed: ~(graph > 0)),
        "closed_zero_above": first(largest, lambda graph, closed: closed == 0),
    }
