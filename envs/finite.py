"""Finite games from end to end: numbered joint actions, and what a visit to every state finds out.

Shapes: `B` lanes, `n` agents, `A` actions of one agent, `E` moves (of nature or of all agents together).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from gymnasium import spaces

from walras.envs.game import Array, FiniteGame, Game, Role, take
from walras.envs.spaces import cast_observation

ACTION_LIMIT = 1_000_000
"""Largest number of actions of one agent that is still listed."""

STEP_LIMIT = 10_000
"""Steps after which a game without a horizon is taken to be endless."""


@dataclass(frozen=True)
class Facts:
    """What holds for a finite game, found by visiting every state once.

    Attributes:
        states: different states met (two ways into the same state count once).
        moves: moves between them.
        low: smallest return of any agent at the end of any episode.
        high: largest.
        total: the sum of all agents' returns where it is always the same, else `None`.
        identical: all agents always receive the same reward.
        steps: longest episode, in steps of the rules.
        chances: most chance moves in one episode.
        outcomes: number of outcomes of the widest chance move (0: no chance).
        simultaneous: somewhere several agents move at once.
        perfect: every mover's observation, with the number of steps played, tells the whole state.
        early: some agent is paid before the episode ends.
    """

    states: int
    moves: int
    low: float
    high: float
    total: float | None
    identical: bool
    steps: int
    chances: int
    outcomes: int
    simultaneous: bool
    perfect: bool
    early: bool


def as_finite(game: Game[Any]) -> FiniteGame[Any]:
    """The game itself, if its chance moves and its actions can be listed.

    Raises:
        TypeError: if it is not a `FiniteGame`, or a role acts in a Box; the message says what to do.
    """
    if not isinstance(game, FiniteGame):
        raise TypeError(
            f"game: {type(game).__name__} draws random numbers instead of listing nature's moves; a walras FiniteGame "
            "is needed (for auctions: walras.envs.auctions.discrete.DiscreteAuction)"
        )
    for role in game.roles:
        if not isinstance(role.action_space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise TypeError(
                f"game: role {role.name!r} of {type(game).__name__} acts in {role.action_space}, which has no list of "
                "actions; give the game a grid of actions (in auctions: grid=...)"
            )
        if n_actions(role) > ACTION_LIMIT:
            raise ValueError(
                f"game: role {role.name!r} has {n_actions(role)} actions, more than {ACTION_LIMIT}; use a coarser grid"
            )
    return game


def n_actions(role: Role) -> int:
    """Number of actions `A` of one agent of a role (Discrete, MultiDiscrete or MultiBinary)."""
    return int(np.prod(_digits(role), dtype=object))


def action_table(role: Role) -> Array:
    """(A, *shape): the action behind each number; several digits are counted with the last one running fastest."""
    digits = _digits(role)
    table = np.stack(np.unravel_index(np.arange(n_actions(role)), digits), axis=-1)
    table = table + np.asarray(getattr(role.action_space, "start", 0)).reshape(-1)
    shape = cast(tuple[int, ...], role.action_space.shape)
    return cast(Array, table.reshape(-1, *shape).astype(cast(Any, role.action_space.dtype)))


def _digits(role: Role) -> tuple[int, ...]:
    space: Any = role.action_space
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(int(n) for n in space.nvec.reshape(-1))
    return (2,) * int(np.prod(space.shape))


class Menu(NamedTuple):
    """Who moves in each lane, and what they may do.

    Attributes:
        movers: (B, n) bool.
        legal: for every agent (B, A) bool; agents who do not move have action 0 alone.
    """

    movers: Array
    legal: list[Array]


class Actions:
    """The numbered actions of a finite game's agents."""

    def __init__(self, game: FiniteGame[Any]) -> None:
        """List them."""
        self.game = game
        self.tables = {role.name: action_table(role) for role in game.roles}
        self.counts = [len(self.tables[role.name]) for role in game.roles for _ in range(role.size)]

    def menu(self, state: Any) -> Menu:
        """Movers and legal actions in states of which none is terminal and none has a chance move pending.

        Raises:
            ValueError: if an agent is to move and may do nothing.
        """
        movers = self.game.movers(state)
        legal, k = [], 0
        for role in self.game.roles:
            masks = self.game.legal(state, role.name)
            for i in range(role.size):
                mask = np.ones((len(movers), self.counts[k]), bool) if masks is None else masks[:, i].copy()
                mask[~movers[:, k]] = np.arange(self.counts[k]) == 0
                if not mask.any(axis=1).all():
                    raise ValueError(f"legal: {role.agents[i]!r} is to move in {self.game!r} and has no legal action")
                legal.append(mask)
                k += 1
        return Menu(movers, legal)

    def arrays(self, numbers: Array) -> dict[str, Array]:
        """The `actions` of `FiniteGame.apply` for numbers (B, n)."""
        result, k = {}, 0
        for role in self.game.roles:
            result[role.name] = self.tables[role.name][numbers[:, k : k + role.size]]
            k += role.size
        return result


class _Block(NamedTuple):
    """Moves found together: nodes they leave (equal ones adjacent), nodes they reach, rewards, and what they are."""

    parent: Array
    child: Array
    rewards: Array | None
    nature: bool


def survey(game: Game[Any], limit: int = 1_000_000) -> Facts:
    """Visit every state of a finite game, level by level, meeting equal states of a level once.

    Args:
        game: a `FiniteGame` with listed actions.
        limit: largest number of moves to look at.

    Raises:
        TypeError: if the game is not finite.
        ValueError: if there are more moves than `limit`, or more steps than `STEP_LIMIT`; if chances do not sum to one;
            if an agent who is to move may do nothing, or nobody is to move.
    """
    walk = _Walk(as_finite(game), limit)
    walk.run()
    return walk.facts()


class _Walk:
    """The state of one `survey`: nodes are numbered as they are met, so moves lead from lower numbers to higher."""

    def __init__(self, game: FiniteGame[Any], limit: int) -> None:
        self.game, self.limit, self.actions = game, limit, Actions(game)
        self.like = game.root(1)
        self.nodes, self.states, self.moves, self.outcomes = 1, 1, 0, 0
        self.blocks: list[_Block] = []
        self.leaves: list[Array] = []
        self.simultaneous, self.perfect = False, True

    def run(self) -> None:
        """Level by level: nature moves until nothing is pending, equal states merge, the agents move."""
        ids, state, step = np.zeros(1, np.int64), self.like, 0
        while len(ids):
            ids, state = self._settle(ids, state, step)
            over = self.game.terminal(state)
            if self.game.horizon is not None and step >= self.game.horizon:
                over = np.ones_like(over)
            self.leaves.append(ids[over])
            ids, state = ids[~over], take(state, np.flatnonzero(~over))
            if len(ids):
                if step >= STEP_LIMIT:
                    raise ValueError(f"game: {self.game!r} has not ended after {STEP_LIMIT} steps; give it a horizon")
                ids, state = self._act(ids, state, step)
            step += 1

    def _settle(self, ids: Array, state: Any, step: int) -> tuple[Array, Any]:
        rest_ids, rest = [], []
        for _ in range(STEP_LIMIT):
            chance = self.game.chance(state)
            total = chance.sum(axis=-1)
            pending = total > 0
            index = np.flatnonzero(pending)
            if (chance < 0).any() or not np.allclose(total[index], 1.0, atol=1e-9):
                raise ValueError(f"chance: a row of {self.game!r} is neither zero nor nonnegative with sum one")
            rest_ids.append(ids[~pending])
            rest.append(self.game.snapshot(take(state, np.flatnonzero(~pending))))
            if not len(index):
                break
            self.outcomes = max(self.outcomes, chance.shape[1])
            rows, outcome = np.nonzero(chance[index] > 0)
            self._count(len(rows), step)
            children = self.game.snapshot(self.game.resolve(take(state, index[rows]), outcome))
            ids, state = self._meet(ids[index[rows]], children, None, nature=True)
        else:
            raise ValueError(f"chance: nature moves more than {STEP_LIMIT} times in a row in {self.game!r}")
        if len(rest) == 1:
            return ids, state
        together = {name: np.concatenate([part[name] for part in rest]) for name in rest[0]}
        ids, state = self._meet(np.concatenate(rest_ids), together, None, nature=False)
        self.states -= sum(map(len, rest_ids))
        return ids, state

    def _act(self, ids: Array, state: Any, step: int) -> tuple[Array, Any]:
        menu = self.actions.menu(state)
        if not menu.movers.any(axis=1).all():
            raise ValueError(f"movers: nobody is to move after {step} steps of {self.game!r}, and it has not ended")
        self.simultaneous |= bool((menu.movers.sum(axis=1) > 1).any())
        self._look(state, menu.movers)
        self._count(np.prod([mask.sum(axis=1, dtype=float) for mask in menu.legal], axis=0).sum(), step)
        lane = np.arange(len(ids))
        numbers = np.zeros((len(ids), 0), np.int64)
        for mask in menu.legal:
            rows, number = np.nonzero(mask[lane])
            lane, numbers = lane[rows], np.column_stack([numbers[rows], number])
        after, rewards = self.game.apply(take(state, lane), self.actions.arrays(numbers))
        return self._meet(ids[lane], self.game.snapshot(after), rewards, nature=False)

    def _look(self, state: Any, movers: Array) -> None:
        """Does every mover's observation tell the states of this step apart?"""
        for role in self.game.roles if self.perfect else ():
            seen = cast_observation(role.observation_space, self.game.observe(state, role.name))
            parts = seen if isinstance(seen, dict) else {"": seen}
            for i, agent in enumerate(role.agents):
                where = np.flatnonzero(movers[:, self.game.seat[agent][2]])
                own = {key: part[where, i] for key, part in parts.items()}
                if len(where) > 1 and len(np.unique(_rows(own))) < len(where):
                    self.perfect = False

    def _count(self, more: float, step: int) -> None:
        if self.moves + more > self.limit:
            raise ValueError(
                f"limit: {self.game!r} has at least {self.moves + more:.4g} moves in its first {step + 1} steps, more "
                f"than {self.limit}; use a smaller game (fewer agents, values or actions) or a larger limit"
            )
        self.moves += int(more)

    def _meet(
        self, parent: Array, arrays: Mapping[str, Array], rewards: Array | None, nature: bool
    ) -> tuple[Array, Any]:
        """Number the different states among `arrays`, and remember the moves that lead to them."""
        _, first, inverse = np.unique(_rows(arrays), return_index=True, return_inverse=True)
        ids = self.nodes + np.arange(len(first))
        self.nodes += len(first)
        self.states += len(first)
        self.blocks.append(_Block(parent, ids[inverse], rewards, nature))
        return ids, self.game.restore(self.like, {name: value[first] for name, value in arrays.items()})

    def facts(self) -> Facts:
        """Backward induction over all moves: least and largest returns, longest episodes."""
        n = self.game.n_agents
        low, high = np.zeros((self.nodes, n + 1)), np.zeros((self.nodes, n + 1))
        steps, chances = np.zeros(self.nodes, np.int64), np.zeros(self.nodes, np.int64)
        ended = np.zeros(self.nodes, bool)
        ended[np.concatenate(self.leaves)] = True
        identical, early = True, False
        for parent, child, rewards, nature in reversed(self.blocks):
            start = np.flatnonzero(np.diff(parent, prepend=-1))
            node = parent[start]
            gain = np.zeros((1, n + 1))
            if rewards is not None:
                gain = np.column_stack([rewards, rewards.sum(axis=1)])
                identical &= bool((rewards == rewards[:, :1]).all())
                early |= bool((rewards.any(axis=1) & ~ended[child]).any())
            low[node] = np.minimum.reduceat(low[child] + gain, start)
            high[node] = np.maximum.reduceat(high[child] + gain, start)
            steps[node] = np.maximum.reduceat(steps[child], start) + (rewards is not None)
            chances[node] = np.maximum.reduceat(chances[child], start) + nature
            ended[node] = np.logical_and.reduceat(ended[child], start) & (rewards is None)
        least, most = low[0, n], high[0, n]
        constant = most - least <= 1e-9 * max(1.0, abs(most))
        return Facts(
            states=self.states,
            moves=self.moves,
            low=float(low[0, :n].min()),
            high=float(high[0, :n].max()),
            total=float(0.5 * (least + most)) if constant else None,
            identical=identical,
            steps=int(steps[0]),
            chances=int(chances[0]),
            outcomes=self.outcomes,
            simultaneous=self.simultaneous,
            perfect=self.perfect,
            early=early,
        )


def _rows(arrays: Mapping[str, Array]) -> Array:
    """(B,) one opaque value a lane, equal where all arrays are equal to the bit."""
    parts = [np.ascontiguousarray(value).reshape(len(value), -1).view(np.uint8) for value in arrays.values()]
    joined = np.ascontiguousarray(np.concatenate(parts, axis=1))
    return joined.view(np.dtype((np.void, joined.shape[1])))[:, 0]
