"""Market clearing: a maximum-weight matching of a trade graph, and both extreme competitive price vectors.

Unit-demand buyers and unit-supply sellers trade along allowed pairs. The competitive allocations are the maximum-weight
matchings, the competitive prices are the optimal duals of the assignment program, and these form a lattice (Shapley and
Shubik 1971; Demange 1982; Leonard 1983; Gul and Stacchetti 1999). Its largest vector pays each seller what she adds,
W - W without j; its smallest leaves each buyer what he adds, W - W without i. Neither is computed by solving again:
buyers enter one by one at the smallest prices, which one shortest path each keeps up (`kernels`), and the largest
prices are one more shortest path away in the graph of who would buy from whom.

Shapes: `B` markets, `n` buyers, `m` sellers. Source: arXiv 2309.08781, section 2, and the papers above.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from walras.envs.game import Array

LARGE = 200 * 200
"""From so many pairs on, a market is matched by scipy's assignment instead of the compiled kernel."""

TOLERANCE = 1e-9
"""Rounding of float prices, in units of the largest value: they lie within so much of the exact ones."""

_EXACT = 2.0**53


class Clearing(NamedTuple):
    """Cleared markets; numbers are int64 where the values were integers, else float64.

    Attributes:
        matching: (B, n) int64, the good each buyer gets, -1 for none.
        welfare: (B,) value of all trades.
        price_max: (B, m) largest competitive prices, what each seller adds to welfare.
        price_min: (B, m) smallest competitive prices.
    """

    matching: Array
    welfare: Array
    price_max: Array
    price_min: Array

    def price(self, rule: str = "max") -> Array:
        """(B, m) prices by `rule`: `"max"`, `"min"`, or `"mid"` (their mean, float64).

        Raises:
            ValueError: for another rule.
        """
        if rule == "mid":
            return (self.price_max + self.price_min) / 2
        return {"max": self.price_max, "min": self.price_min}[price_rule(rule)]


class Violations(NamedTuple):
    """How far an allocation with prices is from a competitive equilibrium; all zero exactly where it is one.

    Attributes:
        pairs: (B,) int64, buyers who got a good that they may not buy, that does not exist, or that another got too.
        negative: (B,) by how much the lowest price lies below zero.
        gap: (B,) what buyers could get at these prices, plus the prices, less the value traded: the duality gap.
    """

    pairs: Array
    negative: Array
    gap: Array

    def found(self, tolerance: float = 0.0) -> Array:
        """(B,) bool: whether anything is wrong by more than `tolerance`."""
        found: Array = (self.pairs > 0) | (self.negative > tolerance) | (abs(self.gap) > tolerance)
        return found


def price_rule(rule: str) -> str:
    """The rule, if it is one of `"max"`, `"min"`, `"mid"`.

    Raises:
        ValueError: naming `price_rule` otherwise.
    """
    if rule not in ("max", "min", "mid"):
        raise ValueError(f"price_rule must be 'max', 'min' or 'mid', got {rule!r}")
    return rule


def clear(values: Any, allowed: Any, *, method: Literal["auto", "kernel", "scipy"] = "auto") -> Clearing:
    """Clear markets: who trades with whom, the value traded, largest and smallest competitive prices.

    Ties are broken by a fixed rule: in the kernel buyers enter in order of index, one who would only replace another at
    equal value stays out, and equally good ways are searched by index; else scipy's matching is taken. No pair trades
    at value zero. One input gives one matching, but methods may differ in it.

    Args:
        values: (n, m) or (B, n, m), finite; integers are computed exactly (int64), anything else in float64 with
            prices within `TOLERANCE` times the largest value. Pairs of value zero or less never trade.
        allowed: (n, m) or (B, n, m) bool, who may trade; a single graph or value matrix serves all markets.
        method: `"kernel"` is compiled for many small markets; `"scipy"` takes scipy's assignment and adds the price
            sweeps; `"auto"` chooses by size (`LARGE`).

    Raises:
        ValueError: if shapes do not fit, a value is not finite, or integers are so large that sums would overflow.
        TypeError: if `allowed` is not boolean.
    """
    v, a = _checked(values, allowed)
    if method not in ("auto", "kernel", "scipy"):
        raise ValueError(f"method must be 'auto', 'kernel' or 'scipy', got {method!r}")
    lanes, (n, m) = max(len(v), len(a)), v.shape[1:]
    result = Clearing(
        np.full((lanes, n), -1), np.zeros(lanes, v.dtype), np.zeros((lanes, m), v.dtype), np.zeros((lanes, m), v.dtype)
    )
    if not (lanes and n and m):
        return result
    large = n * m >= LARGE
    if v.dtype == np.int64 and (large or method == "scipy"):
        exact = _magnitude(v) * (n + m) < _EXACT
        if method == "scipy" and not exact:
            raise ValueError("values: integers this large are exact in the kernel only; method='kernel' is needed")
        large &= exact
    if method == "scipy" or (method == "auto" and large):
        for b in range(lanes):
            _clear_large(v[b % len(v)], a[b % len(a)], b, result)
    else:
        from walras.envs.platforms import kernels

        kernels.batch(v, a, *result)
    return result


def _clear_large(values: Array, allowed: Array, lane: int, out: Clearing) -> None:
    """One market by scipy's assignment, in float64 (exact for integers whose sums stay below 2**53)."""
    from scipy.optimize import linear_sum_assignment

    from walras.envs.platforms import kernels

    w = np.zeros(values.shape)
    np.copyto(w, values, where=allowed)
    if values.min() < 0:
        np.maximum(w, 0.0, out=w)
    rows, columns = linear_sum_assignment(w, maximize=True)
    sold = w[rows, columns] > 0
    matching = np.full(len(w), -1)
    matching[rows[sold]] = columns[sold]
    least = 0.0 if values.dtype == np.int64 else 1e-13 * float(w.max())
    high, low = np.empty(values.shape[1]), np.empty(values.shape[1])
    kernels.fall(w, matching, high, least)
    kernels.rise(w, matching, low, least)
    out.matching[lane] = matching
    out.welfare[lane] = w[rows, columns].sum()
    out.price_max[lane], out.price_min[lane] = high, low


def welfare(values: Any, allowed: Any) -> Array:
    """(B,) largest value of a matching of allowed pairs; arguments as in `clear`."""
    return clear(values, allowed).welfare


def sellers_view(matching: Array, sellers: int) -> Array:
    """(B, m) int64: the buyer of each good, -1 for none; `matching` (B, n)."""
    buyer = np.full((len(matching), sellers + 1), -1)
    lane, i = np.nonzero(matching >= 0)
    buyer[lane, matching[lane, i]] = i
    return buyer[:, :sellers]


def competitive_violations(values: Any, allowed: Any, matching: Any, prices: Any) -> Violations:
    """Hold any allocation and prices against the definition of a competitive equilibrium, by linear duality.

    A matching of allowed pairs and nonnegative prices are an equilibrium exactly when the value traded equals what
    every buyer would get from his best choice at these prices, plus all prices. Nothing of `clear` is used, and
    integers are compared exactly.

    Args:
        values: as in `clear`.
        allowed: as in `clear`.
        matching: (n,) or (B, n) int, -1 for buyers who get nothing.
        prices: (m,) or (B, m).

    Raises:
        ValueError: if shapes do not fit.
    """
    v, a = _checked(values, allowed)
    n, m = v.shape[1:]
    mu, p = np.atleast_2d(np.asarray(matching)), np.atleast_2d(np.asarray(prices))
    if mu.shape[1:] != (n,) or p.shape[1:] != (m,) or mu.dtype.kind not in "iu":
        raise ValueError(f"matching (B, {n}) int and prices (B, {m}) are needed, got {mu.shape} {mu.dtype}, {p.shape}")
    lanes = np.broadcast_shapes((len(v),), (len(a),), (len(mu),), (len(p),))[0]
    v, a = np.broadcast_to(v, (lanes, n, m)), np.broadcast_to(a, (lanes, n, m))
    mu, p = np.broadcast_to(mu, (lanes, n)), np.broadcast_to(p, (lanes, m))
    buys = mu != -1
    inside = buys & (mu >= 0) & (mu < m)
    lane, i = np.nonzero(inside)
    good = mu[lane, i]
    taken = np.zeros((lanes, m), np.int64)
    np.add.at(taken, (lane, good), 1)
    strangers = np.zeros((lanes, n), np.int64)
    strangers[lane, i] = ~a[lane, i, good]
    pairs = (buys & ~inside).sum(1) + strangers.sum(1) + np.maximum(taken - 1, 0).sum(1)
    traded = np.zeros((lanes, n), v.dtype)
    traded[lane, i] = v[lane, i, good]
    best = np.max(np.where(a, v - p[:, None, :], 0), axis=2, initial=0)
    gap = best.sum(1) + p.sum(1) - traded.sum(1)
    return Violations(pairs, np.maximum(-p, 0).max(axis=1, initial=0), gap)


def _checked(values: Any, allowed: Any) -> tuple[Array, Array]:
    """Values (B or 1, n, m) int64 or float64 and graphs (B or 1, n, m) bool."""
    v, a = np.asarray(values), np.asarray(allowed)
    if a.dtype != bool:
        raise TypeError(f"allowed: an array of bool is needed, got {a.dtype}")
    if v.dtype.kind not in "iufb":
        raise TypeError(f"values: integers or floats are needed, got {v.dtype}")
    v, a = v if v.ndim > 2 else v[None], a if a.ndim > 2 else a[None]
    if v.ndim != 3 or a.ndim != 3 or v.shape[1:] != a.shape[1:] or (len(v) != len(a) and 1 not in (len(v), len(a))):
        raise ValueError(
            "values and allowed: (n, m) or (B, n, m) with the same n and m are needed, got "
            f"{np.shape(values)} and {np.shape(allowed)}"
        )
    if v.dtype.kind == "f":
        v = v.astype(np.float64, copy=False)
        if not np.isfinite(v).all():
            raise ValueError("values: all must be finite")
        return v, a
    if v.size and _magnitude(v) * (v.shape[1] + v.shape[2]) >= 2.0**62:
        raise ValueError("values: integers whose sums stay below 2**62 are needed")
    return v.astype(np.int64, copy=False), a


def _magnitude(v: Array) -> float:
    """Largest absolute value, without copies."""
    return max(float(v.max()), -float(v.min()))
