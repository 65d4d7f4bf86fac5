"""One of several mechanisms, picked by a public coin before the bids."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from walras.envs.auctions.mechanism import Array, Mechanism, Outcome


@dataclasses.dataclass(frozen=True)
class CoinMixture(Mechanism):
    """A public coin picks one of `mechanisms` before anybody reports.

    The outcome is the expected one over the coin, which is all that risk-neutral bidders care about. Every bidder
    knows which mechanism was picked, so the mixture is truthful, individually rational and feasible when each of its
    parts is. Used to treat alike bidders whom an order of treatment would set apart.

    Attributes:
        mechanisms: the parts, with the same demand.
        weights: probabilities > 0 that sum to 1 (to 1e-12).
    """

    mechanisms: tuple[Mechanism, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the parts and their probabilities."""
        parts, weights = tuple(self.mechanisms), tuple(float(weight) for weight in self.weights)
        if not parts or not all(isinstance(part, Mechanism) for part in parts):
            raise ValueError(f"mechanisms: at least one mechanism is needed, got {self.mechanisms!r}")
        if len({part.demand for part in parts}) != 1:
            raise ValueError(f"mechanisms: all must be for one demand, got {[part.demand for part in parts]}")
        if len(weights) != len(parts) or not all(weight > 0.0 for weight in weights):
            raise ValueError(f"weights: one positive weight for each of {len(parts)} mechanisms, got {self.weights!r}")
        if not abs(math.fsum(weights) - 1.0) <= 1e-12:
            raise ValueError(f"weights: must sum to 1, got {math.fsum(weights)!r}")
        object.__setattr__(self, "mechanisms", parts)
        object.__setattr__(self, "weights", weights)

    @property
    def demand(self) -> str:
        """Demand of the parts."""
        return self.mechanisms[0].demand

    @property
    def truthful(self) -> bool:
        """Whether every part is."""
        return all(part.truthful for part in self.mechanisms)

    @property
    def individually_rational(self) -> bool:
        """Whether every part is."""
        return all(part.individually_rational for part in self.mechanisms)

    @property
    def deterministic(self) -> bool:
        """Whether every part is; the expected outcome of `outcome` has fractions all the same."""
        return all(part.deterministic for part in self.mechanisms)

    def check_size(self, bidders: int, items: int) -> None:
        """Every part must be able to serve them."""
        for part in self.mechanisms:
            part.check_size(bidders, items)

    def draw(self, rng: np.random.Generator) -> Mechanism:
        """The mechanism that the coin picks."""
        return self.mechanisms[int(np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(), side="right"))]

    def outcome(self, bids: Array) -> Outcome:
        """Expected outcome over the coin for `bids` (B, n, m)."""
        parts = [part.outcome(bids) for part in self.mechanisms]
        allocation, payment = self.weights[0] * parts[0].allocation, self.weights[0] * parts[0].payment
        for weight, part in zip(self.weights[1:], parts[1:], strict=True):
            allocation, payment = allocation + weight * part.allocation, payment + weight * part.payment
        return Outcome(allocation, payment)

    @classmethod
    def even(cls, *mechanisms: Mechanism) -> CoinMixture:
        """Every mechanism with the same probability."""
        return cls(mechanisms, (1.0 / len(mechanisms),) * len(mechanisms))

    def to_dict(self) -> dict[str, Any]:
        """The mixture as plain JSON values."""
        parts = [part.to_dict() for part in self.mechanisms]
        return {"mechanism": "CoinMixture", "mechanisms": parts, "weights": list(self.weights)}
