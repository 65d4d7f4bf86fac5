"""Bertrand competition with differentiated goods and linear demand."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from walras.envs.arguments import whole
from walras.envs.classical.stage import StageGame, between
from walras.envs.game import Array, Policy, Truth

_VIVES = "Singh and Vives (1984); Vives (1999), Oligopoly Pricing, ch. 6"


class DifferentiatedBertrand(StageGame):
    """Firms with the same constant unit cost set prices of goods that are imperfect substitutes.

    ## Description
    Firm i sells q_i = A - B p_i + G sum of the others' prices with `intercept` A, `own_slope` B and `cross_slope` G,
    and earns (p_i - c) q_i with unit `cost` c. A firm that would sell less than nothing sells nothing, and to the
    others its price counts as the one at which it just does so: else they would profit from a price that no buyer
    heeds. K = B - (n - 1) G > 0: when all prices rise, all sales fall. All decide at once; with `rounds=T` they meet T
    times.

    ## Action space
    Own price, `Box(0, A/K, (1,))`: where all charge A/K nothing is sold. With `grid=g` `Discrete(g)`, evenly spaced
    over it.

    ## Observation space
    A single round: one zero. Several rounds:

    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0 | share of rounds played | 0 | 1 |
    | 1 | own last price | 0 | A/K |
    | 2..n | the other firms' last prices | 0 | A/K |

    ## Rewards
    Own profit of the round.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    `price`, `quantity`, `profit` of the round last played.

    Source: Singh and Vives (1984), RAND Journal of Economics 15; Vives (1999), Oligopoly Pricing, ch. 6.
    """

    def __init__(
        self,
        firms: int = 2,
        *,
        intercept: float = 10.0,
        own_slope: float = 2.0,
        cross_slope: float = 1.0,
        cost: float = 1.0,
        rounds: int = 1,
        grid: int | None = None,
    ) -> None:
        """Set the parameters.

        Args:
            firms: n >= 2.
            intercept: A > 0, sales when all prices are zero.
            own_slope: B > 0, sales lost per unit of the own price.
            cross_slope: 0 < G < B / (n - 1), sales won per unit of another firm's price.
            cost: 0 <= c < A / K, of one unit.
            rounds: T >= 1.
            grid: number of prices, >= 2; `None`: any price up to the bound.

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.firms = whole("firms", firms, 2)
        self.intercept = between("intercept", intercept, 0, math.inf)
        self.own_slope = between("own_slope", own_slope, 0, math.inf)
        limit = own_slope / (firms - 1)
        self.cross_slope = between("cross_slope", cross_slope, 0, limit, " (own_slope / (firms - 1))")
        self.common_slope = own_slope - (firms - 1) * cross_slope
        """K: what a firm loses in sales when all prices rise by one."""
        choke = intercept / self.common_slope
        self.cost = cost if cost == 0 else between("cost", cost, 0, choke, " (where demand ends), or be 0")
        super().__init__("firm", firms, 0.0, choke, rounds, grid)

    def outcome(self, action: Array) -> tuple[Array, dict[str, Array]]:
        """Profits, with prices and sales."""
        sales = self.sales(action)
        profit = (action - self.cost) * sales
        return profit, {"price": action, "quantity": sales, "profit": profit}

    def sales(self, price: Array) -> Array:
        """What buyers with a quadratic utility want at these prices, (B, n)."""
        out = np.zeros(price.shape, bool)
        while True:
            inside = np.where(out, 0.0, price).sum(axis=1, keepdims=True)
            slope = self.own_slope - (out.sum(axis=1, keepdims=True) - 1) * self.cross_slope
            counted = np.where(out, (self.intercept + self.cross_slope * inside) / slope, price)
            others = counted.sum(axis=1, keepdims=True) - counted
            wanted = self.intercept - self.own_slope * counted + self.cross_slope * others
            leaving = (wanted < 0) & ~out
            if not leaving.any():
                return np.where(out, 0.0, wanted)
            out |= leaving

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """The price (A + B c) / (B + K) each; on a grid where that is one of its prices."""
        return self.everybody(self._price())

    def truths(self) -> tuple[Truth, ...]:
        """Equilibrium, cartel and competitive outcome of one round."""
        n, k, price = self.firms, self.common_slope, self._price()
        sold_at_cost = self.intercept - k * self.cost
        return (
            Truth("firm's price in equilibrium", price, "equilibrium", _VIVES),
            Truth("firm's quantity in equilibrium", self.own_slope * (price - self.cost), "equilibrium", _VIVES),
            Truth("firm's profit in equilibrium", self.own_slope * (price - self.cost) ** 2, "equilibrium", _VIVES),
            Truth("price of the largest joint profit", (self.high + self.cost) / 2, "optimum", "first-order condition"),
            Truth("all firms' largest joint profit", n * sold_at_cost**2 / (4 * k), "optimum", "first-order condition"),
            Truth("competitive price", self.cost, "identity", "price at marginal cost"),
            Truth(
                "largest total surplus", n * sold_at_cost**2 / (2 * k), "optimum", "area under demand, prices at cost"
            ),
        )

    def _price(self) -> float:
        return (self.intercept + self.own_slope * self.cost) / (self.own_slope + self.common_slope)
