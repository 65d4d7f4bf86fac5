"""Families of auctions that a vector of numbers describes: what the designer's action means."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import array_api_compat
import numpy as np

from walras.envs.auctions.mechanism import Array, Outcome
from walras.envs.auctions.node_menus import bundles, node_price_sale, nodes
from walras.envs.auctions.sales import first_price, posted_price, second_price
from walras.envs.auctions.truthful import affine_maximizer

LISTED = 4096
"""Most assignments that the affine maximiser lists."""

PRICES = 20_000
"""Most prices that a table of node menus holds."""


class Family(abc.ABC):
    """Mechanisms for n bidders and m items, indexed by k numbers.

    Attributes:
        low: (k,) smallest parameters.
        high: (k,) largest parameters.
    """

    low: Array
    high: Array

    def __init__(self, bidders: int, items: int, low: Array, high: Array, demand: str, grid: int) -> None:
        """Size of the auction, bounds (m,) of the values, `demand`, and the fineness of families that have a grid."""
        self.bidders, self.items, self.demand, self.grid = bidders, items, demand, grid
        self.value_low, self.value_high = low, high
        self.low, self.high = self.bounds()

    def bounds(self) -> tuple[Array, Array]:
        """Smallest and largest parameters, (k,) each; a price for each item unless a family says otherwise."""
        return np.zeros(self.items), self.value_high

    @abc.abstractmethod
    def outcome(self, bids: Array, design: Array) -> Outcome:
        """Outcome for `bids` (N, n, m) under `design` (N, k), one row a profile."""


class Reserve(Family):
    """Second price with a reserve for each item."""

    sale: ClassVar[Callable[..., Outcome]] = staticmethod(second_price)

    def outcome(self, bids: Array, design: Array) -> Outcome:
        """Item-wise sale at the reserves `design` (N, m)."""
        return self.sale(bids, design)


class FirstPriceReserve(Reserve):
    """First price with a reserve for each item."""

    sale: ClassVar[Callable[..., Outcome]] = staticmethod(first_price)


class Posted(Family):
    """A price for each item, bidders served in index order."""

    def outcome(self, bids: Array, design: Array) -> Outcome:
        """Purchases at the prices `design` (N, m)."""
        return posted_price(bids, design, self.demand)


class Affine(Family):
    """Affine maximisers over all assignments of items: n bidder weights, then a boost for each assignment.

    The first assignment sells nothing; its boost is fixed at 0.
    """

    def bounds(self) -> tuple[Array, Array]:
        """Weights in [0.1, 1], boosts up to the sum of the largest values either way."""
        listed = (self.bidders + 1) ** self.items
        if listed > LISTED:
            raise ValueError(
                f"family: 'ama' lists all {listed} assignments of {self.items} items to {self.bidders} bidders, "
                f"at most {LISTED} are allowed: take fewer bidders or items"
            )
        owners = np.array(list(itertools.product(range(-1, self.bidders), repeat=self.items)))  # -1: sold to nobody
        allocations = (owners[:, None, :] == np.arange(self.bidders)[None, :, None]).astype(np.float64)
        if self.demand == "unit":
            allocations = allocations[(allocations.sum(axis=2) <= 1).all(axis=1)]
        self.allocations = allocations
        total, count = float(self.value_high.sum()), len(allocations)
        low = np.concatenate([np.full(self.bidders, 0.1), np.full(count, -total)])
        return low, np.concatenate([np.ones(self.bidders), np.full(count, total)])

    def outcome(self, bids: Array, design: Array) -> Outcome:
        """The affine maximiser of each run of equal designs (the profiles of one lane lie together)."""
        rows = np.asarray(design)
        edges = np.flatnonzero(np.any(rows[1:] != rows[:-1], axis=1)) + 1
        parts = []
        for start, end in itertools.pairwise([0, *edges.tolist(), len(rows)]):
            weights, boosts = rows[start, : self.bidders], rows[start, self.bidders :].copy()
            boosts[0] = 0.0
            parts.append(affine_maximizer(bids[start:end], self.allocations, weights, boosts))
        if len(parts) == 1:
            return parts[0]
        xp: Any = array_api_compat.array_namespace(bids)
        return Outcome(*(xp.concat(list(fields)) for fields in zip(*parts, strict=True)))


class NodeMenu(Family):
    """One table of prices at grid nodes of the others' reports, shared by all bidders (`node_menus`)."""

    def bounds(self) -> tuple[Array, Array]:
        """A bundle's price lies between 0 and its largest value."""
        count = nodes(self.bidders, self.items, self.grid)
        count *= self.items if self.demand == "unit" else 2**self.items - 1
        if count > PRICES:
            raise ValueError(
                f"family: 'node-menu' with grid={self.grid}, items={self.items}, bidders={self.bidders} needs "
                f"more than {PRICES} prices: take a smaller grid, fewer items or bidders"
            )
        options = bundles(self.items, self.demand)
        self.shape = (nodes(self.bidders, self.items, self.grid), len(options))
        high = np.broadcast_to(options @ self.value_high, self.shape).ravel()
        return np.zeros(len(high)), high

    def outcome(self, bids: Array, design: Array) -> Outcome:
        """Every bidder's best option at the prices `design` (N, nodes * K)."""
        prices = design.reshape(-1, *self.shape)
        return node_price_sale(
            bids, prices, grid=self.grid, low=self.value_low, high=self.value_high, demand=self.demand
        )


FAMILIES: dict[str, type[Family]] = {
    "reserve": Reserve,
    "first-price-reserve": FirstPriceReserve,
    "posted-price": Posted,
    "ama": Affine,
    "node-menu": NodeMenu,
}
