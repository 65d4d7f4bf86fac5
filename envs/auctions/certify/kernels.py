"""Compiled loops of the certifier: imported when first used.

Everything that decides is whole-number arithmetic on int64; that no sum leaves 63 bits is proved by the caller from
the size of the numbers, which also fixes `width`. Doubles only propose weights, which are then tried in whole
numbers.

A *game* is a matrix of whole numbers, one row for each inequality "the chosen option beats that one" and one column
for each vertex of the piece on which all of them are affine. Weights y >= 0, not all zero, with (y M)_c <= 0 in every
column prove that the rows are nowhere all positive on the piece (Farkas). The margin asked for has been added to
every entry beforehand.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

LIMB_BITS = 52  # weights are taken to this precision at most


@njit(cache=True)
def propose(
    game: Any, rows: int, columns: int, scale: float, strict: Any, offset: Any, tilt: float,
    table: Any, label: Any, weights: Any, good: float,
) -> Any:  # fmt: skip
    """Weights for the rows of a matrix game by the simplex method in doubles, and the game's value over `scale`.

    The row player wants the largest column small. Stops early once the value is at most `good`.

    Args:
        game: (>= rows, >= columns) entries.
        rows: number R of rows in use.
        columns: number C of columns in use.
        scale: above zero, at least every |entry|.
        strict: (R) rows that get a bonus, so that they are used where nothing is lost by it.
        offset: taken from every entry.
        tilt: the bonus, over `scale`.
        table: (C + 1, R + 1) scratch of doubles.
        label: (C + R) scratch of integers.
        weights: (R) the proposal, scaled so that the largest is 1.
        good: below zero; a value that is good enough.

    Returns:
        An upper estimate of the value.
    """
    shift = 2.0
    for c in range(columns):
        for r in range(rows):
            table[c, r] = (game[r, c] - offset) / scale + (shift - tilt if strict[r] else shift)
        table[c, rows] = 1.0
    for r in range(rows):
        table[columns, r] = -1.0
        label[r] = r
    table[columns, rows] = 0.0
    for c in range(columns):
        label[rows + c] = rows + c
    tiny = 1e-11
    for step in range(50 + 10 * (rows + columns)):
        if table[columns, rows] > 0.0 and 1.0 / table[columns, rows] - shift <= good:
            break
        enter = -1
        best = -tiny
        for r in range(rows):
            if table[columns, r] < best:
                enter = r
                if step > 4 * (rows + columns):  # Bland's rule in the end, against cycles
                    break
                best = table[columns, r]
        if enter < 0:
            break
        leave = -1
        ratio = np.inf
        for c in range(columns):
            if table[c, enter] > tiny:
                quotient = table[c, rows] / table[c, enter]
                if quotient < ratio or (quotient == ratio and label[rows + c] < label[rows + leave]):
                    ratio = quotient
                    leave = c
        if leave < 0:
            break
        pivot = table[leave, enter]
        for j in range(rows + 1):
            if j != enter:
                table[leave, j] /= pivot
        for c in range(columns + 1):
            if c != leave:
                factor = table[c, enter]
                if factor != 0.0:
                    for j in range(rows + 1):
                        if j != enter:
                            table[c, j] -= factor * table[leave, j]
                table[c, enter] = -factor / pivot
        table[leave, enter] = 1.0 / pivot
        label[enter], label[rows + leave] = label[rows + leave], label[enter]
    for r in range(rows):
        weights[r] = 0.0
    largest = 0.0
    for c in range(columns):
        if label[rows + c] < rows:
            q = max(table[c, rows], 0.0)
            weights[label[rows + c]] = q
            largest = max(largest, q)
    if largest <= 0.0:
        weights[0] = 1.0
        return np.inf
    for r in range(rows):
        weights[r] /= largest
    return 1.0 / table[columns, rows] - shift


@njit(cache=True)
def proves(game: Any, rows: int, columns: int, weights: Any, width: int, digits: Any, partial: Any) -> bool:
    """Whether `weights` in [0, 1], cut to whole multiples of 2^-52 or so, prove the game at most 0: in int64.

    Args:
        game: (>= rows, >= columns) int64; rows * 2^width * max |entry| must be below 2^62.
        rows: rows in use.
        columns: columns in use.
        weights: (rows) doubles in [0, 1].
        width: bits of a digit.
        digits: (rows, limbs) scratch of int64; its width fixes the precision.
        partial: (limbs) scratch of int64.
    """
    limbs = digits.shape[1]
    base = float(1 << width)
    some = False
    for r in range(rows):
        rest = weights[r]
        for limb in range(limbs):
            rest *= base
            whole = math.floor(rest)
            digits[r, limb] = np.int64(whole)
            some = some or whole > 0.0
            rest -= whole
    if not some:
        return False
    mask = (np.int64(1) << width) - 1
    for c in range(columns):
        for limb in range(limbs):
            total = np.int64(0)
            for r in range(rows):
                if digits[r, limb] != 0:
                    total += digits[r, limb] * game[r, c]
            partial[limb] = total
        carry = np.int64(0)
        rest_positive = False
        for limb in range(limbs - 1, 0, -1):
            total = partial[limb] + carry
            carry = total >> width
            rest_positive = rest_positive or (total & mask) != 0
        total = partial[0] + carry
        if total > 0 or (total == 0 and rest_positive):
            return False
    return True


@njit(cache=True)
def proves_with_ties(game: Any, rows: int, columns: int, offset: Any, strict: Any, weights: Any, small: Any) -> bool:
    """Whether `weights`, rounded to small fractions, prove a game impossible when ties go to the lowest index.

    It takes (y M)_c <= 0 in every column and some weight on a row that must be strictly positive (Motzkin). Entries
    have `offset` too much; 64 * rows * max |entry| must be below 2^62. `small`: (rows) scratch of int64.
    """
    for parts in range(1, 33):
        bonus = False
        for r in range(rows):
            small[r] = np.int64(math.floor(weights[r] * parts + 0.5))
            bonus = bonus or (small[r] > 0 and strict[r])
        if not bonus:
            continue
        fine = True
        for c in range(columns):
            total = np.int64(0)
            for r in range(rows):
                total += small[r] * (game[r, c] - offset)
            if total > 0:
                fine = False
                break
        if fine:
            return True
    return False


@njit(cache=True)
def settle(
    game: Any, rows: int, columns: int, scale: float, width: int, good: float, strict: Any, offset: Any, ties: bool,
    table: Any, label: Any, weights: Any, short: Any, long: Any, partial: Any,
) -> Any:  # fmt: skip
    """How the game was proved to be at most 0, and an upper estimate of its value over `scale`.

    1: by weights; 2: by the order at ties (if `ties`, see `proves_with_ties`); 0: not. `short` (R, 1) and `long`
    (R, limbs) are the scratch of two precisions of `proves`, tried in this order.
    """
    value = propose(game, rows, columns, scale, strict, 0, 0.0, table, label, weights, good)
    if not value <= 1e-6:
        return 0, value
    if proves(game, rows, columns, weights, width, short, partial):
        return 1, value
    if proves(game, rows, columns, weights, width, long, partial):
        return 1, value
    if ties:
        tilted = propose(game, rows, columns, scale, strict, offset, 1e-4, table, label, weights, -np.inf)
        if tilted < 0.0 and proves_with_ties(game, rows, columns, offset, strict, weights, short[:, 0]):
            return 2, value
    return 0, value


@njit(cache=True)
def alive_product(gain: Any, saving: Any, margin: Any, alive: Any) -> int:
    """Which options may be chosen on a product of two pieces; their number.

    Option k is out when some k' is better by the margin everywhere: the largest gain of k over k' on one piece plus
    the largest saving on the other is at most -margin. `gain`, `saving`: (K, K); `alive`: (K) filled.
    """
    options = gain.shape[0]
    count = 0
    for k in range(options):
        alive[k] = True
        for other in range(options):
            if other != k and gain[k, other] + saving[k, other] <= -margin:
                alive[k] = False
                break
        count += alive[k]
    return count


@njit(cache=True)
def walk_pairs(
    first_root: int, roots: int, conflict: Any, margin: Any,
    gain0: Any, saving0: Any, gain1: Any, saving1: Any,
    child0: Any, level0: Any, child1: Any, level1: Any, children: int,
    stack: Any, found: Any, counts: Any,
) -> Any:  # fmt: skip
    """Go down both trees of simplices together and list the conflicts that bounds alone do not exclude.

    Bidder 0 values options by a node a of tree 0 and pays by a node b of tree 1; bidder 1 the other way round. The
    first `roots` nodes of tree 1 are its roots; root `first_root` of tree 0 is the first that is treated.

    Args:
        first_root: where to begin in tree 0.
        roots: number of roots of either tree.
        conflict: (K, K) whether option k of bidder 0 and k1 of bidder 1 do not fit together.
        margin: what an option must be beaten by to be out.
        gain0: (nodes of tree 0, K, K) largest gain of k over k' in value for bidder 0.
        saving0: (nodes of tree 1, K, K) largest saving of k over k' in price for bidder 0.
        gain1: (nodes of tree 1, K, K) the same for bidder 1.
        saving1: (nodes of tree 0, K, K).
        child0: first child of each node of tree 0, -1 at leaves.
        level0: depth of each node.
        child1: of tree 1.
        level1: of tree 1.
        children: number of children of every inner node.
        stack: (S, 2) scratch.
        found: (F, 4) filled with leaf of tree 0, leaf of tree 1, option of bidder 0, option of bidder 1.
        counts: (3) added to: pairs of pieces settled by bounds, pairs of leaves with open conflicts, conflicts.

    Returns:
        Number of conflicts in `found`, and the root of tree 0 to go on with (`roots`: done). Stops before a root
        whose conflicts might not fit; at least one root is treated, so F must hold the conflicts of one root.
    """
    options = conflict.shape[0]
    alive0, alive1 = np.empty(options, np.bool_), np.empty(options, np.bool_)
    size = 0
    for root in range(first_root, roots):
        start = size
        settled, open_pairs = 0, 0
        full = False
        for other in range(roots):
            stack[0, 0], stack[0, 1] = root, other
            top = 1
            while top > 0 and not full:
                top -= 1
                a, b = stack[top, 0], stack[top, 1]
                alive_product(gain0[a], saving0[b], margin, alive0)
                alive_product(gain1[b], saving1[a], margin, alive1)
                clash = 0
                for k in range(options):
                    if alive0[k]:
                        for k1 in range(options):
                            if alive1[k1] and conflict[k, k1]:
                                clash += 1
                if clash == 0:
                    settled += 1
                elif child0[a] < 0 and child1[b] < 0:
                    if size + clash > found.shape[0]:
                        full = True
                        break
                    open_pairs += 1
                    for k in range(options):
                        if alive0[k]:
                            for k1 in range(options):
                                if alive1[k1] and conflict[k, k1]:
                                    found[size, 0], found[size, 1], found[size, 2], found[size, 3] = a, b, k, k1
                                    size += 1
                elif child1[b] < 0 or (child0[a] >= 0 and level0[a] <= level1[b]):
                    for c in range(child0[a], child0[a] + children):
                        stack[top, 0], stack[top, 1] = c, b
                        top += 1
                else:
                    for c in range(child1[b], child1[b] + children):
                        stack[top, 0], stack[top, 1] = a, c
                        top += 1
            if full:
                break
        if full:
            return start, root
        counts[0] += settled
        counts[1] += open_pairs
        counts[2] += size - start
    return size, roots


@njit(cache=True)
def fill_product(
    game: Any, strict: Any, values0: Any, prices0: Any, values1: Any, prices1: Any, k: int, k1: int,
    alive0: Any, alive1: Any, margin: Any,
) -> int:  # fmt: skip
    """The game of one conflict on a product of two simplices; its number of rows.

    Args:
        strict: filled with the rows that must be strictly positive when ties go to the lowest index.
        game: filled; column s * T + t belongs to vertex s of the first simplex and t of the second.
        values0: (S, K) values of the options for bidder 0 at the vertices of the first simplex.
        prices0: (T, K) its prices at those of the second.
        values1: (T, K) values for bidder 1.
        prices1: (S, K) its prices.
        k: option of bidder 0.
        k1: option of bidder 1.
        alive0: (K) against which options k must win.
        alive1: (K) against which options k1 must win.
        margin: added to every entry.
    """
    first, options = values0.shape
    second = values1.shape[0]
    rows = 0
    for other in range(options):
        if other != k and alive0[other]:
            strict[rows] = other < k
            for s in range(first):
                for t in range(second):
                    game[rows, s * second + t] = (
                        values0[s, k] - values0[s, other] - prices0[t, k] + prices0[t, other] + margin
                    )
            rows += 1
    for other in range(options):
        if other != k1 and alive1[other]:
            strict[rows] = other < k1
            for s in range(first):
                for t in range(second):
                    game[rows, s * second + t] = (
                        values1[t, k1] - values1[t, other] - prices1[s, k1] + prices1[s, other] + margin
                    )
            rows += 1
    return rows


@njit(cache=True)
def settle_pairs(
    found: Any, begin: int, end: int, values0: Any, prices0: Any, values1: Any, prices1: Any,
    gain0: Any, saving0: Any, gain1: Any, saving1: Any,
    margin: Any, scale: float, width: int, limbs: int, good: float, ties: bool, estimate: Any,
) -> Any:  # fmt: skip
    """Try every listed conflict; returns how many were proved impossible by weights, and by the order at ties.

    `values`, `prices`, `gain`, `saving` as in `fill_product` and `walk_pairs`, by node. `estimate` (F): nan where
    proved, otherwise the value of the game over `scale` in doubles.
    """
    options, first, second = values0.shape[2], values0.shape[1], values1.shape[1]
    columns, most = first * second, 2 * (options - 1)
    game = np.empty((most, columns), values0.dtype)
    table, label, weights = np.empty((columns + 1, most + 1)), np.empty(columns + most, np.int64), np.empty(most)
    short, long, partial = np.empty((most, 1), np.int64), np.empty((most, limbs), np.int64), np.empty(limbs, np.int64)
    alive0, alive1, strict = np.empty(options, np.bool_), np.empty(options, np.bool_), np.zeros(most, np.bool_)
    proved, tied = 0, 0
    for f in range(begin, end):
        a, b, k, k1 = found[f]
        alive_product(gain0[a], saving0[b], margin, alive0)
        alive_product(gain1[b], saving1[a], margin, alive1)
        rows = fill_product(
            game, strict, values0[a], prices0[b], values1[b], prices1[a], k, k1, alive0, alive1, margin
        )  # fmt: skip
        done, value = settle(
            game, rows, columns, scale, width, good, strict, margin, ties, table, label, weights, short, long, partial
        )  # fmt: skip
        proved += done == 1
        tied += done == 2
        estimate[f] = np.nan if done else value
    return proved, tied
