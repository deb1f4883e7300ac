"""The style of every figure: fonts, axes, legends; legible on a phone screen, byte-identical in every run."""

from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter, ScalarFormatter
from PIL import Image
from torch import Tensor

from descent.io.files import replacing
from descent.report.colours import INK, PAPER
from descent.sources.published import DRAWN, title

DIABETES = "diabetes data of scikit-learn"
TITLE, LEGEND = 13.5, 11.5
# With more lines in the legend, the figure is higher.
MOST_LINES = 2
STYLE: dict[Any, Any] = {
    # The font that matplotlib ships with; other fonts depend on the machine.
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "axes.titlesize": 13,
    "legend.fontsize": LEGEND,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.2,
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK
    ),
    # Letters are drawn as paths, so the font need not be installed; a fixed salt makes the bytes reproducible.
    "svg.fonttype": "path",
    "svg.hashsalt": "descent",
    # Drops points of a line that are not visible.
    "path.simplify_threshold": 0.2,
}


def data_label(source: str) -> str:
    """Name the images of a source for the subtitle of a figure."""
    return "DRAWN STAND-IN, NOT FASHION-MNIST" if source == DRAWN else title(source)


def new_figure(title: str, data: str | None, size: tuple[float, float]) -> Figure:
    """Return an empty figure with a title and the name of its data; `size` is width and height in inches.

    matplotlib's defaults and `STYLE` apply; a user's `matplotlibrc` is ignored.
    """
    mpl.rcParams.update({**mpl.rcParamsDefault, **STYLE})
    figure = Figure(figsize=size, layout="constrained")
    synthetic = data == data_label(DRAWN)
    text = wrapped(title, size[0] - 0.3, TITLE)
    figure.suptitle(
        text if data is None else f"{text}\ndata: {data}",
        color="#A00000" if synthetic else INK,
        fontweight="bold" if synthetic else "normal",
        fontsize=TITLE,
    )
    return figure


def literal(name: str) -> str:
    """Escape a name for matplotlib: `$` starts no formula, and a leading `_` does not hide it from the legend."""
    return ("\u200a" if name.startswith("_") else "") + name.replace("$", r"\$")


def text_width(texts: Iterable[str], fontsize: float) -> float:
    """Return the width in inches of the widest of several texts."""
    font = FontProperties(family=STYLE["font.family"], size=fontsize)
    return max((text_to_path.get_text_width_height_descent(text, font, False)[0] for text in texts), default=0.0) / 72


def wrapped(text: str, inches: float, fontsize: float) -> str:
    """Wrap each line of a text to at most this width."""
    return "\n".join(_wrapped_line(line, inches, fontsize) for line in text.splitlines())


def _wrapped_line(line: str, inches: float, fontsize: float) -> str:
    characters, lines = len(line), line
    while characters > 1 and text_width(lines.splitlines(), fontsize) > inches:
        characters -= 1
        lines = fill(line, characters)
    return lines


def new_panel(title: str, data: str | None) -> tuple[Figure, Axes]:
    """Return an empty figure with one pair of axes, of a width that is legible on a phone screen."""
    figure = new_figure(title, data, (6.2, 4.8))
    return figure, figure.subplots()


def add_legend(figure: Figure, axes: Axes) -> None:
    """Add a legend below the axes, in two columns if its labels leave room for them."""
    handles, names = axes.get_legend_handles_labels()
    line = 0.65  # inches, with the space beside it
    labels = [wrapped(name, figure.get_figwidth() - line, LEGEND) for name in names]
    widest = text_width((each for label in labels for each in label.splitlines()), LEGEND)
    columns = max(1, min(2, int(figure.get_figwidth() / (widest + line))))
    lines = sum(label.count("\n") + 1 for label in labels) / columns
    figure.set_figheight(figure.get_figheight() + 0.25 * max(0, lines - MOST_LINES))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def set_log_scale(axes: Axes, *subs: float) -> None:
    """Make the y axis logarithmic, with plain numbers at these multiples of the powers of ten."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_locator(NullLocator())


def set_percent_ticks(axes: Axes) -> None:
    """Label the y axis in percent."""
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def mark_chance_level(axes: Axes, classes: int) -> None:
    """Mark the accuracy at chance level."""
    axes.axhline(1 / classes, color=INK, linestyle=":", linewidth=1.5)
    axes.annotate("guessing", (1, 1 / classes), (-2, 4), ("axes fraction", "data"), "offset points", ha="right")


def hide_axes(axes: Axes) -> None:
    """Hide ticks, grid and spines."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def svg(figure: Figure) -> str:
    """Return a figure as SVG."""
    written = StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


def save_pixels(path: Path, pixels: UInt8[Tensor, "height width *colours"]) -> None:
    """Write an image as PNG, pixel by pixel: grey, or RGB in the last dimension."""
    with replacing(path) as temporary:
        Image.fromarray(pixels.numpy()).save(temporary, format="png", optimize=True)
