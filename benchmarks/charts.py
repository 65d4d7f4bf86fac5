"""Line charts and one-line interval plots as inline SVG whose colours follow the page (classes, no fixed colours)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from walras.benchmarks.statistics import mean_interval
from walras.benchmarks.suite import Curve

Vector = npt.NDArray[np.float64]

COLOURS = 6
"""Number of line colours that the style sheet defines; later lines begin again."""

_MOST_POINTS = 300  # a chart is some 600 pixels wide: more points than that only make the file larger


class Series(NamedTuple):
    """A line with its band: vectors of one length; the band is absent where `low` is NaN."""

    label: str
    x: Vector
    mean: Vector
    low: Vector
    high: Vector


class Reference(NamedTuple):
    """A horizontal line; `kind` is `"truth"` or `"published"`."""

    label: str
    value: float
    kind: str


def pool(label: str, curves: Sequence[Curve]) -> Series:
    """Return the mean of the curves of several seeds with its 95 % interval at each point.

    Curves over different `x` are interpolated on the union of their points, within the range that all of them cover.
    """
    grids = [np.asarray(curve.x, dtype=np.float64) for curve in curves]
    values = [np.asarray(curve.y, dtype=np.float64) for curve in curves]
    x = grids[0]
    if any(not np.array_equal(grid, x) for grid in grids[1:]):
        low, high = max(grid.min() for grid in grids), min(grid.max() for grid in grids)
        union = np.unique(np.concatenate(grids))
        x = union[(union >= low) & (union <= high)]
        values = [np.interp(x, grid, value) for grid, value in zip(grids, values, strict=True)]
    if len(x) > _MOST_POINTS:
        keep = np.unique(np.linspace(0, len(x) - 1, _MOST_POINTS).round().astype(np.intp))
        x, values = x[keep], [value[keep] for value in values]
    estimates = [mean_interval([float(value[point]) for value in values]) for point in range(len(x))]
    table = np.array([estimate[:3] for estimate in estimates], dtype=np.float64).reshape(-1, 3)
    return Series(label, x, table[:, 0], table[:, 1], table[:, 2])


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round numbers within [low, high]."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_text(value: float, step: float) -> str:
    """Return the label of a tick, with the digits that a distance of `step` between ticks needs."""
    if max(abs(value), step) >= 1e6:
        return f"{value:.3g}".replace("e+0", "e").replace("e+", "e")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 3
    if decimals <= 6 and step > 0 and not math.isclose(round(step, decimals), step):
        decimals += 1  # steps of 0.25
    return f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}") if decimals <= 6 else f"{value:.2g}"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def line_chart(
    series: Sequence[Series],
    references: Sequence[Reference] = (),
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    width: int = 540,
    height: int = 290,
) -> Markup:
    """Return a line chart as an SVG element; points that are not finite are left out.

    Args:
        series: The lines.
        references: Horizontal lines.
        title: Text for screen readers.
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis.
        width: Width in pixels.
        height: Height in pixels.
    """
    left, right, top, bottom = 62, 18, 26, 44
    xs = np.concatenate([line.x[np.isfinite(line.x)] for line in series] or [np.zeros(0)])
    ys = np.concatenate([part for line in series for part in (line.mean, line.low, line.high)] or [np.zeros(0)])
    ys = np.concatenate([ys[np.isfinite(ys)], [line.value for line in references]])
    if not len(xs) or not len(ys):
        return Markup("")
    x_low, x_high = float(xs.min()), float(xs.max())
    y_low, y_high = float(ys.min()), float(ys.max())
    x_high = x_high if x_high > x_low else x_low + 1.0
    margin = 0.06 * (y_high - y_low) or 0.05 * abs(y_high) or 1.0
    y_low, y_high = y_low - margin, y_high + margin

    def place_x(value: float) -> float:
        return left + (value - x_low) / (x_high - x_low) * (width - left - right)

    def place_y(value: float) -> float:
        return top + (y_high - value) / (y_high - y_low) * (height - top - bottom)

    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">']
    y_ticks, x_ticks = ticks(y_low, y_high), ticks(x_low, x_high, 6)
    y_step = y_ticks[1] - y_ticks[0] if len(y_ticks) > 1 else 0.0
    x_step = x_ticks[1] - x_ticks[0] if len(x_ticks) > 1 else 0.0
    for tick in y_ticks:
        y = place_y(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick_text(tick, y_step)}</text>'
        )
    base = height - bottom
    parts.append(f'<line class="axis" x1="{left}" x2="{width - right}" y1="{base}" y2="{base}"/>')
    for tick in x_ticks:
        x = place_x(tick)
        text = tick_text(tick, x_step)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{base + 17}" text-anchor="middle">{text}</text>')
    centre = (left + width - right) / 2
    parts.append(f'<text class="label" x="{centre}" y="{height - 6}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(f'<text class="label" x="{left - 50}" y="14">{escape(y_label)}</text>')
    for level in references:
        y = place_y(level.value)
        parts.append(f'<line class="{level.kind}" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="{level.kind}-text" x="{width - right}" y="{y - 5:.1f}" text-anchor="end">'
            f"{escape(level.label)}</text>"
        )
    for index, line in enumerate(series):
        colour = index % COLOURS
        banded = np.isfinite(line.x) & np.isfinite(line.low) & np.isfinite(line.high)
        if banded.sum() > 1:
            upper = [(place_x(x), place_y(y)) for x, y in zip(line.x[banded], line.high[banded], strict=True)]
            lower = [(place_x(x), place_y(y)) for x, y in zip(line.x[banded], line.low[banded], strict=True)]
            parts.append(f'<path class="band c{colour}" d="{_path(upper + lower[::-1])}Z"/>')
        drawn = np.isfinite(line.x) & np.isfinite(line.mean)
        points = [(place_x(x), place_y(y)) for x, y in zip(line.x[drawn], line.mean[drawn], strict=True)]
        if points:
            parts.append(f'<path class="line c{colour}" d="{_path(points)}"/>')
    parts.append("</svg>")
    return Markup("".join(parts))


def interval_plot(
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    published: Sequence[float] = (),
    truths: Sequence[float] = (),
    width: int = 104,
    height: int = 18,
) -> Markup:
    """Return a one-line plot: our mean and interval, ticks for truths, diamonds for published values.

    Empty where there is nothing to compare.
    """
    ends = [end for end in (low, high) if end is not None]
    marks = [*([value] if value is not None else []), *ends, *published, *truths]
    if value is None or not (published or truths) or max(marks) == min(marks):
        return Markup("")
    edge, middle = 7.0, height / 2
    least, span = min(marks), max(marks) - min(marks)

    def place(number: float) -> str:
        return f"{edge + (number - least) / span * (width - 2 * edge):.1f}"

    parts = [
        f'<svg class="interval" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
    ]
    parts.append(f'<line class="grid" x1="0" x2="{width}" y1="{middle}" y2="{middle}"/>')
    parts += [
        f'<line class="truth" x1="{place(mark)}" x2="{place(mark)}" y1="1" y2="{height - 1}"/>' for mark in truths
    ]
    if len(ends) == 2:
        parts.append(f'<line class="whisker" x1="{place(ends[0])}" x2="{place(ends[1])}" y1="{middle}" y2="{middle}"/>')
    for mark in published:
        parts.append(f'<path class="published" d="M{place(mark)} {middle - 5}l5 5l-5 5l-5 -5Z"/>')
    parts.append(f'<circle class="ours" cx="{place(value)}" cy="{middle}" r="3.4"/></svg>')
    return Markup("".join(parts))
