"""What a menu for one buyer is made of: options, what they are worth to a type, what the seller gains from a sale.

`Good` is all that the learner knows of what is sold. Items (auctions) are here; whoever sells something else, such as
statistical experiments or signed bundles of trades, writes another `Good`. Shapes: `B` types, `T` numbers of a type,
`K` options, `D` numbers of an option, `R` unconstrained numbers from which an option is made. Money is in the unit of
the values.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.envs.auctions.mechanism import DEMANDS
from walras.envs.auctions.node_menus import bundles
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.truthful import PostedMenu
from walras.envs.game import Array

if TYPE_CHECKING:
    from torch import Tensor

_UNIT = 2.0**-24  # of the numbers of a mechanism
_CUT = 0.01  # probabilities so near to 0 and 1 are moved there
_SPREAD, _CORNER = 3.0, 4.7  # unconstrained numbers: range of random options, of the smallest pure one


class Good(abc.ABC):
    """A kind of thing for sale and the law of the buyer's type.

    Attributes:
        draws: D uniforms on [0, 1) that one type takes.
        raw: R, unconstrained numbers of one option.
        scale: a difference of values between types that matters, in money; temperatures and steps are measured in it.
    """

    draws: int
    raw: int
    scale: float

    @abc.abstractmethod
    def types(self, uniforms: Array) -> Array:
        """Types (B, T) from uniforms (B, draws), float64."""

    @abc.abstractmethod
    def start(self, options: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Unconstrained numbers (K, R) and prices (K,) beyond `reference` to begin with."""

    @abc.abstractmethod
    def options(self, raw: Tensor) -> Tensor:
        """Options (K, D) from unconstrained numbers (K, R), differentiable and onto (up to limits) all options."""

    @abc.abstractmethod
    def null(self) -> Array:
        """The option (D,) that is always there at price 0."""

    @abc.abstractmethod
    def value(self, options: Tensor, types: Tensor) -> Tensor:
        """Value (B, K) of options (K, D) to types (B, T); it need not be linear."""

    def gain(self, options: Tensor, prices: Tensor, types: Tensor) -> Tensor:
        """What the seller gains (B, K) from an option sold at its price to a type; the price unless a good says else.

        It may depend on the type, as where the seller's cost does.
        """
        return prices.expand(types.shape[0], -1)

    def reference(self, options: Tensor) -> Tensor:
        """The part (K,) of prices that is not learned but follows from the option: 0, or what it costs on average."""
        return options.new_zeros(options.shape[0])

    def simpler(self, options: Array) -> Array:
        """Options (K, D) next to the given ones that are easier to read; taken where they gain as much."""
        return options

    def menu(self, options: Array, prices: Array) -> Any:
        """The learned menu as an object of the setting: options (K, D) and prices (K,), the null option first."""
        return options, prices

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """The good as JSON values, so that a file of one training is not taken for that of another."""


class Items(Good):
    """Probabilities of receiving each of m items: the menu is an auction for one bidder (RochetNet).

    Additive: each probability is the logistic function of its own number. Unit demand: a softmax over the items and
    nothing. Types are value vectors (m,), options probability vectors (m,).

    Source: Duetting et al., arXiv 1706.03459; Rochet 1987.
    """

    def __init__(self, prior: Prior, demand: str = "additive") -> None:
        """Items for one bidder.

        Args:
            prior: law of the values, for one bidder.
            demand: `"additive"` or `"unit"`.

        Raises:
            ValueError: if there are several bidders, or `demand` is unknown.
        """
        if prior.bidders != 1:
            raise ValueError(f"prior: a menu is for one bidder, got {prior.bidders}")
        if demand not in DEMANDS:
            raise ValueError(f"demand: must be one of {DEMANDS}, got {demand!r}")
        self.prior, self.demand, self.draws = prior, demand, prior.draws
        self.items = prior.items
        self.raw = self.items + (demand == "unit")
        # Twice the middle half of the values of the best option: a unit that also long tails have.
        values = self.types(np.random.Generator(np.random.Philox(0)).random((4096, self.draws)))
        best = values.max(axis=1) if demand == "unit" else values.sum(axis=1)
        low, high = np.quantile(best, (0.25, 0.75))
        self.scale = float(2.0 * (high - low) or np.ptp(best) or best.max())

    def types(self, uniforms: Array) -> Array:
        """Value vectors (B, m)."""
        values: Array = self.prior.transform(uniforms)[:, 0]
        return values

    def start(self, options: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """All bundles if there is room for them, then random options; prices near their mean value."""
        raw = rng.uniform(-_SPREAD, _SPREAD, (options, self.raw))
        if (self.items if self.demand == "unit" else 2**self.items - 1) <= options:
            pure = bundles(self.items, self.demand)
            # The last number under unit demand is that of nothing.
            pure = np.pad(pure, ((0, 0), (0, self.raw - self.items)))
            raw[: len(pure)] = _CORNER * (2.0 * pure - 1.0)
        share = self._shares(raw)
        mean = self.types(rng.random((1024, self.draws))).mean(axis=0)
        return raw, share @ mean * rng.uniform(0.8, 1.2, options)

    def _shares(self, raw: Array) -> Array:
        if self.demand == "additive":
            return np.asarray(1.0 / (1.0 + np.exp(-raw)))
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray((powers / powers.sum(axis=1, keepdims=True))[:, :-1])

    def options(self, raw: Tensor) -> Tensor:
        """Probabilities (K, m)."""
        shares = raw.sigmoid() if self.demand == "additive" else raw.softmax(dim=1)[:, :-1]
        # The last hundredth before 0 and 1 is cut off, with the slope of what is uncut: pure options are reached.
        wide = (1.0 + 2.0 * _CUT) * shares - _CUT
        return wide + (wide.clamp(0.0, 1.0) - wide).detach()

    def null(self) -> Array:
        """No item."""
        return np.zeros(self.items)

    def value(self, options: Tensor, types: Tensor) -> Tensor:
        """Values v . x."""
        return types @ options.T

    def simpler(self, options: Array) -> Array:
        """Probabilities within 0.05 of 0, 1/2 or 1 moved there."""
        halves = np.round(2.0 * options) / 2.0
        near: Array = np.where(np.abs(options - halves) < 0.05, halves, options)
        return near

    def menu(self, options: Array, prices: Array) -> PostedMenu:
        """The mechanism, its numbers rounded to multiples of 2^-24, so that files hold them exactly."""
        units = np.rint(np.clip(options, 0.0, 1.0) / _UNIT)
        if self.demand == "unit":
            over = np.maximum(units.sum(axis=1) - 1.0 / _UNIT, 0.0)
            units[np.arange(len(units)), units.argmax(axis=1)] -= over
        asked = np.maximum(np.rint(prices / _UNIT), 0.0) * _UNIT
        return PostedMenu(tuple(map(tuple, (units * _UNIT).tolist())), tuple(asked.tolist()), self.demand)

    def describe(self) -> dict[str, Any]:
        """Prior and demand."""
        return {"good": "Items", "prior": self.prior.to_dict(), "demand": self.demand}
