"""How every drawing is made: matplotlib's parts, one style, SVG out."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from archon.errors import UsageError

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.lines import Line2D
    from matplotlib.textpath import text_to_path
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
except ImportError:
    raise UsageError(
        "the report's picture needs matplotlib; pip install 'archon-ipw[report]'"
    ) from None

__all__ = [
    "INK",
    "Axes",
    "Figure",
    "FontProperties",
    "FuncFormatter",
    "Line2D",
    "LogLocator",
    "NullFormatter",
    "drawing_style",
    "new_axes",
    "text_to_path",
    "to_svg",
]

INK = "#6e7781"
"""Text and axes: legible on white and on black; a page swaps it for its own text colour."""


@contextmanager
def drawing_style(font: float) -> Iterator[None]:
    """Figures made inside share colours, fonts and a way to be written.

    Args:
        font: size of the text in points.
    """
    style = matplotlib.rc_context(
        {
            "svg.fonttype": "none",  # text stays text: small, selectable, in the page's font
            "svg.hashsalt": "archon",  # the same results give the same file
            "text.parse_math": False,  # a dollar sign in a name is a dollar sign
            "font.size": font,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    )
    with style, warnings.catch_warnings():
        # Names in scripts that the measuring font lacks are drawn by the reader's own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def new_axes(figure: Figure) -> Axes:
    """Axes that fill the figure, with a faint grid and no frame."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=INK, alpha=0.18, linewidth=0.6)
    return axes


def to_svg(figure: Figure) -> str:
    """The figure as an SVG document; the same figure gives the same text."""
    out = io.StringIO()
    blank = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(out, format="svg", transparent=True, metadata=blank)
    return out.getvalue()
