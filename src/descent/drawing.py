"""How every figure looks: legible on a telephone, colour-blind-safe, the same bytes each time."""

from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter, ScalarFormatter
from PIL import Image
from torch import Tensor

from descent.files import replacing
from descent.image_sets import DRAWN, title
from descent.palette import INK, PAPER

DIABETES = "diabetes data of scikit-learn"
STYLE: dict[Any, Any] = {
    "font.size": 13,
    "axes.titlesize": 13,
    "legend.fontsize": 11.5,
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
    """Start a figure of so many inches that says what it shows, and of which data."""
    for setting, value in STYLE.items():
        mpl.rcParams[setting] = value
    figure = Figure(figsize=size, layout="constrained")
    stand_in = data == images(DRAWN)
    figure.suptitle(
        title if data is None else f"{title}\ndata: {data}",
        color="#A00000" if stand_in else INK,
        fontweight="bold" if stand_in else "normal",
        fontsize=13.5,
    )
    return figure


def panel(title: str, data: str | None) -> tuple[Figure, Axes]:
    """Start a figure of one panel, as wide as a telephone shows it well."""
    figure = start(title, data, (6.2, 4.8))
    return figure, figure.subplots()


def legend(figure: Figure, axes: Axes, columns: int = 2) -> None:
    """Put the legend below, where it covers nothing."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns)


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
