"""The prisoner's dilemma, once or repeated."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from walras.envs.classical.stage import Deterministic, StageGame, StageState
from walras.envs.game import Array, Policy, Truth

_REPEATED = "Mailath and Samuelson (2006), Repeated Games and Reputations, ch. 2"


class PrisonersDilemma(StageGame, Deterministic[StageState]):
    """Two players cooperate or defect, for `rounds` rounds.

    ## Description
    Both cooperate: `reward` R each; both defect: `punishment` P each; else the defector gets `temptation` T and the
    other the `sucker`'s payoff S. T > R > P > S makes defection dominant; 2 R > T + S makes cooperation the best
    that both can do.

    ## Action space
    `Discrete(2)`: 0 cooperate, 1 defect.

    ## Observation space
    A single round: one zero. Several rounds:

    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0 | share of rounds played | 0 | 1 |
    | 1 | own last action (0 before the first round) | 0 | 1 |
    | 2 | the other's last action (0 before the first round) | 0 | 1 |

    ## Rewards
    Own payoff of the round.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    `defects` (0 or 1) and `payoff` of the round last played.

    Source: Friedman (1971), Review of Economic Studies 38; Mailath and Samuelson (2006), Repeated Games and
    Reputations, ch. 2.
    """

    def __init__(
        self,
        rounds: int = 5,
        *,
        temptation: float = 5.0,
        reward: float = 3.0,
        punishment: float = 1.0,
        sucker: float = 0.0,
    ) -> None:
        """Set the parameters.

        Args:
            rounds: number of rounds, >= 1.
            temptation: T, for defecting alone.
            reward: R, for cooperating together.
            punishment: P, for defecting together.
            sucker: S, for cooperating alone.

        Raises:
            ValueError: unless all are finite, T > R > P > S and 2 R > T + S.
        """
        given = f"temptation={temptation}, reward={reward}, punishment={punishment}, sucker={sucker}"
        if not math.inf > temptation > reward > punishment > sucker > -math.inf:
            raise ValueError(f"temptation > reward > punishment > sucker is needed, finite, got {given}")
        if not 2 * reward > temptation + sucker:
            raise ValueError(f"reward must exceed the mean of temptation and sucker, got {given}")
        self.temptation, self.reward, self.punishment, self.sucker = temptation, reward, punishment, sucker
        super().__init__("player", 2, 0.0, 1.0, rounds, 2)

    def outcome(self, action: Array) -> tuple[Array, dict[str, Array]]:
        """Payoffs, with who defected."""
        table = np.array([[self.reward, self.sucker], [self.temptation, self.punishment]], float)
        move = action.astype(np.int64)
        payoff = table[move, move[:, ::-1]]
        return payoff, {"defects": action, "payoff": payoff}

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """Both always defect: the only equilibrium of one round, and the only subgame-perfect one of finitely many."""
        return self.everybody(1.0)

    def truths(self) -> tuple[Truth, ...]:
        """Payoffs of one round, and the patience at which cooperation could last if the game never ended."""
        patience = (self.temptation - self.reward) / (self.temptation - self.punishment)
        return (
            Truth("payoff in equilibrium", self.punishment, "equilibrium", "defection is strictly dominant"),
            Truth("payoff when both cooperate", self.reward, "optimum", "2 R > T + S"),
            Truth("least discount factor of grim trigger without end", patience, "bound", _REPEATED),
        )
