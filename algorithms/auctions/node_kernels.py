"""Compiled gradient of revenue and conflict with respect to node prices.

Revenue needs no smoothing. With u the utility that a bidder's menu gives it, its expected payment is the integral of
(v . grad u - u) f over its values, and integration by parts turns it into

    sum over faces of (v . normal) u f  -  integral of u ((m + 1) f + v . grad f),

which is linear in u, while du / dp_k = -1 where option k is chosen (Manelli and Vincent 2006 use this form). So the
gradient is a difference of frequencies of choice, inside the box and on its faces: no softmax, no temperature.

Conflicts live on thin sets: item j is promised twice where two bidders want it, that is where their margins
d_ij = best utility with j - best utility without j are both positive. The penalty is a ramp in the second largest
margin, from 0 at -band to 1 at 0, and continues with slope `excess`. Half of the estimate is drawn where it matters:
margin d_ij moves one for one with v_ij, so v_ij is moved to put d_ij inside the ramp, and the draw is weighted by its
density (several bidders may have led to the same profile: balance heuristic). Profiles with no margin inside the
ramp come from plain draws.

Shapes: B draws, n bidders, m items, K options, N nodes, d = m (n - 1).
"""

from __future__ import annotations

import numba
import numpy as np

EXCESS = 1.0  # slope of the penalty beyond its ramp, per unit of value
REACH = 3.0  # the drawn part of the margin reaches from -band to REACH * band


@numba.njit(cache=True)
def _menu(x, i, low, scale, grid, prices, stride, index, share, part, order, price):  # type: ignore[no-untyped-def]
    """Prices of bidder i at profile `x` (n, m) in row i of `price`; nodes and weights of its simplex likewise."""
    n, m = x.shape
    d = m * (n - 1)
    a = 0
    start = 0
    for o in range(n):
        if o == i:
            continue
        for j in range(m):
            scaled = (x[o, j] - low[o, j]) * scale[o, j]
            cell = min(max(int(scaled), 0), grid - 1)
            part[a] = scaled - cell
            order[a] = a
            start += cell * stride[a]
            a += 1
    for a in range(1, d):
        moved = order[a]
        c = a - 1
        while c >= 0 and part[order[c]] < part[moved]:
            order[c + 1] = order[c]
            c -= 1
        order[c + 1] = moved
    index[i, 0] = start
    above = 1.0
    for a in range(d):
        share[i, a] = above - part[order[a]]
        above = part[order[a]]
        index[i, a + 1] = index[i, a] + stride[order[a]]
    share[i, d] = above
    for k in range(1, price.shape[1]):
        total = 0.0
        for a in range(d + 1):
            total += share[i, a] * prices[i, index[i, a], k]
        price[i, k] = total


@numba.njit(cache=True, inline="always")
def _best(x, i, options, price):  # type: ignore[no-untyped-def]
    """Option that bidder i with the values x[i] chooses; option 0 has utility 0."""
    best = 0
    top = 0.0
    for k in range(1, options.shape[0]):
        utility = -price[i, k]
        for j in range(options.shape[1]):
            utility += x[i, j] * options[k, j]
        if utility > top:
            top = utility
            best = k
    return best


@numba.njit(cache=True, inline="always")
def _margin(x, i, j, options, price):  # type: ignore[no-untyped-def]
    """(d_ij, best option with item j, best option without it)."""
    with_item = without = -np.inf
    at_with = at_without = 0
    for k in range(options.shape[0]):
        utility = -price[i, k]
        for q in range(options.shape[1]):
            utility += x[i, q] * options[k, q]
        if options[k, j] > 0.5:
            if utility > with_item:
                with_item = utility
                at_with = k
        elif utility > without:
            without = utility
            at_without = k
    return with_item - without, at_with, at_without


@numba.njit(cache=True, inline="always")
def _add(table, i, k, amount, index, share):  # type: ignore[no-untyped-def]
    """Spread `amount` for option k of bidder i over the nodes of its simplex."""
    for a in range(index.shape[1]):
        table[i, index[i, a], k] += amount * share[i, a]


@numba.njit(cache=True)
def _penalise(weight, band, margin, at_with, at_without, index, share, conflict):  # type: ignore[no-untyped-def]
    """Add the gradient of `weight` * ramp(second largest margin); returns the penalty itself."""
    n = index.shape[0]
    first = 0
    second = -1
    for i in range(1, n):
        if margin[i] > margin[first]:
            second = first
            first = i
        elif second < 0 or margin[i] > margin[second]:
            second = i
    over = margin[second] + band
    if over <= 0.0:
        return 0.0
    slope = weight * (EXCESS + (1.0 / band if over < band else 0.0))
    _add(conflict, second, at_with[second], -slope, index, share)
    if at_without[second] > 0:
        _add(conflict, second, at_without[second], slope, index, share)
    return weight * min(1.0, over / band)


@numba.njit(cache=True)
def _revenue(b, i, own, weight, density, faces, options, price, index, share, revenue):  # type: ignore[no-untyped-def]
    """Add the gradient of bidder i's revenue at row i of `own` (n, m), drawn uniformly from its box."""
    m = options.shape[1]
    k = _best(own, i, options, price)
    if k > 0:
        _add(revenue, i, k, weight[b, i], index, share)
    for j in range(m):
        value = own[i, j]
        rest = 1.0
        for q in range(m):
            if q != j:
                rest *= density[b, i, q]
        for f in range(faces.shape[2]):
            if faces[i, j, f, 1] == 0.0:
                continue
            own[i, j] = faces[i, j, f, 0]
            k = _best(own, i, options, price)
            if k > 0:
                _add(revenue, i, k, -faces[i, j, f, 1] * rest, index, share)
        own[i, j] = value


@numba.njit(cache=True, inline="always")
def _copy(profiles, b, x):  # type: ignore[no-untyped-def]
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] = profiles[b, i, j]


@numba.njit(cache=True)
def node_gradients(  # type: ignore[no-untyped-def]
    values, inner, weight, density, faces, moves, tables, low, width, options, prices, grid, band, revenue, conflict
):
    """Add to the gradients (n, N, K) of revenue and of the penalty, summed over the B draws.

    What is given:

    - values: (B, n, m) profiles from the prior.
    - inner: (B, n, m) own values, uniform on each bidder's box.
    - weight: (B, n) of the inner draws: ((m + 1) f + v . grad f) times the volume of the box.
    - density: (B, n, m) f_ij at the inner draws, times the width of the box.
    - faces: (n, m, F, 2) places where the density of an item jumps, and place times (density left - right).
    - moves: (B, m, 2) uniforms: which bidder is moved into the ramp, and where to.
    - tables: (n, m, P) density of each value on P equal steps of its box.
    - low, width: (n, m) of the boxes.
    - options: (K, m) bundles of zeros and ones, null first.
    - prices: (n, N, K) node prices.
    - grid: cells a side.
    - band: width of the ramp.
    - revenue, conflict: (n, N, K) to add to.

    Returns:
        Sums over the draws of revenue, profiles with an item promised twice, and penalty.
    """
    count, n, m = values.shape
    d = m * (n - 1)
    options_count = options.shape[0]
    stride = np.ones(d, np.int64)
    for a in range(d - 2, -1, -1):
        stride[a] = stride[a + 1] * (grid + 1)
    index = np.zeros((n, d + 1), np.int64)
    share = np.zeros((n, d + 1))
    part = np.zeros(d)
    order = np.zeros(d, np.int64)
    price = np.zeros((n, options_count))
    margin = np.zeros(n)
    at_with = np.zeros(n, np.int64)
    at_without = np.zeros(n, np.int64)
    x = np.zeros((n, m))
    own = np.zeros((n, m))
    earned = conflicts = penalty = 0.0
    top = REACH * band
    steps = tables.shape[2] - 1
    scale = grid / width
    for b in range(count):
        _copy(values, b, x)
        _copy(inner, b, own)
        for i in range(n):
            _menu(x, i, low, scale, grid, prices, stride, index, share, part, order, price)
            earned += price[i, _best(x, i, options, price)]
            _revenue(b, i, own, weight, density, faces, options, price, index, share, revenue)
        clash = False
        for j in range(m):
            inside = False
            wanted = 0
            for i in range(n):
                margin[i], at_with[i], at_without[i] = _margin(x, i, j, options, price)
                inside |= -band <= margin[i] <= top
                wanted += margin[i] > 0.0
            clash |= wanted > 1
            if not inside:
                penalty += _penalise(1.0, band, margin, at_with, at_without, index, share, conflict)
        conflicts += clash
        for j in range(m):
            _copy(values, b, x)
            i = min(int(moves[b, j, 0] * n), n - 1)
            # The margin of bidder i in item j is linear in its value of the item, with slope one.
            x[i, j] = 0.0
            _menu(x, i, low, scale, grid, prices, stride, index, share, part, order, price)
            at_zero, _, _ = _margin(x, i, j, options, price)
            place = (moves[b, j, 1] * (top + band) - band - at_zero - low[i, j]) / width[i, j]
            if not 0.0 <= place <= 1.0:
                continue
            x[i, j] = low[i, j] + place * width[i, j]
            reached = 0
            for o in range(n):
                if o != i:
                    _menu(x, o, low, scale, grid, prices, stride, index, share, part, order, price)
                margin[o], at_with[o], at_without[o] = _margin(x, o, j, options, price)
                reached += -band <= margin[o] <= top
            if reached == 0:  # rounding at the end of the ramp
                continue
            step = min(int(place * steps), steps - 1)
            between = place * steps - step
            here = (1.0 - between) * tables[i, j, step] + between * tables[i, j, step + 1]
            drawn = n * (top + band) * here / reached
            penalty += _penalise(drawn, band, margin, at_with, at_without, index, share, conflict)
    return earned, conflicts, penalty
