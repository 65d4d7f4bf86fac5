"""Scripted players of the harvest worlds: walk to the nearest apple that may be eaten, and leave the others alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from walras.envs.arguments import whole
from walras.envs.game import Array, Game, Observation
from walras.envs.society.commons import CommonsHarvest
from walras.envs.society.harvest_map import AHEAD, DISC, SIDE

WANDER = ((0.7, 1), (0.85, 5), (1.0, 6))
"""What a player does that sees no apple it may eat: cumulative probability, action (forward, turn left, turn right)."""


@dataclass(frozen=True)
class Restraint:
    """Eat only apples with at least `k` ripe neighbours; fits `CommonsHarvest`.

    With `sight="world"` it knows the whole map and waits where no apple can be eaten; with a view alone it wanders.
    Greedy players (`k = 0`) eat the orchard bare, restrained ones live on it.

    Attributes:
        k: ripe apples at distance 2 or less that an apple needs to be eaten, 0 to 12.
    """

    k: int = 3

    def __post_init__(self) -> None:
        """Check the number."""
        if not 0 <= whole("k", self.k, 0) <= len(DISC):
            raise ValueError(f"k must be at most {len(DISC)}, got {self.k}")

    def __call__(self, observation: Observation, *, mask: Array | None = None, rng: np.random.Generator) -> Array:
        """Actions (B,).

        Raises:
            TypeError: if the observation is not one of `CommonsHarvest`.
        """
        from walras.envs.society.harvest_walk import walk

        if not isinstance(observation, dict) or "view" not in observation:
            raise TypeError("observation: a dict with `view` is needed, as CommonsHarvest gives it")
        batch = len(observation["view"])
        action = np.empty(batch, np.int64)
        if "world" in observation:
            own = observation["self"].astype(np.int64)
            u = rng.random((batch, 1))
            walk(
                observation["world"], own[:, 0], own[:, 1], own[:, 2], own[:, 3] > 0, self.k, np.array(DISC), u[:, 0],
                action,
            )  # fmt: skip
            return np.maximum(action, 0)
        view = observation["view"]
        u = rng.random((batch, 2))
        here, middle = view[:, AHEAD, SIDE] == 4, np.full(batch, AHEAD)
        up = np.zeros(batch, np.int64)
        walk(view, middle, np.full(batch, SIDE), up, here, self.k, np.array(DISC), u[:, 0], action)
        wander = np.select([u[:, 1] < p for p, _ in WANDER], [a for _, a in WANDER])
        return np.where(action < 0, wander, action)


def restraint(game: Game[Any], agent: str, k: int = 3) -> Restraint:
    """The restrained player of that seat; fits `CommonsHarvest`, also under a policy layer that shows the same view.

    Raises:
        ValueError: if the game shows no view of a harvest world.
    """
    space = game.seat[agent][0].observation_space
    if "view" not in getattr(space, "spaces", {}):
        raise ValueError(f"seat {agent!r}: {game!r} shows no view of a harvest world")
    return Restraint(k)


def harvest_totals(game: CommonsHarvest, k: int | None, *, episodes: int, seed: int) -> Array:
    """(episodes, n) apples of each player in whole episodes of random (`k = None`) or equally restrained players."""
    from walras.envs.play import play

    who: Any = "random" if k is None else {"player": Restraint(k)}
    return play(game, who, batch=episodes, seed=seed).returns
