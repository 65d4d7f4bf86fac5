"""Rock, paper, scissors in which not every win is worth the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from walras.envs.classical.stage import Deterministic, Mixed, StageGame, StageState
from walras.envs.game import Array, Policy, Truth


class WeightedRPS(StageGame, Deterministic[StageState]):
    """Two players show rock, paper or scissors at once, for `rounds` rounds; the loser pays what the win is worth.

    ## Description
    Rock wins `rock` from scissors, paper wins `paper` from rock, scissors win `scissors` from paper; the defaults are
    the game of arXiv 2402.11835.

    ## Action space
    `Discrete(3)`: 0 rock, 1 paper, 2 scissors.

    ## Observation space
    A single round: one zero. Several rounds:

    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0 | share of rounds played | 0 | 1 |
    | 1 | own last action (0 before the first round) | 0 | 2 |
    | 2 | the other's last action (0 before the first round) | 0 | 2 |

    ## Rewards
    What the round won or lost.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    `shows` (0, 1 or 2) and `payoff` of the round last played.

    Source: arXiv 2402.11835 and its code.
    """

    def __init__(self, rounds: int = 1, *, rock: float = 1.0, paper: float = 1.0, scissors: float = 2.0) -> None:
        """Set the parameters.

        Args:
            rounds: number of rounds, >= 1.
            rock: what rock wins from scissors, > 0.
            paper: what paper wins from rock, > 0.
            scissors: what scissors win from paper, > 0.

        Raises:
            ValueError: if a parameter is out of range.
        """
        for name, worth in (("rock", rock), ("paper", paper), ("scissors", scissors)):
            if isinstance(worth, bool) or not isinstance(worth, int | float) or not 0 < worth < np.inf:
                raise ValueError(f"{name} must be a finite number > 0, got {worth!r}")
        self.rock, self.paper, self.scissors = float(rock), float(paper), float(scissors)
        super().__init__("player", 2, 0.0, 2.0, rounds, 3)

    @property
    def table(self) -> Array:
        """(3, 3) what the row wins from the column."""
        return np.array([[0, -self.paper, self.rock], [self.paper, 0, -self.scissors], [-self.rock, self.scissors, 0]])

    @property
    def mixture(self) -> tuple[float, float, float]:
        """Equilibrium probabilities: each is in proportion to what the other two play for."""
        total = self.rock + self.paper + self.scissors
        return self.scissors / total, self.rock / total, self.paper / total

    def outcome(self, action: Array) -> tuple[Array, dict[str, Array]]:
        """Payoffs, with what was shown."""
        shown = action.astype(np.int64)
        won = self.table[shown[:, 0], shown[:, 1]]
        payoff = np.stack([won, -won], axis=1)
        return payoff, {"shows": action, "payoff": payoff}

    def equilibrium(self) -> Mapping[str, Policy]:
        """The mixture, in every round; unique in one round."""
        return {"player": Mixed(self.mixture)}

    def truths(self) -> tuple[Truth, ...]:
        """Value, mixture, and what uniform play gives away."""
        names, source = ("rock", "paper", "scissors"), "every action earns 0 against the mixture"
        gains = self.rounds * float(self.table.mean(axis=1).max()) * 2
        return (
            Truth("value", 0.0, "equilibrium", "antisymmetric payoffs"),
            *(Truth(f"share of {n}", p, "equilibrium", source) for n, p in zip(names, self.mixture, strict=True)),
            Truth("sum of both gains against uniform play", gains, "identity", "best action against 1/3, 1/3, 1/3"),
        )
