"""A direct mechanism given by its bidders' truthful utilities, which are affine on simplices of their own report.

A direct mechanism is truthful exactly where each bidder's utility is convex in its own value and the allocation is a
subgradient of it (Rochet 1987). Here the utility is the table, the allocation its gradient and the payment what is
left, so nothing else has to be believed. Values of every bidder are cut into the Kuhn simplices of a grid, and the
utility may be any other convex function for every tuple of simplices of the others.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import array_api_compat
import numpy as np

from walras.envs.auctions import kuhn
from walras.envs.auctions.mechanism import Array, Outcome, dot
from walras.envs.auctions.tables import Tables, check_dyadic, check_format


@dataclasses.dataclass(frozen=True, eq=False)
class UtilityTable(Tables):
    """Utilities at grid nodes of the own report, for every tuple of simplices of the others' reports.

    A report outside the box is read as the bound, and a report on a shared face belongs to the simplex that
    `walras.envs.auctions.kuhn.locate` names. The allocation is not stored: it is the gradient of the utility. That it
    lies in [0, 1] and gives no item twice is checked by `walras.envs.auctions.certify`.

    Attributes:
        low: (n, m) lower ends of the values.
        high: (n, m) upper ends, above `low`.
        utilities: (n, S^(n - 1), (grid + 1)^m) utility of the truthful report, with S = grid^m m! simplices of one
            bidder's values; the others' simplices row-major in index order, own nodes row-major.
        grid: g >= 1, cells a side of each bidder's box.
        demand: "additive" or "unit".
        bits: every number above is a multiple of 2^-bits.
    """

    low: Any
    high: Any
    utilities: Any
    grid: int
    demand: str = "additive"
    bits: int = 40

    def __post_init__(self) -> None:
        """Check shapes and that every number is a multiple of 2^-bits."""
        check_format(self, "grid", "bits")
        low, high = (check_dyadic(name, getattr(self, name), self.bits, 2) for name in ("low", "high"))
        if low.shape != high.shape or np.any(low < 0.0) or np.any(high <= low):
            raise ValueError("low, high: must be (n, m) with 0 <= low < high")
        n, m = low.shape
        utilities = check_dyadic("utilities", self.utilities, self.bits, 3)
        expected = (n, kuhn.count(self.grid, m) ** (n - 1), (self.grid + 1) ** m)
        if utilities.shape != expected:
            raise ValueError(f"utilities: must have shape {expected}, got {utilities.shape}")
        for name, entry in (("low", low), ("high", high), ("utilities", utilities)):
            object.__setattr__(self, name, entry)

    @property
    def bidders(self) -> int:
        """Number n of bidders."""
        return int(self.low.shape[0])

    @property
    def items(self) -> int:
        """Number m of items."""
        return int(self.low.shape[1])

    @functools.cached_property
    def _findings(self) -> tuple[bool, bool]:
        from walras.envs.auctions.certify.convex import findings

        found = findings(self)
        return found.convex, found.nonnegative

    @property
    def truthful(self) -> bool:
        """Whether every utility is convex and every allocation lies in [0, 1]; decided in whole numbers."""
        return self._findings[0]

    @property
    def individually_rational(self) -> bool:
        """Whether no utility is negative; decided in whole numbers."""
        return self._findings[1]

    @property
    def deterministic(self) -> bool:
        """Whether every allocation is a plain assignment."""
        return bool(np.all((self._gradients == 0.0) | (self._gradients == 1.0)))

    def check_size(self, bidders: int, items: int) -> None:
        """The table fixes both numbers."""
        if (bidders, items) != self.low.shape:
            raise ValueError(
                f"bids: the mechanism is for {self.bidders} bidders and {self.items} items, got {bidders} and {items}"
            )

    @functools.cached_property
    def nodes(self) -> Array:
        """Nodes (S, m + 1) of each simplex of one bidder's values, the low corner first."""
        m = self.items
        corners = kuhn.vertices(np.arange(kuhn.count(self.grid, m)), self.grid, m)
        stride = np.array([(self.grid + 1) ** (m - 1 - j) for j in range(m)], dtype=np.int64)
        return (corners * stride).sum(axis=-1)

    @functools.cached_property
    def _gradients(self) -> Array:
        """Allocations (n, S^(n - 1), S, m)."""
        m = self.items
        simplices = np.arange(kuhn.count(self.grid, m))
        order = kuhn.orders(m)[simplices % len(kuhn.orders(m))]
        rise = np.diff(self.utilities[:, :, self.nodes], axis=-1)  # along the steps of the order
        result = np.empty_like(rise)
        np.put_along_axis(result, np.broadcast_to(order, rise.shape), rise * self.grid, axis=-1)
        return result / (self.high - self.low)[:, None, None, :]

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m), found in float64 and returned in the precision of the bids."""
        xp = array_api_compat.array_namespace(bids)
        device = array_api_compat.device(bids)

        def put(array: Array) -> Array:
            return xp.asarray(array.copy(), device=device)

        low, high = put(self.low), put(self.high)
        reports = xp.clip(xp.astype(bids, xp.float64), low, high)
        unit = (reports - low) / (high - low)
        places = [kuhn.locate(unit[:, i], self.grid) for i in range(self.bidders)]
        count = kuhn.count(self.grid, self.items)
        nodes, corners = put(self.nodes), put(kuhn.vertices(np.arange(count), self.grid, self.items)[:, 0] / self.grid)
        allocation, payment = [], []
        for i in range(self.bidders):
            row = 0 * places[i]
            for j in range(self.bidders):
                if j != i:
                    row = row * count + places[j]
            share = put(self._gradients[i])[row, places[i]]
            start = low[i] + (high[i] - low[i]) * corners[places[i]]
            utility = put(self.utilities[i])[row, nodes[places[i], 0]] + dot(share, reports[:, i] - start)
            allocation.append(share)
            payment.append(dot(share, reports[:, i]) - utility)
        return Outcome(
            xp.astype(xp.stack(allocation, axis=1), bids.dtype), xp.astype(xp.stack(payment, axis=1), bids.dtype)
        )

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The tables, and the facts that are not tables."""
        arrays = {"low": self.low, "high": self.high, "utilities": self.utilities}
        return arrays, {"grid": self.grid, "demand": self.demand, "bits": self.bits}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> UtilityTable:
        """Rebuild from `to_arrays`; everything is checked again."""
        tables = arrays["low"], arrays["high"], arrays["utilities"]
        return cls(*tables, facts["grid"], facts["demand"], facts["bits"])
