"""Sellers who decide whether to enter a market; those who are in it compete in quantities."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from walras.envs.arguments import whole
from walras.envs.classical.stage import Deterministic, Mixed, StageGame, StageState, between
from walras.envs.game import Array, Policy, Truth

_MANKIW = "Mankiw and Whinston (1986), RAND Journal of Economics 17"
_DIXIT = "Dixit and Shapiro (1986): others' entry leaves a seller indifferent"


class MarketEntry(StageGame, Deterministic[StageState]):
    """Sellers enter a market or stay out, all at once; entering costs a `fee`.

    ## Description
    The m sellers who enter meet the demand P = max(0, a - b Q) with unit cost c and play Cournot's equilibrium: each
    earns (a - c)**2 / (b (m + 1)**2) less the fee, those who stay out earn 0. With `rounds=T` they decide T times anew.
    Where the fee is what an entrant costs society, too many enter: each takes customers from the others.

    ## Action space
    `Discrete(2)`: 0 stay out, 1 enter.

    ## Observation space
    A single round: one zero. Several rounds:

    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0 | share of rounds played | 0 | 1 |
    | 1 | own last action (0 before the first round) | 0 | 1 |
    | 2..n | the other sellers' last actions | 0 | 1 |

    ## Rewards
    Own profit of the round.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    `enters` (0 or 1), `sellers` who entered, and `profit`, of the round last played.

    Source: Mankiw and Whinston (1986), RAND Journal of Economics 17; Dixit and Shapiro (1986), Entry dynamics with
    mixed strategies.
    """

    def __init__(
        self,
        sellers: int = 3,
        *,
        intercept: float = 100.0,
        slope: float = 1.0,
        cost: float = 10.0,
        fee: float = 600.0,
        rounds: int = 1,
    ) -> None:
        """Set the parameters.

        Args:
            sellers: n >= 1, who may enter.
            intercept: a > 0, the price at which nothing is sold.
            slope: b > 0, fall of the price per unit sold.
            cost: 0 <= c < a, of one unit.
            fee: F > 0, of entering.
            rounds: T >= 1.

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.sellers = whole("sellers", sellers)
        self.intercept = between("intercept", intercept, 0, math.inf)
        self.slope = between("slope", slope, 0, math.inf)
        self.cost = cost if cost == 0 else between("cost", cost, 0, intercept, " (the intercept), or be 0")
        self.fee = between("fee", fee, 0, math.inf)
        super().__init__("seller", self.sellers, 0.0, 1.0, rounds, 2)

    @property
    def profits(self) -> Array:
        """(n + 1,) what each of m entrants earns, for m = 0, 1, ..., n (nobody, for m = 0)."""
        m = np.arange(self.sellers + 1)
        earned = (self.intercept - self.cost) ** 2 / (self.slope * (m + 1.0) ** 2) - self.fee
        return np.where(m > 0, earned, 0.0)

    @property
    def surplus(self) -> Array:
        """(n + 1,) what buyers and sellers gain together less all fees, for m = 0, 1, ..., n entrants."""
        m = np.arange(self.sellers + 1)
        whole_triangle = (self.intercept - self.cost) ** 2 / (2 * self.slope)
        return whole_triangle * (1.0 - 1.0 / (m + 1.0) ** 2) - m * self.fee

    @property
    def likelihood(self) -> float:
        """Probability of entry in the symmetric equilibrium; unique, since a seller earns less the likelier others are.

        Found by bisection, to the last bit, where it lies between 0 and 1.
        """
        if self.expected(1.0) >= 0:
            return 1.0
        low, high = 0.0, 1.0
        while self.expected(0.0) > 0 and low < (middle := 0.5 * (low + high)) < high:
            low, high = (middle, high) if self.expected(middle) > 0 else (low, middle)
        return low

    def expected(self, likelihood: float) -> float:
        """What an entrant earns when each of the others enters with this probability."""
        others = self.sellers - 1
        odds = [math.comb(others, k) * likelihood**k * (1.0 - likelihood) ** (others - k) for k in range(others + 1)]
        return float(odds @ self.profits[1:])

    def outcome(self, action: Array) -> tuple[Array, dict[str, Array]]:
        """Profits, with who entered and how many."""
        entrants = action.sum(axis=1, keepdims=True)
        profit = self.profits[entrants.astype(np.int64)] * action
        return profit, {"enters": action, "sellers": np.broadcast_to(entrants, action.shape), "profit": profit}

    def equilibrium(self) -> Mapping[str, Policy]:
        """The symmetric one: everybody enters with the same probability, in every round."""
        return {"seller": Mixed((1.0 - self.likelihood, self.likelihood))}

    def truths(self) -> tuple[Truth, ...]:
        """How many enter, how many should, and what is lost by it, in one round."""
        enter, best = int(np.flatnonzero(self.profits >= 0)[-1]), int(self.surplus.argmax())
        return (
            Truth("sellers who enter in a pure equilibrium", enter, "equilibrium", f"{_MANKIW}: profits reach zero"),
            Truth("probability of entry in the symmetric equilibrium", self.likelihood, "equilibrium", _DIXIT),
            Truth("sellers who enter at the largest total surplus", best, "optimum", _MANKIW),
            Truth("largest total surplus", float(self.surplus[best]), "optimum", "area under linear demand less fees"),
        )
