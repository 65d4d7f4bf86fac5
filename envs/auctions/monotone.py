"""One item sold by increasing virtual values: who has the largest positive one wins and pays the least that wins.

Myerson's auction (1981) has this form with phi_i(v) = v - (1 - F_i(v)) / f_i(v), ironed. Here each phi_i is
min over k of max over j of (slope_kj v + offset_kj) with positive slopes, which comes close to every increasing
function: the form in which MyersonNet learns it (arXiv 1706.03459, section 4; Sill 1998, "Monotonic networks").
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import array_api_compat
import numpy as np

from walras.envs.auctions.mechanism import Array, Mechanism, Outcome, like

Grid = tuple[tuple[tuple[float, ...], ...], ...]


@dataclasses.dataclass(frozen=True)
class MonotoneAuction(Mechanism):
    """Sale of one item to n bidders by increasing virtual values phi_i; of equal ones the first bidder wins.

    Truthful: a bidder wins where its own report exceeds phi_i^-1 of the best other virtual value and of 0, and pays
    that, which the other reports alone determine.

    Attributes:
        slopes: (n, K, J), positive; one bidder's (1, K, J) serves all alike.
        offsets: of the same shape, in units of value.
        bidders: n.
    """

    slopes: Grid
    offsets: Grid
    bidders: int

    truthful = True
    individually_rational = True
    deterministic = True

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("slopes", "offsets"):
            try:
                array = np.array(getattr(self, name), dtype=np.float64)
            except (TypeError, ValueError):
                raise ValueError(f"{name}: must be a full grid (n, K, J) of numbers") from None
            if array.ndim != 3 or array.size == 0 or not np.isfinite(array).all():
                raise ValueError(f"{name}: must be finite of shape (n, K, J), got shape {array.shape}")
            object.__setattr__(self, name, tuple(tuple(map(tuple, rows)) for rows in array.tolist()))
        if isinstance(self.bidders, bool) or not isinstance(self.bidders, int) or self.bidders < 1:
            raise ValueError(f"bidders: must be an integer of at least 1, got {self.bidders!r}")
        slopes, offsets = self._arrays
        if slopes.shape != offsets.shape or len(slopes) not in (1, self.bidders):
            raise ValueError(
                f"slopes, offsets: need one shape (n, K, J) or (1, K, J) for {self.bidders} bidders, "
                f"got {slopes.shape} and {offsets.shape}"
            )
        if not (slopes > 0).all():
            raise ValueError("slopes: must be positive")

    @functools.cached_property
    def _arrays(self) -> tuple[Array, Array]:
        return np.array(self.slopes), np.array(self.offsets)

    def check_size(self, bidders: int, items: int) -> None:
        """One item; the functions fix the number of bidders."""
        if (bidders, items) != (self.bidders, 1):
            raise ValueError(f"bids: the mechanism is for {self.bidders} bidders and 1 item, got {bidders} and {items}")

    def virtual(self, values: Array) -> Array:
        """Virtual values (B, n) of values (B, n)."""
        xp = array_api_compat.array_namespace(values)
        slopes, offsets = (like(xp, part, values) for part in self._arrays)
        return xp.min(xp.max(slopes * values[:, :, None, None] + offsets, axis=3), axis=2)

    def price(self, levels: Array) -> Array:
        """Values (B, n) at which the virtual values of the bidders are `levels` (B, n)."""
        xp = array_api_compat.array_namespace(levels)
        slopes, offsets = (like(xp, part, levels) for part in self._arrays)
        return xp.max(xp.min((levels[:, :, None, None] - offsets) / slopes, axis=3), axis=2)

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, 1)."""
        xp: Any = array_api_compat.array_namespace(bids)
        virtual = self.virtual(bids[:, :, 0])
        winner = xp.argmax(virtual, axis=1)
        first = xp.arange(virtual.shape[1], device=array_api_compat.device(bids))[None] == winner[:, None]
        rest = xp.where(first, xp.full_like(virtual, -np.inf), virtual)
        level = xp.max(rest, axis=1)
        level = xp.maximum(level, xp.zeros_like(level))
        wins = xp.astype(first & (virtual > 0), bids.dtype)
        least = self.price(xp.broadcast_to(level[:, None], virtual.shape))
        # Nobody bids below 0, so a winning report below 0 is the report 0.
        least = xp.maximum(least, xp.zeros_like(least))
        return Outcome(wins[:, :, None], wins * least)
