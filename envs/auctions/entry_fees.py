"""Affine maximisers with entry fees: who would gain less than its fee stays out, everybody else gets what it got.

Bidder i's fee depends on the others' reports alone. In terms of menus the same amount is added to the price of every
option but the null one, so that each bidder keeps its option or leaves: truthfulness is that of a menu, and what is
left of a feasible outcome when some leave is feasible. (VCG with entry fees: Yao 2015, An n-to-1 bidder reduction for
multi-item auctions and its applications; Cai, Devanur and Weinberg 2016, A duality based unified approach to Bayesian
mechanism design.)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import array_api_compat
import numpy as np

from walras.envs.auctions.mechanism import Array, Menu, Outcome, dot, like
from walras.envs.auctions.node_menus import barycentric
from walras.envs.auctions.tables import TableMechanism
from walras.envs.auctions.truthful import AMA


@dataclasses.dataclass(frozen=True, eq=False)
class EntryFeeAMA(TableMechanism):
    """An affine maximiser whose bidders pay a fee to take part, affine between grid nodes of the others' reports.

    Attributes:
        base: the affine maximiser.
        low: (n, m) lower ends of the bidders' values; reports beyond are read as the bound, for the fees alone.
        high: (n, m) upper ends.
        grid: g >= 1, cells a side.
        fees: (n, (g + 1)^(m (n - 1))) fees at the nodes, nonnegative; nodes as in `SimplexMenus`.
    """

    base: AMA
    low: Any
    high: Any
    grid: int
    fees: Any

    truthful = True
    individually_rational = True

    def __post_init__(self) -> None:
        """Check shapes and that no fee is negative."""
        if not isinstance(self.base, AMA):
            raise ValueError(f"base: must be an AMA, got {self.base!r}")
        if isinstance(self.grid, bool) or not isinstance(self.grid, int | np.integer) or self.grid < 1:
            raise ValueError(f"grid: must be a whole number of at least 1, got {self.grid!r}")
        low, high, fees = (np.array(part, dtype=np.float64) for part in (self.low, self.high, self.fees))
        n, m = np.shape(self.base.allocations)[1:]
        expected = (n, (int(self.grid) + 1) ** (m * (n - 1)))
        if low.shape != (n, m) or high.shape != (n, m) or not np.all(low < high):
            raise ValueError(f"low, high: must be ({n}, {m}) with low < high")
        if fees.shape != expected or not np.all((fees >= 0.0) & np.isfinite(fees)):
            raise ValueError(f"fees: must be nonnegative and finite with shape {expected}, got shape {fees.shape}")
        for name, array in (("low", low), ("high", high), ("fees", fees)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "grid", int(self.grid))

    @property
    def demand(self) -> str:
        """That of the affine maximiser."""
        return self.base.demand

    @property
    def deterministic(self) -> bool:
        """Whether every outcome is a plain assignment."""
        return self.base.deterministic

    def check_size(self, bidders: int, items: int) -> None:
        """The outcomes fix both numbers."""
        self.base.check_size(bidders, items)

    def fee(self, bids: Array, bidder: int) -> Array:
        """Fees (B,) of `bidder` for `bids` (B, n, m); its own row is never looked at."""
        xp = array_api_compat.array_namespace(bids)
        batch, n, m = bids.shape
        table = like(xp, self.fees[bidder].copy(), bids)
        if n == 1:
            return xp.broadcast_to(table[0], (batch,))
        others = [o for o in range(n) if o != bidder]
        low, high = (like(xp, end[others], bids) for end in (self.low, self.high))
        point = (xp.stack([bids[:, o] for o in others], axis=1) - low) / (high - low)
        index, weight = barycentric(xp.clip(xp.reshape(point, (batch, (n - 1) * m)), 0.0, 1.0), self.grid)
        return xp.sum(weight * table[index], axis=1)

    def menus(self, bids: Array) -> Menu:
        """The menus of the affine maximiser, each option but the null one dearer by the fee."""
        xp = array_api_compat.array_namespace(bids)
        items, prices = self.base.menus(bids)
        fees = xp.stack([self.fee(bids, i) for i in range(bids.shape[1])], axis=1)
        return Menu(items, xp.concat([prices[..., :1], prices[..., 1:] + fees[..., None]], axis=-1))

    def outcome(self, bids: Array) -> Outcome:
        """One outcome for all bidders, of which those who gain less than their fee receive and pay nothing."""
        xp = array_api_compat.array_namespace(bids)
        allocation, payment = self.base.outcome(bids)
        fees = xp.stack([self.fee(bids, i) for i in range(bids.shape[1])], axis=1)
        stays = xp.astype(dot(bids, allocation) - payment >= fees, bids.dtype)
        return Outcome(allocation * stays[..., None], (payment + fees) * stays)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Fees, and the affine maximiser as arrays."""
        shares, weights, boosts = self._base_arrays
        arrays = {"low": self.low, "high": self.high, "fees": self.fees}
        arrays |= {"allocations": shares, "weights": weights, "boosts": boosts}
        return arrays, {"grid": self.grid, "demand": self.demand}

    @functools.cached_property
    def _base_arrays(self) -> tuple[Any, Any, Any]:
        return np.array(self.base.allocations), np.array(self.base.weights), np.array(self.base.boosts)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> EntryFeeAMA:
        """Rebuild from `to_arrays`; everything is checked again."""
        shares, weights, boosts = (arrays[name].tolist() for name in ("allocations", "weights", "boosts"))
        base = AMA(shares, weights, boosts, facts["demand"])
        return cls(base, arrays["low"], arrays["high"], facts["grid"], arrays["fees"])
