"""Bertrand: firms compete in prices of the same good."""

from __future__ import annotations

import math
from collections.abc import Mapping

from walras.envs.arguments import whole
from walras.envs.classical.stage import Deterministic, StageGame, StageState, between
from walras.envs.game import Array, Policy, Truth

_BERTRAND = "Bertrand (1883); Tirole (1988), sec. 5.1; on a grid: no gain from undercutting below the cost"


class Bertrand(StageGame, Deterministic[StageState]):
    """Firms with the same constant unit cost set prices of one good; the cheapest serves the market.

    ## Description
    Buyers want one unit altogether and pay at most `high`. The firms with the lowest price p share it equally: each
    of k of them earns (p - c) / k, the others nothing. Prices lie on a grid, as money does: on a continuum there is
    no best way to undercut. All decide at once; with `rounds=T` they meet T times.

    ## Action space
    `Discrete(g)`: own price on `linspace(low, high, g)`.

    ## Observation space
    A single round: one zero. Several rounds:

    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0 | share of rounds played | 0 | 1 |
    | 1 | own last price | low | high |
    | 2..n | the other firms' last prices | low | high |

    ## Rewards
    Own profit of the round.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    `price`, `quantity`, `profit` of the round last played.

    Source: Bertrand (1883), Journal des Savants; Tirole (1988), The Theory of Industrial Organization, sec. 5.1.
    """

    def __init__(
        self,
        firms: int = 2,
        *,
        cost: float = 1.0,
        low: float = 0.0,
        high: float = 10.0,
        grid: int = 11,
        rounds: int = 1,
    ) -> None:
        """Set the parameters.

        Args:
            firms: n >= 2.
            cost: c of one unit, `low <= c < high`.
            low: lowest price, >= 0.
            high: highest price, what the buyers can pay, > `low`.
            grid: number of prices, >= 2.
            rounds: T >= 1.

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.firms = whole("firms", firms, 2)
        whole("grid", grid, 2)
        between("high", high, 0, math.inf)
        if low != 0:
            between("low", low, 0, high, " (the highest price), or be 0")
        self.cost = (
            cost if cost == low else between("cost", cost, low, high, " (the lowest and highest price), or be `low`")
        )
        super().__init__("firm", firms, low, high, rounds, grid)

    def outcome(self, action: Array) -> tuple[Array, dict[str, Array]]:
        """Profits, with prices and sales."""
        cheapest = action == action.min(axis=1, keepdims=True)
        sales = cheapest / cheapest.sum(axis=1, keepdims=True)
        profit = (action - self.cost) * sales
        return profit, {"price": action, "quantity": sales, "profit": profit}

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """The lowest price of the grid that covers the cost, each."""
        return self.everybody(self._price())

    def truths(self) -> tuple[Truth, ...]:
        """Equilibrium, cartel and competitive outcome of one round."""
        n, margin = self.firms, self.high - self.cost
        return (
            Truth("price in equilibrium", self._price(), "equilibrium", _BERTRAND),
            Truth("firm's profit in equilibrium", (self._price() - self.cost) / n, "equilibrium", _BERTRAND),
            Truth("all firms' largest joint profit", margin, "optimum", "the buyers' unit at the highest price"),
            Truth("competitive price", self.cost, "bound", "Bertrand (1883): equilibrium as the grid becomes fine"),
            Truth("largest total surplus", margin, "identity", "the buyers' unit changes hands at any price"),
        )

    def _price(self) -> float:
        assert self.levels is not None
        # Rounding in linspace must not lift the price that equals the cost above it.
        return float(self.levels[self.levels >= self.cost - 1e-9 * (self.high - self.low)][0])
