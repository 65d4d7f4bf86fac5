"""Joining games as normal forms: the prices of every joint choice, and what follows from them, for batches of games.

Shapes: `B` games, `n` buyers, `m` sellers, `L` platforms, `P = (L + 1)**m` joint choices (profiles). Profile number
`sum_j choice_j (L + 1)**(m - 1 - j)`: with one platform its binary digits are the sellers' decisions, seller 0 first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from walras.envs.game import Array
from walras.envs.platforms.clearing import TOLERANCE, clear
from walras.envs.platforms.joining import Terms, over_reserves

LIMIT = 2**22
"""Largest number of profiles of one game that are listed."""


class Profiles(NamedTuple):
    """Every joint choice's outcome at the largest competitive prices; int64 where values are integers without costs.

    Attributes:
        price: (B, P, m) prices, over the reserves where goods cost something.
        welfare: (B, P) value of what is traded, less its cost.
    """

    price: Array
    welfare: Array


def price_profiles(values: Any, known: Any, offer: Terms | None = None, costs: Array | None = None) -> Profiles:
    """Clear the market of every profile of B games.

    Args:
        values: (B, n, m), or (n, m) for one game; integers are exact.
        known: (B, n, m) or (n, m) bool.
        offer: terms, for their reach and for the reserves of a fee on the price; `None`: one platform for all.
        costs: (m,) or `None`.

    Raises:
        ValueError: if a game has more than `LIMIT` profiles, or shapes do not fit.
    """
    v, e = np.asarray(values), np.asarray(known)
    v, e = v if v.ndim == 3 else v[None], e if e.ndim == 3 else e[None]
    if v.shape[1:] != e.shape[1:] or v.ndim != 3:
        raise ValueError(f"values and known: (B, n, m) both are needed, got {v.shape} and {e.shape}")
    v, e = np.broadcast_arrays(v, e)
    n, m = v.shape[1:]
    reach = np.ones((1, n), bool) if offer is None else offer.reach
    options = len(reach) + 1
    if options**m > LIMIT:
        raise ValueError(f"values: {m} sellers with {options} choices have more than {LIMIT} profiles")
    v = v.astype(np.int64 if v.dtype.kind in "iub" else np.float64)
    met = np.concatenate([np.zeros((1, n), bool), reach])
    graph = e.transpose(0, 2, 1)[:, None] | met[None, :, None, :]
    worth = v if costs is None else v - costs
    surplus = np.broadcast_to(worth.transpose(0, 2, 1)[:, None], graph.shape)
    if costs is not None and offer is not None and offer.fee_on == "price":
        keeps = 1.0 - np.append(0.0, offer.fees)
        never = (keeps[:, None] <= 0) & (costs > 0)
        reserve = np.where(never, 0.0, costs / np.where(keeps > 0, keeps, 1.0)[:, None])
        surplus = over_reserves(v.transpose(0, 2, 1)[:, None], reserve[None, :, :, None])
        graph = graph & ~never[None, :, :, None]
    worth = np.broadcast_to(worth.transpose(0, 2, 1)[:, None], graph.shape)
    return price_options(np.where(graph, surplus, -1), worth)


def price_options(surplus: Array, worth: Array) -> Profiles:
    """Clear the market of every profile of B games, given what each choice makes of each pair.

    Args:
        surplus: (B, A, m, n) int64 or float64, of seller j with buyer i under choice a; negative where they cannot
            trade.
        worth: (B, A, m, n) what that trade adds to welfare.
    """
    games, options, m, n = surplus.shape
    result = Profiles(np.zeros((games, options**m, m), surplus.dtype), np.zeros((games, options**m), worth.dtype))
    if n and m and games:
        from walras.envs.platforms import kernels

        kernels.profiles(np.ascontiguousarray(surplus), np.ascontiguousarray(worth), *result)
    return result


def choices(sellers: int, options: int = 2) -> Array:
    """(P, m) int64: the joint choices by number."""
    digits: Array = np.arange(options**sellers)[:, None] // options ** np.arange(sellers - 1, -1, -1) % options
    return digits


def number_of(choice: Array, options: int = 2) -> Array:
    """(...) the number of joint choices (..., m)."""
    number: Array = np.asarray(choice) @ options ** np.arange(np.shape(choice)[-1] - 1, -1, -1)
    return number


def switched(sellers: int, j: int, to: int, options: int = 2) -> Array:
    """(P,) for every profile the number of the one in which seller `j` chooses `to` instead."""
    step = options ** (sellers - 1 - j)
    at = np.arange(options**sellers)
    return np.asarray(at + (to - at // step % options) * step)


def payoffs(price: Array, offer: Terms) -> Array:
    """(B, P, m) what sellers earn in every profile, from prices (B, P, m) and fees (L,), float64."""
    keeps = 1.0 - np.append(0.0, offer.fees)
    payoff: Array = price * keeps[choices(price.shape[2], offer.platforms + 1)]
    return payoff


def pure_equilibria(payoff: Array, options: int = 2, tolerance: float = 0.0) -> Array:
    """(B, P) bool: profiles in which no seller gains more than `tolerance` by another choice.

    Args:
        payoff: (B, P, m).
        options: choices of a seller, L + 1.
        tolerance: >= 0; 0 for integers.
    """
    stable = np.ones(payoff.shape[:2], bool)
    sellers = payoff.shape[2]
    for j in range(sellers):
        own = payoff[:, :, j]
        for to in range(options):
            stable &= own >= own[:, switched(sellers, j, to, options)] - tolerance
    return stable


class Supports(NamedTuple):
    """For every set of sellers the fees at which it is an equilibrium that exactly they join; (B, P) each.

    The fees are those from `low` / `low_of` to `high` / `high_of`, within [0, 1], where `feasible`; the parts of these
    fractions are integers where prices are.
    """

    low: Array
    low_of: Array
    high: Array
    high_of: Array
    feasible: Array


def supports(price: Array) -> Supports:
    """Fees that support each profile, from the prices (B, P, m) of all profiles.

    J is an equilibrium exactly at the fees a with 1 - a >= p_j(J - j) / p_j(J) for its members and
    1 - a <= p_k(J) / p_k(J + k) for the others. Derived here.

    Args:
        price: (B, P, m) largest competitive prices; integers must be below 2**31.

    Raises:
        ValueError: if integer prices are too large for exact products.
    """
    exact = price.dtype.kind in "iu"
    if exact and price.size and int(price.max()) >= 2**31:
        raise ValueError("price: integers below 2**31 are needed for exact fractions")
    games, count, sellers = price.shape
    x = choices(sellers).astype(bool)
    one = np.ones((games, count), price.dtype)
    low, low_of, high, high_of = one * 0, one.copy(), one.copy(), one.copy()
    feasible = np.ones((games, count), bool)
    # Rounding may not turn an indifferent seller into one who cannot be had.
    least: Any = 0 if exact else TOLERANCE * price.max(axis=(1, 2), initial=1e-300)[:, None]
    for j in range(sellers):
        own = price[:, :, j]
        on, off = own[:, switched(sellers, j, 1)], own[:, switched(sellers, j, 0)]
        paid = on > least
        gain = on - off
        joined = x[:, j]
        feasible &= ~(joined & (gain < -least))
        tighter = joined & paid & (gain * high_of < high * on)
        high, high_of = np.where(tighter, np.maximum(gain, 0), high), np.where(tighter, on, high_of)
        tighter = ~joined & paid & (gain * low_of > low * on)
        low, low_of = np.where(tighter, gain, low), np.where(tighter, on, low_of)
    slack = 0 if exact else TOLERANCE * np.maximum(low_of * high_of, 1e-300)
    feasible &= low * high_of <= high * low_of + slack
    return Supports(low, low_of, high, high_of, feasible)


def better_responses(payoff: Array, tolerance: float = 0.0) -> Array:
    """(B, P, m) bool, two choices: seller j strictly gains (by more than `tolerance`) when she alone switches."""
    sellers = payoff.shape[2]
    gains = np.empty(payoff.shape, bool)
    for j in range(sellers):
        at = np.arange(2**sellers) ^ (1 << (sellers - 1 - j))
        gains[:, :, j] = payoff[:, at, j] > payoff[:, :, j] + tolerance
    return gains


def acyclic(gains: Array) -> Array:
    """(B,) bool: whether no sequence of strictly improving switches comes back to where it began.

    Profiles from which nobody wants to move are taken away, then those that lead only there, and so on.

    Args:
        gains: (B, P, m) as `better_responses` gives them.
    """
    sellers = gains.shape[2]
    flips = np.arange(2**sellers)[:, None] ^ (1 << np.arange(sellers - 1, -1, -1))
    left = np.ones(gains.shape[:2], bool)
    while True:
        stays = left & (gains & left[:, flips]).any(axis=2)
        if (stays == left).all():
            return np.asarray(~left.any(axis=1))
        left = stays


def buyers_most(values: Array, graph: Array) -> Array:
    """(B,) what all buyers together earn at the smallest competitive prices: the sum of W - W without each."""
    cleared = clear(values, graph)
    most: Array = cleared.welfare - cleared.price_min.sum(axis=1)
    return most


def certificate(values: Array, graph: Array, payoff: Array, ideal: Array, fee: Array | float) -> Array:
    """(B,) slack of the inequality behind the welfare bound, nonnegative in every equilibrium.

    An equilibrium must satisfy sum_j u_j >= (1 - a) (OPT - sum_i (W - W_-i)), which is sharper than its consequence
    OPT / W <= (2 - a) / (1 - a); source: derived here from theorem 1 of arXiv 2309.08781, and checked numerically.

    Args:
        values: (B or 1, n, m).
        graph: (B, n, m) bool, the trade graph of the equilibrium.
        payoff: (B, m) of the sellers.
        ideal: (B,) OPT.
        fee: (B,) or one number, the fee a (with several platforms the largest).
    """
    slack: Array = payoff.sum(axis=1) - (1.0 - fee) * (ideal - buyers_most(values, graph))
    return slack


def tolerance_of(values: Array) -> float:
    """The rounding to allow for: none for integers."""
    return 0.0 if values.dtype.kind in "iu" else TOLERANCE * max(float(np.abs(values).max(initial=0)), 1e-300)
