"""Compiled loops over the Kuhn simplices of the cube of all bidders' values: imported when first used.

Sets of options are bit masks. See `walras.envs.auctions.certify.many` for the plan and `kernels` for games.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from walras.envs.auctions.certify.kernels import settle


@njit(cache=True)
def _mask(gain: Any, saving: Any, margin: Any, among: Any) -> Any:
    """Options of the mask `among` that no other one beats by the margin on a product of two pieces."""
    options = gain.shape[0]
    result = np.int64(0)
    for k in range(options):
        if (among >> k) & 1:
            out = False
            for other in range(options):
                if other != k and gain[k, other] + saving[k, other] <= -margin:
                    out = True
                    break
            if not out:
                result |= np.int64(1) << k
    return result


@njit(cache=True)
def _clash(masks: Any, tuples: Any) -> bool:
    """Whether any of the conflicting tuples (T, n), -1 for bidders that are not in it, has all its options alive."""
    for t in range(tuples.shape[0]):
        if _alive(masks, tuples[t]):
            return True
    return False


@njit(cache=True)
def _alive(masks: Any, one: Any) -> bool:
    for i in range(one.shape[0]):
        if one[i] >= 0 and not (masks[i] >> one[i]) & 1:
            return False
    return True


@njit(cache=True)
def _joint(utility: Any, margin: Any, masks: Any, work: Any) -> None:
    """Take out of each mask the options that another one beats by the margin at every vertex of one simplex.

    `utility` (n, V, K) at the vertices; `masks` (n) changed; `work` (n) scratch.
    """
    bidders, vertices, options = utility.shape
    for i in range(bidders):
        result = np.int64(0)
        for k in range(options):
            if (masks[i] >> k) & 1:
                out = False
                for other in range(options):
                    if other != k and (masks[i] >> other) & 1:
                        out = True
                        for v in range(vertices):
                            if utility[i, v, k] - utility[i, v, other] > -margin:
                                out = False
                                break
                        if out:
                            break
                if not out:
                    result |= np.int64(1) << k
        work[i] = result
    for i in range(bidders):
        masks[i] = work[i]


@njit(cache=True)
def _fill(game: Any, strict: Any, utility: Any, one: Any, masks: Any, margin: Any) -> int:
    """The game of one conflicting tuple on one simplex, against the options alive; its number of rows."""
    bidders, vertices, options = utility.shape
    rows = 0
    for i in range(bidders):
        k = one[i]
        if k >= 0:
            for other in range(options):
                if other != k and (masks[i] >> other) & 1:
                    strict[rows] = other < k
                    for v in range(vertices):
                        game[rows, v] = utility[i, v, k] - utility[i, v, other] + margin
                    rows += 1
    return rows


@njit(cache=True)
def _settle_simplex(
    utility: Any, margin: Any, masks: Any, tuples: Any, scale: float, width: int, good: float, ties: bool,
    game: Any, strict: Any, table: Any, label: Any, weights: Any, short: Any, long: Any, partial: Any,
    which: Any, estimate: Any, room: int, counts: Any,
) -> int:  # fmt: skip
    """Try the conflicts of one simplex; those left go into `which` and `estimate`; their number, -1 without room."""
    left = 0
    for t in range(tuples.shape[0]):
        if _alive(masks, tuples[t]):
            rows = _fill(game, strict, utility, tuples[t], masks, margin)
            done, value = settle(
                game, rows, utility.shape[1], scale, width, good, strict, margin, ties, table, label, weights,
                short, long, partial,
            )  # fmt: skip
            counts[3] += 1
            if done:
                counts[3 + done] += 1
            else:
                if left >= room:
                    return -1
                which[left], estimate[left] = t, value
                left += 1
    return left


@njit(cache=True)
def walk_cells(
    begin: int, end: int, grid: int, own_cell: Any, other_cell: Any,
    gain_cell: Any, saving_cell: Any, gain: Any, saving: Any, values: Any, prices: Any, divided: Any,
    own_rank: Any, other_rank: Any, steps: Any, tuples: Any, margin: Any, scale: float, width: int, limbs: int,
    ties: bool,
    found: Any, which: Any, estimate: Any, counts: Any,
) -> Any:  # fmt: skip
    """Go through the cells `begin` to `end` of the cube of all values, and through the simplices of those in doubt.

    Args:
        begin: first cell, row-major.
        end: one after the last.
        grid: cells a side.
        own_cell: (n, dimensions) strides of a bidder's own cell number, zero at coordinates of others.
        other_cell: (n, dimensions) strides of the number of the others' cell.
        gain_cell: (n, cells, K, K) largest gains in value over a bidder's own cell.
        saving_cell: (n, cells, K, K) largest savings in price over the others' cell.
        gain: (n, simplices, K, K) over a bidder's own simplex.
        saving: (n, simplices, K, K) over the others' simplex, with all that refines it.
        values: (n, simplices, m + 1, K) at the vertices of the own simplex.
        prices: (n, simplices, d + 1, K) at the vertices of the others' simplex.
        divided: (n, simplices) whether the others' simplex is refined.
        own_rank: (n, orders) rank of the order of the own coordinates within each order of all.
        other_rank: (n, orders) rank of the order of the others' coordinates.
        steps: (n, orders, vertices) how many of the first v steps are in own coordinates.
        tuples: (T, n) conflicting tuples of options, -1 for bidders that are not in it.
        margin: what an option must be beaten by to be out.
        scale: at least every |entry| of a game.
        width: see `kernels.proves`.
        limbs: see `kernels.proves`.
        ties: see `kernels.settle`.
        found: (F) filled with simplices of the cube that are left.
        which: (F) the tuple that is left, or -1: the simplex is refined.
        estimate: (F) value of its game over `scale` in doubles.
        counts: (6) added to: cells settled by bounds, simplices settled by bounds, simplices with conflicts left,
            conflicts tried, excluded by weights, excluded by the order at ties.

    Returns:
        Number of entries in `found` and the cell to go on with; stops before a cell whose entries do not fit.
    """
    bidders, dimensions = own_cell.shape
    orders, vertices, options = own_rank.shape[1], steps.shape[2], gain.shape[2]
    own_orders, other_orders = gain.shape[1] // gain_cell.shape[1], saving.shape[1] // saving_cell.shape[1]
    most = bidders * (options - 1)
    game = np.empty((most, vertices), values.dtype)
    table, label, weights = np.empty((vertices + 1, most + 1)), np.empty(vertices + most, np.int64), np.empty(most)
    short, long, partial = np.empty((most, 1), np.int64), np.empty((most, limbs), np.int64), np.empty(limbs, np.int64)
    utility = np.empty((bidders, vertices, options), values.dtype)
    masks, work, strict = np.empty(bidders, np.int64), np.empty(bidders, np.int64), np.zeros(most, np.bool_)
    at_cell = np.empty(bidders, np.int64)
    own, other = np.empty(bidders, np.int64), np.empty(bidders, np.int64)
    product = np.empty((bidders, own_orders, other_orders), np.int64)
    digit = np.empty(dimensions, np.int64)
    everything = (np.int64(1) << options) - 1
    kept = np.zeros(6, np.int64)
    size = 0
    for cell in range(begin, end):
        start = size
        kept[:] = counts
        rest = cell
        for j in range(dimensions - 1, -1, -1):
            digit[j] = rest % grid
            rest //= grid
        for i in range(bidders):
            own[i] = 0
            other[i] = 0
            for j in range(dimensions):
                own[i] += digit[j] * own_cell[i, j]
                other[i] += digit[j] * other_cell[i, j]
            at_cell[i] = _mask(gain_cell[i, own[i]], saving_cell[i, other[i]], margin, everything)
        if not _clash(at_cell, tuples):
            counts[0] += 1
            continue
        for i in range(bidders):
            for a in range(own_orders):
                for b in range(other_orders):
                    product[i, a, b] = _mask(
                        gain[i, own[i] * own_orders + a], saving[i, other[i] * other_orders + b], margin, at_cell[i]
                    )
        for order in range(orders):
            for i in range(bidders):
                masks[i] = product[i, own_rank[i, order], other_rank[i, order]]
            if not _clash(masks, tuples):
                counts[1] += 1
                continue
            refined = False
            for i in range(bidders):
                refined = refined or divided[i, other[i] * other_orders + other_rank[i, order]]
            if refined:
                if size >= found.shape[0]:
                    counts[:] = kept
                    return start, cell
                found[size], which[size] = cell * orders + order, -1
                size += 1
                continue
            for i in range(bidders):
                a = own[i] * own_orders + own_rank[i, order]
                b = other[i] * other_orders + other_rank[i, order]
                for v in range(vertices):
                    s = steps[i, order, v]
                    for k in range(options):
                        utility[i, v, k] = values[i, a, s, k] - prices[i, b, v - s, k]
            _joint(utility, margin, masks, work)
            if not _clash(masks, tuples):
                counts[1] += 1
                continue
            counts[2] += 1
            left = _settle_simplex(
                utility, margin, masks, tuples, scale, width, -1e-5, ties, game, strict, table, label, weights, short,
                long, partial, which[size:], estimate[size:], found.shape[0] - size, counts,
            )  # fmt: skip
            if left < 0:
                counts[:] = kept
                return start, cell
            for f in range(size, size + left):
                found[f] = cell * orders + order
            size += left
    return size, end


@njit(cache=True)
def check_simplices(
    utility: Any, saving: Any, refined: Any, tuples: Any, margin: Any, scale: float, width: int, limbs: int,
    ties: bool, state: Any, found: Any, which: Any, estimate: Any, counts: Any,
) -> int:  # fmt: skip
    """Settle single simplices of a refined level.

    Args:
        utility: (F, n, V, K) at the vertices, with the prices of the coarsest piece that holds the simplex.
        saving: (F, n, K, K) largest extra savings by what refines the simplex further; zero where nothing does.
        refined: (F) whether anything does.
        tuples: as in `walk_cells`.
        margin: as in `walk_cells`.
        scale: as in `walk_cells`.
        width: as in `walk_cells`.
        limbs: as in `walk_cells`.
        ties: as in `walk_cells`.
        state: (F) filled: 0 settled, 1 must be divided, 2 conflicts left.
        found: (>= F T) filled with rows of `utility`.
        which: (>= F T) the tuple left.
        estimate: (>= F T).
        counts: (6) as in `walk_cells`.

    Returns:
        Number of entries in `found`.
    """
    count, bidders, vertices, options = utility.shape
    most = bidders * (options - 1)
    game = np.empty((most, vertices), utility.dtype)
    table, label, weights = np.empty((vertices + 1, most + 1)), np.empty(vertices + most, np.int64), np.empty(most)
    short, long, partial = np.empty((most, 1), np.int64), np.empty((most, limbs), np.int64), np.empty(limbs, np.int64)
    masks, strict = np.empty(bidders, np.int64), np.zeros(most, np.bool_)
    size = 0
    for f in range(count):
        for i in range(bidders):
            masks[i] = 0
            for k in range(options):
                out = False
                for other in range(options):
                    if other != k:
                        out = True
                        for v in range(vertices):
                            gap = utility[f, i, v, k] - utility[f, i, v, other] + saving[f, i, k, other]
                            if gap > -margin:
                                out = False
                                break
                        if out:
                            break
                if not out:
                    masks[i] |= np.int64(1) << k
        if not _clash(masks, tuples):
            counts[1] += 1
            state[f] = 0
        elif refined[f]:
            state[f] = 1
        else:
            counts[2] += 1
            left = _settle_simplex(
                utility[f], margin, masks, tuples, scale, width, -1e-5, ties, game, strict, table, label, weights,
                short, long, partial, which[size:], estimate[size:], found.shape[0] - size, counts,
            )  # fmt: skip
            for g in range(size, size + left):
                found[g] = f
            size += left
            state[f] = 2 if left else 0
    return size
