"""Pictures without a window: text and figures as RGB arrays.

They need the extra `report` (matplotlib), which is imported when the first one is drawn.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure on the Agg canvas, `width` x `height` inches at 100 dots an inch.

    Raises:
        gymnasium.error.DependencyNotInstalled: without matplotlib, with the line to type.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise gymnasium.error.DependencyNotInstalled(
            "pictures need matplotlib: pip install 'walras[report]'"
        ) from error
    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    return figure


def to_rgb(figure: Any) -> npt.NDArray[np.uint8]:
    """The figure as an array (H, W, 3) uint8."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(np.uint8)


def draw_text(text: str) -> npt.NDArray[np.uint8]:
    """Fixed-width text as a picture just large enough for it."""
    lines = text.split("\n")
    columns = max(len(line) for line in lines)
    figure = new_figure(max(2.0, 0.085 * columns + 0.4), max(0.6, 0.19 * len(lines) + 0.4))
    figure.text(
        0.2 / figure.get_figwidth(), 1 - 0.2 / figure.get_figheight(), text, family="monospace", size=9.5, va="top"
    )
    return to_rgb(figure)
