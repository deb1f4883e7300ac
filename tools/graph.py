"""The graph of the pipeline's stages, as DVC sees it → docs/graph.svg."""

import sys
from collections import Counter
from math import inf
from pathlib import Path
from statistics import fmean

import networkx as nx
from dvc.repo import Repo

from descent.io.files import save_text
from descent.report.colours import BLUE, INK, PAPER
from descent.report.style import hide_axes, new_figure, svg
from stages.program import command

PICTURE = Path("docs/graph.svg")


def stages(repo: Repo) -> nx.DiGraph:
    """Return which stage of dvc.yaml needs which, the runs of one kind as one; `runs` says how many."""
    graph, found = nx.DiGraph(), [stage for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]
    for kind, runs in sorted(Counter(stage.name.partition("@")[0] for stage in found).items()):
        graph.add_node(kind, runs=runs)
    for after, before in repo.index.graph.edges:
        if after in found and before in found:
            graph.add_edge(before.name.partition("@")[0], after.name.partition("@")[0])
    return graph


def picture(graph: nx.DiGraph) -> str:
    """Draw the graph without the edges that follow from others, each stage below all that it needs, as SVG."""
    needed = nx.transitive_reduction(graph)
    places = _places(needed)
    across, down = zip(*places.values(), strict=True)
    figure = new_figure("The stages of the pipeline", None, (6.2, 0.7 * (max(down) - min(down)) + 1.6))
    axes = figure.subplots()
    boxes = {}
    for name, place in places.items():
        runs = graph.nodes[name]["runs"]
        box = {"boxstyle": "round,pad=0.4", "facecolor": PAPER, "edgecolor": BLUE}
        words = name if runs == 1 else f"{name} × {runs}"
        boxes[name] = axes.text(*place, words, ha="center", va="center", bbox=box, zorder=1).get_bbox_patch()
    for before, after in sorted(needed.edges):
        rows = places[before][1] - places[after][1]
        style = f"arc3,rad={0.25 if rows > 1 else 0}"  # past the stages between
        arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.5, "connectionstyle": style}
        ends = {"patchA": boxes[before], "patchB": boxes[after], "shrinkA": 0, "shrinkB": 2}
        axes.annotate("", places[after], places[before], arrowprops=arrow | ends, zorder=2)
    axes.set(xlim=(min(across) - 1, max(across) + 1), ylim=(min(down) - 0.4, max(down) + 0.4))
    hide_axes(axes)
    return svg(figure)


def _places(graph: nx.DiGraph) -> dict[str, tuple[float, float]]:
    """Put a stage that needs nothing just above the first that needs it, and beside others below what they need."""
    depth = {name: row for row, names in enumerate(nx.topological_generations(graph)) for name in names}
    for name in graph:
        if not graph.in_degree(name):
            depth[name] = min(depth[after] for after in graph.successors(name)) - 1
    places = dict[str, tuple[float, float]]()
    for row in sorted(set(depth.values())):
        above = {
            name: [places[before][0] for before in graph.predecessors(name)] or [inf]
            for name in sorted(depth)
            if depth[name] == row
        }
        ordered = sorted(above, key=lambda name: fmean(above[name]))
        places |= {name: (place - (len(ordered) - 1) / 2, -row) for place, name in enumerate(ordered)}
    return places


def main() -> None:
    """Draw the graph, and say where it is."""
    save_text(PICTURE, picture(stages(Repo())))
    sys.stdout.write(f"{PICTURE.resolve().as_uri()}\n")


if __name__ == "__main__":
    command(main)
