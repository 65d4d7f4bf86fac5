"""Standard sales, item by item or as one bundle: first price, second price, all-pay, posted prices.

The functions take parameters as numbers, arrays or tensors (a reserve may differ by lane and carry a gradient); the
classes are their frozen, named form. A report equal to the reserve or to the posted price buys. `B` lanes, `n`
bidders, `m` items.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import array_api_compat

from walras.envs.auctions.mechanism import (
    DEMANDS,
    Array,
    Mechanism,
    Outcome,
    as_outcome,
    bidder_rows,
    check_items,
    fold,
    like,
    namespace,
    per_item,
)


def _by_item(xp: Array, parameter: Array, bids: Array) -> Array:
    """A number, (m,) or (B, m) as an array that broadcasts with (m, B)."""
    array = like(xp, parameter, bids)
    return array if array.ndim == 0 else xp.permute_dims(array, (1, 0)) if array.ndim == 2 else array[:, None]


def _won(xp: Array, rows: Array, threshold: Array) -> Array:
    """Equal shares (n, m, B) among the reports that reach `threshold` (m, B), which is at least the highest report."""
    wins = xp.astype(rows >= threshold, rows.dtype)
    winners = fold(xp.add, wins)
    return wins / (winners + xp.astype(winners == 0, rows.dtype))


def first_price(bids: Array, reserve: Array = 0.0) -> Outcome:
    """Each item to its highest report, at that report, from `reserve` (a number, (m,) or (B, m)) on; ties share."""
    xp = namespace(bids)
    rows = bidder_rows(xp, bids)
    won = _won(xp, rows, xp.maximum(fold(xp.maximum, rows), _by_item(xp, reserve, bids)))
    return as_outcome(xp, won, fold(xp.add, won * rows, 1))


def second_price(bids: Array, reserve: Array = 0.0) -> Outcome:
    """Each item to its highest report, at the larger of second report and `reserve` (a number, (m,) or (B, m))."""
    xp = namespace(bids)
    rows = bidder_rows(xp, bids)
    top, second = rows[0], xp.zeros_like(rows[0])
    for i in range(1, rows.shape[0]):
        second = xp.maximum(second, xp.minimum(top, rows[i]))
        top = xp.maximum(top, rows[i])
    floor = _by_item(xp, reserve, bids)
    won = _won(xp, rows, xp.maximum(top, floor))
    return as_outcome(xp, won, fold(xp.add, won * xp.maximum(second, floor), 1))


def all_pay(bids: Array, reserve: Array = 0.0) -> Outcome:
    """Each item to its highest report, if it reaches `reserve` (a number, (m,) or (B, m)); ties share.

    Every report is paid, won or not; one below the reserve is no bid and pays nothing.
    """
    xp = namespace(bids)
    rows = bidder_rows(xp, bids)
    floor = _by_item(xp, reserve, bids)
    won = _won(xp, rows, xp.maximum(fold(xp.maximum, rows), floor))
    return as_outcome(xp, won, fold(xp.add, rows * xp.astype(rows >= floor, rows.dtype), 1))


_RULES: dict[str, Callable[[Array, Array], Outcome]] = {
    "first": first_price,
    "second": second_price,
    "all-pay": all_pay,
}


def bundle_sale(bids: Array, rule: str, reserve: Array = 0.0) -> Outcome:
    """All items as one lot under `rule` ("first", "second" or "all-pay"), on the sum of each row of reports."""
    xp = namespace(bids)
    won, payment = _RULES[rule](xp.sum(bids, axis=-1, keepdims=True), reserve)
    return Outcome(xp.broadcast_to(won, bids.shape), payment)


def posted_price(bids: Array, prices: Array, demand: str = "additive") -> Outcome:
    """Bidders buy, in index order, at `prices` (a number, (m,) or (B, m)) what is left and worth its price to them.

    Additive bidders buy every such item, unit-demand bidders the one with the largest surplus (the lowest index at
    ties).
    """
    xp = namespace(bids)
    rows = bidder_rows(xp, bids)
    price = _by_item(xp, prices, bids)
    left, bought = xp.ones_like(rows[0]), []
    for i in range(rows.shape[0]):
        surplus = rows[i] - price
        take = xp.astype(surplus >= 0, bids.dtype) * left
        if demand == "unit":
            offer = xp.where(take > 0, surplus, xp.full_like(surplus, -1.0))
            index = xp.arange(rows.shape[1], device=array_api_compat.device(bids))
            take = take * xp.astype(xp.argmax(offer, axis=0) == index[:, None], bids.dtype)
        left = left - take
        bought.append(take)
    won = xp.stack(bought)
    return as_outcome(xp, won, xp.sum(won * price, axis=1))


@dataclasses.dataclass(frozen=True)
class _Sale(Mechanism):
    """Shared text of the item-wise sales: a `reserve` for all items or one for each."""

    reserve: float | tuple[float, ...] = 0.0

    deterministic = True

    def __post_init__(self) -> None:
        """Check the reserve."""
        object.__setattr__(self, "reserve", per_item("reserve", self.reserve))

    def check_size(self, bidders: int, items: int) -> None:
        """A reserve for each item fixes the number of items."""
        check_items("reserve", self.reserve, items)


@dataclasses.dataclass(frozen=True)
class FirstPrice(_Sale):
    """Item-wise first-price auction.

    Each item to its highest report at that report (Vickrey 1961; Krishna, "Auction Theory", chapter 2).
    """

    truthful = False
    individually_rational = True

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m)."""
        return first_price(bids, self.reserve)


@dataclasses.dataclass(frozen=True)
class SecondPrice(_Sale):
    """Item-wise second-price auction: each item at the larger of the second report and the reserve (Vickrey 1961)."""

    truthful = True
    individually_rational = True

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m)."""
        return second_price(bids, self.reserve)


@dataclasses.dataclass(frozen=True)
class AllPay(_Sale):
    """Item-wise all-pay auction: every report that reaches the reserve is paid (Krishna, section 3.2)."""

    truthful = False
    individually_rational = False

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m)."""
        return all_pay(bids, self.reserve)


@dataclasses.dataclass(frozen=True)
class BundleSale(Mechanism):
    """All items as one lot by `rule` on the sums of the reports: "first", "second" or "all-pay", with one `reserve`."""

    rule: str = "second"
    reserve: float = 0.0

    deterministic = True

    def __post_init__(self) -> None:
        """Check rule and reserve."""
        if self.rule not in _RULES:
            raise ValueError(f"rule: must be one of {sorted(_RULES)}, got {self.rule!r}")
        reserve = per_item("reserve", self.reserve)
        if isinstance(reserve, tuple):
            raise ValueError(f"reserve: the bundle has one reserve, got {self.reserve!r}")
        object.__setattr__(self, "reserve", reserve)

    @property
    def truthful(self) -> bool:
        """True for the second-price rule."""
        return self.rule == "second"

    @property
    def individually_rational(self) -> bool:
        """True unless all pay."""
        return self.rule != "all-pay"

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m)."""
        return bundle_sale(bids, self.rule, self.reserve)


@dataclasses.dataclass(frozen=True)
class PostedPrice(Mechanism):
    """Take-it-or-leave-it `prices` (one, or one for each item); bidders are served in index order."""

    prices: float | tuple[float, ...]
    demand: str = "additive"

    truthful = True
    individually_rational = True
    deterministic = True

    def __post_init__(self) -> None:
        """Check prices and demand."""
        object.__setattr__(self, "prices", per_item("prices", self.prices))
        if self.demand not in DEMANDS:
            raise ValueError(f"demand: must be one of {DEMANDS}, got {self.demand!r}")

    def check_size(self, bidders: int, items: int) -> None:
        """A price for each item fixes the number of items."""
        check_items("prices", self.prices, items)

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m)."""
        return posted_price(bids, self.prices, self.demand)
