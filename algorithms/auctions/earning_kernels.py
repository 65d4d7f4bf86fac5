"""Compiled search for the surcharges of one leaf that earn most while every conflict stays excluded."""

from __future__ import annotations

import math

import numba
import numpy as np

from walras.algorithms.auctions.piece_kernels import raise_from
from walras.envs.auctions.polygon_kernels import uniform_revenue


@numba.njit(cache=True)
def _sampled(price, utility, weight):  # type: ignore[no-untyped-def]
    """Expected payment at `price` (K,) of bidders drawn beforehand: `utility` (M, K) without prices, `weight` (M,)."""
    total = 0.0
    for d in range(utility.shape[0]):
        best = 0
        top = 0.0
        for k in range(1, price.shape[0]):
            u = utility[d, k] - price[k]
            if u > top:
                top = u
                best = k
        total += weight[d] * price[best]
    return total


@numba.njit(cache=True)
def _earned(surcharge, base, base_weight, options, low, high, utility, weight, work, price):  # type: ignore[no-untyped-def]
    total = 0.0
    for a in range(base.shape[0]):
        for k in range(price.shape[0]):
            price[k] = base[a, k] + surcharge[k]
        if utility.shape[0] > 0:
            total += base_weight[a] * _sampled(price, utility, weight)
        else:
            total += base_weight[a] * uniform_revenue(price, options, low, high, work)
    return total


@numba.njit(cache=True)
def earn_on_leaf(  # type: ignore[no-untyped-def]
    start, bottom, top, count, loser, best, best_rows, gain, gain_rows, fitting, unit, margin, scratch,
    base, base_weight, options, low, high, utility, weight, first, last, result,
):  # fmt: skip
    """Search by coordinates from the surcharges `start` (K,); returns what is gained.

    Each step moves the surcharges of some options together, up or down, raises all to the least ones that exclude
    every conflict, and stays if that earns more. The step is halved when nothing helps.

    What is given:

    - start: compatible surcharges.
    - bottom, top: (K,) range that the cases allow for.
    - count, loser, best, best_rows, gain, gain_rows, fitting, unit, margin, scratch: as in `raise_from`.
    - base: (A, K) prices at some points of the leaf, with weights `base_weight` (A,).
    - options, low, high: (K, 2), (2,), (2,): values are uniform on this box, if `utility` is empty.
    - utility, weight: (M, K) utilities without prices of drawn bidders, and their weights.
    - first, last: step sizes.
    - result: (K,) surcharges found.
    """
    size = start.shape[0]
    work = np.empty((4, size + 5))
    price = np.empty(size)
    trial = np.empty(size)
    raised = np.empty(size)
    result[:] = start
    begun = most = _earned(start, base, base_weight, options, low, high, utility, weight, work, price)
    step = first
    while step >= last:
        move = math.ceil(step / unit) * unit
        better = False
        for group in range(1, 1 << (size - 1)):
            for sign in (-1.0, 1.0):
                inside = True
                for k in range(size):
                    trial[k] = result[k]
                    if k > 0 and (group >> (k - 1)) & 1:
                        trial[k] += sign * move
                        inside &= bottom[k] <= trial[k] <= top[k]
                if not inside:
                    continue
                raise_from(
                    trial, count, loser, best, best_rows, gain, gain_rows, fitting, unit, margin, scratch, raised
                )
                for k in range(size):
                    inside &= raised[k] <= top[k]
                if not inside:
                    continue
                now = _earned(raised, base, base_weight, options, low, high, utility, weight, work, price)
                if now > most + 1e-10:
                    most = now
                    better = True
                    result[:] = raised
        if not better:
            step *= 0.5
    return most - begun
