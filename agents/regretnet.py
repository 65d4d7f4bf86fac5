"""A direct mechanism that is a network: reports in, allocation and payments out (RegretNet, arXiv 1706.03459).

The allocation network ends in a softmax over bidders and nobody for each item (under unit demand the smaller of that
and a softmax over items and nothing for each bidder), so no item is promised twice. The payment network gives the
share of its reported value that each bidder pays, so nobody pays more than that. Nothing makes the truth the best
report: the mechanism does not claim it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import array_api_compat
import numpy as np

from walras.agents.dense import affine
from walras.envs.arguments import whole
from walras.envs.auctions.mechanism import DEMANDS, Array, Outcome, dot, like
from walras.envs.auctions.tables import Tables

Layers = Sequence[tuple[Array, Array]]


def network_outcome(
    bids: Array, allocation: Layers, payment: Layers, *, demand: str = "additive", scale: float = 1.0
) -> Outcome:
    """Allocation (B, n, m) and payments (B, n) that two networks give to `bids` (B, n, m), numpy or torch.

    Args:
        bids: reports.
        allocation: layers (matrix (out, in), bias (out,)), tanh between them; the last gives (n + 1)(m + 1) logits,
            twice as many under unit demand.
        payment: likewise; the last gives n logits.
        demand: `"additive"` or `"unit"`.
        scale: reports are divided by it before they enter the networks.
    """
    xp = array_api_compat.array_namespace(bids)
    batch, n, m = bids.shape
    x = xp.reshape(bids, (batch, n * m)) / scale
    logits = _apply(xp, x, allocation)
    size = (n + 1) * (m + 1)
    won = _softmax(xp, xp.reshape(logits[:, :size], (batch, n + 1, m + 1)), 1)[:, :n, :m]
    if demand == "unit":
        won = xp.minimum(won, _softmax(xp, xp.reshape(logits[:, size:], (batch, n + 1, m + 1)), 2)[:, :n, :m])
    share = 1.0 / (1.0 + xp.exp(-_apply(xp, x, payment)))
    return Outcome(won, share * dot(won, bids))


def _apply(xp: Any, x: Array, layers: Layers) -> Array:
    for k, (matrix, bias) in enumerate(layers):
        if k:
            x = xp.tanh(x)
        if isinstance(x, np.ndarray):  # a row must not depend on how many rows there are
            out = np.empty((len(x), len(bias)), x.dtype)
            affine(np.ascontiguousarray(x), matrix.T, bias, out)
            x = out
        else:
            x = x @ matrix.T + bias
    return x


def _as(xp: Any, part: Array, bids: Array) -> Array:
    """A read-only array as one of the kind of `bids`; torch gets a copy, for it would let it be written."""
    return like(xp, part if isinstance(bids, np.ndarray) else part.copy(), bids)


def _softmax(xp: Any, logits: Array, axis: int) -> Array:
    spread = xp.exp(logits - xp.max(logits, axis=axis, keepdims=True))
    return spread / xp.sum(spread, axis=axis, keepdims=True)


@dataclass(frozen=True, eq=False)
class RegretNetMechanism(Tables):
    """The mechanism of two trained networks, see `network_outcome`.

    Attributes:
        allocation: layers of the allocation network, float64 matrices (out, in) and biases (out,).
        payment: layers of the payment network.
        bidders: n.
        items: m.
        kind_of_demand: `"additive"` or `"unit"`.
        scale: what reports are divided by.
    """

    allocation: tuple[tuple[Array, Array], ...]
    payment: tuple[tuple[Array, Array], ...]
    bidders: int
    items: int
    kind_of_demand: str = "additive"
    scale: float = 1.0

    truthful = False
    individually_rational = True
    deterministic = False

    def __post_init__(self) -> None:
        """Check that the layers fit together; keep read-only copies."""
        n, m = whole("bidders", self.bidders), whole("items", self.items)
        if self.kind_of_demand not in DEMANDS:
            raise ValueError(f"kind_of_demand: must be one of {DEMANDS}, got {self.kind_of_demand!r}")
        if not 0.0 < self.scale < float("inf"):
            raise ValueError(f"scale: must be positive and finite, got {self.scale!r}")
        logits = (n + 1) * (m + 1) * (2 if self.kind_of_demand == "unit" else 1)
        for name, last in (("allocation", logits), ("payment", n)):
            layers, width = [], n * m
            for k, (matrix, bias) in enumerate(getattr(self, name)):
                matrix, bias = np.array(matrix, np.float64, order="C"), np.array(bias, np.float64)
                if matrix.ndim != 2 or matrix.shape[1] != width or bias.shape != matrix.shape[:1]:
                    raise ValueError(f"{name}: layer {k} has shapes {matrix.shape}, {bias.shape}; its input is {width}")
                if not (np.isfinite(matrix).all() and np.isfinite(bias).all()):
                    raise ValueError(f"{name}: layer {k} holds numbers that are not finite")
                matrix.flags.writeable = bias.flags.writeable = False
                layers.append((matrix, bias))
                width = len(bias)
            if not layers or width != last:
                raise ValueError(f"{name}: the last layer must give {last} numbers, got {width if layers else None}")
            object.__setattr__(self, name, tuple(layers))

    @property
    def demand(self) -> str:
        """Demand of the bidders it was trained for."""
        return self.kind_of_demand

    def check_size(self, bidders: int, items: int) -> None:
        """The networks fix both numbers."""
        if (bidders, items) != (self.bidders, self.items):
            raise ValueError(
                f"bids: the mechanism is for {self.bidders} bidders and {self.items} items, got {bidders} and {items}"
            )

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m)."""
        xp = array_api_compat.array_namespace(bids)
        nets = [[(_as(xp, weight, bids), _as(xp, bias, bids)) for weight, bias in net] for net in self._nets]
        return network_outcome(bids, *nets, demand=self.kind_of_demand, scale=self.scale)

    @property
    def _nets(self) -> tuple[tuple[tuple[Array, Array], ...], ...]:
        return self.allocation, self.payment

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Matrices and biases by name, as float32 where nothing is lost by it; the facts."""
        arrays = {}
        for net, layers in zip(("allocation", "payment"), self._nets, strict=True):
            for k, layer in enumerate(layers):
                for part, array in zip(("weight", "bias"), layer, strict=True):
                    small = array.astype(np.float32)
                    arrays[f"{net}.{k}.{part}"] = small if np.array_equal(small, array) else array
        return arrays, {
            "bidders": self.bidders, "items": self.items, "kind_of_demand": self.kind_of_demand, "scale": self.scale,
            "layers": [len(layers) for layers in self._nets],
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> Self:
        """Rebuild the mechanism, checking everything again.

        Raises:
            KeyError: an array or a fact is missing.
            ValueError: one is out of range.
        """

        def net(name: str, count: int) -> tuple[tuple[Array, Array], ...]:
            return tuple((arrays[f"{name}.{k}.weight"], arrays[f"{name}.{k}.bias"]) for k in range(count))

        first, second = (int(count) for count in facts["layers"])
        return cls(
            net("allocation", first),
            net("payment", second),
            facts["bidders"],
            facts["items"],
            facts["kind_of_demand"],
            float(facts["scale"]),
        )
