"""Compiled loops of market clearing: imported by `clearing` and `profiles` when they are first used.

Shapes: `B` markets, `n` buyers, `m` sellers. Weights `w` (n, m) are values where trade is allowed and at most zero
elsewhere: a pair of weight zero or less never trades, and puts no bound on a price that going home does not put.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, inline="always")
def _enter(i: int, w: Any, mu: Any, own: Any, p: Any, u: Any, dist: Any, prev: Any, todo: Any) -> None:
    """Buyer `i` enters a market at its smallest competitive prices, and leaves it there: one shortest path.

    Known before and after: `mu`, `own` an optimal matching of the buyers so far, `p` the smallest prices, `u` payoffs.
    The path ends at the first of: an unsold good, a buyer who goes home (preferred where equal).
    """
    m = len(p)
    row = w[i]
    # Distances are counted from the payoff that the best offer gives: going home is then at distance zero.
    home = p[0] - p[0]  # zero of the right type
    least, at = home, -1
    for k in range(m):
        d = p[k] - row[k]
        dist[k] = d
        if d < least or (d == least and at >= 0 and own[k] < 0):  # of equals, one where the path ends
            least, at = d, k
    mu[i] = -1
    u[i] = 0 - least  # not minus zero
    if at < 0:
        return
    if own[at] < 0:
        mu[i] = at
        own[at] = i
        return
    for k in range(m):
        prev[k] = i
        todo[k] = k
    left = m  # todo[left:] are the goods whose distance is final
    leaver, end = i, -1
    while True:
        k = todo[at]
        if own[k] < 0:
            end = k
            break
        left -= 1
        todo[at] = todo[left]
        todo[left] = k
        r = own[k]
        base = least + u[r]
        if base < home:
            home, leaver = base, r
        row = w[r]
        least, at = home, -1
        for t in range(left):
            c = todo[t]
            d = base + p[c] - row[c]
            if d < dist[c]:
                dist[c] = d
                prev[c] = r
            else:
                d = dist[c]
            if d < least or (d == least and at >= 0 and own[c] < 0):
                least, at = d, t
        if at < 0:
            break
    for t in range(left, m):
        k = todo[t]
        rise = least - dist[k]
        if rise > 0:
            p[k] += rise
            u[own[k]] -= rise
    u[i] = 0 - least
    if end < 0:
        u[leaver] = p[0] - p[0]
        end = mu[leaver]
        mu[leaver] = -1
        if leaver == i:
            return
    k = end
    while True:
        r = prev[k]
        before = mu[r]
        mu[r] = k
        own[k] = r
        if r == i:
            return
        k = before


@njit(cache=True)
def batch(values: Any, allowed: Any, matching: Any, welfare: Any, price_max: Any, price_min: Any) -> None:
    """Clear B markets into the arrays given.

    Args:
        values: (B or 1, n, m) int64 or float64.
        allowed: (B or 1, n, m) bool.
        matching: (B, n) int64, written: the good of each buyer or -1.
        welfare: (B,) written.
        price_max: (B, m) written: the largest competitive prices.
        price_min: (B, m) written: the smallest.
    """
    lanes, n = matching.shape
    m = price_max.shape[1]
    w = np.empty((n, m), values.dtype)
    u, own = np.empty(n, values.dtype), np.empty(m, np.int64)
    dist, prev, todo = np.empty(m, values.dtype), np.empty(m, np.int64), np.empty(m, np.int64)
    for b in range(lanes):
        v, a = values[b % len(values)], allowed[b % len(allowed)]
        mu, p, q = matching[b], price_min[b], price_max[b]
        for i in range(n):
            for k in range(m):
                w[i, k] = v[i, k] if a[i, k] else -1
        own[:] = -1
        p[:] = 0
        for i in range(n):
            _enter(i, w, mu, own, p, u, dist, prev, todo)
        welfare[b] = 0
        for i in range(n):
            if mu[i] >= 0:
                welfare[b] += w[i, mu[i]]
        # What each price may rise: the shortest way, by reduced losses, to an unsold good or to a buyer who goes home.
        for k in range(m):
            q[k] = u[own[k]] if own[k] >= 0 else 0
        moved = True
        while moved:
            moved = False
            for k in range(m):
                i = own[k]
                if i < 0 or q[k] <= 0:
                    continue
                least = q[k]
                row = w[i]
                for c in range(m):
                    loss = u[i] + p[c] - row[c]
                    way = q[c] + (loss if loss > 0 else 0)  # below zero by rounding only
                    least = way if way < least else least
                if least < q[k]:
                    q[k] = least
                    moved = True
        for k in range(m):
            q[k] += p[k]


@njit(cache=True)
def fall(w: Any, mu: Any, price: Any, least: float) -> None:
    """Largest competitive prices of one large market, from an optimal matching: labels that shrink, round by round.

    Args:
        w: (n, m) weights, zero where trade is not allowed.
        mu: (n,) optimal matching.
        price: (m,) written.
        least: falls up to so much are rounding and are left out.
    """
    n, m = w.shape
    buyers = np.empty(n, np.int64)
    count = 0
    price[:] = 0
    for i in range(n):
        if mu[i] >= 0:
            buyers[count] = i
            count += 1
            price[mu[i]] = w[i, mu[i]]
    fresh, changed = np.arange(m), np.zeros(m, np.bool_)
    size = m
    for _ in range(m + 1):
        if size == 0:
            return
        for b in range(count):
            i = buyers[b]
            best = 0.0
            if size == m:
                for k in range(m):
                    best = max(best, w[i, k] - price[k])
            else:
                for t in range(size):
                    k = fresh[t]
                    best = max(best, w[i, k] - price[k])
            j = mu[i]
            lower = w[i, j] - best
            if lower < price[j] - least:
                price[j] = lower
                changed[j] = True
        size = 0
        for k in range(m):
            if changed[k]:
                fresh[size] = k
                size += 1
                changed[k] = False


@njit(cache=True)
def rise(w: Any, mu: Any, price: Any, least: float) -> None:
    """Smallest competitive prices of one large market, from an optimal matching: labels that grow, round by round.

    Buyers left out bid what the good is worth to them, buyers who have a good what another is worth more; who pays
    more for his own good bids more for the others. Arguments as in `fall`.
    """
    n, m = w.shape
    owner = np.full(m, -1)
    changed = np.zeros(m, np.bool_)
    price[:] = 0
    for i in range(n):
        if mu[i] >= 0:
            owner[mu[i]] = i
        else:
            for k in range(m):
                price[k] = max(price[k], w[i, k])
    for i in range(n):  # the first round visits everybody, and only rises are passed on
        if mu[i] >= 0:
            _bid(w, i, mu[i], price, changed, least)
    todo = np.empty(m, np.int64)
    for _ in range(m + 1):
        size = 0
        for k in range(m):
            if changed[k] and owner[k] >= 0:
                todo[size] = k
                size += 1
            changed[k] = False
        if size == 0:
            return
        for t in range(size):
            _bid(w, owner[todo[t]], todo[t], price, changed, least)


@njit(cache=True)
def _bid(w: Any, i: int, j: int, price: Any, changed: Any, least: float) -> None:
    """What buyer `i` of good `j` would pay for the others."""
    keeps = w[i, j] - price[j]
    for k in range(len(price)):
        offer = w[i, k] - keeps
        if offer > price[k] + least:
            price[k] = offer
            changed[k] = True


@njit(cache=True)
def profiles(weights: Any, worth: Any, price: Any, welfare: Any) -> None:
    """Largest competitive prices of every joint choice of the sellers of B games.

    Sellers enter one by one, each with every choice in turn: a walk through the tree of choices, on which one shortest
    path (`_enter`, with the sides of the market exchanged) takes each node to the next. Buyers are kept at their
    smallest payoffs, so sellers' payoffs are the largest prices; nothing is ever solved again.

    Args:
        weights: (B, L, m, n) surplus of seller j with buyer i under choice l, negative where they may not trade.
        worth: (B, L, m, n) what that trade adds to welfare.
        price: (B, L**m, m) written; seller 0's choice runs slowest.
        welfare: (B, L**m) written.
    """
    games, options, m, n = weights.shape
    mu, own = np.empty((m + 1, m), np.int64), np.empty((m + 1, n), np.int64)
    payoff, income = np.empty((m + 1, n), weights.dtype), np.empty((m + 1, m), weights.dtype)
    dist, prev, todo = np.empty(n, weights.dtype), np.empty(n, np.int64), np.empty(n, np.int64)
    row = np.empty((m, n), weights.dtype)
    choice = np.empty(m, np.int64)
    for g in range(games):
        own[0] = -1
        payoff[0] = 0
        choice[:] = -1
        depth, leaf = 0, 0
        while depth >= 0:
            choice[depth] += 1
            if choice[depth] == options:
                choice[depth] = -1
                depth -= 1
                continue
            row[depth] = weights[g, choice[depth], depth]
            after = depth + 1
            for j in range(depth):
                mu[after, j] = mu[depth, j]
                income[after, j] = income[depth, j]
            for i in range(n):
                own[after, i] = own[depth, i]
                payoff[after, i] = payoff[depth, i]
            _enter(depth, row, mu[after], own[after], payoff[after], income[after], dist, prev, todo)
            if after < m:
                depth = after
                continue
            total = payoff[0, 0]
            for j in range(m):
                price[g, leaf, j] = income[after, j]
                if mu[after, j] >= 0:
                    total += worth[g, choice[j], j, mu[after, j]]
            welfare[g, leaf] = total
            leaf += 1


@njit(cache=True)
def regret(payoff: Any, options: int, u: Any, regrets: Any, counts: Any) -> None:
    """Independent regret matching in B normal forms, with the payoff of every choice known after each round.

    Args:
        payoff: (B, P, m) payoffs of every profile.
        options: choices of a player, A; P = A**m.
        u: (B, R, m) uniforms, one for each decision.
        regrets: (B, m, A) cumulative regrets, updated.
        counts: (B, P) int64 how often each profile was played, updated.
    """
    games, rounds, m = u.shape
    step, choice = np.empty(m, np.int64), np.empty(m, np.int64)
    for j in range(m):
        step[j] = options ** (m - 1 - j)
    for g in range(games):
        for t in range(rounds):
            at = 0
            for j in range(m):
                total = 0.0
                for a in range(options):
                    total += max(regrets[g, j, a], 0.0)
                pick = options - 1
                if total > 0:
                    mark, sofar = u[g, t, j] * total, 0.0
                    for a in range(options):
                        sofar += max(regrets[g, j, a], 0.0)
                        if mark < sofar:
                            pick = a
                            break
                else:
                    pick = min(int(u[g, t, j] * options), options - 1)
                choice[j] = pick
                at += pick * step[j]
            counts[g, at] += 1
            for j in range(m):
                for a in range(options):
                    other = at + (a - choice[j]) * step[j]
                    regrets[g, j, a] += payoff[g, other, j] - payoff[g, at, j]
