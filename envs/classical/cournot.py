"""Cournot: firms compete in quantities."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from walras.envs.arguments import whole
from walras.envs.classical.stage import StageGame, between
from walras.envs.game import Array, Policy, Truth

_NASH = "Cournot (1838), ch. VII; Tirole (1988), sec. 5.4"


class Cournot(StageGame):
    """Firms with the same constant unit cost bring quantities of one good to market; the market finds the price.

    ## Description
    The price is P = max(0, a - b Q) for the total quantity Q, with `intercept` a and `slope` b. Firm i earns
    (P - c) q_i with unit `cost` c. All decide at once; with `rounds=T` they meet T times.

    ## Action space
    Own quantity, `Box(0, (a - c)/b, (1,))`: more than the whole competitive quantity never pays. With `grid=g`
    `Discrete(g)`, evenly spaced over it.

    ## Observation space
    A single round: one zero. Several rounds:

    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0 | share of rounds played | 0 | 1 |
    | 1 | own last quantity | 0 | (a - c)/b |
    | 2..n | the other firms' last quantities | 0 | (a - c)/b |

    ## Rewards
    Own profit of the round.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    `quantity`, `price`, `profit` of the round last played.

    Source: Cournot (1838), Recherches sur les principes mathématiques de la théorie des richesses, ch. VII; Tirole
    (1988), The Theory of Industrial Organization, sec. 5.4.
    """

    def __init__(
        self,
        firms: int = 3,
        *,
        intercept: float = 100.0,
        slope: float = 1.0,
        cost: float = 10.0,
        rounds: int = 1,
        grid: int | None = None,
    ) -> None:
        """Set the parameters.

        Args:
            firms: n >= 1.
            intercept: a > 0, the price at which nothing is sold.
            slope: b > 0, fall of the price per unit sold.
            cost: 0 <= c < a, of one unit.
            rounds: T >= 1.
            grid: number of quantities, >= 2; `None`: any quantity up to the bound.

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.firms = whole("firms", firms, 1)
        self.intercept = between("intercept", intercept, 0, math.inf)
        self.slope = between("slope", slope, 0, math.inf)
        self.cost = cost if cost == 0 else between("cost", cost, 0, intercept, " (the intercept), or be 0")
        super().__init__("firm", firms, 0.0, (intercept - cost) / slope, rounds, grid)

    def outcome(self, action: Array) -> tuple[Array, dict[str, Array]]:
        """Profits, with quantities and the price."""
        price = np.maximum(self.intercept - self.slope * action.sum(axis=1, keepdims=True), 0.0)
        profit = (price - self.cost) * action
        return profit, {"quantity": action, "price": np.broadcast_to(price, action.shape), "profit": profit}

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """(a - c) / (b (n + 1)) each; on a grid where that is one of its quantities."""
        return self.everybody(self.high / (self.firms + 1))

    def truths(self) -> tuple[Truth, ...]:
        """Equilibrium, cartel and competitive outcome of one round."""
        n, margin = self.firms, self.intercept - self.cost
        return (
            Truth("firm's quantity in equilibrium", self.high / (n + 1), "equilibrium", _NASH),
            Truth("price in equilibrium", (self.intercept + n * self.cost) / (n + 1), "equilibrium", _NASH),
            Truth("firm's profit in equilibrium", margin * self.high / (n + 1) ** 2, "equilibrium", _NASH),
            Truth(
                "all firms' largest joint profit",
                margin * self.high / 4,
                "optimum",
                "monopoly; Tirole (1988), sec. 1.1",
            ),
            Truth("competitive price", self.cost, "identity", "Tirole (1988), sec. 5.4: limit of many firms"),
            Truth(
                "largest total surplus", margin * self.high / 2, "optimum", "area under linear demand, price at cost"
            ),
        )
