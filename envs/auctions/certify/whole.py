"""Simplex menus in whole numbers: the exact values and prices at the vertices of simplices, and exact replays.

The unit is 2^-(bits + option bits) / cells, in which every value, price and surcharge at a vertex of the finest grid
is a whole number. `kind` is int64 where the caller has shown that nothing overflows, else Python integers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from walras.envs.auctions.certify.result import Counterexample
from walras.envs.auctions.mechanism import Array
from walras.envs.auctions.simplex_menus import SimplexMenus

ROOM = 2**61  # numbers below this may be added to and subtracted from each other once in int64


class Unit(NamedTuple):
    """The common unit of a mechanism.

    Attributes:
        cells: cells a side of the finest grid, g 2^levels.
        levels: deepest level of surcharges.
        option_bits: options are multiples of 2^-option_bits.
        per_value: units in 1 of value.
        bound: no value of an option plus price exceeds this.
        kind: `np.int64`, or `object` for Python integers.
    """

    cells: int
    levels: int
    option_bits: int
    per_value: int
    bound: int
    kind: Any


def option_bits(options: Array, bits: int) -> int:
    """The smallest b such that all `options`, multiples of 2^-bits, are multiples of 2^-b."""
    scaled = np.ldexp(options, bits).astype(np.int64)
    together = int(np.bitwise_or.reduce(scaled.ravel()))
    return 0 if together == 0 else bits - min(bits, (together & -together).bit_length() - 1)


def unit_of(mechanism: SimplexMenus) -> Unit:
    """The unit in which everything is whole, and whether int64 holds it."""
    levels = max((entry.level for own in mechanism.surcharges for entry in own), default=0)
    fraction = option_bits(mechanism.options, mechanism.bits)
    cells = mechanism.grid << levels
    per_value = (1 << (mechanism.bits + fraction)) * cells
    amounts = [float(np.max(np.abs(entry.amounts))) for own in mechanism.surcharges for entry in own]
    largest = (
        Fraction(float(mechanism.high.sum(axis=1).max()))
        + Fraction(float(np.max(np.abs(mechanism.prices))))
        + Fraction(max(amounts, default=0.0))
    )
    bound = math.ceil(largest * per_value)
    return Unit(cells, levels, fraction, per_value, bound, np.int64 if 2 * bound < ROOM else object)


def whole(numbers: Array, bits: int, kind: Any) -> Array:
    """Multiples of 2^-bits as whole numbers."""
    scaled = np.ldexp(numbers, bits).astype(np.int64)
    return scaled if kind is np.int64 else scaled.astype(object)


def option_values(mechanism: SimplexMenus, unit: Unit, bidder: int, vertices: Array) -> Array:
    """Values (..., K) of the options to `bidder` at `vertices` (..., m) in 0..cells of its own box."""
    bits, kind = mechanism.bits, unit.kind
    low, high = whole(mechanism.low[bidder], bits, kind), whole(mechanism.high[bidder], bits, kind)
    options = whole(mechanism.options, unit.option_bits, kind)
    value = low * unit.cells + (high - low) * vertices.astype(kind)
    return (value[..., None, :] * options).sum(axis=-1)


def base_prices(mechanism: SimplexMenus, unit: Unit, bidder: int, vertices: Array) -> Array:
    """Interpolated node prices (..., K) of `bidder` at `vertices` (..., d) in 0..cells of the others' boxes."""
    shape, d, g = vertices.shape[:-1], vertices.shape[-1], mechanism.grid
    table = whole(mechanism.prices[bidder], mechanism.bits, unit.kind)
    points = vertices.reshape(math.prod(shape), d)
    corner = np.minimum(points >> unit.levels, g - 1)
    part = points - (corner << unit.levels)
    order = np.argsort(-part, axis=1, kind="stable")
    falling = np.take_along_axis(part, order, axis=1)
    ends = np.full((len(points), 1), 1 << unit.levels), np.zeros((len(points), 1), dtype=np.int64)
    weight = np.concatenate((ends[0], falling), axis=1) - np.concatenate((falling, ends[1]), axis=1)
    stride = np.array([(g + 1) ** (d - 1 - j) for j in range(d)], dtype=np.int64)
    node = (corner * stride).sum(axis=1, keepdims=True)
    node = np.concatenate((node, node + np.cumsum(stride[order], axis=1)), axis=1)
    scale = g << unit.option_bits  # weights are multiples of 1 / 2^levels, and cells = g 2^levels
    result = (weight.astype(unit.kind)[..., None] * table[node]).sum(axis=1) * scale
    return result.reshape(*shape, table.shape[-1])


def surcharge(amounts: Array, mechanism: SimplexMenus, unit: Unit) -> Array:
    """Amounts in the unit."""
    return whole(amounts, mechanism.bits, unit.kind) * (unit.cells << unit.option_bits)


def largest(numbers: Array) -> Array:
    """Largest difference (N, K, K) of column k over column k' among the vertices of `numbers` (N, V, K)."""
    result = numbers[:, 0, :, None] - numbers[:, 0, None, :]
    for v in range(1, numbers.shape[1]):
        np.maximum(result, numbers[:, v, :, None] - numbers[:, v, None, :], out=result)
    return result


def least_margin(per_value: int, bits: int, error: float) -> int:
    """Units by which an excluded choice must be beaten: half of 2^-bits, and twice the `error` of doubles."""
    return math.ceil(max(Fraction(1, 2 << bits), 2 * Fraction(error)) * per_value)


def double_error(mechanism: SimplexMenus) -> float:
    """A bound on how far a difference of two utilities computed in doubles is from the exact one.

    The scaled report is off by at most three roundings of 1 in each of d coordinates, so the point where prices are
    read moves by 3 2^-53 and lies on the piece that is used; a price changes by at most 2 g max |price| per unit and
    coordinate. Sums of d + 1 products, of m products and of two prices add their own roundings. The constants below
    are rounded up.
    """
    amounts = [float(np.max(np.abs(entry.amounts))) for own in mechanism.surcharges for entry in own]
    price = float(np.max(np.abs(mechanism.prices)))
    size = float(mechanism.high.sum(axis=1).max()) + price + max(amounts, default=0.0)
    return float(
        2.0**-52 * (8 * (mechanism.items + 1) * size + 16 * (mechanism.dimension + 1) * (mechanism.grid + 1) * price)
    )


# -- replays: the rule of the format in fractions, for one profile -----------------------------------------------------


def exact_prices(mechanism: SimplexMenus, profile: list[list[Fraction]], bidder: int) -> list[Fraction]:
    """Prices of the options for `bidder` at `profile` (n, m), by the format's rule in fractions."""
    point = [
        min(max((x - _exact(low)) / (_exact(high) - _exact(low)), Fraction(0)), Fraction(1))
        for i, row in enumerate(profile)
        if i != bidder
        for x, low, high in zip(row, mechanism.low[i], mechanism.high[i], strict=True)
    ]
    g, d, table = mechanism.grid, len(point), mechanism.prices[bidder]
    corner, order, part = _place(point, g)
    weights = [
        (part[order[k - 1]] if k else Fraction(1)) - (part[order[k]] if k < d else Fraction(0)) for k in range(d + 1)
    ]
    at = list(corner)
    prices = [Fraction(0)] * table.shape[1]
    for k, weight in enumerate(weights):
        node = 0
        for coordinate in at:
            node = node * (g + 1) + coordinate
        prices = [price + weight * _exact(entry) for price, entry in zip(prices, table[node], strict=True)]
        if k < d:
            at[order[k]] += 1
    added: Any = None
    for entry in mechanism.surcharges[bidder]:
        cells = g << entry.level
        corner, order, _ = _place(point, cells)
        number = 0
        for coordinate in corner:
            number = number * cells + coordinate
        number = number * math.factorial(d) + list(itertools.permutations(range(d))).index(tuple(order))
        place = int(np.searchsorted(entry.ids, number))
        if place < len(entry.ids) and int(entry.ids[place]) == number:
            added = entry.amounts[place]  # levels come in order, so the finest one stays
    if added is not None:
        prices = [price + _exact(extra) for price, extra in zip(prices, added, strict=True)]
    return prices


def exact_choices(mechanism: SimplexMenus, profile: list[list[Fraction]]) -> list[int]:
    """Option that each bidder receives at `profile` (n, m), in fractions, the lowest index at ties."""
    chosen = []
    for i, row in enumerate(profile):
        own = [
            min(max(x, _exact(low)), _exact(high))
            for x, low, high in zip(row, mechanism.low[i], mechanism.high[i], strict=True)
        ]
        prices = exact_prices(mechanism, profile, i)
        utility = [
            sum((x * _exact(share) for x, share in zip(own, option, strict=True)), -price)
            for option, price in zip(mechanism.options, prices, strict=True)
        ]
        chosen.append(utility.index(max(utility)))
    return chosen


def excess(options: Array, chosen: list[int]) -> tuple[Fraction, int]:
    """Largest promised probability beyond 1 of an item when the bidders receive `options` (K, m) `chosen`; the item."""
    totals = [sum((_exact(options[k, j]) for k in chosen), Fraction(-1)) for j in range(options.shape[1])]
    worst = max(totals)
    return worst, totals.index(worst)


def _place(point: list[Fraction], cells: int) -> tuple[list[int], list[int], list[Fraction]]:
    corner = [min(math.floor(x * cells), cells - 1) for x in point]
    part = [x * cells - c for x, c in zip(point, corner, strict=True)]
    return corner, sorted(range(len(point)), key=lambda j: -part[j]), part


def _exact(number: Any) -> Fraction:
    return Fraction(float(number))


def at_vertices(
    mechanism: SimplexMenus, unit: Unit, bidder: int, vertices: Array, share: Sequence[Fraction]
) -> list[Fraction]:
    """The point of the box of `bidder` (m,) with weights `share` (V,) on `vertices` (V, m) of the finest grid."""
    point = []
    for j in range(vertices.shape[1]):
        low, high = _exact(mechanism.low[bidder, j]), _exact(mechanism.high[bidder, j])
        coordinate = sum((x * int(v) for x, v in zip(share, vertices[:, j], strict=True)), Fraction(0)) / unit.cells
        point.append(low + (high - low) * coordinate)
    return point


def over_allocated(mechanism: SimplexMenus, profile: list[list[Fraction]]) -> Counterexample | None:
    """The counterexample at `profile` (n, m), on doubles near it where they do, or None when the options fit there."""
    near = [[Fraction(round(x * (1 << 40)), 1 << 40) for x in row] for row in profile]
    for values in (near, profile):
        chosen = exact_choices(mechanism, values)
        over, item = excess(mechanism.options, chosen)
        if over > 0:
            text = f"item {item} is promised with total probability {float(1 + over):.10g}; options {chosen}"
            rows = tuple(map(tuple, values))
            return Counterexample("feasible", rows, rows, None, over, text)
    return None
