"""Exact integrals over the regions of a box in which one of several affine functions is the largest.

Welfare of an affine maximiser and utility from a menu are maxima of affine functions of the values, so revenue under
uniform values is a sum of volumes and first moments of such regions. Every number is a fraction: a box is cut by one
half-space after another (double description), the polytope left is split into simplices from vertex to vertex down
its faces (Cohen and Hickey 1979, "Two algorithms for determining volumes of convex polyhedra"). Meant for up to six
dimensions and some dozens of functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from walras.envs.game import Array

Rows = Sequence[Sequence[Fraction | int | float]]
_Point = tuple[int, ...]  # homogeneous: the coordinates times the last entry, which is positive


class Region(NamedTuple):
    """Where one function is the largest.

    Attributes:
        volume: of the region; 0 where another function is as large everywhere.
        moment: (d,) integral of each coordinate over the region.
    """

    volume: Fraction
    moment: tuple[Fraction, ...]


def largest_regions(
    slopes: Rows, offsets: Sequence[Fraction | int | float], low: Sequence[Fraction], high: Sequence[Fraction]
) -> list[Region]:
    """Volume and first moment of the region of the box in which each function is the largest, exactly.

    Of equal functions the first one gets the region. Floats are read as the dyadic fractions they are.

    Args:
        slopes: (T, d) of the functions.
        offsets: (T,) their constants.
        low: (d,) lower ends of the box.
        high: (d,) upper ends, larger.

    Raises:
        ValueError: if the shapes do not fit, or the box is empty.
        ArithmeticError: if the regions do not fill the box (an error in the computation, never in the input).
    """
    bottom, width = [Fraction(x) for x in low], [Fraction(b) - Fraction(a) for a, b in zip(low, high, strict=True)]
    if not slopes or len(slopes) != len(offsets) or any(len(row) != len(bottom) for row in slopes):
        raise ValueError("slopes, offsets, low: shapes (T, d), (T,), (d,) are needed, T >= 1")
    if not bottom or min(width) <= 0:
        raise ValueError("low, high: each upper end must lie above its lower end")
    # On the unit cube, in integers.
    rows = [[Fraction(s) for s in row] for row in slopes]
    functions = [
        [*(s * w for s, w in zip(row, width, strict=True)), Fraction(c) + _dot(row, bottom)]
        for row, c in zip(rows, offsets, strict=True)
    ]
    scale = math.lcm(*(x.denominator for row in functions for x in row))
    whole = [tuple(int(x * scale) for x in row) for row in functions]
    size, d = math.prod(width), len(width)
    regions = []
    for t, row in enumerate(whole):
        volume, moment = _unit_region(whole, t, row)
        spread = tuple((m * w + volume * b) * size for m, w, b in zip(moment, width, bottom, strict=True))
        regions.append(Region(volume * size, spread if volume else (Fraction(0),) * d))
    if sum(region.volume for region in regions) != size:
        raise ArithmeticError(f"the regions of {slopes!r}, {offsets!r} do not fill the box")
    return regions


def mean_of_largest(
    slopes: Rows, offsets: Sequence[Fraction | int | float], low: Sequence[Fraction], high: Sequence[Fraction]
) -> Fraction:
    """Mean over the box of the largest of the functions; arguments as in `largest_regions`."""
    regions = largest_regions(slopes, offsets, low, high)
    total = sum(
        (
            _dot([Fraction(s) for s in row], region.moment) + Fraction(c) * region.volume
            for row, c, region in zip(slopes, offsets, regions, strict=True)
            if region.volume
        ),
        Fraction(0),
    )
    return total / math.prod(Fraction(b) - Fraction(a) for a, b in zip(low, high, strict=True))


def _dot(left: Sequence[Fraction], right: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(left, right, strict=True)), Fraction(0))


def _unit_region(functions: list[_Point], t: int, own: _Point) -> tuple[Fraction, tuple[Fraction, ...]]:
    """Volume and moment on the unit cube of the region of function `t`."""
    d = len(own) - 1
    nothing = Fraction(0), (Fraction(0),) * d
    cuts = []
    for s, other in enumerate(functions):
        cut = tuple(a - b for a, b in zip(own, other, strict=True))
        if not any(cut[:d]):  # parallel: one of the two is never the largest
            if cut[d] < 0 or (cut[d] == 0 and s < t):
                return nothing
            continue
        if sum(x for x in cut[:d] if x > 0) + cut[d] <= 0:
            return nothing
        if sum(x for x in cut[:d] if x < 0) + cut[d] < 0:
            cuts.append(cut)
    polytope = _Polytope(d)
    for cut in dict.fromkeys(cuts):
        polytope.cut(cut)
        if len(polytope.points) <= d:
            return nothing
    return polytope.integrals()


class _Polytope:
    """Vertices of a polytope in the unit cube, each with the set of half-spaces (bits) whose boundary it lies on."""

    def __init__(self, d: int) -> None:
        self.d, self.facets = d, 2 * d
        self.points: list[tuple[_Point, int]] = [
            ((*(k >> j & 1 for j in range(d)), 1), sum(1 << (2 * j + (k >> j & 1)) for j in range(d)))
            for k in range(2**d)
        ]

    def cut(self, row: _Point) -> None:
        """Keep what fulfils <row, (x, 1)> >= 0."""
        bit, self.facets = 1 << self.facets, self.facets + 1
        slack = [sum(a * b for a, b in zip(row, point, strict=True)) for point, _ in self.points]
        if min(slack) > 0:
            return
        inside = [k for k, s in enumerate(slack) if s > 0]
        outside = [k for k, s in enumerate(slack) if s < 0]
        kept = [
            (point, on | bit if s == 0 else on) for (point, on), s in zip(self.points, slack, strict=True) if s >= 0
        ]
        for i in inside:
            (p, on_p), s_p = self.points[i], slack[i]
            for o in outside:
                q, on_q = self.points[o]
                common = on_p & on_q
                if common.bit_count() >= self.d - 1 and self._edge(common, i, o):
                    s_q = -slack[o]
                    x = [s_q * a + s_p * b for a, b in zip(p, q, strict=True)]
                    divisor = math.gcd(*x)
                    kept.append((tuple(a // divisor for a in x), common | bit))
        self.points = kept

    def _edge(self, common: int, i: int, o: int) -> bool:
        """Whether no third vertex lies on all the boundaries that two vertices share."""
        return all(common & ~on for k, (_, on) in enumerate(self.points) if k != i and k != o)

    def integrals(self) -> tuple[Fraction, tuple[Fraction, ...]]:
        """Volume, and integral of each coordinate."""
        on_facet = [
            sum(1 << k for k, (_, on) in enumerate(self.points) if on >> facet & 1) for facet in range(self.facets)
        ]
        corners = np.array(_Faces(on_facet).simplices((1 << len(self.points)) - 1, self.d), dtype=np.int64)
        common = math.lcm(*(point[-1] for point, _ in self.points))
        at = np.empty((len(self.points), self.d), dtype=object)
        for k, (point, _) in enumerate(self.points):
            at[k] = [x * (common // point[-1]) for x in point[:-1]]
        spread = at[corners]  # (N, d + 1, d)
        size = abs(_determinants(spread[:, 1:] - spread[:, :1]))
        unit = math.factorial(self.d) * common**self.d
        moments = (size[:, None] * spread.sum(axis=1)).sum(axis=0)
        return (
            Fraction(int(size.sum()), unit),
            tuple(Fraction(int(m), unit * common * (self.d + 1)) for m in moments),
        )


class _Faces:
    """Simplices that split the faces of a polytope, a face being the set of its vertices (bits)."""

    def __init__(self, on_facet: list[int]) -> None:
        self.on_facet = list(dict.fromkeys(on_facet))
        self.known: dict[int, list[tuple[int, ...]]] = {}

    def simplices(self, face: int, dimension: int) -> list[tuple[int, ...]]:
        """From the first vertex of the face to the simplices of its facets that do not contain it."""
        if face in self.known:
            return self.known[face]
        first = (face & -face).bit_length() - 1
        found: list[tuple[int, ...]]
        if dimension == 0:
            found = [(first,)]
        else:
            parts = {face & facet for facet in self.on_facet} - {0, face}
            facets = [part for part in parts if not any(part != other and part & other == part for other in parts)]
            found = [
                (first, *rest)
                for part in sorted(facets)
                if not part >> first & 1
                for rest in self.simplices(part, dimension - 1)
            ]
        self.known[face] = found
        return found


def _determinants(matrices: Array) -> Array:
    """Determinants (N,) of integer matrices (N, d, d), by fraction-free elimination (Bareiss 1968)."""
    work = matrices.copy()
    count, d, _ = work.shape
    every = np.arange(count)
    before = np.ones(count, dtype=object)
    for k in range(d - 1):
        pivot = k + np.argmax(work[:, k:, k] != 0, axis=1)
        work[every, k], work[every, pivot] = work[every, pivot], work[every, k].copy()
        lead = work[:, k, k]
        rest = work[:, k + 1 :, k + 1 :] * lead[:, None, None] - work[:, k + 1 :, k, None] * work[:, k, None, k + 1 :]
        work[:, k + 1 :, k + 1 :] = rest // np.where(before == 0, 1, before)[:, None, None]
        before = lead
    result: Array = work[:, -1, -1]
    return result
