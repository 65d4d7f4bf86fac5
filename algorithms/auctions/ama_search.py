"""Search among deterministic affine maximisers: the boosts of all assignments, equal where the prior makes them so.

Bidders with the same laws, and items with the same laws, are exchangeable; assignments that differ by such an exchange
share one boost, and exchangeable bidders one weight. For two bidders and two items with equal laws three numbers are
left (the "AMA_bsym" of Sandholm and Likhodedov 2015, "Automated design of revenue-maximizing combinatorial auctions",
Operations Research 63), for three bidders three, for three items five: few enough to search without gradients, on a
low-discrepancy sample of value profiles that is the same for all candidates.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from walras.envs.arguments import whole
from walras.envs.auctions.mechanism import DEMANDS, value
from walras.envs.auctions.priors import Prior, Uniform
from walras.envs.auctions.truthful import AMA
from walras.envs.game import Array

Progress = Callable[[float, str], None]

LISTED = 1024
"""Most assignments that are searched."""


class Orbits(NamedTuple):
    """The assignments of an auction, up to the exchanges that its prior allows.

    Attributes:
        shares: (T, n, m) assignments, the one that sells nothing first.
        orbit: (T,) number of each assignment's orbit; 0 is that of selling nothing.
        bidders: (n,) class of each bidder, 0 for those like the first one.
        worth: (O,) mean value of an orbit's assignments.
    """

    shares: Array
    orbit: Array
    bidders: Array
    worth: Array


def orbits(prior: Prior, demand: str = "additive") -> Orbits:
    """The assignments of items to bidders or nobody, grouped into orbits.

    Under unit demand assignments that give a bidder two items are left out.

    Raises:
        ValueError: if there are more than `LISTED` assignments, or `demand` is unknown.
    """
    if demand not in DEMANDS:
        raise ValueError(f"demand must be one of {DEMANDS}, got {demand!r}")
    n, m = prior.bidders, prior.items
    if (n + 1) ** m > LISTED:
        raise ValueError(f"prior: {(n + 1) ** m} assignments for {n} bidders and {m} items exceed {LISTED}")
    laws = prior.marginals
    if laws is None:  # only the bidders of `Triangle` are known to be alike
        rows, columns = [0] * n, list(range(m))
    else:
        rows = [laws.index(row) for row in laws]
        transposed = list(zip(*laws, strict=True))
        columns = [transposed.index(column) for column in transposed]
    exchanges = list(itertools.product(_keeping(rows), _keeping(columns)))
    owners = [
        row
        for row in itertools.product(range(-1, n), repeat=m)
        if demand == "additive" or all(row.count(i) <= 1 for i in range(n))
    ]
    numbers: dict[tuple[int, ...], int] = {}
    orbit = []
    for row in owners:
        name = min(
            tuple(-1 if row[j] < 0 else bidder[row[j]] for j in item) for bidder, item in exchanges
        )  # the orbit's smallest member
        orbit.append(numbers.setdefault(name, len(numbers)))
    shares = np.array([[[float(owner == i) for owner in row] for i in range(n)] for row in owners])
    classes = [sorted(set(rows)).index(row) for row in rows]
    u = np.random.Generator(np.random.Philox(0)).random((4096, prior.draws))
    mean = prior.sample(u).mean(axis=0)
    worth = value(np.broadcast_to(mean, shares.shape), shares, demand).sum(axis=1)
    count = np.bincount(orbit)
    return Orbits(shares, np.array(orbit), np.array(classes), np.bincount(orbit, worth) / count)


def _keeping(classes: list[int]) -> list[tuple[int, ...]]:
    """The permutations that map every element to one of its class."""
    every = itertools.permutations(range(len(classes)))
    return [row for row in every if all(classes[k] == classes[row[k]] for k in range(len(row)))]


@dataclass(frozen=True)
class AffineSearchSettings:
    """How widely and how finely is searched."""

    starts: int = 400
    """random candidates looked at first, on a small sample"""
    kept: int = 6
    """of these, so many are improved"""
    profiles: tuple[int, ...] = (2**12, 2**15, 2**18)
    """value profiles of the samples, from the first look to the last improvement; powers of two"""
    bits: int = 16
    """the result is rounded to multiples of 2^-bits of the largest value"""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("starts", "kept", "bits"):
            whole(name, getattr(self, name))
        if not self.profiles or any(size < 2 or size & (size - 1) for size in self.profiles):
            raise ValueError(f"profiles must be powers of two, got {self.profiles!r}")
        if self.kept > self.starts:
            raise ValueError(f"kept must be at most starts={self.starts}, got {self.kept}")


class AffineSearch:
    """Finds the deterministic affine maximiser that earns most.

    Attributes (after `fit`):
        mechanism_: the auction.
        boosts_: (O,) boosts of the orbits, the first 0.
        weights_: weights of the classes of bidders, the first 1.
        revenue_: mean over the largest sample; `walras.envs.auctions.affine_revenue` says it exactly for uniform laws.
    """

    mechanism_: AMA
    boosts_: Array
    weights_: Array
    revenue_: float

    def __init__(
        self, prior: Prior, demand: str = "additive", settings: AffineSearchSettings | None = None, *, seed: int = 0
    ) -> None:
        """Only stores; arguments as in `orbits`, and the `seed` of the random candidates and the samples."""
        self.prior, self.demand, self.seed = prior, demand, whole("seed", seed, 0)
        self.settings = AffineSearchSettings() if settings is None else settings

    def fit(self, progress: Progress | None = None) -> AffineSearch:
        """Search: random candidates, the best improved by Nelder and Mead's simplex on ever larger samples."""
        from scipy.optimize import minimize

        from walras.algorithms.auctions.affine_kernels import affine_payments, affine_surplus

        found, given, tell = orbits(self.prior, self.demand), self.settings, progress or (lambda share, text: None)
        free, classes = len(found.worth) - 1, int(found.bidders.max())
        samples = [self._sample(size) for size in given.profiles]
        unit = float(np.max(np.where(np.isfinite(self.prior.high), self.prior.high, samples[-1].max(axis=0))))
        step = 2.0**-given.bits * unit
        low, high, laws = self.prior.low, self.prior.high, self.prior.marginals
        uniform = laws is not None and all(isinstance(law, Uniform) for row in laws for law in row)

        def parts(x: Array) -> tuple[Array, Array]:
            boosts = np.concatenate([[0.0], -x[:free] * unit])
            return boosts[found.orbit], np.concatenate([[1.0], np.exp(x[free:])])[found.bidders]

        def loss(x: Array, sample: Array) -> float:
            boosts, weights = parts(x)
            if uniform:
                return -float(affine_surplus(sample, low, high, found.shares, weights, boosts).mean())
            return -float(affine_payments(sample, found.shares, weights, boosts).mean())

        rng = np.random.Generator(np.random.Philox(self.seed))
        # Around half of what an assignment is worth in the mean, as a reserve on every item would have it.
        middle = np.concatenate([found.worth[1:] / unit, np.zeros(classes)])
        spread = np.concatenate([0.4 * found.worth[1:] / unit, np.full(classes, 0.4)])
        starts = [middle + spread * rng.standard_normal(free + classes) for _ in range(given.starts)]
        starts[0] = middle
        starts.sort(key=lambda x: loss(x, samples[0]))
        best = starts[: given.kept]
        for k, sample in enumerate(samples):
            improved = []
            for x in best:
                width = 0.1 * 0.3**k
                simplex = np.vstack([x, x + width * np.eye(len(x))])
                options: dict[str, Any] = {
                    "initial_simplex": simplex, "xatol": 1e-5, "fatol": 1e-9, "maxfev": 200 * len(x), "adaptive": True
                }  # fmt: skip
                improved.append(minimize(loss, x, (sample,), method="Nelder-Mead", options=options))
                tell((k + len(improved) / len(best)) / len(samples), f"revenue {-improved[-1].fun:.5f}")
            improved.sort(key=lambda result: float(result.fun))
            best = [result.x for result in improved[: max(1, len(best) // 3)]]
        x = best[0]
        self.boosts_ = np.round(np.concatenate([[0.0], -x[:free] * unit]) / step) * step
        self.weights_ = np.concatenate([[1.0], np.round(np.exp(x[free:]) * 2.0**given.bits) * 2.0**-given.bits])
        boosts, weights = self.boosts_[found.orbit], self.weights_[found.bidders]
        self.mechanism_ = AMA(_tuples(found.shares), tuple(weights.tolist()), tuple(boosts.tolist()), self.demand)
        self.revenue_ = float(affine_payments(samples[-1], found.shares, weights, boosts).mean())
        return self

    def _sample(self, size: int) -> Array:
        """(size, n, m) value profiles, scrambled Sobol points."""
        from scipy.stats import qmc

        points = qmc.Sobol(self.prior.draws, rng=np.random.Generator(np.random.Philox([self.seed, 1]))).random(size)
        return self.prior.sample(np.minimum(points, 1.0 - 2.0**-53))


def _tuples(array: Array) -> Any:
    return tuple(tuple(tuple(row) for row in outcome) for outcome in array.tolist())
