"""Compiled revenue of menus of two items for a bidder with values uniform on a box, many menus at once."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def uniform_revenue(price, options, low, high, work):  # type: ignore[no-untyped-def]
    """Expected payment of a bidder with values uniform on a box, two items, by cutting the box into regions of choice.

    What is given:

    - price: (K,) of the options.
    - options: (K, 2) probabilities, no two alike.
    - low, high: (2,) ends of the box.
    - work: (4, K + 5) scratch.

    Returns:
        The expected payment.
    """
    size = price.shape[0]
    total = 0.0
    for k in range(size):
        if price[k] == 0.0:
            continue
        now = 0
        work[0, 0], work[1, 0] = low[0], low[1]
        work[0, 1], work[1, 1] = high[0], low[1]
        work[0, 2], work[1, 2] = high[0], high[1]
        work[0, 3], work[1, 3] = low[0], high[1]
        corners = 4
        for o in range(size):
            if o == k:
                continue
            a = options[k, 0] - options[o, 0]
            b = options[k, 1] - options[o, 1]
            c = price[o] - price[k]
            after = 2 - now
            kept = 0
            for t in range(corners):
                s = t + 1 if t + 1 < corners else 0
                here = a * work[now, t] + b * work[now + 1, t] + c
                there = a * work[now, s] + b * work[now + 1, s] + c
                if here >= 0.0:
                    work[after, kept] = work[now, t]
                    work[after + 1, kept] = work[now + 1, t]
                    kept += 1
                if here * there < 0.0:
                    share = here / (here - there)
                    work[after, kept] = work[now, t] + share * (work[now, s] - work[now, t])
                    work[after + 1, kept] = work[now + 1, t] + share * (work[now + 1, s] - work[now + 1, t])
                    kept += 1
            now = after
            corners = kept
            if corners < 3:
                break
        area = 0.0
        for t in range(corners if corners >= 3 else 0):
            s = t + 1 if t + 1 < corners else 0
            area += work[now, t] * work[now + 1, s] - work[now, s] * work[now + 1, t]
        total += price[k] * area
    return 0.5 * total / ((high[0] - low[0]) * (high[1] - low[1]))


@numba.njit(cache=True)
def uniform_revenues(prices, options, low, high):  # type: ignore[no-untyped-def]
    """Expected payments (N,) for the `prices` (N, K) of many menus."""
    work = np.empty((4, prices.shape[1] + 5))
    result = np.empty(prices.shape[0])
    for s in range(prices.shape[0]):
        result[s] = uniform_revenue(prices[s], options, low, high, work)
    return result
