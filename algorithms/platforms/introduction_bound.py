"""An upper bound on what introductions earn, for large markets too: the Lagrangian of a tight formulation (derived).

Let seller j's price be q if buyer i buys from her, and t = v_ij - q that buyer's payoff. What makes a matching with
prices competitive is one condition for each world pair (i, k): i's payoff plus k's price is at least v_ik. As i buys
from one seller and k sells to one buyer, both may be cut at v_ik,

    sum_j min(t_ij, v_ik) x_ij + sum_b min(q_bk, v_ik) x_bk >= v_ik .

Priced at lam_ik >= 0, these conditions leave an assignment problem: every pair's value is split into q and t as lam
likes best, independently of the other pairs. Every lam gives a bound; the least bound is that of the linear program.
Matchings met on the way are introductions worth trying: the bound's method is also a heuristic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from walras.envs.arguments import whole
from walras.envs.game import Array
from walras.envs.platforms.clearing import clear
from walras.envs.platforms.introductions import one_market, trade

_MEMORY = 0.7  # weight of the direction before: subgradients alone zigzag
_PATIENCE = 12  # iterations without a better bound after which steps are halved
_LARGE = 10_000  # pairs from which on assignments are warm-started
_SMALLEST = 1e-3  # size of steps, as a share of Polyak's, at which the search for multipliers ends


class Bound(NamedTuple):
    """What the multipliers proved and found.

    Attributes:
        bound: no introductions earn more.
        multipliers: (n, m), zero outside the world, with which `bound_at` gives `bound`.
        introduced: (n, m) bool, the best introductions met.
        revenue: what they earn.
        history: bounds of all iterations.
    """

    bound: float
    multipliers: Array
    introduced: Array
    revenue: float
    history: Array


def bound_at(values: Any, world: Any, multipliers: Any) -> float:
    """The bound that given multipliers prove; everything is computed anew.

    Raises:
        ValueError: if a multiplier is negative, or not zero outside the world.
    """
    v, e, lam = np.asarray(values, np.float64), np.asarray(world, bool), np.asarray(multipliers, np.float64)
    if (lam < 0).any() or lam[~e].any():
        raise ValueError("multipliers: nonnegative numbers, zero outside the world, are needed")
    return _Relaxed(v, e).solve(lam)[0]


def pair_losses(values: Any, world: Any, multipliers: Any) -> Array:
    """(n, m) by how much the bound of these multipliers falls, at least, if a pair has to trade: reduced costs."""
    v, e = np.asarray(values, np.float64), np.asarray(world, bool)
    relaxed = _Relaxed(v, e)
    relaxed.solve(np.asarray(multipliers, np.float64))
    prices = clear(relaxed.weight, np.ones(v.shape, bool)).price_max
    payoffs = np.maximum(0.0, (relaxed.weight - prices).max(axis=1, initial=0.0))
    losses: Array = np.maximum(0.0, payoffs[:, None] + prices - relaxed.weight)
    return losses


def revenue_bound(
    values: Any,
    world: Any,
    *,
    iterations: int = 300,
    revenue: float = 0.0,
    try_every: int = 10,
    progress: Callable[[float, str], None] | None = None,
) -> Bound:
    """Lower the Lagrangian bound by deflected subgradient steps of Polyak's length, trying matchings on the way.

    Args:
        values: (n, m), nonnegative.
        world: (n, m) bool.
        iterations: most steps, each one assignment problem.
        revenue: of known introductions; steps aim at the best known revenue.
        try_every: steps between two matchings that are tried as introductions.
        progress: called with the share of iterations made.

    Raises:
        ValueError: if shapes do not fit, a value is negative or not finite, or a count is below 1.
    """
    v, e = one_market(values, world)
    v = v.astype(np.float64)
    iterations, try_every = whole("iterations", iterations), whole("try_every", try_every)
    relaxed = _Relaxed(v, e)
    lam = np.zeros(v.shape)
    best, best_lam, target = np.inf, lam, float(revenue)
    introduced, earned = np.zeros(v.shape, bool), 0.0
    size, waited, history = 1.0, 0, []
    direction: Array | float = 0.0
    for step in range(iterations):
        bound, slope, pairs = relaxed.solve(lam)
        history.append(bound)
        if not np.isfinite(best) or bound < best - 1e-6 * abs(best):
            waited = 0
        else:
            waited += 1
        if bound < best:
            best, best_lam = bound, lam
        if step % try_every == 0:
            graph = np.zeros(v.shape, bool)
            graph[pairs[:, 0], pairs[:, 1]] = True
            graph &= ~e
            found = float(trade(v, e, graph).revenue[0])
            if found > earned:
                introduced, earned = graph, found
            target = max(target, earned)
        if progress is not None:
            progress((step + 1) / iterations, f"bound {best:.6g}, revenue {target:.6g}")
        if waited >= _PATIENCE:
            size, waited, lam, direction = size / 2, 0, best_lam, 0.0
            bound, slope, pairs = relaxed.solve(lam)
        direction = slope + _MEMORY * direction
        move = np.where((lam[relaxed.pairs] <= 0) & (direction > 0), 0.0, direction)
        length = float((move**2).sum())
        if length <= 1e-20 * max(1.0, best) ** 2 or size < _SMALLEST or best - target <= 1e-9 * max(1.0, abs(best)):
            break
        lam = lam.copy()
        lam[relaxed.pairs] = np.maximum(0.0, lam[relaxed.pairs] - size * max(bound - target, 0.0) / length * move)
    return Bound(best, best_lam, introduced, earned, np.array(history))


class _Relaxed:
    """The assignment problems of one market."""

    def __init__(self, v: Array, e: Array) -> None:
        from walras.algorithms.platforms import introduction_kernels as kernels

        self.v, self.e, self.pairs = v, e, np.nonzero(e)
        self.value = v[self.pairs]
        self.lists = kernels.knows(v, e)
        self.split = kernels.split
        self.weight, self.part = np.empty(v.shape), np.empty(v.shape)
        # Where every seller is matched, prices of the last solution may be taken off: scipy's paths become short.
        self.warm = v.shape[0] >= v.shape[1] and v.size >= _LARGE
        self.prices = np.zeros(v.shape[1])

    def solve(self, lam: Array) -> tuple[float, Array, Array]:
        """The bound at `lam`, its slope in the world's pairs (by which a condition is more than met), the pairs."""
        from scipy.optimize import linear_sum_assignment

        self.split(self.v, self.e, lam, *self.lists, self.weight, self.part)
        rows, columns = linear_sum_assignment(self.weight - self.prices if self.warm else self.weight, maximize=True)
        if self.warm:
            self._remember(rows, columns)
        bound = float(self.weight[rows, columns].sum() - (lam[self.pairs] * self.value).sum())
        kept = self.weight[rows, columns] > 0
        rows, columns = rows[kept], columns[kept]
        payoff, price = np.zeros(self.v.shape[0]), np.zeros(self.v.shape[1])
        price[columns] = self.part[rows, columns]
        payoff[rows] = self.v[rows, columns] - price[columns]
        i, k = self.pairs
        slope = np.minimum(payoff[i], self.value) + np.minimum(price[k], self.value) - self.value
        return bound, slope, np.column_stack([rows, columns])

    def _remember(self, rows: Array, columns: Array) -> None:
        from walras.envs.platforms import kernels

        matching = np.full(len(self.v), -1)
        matching[rows] = columns
        kernels.fall(self.weight, matching, self.prices, 1e-9 * max(1e-300, float(self.weight.max())))
