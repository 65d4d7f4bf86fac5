"""Designers: from what is publicly known about the bidders to a mechanism they commit to.

A designer is a frozen dataclass with `commit(prior, demand) -> Mechanism`; it sees the law of the values (with the
number of bidders and items), never a value.
"""

from __future__ import annotations

import abc
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from walras.agents.mechanism_files import load_mechanism
from walras.envs.arguments import whole
from walras.envs.auctions import mechanisms, theory
from walras.envs.auctions.mechanism import DEMANDS, Mechanism, value
from walras.envs.auctions.priors import Law, Prior

_CHUNK = 50_000  # profiles evaluated at once: more would leave the processor's cache


class Designer(abc.ABC):
    """Somebody who commits to a mechanism before the bidders report."""

    def commit(self, prior: Prior, demand: str = "additive") -> Mechanism:
        """The mechanism for bidders with these values.

        Args:
            prior: law of the values of n bidders for m items.
            demand: `"additive"` or `"unit"`.

        Raises:
            ValueError: if `demand` is unknown, or the designer cannot serve this prior and demand.
        """
        if demand not in DEMANDS:
            raise ValueError(f"demand must be one of {DEMANDS}, got {demand!r}")
        mechanism = self._mechanism(prior, demand)
        mechanism.check_size(prior.bidders, prior.items)
        return mechanism

    @abc.abstractmethod
    def _mechanism(self, prior: Prior, demand: str) -> Mechanism:
        """The mechanism, for a checked demand."""


@dataclass(frozen=True)
class PostedPrice(Designer):
    """Takes bidders in index order and offers each item at a price.

    Attributes:
        prices: one, or one for each item; `None`: the price that earns most from additive bidders with independent
            values, the maximiser of p (1 - product of the F_i(p)) for each item.
    """

    prices: float | tuple[float, ...] | None = None

    def _mechanism(self, prior: Prior, demand: str) -> Mechanism:
        prices = self.prices
        if prices is None:
            laws = _laws(prior, "prices")
            prices = tuple(best_posted_price([row[j] for row in laws]) for j in range(prior.items))
        return mechanisms.PostedPrice(prices, demand)


@dataclass(frozen=True)
class Reserve(Designer):
    """Sells item by item at second price (or first price) with a reserve.

    Attributes:
        reserve: one, or one for each item; `None`: Myerson's, the maximiser of r (1 - F(r)), where all bidders have
            the same law.
        rule: `"second-price"` or `"first-price"`.
    """

    reserve: float | tuple[float, ...] | None = None
    rule: str = "second-price"

    def __post_init__(self) -> None:
        """Check the rule."""
        if self.rule not in ("second-price", "first-price"):
            raise ValueError(f"rule must be 'second-price' or 'first-price', got {self.rule!r}")

    def _mechanism(self, prior: Prior, demand: str) -> Mechanism:
        if demand == "unit" and prior.items > 1:
            raise ValueError("demand: selling item by item does not fit unit demand for several items")
        reserve = self.reserve
        if reserve is None:
            laws = _laws(prior, "reserve")
            if any(row != laws[0] for row in laws):
                raise ValueError("reserve: bidders with different laws have no common Myerson reserve; give one")
            reserve = tuple(theory.myerson_reserve(law) for law in laws[0])
        return (mechanisms.SecondPrice if self.rule == "second-price" else mechanisms.FirstPrice)(reserve)


@dataclass(frozen=True)
class VCG(Designer):
    """Maximises welfare and charges everyone the harm to the others (Vickrey 1961; Clarke 1971; Groves 1973)."""

    def _mechanism(self, prior: Prior, demand: str) -> Mechanism:
        return mechanisms.VCG(demand)


@dataclass(frozen=True)
class Myerson(Designer):
    """Sells each item, or all as one bundle, by the revenue-optimal auction of one item (Myerson 1981).

    Attributes:
        bundle: sell the bundle (bidders need equal laws).
    """

    bundle: bool = False

    def _mechanism(self, prior: Prior, demand: str) -> Mechanism:
        if demand == "unit" and prior.items > 1:
            raise ValueError("demand: Myerson's auction of each item does not fit unit demand for several items")
        _laws(prior, "prior")
        return mechanisms.BundleMyerson.of(prior) if self.bundle else mechanisms.ItemwiseMyerson(prior)


@dataclass(frozen=True)
class AMA(Designer):
    """Affine maximiser over all assignments of items to bidders or nobody (Roberts 1979).

    Assignments are ordered with the last item's owner running fastest, nobody first and then bidders 0, 1, ...; for
    unit demand those that give a bidder two items are left out. The first one sells nothing.

    Attributes:
        boosts: added to the weighted welfare of each assignment; the first must be 0 (selling nothing is always
            possible); empty: all 0.
        weights: positive, one for each bidder; empty: all 1.
    """

    boosts: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    def _mechanism(self, prior: Prior, demand: str) -> Mechanism:
        n, m = prior.bidders, prior.items
        shares = [
            tuple(tuple(float(owner == i) for owner in owners) for i in range(n))
            for owners in itertools.product(range(-1, n), repeat=m)
        ]
        if demand == "unit":
            shares = [rows for rows in shares if all(sum(row) <= 1 for row in rows)]
        boosts = self.boosts or (0.0,) * len(shares)
        if len(boosts) != len(shares) or boosts[0] != 0:
            raise ValueError(
                f"boosts: {len(shares)} are needed for {n} bidders and {m} items, the first 0; got {boosts!r}"
            )
        return mechanisms.AMA(tuple(shares), self.weights or (1.0,) * n, boosts, demand)


@dataclass(frozen=True)
class FromFile(Designer):
    """Commits to a mechanism that was learned, or made, before: the one in a file.

    Attributes:
        path: what `walras.agents.mechanism_files.save_mechanism` wrote.
    """

    path: str | os.PathLike[str]

    def _mechanism(self, prior: Prior, demand: str) -> Mechanism:
        mechanism = load_mechanism(self.path)
        if mechanism.demand != demand and prior.items > 1:
            raise ValueError(f"demand: the mechanism in {os.fspath(self.path)!r} is for {mechanism.demand!r}")
        return mechanism


class Earned(NamedTuple):
    """What a mechanism earns from truthful bidders, per profile.

    Attributes:
        revenue: mean sum of payments.
        standard_error: of `revenue`.
        welfare: mean value of what the bidders receive.
    """

    revenue: float
    standard_error: float
    welfare: float


def evaluate(
    designer: Designer, prior: Prior, demand: str = "additive", *, profiles: int = 100_000, rng: np.random.Generator
) -> Earned:
    """Revenue and welfare of what the designer commits to, when bidders report the truth.

    Raises:
        ValueError: if the truth is no equilibrium of the mechanism (first price), or `profiles` is below 2.
    """
    mechanism = designer.commit(prior, demand)
    if not mechanism.truthful:
        raise ValueError(f"designer: bidders would not report the truth to {mechanism!r}")
    profiles = whole("profiles", profiles, 2)
    paid, welfare = np.empty(profiles), 0.0
    for start in range(0, profiles, _CHUNK):
        values = prior.sample(rng.random((min(_CHUNK, profiles - start), prior.draws)))
        allocation, payment = mechanism.outcome(values)
        paid[start : start + len(values)] = payment.sum(axis=1)
        welfare += float(value(values, allocation, demand).sum())
    return Earned(float(paid.mean()), float(paid.std(ddof=1) / np.sqrt(profiles)), welfare / profiles)


def best_posted_price(laws: list[Law]) -> float:
    """The price p that maximises p (1 - product of the F_i(p-)), offered to bidders with these laws one after another.

    Found on all quantiles k / 4096 of the laws, then refined between the best one's neighbours where the laws are
    smooth.
    """
    from scipy.optimize import minimize_scalar

    def revenue(price: float) -> float:
        below = np.nextafter(price, -np.inf)  # a value equal to the price buys
        return float(price * (1.0 - np.prod([float(law.cdf(below)) for law in laws])))

    candidates = np.unique(np.concatenate([law.ppf(np.arange(4096) / 4096) for law in laws]))
    k = int(np.argmax([revenue(price) for price in candidates.tolist()]))
    low, high = candidates[max(k - 1, 0)], candidates[min(k + 1, len(candidates) - 1)]
    best = float(candidates[k])
    if high > low:
        found = float(minimize_scalar(lambda price: -revenue(price), bounds=(low, high), method="bounded").x)
        best = found if revenue(found) > revenue(best) else best
    return best


def _laws(prior: Prior, name: str) -> tuple[tuple[Law, ...], ...]:
    if prior.marginals is None:
        raise ValueError(f"{name}: only for independent values, the prior is {prior!r}")
    return prior.marginals


DESIGNERS: dict[str, Callable[[], Designer]] = {
    "posted-price": PostedPrice,
    "reserve": Reserve,
    "vcg": VCG,
    "myerson": Myerson,
    "bundle-myerson": lambda: Myerson(bundle=True),
    "ama": AMA,
}
"""Designers that need no number from the user, by name."""
