"""What introductions earn: the market with a platform's pairs added, cleared, and the platform's part of the trades.

Buyers and sellers know each other along *world* edges E. A platform introduces further pairs P; the market of E or P
clears at its largest competitive prices; the platform is paid (a constant share of) the price of those trades that run
along introduced pairs. Several optimal matchings may exist. They have the same prices but may use other pairs, so a
second assignment chooses among them: the one that serves the platform best, or worst.

Shapes: `B` markets, `n` buyers, `m` sellers, K = min(n, m). Source: arXiv 2406.07385; the tie rule is ours.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from walras.envs.game import Array
from walras.envs.platforms.clearing import TOLERANCE, Clearing, clear, welfare

TIES = ("platform", "adversarial", "any")

LISTED = 5
"""Largest number of buyers or sellers for which all introductions are listed."""

_CELLS = 4_000_000  # entries of the value matrices that `best_introductions` holds at once


class Trades(NamedTuple):
    """A cleared market with introductions; numbers are int64 where the values were integers, else float64.

    Attributes:
        matching: (B, n) int64, the seller of each buyer, -1 for none.
        introduced: (B, n) bool, the buyer trades with a seller to whom the platform introduced her.
        welfare: (B,) value of all trades.
        revenue: (B,) prices paid in trades along introduced pairs.
        price_max: (B, m) largest competitive prices, those that are paid.
        price_min: (B, m) smallest competitive prices.
    """

    matching: Array
    introduced: Array
    welfare: Array
    revenue: Array
    price_max: Array
    price_min: Array


class Best(NamedTuple):
    """The best introductions of each market.

    Attributes:
        revenue: (B,) what they earn.
        introduced: (B, n, m) bool, a matching that earns it and trades along all its pairs.
    """

    revenue: Array
    introduced: Array


def trade(values: Any, world: Any, introduced: Any, *, ties: str = "platform") -> Trades:
    """Clear markets with introductions.

    Args:
        values: (n, m) or (B, n, m), as for `clear`.
        world: (n, m) or (B, n, m) bool, who knows whom.
        introduced: (n, m) or (B, n, m) bool, pairs that the platform introduces; those in `world` count as known.
        ties: which of several optimal matchings is realised: `"platform"` the one with the largest revenue,
            `"adversarial"` the one with the smallest, `"any"` the one that `clear` finds. The first two are exact for
            integers; for floats what differs by no more than `TOLERANCE` times the largest value is a tie.

    Raises:
        ValueError: for shapes that do not fit, or another tie rule.
        TypeError: if a graph is not boolean.
    """
    if ties not in TIES:
        raise ValueError(f"ties must be one of {TIES}, got {ties!r}")
    e, p = np.asarray(world), np.asarray(introduced)
    for name, graph in (("world", e), ("introduced", p)):
        if graph.dtype != bool:
            raise TypeError(f"{name} must be boolean, got dtype {graph.dtype}")
    new = p & ~e
    allowed = new | e
    market = clear(values, allowed)
    shape = (len(market.matching), *allowed.shape[-2:])
    v = np.broadcast_to(values, shape)
    new, allowed = np.broadcast_to(new, shape), np.broadcast_to(allowed, shape)
    matching = market.matching if ties == "any" else _resolve(v, allowed, new, market, ties)
    sold = matching >= 0
    seller = np.maximum(matching, 0)
    along = sold & np.take_along_axis(new, seller[:, :, None], axis=2)[:, :, 0]
    paid = np.where(along, np.take_along_axis(market.price_max, seller, axis=1), 0)
    return Trades(matching, along, market.welfare, paid.sum(axis=1), market.price_max, market.price_min)


def _resolve(v: Array, allowed: Array, new: Array, market: Clearing, ties: str) -> Array:
    """Among the optimal matchings of each market one that serves the platform best or worst.

    The optimal matchings are those in *tight* pairs (u_i + p_j = v_ij) that serve everybody with a positive payoff or
    price. A second assignment in the tight pairs weighs each such duty by more than all revenue, then the revenue.
    """
    p = market.price_max[:, None, :]
    slack = _rounding(v, p.dtype)
    gain = np.where(allowed, v - p, 0)
    u = np.maximum(gain.max(axis=2, initial=0), 0)[:, :, None]
    tight = allowed & (v > 0) & (u + p - v <= slack)
    # Where every tight pair of a positive price is new, or none is, there is nothing to choose.
    open_ = ((tight & new & (p > slack)).any(axis=1) & (tight & ~new & (p > slack)).any(axis=1)).any(axis=1)
    index = np.flatnonzero(open_)
    if not len(index):
        return market.matching
    tight, p, u, slack = tight[index], p[index], u[index], slack[index]
    revenue = np.where(new[index], p, 0)
    duty = (u > slack).astype(p.dtype) + (p > slack)
    large = 1 + np.ceil(p.sum(axis=2, keepdims=True))
    weight = large * duty + (revenue if ties == "platform" else -revenue)
    matching = market.matching.copy()
    matching[index] = clear(np.where(tight, weight, 0), tight).matching
    return matching


def _rounding(v: Array, dtype: Any) -> Array:
    """(B, 1, 1): differences up to this are ties; zero for integers."""
    largest = np.abs(v).max(axis=(1, 2), initial=0, keepdims=True)
    slack: Array = np.zeros_like(largest) if dtype == np.int64 else TOLERANCE * largest
    return slack


def world_and_ideal(values: Any, world: Any) -> tuple[Array, Array]:
    """Welfare (B,) of the world graph, W0, and of the complete graph, W*."""
    v = np.asarray(values)
    v, e = (x if x.ndim == 3 else x[None] for x in (v, np.asarray(world)))
    lanes = max(len(v), len(e))
    ideal = welfare(v, np.ones((1, *v.shape[1:]), bool))
    return np.broadcast_to(welfare(v, e), lanes).copy(), np.broadcast_to(ideal, lanes).copy()


def one_market(values: Any, world: Any) -> tuple[Array, Array]:
    """Values (n, m) and world pairs (n, m) bool of one market, checked.

    Raises:
        ValueError: if shapes do not fit, a value is negative or not finite, or `world` is not of 0 and 1.
    """
    v, e = np.asarray(values), np.asarray(world)
    if v.ndim != 2 or v.shape != e.shape:
        raise ValueError(f"values and world: two (n, m) arrays are needed, got {v.shape} and {e.shape}")
    if v.dtype.kind not in "iufb" or not np.isfinite(v).all() or (v < 0).any():
        raise ValueError(f"values: all must be finite and nonnegative, got {v}")
    if not np.isin(e, (0, 1)).all():
        raise ValueError(f"world: bool, or 0 and 1, is needed, got {e}")
    return v, e.astype(bool)


def harmonic(k: int) -> float:
    """H_k = 1 + 1/2 + ... + 1/k."""
    return float(sum(1.0 / i for i in range(1, k + 1)))


@functools.cache
def matchings(n: int, m: int) -> Array:
    """(N, n) int64: all matchings of n buyers with m sellers, the seller of each buyer or -1; N is 1,546 for 5 x 5."""
    rows: list[tuple[int, ...]] = [()]
    for _ in range(n):
        rows = [(*row, j) for row in rows for j in range(-1, m) if j < 0 or j not in row]
    return np.array(rows, np.int64).reshape(-1, n)


def as_graph(matching: Array, sellers: int) -> Array:
    """(..., n, m) bool: the pairs of matchings (..., n)."""
    graph: Array = matching[..., None] == np.arange(sellers)
    return graph


def best_introductions(values: Any, world: Any) -> Best:
    """The largest revenue of each market, over all introductions, with the tie rule `"platform"`.

    Every matching P outside E is tried; P counts where it trades along all its pairs, v(P) + W(E without P's buyers
    and sellers) = W(E or P), and earns its sellers' prices. It loses nothing to look at these alone (derived).

    Args:
        values: (n, m) or (B, n, m), n and m at most `LISTED`.
        world: (n, m) or (B, n, m) bool.

    Raises:
        ValueError: for larger markets.
    """
    v, e = (x if x.ndim == 3 else x[None] for x in (np.asarray(values), np.asarray(world)))
    n, m = v.shape[1:]
    if max(n, m) > LISTED:
        raise ValueError(f"values: all introductions are listed for at most {LISTED} x {LISTED} markets, got {n} x {m}")
    lanes = max(len(v), len(e))
    v, e = np.broadcast_to(v, (lanes, n, m)), np.broadcast_to(e, (lanes, n, m))
    pairs = as_graph(matchings(n, m), m)
    chunk = max(1, _CELLS // pairs.size)
    parts = [_best(v[lane : lane + chunk], e[lane : lane + chunk], pairs) for lane in range(0, max(lanes, 1), chunk)]
    return Best(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _best(v: Array, e: Array, pairs: Array) -> Best:
    lane, number = np.nonzero(~(e[:, None] & pairs[None]).any(axis=(2, 3)))
    values, known, new = v[lane], e[lane], pairs[number]
    market = clear(values, known | new)
    free = known & ~new.any(axis=2, keepdims=True) & ~new.any(axis=1, keepdims=True)
    traded = np.where(new, values, 0).sum(axis=(1, 2)) + welfare(values, free)
    revenue = (market.price_max * new.any(axis=1)).sum(axis=1)
    revenue[traded < market.welfare - _rounding(values, traded.dtype)[:, 0, 0]] = -1
    table = np.full((len(v), len(pairs)), -1, revenue.dtype)
    table[lane, number] = revenue
    best = table.argmax(axis=1)
    return Best(table.max(axis=1), pairs[best])
