"""Buyers who may take any number of goods: items separate, and the platform's problem has a closed form.

A seller's price is the highest value among the buyers she can reach: h_j on the platform, o_j off it. She joins at fees
up to t_j = 1 - o_j / h_j, whatever the others do. Source: the setting is an extension announced in arXiv
2309.08781; the closed forms, the bound e / (e - 1) and the family that approaches it are derived here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from walras.envs.arguments import whole
from walras.envs.game import Array
from walras.envs.platforms.clearing import TOLERANCE
from walras.envs.platforms.market import Market

LOSS_BOUND = math.e / (math.e - 1)
"""Largest ratio of ideal welfare to that at a revenue-maximising fee, additive buyers."""


class AdditiveSolution(NamedTuple):
    """The revenue-maximising fee; of equally good ones the lowest.

    Attributes:
        fee: in [0, 1].
        revenue: fee times the prices of those who join (indifferent sellers join).
        welfare: value of all trades then.
        ideal: value of all trades if all join.
    """

    fee: float
    revenue: float
    welfare: float
    ideal: float


def reach_values(market: Market) -> tuple[Array, Array]:
    """(m,) h and o: the highest value for each good among all buyers, and among those who know its seller."""
    return market.values.max(axis=0), np.where(market.known, market.values, 0).max(axis=0)


def additive_equilibrium(market: Market, fee: float) -> Array:
    """(m,) bool: who joins at a fee; joining is dominant where it strictly pays, and indifferent sellers join."""
    high, off = reach_values(market)
    joins: Array = (1 - fee) * high >= off - TOLERANCE * high
    return joins


def optimal_fee(high: Array, off: Array, cap: float = 1.0) -> AdditiveSolution:
    """The fee up to `cap` with the largest revenue: one of the thresholds t_j, or the cap.

    Args:
        high: (m,) highest values, positive.
        off: (m,) highest values off the platform, at most `high`.
        cap: in [0, 1].

    Raises:
        ValueError: if the arrays do not fit.
    """
    if high.shape != off.shape or high.ndim != 1 or (high <= 0).any() or (off > high).any() or (off < 0).any():
        raise ValueError(f"high and off: 0 <= off <= high, high > 0, (m,) each, got {high} and {off}")
    threshold = 1.0 - off / high
    order = np.argsort(-threshold, kind="stable")
    income = np.cumsum(high[order])  # of all whose threshold is at least that of the item
    fees = np.minimum(threshold[order], cap)
    # Equal thresholds join together: the last of them counts.
    last = np.append(np.diff(threshold[order]) < 0, True) | (threshold[order] >= cap - TOLERANCE)
    revenue = np.where(last, fees * income, -1.0)
    best = int(len(revenue) - 1 - np.argmax(revenue[::-1]))
    fee = float(fees[best])
    joins = threshold >= fee - TOLERANCE
    welfare = float(np.where(joins, high, off).sum())
    return AdditiveSolution(fee, fee * float(high[joins].sum()), welfare, float(high.sum()))


def equal_revenue(items: int) -> tuple[Array, Array]:
    """(N,) h and o of the family on which revenue hardly depends on the fee and the loss tends to e / (e - 1)."""
    count = whole("items", items)
    quantile = (np.arange(count) + 0.5) / count
    threshold = np.minimum(1.0, 1.0 / (math.e * quantile))
    high = np.full(count, 1.0 / count)
    return high, high * (1.0 - threshold)
