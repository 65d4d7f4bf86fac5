"""Certificates of utility tables: convexity across every facet, gradients in [0, 1], feasibility of every tuple.

A function that is affine on the simplices of a triangulation of a box is convex exactly where it does not bend down
across any facet. In Kuhn's triangulation the vertices a and b opposite to a facet satisfy a + b = c + d for two
vertices c, d of the facet, so the condition is u(a) + u(b) >= u(c) + u(d): whole numbers, one line for each facet.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from walras.envs.auctions import kuhn
from walras.envs.auctions.certify.result import CERTIFIED, REFUTED, Certificate, Counterexample, Progress
from walras.envs.auctions.mechanism import Array
from walras.envs.auctions.utility_table import UtilityTable

_Profile = tuple[tuple[Fraction, ...], ...]


class Findings(NamedTuple):
    """What holds of a utility table, and where it fails first.

    Attributes:
        convex: every utility is convex and every gradient lies in [0, 1] (unit demand: sums to at most 1).
        nonnegative: no utility is negative.
        facets: facets compared.
        bend: (bidder, row, nodes a, b, c, d) of the worst facet; () where all utilities are convex.
        gradient: (bidder, row, simplex, item) of a gradient out of range; item -1: the sum; () where there is none.
        lowest: (bidder, row, node) of the least utility.
    """

    convex: bool
    nonnegative: bool
    facets: int
    bend: tuple[int, ...]
    gradient: tuple[int, ...]
    lowest: tuple[int, ...]


def findings(mechanism: UtilityTable) -> Findings:
    """Check convexity, gradients and signs in whole numbers."""
    g, m, bits = mechanism.grid, mechanism.items, mechanism.bits
    whole = np.ldexp(mechanism.utilities, bits).astype(np.int64)  # below 2^52, so sums of four stay in int64
    facets = _facets(g, m)
    bend: tuple[int, ...] = ()
    if len(facets):
        a, b, c, d = facets.T
        rise = whole[:, :, a] + whole[:, :, b] - whole[:, :, c] - whole[:, :, d]
        i, row, f = (int(x) for x in np.unravel_index(int(np.argmin(rise)), rise.shape))
        if rise[i, row, f] < 0:
            bend = i, row, *(int(x) for x in facets[f])
    slopes = _slopes(mechanism)
    limit = _limits(mechanism)
    gradient: tuple[int, ...] = ()
    wrong = np.argwhere((slopes < 0) | (slopes > limit[:, None, None, :]))
    if len(wrong):
        gradient = tuple(int(x) for x in wrong[0])
    elif mechanism.demand == "unit":
        for i in range(mechanism.bidders):
            # sum_j slope_j / limit_j <= 1, without the fractions
            total = _common(limit[i])
            sums = sum((slopes[i, :, :, j].astype(object) * (total // int(limit[i, j])) for j in range(m)), start=0)
            over = np.argwhere(sums > total)
            if len(over):
                gradient = (i, int(over[0][0]), int(over[0][1]), -1)
                break
    lowest = tuple(int(x) for x in np.unravel_index(int(np.argmin(whole)), whole.shape))
    return Findings(not bend and not gradient, bool(whole[lowest] >= 0), len(facets) * whole.shape[0] * whole.shape[1],
                    bend, gradient, lowest)  # fmt: skip


def _facets(grid: int, items: int) -> Array:
    """Nodes (F, 4) a, b, c, d of every inner facet: a and b lie opposite to it, c and d in it, and a + b = c + d."""
    count = kuhn.count(grid, items)
    corners = kuhn.vertices(np.arange(count), grid, items)
    stride = np.array([(grid + 1) ** (items - 1 - j) for j in range(items)], dtype=np.int64)
    quads = []
    for k in range(1, items):  # the k-th vertex goes to the other side of the edge between its neighbours
        other = corners[:, k - 1] + corners[:, k + 1] - corners[:, k]
        quads.append(np.stack([corners[:, k], other, corners[:, k - 1], corners[:, k + 1]], axis=1))
    beyond = corners[:, -1] + corners[:, 1] - corners[:, 0]  # the simplex behind the face opposite to the low corner
    inside = np.all(beyond <= grid, axis=1)
    ends = [corners[:, 0], beyond, corners[:, 1], corners[:, -1]]
    quads.append(np.stack(ends, axis=1)[inside])
    nodes: Array = (np.concatenate(quads) * stride).sum(axis=-1)
    return nodes


def _slopes(mechanism: UtilityTable) -> Array:
    """Rises (n, rows, S, m) of the utility over the whole box along each item, in units of 2^-bits.

    Python integers where int64 might not hold them.
    """
    g, m = mechanism.grid, mechanism.items
    order = kuhn.orders(m)[np.arange(kuhn.count(g, m)) % len(kuhn.orders(m))]
    whole = np.ldexp(mechanism.utilities, mechanism.bits).astype(np.int64)
    corners = kuhn.vertices(np.arange(kuhn.count(g, m)), g, m)
    stride = np.array([(g + 1) ** (m - 1 - j) for j in range(m)], dtype=np.int64)
    rise = np.diff(whole[:, :, (corners * stride).sum(axis=-1)], axis=-1)
    result = np.empty_like(rise)
    np.put_along_axis(result, np.broadcast_to(order, rise.shape), rise, axis=-1)
    largest = int(np.abs(result).max(initial=0)) * g
    return result * g if largest < 2**62 else result.astype(object) * g


def _limits(mechanism: UtilityTable) -> Array:
    """Rises (n, m) that mean an allocation of 1, in the unit of `_slopes`."""
    width: Array = np.ldexp(mechanism.high - mechanism.low, mechanism.bits).astype(np.int64)
    return width


def _common(limits: Array) -> int:
    product = 1
    for limit in limits.tolist():
        product *= int(limit)
    return product


def certify_utility_table(
    mechanism: UtilityTable, *, robust: bool = True, progress: Progress | None = None
) -> Certificate:
    """Truthfulness, individual rationality and feasibility at every profile, in whole numbers.

    `robust` changes nothing: the allocation is a table, nothing is chosen at run time.
    """
    found = findings(mechanism)
    n, m = mechanism.bidders, mechanism.items
    count = kuhn.count(mechanism.grid, m)
    counts = {"facets": found.facets, "tuples of pieces": count**n}
    method = "every facet and every tuple of simplices, in whole numbers (Rochet 1987: convex, allocation is gradient)"

    def refuted(reason: str, example: Counterexample) -> Certificate:
        return Certificate("UtilityTable", REFUTED, method, reason, example, counts=counts)

    if found.gradient:
        i, row, simplex, item = found.gradient
        values = _inside(mechanism, i, row, simplex)
        what = "an allocation is no probability" if item >= 0 else "a unit-demand bidder receives more than one item"
        text = f"bidder {i} receives {'item ' + str(item) if item >= 0 else 'all items'} with an impossible probability"
        return refuted(what, Counterexample("feasible", values, values, i, Fraction(1), text))
    over = _over_allocated(mechanism)
    if over is not None:
        return refuted("an item is promised more than once", over)
    if not found.nonnegative:
        i, row, node = found.lowest
        profile = _profile(mechanism, i, row, _point(mechanism, i, node))
        loss = Fraction(-float(mechanism.utilities[found.lowest]))
        text = f"bidder {i} loses {float(loss):.6g} by the truth"
        example = Counterexample("individually rational", profile, profile, i, loss, text)
        return refuted("a truthful bidder loses", example)
    if found.bend:
        return refuted("a utility bends down, so a bidder gains by a false report", _gain(mechanism, found.bend))
    return Certificate("UtilityTable", CERTIFIED, method, counts=counts)


def _point(mechanism: UtilityTable, bidder: int, node: int) -> list[Fraction]:
    """The value at a node."""
    g, place = mechanism.grid, []
    for _ in range(mechanism.items):
        node, digit = divmod(node, g + 1)
        place.append(digit)
    ends = zip(mechanism.low[bidder].tolist(), mechanism.high[bidder].tolist(), reversed(place), strict=True)
    return [Fraction(low) + (Fraction(high) - Fraction(low)) * digit / g for low, high, digit in ends]


def _middle(mechanism: UtilityTable, bidder: int, simplex: int) -> list[Fraction]:
    """The barycentre of a simplex of the bidder's values."""
    g, m = mechanism.grid, mechanism.items
    corners = kuhn.vertices(np.array([simplex]), g, m)[0]
    ends = zip(mechanism.low[bidder].tolist(), mechanism.high[bidder].tolist(), strict=True)
    return [
        Fraction(low) + (Fraction(high) - Fraction(low)) * Fraction(int(corners[:, j].sum()), g * (m + 1))
        for j, (low, high) in enumerate(ends)
    ]


def _profile(mechanism: UtilityTable, bidder: int, row: int, own: list[Fraction]) -> _Profile:
    """The bidder's value beside the others in the middle of their simplices."""
    count, places = kuhn.count(mechanism.grid, mechanism.items), []
    for _ in range(mechanism.bidders - 1):
        row, place = divmod(row, count)
        places.append(place)
    rest = iter(reversed(places))
    return tuple(
        tuple(own if i == bidder else _middle(mechanism, i, next(rest))) for i in range(mechanism.bidders)
    )  # fmt: skip


def _inside(mechanism: UtilityTable, bidder: int, row: int, simplex: int) -> _Profile:
    return _profile(mechanism, bidder, row, _middle(mechanism, bidder, simplex))


def _over_allocated(mechanism: UtilityTable) -> Counterexample | None:
    """A tuple of pieces on which an item is promised more than once, by exact sums."""
    n, m, count = mechanism.bidders, mechanism.items, kuhn.count(mechanism.grid, mechanism.items)
    slopes, limits = _slopes(mechanism), _limits(mechanism)
    for j in range(m):
        total = _common(limits[:, j])
        parts = []
        for i in range(n):
            own = slopes[i, :, :, j].reshape(*[count] * (n - 1), count).astype(object) * (total // int(limits[i, j]))
            parts.append(np.moveaxis(own, -1, i))
        sums = sum(parts[1:], start=parts[0])
        place = np.unravel_index(int(np.argmax(sums)), sums.shape)
        if sums[place] > total:
            values = tuple(tuple(_middle(mechanism, i, int(place[i]))) for i in range(n))
            over = Fraction(int(sums[place]), total) - 1
            text = f"item {j} is promised with total probability {float(1 + over):.10g}"
            return Counterexample("feasible", values, values, None, over, text)
    return None


def _gain(mechanism: UtilityTable, bend: tuple[int, ...]) -> Counterexample:
    """The false report that pays where a utility bends down: from one side of a facet to the other.

    The report is in the simplex on one side, the true value the opposite vertex on the other; there the gradient of
    the report's simplex promises more than the truth.
    """
    i, row, a, b, _, _ = bend
    best: tuple[Fraction, list[Fraction], list[Fraction]] | None = None
    slopes, limits = _slopes(mechanism), _limits(mechanism)
    nodes = mechanism.nodes
    for true_node, near in itertools.permutations((a, b)):
        value = _point(mechanism, i, true_node)
        truth = Fraction(float(mechanism.utilities[i, row, true_node]))
        for simplex in np.flatnonzero((nodes == near).any(axis=1)).tolist():
            start = _point(mechanism, i, int(nodes[simplex, 0]))
            promised = Fraction(float(mechanism.utilities[i, row, int(nodes[simplex, 0])]))
            for j in range(mechanism.items):
                share = Fraction(int(slopes[i, row, simplex, j]), int(limits[i, j]))
                promised += share * (value[j] - start[j])
            if best is None or promised - truth > best[0]:
                best = promised - truth, value, _middle(mechanism, i, simplex)
    assert best is not None and best[0] > 0
    gain, value, report = best
    truth_profile, lie_profile = _profile(mechanism, i, row, value), _profile(mechanism, i, row, report)
    text = f"bidder {i} gains {float(gain):.6g} by a false report"
    return Counterexample("truthful", truth_profile, lie_profile, i, gain, text)
