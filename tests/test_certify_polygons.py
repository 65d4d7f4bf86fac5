"""One item, two bidders: the certifier against polygons clipped in fractions, on coarse numbers where ties abound.

On a pair of pieces the profiles at which two options are both best form a polygon; it is cut out here half-plane by
half-plane, exactly and without a linear program. Nothing of the certifier is used.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.envs.auctions.certify import certify
from walras.envs.auctions.simplex_menus import SimplexMenus

BITS = 4
Point = tuple[Fraction, Fraction]
Line = tuple[Fraction, Fraction, Fraction]  # a x + b y + c


def coarse_menus(seed: int, grid: int, deep: int, fee: int) -> SimplexMenus:
    rng = np.random.default_rng(seed)
    unit = 2.0**-BITS
    options = np.array([[0.0], [rng.integers(1, 16) * unit], [1.0]])
    low = rng.integers(0, 3, (2, 1)) * unit
    high = low + rng.choice([4, 8, 16], (2, 1)) * unit  # powers of two, so that doubles are exact below
    prices = rng.integers(0, 17, (2, grid + 1, 3)) * unit * (0.0, 0.5, 1.0) + fee * unit
    prices = np.round(prices / unit) * unit
    surcharges = []
    for _ in range(2):
        own = []
        for level in range(deep + 1):
            ids = np.flatnonzero(rng.random(grid << level) < 0.3)
            amounts = rng.integers(-1, 3, (len(ids), 3)) * unit
            amounts[:, :1] = 0.0
            if len(ids):
                own.append((level, ids, amounts))
        surcharges.append(tuple(own))
    prices[..., 0] = 0.0
    return SimplexMenus(low, high, options, prices, grid, tuple(surcharges), bits=BITS)


def pieces(menus: SimplexMenus, bidder: int) -> list[tuple[Fraction, Fraction, list[tuple[Fraction, Fraction]]]]:
    """Intervals of the other's value, and there each option's price as slope and constant."""
    other, grid = 1 - bidder, menus.grid
    deepest = max((entry.level for entry in menus.surcharges[bidder]), default=0)
    low, high = Fraction(float(menus.low[other, 0])), Fraction(float(menus.high[other, 0]))
    cells, found = grid << deepest, []
    for cell in range(cells):
        base = cell >> deepest
        start, end = (low + (high - low) * Fraction(c, cells) for c in (cell, cell + 1))
        left = low + (high - low) * Fraction(base, grid)
        extra = [Fraction(0)] * 3
        for entry in menus.surcharges[bidder]:
            place = list(entry.ids).index(cell >> (deepest - entry.level)) if cell >> (
                deepest - entry.level
            ) in entry.ids else None  # fmt: skip
            if place is not None:
                extra = [Fraction(float(x)) for x in entry.amounts[place]]
        lines = []
        for k in range(3):
            p, q = (Fraction(float(menus.prices[bidder, base + step, k])) for step in (0, 1))
            slope = (q - p) * grid / (high - low)
            lines.append((slope, p - slope * left + extra[k]))
        found.append((start, end, lines))
    return found


def clip(polygon: list[Point], line: Line) -> list[Point]:
    """The part of a convex polygon where a x + b y + c >= 0."""
    a, b, c = line
    side = [a * x + b * y + c for x, y in polygon]
    result = []
    for k, point in enumerate(polygon):
        before = polygon[k - 1]
        if (side[k] > 0 > side[k - 1]) or (side[k] < 0 < side[k - 1]):
            t = side[k - 1] / (side[k - 1] - side[k])
            result.append((before[0] + t * (point[0] - before[0]), before[1] + t * (point[1] - before[1])))
        if side[k] >= 0:
            result.append(point)
    return result


def is_open(polygon: list[Point], lines: list[Line]) -> bool:
    """Whether all a x + b y + c > 0 somewhere in the polygon."""
    for line in lines:
        polygon = clip(polygon, line)
        if not polygon:
            return False
    middle = [sum(column) / len(polygon) for column in zip(*polygon, strict=True)]
    return all(a * middle[0] + b * middle[1] + c > 0 for a, b, c in lines)


def verdict(menus: SimplexMenus, margin: Fraction) -> tuple[bool, bool]:
    """Whether options clash at more than ties somewhere, and whether they do when beaten by less than the margin."""
    option = [Fraction(float(x)) for x in menus.options[:, 0]]
    clash = nearly = False
    for (a, b, second), (c, d, first) in itertools.product(pieces(menus, 1), pieces(menus, 0)):
        # x is bidder 0's value, on which bidder 1's prices depend; y is bidder 1's.
        square = [(a, c), (b, c), (b, d), (a, d)]
        for k, other in itertools.product(range(3), repeat=2):
            if option[k] + option[other] <= 1:
                continue
            lines = []
            for r in range(3):
                if r != k:
                    slope, rest = first[k][0] - first[r][0], first[k][1] - first[r][1]
                    lines.append((option[k] - option[r], -slope, -rest))
                if r != other:
                    slope, rest = second[other][0] - second[r][0], second[other][1] - second[r][1]
                    lines.append((-slope, option[other] - option[r], -rest))
            clash = clash or is_open(square, lines)
            nearly = nearly or is_open(square, [(p, q, s + margin) for p, q, s in lines])
    return clash, nearly


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 3), st.integers(0, 2), st.integers(0, 9))
def test_verdicts_agree_with_polygons_in_fractions(seed: int, grid: int, deep: int, fee: int) -> None:
    menus = coarse_menus(seed, grid, deep, fee)
    margin = Fraction(1, 2 << BITS)
    clash, nearly = verdict(menus, margin)
    found = certify(menus)
    if clash:
        assert found.status == "refuted"
    elif nearly:
        assert found.status in ("undecided", "refuted")  # refuted: by the rule at a tie
    else:
        assert found.status == "certified"
    ties = certify(menus, robust=False)
    assert (ties.status == "refuted") >= clash
    if ties.status == "certified":
        assert not clash
        if grid != 3:  # all sums are exact in doubles: every tie on a fine grid is the program's own
            steps = np.arange(65) / 64
            axes = [menus.low[i, 0] + (menus.high[i, 0] - menus.low[i, 0]) * steps for i in range(2)]
            values = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2, 1)
            assert menus(values).allocation.sum(axis=1).max() <= 1.0
    for some in (found, ties):
        if some.counterexample is not None:
            values = np.array([[[float(x) for x in row] for row in some.counterexample.values]])
            assert menus(values).allocation.sum() > 1.0
