"""How figures look: the canvas, the lines, the file."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.analysis.estimates import Band
from experiments.figures.looks import Look

WIDTH = 4.6  # inches: two beside each other on a screen, one on a telephone

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be found, read aloud and scaled
    "svg.hashsalt": "figures",  # equal pictures are equal files
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in our style, on top of the library's defaults: a user's settings do not change our pictures."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


class Picture(NamedTuple):
    """A figure as a file, with a text in its place and a caption."""

    name: str  # of the file
    svg: bytes
    alt: str
    caption: str


def draw_line(axes: Axes, x: NDArray[Any], band: Band, look: Look, label: str, marked: bool) -> None:
    """A line with the arm's look."""
    every = max(1, len(x) // 6) if marked else None
    axes.plot(
        x, band.estimate, color=look.colour, linestyle=look.line, marker=look.marker, markersize=5,
        markevery=every, linewidth=1.8, label=label,
    )  # fmt: skip


def canvas(legend: Sequence[str] | Mapping[str, Any]) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, and room above them for the entries of a legend."""
    rows = (len(legend) + 1) // 2
    height = 2.75 + 0.22 * rows
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots()
    # On the right there is room for half a number at the end of the axis.
    figure.subplots_adjust(left=0.135, right=0.95, top=1 - (0.12 + 0.22 * rows) / height, bottom=0.47 / height)
    return figure, axes


def finished(figure: Figure, axes: Axes, name: str, alt: str, caption: str) -> Picture:
    """The picture, with a legend if it has room for one."""
    if axes.get_legend_handles_labels()[0] and not name.startswith("dose_"):
        axes.legend(loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=2, borderaxespad=0.2, columnspacing=1.2)
    return Picture(name, svg_of(figure, alt), alt, caption)


def svg_of(figure: Figure, alt: str) -> bytes:
    """A figure as an SVG file, the same bytes each time, with its text alternative."""
    file, metadata = io.BytesIO(), {"Date": None, "Creator": None, "Description": alt}
    FigureCanvasSVG(figure).print_svg(file, metadata=metadata)  # type: ignore[no-untyped-call]
    text = _rounded(file.getvalue().decode())
    # Verdana has the same widths, for readers without DejaVu Sans.
    return text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif").encode()


def _rounded(svg: str) -> str:
    """Round coordinates to invisible hundredths of a point: matplotlib writes millionths."""
    return re.sub(r' (?:d|x|y)="[^"]*"', lambda places: re.sub(r"\d+\.\d{3,}", _hundredths, places[0]), svg)


def _hundredths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
