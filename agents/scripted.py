"""Policies that follow a rule: report the truth, a share of it, nothing, or always the same.

Each comes as a frozen dataclass, which is the policy, and as a function `(game, agent)`, which makes the right one
for a seat and says so when the game has no such thing. Observations are (B, *shape), actions (B, *shape).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from walras.envs.auctions.discrete import DiscreteAuction
from walras.envs.auctions.rules import SealedBidAuction
from walras.envs.classical.prisoners_dilemma import PrisonersDilemma
from walras.envs.game import Array, Game, Observation
from walras.envs.spaces import ActionFit

Action = float | int | tuple["Action", ...]


@dataclass(frozen=True)
class Shade:
    """Report `factor` times the own value of each item; fits sealed-bid auctions, also repeated and with budgets.

    On a grid the report is the nearest legal one not above `factor` times the value, or the lowest where all lie above.

    Attributes:
        factor: share of the value that is reported, in [0, 1]; 1 is the truth.
        items: m, how many numbers at the head of the observation are values.
        levels: for an auction on a grid, the reports for each item, m ascending rows of equal length; `None`: any
            number can be reported.
    """

    factor: float
    items: int = 1
    levels: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0.0 <= self.factor <= 1.0:
            raise ValueError(f"factor must lie in [0, 1], got {self.factor!r}")
        if self.items < 1:
            raise ValueError(f"items must be at least 1, got {self.items!r}")
        if self.levels is not None and (len(self.levels) != self.items or len({len(row) for row in self.levels}) != 1):
            raise ValueError(
                f"levels: {self.items} rows of equal length are needed, got lengths {[len(row) for row in self.levels]}"
            )

    def __call__(
        self, observation: Array, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> Array:
        """Reports (B, m), or their numbers (B,) on a grid; of the legal ones where there is a `mask` (B, actions)."""
        wanted = self.factor * observation[..., : self.items]
        if self.levels is None:
            return wanted
        count = len(self.levels[0])
        legal = None if mask is None else mask.reshape(len(mask), *(count,) * self.items)
        digits = []
        for j, row in enumerate(self.levels):
            # Observations are float32: a value that equals a level must find it, so levels are rounded the same way.
            below = np.asarray(row, observation.dtype) <= wanted[..., j, None]
            if legal is not None:
                allowed = legal.any(axis=tuple(k + 1 for k in range(self.items) if k != j))
                below = below & allowed
            lowest = 0 if legal is None else allowed.argmax(axis=-1)
            digits.append(np.where(below.any(axis=-1), count - 1 - below[..., ::-1].argmax(axis=-1), lowest))
        return np.asarray(np.ravel_multi_index(digits, (count,) * self.items))


@dataclass(frozen=True)
class Constant:
    """Always the same action; fits every game whose space holds it.

    Attributes:
        action: one action: a number, or nested tuples of the space's shape.
    """

    action: Action

    def __call__(
        self, observation: Observation, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> Array:
        """The action, (B, *shape)."""
        action = np.asarray(self.action)
        return np.broadcast_to(action, (_batch(observation), *action.shape))


@dataclass(frozen=True)
class FirstLegal:
    """The first action that is legal; fits every game with Discrete actions.

    Attributes:
        start: number of the space's first action.
    """

    start: int = 0

    def __call__(
        self, observation: Observation, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> Array:
        """Actions (B,)."""
        if mask is None:
            return np.full(_batch(observation), self.start)
        return np.asarray(self.start + mask.argmax(axis=-1))


@dataclass(frozen=True)
class TitForTat:
    """Cooperate first, then do what the other did last; fits the repeated prisoner's dilemma (Axelrod 1984)."""

    def __call__(
        self, observation: Array, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> Array:
        """Actions (B,): 0 cooperate, 1 defect."""
        return observation[:, 2].astype(np.int64)


def tit_for_tat(game: Game[Any], agent: str) -> TitForTat:
    """Tit for tat; fits the repeated prisoner's dilemma.

    Raises:
        ValueError: if the game is another, or has one round.
    """
    _space(game, agent)
    if not isinstance(game, PrisonersDilemma) or game.rounds < 2:
        raise ValueError(f"seat {agent!r}: tit for tat plays the repeated prisoner's dilemma, got {game!r}")
    return TitForTat()


def truthful(game: Game[Any], agent: str) -> Shade:
    """Report the own values (on a grid: the nearest report not above each); fits sealed-bid auctions.

    Raises:
        ValueError: if the game has no values to report.
    """
    return shade(game, agent, 1.0)


def shade(game: Game[Any], agent: str, factor: float) -> Shade:
    """Report `factor` times the own values; fits sealed-bid auctions.

    Raises:
        ValueError: if the game has no values to report, or `factor` lies outside [0, 1].
    """
    _space(game, agent)
    levels: tuple[tuple[float, ...], ...] | None = None
    if isinstance(game, DiscreteAuction):
        levels = (tuple(game.levels.tolist()),) * game.items
    elif not isinstance(game, SealedBidAuction):
        raise ValueError(
            f"seat {agent!r}: {game!r} has no values that could be reported; a sealed-bid auction is needed"
        )
    elif game.grid is not None:
        digits = np.linspace(0.0, 1.0, game.grid)
        bounds = zip(game.low, game.high, strict=True)
        levels = tuple(tuple((low + digits * (high - low)).tolist()) for low, high in bounds)
    return Shade(factor, game.items, levels)


def constant(game: Game[Any], agent: str, action: Any) -> Constant:
    """Always `action`, checked against the agent's space; fits every game.

    Raises:
        ValueError: if the action lies outside the space.
    """
    space = _space(game, agent)
    checked = ActionFit(space)(np.asarray(action)[None], (1,), "action", agent)[0]
    return Constant(_nested_tuples(checked.tolist()))


def zero(game: Game[Any], agent: str) -> Constant | FirstLegal:
    """Report, offer or contribute nothing: zeros, or the first legal Discrete action (on a grid: the lowest report).

    Raises:
        ValueError: if zero lies outside the space.
    """
    space = _space(game, agent)
    if isinstance(space, spaces.Discrete):
        return FirstLegal(int(space.start))
    if isinstance(space, spaces.Box | spaces.MultiBinary | spaces.MultiDiscrete):
        return constant(game, agent, np.zeros(space.shape, space.dtype))
    raise ValueError(f"seat {agent!r}: an action space {space} has no zero")


def _space(game: Game[Any], agent: str) -> gymnasium.Space[Any]:
    """Action space of `agent`.

    Raises:
        ValueError: if the game has no such agent.
    """
    if agent not in game.seat:
        raise ValueError(f"agent: {agent!r} is not one of {list(game.agents)}")
    return game.seat[agent][0].action_space


def _batch(observation: Observation) -> int:
    return len(next(iter(observation.values())) if isinstance(observation, dict) else observation)


def _nested_tuples(entry: Any) -> Any:
    return tuple(_nested_tuples(part) for part in entry) if isinstance(entry, list) else entry
