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
def _alive_on(utility: Any, extra: Any, margin: Any) -> Any:
    """Options that no other one beats by the margin at every vertex, whatever finer surcharges add.

    `utility` (V, K) at the vertices; `extra` (K, K): by how much finer surcharges can favour option k over k'.
    """
    vertices, options = utility.shape
    mask = np.int64(0)
    for k in range(options):
        out = False
        for other in range(options):
            if other != k:
                out = True
                for v in range(vertices):
                    if utility[v, k] - utility[v, other] + extra[k, other] > -margin:
                        out = False
                        break
                if out:
                    break
        if not out:
            mask |= np.int64(1) << k
    return mask


@njit(cache=True)
def _descend(
    utility: Any, nodes: Any, rank: Any, corner: Any, counter: Any, grid: int,
    child: Any, entry: Any, amounts: Any, extra: Any, pairs: Any, half_rank: Any, half_offset: Any, half_place: Any,
    margin: Any, masks: Any, tuples: Any, scale: float, width: int, ties: bool,
    game: Any, strict: Any, table: Any, label: Any, weights: Any, short: Any, long: Any, partial: Any,
    found: Any, depth: Any, which: Any, estimate: Any, start: int, counts: Any,
) -> int:  # fmt: skip
    """Halve one simplex of the base grid as far as surcharges refine it, and settle its parts.

    The vertices of a half are midpoints of two vertices of the whole, and utilities are affine on it: no look-up is
    needed but that of the surcharges.

    Args:
        utility: (levels + 1, n, V, K) scratch; [0] holds the simplex.
        nodes: (levels + 1, n) scratch; [0] holds the node of each bidder's tree.
        rank: (levels + 1) scratch; [0] holds the rank of the order.
        corner: (levels + 1, D) scratch; [0] holds the cell.
        counter: (levels + 1) scratch.
        grid: cells a side of the base grid.
        child: (N) first child of each node of all trees, -1 at leaves.
        entry: (N) row of `amounts` that holds there.
        amounts: (E, K) in whole units.
        extra: (N, K, K) by how much finer amounts can favour one option over another.
        pairs: (orders, halves, V, 2) the two vertices of the whole whose midpoint is each vertex of a half.
        half_rank: (orders, halves) rank of the order of each half.
        half_offset: (orders, halves, D) its cell within the halved cell.
        half_place: (n, orders, halves) its place among the halves of the others' simplex.
        margin: see `walk_cells`.
        masks: (n) scratch.
        tuples: see `walk_cells`.
        scale: see `walk_cells`.
        width: see `kernels.proves`.
        ties: see `kernels.settle`.
        game: scratch of `kernels.settle`, and so on to `partial`.
        strict: scratch.
        table: scratch.
        label: scratch.
        weights: scratch.
        short: scratch.
        long: scratch.
        partial: scratch.
        found: see `walk_cells`, and so on to `estimate`.
        depth: see `walk_cells`.
        which: see `walk_cells`.
        estimate: see `walk_cells`.
        start: first free row of `found`.
        counts: see `walk_cells`.

    Returns:
        The next free row of `found`, -1 without room.
    """
    bidders, vertices, options = utility.shape[1], utility.shape[2], utility.shape[3]
    halves, dimensions = half_rank.shape[1], corner.shape[1]
    orders = half_rank.shape[0]
    size = start
    level = 0
    counter[0] = 0
    while level >= 0:
        half = counter[level]
        if half == halves:
            level -= 1
            continue
        counter[level] += 1
        order = rank[level]
        below = level + 1
        refined = False
        for i in range(bidders):
            node = nodes[level, i]
            finer = node
            if child[node] >= 0:
                finer = child[node] + half_place[i, order, half]
            nodes[below, i] = finer
            refined = refined or child[finer] >= 0
            before, after = entry[node], entry[finer]
            for v in range(vertices):
                first, second = pairs[order, half, v, 0], pairs[order, half, v, 1]
                for k in range(options):
                    middle = (utility[level, i, first, k] + utility[level, i, second, k]) >> 1
                    utility[below, i, v, k] = middle + amounts[before, k] - amounts[after, k]
            masks[i] = _alive_on(utility[below, i], extra[finer], margin)
        if not _clash(masks, tuples):
            counts[1] += 1
            continue
        rank[below] = half_rank[order, half]
        for j in range(dimensions):
            corner[below, j] = 2 * corner[level, j] + half_offset[order, half, j]
        if refined:
            counter[below] = 0
            level = below
            continue
        counts[2] += 1
        left = _settle_simplex(
            utility[below], margin, masks, tuples, scale, width, -1e-5, ties, game, strict, table, label, weights,
            short, long, partial, which[size:], estimate[size:], found.shape[0] - size, counts,
        )  # fmt: skip
        if left < 0:
            return -1
        if left:
            number = np.int64(0)
            for j in range(dimensions):
                number = number * (grid << below) + corner[below, j]
            for f in range(size, size + left):
                found[f] = number * orders + rank[below]
                depth[f] = below
            size += left
    return size


@njit(cache=True)
def walk_cells(
    begin: int, end: int, grid: int, own_cell: Any, other_cell: Any,
    gain_cell: Any, saving_cell: Any, gain: Any, saving: Any, values: Any, prices: Any,
    own_rank: Any, other_rank: Any, steps: Any, tuples: Any, margin: Any, scale: float, width: int, limbs: int,
    ties: bool, levels: int, root: Any, child: Any, entry: Any, amounts: Any, extra: Any,
    pairs: Any, half_rank: Any, half_offset: Any, half_place: Any,
    found: Any, depth: Any, which: Any, estimate: Any, counts: Any,
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
        own_rank: (n, orders) rank of the order of the own coordinates within each order of all.
        other_rank: (n, orders) rank of the order of the others' coordinates.
        steps: (n, orders, vertices) how many of the first v steps are in own coordinates.
        tuples: (T, n) conflicting tuples of options, -1 for bidders that are not in it.
        margin: what an option must be beaten by to be out.
        scale: at least every |entry| of a game.
        width: see `kernels.proves`.
        limbs: see `kernels.proves`.
        ties: see `kernels.settle`.
        levels: deepest level of surcharges.
        root: (n) first node of each bidder's tree.
        child: see `_descend`, and so on to `half_place`.
        entry: see `_descend`.
        amounts: see `_descend`.
        extra: see `_descend`.
        pairs: see `_descend`.
        half_rank: see `_descend`.
        half_offset: see `_descend`.
        half_place: see `_descend`.
        found: (F) filled with simplices of the cube that are left.
        depth: (F) their level.
        which: (F) the tuple that is left.
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
    utility = np.empty((levels + 1, bidders, vertices, options), values.dtype)
    nodes, corner = np.empty((levels + 1, bidders), np.int64), np.empty((levels + 1, dimensions), np.int64)
    rank, counter = np.empty(levels + 1, np.int64), np.empty(levels + 1, np.int64)
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
                a = own[i] * own_orders + own_rank[i, order]
                b = other[i] * other_orders + other_rank[i, order]
                nodes[0, i] = root[i] + b
                refined = refined or child[nodes[0, i]] >= 0
                for v in range(vertices):
                    s = steps[i, order, v]
                    for k in range(options):
                        utility[0, i, v, k] = values[i, a, s, k] - prices[i, b, v - s, k]
            if refined:
                for i in range(bidders):
                    masks[i] = _alive_on(utility[0, i], extra[nodes[0, i]], margin)
                if not _clash(masks, tuples):
                    counts[1] += 1
                    continue
                rank[0] = order
                corner[0] = digit
                size = _descend(
                    utility, nodes, rank, corner, counter, grid, child, entry, amounts, extra, pairs, half_rank,
                    half_offset, half_place, margin, masks, tuples, scale, width, ties, game, strict, table, label,
                    weights, short, long, partial, found, depth, which, estimate, size, counts,
                )  # fmt: skip
                if size < 0:
                    counts[:] = kept
                    return start, cell
                continue
            _joint(utility[0], margin, masks, work)
            if not _clash(masks, tuples):
                counts[1] += 1
                continue
            counts[2] += 1
            left = _settle_simplex(
                utility[0], margin, masks, tuples, scale, width, -1e-5, ties, game, strict, table, label, weights,
                short, long, partial, which[size:], estimate[size:], found.shape[0] - size, counts,
            )  # fmt: skip
            if left < 0:
                counts[:] = kept
                return start, cell
            for f in range(size, size + left):
                found[f] = cell * orders + order
                depth[f] = 0
            size += left
    return size, end
