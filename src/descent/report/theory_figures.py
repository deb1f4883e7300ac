"""The figures of the theory."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import networkx as nx
import pandas as pd
from matplotlib.figure import Figure

from descent.report.colours import BLUE, COLOURS, INK, PAPER, PURPLE, VERMILION
from descent.report.style import DIABETES, add_legend, new_figure, new_panel, set_log_scale

SYMBOLS = {"neg": "−", "add": "+", "truediv": "÷", "mul": "×", "sub": "−"}


def twins(losses: pd.DataFrame) -> Figure:
    """Draw the training losses of networks with parametrised ReLUs and of their ordinary twins: mean and range."""
    figure, axes = new_panel("Same function at the start, another descent", DIABETES)
    for colour, (name, rows) in zip(COLOURS, losses.groupby("series", sort=False), strict=False):
        axes.plot(rows["epoch"], rows["loss"], color=colour, label=name)
        axes.fill_between(rows["epoch"], rows["low"], rows["high"], color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="epoch", ylabel="training loss: mean, range")
    set_log_scale(axes, 1, 2, 3, 5)
    add_legend(figure, axes)
    return figure


def padding(errors: pd.DataFrame) -> Figure:
    """Draw, pixel by pixel, the error of absorbing o into the bias of a convolution that pads with zeros."""
    figure, axes = new_panel("Absorbed before a zero-padded convolution:\nmean error of each output pixel", None)
    grid = errors.pivot_table(index="row", columns="column", values="error")
    shown = axes.imshow(grid.to_numpy(), cmap="viridis", interpolation="none", vmin=0)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    middle = len(grid) // 2
    words = f"{grid.to_numpy()[middle, middle]:.1e}"
    axes.annotate(words, (middle, middle), ha="center", va="center", color="#fefefe")
    figure.colorbar(shown, ax=axes, shrink=0.9)
    return figure


def sigmoid_graph(nodes: pd.DataFrame, x: float) -> Figure:
    """Draw the graph that torch.fx traced, each node with its value and, beside it, its gradient."""
    figure = new_figure(f"1/(1 + exp(−x)) as traced, at x = {x:g}", None, (6.2, 7.4))
    axes = figure.subplots()
    steps: list[dict[str, Any]] = [dict(row) for _, row in nodes.fillna({"inputs": ""}).iterrows()]
    graph = nx.DiGraph([(source, node["name"]) for node in steps for source in node["inputs"].split()])
    places = nx.multipartite_layout(graph, subset_key=_layers(graph), align="horizontal")
    nx.draw_networkx_edges(graph, places, ax=axes, node_size=2600, edge_color=INK, arrowsize=16, width=1.4)
    for node in steps:
        name, operation, value, gradient = (node[key] for key in ("name", "operation", "value", "gradient"))
        symbol = name if operation == "input" else SYMBOLS.get(operation, operation)
        axes.annotate(
            f"{value:g}" if operation == "constant" else f"{symbol}\n{value:.4f}",
            places[name],
            ha="center",
            va="center",
            bbox={"boxstyle": "round,pad=0.5", "facecolor": PAPER, "edgecolor": BLUE},
        )
        if operation != "constant":
            words = f"gradient {gradient:.4f}"
            axes.annotate(words, places[name], (50, 0), textcoords="offset points", va="center", fontsize=11.5)
    axes.margins(0.35, 0.1)
    axes.invert_yaxis()
    axes.set_axis_off()
    return figure


def _layers(graph: "nx.DiGraph[str]") -> dict[int, list[str]]:
    """Put each node below its inputs, and a constant just above where it is used."""
    depth: dict[str, int] = {}
    for name in nx.topological_sort(graph):
        depth[name] = max((depth[before] + 1 for before in graph.predecessors(name)), default=0)
    for name in graph:
        if not graph.in_degree(name):
            depth[name] = min(depth[after] for after in graph.successors(name)) - 1
    layers: dict[int, list[str]] = {}
    for name, level in depth.items():
        layers.setdefault(level, []).append(name)
    return layers


def sigmoid_gradient(gradients: pd.DataFrame, metrics: Mapping[str, Any]) -> Figure:
    """Draw both gradients in float32, and the ranges where one is 0 or NaN."""
    figure, axes = new_panel("Gradient of the sigmoid in float32", None)
    for colour, style, (name, rows) in zip(COLOURS, ("-", "--"), gradients.groupby("series", sort=False), strict=False):
        axes.plot(rows["x"], rows["gradient"], style, color=colour, label=name, linewidth=2.6)
    nan, zero, closed = (
        metrics[f"sigmoid_{name}"] for name in ("graph_nan_below", "graph_zero_below", "closed_zero_above")
    )
    right = gradients["x"].abs().max()
    left = -1.1 * right
    axes.axvspan(left, nan, color=BLUE, alpha=0.3, linewidth=0, label=f"graph: NaN below {nan:.1f}")
    axes.axvspan(nan, zero, color=BLUE, alpha=0.12, linewidth=0, label=f"graph: 0 below {zero:.1f}")
    axes.axvspan(closed, right, color=VERMILION, alpha=0.15, linewidth=0, label=f"σ(1 − σ): 0 above {closed:.1f}")
    axes.set(xlabel="x", ylabel="∂σ/∂x", yscale="log", xlim=(left, right))
    add_legend(figure, axes)
    return figure


def learning_rate(losses: pd.DataFrame, metrics: Mapping[str, Any], rates: Sequence[float]) -> Figure:
    """Draw the final loss against the learning rate, with the thresholds and the `rates` of the runs."""
    figure, axes = new_panel("Linear regression: loss at the end", DIABETES)
    ceiling = 4 * metrics["learning_rate_loss_at_start"]
    for colour, marker, (name, rows) in zip(COLOURS, "os", losses.groupby("series", sort=False), strict=False):
        axes.plot(
            rows["learning_rate_over_threshold"],
            rows["loss"].clip(upper=ceiling),
            marker=marker,
            color=colour,
            label=name,
        )
    worst = metrics["learning_rate_worst_batch_threshold"]
    axes.axvline(1, color=PURPLE, label="2/λmax of all examples")
    axes.axvline(worst, color=PURPLE, linestyle=":", label="2/λmax of the worst batch")
    foot = axes.get_xaxis_transform()
    axes.plot(rates, [0.03] * len(rates), "^", color=INK, transform=foot, label="learning rates of the runs")
    axes.set(xscale="log", xlabel="learning rate, as a multiple of 2/λmax", ylabel="mean squared error")
    set_log_scale(axes, 1, 2, 3, 5)
    axes.set_ylim(top=ceiling)
    add_legend(figure, axes)
    return figure


def broadcasting(losses: pd.DataFrame, metrics: Mapping[str, Any]) -> Figure:
    """Draw the loss with broadcast shapes, which stays at the variance of the targets, and the correct loss."""
    figure, axes = new_panel("A slip of shapes", DIABETES)
    styles = zip(cycle(COLOURS), ("-", (0, (2, 3)), "-"), (3, 3, 2.2), strict=False)
    for (colour, style, width), (name, rows) in zip(styles, losses.groupby("series", sort=False), strict=False):
        axes.plot(rows["step"], rows["loss"], linestyle=style, color=colour, label=name, linewidth=width)
    for name, words in (("variance", "Var(y)"), ("least_squares_loss", "least squares")):
        axes.axhline(metrics[f"broadcasting_{name}"], color=INK, linestyle="--", linewidth=1.3)
        place = (1, metrics[f"broadcasting_{name}"])
        axes.annotate(words, place, (-2, 4), ("axes fraction", "data"), "offset points", ha="right")
    axes.set(xlabel="step of gradient descent", ylabel="loss that is descended")
    set_log_scale(axes, 1, 2, 3, 5)
    add_legend(figure, axes)
    return figure
