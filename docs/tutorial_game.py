"""Tullock's contest as a walras game, the example of the tutorial. Run it: `python docs/tutorial_game.py`."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pettingzoo
from gymnasium.spaces import Box

import walras
from walras.envs.check import check_game


class ContestState(NamedTuple):
    """Efforts (B, n), zeros before the contest; winner (B,), -1 before it."""

    effort: np.ndarray
    winner: np.ndarray


@dataclass(frozen=True)
class Spend:
    """The policy that always spends the same effort."""

    effort: float

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Efforts (B, 1)."""
        return np.full((len(observation), 1), self.effort, np.float32)


class Contest(walras.Game[ContestState]):
    """Rivals spend effort on a prize; each wins with probability own effort / all efforts. All effort is lost."""

    def __init__(self, rivals: int = 3, prize: float = 1.0) -> None:
        """Let `rivals` >= 2 compete for a `prize` > 0, in units of effort."""
        if rivals < 2 or not prize > 0:
            raise ValueError(f"rivals must be at least 2 and prize positive, got rivals={rivals}, prize={prize}")
        self.rivals, self.prize = rivals, prize
        self.roles = (walras.Role("rival", rivals, Box(0.0, 1.0, (1,)), Box(0.0, prize, (1,))),)

    def initial(self, batch: int, rng: np.random.Generator) -> ContestState:
        """Nobody has spent anything, nobody has won."""
        return ContestState(np.zeros((batch, self.rivals)), np.full(batch, -1))

    def observe(self, state: ContestState, role: str) -> np.ndarray:
        """There is nothing to see: a zero for everyone, (B, n, 1)."""
        return np.zeros((*state.effort.shape, 1))

    def step(self, state: ContestState, actions: Any, rng: np.random.Generator) -> tuple[ContestState, np.ndarray]:
        """Draw the winner with chances in proportion to efforts."""
        effort = actions["rival"][..., 0].astype(float)
        tickets = np.cumsum(effort + 1e-12, axis=1)  # the crumb decides evenly when nobody spends anything
        drawn = rng.random((len(effort), 1)) * tickets[:, -1:]
        winner = (drawn >= tickets[:, :-1]).sum(axis=1)
        return ContestState(effort, winner), self.prize * (winner[:, None] == np.arange(self.rivals)) - effort

    def terminal(self, state: ContestState) -> np.ndarray:
        """Over as soon as somebody has won."""
        return state.winner >= 0

    def equilibrium(self) -> dict[str, Spend]:
        """Spend (n - 1) / n**2 of the prize, each."""
        return {"rival": Spend((self.rivals - 1) * self.prize / self.rivals**2)}

    def truths(self) -> tuple[walras.Truth, ...]:
        """What a rival earns in equilibrium."""
        return (walras.Truth("payoff in equilibrium", self.prize / self.rivals**2, "equilibrium", "Tullock (1980)"),)


walras.register("tutorial/Contest-v0", "tutorial_game:Contest", title="Tullock's contest", source="Tullock (1980)")

if __name__ == "__main__":
    print(gymnasium.make("tutorial/Contest-v0", rivals=2).reset(seed=0))
    print(gymnasium.make_vec("tutorial/Contest-v0", num_envs=4).reset(seed=0))
    print(pettingzoo.make("parallel", "tutorial/Contest-v0").reset(seed=0))
    print("checks that lacked a library:", check_game("tutorial/Contest-v0"))
    print("payoff:", walras.play("tutorial/Contest-v0", "equilibrium", batch=10**5, seed=0).mean("rival_0"), "of 1/9")
