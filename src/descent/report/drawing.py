"""How every figure looks: legible on a telephone, colour-blind-safe, the same bytes each time."""

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
from descent.report.palette import INK, PAPER
from descent.sources.published import DRAWN, title

DIABETES = "diabetes data of scikit-learn"
TITLE, LEGEND = 13.5, 11.5
# A legend with more lines makes its figure higher.
MOST_LINES = 2
STYLE: dict[Any, Any] = {
    # The one that matplotlib brings along; without the list of others, which depends on the machine.
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
    # Letters as shapes: they look the same where the font is missing. A fixed salt: the same bytes each time.
    "svg.fonttype": "path",
    "svg.hashsalt": "descent",
    # Leaves out points of a line that nobody could see.
    "path.simplify_threshold": 0.2,
}


def images(source: str) -> str:
    """Name the images that a figure is drawn from."""
    return "DRAWN STAND-IN, NOT FASHION-MNIST" if source == DRAWN else title(source)


def start(title: str, data: str | None, size: tuple[float, float]) -> Figure:
    """Start a figure of so many inches that says what it shows, and of which data.

    It follows matplotlib's own defaults and `STYLE`, whatever a user's `matplotlibrc` says.
    """
    mpl.rcParams.update({**mpl.rcParamsDefault, **STYLE})
    figure = Figure(figsize=size, layout="constrained")
    stand_in = data == images(DRAWN)
    words = fitted(title, size[0] - 0.3, TITLE)
    figure.suptitle(
        words if data is None else f"{words}\ndata: {data}",
        color="#A00000" if stand_in else INK,
        fontweight="bold" if stand_in else "normal",
        fontsize=TITLE,
    )
    return figure


def plain(name: str) -> str:
    """Return a name as matplotlib is to have it: no part of it a formula, and no legend without it."""
    return ("\u200a" if name.startswith("_") else "") + name.replace("$", r"\$")


def wide(words: Iterable[str], fontsize: float) -> float:
    """Return the width in inches of the widest of these words."""
    font = FontProperties(family=STYLE["font.family"], size=fontsize)
    return max((text_to_path.get_text_width_height_descent(each, font, False)[0] for each in words), default=0.0) / 72


def fitted(words: str, inches: float, fontsize: float) -> str:
    """Break each line of a text into lines of at most this width."""
    return "\n".join(_broken(line, inches, fontsize) for line in words.splitlines())


def _broken(line: str, inches: float, fontsize: float) -> str:
    limit, broken = len(line), line
    while limit > 1 and wide(broken.splitlines(), fontsize) > inches:
        limit -= 1
        broken = fill(line, limit)
    return broken


def panel(title: str, data: str | None) -> tuple[Figure, Axes]:
    """Start a figure of one panel, as wide as a telephone shows it well."""
    figure = start(title, data, (6.2, 4.8))
    return figure, figure.subplots()


def legend(figure: Figure, axes: Axes, columns: int = 2) -> None:
    """Put the legend below, where it covers nothing, in as many columns as its words leave room for."""
    handles, names = axes.get_legend_handles_labels()
    line = 0.65  # inches, with the space beside it
    labels = [fitted(name, figure.get_figwidth() - line, LEGEND) for name in names]
    widest = wide((each for label in labels for each in label.splitlines()), LEGEND)
    columns = max(1, min(columns, int(figure.get_figwidth() / (widest + line))))
    lines = sum(label.count("\n") + 1 for label in labels) / columns
    figure.set_figheight(figure.get_figheight() + 0.25 * max(0, lines - MOST_LINES))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def logarithmic(axes: Axes, *subs: float) -> None:
    """Make y logarithmic, with plain numbers at these multiples of the powers of ten."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_locator(NullLocator())


def percent(axes: Axes) -> None:
    """Write shares as percentages."""
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def guessing(axes: Axes, classes: int) -> None:
    """Mark the accuracy of who knows nothing."""
    axes.axhline(1 / classes, color=INK, linestyle=":", linewidth=1.5)
    axes.annotate("guessing", (1, 1 / classes), (-2, 4), ("axes fraction", "data"), "offset points", ha="right")


def bare(axes: Axes) -> None:
    """Take away everything but the picture."""
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
    """Write an image as PNG, a pixel for a pixel: grey, or with red, green and blue in the last dimension."""
    with replacing(path) as temporary:
        Image.fromarray(pixels.numpy()).save(temporary, format="png", optimize=True)
