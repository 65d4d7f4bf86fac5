"""How sellers answer a fee: the equilibrium that a selection picks, or what learners come to; for batches of games.

Shapes: `B` games, `m` sellers, `P = 2**m` profiles (numbered as in `profiles`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from walras.envs.game import Array
from walras.envs.platforms.profiles import Profiles, Supports, choices

SELECTIONS = ("optimistic", "best", "worst", "algorithm", "learning")
INDIFFERENCE = 1e-6
"""Fees are actions in float32: sellers whom a fee within so much of it would leave indifferent count as indifferent."""


def regret_matching(
    payoff: Array, u: Array, options: int = 2, regrets: Array | None = None, counts: Array | None = None
) -> tuple[Array, Array]:
    """Independent regret matching in B games, from where the tables stand (they are changed), R rounds on.

    Hart and Mas-Colell (2000) with the payoff of every choice known: choices in proportion to positive regrets.

    Args:
        payoff: (B, P, m) payoffs of every joint choice.
        u: (B, R, m) uniforms in [0, 1).
        options: choices of each seller.
        regrets: (B, m, options) float64, `None`: zeros.
        counts: (B, P) int64, `None`: zeros.

    Returns:
        Regrets and how often each joint choice was played.
    """
    from walras.envs.platforms import kernels

    games, count, sellers = payoff.shape
    regrets = np.zeros((games, sellers, options)) if regrets is None else regrets
    counts = np.zeros((games, count), np.int64) if counts is None else counts
    kernels.regret(np.ascontiguousarray(payoff, np.float64), options, u, regrets, counts)
    return regrets, counts


def answers(table: Profiles, found: Supports, fee: Array, selection: str, draw: Callable[[], Array]) -> Array:
    """(B, P) with what probability the sellers of each game choose each profile at its fee.

    Where a selection of pure equilibria finds none, and with `"learning"` always, these are the shares of the later
    half of the rounds of regret matching.

    Args:
        table: prices (B, P, m) and welfare (B, P).
        found: supports of all profiles.
        fee: (B,) in [0, 1].
        selection: one of `SELECTIONS`; `"algorithm"` is for homogeneous goods.
        draw: gives uniforms (B, R, m) for regret matching; called once, and only where somebody learns.
    """
    price = table.price.astype(np.float64)
    games, count, sellers = price.shape
    result = np.zeros((games, count))
    learn = np.ones(games, bool)
    if selection == "algorithm":
        least = 1e-9 * price.max(axis=(1, 2), initial=1e-300)[:, None]
        result[np.arange(games), climb(price, 1 - fee[:, None] + INDIFFERENCE, 1.0, least)] = 1.0
        return result
    if selection != "learning":
        low, high = found.low / found.low_of - INDIFFERENCE, found.high / found.high_of + INDIFFERENCE
        stable = found.feasible & (low <= fee[:, None]) & (fee[:, None] <= high)
        welfare = table.welfare.astype(np.float64)
        scale = 1e-9 / np.maximum(welfare.max(axis=1, keepdims=True), 1e-300)
        income = (price * choices(sellers)).sum(axis=2)
        largest = income + income.max(axis=1, keepdims=True) * welfare * scale  # of equal incomes more welfare
        goal = {"optimistic": largest, "best": welfare, "worst": -welfare}[selection]
        pick = np.where(stable, goal, -np.inf).argmax(axis=1)
        learn = np.asarray(~stable.any(axis=1))
        result[np.arange(games)[~learn], pick[~learn]] = 1.0
    where = np.flatnonzero(learn)
    if len(where):
        u = draw()
        payoff = price[where] * np.where(choices(sellers) == 1, 1 - fee[where, None, None], 1.0)
        half = u.shape[1] // 2
        regrets, _ = regret_matching(payoff, u[where, :half])
        _, counts = regret_matching(payoff, u[where, half:], regrets=regrets)
        result[where] = counts / counts.sum(axis=1, keepdims=True)
    return result


def climb(price: Array, keeps: Array | int, whole: float | int = 1, least: Array | float | int = 0) -> Array:
    """(B,) profile numbers by the algorithm for homogeneous goods (`equilibrium.homogeneous_equilibrium`).

    Args:
        price: (B, P, m) prices of all profiles.
        keeps: a joined seller's part of `whole`, one number or (B, 1).
        whole: what others keep.
        least: gains up to so much do not count; one number or (B, 1).
    """
    games, _, sellers = price.shape
    at = np.zeros(games, np.int64)
    lane = np.arange(games)
    bits = 1 << np.arange(sellers - 1, -1, -1)
    for _ in range(sellers):
        now = price[lane, at]
        off = (at[:, None] & bits) == 0
        then = np.stack([price[lane, at | bit, j] for j, bit in enumerate(bits)], axis=1)
        gains = off & (keeps * then > whole * now + least)
        joiner = np.where(gains, now, np.inf).argmin(axis=1)
        at = np.where(gains.any(axis=1), at | bits[joiner], at)
    return at
