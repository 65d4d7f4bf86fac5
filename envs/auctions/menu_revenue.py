"""Exact revenue of a menu for one bidder whose values are uniform on a box or on the unit triangle.

Each option is chosen on a polytope: where its utility is the largest. Revenue is the sum of prices times volumes.
For two items the polytopes are polygons, in floats or fractions (also for pictures); for other numbers of items
`regions.largest_regions` gives the volumes in fractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias

from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.priors import Prior, Triangle
from walras.envs.auctions.regions import largest_regions
from walras.envs.auctions.truthful import PostedMenu

Number: TypeAlias = Fraction | float
Polygon: TypeAlias = list[tuple[Number, Number]]
"""Corners of a convex polygon, counter-clockwise; empty where there is nothing."""


def menu_revenue(menu: PostedMenu, prior: Prior) -> float:
    """Expected payment of a truthful bidder, correct to the last bits of a float.

    Args:
        menu: for one bidder; up to six items, beyond five it takes a while.
        prior: independent uniform values, or `Triangle`, for one bidder.

    Raises:
        ValueError: if the values are not uniform, or the sizes do not fit.
    """
    shares = menu_shares(menu, prior)
    return float(sum((Fraction(price) * share for price, share in zip(menu.prices, shares, strict=True)), Fraction(0)))


def menu_shares(menu: PostedMenu, prior: Prior) -> tuple[Fraction, ...]:
    """Probability with which each option of `menu` is chosen, as exact fractions; they sum to one.

    Options, prices and the ends of the values are read as the dyadic fractions that floats are. Of equal options the
    first one is chosen.

    Raises:
        ValueError: if the values are not uniform, or the sizes do not fit.
    """
    low, high, triangle = _support(menu, prior)
    if len(low) == 2:
        areas = [_area(region) for region in _regions(menu, low, high, triangle, Fraction)]
        return tuple(Fraction(area) / Fraction(sum(areas)) for area in areas)
    ends = [Fraction(x) for x in low], [Fraction(x) for x in high]
    size = math.prod(b - a for a, b in zip(*ends, strict=True))
    return tuple(region.volume / size for region in largest_regions(menu.items, [-p for p in menu.prices], *ends))


def menu_regions(menu: PostedMenu, prior: Prior) -> list[Polygon]:
    """Where each option of a menu of two items is chosen: convex polygons in floats, that cover the values once.

    Raises:
        ValueError: if there are not two items, the values are not uniform, or the sizes do not fit.
    """
    low, high, triangle = _support(menu, prior)
    if len(low) != 2:
        raise ValueError(f"menu: regions are polygons for 2 items, got {len(low)}")
    return _regions(menu, low, high, triangle, float)


def _support(menu: PostedMenu, prior: Prior) -> tuple[list[float], list[float], bool]:
    menu.check_size(prior.bidders, prior.items)
    triangle = isinstance(prior, Triangle)
    if not triangle:
        laws = prior.marginals
        if laws is None or not all(isinstance(law, Uniform) for law in laws[0]):
            raise ValueError(f"prior: exact revenue is for uniform values, got {prior!r}")
    return prior.low[0].tolist(), prior.high[0].tolist(), triangle


def _regions(
    menu: PostedMenu, low: Sequence[float], high: Sequence[float], triangle: bool, number: type[Number]
) -> list[Polygon]:
    (x, y), (right, top) = ([number(end) for end in ends] for ends in (low, high))
    support = [(x, y), (right, y), (x, top)] if triangle else [(x, y), (right, y), (right, top), (x, top)]
    options = [(number(a), number(b), number(p)) for (a, b), p in zip(menu.items, menu.prices, strict=True)]
    found: list[Polygon] = []
    for k, (a, b, price) in enumerate(options):
        region: Polygon = support
        for j, (c, d, other) in enumerate(options):
            if not region:
                break
            if (a, b) == (c, d):  # parallel: the cheaper one, or the first
                region = [] if (other, j) < (price, k) else region
            else:
                region = _clipped(region, a - c, b - d, price - other)
        found.append(region)
    return found


def _clipped(polygon: Polygon, a: Number, b: Number, least: Number) -> Polygon:
    """The part of a convex polygon where a x + b y >= least; empty if it has no area."""
    slack = [a * x + b * y - least for x, y in polygon]
    if min(slack) >= 0:
        return polygon
    if max(slack) <= 0:
        return []
    kept: Polygon = []
    for k, (x, y) in enumerate(polygon):
        before, (u, v) = slack[k - 1], polygon[k - 1]
        if (before < 0) != (slack[k] < 0) and slack[k] != 0 and before != 0:
            share = before / (before - slack[k])
            kept.append((u + share * (x - u), v + share * (y - v)))
        if slack[k] >= 0:
            kept.append((x, y))
    return kept


def _area(polygon: Polygon) -> Number:
    return sum(polygon[k - 1][0] * polygon[k][1] - polygon[k][0] * polygon[k - 1][1] for k in range(len(polygon))) / 2
