"""The report's pictures: a suite's drawing function on a matplotlib figure, made inline SVG in the page's colours."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from walras.benchmarks.execute import install_hint, load
from walras.benchmarks.store import Record
from walras.benchmarks.suite import Picture

# A colour that no drawing uses: what is drawn in it becomes the page's text colour, in light and in dark.
_INK = "#010203"
# Of middle brightness, so that they can be read on a white and on a black page; the style sheet has the same ones.
PALETTE = ("#2f7fb8", "#d9772b", "#3f9b6c", "#b5508f", "#8a7a2f", "#6f6bd0")


class PictureError(RuntimeError):
    """A picture could not be drawn."""


def draw(picture: Picture, results: Mapping[str, Sequence[Record]], salt: str) -> Markup:
    """Return a picture as an SVG element.

    Args:
        picture: What to draw.
        results: Case name to the finished results, sorted by seed; only cases that have some.
        salt: Text that makes the element's ids differ from those of other pictures on the page.

    Raises:
        PictureError: If matplotlib is missing or the drawing function fails.
    """
    try:
        import matplotlib
        from cycler import cycler
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PictureError(f"needs matplotlib ({install_hint('matplotlib')})") from error
    style: dict[Any, Any] = {
        **dict.fromkeys(
            ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), _INK
        ),
        "axes.prop_cycle": cycler(color=list(PALETTE)),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.linewidth": 0.7,
        "axes.titlesize": 10,
        "figure.constrained_layout.use": True,
        "font.size": 10,
        "legend.frameon": False,
        "grid.color": _INK,
        "grid.alpha": 0.12,
        "lines.linewidth": 1.6,
        "svg.hashsalt": salt,
        "axes.unicode_minus": True,
    }
    target = io.StringIO()
    try:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(style)
            figure = Figure(figsize=picture.size)
            FigureCanvasSVG(figure)
            load(picture.draw)(figure, results)
            figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    except Exception as error:
        raise PictureError(f"{type(error).__name__}: {error}") from error
    return _inline(target.getvalue(), picture.title, salt)


def _inline(document: str, title: str, salt: str) -> Markup:
    """Return a matplotlib document's SVG element: no head, no metadata, ids of its own, text in the page's colour."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>',
        rf'<svg class="picture" viewBox="\1" role="img" aria-label="{escape(title)}">',
        svg,
        count=1,
    )
    prefix = re.sub(r"\W", "-", salt)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    svg = svg.replace("xlink:href", "href").replace(_INK, "currentColor")
    return Markup(svg)
