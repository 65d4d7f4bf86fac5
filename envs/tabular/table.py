"""The PettingZoo AEC table of a compiled game: as any other, and it can be set to any node."""

from __future__ import annotations

from typing import Any

import numpy as np

from walras.envs.doors.aec import GameAECEnv
from walras.envs.game import Array, Game
from walras.envs.tabular.rules import TabularGame


class TabularAECEnv(GameAECEnv):
    """All outside players of a `TabularGame` in turns, with what tree searches and tabular learners ask for.

    `reset_to` begins an episode at a node. `step_from`, `infostate` and `legal` ask the rules and leave the episode
    alone. Nodes are indices into `env.game.flat`.
    """

    game: TabularGame

    def __init__(self, game: Game[Any] | str, **arguments: Any) -> None:
        """Open the table; arguments as for `walras.envs.doors.parallel.Table`.

        Raises:
            TypeError: if it is not a `TabularGame`.
        """
        super().__init__(game, **arguments)
        if not isinstance(self.game, TabularGame):
            raise TypeError(f"game: a TabularGame is needed, got {type(self.game).__name__}; use GameAECEnv")

    def reset_to(self, node: int, seed: int | None = None) -> None:
        """Begin an episode at a decision node; without a seed the next one under the last seed, as in `reset`.

        Raises:
            ValueError: if `node` is no decision node, or the seed is out of range.
        """
        state = self.game.reset_to(node)
        if self.game.infostate(node) < 0:
            raise ValueError(f"node: nobody decides at node {node} of {self.game.flat.name}")
        self._deal(seed, None)
        self._arena.state = state
        self._open()

    def step_from(self, node: int, action: int, rng: np.random.Generator) -> tuple[int, Array, bool]:
        """As `TabularGame.step_from`: next node, rewards (N,), has the game ended?"""
        return self.game.step_from(node, action, rng)

    def infostate(self, node: int) -> int:
        """As `TabularGame.infostate`: the infostate of a decision node, -1 for other nodes."""
        return self.game.infostate(node)

    def legal(self, node: int) -> Array:
        """As `TabularGame.legal_actions`: positions 0, 1, ... of the actions at a node."""
        return self.game.legal_actions(node)
