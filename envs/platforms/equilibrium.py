"""Platform equilibria of one market, exactly: pure ones at one fee and over all fees, correlated ones, the best fee.

Everything is read off the prices of all joint choices (`profiles`). With integer values prices are integers and fees
rationals: comparisons are exact. Sections cited are of arXiv 2309.08781; what is marked "derived here" is not in its
abstract and was checked against enumeration.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np

from walras.envs.game import Array
from walras.envs.platforms.clearing import TOLERANCE, clear
from walras.envs.platforms.joining import ideal_welfare
from walras.envs.platforms.market import Market, as_market
from walras.envs.platforms.profiles import (
    Profiles,
    Supports,
    acyclic,
    better_responses,
    certificate,
    choices,
    number_of,
    price_profiles,
    pure_equilibria,
    supports,
    switched,
    tolerance_of,
)

Fee = Fraction | float | int
SELECTIONS = ("optimistic", "algorithm", "worst", "best")


class Solution(NamedTuple):
    """A fee with an equilibrium.

    Attributes:
        fee: a Fraction where values are integers.
        joined: the sellers on the platform.
        revenue: a Fraction where values and fee are.
        welfare: of that equilibrium.
        attained: False where revenue only comes as close to `revenue` as one likes, at fees just below `fee`.
    """

    fee: Any
    joined: tuple[int, ...]
    revenue: Any
    welfare: Any
    attained: bool = True


class Segment(NamedTuple):
    """Fees strictly between `low` and `high` (or one fee, where they are equal), and the equilibria there.

    Attributes:
        low: Fraction or float.
        high: the same.
        equilibria: numbers of the profiles, ascending; empty where no pure equilibrium exists.
    """

    low: Any
    high: Any
    equilibria: tuple[int, ...]


class Correlated(NamedTuple):
    """A coarse correlated equilibrium.

    Attributes:
        probability: (P,) of each profile.
        welfare: its expectation.
    """

    probability: Array
    welfare: float


@dataclass(frozen=True, eq=False)
class Joining:
    """The joining game of one market with one platform at the largest competitive prices.

    Attributes:
        market: without costs, or with the fee on the margin (then values less costs take the place of values).
    """

    market: Market

    @classmethod
    def of(cls, market: Market | str) -> Joining:
        """The game of a market, or of a named one."""
        return cls(as_market(market))

    # -- tables --------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _surplus(self) -> Array:
        costs = self.market.costs
        return self.market.values if costs is None else self.market.values - costs

    @functools.cached_property
    def _profiles(self) -> Profiles:
        return price_profiles(self._surplus, self.market.known)

    @property
    def price(self) -> Array:
        """(P, m) prices (over cost) of every profile."""
        price: Array = self._profiles.price[0]
        return price

    @property
    def welfare(self) -> Array:
        """(P,) welfare of every profile."""
        welfare: Array = self._profiles.welfare[0]
        return welfare

    @functools.cached_property
    def choices(self) -> Array:
        """(P, m) of 0 and 1."""
        return choices(self.market.sellers)

    @functools.cached_property
    def ideal(self) -> Any:
        """Welfare if everybody could trade with everybody."""
        return ideal_welfare(self._surplus)[0]

    @functools.cached_property
    def _supports(self) -> Supports:
        return supports(self._profiles.price)

    @property
    def exact(self) -> bool:
        """Values are integers."""
        return bool(self._surplus.dtype.kind in "iu")

    @property
    def _largest(self) -> Any:
        return self._surplus.max() if self.exact else None

    # -- at one fee ----------------------------------------------------------------------------------------------------

    def payoff(self, fee: Fee) -> Array:
        """(P, m) sellers' payoffs, times the fee's denominator where values are integers and the fee is a Fraction."""
        keeps, scale = _keeps(fee, self._largest)
        payoff: Array = self.price * np.where(self.choices == 1, keeps, scale)
        return payoff

    def pure(self, fee: Fee) -> Array:
        """(E,) numbers of the pure equilibria at a fee, all of them: an empty answer proves that none exists.

        Args:
            fee: in [0, 1]; a Fraction (or 0, 1) makes the comparison exact where values are integers.

        Raises:
            ValueError: if the fee is out of range, or values and the fee's denominator are too large to be multiplied.
        """
        stable: Array = np.flatnonzero(pure_equilibria(self.payoff(fee)[None], 2, self._tolerance(fee))[0])
        return stable

    def better_response_cycle(self, fee: Fee) -> bool:
        """Whether strictly improving switches of single sellers can go round in a circle."""
        return not bool(acyclic(better_responses(self.payoff(fee)[None], self._tolerance(fee)))[0])

    def certificate(self, fee: Fee, profile: Sequence[int] | int | Array) -> Array:
        """(E,) slack of the inequality behind the welfare bound (see `profiles.certificate`), for profile numbers."""
        at = np.atleast_1d(np.asarray(profile))
        graph = self.market.known | (self.choices[at][:, None, :] == 1)
        share = np.where(self.choices[at] == 1, 1 - float(fee), 1.0)
        payoff = self.price[at] * share
        return certificate(self._surplus[None], graph, payoff, np.asarray(self.ideal), float(fee))

    def ratio(self, profile: int) -> float:
        """Ideal welfare over that of a profile; infinite where only the profile's is zero."""
        here = float(self.welfare[profile])
        return float(self.ideal) / here if here > 0 else (1.0 if float(self.ideal) == 0 else np.inf)

    def coarse_correlated(self, fee: Fee, goal: Literal["best", "worst"] = "worst") -> Correlated:
        """The coarse correlated equilibrium with the largest or smallest expected welfare, by linear programming.

        Args:
            fee: in [0, 1].
            goal: `"best"` or `"worst"`.

        Raises:
            ValueError: if an argument is out of range.
            RuntimeError: if the solver fails.
        """
        from scipy.optimize import linprog

        if goal not in ("best", "worst"):
            raise ValueError(f"goal must be 'best' or 'worst', got {goal!r}")
        m, scale = self.market.sellers, max(float(np.abs(self._surplus).max()), 1e-300)
        payoff = self.payoff(fee) / (float(_keeps(fee, self._largest)[1]) * scale)
        rows = [payoff[switched(m, j, to), j] - payoff[:, j] for j in range(m) for to in (0, 1)]
        welfare = self.welfare / scale
        found = linprog(
            welfare if goal == "worst" else -welfare,
            A_ub=np.array(rows), b_ub=np.zeros(2 * m), A_eq=np.ones((1, len(welfare))), b_eq=[1.0], bounds=(0, None),
            method="highs",
        )  # fmt: skip
        if found.status != 0:
            raise RuntimeError(f"coarse_correlated: HiGHS ended with {found.message!r}")
        return Correlated(found.x, float(found.x @ self.welfare))

    # -- over all fees -------------------------------------------------------------------------------------------------

    def interval(self, profile: int) -> tuple[Any, Any] | None:
        """Fees at which this profile is an equilibrium, first and last (Fractions for integers); `None`: never."""
        found = self._supports
        if not found.feasible[0, profile]:
            return None
        low, high = (
            self._quotient(top[0, profile], under[0, profile])
            for top, under in ((found.low, found.low_of), (found.high, found.high_of))
        )
        return min(low, high), high

    def sweep(self) -> list[Segment]:
        """All fees from 0 to 1 in pieces on which the set of pure equilibria does not change, breakpoints included."""
        spans = [(int(k), self.interval(int(k))) for k in np.flatnonzero(self._supports.feasible[0])]
        zero, one = (Fraction(0), Fraction(1)) if self.exact else (0.0, 1.0)
        points = sorted({zero, one, *(end for _, span in spans if span is not None for end in span)})
        place = {point: 2 * at for at, point in enumerate(points)}  # between two points lies an open piece
        members: list[list[int]] = [[] for _ in range(2 * len(points) - 1)]
        for k, span in spans:
            if span is not None:
                for piece in range(place[span[0]], place[span[1]] + 1):
                    members[piece].append(k)
        pieces = [
            Segment(points[at // 2], points[(at + 1) // 2], tuple(profiles)) for at, profiles in enumerate(members)
        ]
        return pieces

    def solve(self, selection: str = "optimistic", cap: Fee = 1) -> Solution:
        """The platform's best fee when it expects the equilibrium that `selection` picks.

        Between neighbouring breakpoints the pick does not change and revenue rises with the fee, so breakpoints and
        limits towards them are all there is. Revenue may be a limit that no fee attains (`attained`).

        Args:
            selection: `"optimistic"`; `"worst"` or `"best"` by welfare among the pure equilibria at a fee;
                `"algorithm"`, what `homogeneous_equilibrium` returns.
            cap: largest fee allowed.

        Raises:
            ValueError: if an argument is out of range, or no fee has an equilibrium.
        """
        if selection == "optimistic":
            return self.optimistic(cap)
        limit = self._limit(cap)
        ends = self._thresholds() if selection == "algorithm" else {e for s in self.sweep() for e in (s.low, s.high)}
        points = sorted({end for end in ends if end <= limit} | {limit})
        found = [self.select(fee, selection) for fee in points]
        for low, high in itertools.pairwise(points):
            inside = self.select((low + high) / 2, selection)
            if inside is not None:
                revenue = self._solution(high, int(number_of(self._indicator(inside.joined)))).revenue
                found.append(inside._replace(fee=high, revenue=revenue, attained=not inside.joined))
        kept = [s for s in found if s is not None]
        if not kept:
            raise ValueError(f"cap: no fee up to {cap} has a pure equilibrium")
        return self._richest(kept)

    def select(self, fee: Fee, selection: str = "optimistic") -> Solution | None:
        """The equilibrium at a given fee that `selection` picks, of equals the first; `None` if there is no pure one.

        Raises:
            ValueError: if the selection is unknown (`"all"` is `pure`), or the algorithm is asked for general goods.
        """
        if selection == "algorithm":
            joined = homogeneous_equilibrium(self.market, fee)
            return self._solution(fee, int(number_of(joined)))
        pure = self.pure(fee)
        if selection not in ("optimistic", "worst", "best"):
            raise ValueError(f"selection must be one of {SELECTIONS}, got {selection!r}")
        if not len(pure):
            return None
        if selection == "optimistic":
            return self._richest([self._solution(fee, int(k)) for k in pure])
        welfare = self.welfare[pure]
        goal = welfare.min() if selection == "worst" else welfare.max()
        first = int(np.argmax(abs(welfare - goal) <= tolerance_of(self._surplus)))
        return self._solution(fee, int(pure[first]))

    def optimistic(self, cap: Fee = 1) -> Solution:
        """The fee up to `cap` and the equilibrium with the largest revenue, indifferent sellers as the platform likes.

        Of equal revenues the one with the larger welfare, then the lower number. Derived here: J's best fee is the
        highest that supports it.

        Raises:
            ValueError: if the cap is out of range, or no fee up to it has a pure equilibrium.
        """
        limit = self._limit(cap)
        found = self._supports
        income = (self.price * self.choices).sum(axis=1)
        top = np.minimum(found.high[0] / found.high_of[0], float(limit))
        open_to = found.feasible[0] & (found.low[0] / found.low_of[0] <= float(limit) + TOLERANCE)
        revenue = np.where(open_to, top * income, -1.0)
        slack = 0 if isinstance(limit, Fraction) else TOLERANCE
        options: list[Solution] = []
        while open_to.any() and not options:  # again where the cap lies just below the fees of all that are near
            near = np.flatnonzero(open_to & (revenue >= revenue[open_to].max() * (1 - 1e-9)))
            open_to[near] = False
            for k in near:
                span = self.interval(int(k))
                if span is not None and span[0] <= limit + slack:
                    options.append(self._solution(min(span[1], limit), int(k)))
        if not options:
            raise ValueError(f"cap: no fee up to {cap} has a pure equilibrium")
        return self._richest(options)

    def _richest(self, found: Sequence[Solution]) -> Solution:
        """The largest revenue; of equal ones (floats: up to rounding) an attained one, then the largest welfare."""
        slack = 0 if self.exact else tolerance_of(self._surplus)
        top = max(s.revenue for s in found)
        return max((s for s in found if s.revenue >= top - slack), key=lambda s: (s.attained, s.welfare))

    def _solution(self, fee: Fee, profile: int) -> Solution:
        joined = tuple(int(j) for j in np.flatnonzero(self.choices[profile]))
        income = self.price[profile] @ self.choices[profile]
        revenue = (
            _exactly(fee) * int(income) if self.exact and isinstance(_exactly(fee), Fraction) else float(fee) * income
        )
        return Solution(fee, joined, revenue, self.welfare[profile].item())

    def _thresholds(self) -> set[Any]:
        """Every fee at which some seller is indifferent in some profile."""
        ends = {self._quotient(0, 1), self._quotient(1, 1)}
        for j in range(self.market.sellers):
            on = self.price[switched(self.market.sellers, j, 1), j]
            off = self.price[switched(self.market.sellers, j, 0), j]
            ends |= {self._quotient(a - b, a) for a, b in zip(on.tolist(), off.tolist(), strict=True) if a > b}
        return ends

    def _indicator(self, joined: tuple[int, ...]) -> Array:
        return np.isin(np.arange(self.market.sellers), joined).astype(np.int64)

    def _limit(self, cap: Fee) -> Any:
        if isinstance(cap, bool) or not isinstance(cap, int | float | Fraction) or not 0 <= cap <= 1:
            raise ValueError(f"cap must lie in [0, 1], got {cap!r}")
        return _exactly(cap) if self.exact else float(cap)

    def _quotient(self, top: Any, under: Any) -> Any:
        return Fraction(int(top), int(under)) if self.exact else float(top) / float(under)

    def _tolerance(self, fee: Fee) -> float:
        scale = _keeps(fee, self._largest)[1]
        rational = self.exact and isinstance(scale, int)
        inexact = isinstance(fee, float) and fee not in (0.0, 1.0)
        return 0.0 if rational and not inexact else TOLERANCE * max(float(np.abs(self._surplus).max()), 1e-300)


def homogeneous_equilibrium(market: Market | str, fee: Fee, *, join_ties: bool = False) -> Array:
    """A pure equilibrium of a market of homogeneous goods, in polynomial time: (m,) of 0 and 1.

    Everybody is off at first; again and again that seller joins who gains by it and has the lowest price off the
    platform. At most m rounds of one batch of clearings; nobody ever wants to leave again. Derived here and checked by
    enumeration; the abstract of arXiv 2309.08781 states existence and polynomial time, its algorithm was not found.

    Args:
        market: with homogeneous goods.
        fee: in [0, 1]; a Fraction makes comparisons exact where values are integers.
        join_ties: sellers who are indifferent join.

    Raises:
        ValueError: if goods are not homogeneous, the fee is out of range, or values and the fee's denominator are too
            large to be multiplied.
    """
    market = as_market(market)
    if not market.homogeneous:
        raise ValueError("market: goods that every buyer values alike, and no costs, are needed")
    keeps, scale = _keeps(fee, market.values.max() if market.values.dtype.kind in "iu" else None)
    exact = isinstance(scale, int) and not (isinstance(fee, float) and fee not in (0.0, 1.0))
    least = 0.0 if exact else tolerance_of(market.values.astype(np.float64))
    joined = np.zeros(market.sellers, np.int64)
    while True:
        off = np.flatnonzero(joined == 0)
        trials = np.repeat(joined[None], len(off) + 1, axis=0)
        trials[np.arange(len(off)), off] = 1
        price = clear(market.values, market.known | (trials[:, None, :] == 1)).price_max
        now = price[-1, off] * scale
        then = price[np.arange(len(off)), off] * keeps
        gains = then >= now - least if join_ties else then > now + least
        if not gains.any():
            return joined
        candidates = np.flatnonzero(gains)
        joined[off[candidates[np.argmin(price[-1, off[candidates]])]]] = 1


def homogeneous_price(values: Array, known: Array, joined: Array) -> Any:
    """The common price of all sellers on the platform, homogeneous goods: derived here, by counting matchings.

    With buyers in falling order of value it is the value of the first buyer i for whom i, less the largest matching of
    the first i buyers with sellers off the platform, reaches the number of sellers on it; 0 if there is none.

    Args:
        values: (n,) what each buyer would give for any good.
        known: (n, m) bool.
        joined: (m,) bool, at least one.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    order = np.argsort(-values, kind="stable")
    off = np.flatnonzero(~joined.astype(bool))
    for i in range(1, len(values) + 1):
        graph = csr_array(known[order[:i]][:, off].astype(np.int8))
        matched = int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum()) if len(off) else 0
        if i - matched >= int(joined.sum()):
            return values[order[i - 1]]
    return values.dtype.type(0)


def _exactly(fee: Fee) -> Any:
    return Fraction(fee) if isinstance(fee, int | Fraction) or fee in (0.0, 1.0) else float(fee)


def _keeps(fee: Fee, largest: Any = None) -> tuple[Any, Any]:
    """(what a joined seller keeps, what others keep): integers where fee and values are exact.

    Args:
        fee: in [0, 1].
        largest: the largest value of a market of integers; `None`: values are floats.
    """
    if (
        isinstance(fee, bool)
        or not isinstance(fee, int | float | Fraction | np.floating | np.integer)
        or not 0 <= fee <= 1
    ):
        raise ValueError(f"fee must lie in [0, 1], got {fee!r}")
    share = _exactly(fee)
    if largest is not None and isinstance(share, Fraction):
        if share.denominator * max(int(largest), 1) >= 2**62:
            raise ValueError(f"fee: its denominator times the largest value must be below 2**62, got {fee!r}")
        return share.denominator - share.numerator, share.denominator
    return 1.0 - float(fee), 1.0
