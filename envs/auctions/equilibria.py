"""Which closed form of `theory` holds for a given auction: equilibrium bids, and numbers a table prints beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from walras.envs.auctions import theory
from walras.envs.auctions.bundles import bundle_myerson_revenue, itemwise_myerson_revenue
from walras.envs.auctions.laws import Law, Uniform
from walras.envs.auctions.mechanism import Array, Mechanism
from walras.envs.auctions.piecewise import Discrete, TwoPoint
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.sales import AllPay, FirstPrice, SecondPrice
from walras.envs.game import Truth

_MYERSON = "Myerson (1981), Optimal Auction Design"


@dataclass(frozen=True)
class Truthful:
    """Report the value: dominant wherever the mechanism promises it."""

    def __call__(self, values: Array) -> Array:
        """Values (..., m) -> the same reports."""
        return values


@dataclass(frozen=True)
class ItemwiseBids:
    """The symmetric equilibrium of as many single-item auctions as there are items.

    Attributes:
        rule: `theory.first_price_bid` or `theory.all_pay_bid`.
        laws: one law for each item, the same for all bidders.
        bidders: n.
        reserves: one for each item.
    """

    rule: Callable[..., Array]
    laws: tuple[Law, ...]
    bidders: int
    reserves: tuple[float, ...]

    def __call__(self, values: Array) -> Array:
        """Values (..., m) -> equilibrium bids (..., m)."""
        v = np.asarray(values, np.float64)
        bids = [
            self.rule(law, self.bidders, v[..., j], reserve)
            for j, (law, reserve) in enumerate(zip(self.laws, self.reserves, strict=True))
        ]
        return bids[0][..., None] if len(bids) == 1 else np.stack(bids, axis=-1)


@dataclass(frozen=True)
class UniformShading:
    """First-price equilibrium for U[low_j, high_j] without a binding reserve: low + (n - 1) / n (v - low).

    Source: Krishna, section 2.3.

    Attributes:
        share: (n - 1) / n.
        base: (m,) low_j / n.
    """

    share: float
    base: tuple[float, ...]

    def __call__(self, values: Array) -> Array:
        """Values (..., m) -> equilibrium bids (..., m)."""
        bids: Array = self.share * values
        return bids + self.base if any(self.base) else bids


def is_truthful(mechanism: Mechanism, demand: str, items: int) -> bool:
    """Does the mechanism promise that truth is dominant for bidders of this demand? No promise made is a no."""
    fits = getattr(mechanism, "demand", "additive") == demand or items == 1
    return fits and bool(getattr(mechanism, "truthful", False))


def equilibrium_bids(mechanism: Mechanism, prior: Prior, demand: str) -> Callable[[Array], Array] | None:
    """Reports (..., m) as a function of own values (..., m) in a known equilibrium, or `None`."""
    if is_truthful(mechanism, demand, prior.items):
        return Truthful()
    rules: dict[type[Mechanism], Callable[..., Array]] = {
        FirstPrice: theory.first_price_bid,
        AllPay: theory.all_pay_bid,
    }
    laws = _symmetric_laws(prior)
    if type(mechanism) not in rules or laws is None or (demand != "additive" and prior.items > 1):
        return None
    if any(isinstance(law, Discrete | TwoPoint) for law in laws):
        return None  # finitely many values: no pure equilibrium
    reserves = _reserves(mechanism, prior.items)
    if isinstance(mechanism, FirstPrice) and prior.bidders > 1:
        lows = [law.low for law in laws if isinstance(law, Uniform)]
        if len(lows) == len(laws) and all(r <= low for r, low in zip(reserves, lows, strict=True)):
            return UniformShading((prior.bidders - 1) / prior.bidders, tuple(low / prior.bidders for low in lows))
    return ItemwiseBids(rules[type(mechanism)], laws, prior.bidders, reserves)


def known_numbers(mechanism: Mechanism, prior: Prior, demand: str) -> tuple[Truth, ...]:
    """Expected revenue and utility in equilibrium, and the best revenue any auction can earn, for one round."""
    laws = _symmetric_laws(prior)
    if laws is None or (demand != "additive" and prior.items > 1):
        return ()
    n = prior.bidders
    found: list[Truth] = []
    if (
        isinstance(mechanism, FirstPrice | SecondPrice | AllPay)
        and equilibrium_bids(mechanism, prior, demand) is not None
    ):
        entry = _reserves(mechanism, prior.items)
        if isinstance(mechanism, AllPay):  # who enters is decided by the value at which the reserve pays
            entry = tuple(theory.all_pay_entry(law, n, r) for law, r in zip(laws, entry, strict=True))
        source = "Krishna, Auction Theory, propositions 2.2-2.3, 3.1 (revenue equivalence)"
        pairs = list(zip(laws, entry, strict=True))
        found.append(
            Truth("revenue in equilibrium", sum(theory.revenue(law, n, r) for law, r in pairs), "equilibrium", source)
        )
        if not any(isinstance(law, Discrete | TwoPoint) for law in laws):
            utility = sum(theory.expected_utility(law, n, r) for law, r in pairs)
            found.append(Truth("utility of a bidder in equilibrium", utility, "equilibrium", source))
    return (*found, *design_numbers(prior, demand))


def design_numbers(prior: Prior, demand: str) -> tuple[Truth, ...]:
    """The optimal revenue for one item; for several, two lower bounds of it: selling item by item, and as a bundle."""
    if prior.marginals is None or (demand != "additive" and prior.items > 1):
        return ()
    itemwise = itemwise_myerson_revenue(prior)
    if prior.items == 1:
        return (Truth("optimal revenue", itemwise, "optimum", _MYERSON),)
    numbers = [Truth("revenue of item-wise Myerson", itemwise, "bound", _MYERSON)]
    if _symmetric_laws(prior) is not None:
        numbers.append(
            Truth(
                "revenue of the bundle by second price with reserve", bundle_myerson_revenue(prior), "bound", _MYERSON
            )
        )
    return tuple(numbers)


def _symmetric_laws(prior: Prior) -> tuple[Law, ...] | None:
    rows = prior.marginals
    return rows[0] if rows is not None and all(row == rows[0] for row in rows) else None


def _reserves(mechanism: Mechanism, items: int) -> tuple[float, ...]:
    reserve = getattr(mechanism, "reserve", 0.0)
    return tuple(reserve) if isinstance(reserve, tuple) else (float(reserve),) * items
