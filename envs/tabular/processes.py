"""Decision processes of one agent as games, and a process stacked before a game. The moves are those of `world`.

Shapes: `B` lanes, `N` players, `I` infostates of the process and of the game together, `A` actions at the widest one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numba import njit

from walras.envs.arguments import whole
from walras.envs.game import Array, Game, Role
from walras.envs.tabular.compile import LIMIT
from walras.envs.tabular.mdp import CartPole, FiniteMDP, as_process
from walras.envs.tabular.rules import OVER, TabularGame, TabularState
from walras.envs.tabular.world import BODY, STEPS, World, act, begin, build, look

STEP_LIMIT = 500
"""Steps after which a process ends unless told otherwise."""


class ProcessState(NamedTuple):
    """State of a process.

    Attributes:
        body: (B, 6) float64: CartPole's position, velocity, angle, velocity of the tip and steps so far; of a finite
            process the state, then zeros up to the steps so far.
        over: (B,) bool, has it ended by its rules?
    """

    body: Array
    over: Array


class _Process(Game[ProcessState]):
    """A process played by `player_0` alone; a subclass says which one."""

    def __init__(self, process: FiniteMDP | CartPole, end: float, limit: int | None) -> None:
        """Set the process, the probability that a step ends it, and the step at which it is cut."""
        self.process, self.end = process, _share("end", end)
        self.horizon = None if limit is None else whole("limit", limit)
        self._world = build(process, None)
        counts = np.diff(self._world.info_offset)
        self._menu = None if (counts == counts[0]).all() else np.arange(counts.max()) < counts[:, None]
        self.roles = (Role("player", 1, spaces.Discrete(len(counts)), spaces.Discrete(int(counts.max()))),)

    def __repr__(self) -> str:
        """The process and how it ends."""
        return f"{type(self).__name__}({self.process.name}, end={self.end:g}, limit={self.horizon})"

    def __deepcopy__(self, memo: dict[int, Any]) -> _Process:
        """A game whose attributes can be set anew; the arrays, which nobody writes into, are shared."""
        memo[id(self)] = twin = copy.copy(self)
        return twin

    def initial(self, batch: int, rng: np.random.Generator) -> ProcessState:
        """Drawn from the law of first states, with 4 uniforms."""
        return ProcessState(begun(self._world, rng.random((batch, 4))), np.zeros(batch, bool))

    def observe(self, state: ProcessState, role: str) -> Array:
        """(B, 1) infostates; at the end of a finite process the last one."""
        return seen_of(self._world, state.body)[:, None]

    def legal(self, state: ProcessState, role: str) -> Array | None:
        """(B, 1, A) where infostates differ in their numbers of actions."""
        return None if self._menu is None else np.asarray(self._menu[self.observe(state, role)])

    def step(
        self, state: ProcessState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[ProcessState, Array]:
        """One step of the process with two uniforms: where it leads, and whether it ends all the same."""
        u = rng.random((len(state.over), 2))
        body, paid, over = moved(self._world, state.body, actions["player"][:, 0], u, self.end)
        return ProcessState(body, over), paid[:, None]

    def terminal(self, state: ProcessState) -> Array:
        """By the process's own rules or by chance."""
        return state.over

    def render_text(self, state: ProcessState, lane: int = 0) -> str:
        """The body and what is seen of it."""
        return _describe(self.process, state.body[lane], int(seen_of(self._world, state.body[[lane]])[0]))


class DiscretisedCartPole(_Process):
    """CartPole whose four coordinates are seen through bins.

    ## Description
    Gravity 9.8, masses 1.0 and 0.1, half-length 0.5, force 10, Euler steps of 0.02 s, as in Gymnasium's CartPole-v1;
    the start is uniform in +-0.05 in every coordinate. The pole has fallen when |position| > 2.4 or |angle| > 12
    degrees. The defaults are the training form of arXiv 2402.11835; `end=0, limit=200` is its evaluation.

    ## Action space
    `Discrete(2)`: push to the left or to the right.

    ## Observation space
    `Discrete(bins**4)`: bins of position (+-2.4), velocity (+-3), angle (+-0.5 rad) and velocity of the tip (+-2), the
    last one running fastest; values outside fall into the end bins.

    ## Rewards
    1 for every step, the last one included.

    ## Episode end
    When the pole falls, or after any step with probability `end`; cut after `limit` steps.

    Source: Barto, Sutton and Anderson (1983); bins, random end and limits as in the code of arXiv 2402.11835.
    """

    def __init__(
        self,
        bins: int = 10,
        *,
        ranges: Sequence[float] = (2.4, 3.0, 0.5, 2.0),
        end: float = 1 / 200,
        limit: int | None = STEP_LIMIT,
    ) -> None:
        """Set the parameters.

        Args:
            bins: of each coordinate, >= 2.
            ranges: half-widths of the binned ranges: position, velocity, angle (rad), velocity of the tip.
            end: probability that a step ends the episode, in [0, 1).
            limit: steps after which an episode is cut, >= 1; `None`: never.

        Raises:
            ValueError: if a parameter is out of range, or `limit` is `None` where nothing is sure to end an episode.
        """
        if limit is None and end == 0:
            raise ValueError("limit: a number is needed where end=0: the pole may never fall")
        a, b, c, d = ranges if len(ranges) == 4 else (math.nan,) * 4
        super().__init__(CartPole(bins, (a, b, c, d)), end, limit)


class TabularMDP(_Process):
    """A finite decision process, played by what is seen of its states.

    ## Action space
    `Discrete(A)`, with a mask where infostates differ in their numbers of actions.

    ## Observation space
    `Discrete(I)`: the number of the infostate.

    ## Rewards
    What each transition pays.

    ## Episode end
    Where a transition ends the process, or after any step with probability `end`; cut after `limit` steps.

    Source: Puterman (1994), Markov Decision Processes; the layered random processes are ours.
    """

    def __init__(self, process: Any = None, *, end: float = 0.0, limit: int | None = STEP_LIMIT) -> None:
        """Set the parameters.

        Args:
            process: a `FiniteMDP`; parameters of `FiniteMDP.layered` as a dict (default: its defaults); a Gymnasium
                environment with a table `P`, or its id (`"FrozenLake-v1"`); or a finite game of one player.
            end: probability that a step ends the episode, in [0, 1).
            limit: steps after which an episode is cut, >= 1; `None`: never.

        Raises:
            ValueError: if a parameter is out of range.
            TypeError: if `process` is no finite decision process.
        """
        made = as_process({} if process is None else process)
        if not isinstance(made, FiniteMDP):
            raise TypeError(f"process: a finite process is needed, got {made!r}; use DiscretisedCartPole")
        super().__init__(made, end, limit)


class StackedState(NamedTuple):
    """State of a stack.

    Attributes:
        body: (B, 6) float64, of the process as in `ProcessState`; stays as it was when the process ended.
        node: (B,) int64, -1 while the process runs, then the node of the game as in `TabularState`.
    """

    body: Array
    node: Array


class Stacked(Game[StackedState]):
    """`player_0` acts in a decision process alone; when that ends, a game begins in which it is the first player.

    ## Description
    The return of `player_0` is what the process and the game pay together. The other players wait: they see nothing of
    the process, and no infostate of the game depends on how it went.

    ## Action space
    `Discrete(A)`: positions in the infostate's list of actions, with a mask.

    ## Observation space
    `Discrete(I + 1)`: infostates of the process come first, then those of the game (the number in `game.flat` plus the
    number of the process's infostates); I for a player who is not to move.

    ## Rewards
    To `player_0` what the process pays, then to all what the game pays, as in `TabularGame`.

    ## Episode end
    The process ends by its own rules, after any step with probability `end`, or after `limit` steps; the episode ends
    with the game.

    ## Info
    `node`: of the game, -1 while the process runs; hidden from the players.

    Source: arXiv 2402.11835 (there CartPole before Leduc poker); stacks of other parts are ours.
    """

    def __init__(
        self,
        first: Any = None,
        second: Any = "walras/WeightedRPS-v0",
        *,
        end: float | None = None,
        limit: int = STEP_LIMIT,
        size: int = LIMIT,
    ) -> None:
        """Set the parameters.

        Args:
            first: the process: `"cartpole"`, a `FiniteMDP` or `CartPole`, a dict of the parameters of
                `FiniteMDP.layered` or `CartPole`, a Gymnasium id with a table `P`, or a finite game of one player;
                default: a layered random process with 10 layers of 30 states and 3 actions.
            second: the game: all that `compile_game` takes.
            end: probability that a step ends the process, in [0, 1); default: 1/100 for CartPole, 0 for others.
            limit: steps after which the process ends, >= 1.
            size: largest number of nodes of the game.

        Raises:
            ValueError: if a parameter is out of range, or the game is too large or unknown.
            TypeError: if a part is of another kind.
        """
        self.process = as_process({} if first is None else first)
        self.game = second if isinstance(second, TabularGame) else TabularGame(second, limit=size)
        """The game as one of its own."""
        if end is None:
            end = 0.01 if isinstance(self.process, CartPole) else 0.0
        self.end, self.limit = _share("end", end), whole("limit", limit)
        self._world = build(self.process, self.game.flat)
        counts = np.diff(self._world.info_offset)
        self._counts = counts[: self._world.process_infos]
        self._width, self._rest = int(counts.max()), len(counts)  # _rest: what those see who are not to move
        seen, action = spaces.Discrete(self._rest + 1), spaces.Discrete(self._width)
        self.roles = (Role("player", self.game.n_agents, seen, action),)

    def __repr__(self) -> str:
        """The parts and how the first one ends."""
        return f"Stacked({self.process.name}, {self.game.flat.name}, end={self.end:g}, limit={self.limit})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Stacked:
        """A game whose attributes can be set anew; the arrays, which nobody writes into, are shared."""
        memo[id(self)] = twin = copy.copy(self)
        return twin

    def initial(self, batch: int, rng: np.random.Generator) -> StackedState:
        """The process begins, with 4 uniforms."""
        return StackedState(begun(self._world, rng.random((batch, 4))), np.full(batch, -1))

    def movers(self, state: StackedState) -> Array:
        """(B, N): `player_0` in the process, then the player of the game's node."""
        return np.asarray(self._player(state)[:, None] == np.arange(self.n_agents))

    def observe(self, state: StackedState, role: str) -> Array:
        """(B, N) infostates."""
        info = self.game.seen(state.node)
        info = np.where((state.node >= 0) & (info >= 0), info + self._world.process_infos, self._rest)
        running = state.node < 0
        info[running] = seen_of(self._world, state.body[running])
        return np.where(self.movers(state), info[:, None], self._rest)

    def legal(self, state: StackedState, role: str) -> Array:
        """(B, N, A): positions below the number of the mover's actions; none for the others."""
        counts = self.game.choices(state.node)
        running = state.node < 0
        counts[running] = self._counts[seen_of(self._world, state.body[running])]
        within = np.arange(self._width) < counts[:, None]
        return np.asarray(within[:, None] & self.movers(state)[:, :, None])

    def step(
        self, state: StackedState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[StackedState, Array]:
        """A step of the process with two uniforms, or a move of the game; then nature's moves in the game."""
        body, node, rewards = np.array(state.body), np.array(state.node), np.zeros((len(state.node), self.n_agents))
        u = rng.random((len(node), 2))
        running, playing = np.flatnonzero(node < 0), np.flatnonzero(node >= 0)
        part, paid, over = moved(self._world, body[running], actions["player"][running, 0], u[running], self.end)
        body[running], rewards[running, 0] = part, paid
        node[running[over | (part[:, STEPS] >= self.limit)]] = 0
        action = actions["player"][playing, self.game.player(node[playing])]
        node[playing], rewards[playing] = self.game.move(node[playing], action)
        return StackedState(body, self.game.settle(node, rng)), rewards

    def terminal(self, state: StackedState) -> Array:
        """At the end of the game."""
        return np.asarray(self._player(state) == OVER)

    def info(self, state: StackedState, role: str) -> dict[str, Array]:
        """The node of the game, for the analyst."""
        return {"node": np.repeat(state.node[:, None], self.n_agents, axis=1)}

    def _player(self, state: StackedState) -> Array:
        """(B,) who is to move."""
        return np.where(state.node < 0, 0, self.game.player(state.node))

    def render_text(self, state: StackedState, lane: int = 0) -> str:
        """The part that is being played."""
        if state.node[lane] >= 0:
            return self.game.render_text(TabularState(state.node), lane)
        return _describe(self.process, state.body[lane], int(seen_of(self._world, state.body[[lane]])[0]))


def _describe(process: FiniteMDP | CartPole, body: Array, info: int) -> str:
    numbers = " ".join(f"{x:.4f}" for x in (body[:STEPS] if isinstance(process, CartPole) else body[:1]))
    return f"{process.name}: step {int(body[STEPS])}, state {numbers}, infostate {info}"


def _share(name: str, number: object) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float | np.floating) or not 0 <= number < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {number!r}")
    return float(number)


def begun(world: World, u: Array) -> Array:
    """First states (B, 6) by uniforms `u` (B, 4)."""
    body = np.zeros((len(u), BODY))
    _begin(world, body, np.ascontiguousarray(u))
    return body


def seen_of(world: World, body: Array) -> Array:
    """(B,) int64 infostates of states (B, 6)."""
    info = np.empty(len(body), np.int64)
    _look(world, np.array(body), info)
    return info


def moved(world: World, body: Array, action: Array, u: Array, end: float) -> tuple[Array, Array, Array]:
    """One step in every lane by actions (B,) and uniforms `u` (B, 2).

    Returns: states (B, 6), of lanes that have ended by a transition of a finite process the last one; what was paid
    (B,); and which lanes have ended (B,), by the process's rules or with probability `end`.
    """
    body, paid, over = np.array(body), np.empty(len(body)), np.empty(len(body), np.bool_)
    _act(world, body, np.array(action, np.int64), np.array(u), end, paid, over)
    return body, paid, over


@njit(cache=True)
def _begin(world: Any, body: Any, u: Any) -> None:
    for lane in range(len(body)):
        begin(world, body[lane], u[lane])


@njit(cache=True)
def _look(world: Any, body: Any, info: Any) -> None:
    for lane in range(len(body)):
        info[lane] = look(world, body[lane])


@njit(cache=True)
def _act(world: Any, body: Any, action: Any, u: Any, end: float, paid: Any, over: Any) -> None:
    for lane in range(len(body)):
        before = body[lane, 0]
        paid[lane], ended = act(world, body[lane], action[lane], u[lane, 0])
        if ended and world.process == 1:
            body[lane, 0] = before  # a finite process has no state in which it is over
        over[lane] = ended or u[lane, 1] < end
