"""Introductions for homogeneous goods, v[i, j] = v[i]: two exact constructions.

`keep_world` earns DeltaW or more with an efficient matching. `one_seller_known` is optimal where every buyer knows one
seller at most. That revenue can then be maximised in O(n^2) is a result of the forerunner of arXiv 2406.07385
(AAAI-24 student abstract); the dynamic programme here is our own, checked by brute force.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from walras.envs.arguments import whole
from walras.envs.game import Array


class ChainsAndCycles(NamedTuple):
    """An optimum of the market in which everybody knows one seller at most.

    Attributes:
        revenue: the largest there is.
        loss: what the buyers who could trade are worth, less the revenue.
        introduced: (n, m) bool, a matching that earns it.
    """

    revenue: float
    loss: float
    introduced: Array


def buyer_values(values: Any) -> Array:
    """(n,) the value of each buyer for any good.

    Raises:
        ValueError: if goods are not homogeneous, or a value is negative or not finite.
    """
    v = np.asarray(values)
    if v.ndim != 2 or v.shape[1] < 1:
        raise ValueError(f"values: an (n, m) array with m >= 1 is needed, got shape {v.shape}")
    if (v != v[:, :1]).any():
        raise ValueError("values: goods must be homogeneous, every row of values constant")
    if not np.isfinite(v).all() or (v < 0).any():
        raise ValueError("values: all must be finite and nonnegative")
    return v[:, 0]


def keep_world(values: Any, world: Any) -> Array:
    """KEEP-WORLD: the world's trades of the K best buyers stay, the others of them meet a free seller each.

    The outcome is efficient, each introduced buyer pays her value, and the revenue, what these buyers are worth, is at
    least DeltaW (derived).

    Args:
        values: (n, m), homogeneous.
        world: (n, m) bool.

    Returns:
        (n, m) bool, the introductions.
    """
    v, e = buyer_values(values), np.asarray(world, bool)
    n, m = e.shape
    seller = _world_matching(v, e)
    # Of equal buyers those with a world trade first.
    best = np.lexsort((seller < 0, -v))[: min(n, m)]
    taken = set(seller[best][seller[best] >= 0].tolist())
    free = [j for j in range(m) if j not in taken]
    introduced = np.zeros((n, m), bool)
    late = [int(i) for i in best if seller[i] < 0 and v[i] > 0]
    introduced[late, free[: len(late)]] = True
    return introduced


def _world_matching(v: Array, e: Array) -> Array:
    """(n,) a maximum-weight matching: buyers in order of value, each by an augmenting path if there is one."""
    n, m = e.shape
    seller, buyer = np.full(n, -1), np.full(m, -1)
    known = [np.flatnonzero(row).tolist() for row in e]
    for start in np.argsort(-v, kind="stable").tolist():
        if v[start] <= 0:
            continue
        came: dict[int, int] = {}
        todo, end = [start], -1
        while todo and end < 0:
            i = todo.pop(0)
            for j in known[i]:
                if j in came:
                    continue
                came[j] = i
                if buyer[j] < 0:
                    end = j
                    break
                todo.append(int(buyer[j]))
        while end >= 0:
            i = came[end]
            before, seller[i], buyer[end] = int(seller[i]), end, i
            end = before
    return seller


def one_seller_known(values: Any, known: Any, sellers: int) -> ChainsAndCycles:
    """HOM_DEG1: the most that introductions earn where every buyer knows at most one seller.

    The K best buyers trade. Let G_s be those of them who know seller s, by value, and order the sellers by the value
    a_1 >= a_2 >= ... of their best. Each known seller trades with her own best buyer in the world (which earns nothing,
    a loss of a_s), or in a cycle with neighbours in the order, at the price of the cycle's least value, or, once there
    is a buyer to spare, in a chain that begins with him. D_i is the least loss of the first i sellers without a chain.

    Args:
        values: (n,) of the buyers, nonnegative.
        known: (n,) the seller each knows, -1 for none.
        sellers: m.

    Raises:
        ValueError: if shapes do not fit, a value is negative or not finite, or `known` names no seller.
    """
    v, k, m = np.asarray(values), np.asarray(known), whole("sellers", sellers)
    if v.ndim != 1 or k.shape != v.shape or k.dtype.kind not in "iu":
        raise ValueError(f"values (n,) and known (n,) int are needed, got {v.shape} and {k.dtype}{k.shape}")
    if not np.isfinite(v).all() or (v < 0).any():
        raise ValueError("values: all must be finite and nonnegative")
    if ((k < -1) | (k >= m)).any():
        raise ValueError(f"known: sellers 0..{m - 1} or -1 are needed, got {k.tolist()}")
    plans = []
    for buyers in _able(v, k, min(len(v), m)):
        groups = _groups(v, k, buyers)
        unknowing = [i for i in buyers if k[i] < 0]
        plans.append((*_least_loss(v, groups, unknowing), groups, buyers))
    loss, blocks, start, spare, groups, buyers = min(plans, key=lambda plan: plan[0])
    introduced = np.zeros((len(v), m), bool)
    sells: set[int] = set()  # sellers whom somebody knows, by the seller's number
    placed: set[int] = set()
    for first, last in blocks:
        for s in range(first, last + 1):
            buyer = groups[s + 1 if s < last else first][0]
            own = k[groups[s][0]]
            sells.add(int(own))
            placed.add(buyer)
            if last > first:
                introduced[buyer, own] = True
    for s in range(start, len(groups)):
        own = k[groups[s][0]]
        sells.add(int(own))
        placed.add(spare)
        introduced[spare, own] = True
        spare = groups[s][0]
    others = [i for i in buyers if i not in placed]
    free = [j for j in range(m) if j not in sells]
    introduced[others, free[: len(others)]] = True
    introduced[v <= 0] = False
    total = v[buyers].sum()
    return ChainsAndCycles(float(total - loss), float(loss), introduced)


def _able(v: Array, k: Array, count: int) -> list[list[int]]:
    """The K best buyers; where several are equal at the cut, choices of them one of which is as good as any.

    A buyer of the least value c never adds to a loss. Who knows nobody is a spare from the first seller on, and comes
    first. Who knows the seller of better buyers is a spare from there on: the earlier in the order, the better. Others
    begin groups of their own behind all r better ones: one group closes a cycle at price c from any seller before the
    last, as a spare would; two also one between themselves. So where two can be chosen, two such groups, or one and the
    first spare, serve as well as any choice; where one can, it is such a group or the first spare.
    """
    order = np.argsort(-v, kind="stable")
    if count == 0:
        return [[]]
    cut = v[order[count - 1]]
    sure = [int(i) for i in order if v[i] > cut]
    tied = [int(i) for i in order if v[i] == cut]
    place = {int(k[group[0]]): s for s, group in enumerate(_groups(v, k, sure))}
    unknowing = [i for i in tied if k[i] < 0]
    spares = sorted((i for i in tied if int(k[i]) in place), key=lambda i: place[int(k[i])])
    groups = _groups(v, k, [i for i in tied if k[i] >= 0 and int(k[i]) not in place])
    fresh = [group[0] for group in groups] + [i for group in groups for i in group[1:]]
    orders = (fresh + spares, spares + fresh, fresh[:1] + spares + fresh[1:])
    return [sure + (unknowing + rest)[: count - len(sure)] for rest in orders]


def _groups(v: Array, k: Array, buyers: list[int]) -> list[list[int]]:
    """Buyers by known seller, each group by falling value, groups by the value of their first."""
    found: dict[int, list[int]] = {}
    for i in sorted(buyers, key=lambda i: -v[i]):
        if k[i] >= 0:
            found.setdefault(int(k[i]), []).append(i)
    return list(found.values())


def _least_loss(v: Array, groups: list[list[int]], unknowing: list[int]) -> tuple[Any, list[tuple[int, int]], int, int]:
    """The loss, the blocks (first, last group) before the chain, where the chain begins, and who begins it."""
    r = len(groups)
    top = [v[group[0]] for group in groups]
    least: list[Any] = [v[:0].sum()]
    choice: list[int] = []
    for i in range(1, r + 1):
        # One seller alone, then cycles through groups j..i at price a_i.
        best, begin = least[i - 1] + top[i - 1], i - 1
        cost = v[:0].sum()
        for j in range(i - 1, -1, -1):
            cost = cost + sum(max(v[b] - top[i - 1], 0) for b in groups[j])
            if j < i - 1 and least[j] + cost < best:
                best, begin = least[j] + cost, j
        least.append(best)
        choice.append(begin)
    loss, start, spare = least[r], r, -1
    waiting = max(unknowing, key=lambda i: v[i], default=-1)
    for j in range(r + 1):
        if j > 0 and len(groups[j - 1]) > 1 and (waiting < 0 or v[groups[j - 1][1]] > v[waiting]):
            waiting = groups[j - 1][1]
        if waiting >= 0:
            cost = sum(max(v[b] - v[waiting], 0) for group in groups[j:] for b in group)
            if least[j] + cost < loss:
                loss, start, spare = least[j] + cost, j, waiting
    blocks, i = [], start
    while i > 0:
        blocks.append((choice[i - 1], i - 1))
        i = choice[i - 1]
    return loss, blocks[::-1], start, spare
