"""The figures of the theory."""

from collections.abc import Mapping, Sequence
from typing import Any

import networkx as nx
import pandas as pd
from matplotlib.figure import Figure

from descent.report.colours import BLUE, INK, PAPER, PURPLE, VERMILION
from descent.report.style import band, finished, new_panel

SYMBOLS = {"neg": "−", "add": "+", "truediv": "÷", "mul": "×", "sub": "−"}


def twins(losses: pd.DataFrame) -> Figure:
    """Draw the training losses of networks with parametrised ReLUs and of their ordinary twins: mean and range."""
    axes = new_panel("Same function at the start, another descent", "diabetes")
    for name, rows in losses.groupby("series", sort=False):
        band(axes, rows["epoch"], rows["loss"], rows["low"], rows["high"], label=name)
    return finished(axes, xlabel="epoch", ylabel="training loss: mean, range", log=(1, 2, 3, 5))


def padding(errors: pd.DataFrame) -> Figure:
    """Draw, pixel by pixel, the error of absorbing o into the bias of a convolution that pads with zeros."""
    axes = new_panel("Absorbed before a zero-padded convolution:\nmean error of each output pixel", None)
    grid = errors.pivot(index="row", columns="column", values="error").to_numpy()
    shown = axes.imshow(grid, cmap="viridis", interpolation="none", vmin=0)
    middle = len(grid) // 2
    words = f"{grid[middle, middle]:.1e}"
    axes.annotate(words, (middle, middle), ha="center", va="center", color="#fefefe")
    axes.figure.colorbar(shown, ax=axes, shrink=0.9)
    return finished(axes, xticks=[], yticks=[])


def sigmoid_graph(nodes: pd.DataFrame, x: float) -> Figure:
    """Draw the graph that torch.fx traced, each node with its value and, beside it, its gradient."""
    axes = new_panel(f"1/(1 + exp(−x)) as traced, at x = {x:g}", None, (6.2, 7.4))
    steps = nodes.fillna({"inputs": ""}).to_dict("records")
    graph = nx.DiGraph([(source, step["name"]) for step in steps for source in step["inputs"].split()])
    # Each node is below its inputs, and a constant just above where it is used.
    depth = {name: level for level, names in enumerate(nx.topological_generations(graph)) for name in names}
    depth |= {name: min(depth[after] for after in graph[name]) - 1 for name in graph if not graph.in_degree(name)}
    layers = {level: [name for name in depth if depth[name] == level] for level in sorted(set(depth.values()))}
    places = nx.multipartite_layout(graph, subset_key=layers, align="horizontal")
    nx.draw_networkx_edges(graph, places, ax=axes, node_size=2600, edge_color=INK, arrowsize=16, width=1.4)
    box = {"boxstyle": "round,pad=0.5", "facecolor": PAPER, "edgecolor": BLUE}
    for step in steps:
        place, operation = places[step["name"]], step["operation"]
        if operation == "constant":
            axes.annotate(f"{step['value']:g}", place, ha="center", va="center", bbox=box)
            continue
        symbol = step["name"] if operation == "input" else SYMBOLS.get(operation, operation)
        axes.annotate(f"{symbol}\n{step['value']:.4f}", place, ha="center", va="center", bbox=box)
        words = f"gradient {step['gradient']:.4f}"
        axes.annotate(words, place, (50, 0), textcoords="offset points", va="center", fontsize=11.5)
    axes.margins(0.35, 0.1)
    axes.invert_yaxis()
    axes.set_axis_off()
    return finished(axes)


def sigmoid_gradient(gradients: pd.DataFrame, metrics: Mapping[str, Any]) -> Figure:
    """Draw both gradients in float32, and the ranges where one is 0 or NaN."""
    axes = new_panel("Gradient of the sigmoid in float32", None)
    for style, (name, rows) in zip(("-", "--"), gradients.groupby("series", sort=False), strict=False):
        axes.plot(rows["x"], rows["gradient"], style, label=name, linewidth=2.6)
    ends = ("graph_nan_below", "graph_zero_below", "closed_zero_above")
    nan, zero, closed = (metrics[f"sigmoid_{end}"] for end in ends)
    right = gradients["x"].abs().max()
    left = -1.1 * right
    axes.axvspan(left, nan, color=BLUE, alpha=0.3, linewidth=0, label=f"graph: NaN below {nan:.1f}")
    axes.axvspan(nan, zero, color=BLUE, alpha=0.12, linewidth=0, label=f"graph: 0 below {zero:.1f}")
    axes.axvspan(closed, right, color=VERMILION, alpha=0.15, linewidth=0, label=f"σ(1 − σ): 0 above {closed:.1f}")
    return finished(axes, xlabel="x", ylabel="∂σ/∂x", yscale="log", xlim=(left, right))


def learning_rate(losses: pd.DataFrame, metrics: Mapping[str, Any], rates: Sequence[float]) -> Figure:
    """Draw the final loss against the learning rate, with the thresholds and the `rates` of the runs."""
    axes = new_panel("Linear regression: loss at the end", "diabetes")
    ceiling = 4 * metrics["learning_rate_loss_at_start"]
    for marker, (name, rows) in zip("os", losses.groupby("series", sort=False), strict=False):
        axes.plot(rows["learning_rate_over_threshold"], rows["loss"].clip(upper=ceiling), marker=marker, label=name)
    worst = metrics["learning_rate_worst_batch_threshold"]
    axes.axvline(1, color=PURPLE, label="2/λmax of all examples")
    axes.axvline(worst, color=PURPLE, linestyle=":", label="2/λmax of the worst batch")
    foot = axes.get_xaxis_transform()
    axes.plot(rates, [0.03] * len(rates), "^", color=INK, transform=foot, label="learning rates of the runs")
    words: dict[str, Any] = {"xlabel": "learning rate, as a multiple of 2/λmax", "ylabel": "mean squared error"}
    return finished(axes, log=(1, 2, 3, 5), xscale="log", ylim=(None, ceiling), **words)


def broadcasting(losses: pd.DataFrame, metrics: Mapping[str, Any]) -> Figure:
    """Draw the loss with broadcast shapes, which stays at the variance of the targets, and the correct loss."""
    axes = new_panel("A slip of shapes", "diabetes")
    styles = zip(("-", (0, (2, 3)), "-"), (3, 3, 2.2), strict=True)
    for (style, width), (name, rows) in zip(styles, losses.groupby("series", sort=False), strict=False):
        axes.plot(rows["step"], rows["loss"], linestyle=style, label=name, linewidth=width)
    for name, words in (("variance", "Var(y)"), ("least_squares_loss", "least squares")):
        level = metrics[f"broadcasting_{name}"]
        axes.axhline(level, color=INK, linestyle="--", linewidth=1.3)
        axes.annotate(words, (1, level), (-2, 4), ("axes fraction", "data"), "offset points", ha="right")
    return finished(axes, xlabel="step of gradient descent", ylabel="loss that is descended", log=(1, 2, 3, 5))
