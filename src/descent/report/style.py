"""The style of every figure: fonts, axes, legends; legible on a phone screen, byte-identical in every run."""

from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from textwrap import fill
from typing import Any, cast

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
from descent.report.colours import INK
from descent.report.markup import TEMPLATES
from descent.sources.published import DRAWN, title

# The data below the title of a figure, where the title of the images does not say it.
DATA = {"diabetes": "diabetes data of scikit-learn", DRAWN: "DRAWN STAND-IN, NOT FASHION-MNIST"}
EPSILON = "perturbation size ε (L∞, pixels in [0, 1])"
ACCURACY, ENTROPY = "accuracy", "cross-entropy (nats)"
TITLE, LEGEND = 13.5, 11.5
# With more lines in the legend, the figure is higher.
MOST_LINES = 2


def new_figure(words: str, source: str | None, size: tuple[float, float]) -> Figure:
    """Return an empty figure of this size in inches, with a title and the source of its data, `diabetes` or of images.

    A user's `matplotlibrc` is ignored.
    """
    mpl.rcParams.update(mpl.rcParamsDefault)
    mpl.rcParams.update(mpl.rc_params_from_file(TEMPLATES / "figures.mplstyle", use_default_template=False))
    figure = Figure(figsize=size, layout="constrained")
    colour, weight = ("#A00000", "bold") if source == DRAWN else (INK, "normal")
    data = f"\ndata: {DATA.get(source, title(source))}" if source else ""
    figure.suptitle(wrapped(words, size[0] - 0.3, TITLE) + data, color=colour, fontweight=weight, fontsize=TITLE)
    return figure


def new_panel(words: str, source: str | None, size: tuple[float, float] = (6.2, 4.8)) -> Axes:
    """Return the axes of a new figure, by default of a width that is legible on a phone screen."""
    return new_figure(words, source, size).subplots()


def finished(axes: Axes, *, log: Sequence[float] = (), chance: float = 0, **settings: Any) -> Figure:  # noqa: ANN401
    """Return the figure of the axes with these `settings` (`Axes.set`), and a legend below if a line has a label.

    `log` lists the multiples of the powers of ten that are labelled on a logarithmic y axis. `chance` is the accuracy
    to mark as chance level. Accuracies on the y axis are in per cent.
    """
    if chance:
        axes.axhline(chance, color=INK, linestyle=":", linewidth=1.5, label="chance level")
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=log))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
    if settings.get("ylabel") == ACCURACY:
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(**settings)
    figure, (handles, names) = cast(Figure, axes.figure), axes.get_legend_handles_labels()
    if handles:
        line = 0.65  # inches, with the space beside it
        labels = [wrapped(name, figure.get_figwidth() - line, LEGEND) for name in names]
        columns = 2 if 2 * (text_width("\n".join(labels).splitlines(), LEGEND) + line) <= figure.get_figwidth() else 1
        lines = sum(label.count("\n") + 1 for label in labels) / columns
        figure.set_figheight(figure.get_figheight() + 0.25 * max(0, lines - MOST_LINES))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    return figure


def band(axes: Axes, x: Any, middle: Any, low: Any, high: Any, *, alpha: float = 0.2, **line: Any) -> None:  # noqa: ANN401
    """Draw a line, and the band from `low` to `high` around it in the same colour."""
    (drawn,) = axes.plot(x, middle, **line)
    axes.fill_between(x, low, high, color=drawn.get_color(), alpha=alpha, linewidth=0)


def literal(name: str) -> str:
    """Escape a name for matplotlib: `$` starts no formula, and a leading `_` does not hide it from the legend."""
    return ("\u200a" if name.startswith("_") else "") + name.replace("$", r"\$")


def text_width(texts: Iterable[str], fontsize: float) -> float:
    """Return the width in inches of the widest of several texts."""
    font = FontProperties(family="DejaVu Sans", size=fontsize)
    return max((text_to_path.get_text_width_height_descent(text, font, False)[0] for text in texts), default=0.0) / 72


def wrapped(text: str, inches: float, fontsize: float) -> str:
    """Wrap each line of a text to at most this width."""
    wrapped_lines = []
    for line in text.splitlines():
        characters, lines = len(line), line
        while characters > 1 and text_width(lines.splitlines(), fontsize) > inches:
            characters -= 1
            lines = fill(line, characters)
        wrapped_lines.append(lines)
    return "\n".join(wrapped_lines)


def svg(figure: Figure) -> str:
    """Return a figure as SVG."""
    written = StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


def save_pixels(path: Path, pixels: UInt8[Tensor, "height width *colours"]) -> None:
    """Write an image as PNG, pixel by pixel: grey, or RGB in the last dimension."""
    with replacing(path) as temporary:
        Image.fromarray(pixels.numpy()).save(temporary, format="png", optimize=True)
