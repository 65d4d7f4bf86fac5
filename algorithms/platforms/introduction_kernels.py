"""Compiled loops for introductions: imported by `introduction_bound` and `introduction_search` when first used.

World pairs come twice, by buyer and by seller: the sellers that buyer i knows are `sellers[of_buyer[i] : of_buyer[i +
1]]`, by falling value to her; the buyers who know seller j are `buyers[of_seller[j] : of_seller[j + 1]]`, by rising
value for her good.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from walras.envs.game import Array


class Knows(NamedTuple):
    """Who knows whom, in the form above; all int64."""

    of_buyer: Array
    sellers: Array
    of_seller: Array
    buyers: Array


def knows(values: Array, world: Array) -> Knows:
    """The lists of a market: values (n, m), world (n, m) bool."""
    buyer, seller = np.nonzero(world)
    value = values[buyer, seller]
    by_buyer, by_seller = np.lexsort((-value, buyer)), np.lexsort((value, seller))
    starts = [np.concatenate([[0], np.cumsum(world.sum(axis=axis))]).astype(np.int64) for axis in (1, 0)]
    return Knows(starts[0], seller[by_buyer].astype(np.int64), starts[1], buyer[by_seller].astype(np.int64))


@njit(cache=True)
def split(
    v: Any, world: Any, price: Any, of_buyer: Any, sellers: Any, of_seller: Any, buyers: Any, weight: Any, part: Any
) -> None:
    """For every pair, the split of its value between price q and payoff that the multipliers like best.

    weight[i, j] = max over 0 <= q <= v_ij of q (for pairs outside the world) + sum over buyers b who know j of
    lam_bj min(q, v_bj) + sum over sellers k whom i knows of lam_ik min(v_ij - q, v_ik): concave and piecewise linear.

    Args:
        v: (n, m) float64.
        world: (n, m) bool.
        price: (n, m) the multipliers lam, zero outside the world.
        of_buyer: `Knows`.
        sellers: `Knows`.
        of_seller: `Knows`.
        buyers: `Knows`.
        weight: (n, m) written.
        part: (n, m) written, the best q.
    """
    n, m = v.shape
    for i in range(n):
        for j in range(m):
            value = v[i, j]
            weight[i, j] = part[i, j] = 0.0
            if value <= 0:
                continue
            alone = 0.0 if world[i, j] else 1.0
            a, a_end = of_seller[j], of_seller[j + 1]
            c, c_end = of_buyer[i], of_buyer[i + 1]
            slope = alone
            for s in range(a, a_end):
                slope += price[buyers[s], j]
            while c < c_end and v[i, sellers[c]] >= value:
                slope -= price[i, sellers[c]]
                c += 1
            q = 0.0
            while slope > 0 and q < value:
                q, which = value, 0
                if a < a_end and v[buyers[a], j] < q:
                    q, which = v[buyers[a], j], 1
                if c < c_end and value - v[i, sellers[c]] < q:
                    q, which = value - v[i, sellers[c]], 2
                if which == 1:
                    slope -= price[buyers[a], j]
                    a += 1
                elif which == 2:
                    slope -= price[i, sellers[c]]
                    c += 1
            total = alone * q
            for s in range(of_seller[j], a_end):
                total += price[buyers[s], j] * min(q, v[buyers[s], j])
            for s in range(of_buyer[i], c_end):
                total += price[i, sellers[s]] * min(value - q, v[i, sellers[s]])
            weight[i, j] = total
            part[i, j] = q


@njit(cache=True)
def earn(v: Any, world: Any, of_buyer: Any, sellers: Any, matching: Any, buyer: Any, p: Any, slack: float) -> float:
    """Revenue of a matching if it is optimal among the world's pairs and its own; -1 if not. Prices go to `p`.

    A seller's largest price is what her buyer would lose by taking another seller whom she knows, whose own price
    falls the same way. The matching is optimal exactly when these prices exist, none is negative, and no buyer
    without a seller would buy at them.
    """
    n, m = v.shape
    for j in range(m):
        p[j] = v[buyer[j], j] if buyer[j] >= 0 else 0.0
    moved, sweeps = True, 0
    while moved:
        moved = False
        sweeps += 1
        if sweeps > m + 1:
            return -1.0  # prices fall for ever round a cycle
        for i in range(n):
            j = matching[i]
            if j < 0:
                continue
            for s in range(of_buyer[i], of_buyer[i + 1]):
                k = sellers[s]
                least = v[i, j] - v[i, k] + p[k]
                if least < p[j] - slack:
                    if least < -slack:
                        return -1.0
                    p[j] = least
                    moved = True
    total = 0.0
    for i in range(n):
        j = matching[i]
        if j < 0:
            for s in range(of_buyer[i], of_buyer[i + 1]):
                if p[sellers[s]] < v[i, sellers[s]] - slack:
                    return -1.0
        elif not world[i, j]:
            total += p[j]
    return total


@njit(cache=True)
def _give(v: Any, matching: Any, buyer: Any, i: int, j: int) -> None:
    """Buyer i takes seller j, or none (-1); who had j takes i's seller instead, if she is worth anything there."""
    before = matching[i]
    if before >= 0:
        buyer[before] = -1
    other = buyer[j] if j >= 0 else -1
    matching[i] = j
    if j >= 0:
        buyer[j] = i
    if other >= 0:
        matching[other] = -1
        if before >= 0 and v[other, before] > 0:
            matching[other] = before
            buyer[before] = other


@njit(cache=True)
def anneal(
    v: Any,
    world: Any,
    of_buyer: Any,
    sellers: Any,
    favourites: Any,
    matching: Any,
    temperatures: Any,
    rng: Any,
    slack: float,
) -> float:
    """Simulated annealing among optimal matchings; `matching` (n,) becomes the best one met, its revenue is returned.

    A move makes one exchange or, more rarely, several at once: a random buyer takes another seller, one of her
    favourites or any, or none, and who had that seller takes hers. Several at once lead across matchings that are not
    optimal. Moves that end in one are not made.

    Args:
        v: (n, m) float64.
        world: (n, m) bool.
        of_buyer: `Knows`.
        sellers: `Knows`.
        favourites: (n, c) int64, sellers to try more often.
        matching: (n,) int64, optimal; overwritten.
        temperatures: (T,) of the moves, in units of value.
        rng: numpy Generator.
        slack: rounding.
    """
    n, m = v.shape
    now, buyer = matching.copy(), np.full(m, -1)
    for i in range(n):
        if now[i] >= 0:
            buyer[now[i]] = i
    trial, holder = now.copy(), buyer.copy()
    p = np.empty(m)
    current = earn(v, world, of_buyer, sellers, now, buyer, p, slack)
    best = current
    for t in range(len(temperatures)):
        exchanges = 1
        while exchanges < 6 and rng.random() < 0.4:
            exchanges += 1
        changed = False
        for _ in range(exchanges):
            i = int(rng.random() * n)
            u = rng.random()
            if u < 0.6:
                j = favourites[i, int(rng.random() * favourites.shape[1])]
            elif u < 0.9:
                j = int(rng.random() * m)
            else:
                j = -1
            if j != trial[i] and (j < 0 or v[i, j] > 0):
                _give(v, trial, holder, i, j)
                changed = True
        if not changed:
            continue
        value = earn(v, world, of_buyer, sellers, trial, holder, p, slack)
        gain = value - current
        if value >= 0 and (gain >= 0 or (temperatures[t] > 0 and rng.random() < np.exp(gain / temperatures[t]))):
            current = value
            now[:] = trial
            buyer[:] = holder
            if current > best + slack:
                best = current
                matching[:] = now
        else:
            trial[:] = now
            holder[:] = buyer
    return best
