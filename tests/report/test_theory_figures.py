"""The figures of the theory show what was found, and the graph is the traced one."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text

from descent.io.schema import Sigmoid
from descent.report.theory_figures import broadcasting, learning_rate, padding, sigmoid_gradient, sigmoid_graph, twins
from descent.theory.sigmoid import sigmoid_evidence, trace

NODES = pd.DataFrame(trace(1.0))  # as `theory` writes it


def words(figure: Figure) -> str:
    """Return every text of a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))


def points(line: Line2D) -> tuple[list[Any], list[Any]]:
    """Return x and y of the points of a line from left to right."""
    return list(np.asarray(line.get_xdata())), list(np.asarray(line.get_ydata()))


def test_the_graph_has_every_node_of_the_trace_below_its_inputs_with_value_and_gradient() -> None:
    root = {"name": "sqrt", "operation": "sqrt", "inputs": "truediv", "value": 0.855, "gradient": 0.5}
    figure = sigmoid_graph(pd.concat([NODES, pd.DataFrame([root])], ignore_index=True), 1.0)
    assert all(f"gradient {gradient:.4f}" in words(figure) for gradient in NODES["gradient"].dropna())
    notes = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    boxes = [note for note in notes if "gradient" not in note.get_text()]
    values = ["x\n1.0000", "−\n-1.0000", "exp\n0.3679", "+\n1.3679", "÷\n0.7311", "sqrt\n0.8550"]
    assert sorted(box.get_text() for box in boxes) == sorted(["1", "1", *values])
    assert len({(box.xy[0], box.xy[1]) for box in boxes}) == 8  # none on another
    heights = {box.get_text(): box.xy[1] for box in boxes}
    assert [heights[value] for value in values] == sorted({heights[value] for value in values})


def test_the_gradients_are_shown_with_where_they_are_lost() -> None:
    shown = sigmoid_evidence(Sigmoid(traced_at=1.0, largest_x=120.0))
    metrics: dict[str, Any] = {f"sigmoid_{name}": number for name, number in shown.numbers.items()}
    figure = sigmoid_gradient(pd.DataFrame(shown.curves["sigmoid-gradient"]), metrics)
    graph, closed = (points(line)[0] for line in figure.axes[0].lines)
    assert min(graph) > metrics["sigmoid_graph_zero_below"] > metrics["sigmoid_graph_nan_below"]
    assert max(closed) < metrics["sigmoid_closed_zero_above"]
    assert figure.axes[0].get_xlim()[0] < metrics["sigmoid_graph_nan_below"]
    assert "NaN below -88.7" in words(figure)


def test_the_sweep_is_drawn_with_both_thresholds_and_the_rates_of_the_runs() -> None:
    rows = [("all", 0.5, 10.0), ("all", 1.5, 1e12), ("batches", 0.5, 12.0), ("batches", 1.5, 1e12)]
    losses = pd.DataFrame(rows, columns=["series", "learning_rate_over_threshold", "loss"])
    metrics = {"learning_rate_loss_at_start": 100.0, "learning_rate_worst_batch_threshold": 0.23}
    (axes,) = learning_rate(losses, metrics, [0.0065, 0.65]).axes
    first, second, whole, worst, rates = map(points, axes.lines)
    assert (first[1], second[1]) == ([10.0, 400.0], [12.0, 400.0])  # clipped at the edge of the figure
    assert (whole[0][0], worst[0][0], rates[0]) == (1, 0.23, [0.0065, 0.65])


def test_the_slip_is_drawn_with_the_variance_that_it_stays_at() -> None:
    rows = [(name, step, 9.0 - step) for name in "abc" for step in range(3)]
    losses = pd.DataFrame(rows, columns=["series", "step", "loss"])
    figure = broadcasting(losses, {"broadcasting_variance": 5.0, "broadcasting_least_squares_loss": 2.0})
    assert [points(line)[1][0] for line in figure.axes[0].lines[3:]] == [5.0, 2.0]
    assert all(level in words(figure) for level in ("Var(y)", "least squares"))


def test_the_heat_map_has_the_errors_where_they_are() -> None:
    errors = pd.DataFrame([{"row": i, "column": j, "error": float(i == 0)} for i in range(5) for j in range(5)])
    (image,) = padding(errors).axes[0].images
    assert np.asarray(image.get_array()).tolist() == [[1.0] * 5] + [[0.0] * 5] * 4


def test_twins_are_drawn_with_their_range() -> None:
    rows = [(name, epoch, 5.0, 1.0, 11.0) for name in ("parametrised ReLU", "ReLU") for epoch in range(3)]
    (axes,) = twins(pd.DataFrame(rows, columns=["series", "epoch", "loss", "low", "high"])).axes
    assert [line.get_label() for line in axes.lines] == ["parametrised ReLU", "ReLU"]
    assert [float(band.get_datalim(axes.transData).y1) for band in axes.collections] == [11.0, 11.0]
