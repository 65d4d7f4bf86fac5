"""Compiled work of the piecewise-affine menu transform: conflict cases, their linear programs, fixed points.

Words. A *leaf* is a simplex of the others' reports on which bidder i's surcharges are constant. Over it lie *pieces*
of the whole value space on which every utility is affine, so that each is given by its values at V vertices. A *case*
is a piece, a choice of options by earlier bidders, and an option l of bidder i that does not fit beside them. In a
case the earlier choices are best where the rows A (V columns) of their advantages are nonnegative, and l beats the
fitting option o by row L_o. Bidder i never chooses l there once

    surcharge_l  >=  max over {A >= 0} of  min over o of (L_o + surcharge_o)  +  margin,

whose right side is monotone in the surcharges: raising them from a start until nothing moves gives the least
surcharges above the start (Tarski). The linear program is solved by a primal simplex method on its dual,

    min over y >= 0 and z in the simplex of  max over vertices of (y . A + z . (L + surcharge)),

which begins at a feasible point, so that each step gives a valid bound and most cases end at the first one.
"""

from __future__ import annotations

import math

import numba
import numpy as np

_STEPS = 60  # of the simplex method by steepest coefficient; then columns take turns, which leaves cycles
_MOST = 400
_PATIENCE = 64  # sweeps; two options that can only be told apart by a third would rise unit by unit until it wins


@numba.njit(cache=True)
def least_bound(best, gain, added, enough, work):  # type: ignore[no-untyped-def]
    """Max over {best >= 0} of min over rows of (gain + added), or a bound on it that is at most `enough`.

    What is given:

    - best: (R, V) rows that have to be nonnegative, by vertex.
    - gain: (O, V) rows, O >= 1.
    - added: (O,) constants added to the rows of `gain`.
    - enough: stop as soon as the bound is not above this.
    - work: (V + 1, R + O + 1) scratch.

    Returns:
        The bound; minus infinity where no point has best >= 0.
    """
    rows, vertices = best.shape
    options = gain.shape[0]
    start = at = 0
    bound = np.inf
    for o in range(options):
        most = -np.inf
        where = 0
        for v in range(vertices):
            if gain[o, v] > most:
                most = gain[o, v]
                where = v
        if most + added[o] < bound:
            bound = most + added[o]
            start = o
            at = where
    if bound <= enough:
        return bound
    # Dictionary: basic are the slacks of the other vertices and z_start, columns are y, the other z, and slack `at`.
    columns = rows + options
    line = 0
    for v in range(vertices):
        if v == at:
            continue
        for r in range(rows):
            work[line, r] = best[r, at] - best[r, v]
        c = rows
        for o in range(options):
            if o != start:
                work[line, c] = (gain[o, at] - gain[o, v]) - (gain[start, at] - gain[start, v])
                c += 1
        work[line, c] = 1.0
        work[line, columns] = gain[start, at] - gain[start, v]
        line += 1
    for c in range(columns):
        work[line, c] = -1.0 if rows <= c < columns - 1 else 0.0
    work[line, columns] = 1.0
    lines = line + 1
    for r in range(rows):
        work[lines, r] = best[r, at]
    c = rows
    for o in range(options):
        if o != start:
            work[lines, c] = gain[o, at] + added[o] - bound
            c += 1
    work[lines, c] = 1.0
    work[lines, columns] = bound
    for step in range(_MOST):
        enters = -1
        least = -1e-12
        for turn in range(columns):
            c = turn if step < _STEPS else (turn + step) % columns
            if work[lines, c] < least:
                enters = c
                if step >= _STEPS:
                    break
                least = work[lines, c]
        if enters < 0:
            break
        leaves = -1
        ratio = np.inf
        for r in range(lines):
            if work[r, enters] < -1e-12:
                t = work[r, columns] / -work[r, enters]
                if t < ratio:
                    ratio = t
                    leaves = r
        if leaves < 0:
            return -np.inf
        inverse = 1.0 / work[leaves, enters]
        for c in range(columns + 1):
            if c != enters:
                work[leaves, c] *= -inverse
        work[leaves, enters] = inverse
        for r in range(lines + 1):
            factor = work[r, enters]
            if r == leaves or factor == 0.0:
                continue
            for c in range(columns + 1):
                if c != enters:
                    work[r, c] += factor * work[leaves, c]
            work[r, enters] = factor * inverse
        if work[lines, columns] <= enough:
            break
    return work[lines, columns]


@numba.njit(cache=True)
def raise_from(start, count, loser, best, best_rows, gain, gain_rows, fitting, unit, margin, work, surcharge):  # type: ignore[no-untyped-def]
    """Least surcharges >= `start` (K,) that exclude all `count` cases, in `surcharge`; returns the programs solved.

    Where options push one another up step by step the steps are doubled every `_PATIENCE` sweeps; the surcharges are
    then above the least ones by at most the last step.

    What is given:

    - start: surcharges to begin with, multiples of `unit`; entry 0 stays 0.
    - count: number C of cases.
    - loser: (C,) option to be excluded.
    - best: (C, R, V) and `best_rows` (C,): how many of the R are used.
    - gain: (C, O, V) and `gain_rows` (C,): rows of the fitting options `fitting` (C, O).
    - unit: surcharges are rounded up to multiples of it.
    - margin: excluded options are beaten by at least this.
    - work: scratch of `least_bound`.
    - surcharge: (K,) result.
    """
    added = np.empty(gain.shape[1])
    solved = 0
    surcharge[:] = start
    changed = True
    sweep = 0
    least_rise = unit
    while changed:
        changed = False
        sweep += 1
        if sweep % _PATIENCE == 0:
            least_rise *= 2.0
        for c in range(count):
            target = surcharge[loser[c]]
            for o in range(gain_rows[c]):
                added[o] = surcharge[fitting[c, o]]
            solved += 1
            bound = least_bound(
                best[c, : best_rows[c]], gain[c, : gain_rows[c]], added[: gain_rows[c]], target - margin, work
            )
            if bound + margin > target:
                raised = math.ceil((bound + margin) / unit) * unit
                if raised > target:
                    surcharge[loser[c]] = max(raised, target + least_rise)
                    changed = True
    return solved


@numba.njit(cache=True)
def product_maxima(values, options, prices):  # type: ignore[no-untyped-def]
    """(S, K, K) maxima over the vertices of v . (x_k - x_o), and of p_o - p_k, for simplices (S, V, m), (S, V, K)."""
    count, corners, items = values.shape
    size = options.shape[0]
    value = np.full((count, size, size), -np.inf)
    price = np.full((count, size, size), -np.inf)
    for s in range(count):
        for a in range(corners):
            for k in range(size):
                for o in range(size):
                    total = 0.0
                    for j in range(items):
                        total += values[s, a, j] * (options[k, j] - options[o, j])
                    value[s, k, o] = max(value[s, k, o], total)
                    price[s, k, o] = max(price[s, k, o], prices[s, a, o] - prices[s, a, k])
    return value, price


@numba.njit(cache=True)
def product_cases(  # type: ignore[no-untyped-def]
    leaf, values, own_prices, value_max, price_max, own_values, prices, own_value_max, own_price_max,
    options, conflict, low, high, margin, loser, best, best_rows, gain, gain_rows, fitting,
):  # fmt: skip
    """Cases of one leaf with two bidders: pieces are products of the leaf and a simplex of the own values.

    What is given:

    - leaf: number of the leaf among those of `values` (S, V, m), the earlier bidder's values at its vertices.
    - own_prices: (S, V, K) bidder i's prices there.
    - value_max, price_max: (S, K, K) maxima of the earlier bidder's values and of bidder i's prices on leaves.
    - own_values: (Q, V, m) bidder i's values at the vertices of the simplices of its own values.
    - prices: (Q, V, K) the earlier bidder's prices there.
    - own_value_max, own_price_max: (Q, K, K) maxima of bidder i's values and the earlier bidder's prices.
    - options: (K, m).
    - conflict: (K, K) whether option k of the earlier bidder leaves no room for option l.
    - low, high: (K,) range in which surcharges will move.
    - margin: as in `raise_from`; the earlier bidder's choice counts up to this far from best, as the program's
      doubles and ties may have it.
    - loser, best, best_rows, gain, gain_rows, fitting: cases to fill, C of them at most.

    Returns:
        Number of cases; only the first C are filled.
    """
    corners, items = values.shape[1:]
    size = options.shape[0]
    count = 0
    for q in range(own_values.shape[0]):
        for k in range(1, size):
            possible = True
            for o in range(size):
                if o != k and value_max[leaf, k, o] + own_price_max[q, k, o] + margin < 0.0:
                    possible = False
                    break
            if not possible:
                continue
            for l in range(1, size):  # noqa: E741
                if not conflict[k, l]:
                    continue
                for o in range(size):
                    most = own_value_max[q, l, o] + price_max[leaf, l, o] + high[o]
                    if not conflict[k, o] and most + margin <= low[l]:
                        possible = False
                        break
                if not possible:
                    possible = True
                    continue
                if count < loser.shape[0]:
                    loser[count] = l
                    row = 0
                    for o in range(size):
                        if o == k:
                            continue
                        for a in range(corners):
                            total = 0.0
                            for j in range(items):
                                total += values[leaf, a, j] * (options[k, j] - options[o, j])
                            for b in range(corners):
                                best[count, row, a * corners + b] = total + prices[q, b, o] - prices[q, b, k] + margin
                        row += 1
                    best_rows[count] = row
                    row = 0
                    for o in range(size):
                        if conflict[k, o]:
                            continue
                        fitting[count, row] = o
                        for b in range(corners):
                            total = 0.0
                            for j in range(items):
                                total += own_values[q, b, j] * (options[l, j] - options[o, j])
                            for a in range(corners):
                                gain[count, row, a * corners + b] = (
                                    total + own_prices[leaf, a, o] - own_prices[leaf, a, l]
                                )
                        row += 1
                    gain_rows[count] = row
                count += 1
    return count


@numba.njit(cache=True)
def whole_cases(  # type: ignore[no-untyped-def]
    bidder, cell, rank, cells, low_value, width, prices, least, most, strides, orders, extensions, extension_counts,
    ranks, steps, options, conflicts, losers, fits, low, high, margin,
    loser, best, best_rows, gain, gain_rows, fitting,
):  # fmt: skip
    """Cases of one leaf with any number of bidders: pieces are Kuhn simplices of the whole n m-cube.

    What is given:

    - bidder: i.
    - cell, rank: (d,) cell and order of the leaf among the simplices of the others' reports.
    - cells: a side, G.
    - low_value, width: (n, m) boxes.
    - prices: (n, (G + 1)^d, K) node prices on this grid.
    - least, most: (n, G^d d!, K) range of the surcharges of earlier bidders on each simplex.
    - strides: (n, n m) what a step in each coordinate adds to the node number of bidder e's table; 0 for its own.
    - orders: d!.
    - extensions: (n, d!, X) numbers of the orders of all coordinates that restrict to `rank` on the others' ones.
    - extension_counts: X for this bidder.
    - ranks: (n, (n m)!) rank of each order restricted to the coordinates of the others of each bidder.
    - steps: ((n m)!, n m + 1, n m) vertices of each order's simplex in the unit cell.
    - options: (K, m).
    - conflicts: (T, n) options chosen by earlier bidders, -1 for bidders that do not matter.
    - losers: (T,) options of bidder i that do not fit beside them.
    - fits: (T, K) whether an option of bidder i fits beside them.
    - low, high, margin, loser, ...: as in `product_cases`.

    Returns:
        Number of cases; only the first C are filled.
    """
    n, m = low_value.shape
    size = options.shape[0]
    vertices = n * m + 1
    utility = np.empty((n, size, vertices))
    possible = np.empty((n, size), np.bool_)
    corner = np.empty(n * m, np.int64)
    place = 0
    for e in range(n):
        for j in range(m):
            if e != bidder:
                corner[e * m + j] = cell[place]
                place += 1
    earlier = np.zeros(n, np.bool_)
    for t in range(conflicts.shape[0]):
        for e in range(n):
            earlier[e] |= conflicts[t, e] >= 0
    slack = np.empty((n, size, size))
    number = np.empty(n, np.int64)
    count = 0
    for own in range(cells**m):
        rest = own
        for j in range(m - 1, -1, -1):
            corner[bidder * m + j] = rest % cells
            rest //= cells
        for e in range(n):
            number[e] = 0
            for c in range(n * m):
                if c // m != e:
                    number[e] = number[e] * cells + corner[c]
        for x in range(extension_counts):
            order = extensions[bidder, rank, x]
            open_case = True
            for e in range(n):
                if not earlier[e] and e != bidder:
                    continue
                for v in range(vertices):
                    node = 0
                    for c in range(n * m):
                        node += (corner[c] + steps[order, v, c]) * strides[e, c]
                    for k in range(size):
                        total = -prices[e, node, k]
                        for j in range(m):
                            c = e * m + j
                            at = low_value[e, j] + width[e, j] * (corner[c] + steps[order, v, c]) / cells
                            total += at * options[k, j]
                        utility[e, k, v] = total
                if e == bidder:
                    continue
                simplex = number[e] * orders + ranks[e, order]
                some = False
                for k in range(size):
                    possible[e, k] = True
                    for o in range(size):
                        slack[e, k, o] = most[e, simplex, o] - least[e, simplex, k] + margin
                        if o == k:
                            continue
                        top = -np.inf
                        for v in range(vertices):
                            top = max(top, utility[e, k, v] - utility[e, o, v])
                        if top + slack[e, k, o] < 0.0:
                            possible[e, k] = False
                    some |= possible[e, k] and k > 0
                open_case &= some or n > 2
            if not open_case:
                continue
            for t in range(conflicts.shape[0]):
                wanted = True
                for e in range(n):
                    if conflicts[t, e] >= 0 and not possible[e, conflicts[t, e]]:
                        wanted = False
                        break
                if not wanted:
                    continue
                lost = losers[t]
                for o in range(size):
                    if not fits[t, o]:
                        continue
                    top = -np.inf
                    for v in range(vertices):
                        top = max(top, utility[bidder, lost, v] - utility[bidder, o, v])
                    if top + high[o] + margin <= low[lost]:
                        wanted = False
                        break
                if not wanted:
                    continue
                if count < loser.shape[0]:
                    loser[count] = lost
                    row = 0
                    for e in range(n):
                        k = conflicts[t, e]
                        if k < 0:
                            continue
                        for o in range(size):
                            if o == k:
                                continue
                            for v in range(vertices):
                                best[count, row, v] = utility[e, k, v] - utility[e, o, v] + slack[e, k, o]
                            row += 1
                    best_rows[count] = row
                    row = 0
                    for o in range(size):
                        if not fits[t, o]:
                            continue
                        fitting[count, row] = o
                        for v in range(vertices):
                            gain[count, row, v] = utility[bidder, lost, v] - utility[bidder, o, v]
                        row += 1
                    gain_rows[count] = row
                count += 1
    return count
