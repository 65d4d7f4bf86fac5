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
from walras.envs.auctions.sales import AllPay, BundleSale, FirstPrice, SecondPrice
from walras.envs.auctions.truthful import VCG, BundleMyerson, ItemwiseMyerson
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
    floors = reserves(mechanism, prior.items)
    if isinstance(mechanism, FirstPrice) and prior.bidders > 1:
        lows = [law.low for law in laws if isinstance(law, Uniform)]
        if len(lows) == len(laws) and all(r <= low for r, low in zip(floors, lows, strict=True)):
            return UniformShading((prior.bidders - 1) / prior.bidders, tuple(low / prior.bidders for low in lows))
    return ItemwiseBids(rules[type(mechanism)], laws, prior.bidders, floors)


def known_numbers(mechanism: Mechanism | None, prior: Prior, demand: str, per: str = "") -> tuple[Truth, ...]:
    """Expected revenue and utility in equilibrium, and the best revenue any auction can earn, for one round.

    Args:
        mechanism: the rules played; `None`: leave out what is said of equilibrium.
        prior: law of the values.
        demand: `"additive"` or `"unit"`.
        per: end of every name, for example `" per round"`.
    """
    if demand != "additive" and prior.items > 1:
        return ()
    found: list[Truth] = []
    if mechanism is not None and equilibrium_bids(mechanism, prior, demand) is not None:
        found = _equilibrium_numbers(mechanism, prior, per)
    return (*found, *design_numbers(prior, demand, per))


def _equilibrium_numbers(mechanism: Mechanism, prior: Prior, per: str) -> list[Truth]:
    """Revenue, and one bidder's utility, under the equilibrium of additive bidders, as far as theory has them."""
    earned = f"revenue in equilibrium{per}"
    if isinstance(mechanism, ItemwiseMyerson):
        if mechanism.prior != prior:  # optimal for others: what it earns from these bidders is another number
            return []
        return [Truth(earned, itemwise_myerson_revenue(prior), "equilibrium", _MYERSON)]
    laws, n = _symmetric_laws(prior), prior.bidders
    if laws is None:
        return []
    source = "Krishna, Auction Theory, propositions 2.2-2.3, 3.1 (revenue equivalence)"
    if isinstance(mechanism, BundleMyerson | BundleSale):
        if not _summable(laws):
            return []
        return [Truth(earned, bundle_myerson_revenue(prior, mechanism.reserve), "equilibrium", source)]
    if not isinstance(mechanism, FirstPrice | SecondPrice | AllPay | VCG):
        return []
    entry = reserves(mechanism, prior.items)
    if isinstance(mechanism, AllPay):  # who enters is decided by the value at which the reserve pays
        entry = tuple(theory.all_pay_entry(law, n, r) for law, r in zip(laws, entry, strict=True))
    pairs = list(zip(laws, entry, strict=True))
    numbers = [Truth(earned, sum(theory.revenue(law, n, r) for law, r in pairs), "equilibrium", source)]
    if not any(isinstance(law, Discrete | TwoPoint) for law in laws):
        utility = sum(theory.expected_utility(law, n, r) for law, r in pairs)
        numbers.append(Truth(f"utility of a bidder in equilibrium{per}", utility, "equilibrium", source))
    return numbers


def design_numbers(prior: Prior, demand: str, per: str = "") -> tuple[Truth, ...]:
    """The optimal revenue for one item; for several, two lower bounds of it: selling item by item, and as a bundle."""
    if prior.marginals is None or (demand != "additive" and prior.items > 1):
        return ()
    itemwise = itemwise_myerson_revenue(prior)
    if prior.items == 1:
        return (Truth(f"optimal revenue{per}", itemwise, "optimum", _MYERSON),)
    numbers = [Truth(f"revenue of item-wise Myerson{per}", itemwise, "bound", _MYERSON)]
    laws = _symmetric_laws(prior)
    if laws is not None and _summable(laws):
        bundle = bundle_myerson_revenue(prior)
        numbers.append(Truth(f"revenue of the bundle by second price with reserve{per}", bundle, "bound", _MYERSON))
    return tuple(numbers)


def _summable(laws: tuple[Law, ...]) -> bool:
    """Whether the law of the sum is known: laws with atoms and laws with densities are not mixed."""
    return len({isinstance(law, Discrete | TwoPoint) for law in laws}) == 1


def _symmetric_laws(prior: Prior) -> tuple[Law, ...] | None:
    rows = prior.marginals
    return rows[0] if rows is not None and all(row == rows[0] for row in rows) else None


def reserves(mechanism: Mechanism, items: int) -> tuple[float, ...]:
    """The reserve of each item (m,), 0 for a mechanism without one; a lot's reserve stands at each of its items."""
    reserve = getattr(mechanism, "reserve", 0.0)
    return tuple(reserve) if isinstance(reserve, tuple) else (float(reserve),) * items
