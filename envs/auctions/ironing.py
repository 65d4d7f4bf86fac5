"""Ironed virtual values as monotone piecewise-linear tables, exact for laws of uniform pieces and of atoms.

Source: Myerson 1981, "Optimal Auction Design", section 6. The construction used here is the dual one: the inverse of
the ironed virtual value at level c is the monopoly price of a seller with unit cost c, argmax_v (v - c)(1 - F(v)); the
levels at which that price jumps are the flats of the ironed function.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable

import array_api_compat
import numpy as np

from walras.envs.auctions.laws import Exponential, Floats, Law, ParetoTail, Uniform
from walras.envs.auctions.mechanism import Array, like
from walras.envs.auctions.piecewise import Discrete, PiecewiseUniform, TwoPoint

_POINTS = 2049  # grid points for laws without an exact table: quantile errors near 1e-7


@dataclasses.dataclass(frozen=True, eq=False)
class VirtualValue:
    """A nondecreasing piecewise-linear function of one value.

    Repeated knots are jumps (right-continuous), repeated levels are flats.

    Attributes:
        knots: values (K,), nondecreasing; the last two differ, and their line continues to the right.
        levels: virtual values (K,) at the knots, nondecreasing.
    """

    knots: Floats
    levels: Floats

    def __call__(self, value: Array) -> Array:
        """Ironed virtual value of `value`, any shape, numpy or torch; minus infinity below the support."""
        xp = array_api_compat.array_namespace(value)
        x, y = like(xp, self.knots, value), like(xp, self.levels, value)
        right = _clip_index(xp, xp.searchsorted(x, value, side="right"), len(self.knots))
        x0, y0, x1, y1 = _at(xp, x, right - 1), _at(xp, y, right - 1), _at(xp, x, right), _at(xp, y, right)
        inside = y0 + (y1 - y0) * ((value - x0) / (x1 - x0))
        return xp.where(value < self.knots[0], like(xp, -np.inf, value), inside)

    def price(self, level: Array) -> Array:
        """Smallest value whose virtual value is at least `level`."""
        return self._inverse(level, "left")

    def upper_price(self, level: Array) -> Array:
        """Smallest value beyond which the virtual value exceeds `level`.

        Differs from `price` where the function is flat.
        """
        return self._inverse(level, "right")

    def _inverse(self, level: Array, side: str) -> Array:
        xp = array_api_compat.array_namespace(level)
        x, y = like(xp, self.knots, level), like(xp, self.levels, level)
        found = xp.searchsorted(y, level, side=side)
        right = _clip_index(xp, found, len(self.knots))
        x0, y0, x1, y1 = _at(xp, x, right - 1), _at(xp, y, right - 1), _at(xp, x, right), _at(xp, y, right)
        rise = xp.where(y1 > y0, y1 - y0, xp.ones_like(y1))
        return xp.where(found == 0, like(xp, self.knots[0], level), x0 + (x1 - x0) * ((level - y0) / rise))


def _clip_index(xp: Array, index: Array, size: int) -> Array:
    return xp.clip(index, 1, size - 1)


def _at(xp: Array, table: Array, index: Array) -> Array:
    return xp.reshape(xp.take(table, xp.reshape(index, (-1,)), axis=0), index.shape)


@functools.lru_cache(maxsize=256)
def iron(law: Law) -> VirtualValue:
    """Ironed virtual value of `law`.

    Beyond the largest value it continues with slope one, so that every report has a finite price. Exact (to rounding)
    for Uniform, Exponential, ParetoTail, PiecewiseUniform, Discrete and TwoPoint; for other laws the concave hull of
    the revenue curve on 4,000 points.

    Raises:
        ValueError: the revenue curve has no maximum (ParetoTail with exponent <= 1).
    """
    if isinstance(law, Exponential):
        return _table([(0.0, -law.scale), (1.0, 1.0 - law.scale)])
    if isinstance(law, ParetoTail):
        if law.exponent <= 1.0:
            raise ValueError(f"law: ParetoTail needs exponent > 1 for a finite revenue, got {law.exponent!r}")
        return _table([(0.0, -1.0 / law.exponent), (1.0, 1.0 - 2.0 / law.exponent)])
    if isinstance(law, Uniform):
        points = [(law.low, 2.0 * law.low - law.high), (law.high, law.high)]
    elif isinstance(law, PiecewiseUniform):
        points = _iron_pieces(law)
    elif isinstance(law, Discrete | TwoPoint):
        points = _iron_atoms(law)
    else:
        points = _iron_grid(law)
    return _table([*points, (points[-1][0] + 1.0, points[-1][1] + 1.0)])


def _table(points: list[tuple[float, float]]) -> VirtualValue:
    distinct = [point for point, _ in itertools.groupby(points)]
    knots, levels = np.array(distinct, dtype=np.float64).T
    return VirtualValue(np.maximum.accumulate(knots), np.maximum.accumulate(levels))


def _iron_pieces(law: PiecewiseUniform) -> list[tuple[float, float]]:
    """Walk up the cost level: inside a piece the monopoly price inverts its virtual value, between pieces it jumps."""
    cumulative = np.concatenate(([0.0], np.cumsum(law.masses)))
    pieces = [
        (law.edges[k], law.edges[k + 1], float(1.0 - cumulative[k]), float(law.densities[k]))
        for k in range(len(law.masses))
        if law.masses[k] > 0.0
    ]

    def ends(k: int) -> tuple[float, float]:
        left, right, above, density = pieces[k]
        return left - above / density, right - (above - density * (right - left)) / density

    def price(k: int, cost: float) -> float:
        left, right, above, density = pieces[k]
        return min(max(0.5 * (left + cost + above / density), left), right)

    def profit(k: int, cost: float) -> float:
        left, _, above, density = pieces[k]
        best = price(k, cost)
        return (best - cost) * (above - density * (best - left))

    def crossing(k: int, other: int) -> float:
        if pieces[k][1] == pieces[other][0] and ends(k)[1] <= ends(other)[0]:
            return ends(k)[1]
        return _root(lambda cost: profit(other, cost) - profit(k, cost), min(ends(k)[0], ends(other)[0]), law.high)

    points: list[tuple[float, float]] = []
    active, start = 0, ends(0)[0]
    while True:
        later = [(crossing(active, other), other) for other in range(active + 1, len(pieces))]
        stop = min(level for level, _ in later) if later else law.high
        start = min(start, stop)
        inner = [level for level in ends(active) if start < level < stop]
        points += [(price(active, level), level) for level in (start, *inner, stop)]
        if not later:
            return points
        active, start = max(other for level, other in later if level == stop), stop


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Bisection to the last bit for a nondecreasing function with a root below `high`."""
    step = high - low + 1.0
    while function(low) >= 0.0:
        low, step = low - step, 2.0 * step
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if function(middle) < 0.0 else (low, middle)
    return high


def _iron_atoms(law: Discrete | TwoPoint) -> list[tuple[float, float]]:
    """Slopes of the concave hull of the revenue curve through the atoms.

    A report between two atoms counts as the lower one.
    """
    atoms = np.asarray(law.atoms)
    above = np.append(np.cumsum(law.probabilities[::-1])[::-1], 0.0)  # chance of at least this atom, then 0
    quantiles, revenue = 1.0 - above, np.append(atoms * above[:-1], 0.0)
    corners = _hull(quantiles, revenue)
    levels = [
        -(revenue[right] - revenue[left]) / (quantiles[right] - quantiles[left])
        for left, right in itertools.pairwise(corners)
        for _ in range(left, right)
    ]
    points = []
    for k, level in enumerate(levels):
        if k:
            points.append((float(atoms[k]), float(levels[k - 1])))
        points.append((float(atoms[k]), float(level)))
    return points


def _iron_grid(law: Law) -> list[tuple[float, float]]:
    u = np.linspace(0.0, 1.0, _POINTS)
    values = law.ppf(u)
    if np.isfinite(law.high):
        values = np.union1d(values, np.linspace(law.low, law.high, _POINTS))
    values = np.unique(values[np.isfinite(values)])
    quantiles = law.cdf(values)
    keep = np.append(True, np.diff(quantiles) > 0.0)
    values, quantiles = values[keep], quantiles[keep]
    revenue = values * (1.0 - quantiles)
    corners = _hull(quantiles, revenue)
    virtual = law.virtual_value(values)
    points: list[tuple[float, float]] = []
    for left, right in itertools.pairwise(corners):
        if right - left > 1:
            level = -(revenue[right] - revenue[left]) / (quantiles[right] - quantiles[left])
            points += [(float(values[left]), float(level)), (float(values[right]), float(level))]
        else:
            points += [(float(values[k]), float(virtual[k])) for k in (left, right) if np.isfinite(virtual[k])]
    return points


def _hull(x: Floats, y: Floats) -> list[int]:
    """Indices of the upper concave hull of points with increasing `x`."""
    corners: list[int] = []
    for k in range(len(x)):
        while len(corners) > 1:
            a, b = corners[-2], corners[-1]
            if (y[b] - y[a]) * (x[k] - x[a]) > (y[k] - y[a]) * (x[b] - x[a]):
                break
            corners.pop()
        corners.append(k)
    return corners
