"""Dominant-strategy mechanisms: VCG, Myerson by item and by bundle, affine maximisers, a menu for one bidder."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import array_api_compat
import numpy as np

from walras.envs.auctions.ironing import VirtualValue, iron
from walras.envs.auctions.mechanism import (
    DEMANDS,
    Array,
    Mechanism,
    Menu,
    MenuMechanism,
    Outcome,
    as_outcome,
    bidder_rows,
    like,
    per_item,
)
from walras.envs.auctions.priors import Prior, prior_from_dict
from walras.envs.auctions.sales import bundle_sale, second_price

_ENUMERATED = 256  # unit-demand VCG lists all matchings up to this number, else solves assignment problems lane by lane


def affine_maximizer(bids: Array, allocations: Array, weights: Array, boosts: Array) -> Outcome:
    """Affine maximiser auction (Roberts 1979).

    The outcome with the largest sum_i w_i v_i . x_i + boost, lowest index at ties.

    Bidder i pays (1 / w_i) [max_t (S_t - w_i v_i . x_i^t) - (S_t* - w_i v_i . x_i^t*)], S_t the weighted boosted
    welfare of outcome t.

    Args:
        bids: reports (B, n, m).
        allocations: outcomes (T, n, m).
        weights: positive bidder weights (n,).
        boosts: outcome boosts (T,).

    Returns:
        The outcome; gradients reach `bids`, `weights` and `boosts` through the payments.
    """
    xp = array_api_compat.array_namespace(bids)
    share, w, boost = like(xp, allocations, bids), like(xp, weights, bids), like(xp, boosts, bids)
    index, others = _affine_scores(xp, bids, share, w, boost)
    column = xp.broadcast_to(index[None, None, :], (others.shape[0], 1, others.shape[2]))
    at_choice = xp.take_along_axis(others, column, axis=1)[:, 0]
    payment = (xp.max(others, axis=1) - at_choice) / w[:, None]
    return Outcome(xp.take(share, index, axis=0), xp.permute_dims(payment, (1, 0)))


def _affine_scores(xp: Array, bids: Array, share: Array, w: Array, boost: Array) -> tuple[Array, Array]:
    """Chosen outcome (B,), and the scores without each bidder (n, T, B), which are free of its own report."""
    own = [w[i] * (share[:, i] @ bids[:, i].T) for i in range(bids.shape[1])]
    start = boost[:, None] + xp.zeros_like(own[0])
    others = xp.stack([sum(own[:i] + own[i + 1 :], start=start) for i in range(bids.shape[1])])
    return xp.argmax(own[0] + others[0], axis=0), others


@dataclasses.dataclass(frozen=True)
class AMA(MenuMechanism):
    """Affine maximiser auction with given outcomes, see `affine_maximizer`.

    The outcome in which nothing is sold, with boost 0, is put first unless it is listed.

    Attributes:
        allocations: outcomes (T, n, m), each item given with total probability at most one.
        weights: positive bidder weights (n,).
        boosts: outcome boosts (T,).
        demand: with "unit", every bidder's row of every outcome sums to at most one.
    """

    allocations: tuple[tuple[tuple[float, ...], ...], ...]
    weights: tuple[float, ...]
    boosts: tuple[float, ...]
    demand: str = "additive"

    truthful = True
    individually_rational = True

    def __post_init__(self) -> None:
        """Check shapes and feasibility."""
        shares, weights, boosts = (
            _floats("allocations", self.allocations, 3),
            _floats("weights", self.weights, 1),
            _floats("boosts", self.boosts, 1),
        )
        if self.demand not in DEMANDS:
            raise ValueError(f"demand: must be one of {DEMANDS}, got {self.demand!r}")
        if weights.shape != shares.shape[1:2] or boosts.shape != shares.shape[:1]:
            raise ValueError(
                f"allocations, weights, boosts: need shapes (T, n, m), (n,), (T,), "
                f"got {shares.shape}, {weights.shape}, {boosts.shape}"
            )
        if np.any(weights <= 0.0):
            raise ValueError(f"weights: must be positive, got {self.weights!r}")
        if np.any(shares < 0.0) or np.any(shares.sum(axis=1) > 1.0 + 1e-9):
            raise ValueError("allocations: must be nonnegative and give each item with total probability at most 1")
        if self.demand == "unit" and np.any(shares.sum(axis=2) > 1.0 + 1e-9):
            raise ValueError("allocations: with unit demand each bidder's row must sum to at most 1")
        null = ~shares.any(axis=(1, 2)) & (boosts == 0.0)
        if not null.any():
            shares = np.concatenate((np.zeros((1, *shares.shape[1:])), shares))
            boosts = np.concatenate(([0.0], boosts))
        for name, array in (("allocations", shares), ("weights", weights), ("boosts", boosts)):
            object.__setattr__(self, name, _tuples(array.tolist()))

    @functools.cached_property
    def _arrays(self) -> tuple[Array, Array, Array]:
        return np.array(self.allocations), np.array(self.weights), np.array(self.boosts)

    @property
    def deterministic(self) -> bool:
        """Whether every outcome is a plain assignment."""
        shares = self._arrays[0]
        return bool(np.all((shares == 0.0) | (shares == 1.0)))

    def check_size(self, bidders: int, items: int) -> None:
        """The outcomes fix both numbers."""
        _same_size(self._arrays[0].shape[1:], bidders, items)

    def menus(self, bids: Array) -> Menu:
        """Menus with the null option and then one option for each outcome t.

        Bidder i is offered its own row of the outcome.

        The price is (1 / w_i) [max_t' (others' score of t') - (others' score of t)], from the others' reports alone.
        """
        xp = array_api_compat.array_namespace(bids)
        share, w, boost = (like(xp, part, bids) for part in self._arrays)
        _, others = _affine_scores(xp, bids, share, w, boost)
        prices = xp.permute_dims((xp.max(others, axis=1, keepdims=True) - others) / w[:, None, None], (2, 0, 1))
        prices = xp.concat([xp.zeros_like(prices[..., :1]), prices], axis=-1)
        rows = xp.permute_dims(share, (1, 0, 2))
        rows = xp.concat([xp.zeros_like(rows[:, :1]), rows], axis=1)
        return Menu(xp.broadcast_to(rows, (bids.shape[0], *rows.shape)), prices)

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m): one outcome for all bidders, so that ties never hand an item out twice."""
        return affine_maximizer(bids, *self._arrays)

    @classmethod
    def symmetric_2x2(cls, one: float, both: float, split: float) -> AMA:
        """Symmetric deterministic AMA for 2 bidders and 2 items.

        Welfare loses `one` when one item is sold, `both` when both go to one bidder, `split` when they go to
        different bidders; (0, 0, 0) is VCG, (1/2, 1, 1) is item-wise Myerson on U[0, 1].
        """
        shares, boosts = [], []
        for owners in itertools.product((None, 0, 1), repeat=2):
            sold = [owner for owner in owners if owner is not None]
            shares.append([[float(owner == i) for owner in owners] for i in range(2)])
            boosts.append(0.0 if not sold else -one if len(sold) == 1 else -both if sold[0] == sold[1] else -split)
        return cls(_tuples(shares), (1.0, 1.0), tuple(boosts))


@dataclasses.dataclass(frozen=True)
class VCG(Mechanism):
    """Vickrey-Clarke-Groves: welfare-maximising allocation, everyone pays the harm to the others.

    Additive: each item by second price. Unit demand: a best matching of bidders to items (ties to the first in a
        fixed order).
    """

    demand: str = "additive"

    truthful = True
    individually_rational = True
    deterministic = True

    def __post_init__(self) -> None:
        """Check the demand."""
        if self.demand not in DEMANDS:
            raise ValueError(f"demand: must be one of {DEMANDS}, got {self.demand!r}")

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m)."""
        if self.demand == "additive" or bids.shape[-1] == 1:
            return second_price(bids)
        matchings = _matchings(int(bids.shape[1]), int(bids.shape[2]))
        if matchings is not None:
            return affine_maximizer(bids, matchings, np.ones(bids.shape[1]), np.zeros(len(matchings)))
        return _assignment_vcg(bids)


@functools.lru_cache(maxsize=32)
def _matchings(bidders: int, items: int) -> Array | None:
    """All matchings (T, n, m), the empty one first, or None when there are too many to list."""
    owners: list[tuple[int | None, ...]] = [()]
    for _ in range(bidders):
        owners = [(*row, item) for row in owners for item in (None, *range(items)) if item is None or item not in row]
        if len(owners) > _ENUMERATED:
            return None
    return np.array([[[float(item == j) for j in range(items)] for item in row] for row in owners])


def _assignment_vcg(bids: Array) -> Outcome:
    """Unit-demand VCG by one assignment problem for each lane and one more for each of its winners."""
    from scipy.optimize import linear_sum_assignment

    xp = array_api_compat.array_namespace(bids)
    reports = np.asarray(
        array_api_compat.to_device(bids.detach() if hasattr(bids, "detach") else bids, "cpu"), dtype=np.float64
    )
    batch, n, m = reports.shape
    shares, without = np.zeros((batch, n, m)), np.zeros((batch, n, n, m))
    for lane in range(batch):
        rows, columns = linear_sum_assignment(reports[lane], maximize=True)
        shares[lane, rows, columns] = reports[lane, rows, columns] > 0.0
        for i in range(n):
            if shares[lane, i].any():
                rest = np.delete(np.arange(n), i)
                others, taken = linear_sum_assignment(reports[lane, rest], maximize=True)
                without[lane, i, rest[others], taken] = 1.0
            else:
                without[lane, i] = shares[lane]
    share, best = like(xp, shares, bids), like(xp, without, bids)
    own = xp.sum(bids * share, axis=-1)
    harm = xp.sum(best * bids[:, None], axis=(2, 3)) - (xp.sum(own, axis=-1, keepdims=True) - own)
    return Outcome(share, xp.maximum(harm, xp.zeros_like(harm)))


@dataclasses.dataclass(frozen=True)
class ItemwiseMyerson(Mechanism):
    """Myerson's optimal auction for each item alone.

    The largest nonnegative ironed virtual value wins and pays the smallest winning value.

    Bidders tied in virtual value share the item as if a fair coin ordered them, each order paying its own threshold
    (Myerson 1981). The optimum for one item; with several a standard baseline. `prior` must have independent values.
    """

    prior: Prior

    truthful = True
    individually_rational = True
    deterministic = True

    def __post_init__(self) -> None:
        """Accept a prior, or its `to_dict` record."""
        if isinstance(self.prior, dict):
            object.__setattr__(self, "prior", prior_from_dict(self.prior))
        if not isinstance(self.prior, Prior) or self.prior.marginals is None:
            raise ValueError(f"prior: must be a prior of independent values, got {self.prior!r}")

    def check_size(self, bidders: int, items: int) -> None:
        """The prior fixes both numbers."""
        _same_size((self.prior.bidders, self.prior.items), bidders, items)

    @functools.cached_property
    def _tables(self) -> tuple[tuple[VirtualValue, ...], ...]:
        return tuple(tuple(iron(law) for law in row) for row in self.prior.marginals or ())

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m)."""
        xp = array_api_compat.array_namespace(bids)
        virtual = self._each(xp, "__call__", bidder_rows(xp, bids))
        top, second = virtual[0], xp.full_like(virtual[0], -np.inf)
        for i in range(1, virtual.shape[0]):
            second = xp.maximum(second, xp.minimum(top, virtual[i]))
            top = xp.maximum(top, virtual[i])
        wins = xp.astype((virtual >= top) & (virtual >= 0), bids.dtype)
        winners = xp.sum(wins, axis=0)
        share = wins * (1.0 / xp.maximum(winners, xp.ones_like(winners)))
        # A lone winner meets the runners-up tied at the second level in random order: first among them it pays the
        # lower end of that level, otherwise the upper end.
        lone = xp.astype((second >= 0) & (winners == 1), bids.dtype)
        runners = lone * xp.sum(xp.astype(virtual == second, bids.dtype), axis=0)
        level = xp.maximum(second, xp.zeros_like(top))[None]
        first, after = self._each(xp, "price", level), self._each(xp, "upper_price", level)
        price = (first + runners * after) / (1.0 + runners)
        return as_outcome(xp, share, xp.sum(share * price, axis=1))

    def _each(self, xp: Array, method: str, rows: Array) -> Array:
        """Apply each bidder's and item's table to rows (n, m, B), or (1, m, B) for all bidders alike."""
        tables = self._tables
        if all(table is tables[0][0] for row in tables for table in row):
            return getattr(tables[0][0], method)(rows)
        pick = range(len(tables)) if rows.shape[0] > 1 else [0] * len(tables)
        return xp.stack(
            [
                xp.stack([getattr(table, method)(rows[i, j]) for j, table in enumerate(own)])
                for i, own in zip(pick, tables, strict=True)
            ]
        )


@dataclasses.dataclass(frozen=True)
class BundleMyerson(Mechanism):
    """All items as one lot by second price with a `reserve`, usually the monopoly price of the sum (`of`)."""

    reserve: float

    truthful = True
    individually_rational = True
    deterministic = True

    def __post_init__(self) -> None:
        """Check the reserve."""
        reserve = per_item("reserve", self.reserve)
        if isinstance(reserve, tuple):
            raise ValueError(f"reserve: the bundle has one reserve, got {self.reserve!r}")
        object.__setattr__(self, "reserve", reserve)

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m)."""
        return bundle_sale(bids, "second", self.reserve)

    @classmethod
    def of(cls, prior: Prior) -> BundleMyerson:
        """The sale whose reserve is the monopoly price of the bundle (`walras.envs.auctions.bundles.bundle_reserve`).

        Raises:
            ValueError: the values are not independent, or the bidders' laws differ.
        """
        from walras.envs.auctions.bundles import bundle_reserve

        return cls(bundle_reserve(prior))


@dataclasses.dataclass(frozen=True)
class PostedMenu(MenuMechanism):
    """One bidder chooses from options `items` (K, m) at `prices` (K,).

    The null option is put first unless it is there (Rochet 1987).
    """

    items: tuple[tuple[float, ...], ...]
    prices: tuple[float, ...]
    demand: str = "additive"

    truthful = True
    individually_rational = True

    def __post_init__(self) -> None:
        """Check the options."""
        items, prices = _floats("items", self.items, 2), _floats("prices", self.prices, 1)
        if self.demand not in DEMANDS:
            raise ValueError(f"demand: must be one of {DEMANDS}, got {self.demand!r}")
        if prices.shape != items.shape[:1]:
            raise ValueError(f"items, prices: shapes (K, m), (K,) do not fit: {items.shape}, {prices.shape}")
        if np.any(items < 0.0) or np.any(items > 1.0):
            raise ValueError("items: must be probabilities in [0, 1]")
        if self.demand == "unit" and np.any(items.sum(axis=1) > 1.0 + 1e-9):
            raise ValueError("items: with unit demand each option must sum to at most 1")
        if np.any(prices < 0.0):
            raise ValueError(f"prices: must be nonnegative, got {self.prices!r}")
        if items[0].any() or prices[0] != 0.0:
            items, prices = np.concatenate((np.zeros((1, items.shape[1])), items)), np.concatenate(([0.0], prices))
        object.__setattr__(self, "items", _tuples(items.tolist()))
        object.__setattr__(self, "prices", _tuples(prices.tolist()))

    @functools.cached_property
    def _arrays(self) -> tuple[Array, Array]:
        return np.array(self.items), np.array(self.prices)

    @property
    def deterministic(self) -> bool:
        """Whether every option is a plain bundle."""
        items = self._arrays[0]
        return bool(np.all((items == 0.0) | (items == 1.0)))

    def check_size(self, bidders: int, items: int) -> None:
        """One bidder; the options fix the number of items."""
        _same_size((1, len(self.items[0])), bidders, items)

    def menus(self, bids: Array) -> Menu:
        """The same menu in every lane."""
        xp = array_api_compat.array_namespace(bids)
        items, prices = (like(xp, part, bids) for part in self._arrays)
        batch = bids.shape[0]
        return Menu(
            xp.broadcast_to(items, (batch, 1, *items.shape)), xp.broadcast_to(prices, (batch, 1, *prices.shape))
        )


def _floats(name: str, entries: object, dimensions: int) -> Any:
    try:
        array = np.array(entries, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: must be a full grid of numbers") from None
    if array.ndim != dimensions or array.size == 0 or not np.all(np.isfinite(array)):
        raise ValueError(f"{name}: must be finite, with {dimensions} axes of length >= 1, got shape {array.shape}")
    return array


def _tuples(entries: Any) -> Any:
    return tuple(_tuples(entry) for entry in entries) if isinstance(entries, list) else entries


def _same_size(size: tuple[int, ...], bidders: int, items: int) -> None:
    if tuple(size) != (bidders, items):
        raise ValueError(f"bids: the mechanism is for {size[0]} bidders and {size[1]} items, got {bidders} and {items}")
