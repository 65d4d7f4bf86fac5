"""What joining decisions lead to: the trade graph, its clearing, and who earns what; batched, for every game here.

Shapes: `B` profiles, `n` buyers, `m` sellers, `L` platforms. A choice is 0 (off every platform) or the number 1..L of a
platform.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from walras.envs.game import Array
from walras.envs.platforms.clearing import TOLERANCE, clear, price_rule

FEE_BASES = ("price", "margin")


class Terms(NamedTuple):
    """What platforms offer.

    Attributes:
        fees: (L,) or (B, L) share of the price that a seller on platform l pays, in [0, 1].
        reach: (L, n) bool, the buyers whom a seller on platform l meets there.
        price_rule: `"max"`, `"min"` or `"mid"`: which competitive prices come about.
        fee_on: where goods cost something, whether the fee is due on the `"price"` or on the `"margin"` over cost.
    """

    fees: Array
    reach: Array
    price_rule: str = "max"
    fee_on: str = "price"

    @property
    def platforms(self) -> int:
        """Number of platforms, L."""
        return int(self.reach.shape[0])


def terms(
    fee: float | Sequence[float] | Array,
    buyers: int,
    reach: Any = None,
    rule: str = "max",
    fee_on: str = "price",
) -> Terms:
    """Checked terms.

    Args:
        fee: one in [0, 1], or one for each platform.
        buyers: n.
        reach: for each platform the buyers it reaches: (L, n) of 0 and 1 or bool; `None`: all.
        rule: the price rule.
        fee_on: `"price"` or `"margin"`.

    Raises:
        ValueError: naming the part that does not fit.
    """
    fees = np.atleast_1d(np.asarray(fee, np.float64)) if not isinstance(fee, bool) else np.array([np.nan])
    if fees.ndim != 1 or not fees.size or not ((fees >= 0) & (fees <= 1)).all():
        raise ValueError(f"fee must be a number in [0, 1], or one for each platform, got {fee!r}")
    met = np.ones((len(fees), buyers), bool) if reach is None else np.asarray(reach)
    if met.shape != (len(fees), buyers) or not np.isin(met, (0, 1)).all():
        raise ValueError(f"reach: 0 and 1 of shape {(len(fees), buyers)} are needed, got {reach!r}")
    if fee_on not in FEE_BASES:
        raise ValueError(f"fee_on must be one of {FEE_BASES}, got {fee_on!r}")
    return Terms(fees, met.astype(bool), price_rule(rule), fee_on)


class Stage(NamedTuple):
    """What one round of joining decisions led to; money in units of value.

    Attributes:
        matching: (B, n) int64 the good each buyer gets, -1 for none.
        price: (B, m) prices by the rule, over the seller's reserve: what the buyer pays is `paid`.
        price_max: (B, m) largest competitive prices, likewise.
        price_min: (B, m) smallest.
        paid: (B, m) what the buyer of the good pays (the price of an unsold good counts as 0).
        payoff: (B, m) what each seller earns, fee and cost deducted.
        revenue: (B, L) fees each platform collects.
        welfare: (B,) value of what was traded, less its cost.
    """

    matching: Array
    price: Array
    price_max: Array
    price_min: Array
    paid: Array
    payoff: Array
    revenue: Array
    welfare: Array


def trade_graph(known: Array, choice: Array, reach: Array) -> Array:
    """(B, n, m) bool: who may trade, given acquaintance (B or 1, n, m) and choices (B, m)."""
    met = np.concatenate([np.zeros((1, reach.shape[1]), bool), reach])
    graph: Array = known | met[choice].transpose(0, 2, 1)
    return graph


def settle(
    values: Array,
    known: Array,
    choice: Array,
    offer: Terms,
    costs: Array | None = None,
    present: Array | None = None,
) -> Stage:
    """Clear the market that these choices make, and pay everybody.

    A fee is due on every sale of a seller who joined, also to buyers she knew. With costs c and the fee a on the price
    nobody sells below c / (1 - a): the market clears in what values exceed these reserves. With the fee on the margin,
    values less costs take the place of values, and the fee is due on the price over cost.

    Args:
        values: (B or 1, n, m).
        known: (B or 1, n, m) bool.
        choice: (B, m) int in 0..L.
        offer: terms; `fees` (L,) or (B, L).
        costs: (m,) or `None`.
        present: (B or 1, n, m) bool, pairs of which both are there; `None`: all.
    """
    fees = np.broadcast_to(offer.fees, (len(choice), offer.platforms))
    share = np.take_along_axis(np.concatenate([np.zeros((len(choice), 1)), fees], axis=1), choice, axis=1)
    graph = trade_graph(known, choice, offer.reach)
    if present is not None:
        graph = graph & present
    if costs is None:
        reserve, surplus = np.zeros((1, 1)), values
    elif offer.fee_on == "margin":
        reserve = np.broadcast_to(costs, (1, len(costs)))
        surplus = values - costs
    else:
        keeps = 1.0 - share
        # A seller who keeps nothing cannot cover a cost, and sells a good that costs nothing.
        never = (keeps <= 0) & (costs > 0)
        reserve = np.where(never, 0.0, costs / np.where(keeps > 0, keeps, 1.0))
        surplus = over_reserves(values, reserve[:, None, :])
        graph = graph & ~never[:, None, :]
    cleared = clear(surplus, graph)
    price = cleared.price(offer.price_rule)
    lane, i = np.nonzero(cleared.matching >= 0)
    good = cleared.matching[lane, i]
    sold = np.zeros(price.shape, bool)
    sold[lane, good] = True
    paid = np.where(sold, price + reserve, 0)
    base = paid if offer.fee_on == "price" else np.where(sold, price, 0)
    payoff = (1.0 - share) * price
    dues = share * base
    joined = choice[:, None, :] == np.arange(1, offer.platforms + 1)[:, None]
    traded = np.where(joined, dues[:, None, :], 0.0).sum(axis=2)
    welfare = cleared.welfare
    if costs is not None and offer.fee_on == "price":
        full = np.broadcast_to(values, surplus.shape)
        welfare = np.zeros(len(choice))
        np.add.at(welfare, lane, full[lane, i, good] - costs[good])
    return Stage(cleared.matching, price, cleared.price_max, cleared.price_min, paid, payoff, traded, welfare)


def over_reserves(values: Array, reserve: Array) -> Array:
    """What values exceed reserves, of shapes that broadcast; zero, hence no trade, where only rounding exceeds."""
    surplus = values - reserve
    return np.where(surplus > TOLERANCE * np.max(values, initial=0), surplus, 0.0)


def ideal_welfare(values: Array, costs: Array | None = None, present: Array | None = None) -> Array:
    """(B,) welfare if everybody could trade with everybody (`present`: (B or 1, n, m) bool, if not all are there)."""
    surplus = values if costs is None else values - costs
    surplus = surplus if surplus.ndim == 3 else surplus[None]
    everybody = np.ones((1, *surplus.shape[1:]), bool) if present is None else present
    best: Array = clear(surplus, everybody).welfare
    return best


def deviations(choice: Array, platforms: int) -> Array:
    """(B, m, L + 1, m): every profile that one seller's choice of 0..L makes of `choice` (B, m)."""
    lanes, m = choice.shape
    result = np.broadcast_to(choice[:, None, None, :], (lanes, m, platforms + 1, m)).copy()
    j = np.arange(m)
    result[:, j, :, j] = np.arange(platforms + 1)
    return result


def fee_argument(name: str, value: Any) -> float:
    """A number in [0, 1].

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return float(value)
