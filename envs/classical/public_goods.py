"""Voluntary contributions to a public good."""

from __future__ import annotations

import math
from collections.abc import Mapping

from walras.envs.arguments import whole
from walras.envs.classical.stage import StageGame, between
from walras.envs.game import Array, Policy, Truth

_LEDYARD = "Ledyard (1995), ch. 2 of Kagel and Roth, Handbook of Experimental Economics"


class PublicGoods(StageGame):
    """Everybody divides an endowment between a private account and a good that all enjoy.

    ## Description
    Of the `endowment` w, player i gives c_i to the public good and earns w - c_i + r C, where C is the sum of all
    gifts and r the `marginal_return` to every player. With 1/n < r < 1 giving costs the giver and profits the
    group. All decide at once; with `rounds=T` they meet T times.

    ## Action space
    Own contribution, `Box(0, w, (1,))`; with `grid=g` `Discrete(g)`, evenly spaced over it.

    ## Observation space
    A single round: one zero. Several rounds:

    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0 | share of rounds played | 0 | 1 |
    | 1 | own last contribution | 0 | w |
    | 2..n | the others' last contributions | 0 | w |

    ## Rewards
    w - c_i + r C; all rewards of a round sum to n w + (n r - 1) C.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    `contribution`, `total` (C) and `payoff` of the round last played.

    Source: Isaac and Walker (1988), Quarterly Journal of Economics 103; Ledyard (1995), ch. 2 of Kagel and
    Roth, Handbook of Experimental Economics.
    """

    def __init__(
        self,
        players: int = 4,
        *,
        endowment: float = 20.0,
        marginal_return: float = 0.4,
        rounds: int = 1,
        grid: int | None = None,
    ) -> None:
        """Set the parameters.

        Args:
            players: n >= 2.
            endowment: w > 0, of each player in each round.
            marginal_return: r, what each player gets from a unit given, 1/n < r < 1.
            rounds: T >= 1.
            grid: number of contributions, >= 2; `None`: any contribution.

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.players = whole("players", players, 2)
        self.endowment = between("endowment", endowment, 0, math.inf)
        why = " (1 / players and 1: else there is no dilemma)"
        self.marginal_return = between("marginal_return", marginal_return, 1 / players, 1, why)
        super().__init__("contributor", players, 0.0, endowment, rounds, grid)

    def outcome(self, action: Array) -> tuple[Array, dict[str, Array]]:
        """Payoffs, with contributions and their total."""
        total = action.sum(axis=1, keepdims=True) + 0.0 * action
        payoff = self.endowment - action + self.marginal_return * total
        return payoff, {"contribution": action, "total": total, "payoff": payoff}

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """Nobody gives: strictly dominant in one round, and the only subgame-perfect play of several."""
        return self.everybody(0.0)

    def truths(self) -> tuple[Truth, ...]:
        """Equilibrium and social optimum of one round."""
        w, n, r = self.endowment, self.players, self.marginal_return
        return (
            Truth("contribution in equilibrium", 0.0, "equilibrium", _LEDYARD),
            Truth("payoff in equilibrium", w, "equilibrium", _LEDYARD),
            Truth("contribution of the largest total payoff", w, "optimum", _LEDYARD),
            Truth("payoff when all give all", n * r * w, "optimum", _LEDYARD),
        )
