"""Compiled loops over value profiles for affine maximisers: imported when first used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from walras.envs.game import Array


def affine_payments(values: Array, shares: Array, weights: Array, boosts: Array) -> Array:
    """Sum of payments (N,) of the affine maximiser of `walras.envs.auctions.truthful.affine_maximizer`.

    Args:
        values: truthful reports (N, n, m).
        shares: outcomes (T, n, m).
        weights: positive (n,).
        boosts: (T,).
    """
    parts = (np.ascontiguousarray(part, np.float64) for part in (values, shares, weights, boosts))
    paid: Array = _payments(*parts)
    return paid


def affine_surplus(values: Array, low: Array, high: Array, shares: Array, weights: Array, boosts: Array) -> Array:
    """Numbers (N,) whose mean over uniform values is the revenue, as that of the payments is, but without jumps.

    Bidder i's utility u_i is convex in its value with gradient x_i, so by the divergence theorem its mean payment is
    the mean of sum_j (high_j u_i(v_ij = high_j) - low_j u_i(v_ij = low_j)) / (high_j - low_j) - (m + 1) u_i. Where
    payments jump these numbers only bend, which a low-discrepancy sample rewards.

    Args:
        values: reports (N, n, m), truthful and uniform between `low` and `high`.
        low: (n, m).
        high: (n, m).
        shares: outcomes (T, n, m).
        weights: positive (n,).
        boosts: (T,).
    """
    parts = (np.ascontiguousarray(part, np.float64) for part in (values, low, high, shares, weights, boosts))
    result: Array = _surplus(*parts)
    return result


@njit(cache=True)
def _surplus(values: Any, low: Any, high: Any, shares: Any, weights: Any, boosts: Any) -> Any:
    count, bidders, items = values.shape
    outcomes = shares.shape[0]
    own, total, result = np.empty((bidders, outcomes)), np.empty(outcomes), np.zeros(count)
    for k in range(count):
        best = -np.inf
        for t in range(outcomes):
            total[t] = boosts[t]
            for i in range(bidders):
                worth = 0.0
                for j in range(items):
                    worth += values[k, i, j] * shares[t, i, j]
                own[i, t] = weights[i] * worth
                total[t] += own[i, t]
            best = max(best, total[t])
        for i in range(bidders):
            without = -np.inf
            for t in range(outcomes):
                without = max(without, total[t] - own[i, t])
            paid = -(items + 1) * (best - without)
            for j in range(items):
                width = high[i, j] - low[i, j]
                up, down = weights[i] * (high[i, j] - values[k, i, j]), weights[i] * (low[i, j] - values[k, i, j])
                top = bottom = -np.inf
                for t in range(outcomes):
                    top = max(top, total[t] + up * shares[t, i, j])
                if low[i, j] != 0.0:
                    for t in range(outcomes):
                        bottom = max(bottom, total[t] + down * shares[t, i, j])
                    paid -= low[i, j] * (bottom - without) / width
                paid += high[i, j] * (top - without) / width
            result[k] += paid / weights[i]
    return result


@njit(cache=True)
def _payments(values: Any, shares: Any, weights: Any, boosts: Any) -> Any:
    count, bidders, items = values.shape
    outcomes = shares.shape[0]
    own, total, paid = np.empty((bidders, outcomes)), np.empty(outcomes), np.empty(count)
    for k in range(count):
        chosen = 0
        for t in range(outcomes):
            total[t] = boosts[t]
            for i in range(bidders):
                worth = 0.0
                for j in range(items):
                    worth += values[k, i, j] * shares[t, i, j]
                own[i, t] = weights[i] * worth
                total[t] += own[i, t]
            if total[t] > total[chosen]:
                chosen = t
        paid[k] = 0.0
        for i in range(bidders):
            most = total[0] - own[i, 0]
            for t in range(1, outcomes):
                most = max(most, total[t] - own[i, t])
            paid[k] += (most - total[chosen] + own[i, chosen]) / weights[i]
    return paid
