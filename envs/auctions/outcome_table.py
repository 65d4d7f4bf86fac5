"""A direct mechanism for finitely many types, written out: allocation and payments for every profile of types.

What a linear program over finite types finds, and the plainest form in which a mechanism can be checked.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import array_api_compat
import numpy as np

from walras.envs.auctions.mechanism import DEMANDS, Array, Outcome
from walras.envs.auctions.tables import Tables, check_dyadic


@dataclasses.dataclass(frozen=True, eq=False)
class OutcomeTable(Tables):
    """Allocation and payments for every profile of finitely many types.

    A report that is none of the bidder's types is read as the nearest one (least Euclidean distance, the lowest
    number at ties). `truthful` and `individually_rational` say what holds exactly for bidders of the listed types;
    feasibility is checked by `walras.envs.auctions.certify`.

    Attributes:
        types: for each bidder an array (T_i, m) of different values >= 0.
        allocation: (T_1 ... T_n, n, m) probabilities, profiles row-major with the last bidder's type fastest.
        payment: (T_1 ... T_n, n).
        demand: "additive" or "unit".
        bits: every number above is a multiple of 2^-bits.
    """

    types: tuple[Any, ...]
    allocation: Any
    payment: Any
    demand: str = "additive"
    bits: int = 40

    def __post_init__(self) -> None:
        """Check shapes, ranges and that every number is a multiple of 2^-bits."""
        if self.demand not in DEMANDS:
            raise ValueError(f"demand: must be one of {DEMANDS}, got {self.demand!r}")
        if isinstance(self.bits, bool) or not isinstance(self.bits, int) or self.bits < 1:
            raise ValueError(f"bits: must be a whole number of at least 1, got {self.bits!r}")
        types = tuple(check_dyadic(f"types[{i}]", own, self.bits, 2) for i, own in enumerate(self.types))
        if not types or len({own.shape[1] for own in types}) != 1:
            raise ValueError("types: one array (T_i, m) for each bidder is needed, with one m")
        for i, own in enumerate(types):
            if np.any(own < 0.0) or len(np.unique(own, axis=0)) != len(own):
                raise ValueError(f"types[{i}]: must be nonnegative and different from each other")
        profiles, n, m = math.prod(len(own) for own in types), len(types), types[0].shape[1]
        allocation = check_dyadic("allocation", self.allocation, self.bits, 3)
        payment = check_dyadic("payment", self.payment, self.bits, 2)
        if allocation.shape != (profiles, n, m) or payment.shape != (profiles, n):
            raise ValueError(
                f"allocation, payment: need shapes {(profiles, n, m)}, {(profiles, n)}, "
                f"got {allocation.shape}, {payment.shape}"
            )
        if np.any(allocation < 0.0) or np.any(allocation > 1.0):
            raise ValueError("allocation: must be probabilities in [0, 1]")
        if self.demand == "unit" and any(math.fsum(row) > 1.0 for row in allocation.reshape(-1, m).tolist()):
            raise ValueError("allocation: with unit demand each bidder's row must sum to at most 1")
        for name, entry in (("types", types), ("allocation", allocation), ("payment", payment)):
            object.__setattr__(self, name, entry)

    @property
    def bidders(self) -> int:
        """Number n of bidders."""
        return len(self.types)

    @property
    def items(self) -> int:
        """Number m of items."""
        return int(self.types[0].shape[1])

    @property
    def deterministic(self) -> bool:
        """Whether every allocation is a plain assignment."""
        return bool(np.all((self.allocation == 0.0) | (self.allocation == 1.0)))

    @functools.cached_property
    def _regret(self) -> tuple[bool, bool]:
        from walras.envs.auctions.certify.finite import check_incentives

        found = check_incentives(self)
        return found.least_gap >= 0, found.least_utility >= 0

    @property
    def truthful(self) -> bool:
        """Whether no listed type gains by another report, whatever the others report; decided in whole numbers."""
        return self._regret[0]

    @property
    def individually_rational(self) -> bool:
        """Whether no truthful listed type ever has negative utility; decided in whole numbers."""
        return self._regret[1]

    def check_size(self, bidders: int, items: int) -> None:
        """The table fixes both numbers."""
        if (bidders, items) != (self.bidders, self.items):
            raise ValueError(
                f"bids: the mechanism is for {self.bidders} bidders and {self.items} items, got {bidders} and {items}"
            )

    def profile(self, bids: Array) -> Array:
        """Row number (B,) in the table of the profile of types that `bids` (B, n, m) are read as."""
        xp = array_api_compat.array_namespace(bids)
        device = array_api_compat.device(bids)
        number = xp.zeros((bids.shape[0],), dtype=xp.int64, device=device)
        for i, own in enumerate(self.types):
            listed = xp.asarray(own.copy(), device=device)
            distance = xp.sum((xp.astype(bids[:, i, None, :], xp.float64) - listed) ** 2, axis=-1)
            number = number * len(own) + xp.argmin(distance, axis=-1)
        return number

    def outcome(self, bids: Array) -> Outcome:
        """The table's outcome for `bids` (B, n, m)."""
        xp = array_api_compat.array_namespace(bids)
        row, device = self.profile(bids), array_api_compat.device(bids)
        allocation, payment = (xp.asarray(a.copy(), device=device) for a in (self.allocation, self.payment))
        return Outcome(xp.astype(allocation[row], bids.dtype), xp.astype(payment[row], bids.dtype))

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The tables, and the facts that are not tables."""
        arrays = {f"types_{i}": own for i, own in enumerate(self.types)}
        facts = {"bidders": self.bidders, "demand": self.demand, "bits": self.bits}
        return arrays | {"allocation": self.allocation, "payment": self.payment}, facts

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> OutcomeTable:
        """Rebuild from `to_arrays`; everything is checked again."""
        types = tuple(arrays[f"types_{i}"] for i in range(facts["bidders"]))
        return cls(types, arrays["allocation"], arrays["payment"], facts["demand"], facts["bits"])
