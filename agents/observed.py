"""Strategies over infostates as policies over observations: for seats of the walras game that was compiled.

The flat game remembers what its players observe at their infostates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from walras.agents.strategy import ObservedStrategy, TabularStrategy
from walras.envs.finite import action_table, as_finite
from walras.envs.game import Game


def observed_strategy(strategy: TabularStrategy, game: Game[Any], agent: str) -> ObservedStrategy:
    """See `TabularStrategy.for_game`."""
    from walras.envs.tabular.compile import compile_game

    if agent not in game.seat:
        raise ValueError(f"agent: {agent!r} is not one of {list(game.agents)}")
    flat = compile_game(as_finite(game))
    strategy.check(flat)
    role, _, player = game.seat[agent]
    first, end = flat.infostates(player)
    table = action_table(role)
    keys: dict[bytes, int] = {}
    rows = np.zeros((end - first, len(table)))
    if flat.observations is None:
        raise ValueError(f"game: {flat.name} was not compiled from the rules; its observations are not known")
    for row, infostate in enumerate(range(first, end)):
        key = flat.observations[infostate]
        if key in keys:
            raise ValueError(
                f"game: {agent} of {flat.name} sees the same at infostates {first + keys[key]} and {infostate}, which "
                "differ in what it remembers; play TabularGame, whose observation is the infostate"
            )
        keys[key] = row
        slots = slice(flat.info_offset[infostate], flat.info_offset[infostate + 1])
        rows[row, flat.info_actions[slots]] = strategy.probabilities[slots]
    return ObservedStrategy(keys, table, rows)


def rows_as_bytes(observation: Any) -> list[bytes]:
    """One opaque key for each lane's observation (B, *shape), or dict of such arrays; equal to the bit or different."""
    parts = list(observation.values()) if isinstance(observation, dict) else [observation]
    flat = [np.ascontiguousarray(part).reshape(len(part), -1) for part in parts]
    return [b"".join(part[lane].tobytes() for part in flat) for lane in range(len(flat[0]))]
