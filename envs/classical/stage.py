"""What the classical games share: everybody acts at once, one number each, once or for several rounds."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.game import Array, FiniteGame, Game, Policy, Role, S, lanes_of


class StageState(NamedTuple):
    """State of a stage game.

    Attributes:
        action: (B, n) what everybody did in the round last played, in the game's units (before the first: `low`).
        round: (B,) rounds played.
    """

    action: Array
    round: Array


@dataclass(frozen=True)
class Always:
    """The policy that always takes one action of a space."""

    action: float
    space: gymnasium.Space[Any]

    def __call__(self, observation: Array) -> Array:
        """The action, (B, *shape)."""
        return np.full((len(observation), *cast(Any, self.space.shape)), self.action, cast(Any, self.space.dtype))


@dataclass(frozen=True)
class Mixed:
    """A mixed strategy over actions 0, 1, ...: the same at every observation."""

    probabilities: tuple[float, ...]

    def __call__(self, observation: Array, *, rng: np.random.Generator) -> Array:
        """Actions (B,), one uniform each."""
        u = rng.random((len(observation), 1))
        return np.asarray((np.cumsum(self.probabilities[:-1]) <= u).sum(axis=1))


class Deterministic(FiniteGame[S]):
    """A finite game in which nature never moves; inherit it after rules that write `root` and `apply`.

    `class FiniteCournot(Cournot, Deterministic[StageState])`, with a `grid`, can be exported as a tree.
    """

    def chance(self, state: S) -> Array:
        """(B, 1) zeros: no move of nature is ever pending."""
        return np.zeros((lanes_of(state), 1))

    def resolve(self, state: S, outcome: Array) -> S:
        """The same state."""
        return state


class StageGame(Game[StageState]):
    """A game of one simultaneous move, played `rounds` times; a subclass says what the moves lead to.

    An action is a number in [low, high]: `Box(low, high, (1,))`, or with `grid=g` one of g evenly spaced numbers,
    `Discrete(g)`. Agents see nothing (a zero) in a single round; in several rounds the share of rounds played, the
    own last action and everybody else's, in the order of the agents.
    """

    def __init__(self, role: str, players: int, low: float, high: float, rounds: int, grid: int | None) -> None:
        """Set the one role, its spaces and the number of rounds.

        Raises:
            ValueError: if `rounds` or `grid` is out of range.
        """
        whole("rounds", rounds, 1)
        self.rounds, self.low, self.high, self.grid = rounds, low, high, grid
        self.levels = None if grid is None else np.linspace(low, high, whole("grid", grid, 2))
        """(g,): what the actions of a grid stand for."""
        seen = ([0.0], [1.0]) if rounds == 1 else ([0.0] + [low] * players, [1.0] + [high] * players)
        observation = spaces.Box(np.array(seen[0], np.float32), np.array(seen[1], np.float32))
        action: spaces.Space[Any] = spaces.Box(np.float32(low), np.float32(high), (1,))
        self.roles = (Role(role, players, observation, action if grid is None else spaces.Discrete(grid)),)

    def __repr__(self) -> str:
        """All parameters that are numbers."""
        numbers = [f"{k}={v!r}" for k, v in vars(self).items() if isinstance(v, int | float)]
        return f"{type(self).__name__}({', '.join(numbers)})"

    @abc.abstractmethod
    def outcome(self, action: Array) -> tuple[Array, dict[str, Array]]:
        """What one round's actions (B, n) lead to: payoffs (B, n), and facts for `info`, name -> (B, n)."""

    def root(self, batch: int) -> StageState:
        """Nobody has acted yet."""
        return StageState(np.full((batch, self.n_agents), float(self.low)), np.zeros(batch, np.int64))

    def initial(self, batch: int, rng: np.random.Generator) -> StageState:
        """Nobody has acted yet."""
        return self.root(batch)

    def observe(self, state: StageState, role: str) -> Array:
        """Nothing in a single round; else progress, own and others' last actions: (B, n, 1 + n)."""
        batch, n = state.action.shape
        if self.rounds == 1:
            return np.zeros((batch, n, 1))
        own_first = [[i, *(j for j in range(n) if j != i)] for i in range(n)]
        share = np.broadcast_to((state.round / self.rounds)[:, None, None], (batch, n, 1))
        return np.concatenate([share, state.action[:, own_first]], axis=2)

    def apply(self, state: StageState, actions: Mapping[str, Array]) -> tuple[StageState, Array]:
        """One round: the state after it and the payoffs (B, n)."""
        given = actions[self.roles[0].name]
        # Bounds that float32 rounds outwards must not let an action out of the game's own.
        action = np.clip(given[..., 0], self.low, self.high, dtype=float) if self.levels is None else self.levels[given]
        return StageState(action, state.round + 1), self.outcome(action)[0]

    def step(
        self, state: StageState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[StageState, Array]:
        """One round; nothing is random."""
        return self.apply(state, actions)

    def terminal(self, state: StageState) -> Array:
        """After the last round."""
        over: Array = state.round >= self.rounds
        return over

    def info(self, state: StageState, role: str) -> dict[str, Array]:
        """Facts about the round last played (zeros before the first)."""
        played = (state.round > 0)[:, None]
        return {name: np.where(played, fact, 0.0) for name, fact in self.outcome(state.action)[1].items()}

    def everybody(self, action: float) -> Mapping[str, Policy] | None:
        """Policies of the profile in which all always take one action; `None` if the grid lacks it."""
        space: Any = self.roles[0].action_space
        if self.levels is None:
            return {self.roles[0].name: Always(action, space)}
        nearest = int(np.abs(self.levels - action).argmin())
        on_grid = math.isclose(self.levels[nearest], action, rel_tol=1e-9, abs_tol=1e-9 * (self.high - self.low))
        return {self.roles[0].name: Always(nearest, space)} if on_grid else None

    def render_text(self, state: StageState, lane: int = 0) -> str:
        """A table of the round last played."""
        facts = self.info(state, self.roles[0].name)
        lines = [
            f"round {int(state.round[lane])} of {self.rounds}",
            " " * 14 + "".join(f"{name:>13}" for name in facts),
        ]
        for k, agent in enumerate(self.agents):
            lines.append(f"{agent:>14}" + "".join(f"{fact[lane, k]:13.4f}" for fact in facts.values()))
        return "\n".join(lines)


def between(name: str, value: float, low: float, high: float, why: str = "") -> float:
    """The value, if it lies strictly between `low` and `high`.

    Raises:
        ValueError: naming the parameter; `why` is added to the message.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
        raise ValueError(f"{name} must lie strictly between {low:g} and {high:g}{why}, got {value!r}")
    return value
