"""A running batch of one game: states, clocks, seats. Every door and `play` drive the rules through this one class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, cast

import numpy as np

from walras.envs.deck import Deck
from walras.envs.game import Array, Game, Observation, Policy, S, put, take
from walras.envs.lanes import Clock, LaneRandom, clock
from walras.envs.seats import default_policy, fill_seats
from walras.envs.spaces import ActionFit, at_least_one, cast_observation, empty, pick

_ONE = np.uint64(1)
REDEALS = 1000
"""So many episodes in a row may end before an agent's first move; then it is taken never to move."""


class Ended(NamedTuple):
    """How a step left the lanes.

    Attributes:
        rewards: (B, n) float64.
        terminated: (B,) bool, by the rules.
        truncated: (B,) bool, at the horizon (and not by the rules).
    """

    rewards: Array
    terminated: Array
    truncated: Array


class Arena(Generic[S]):
    """`batch` lanes of `game`, of which some seats may be filled by policies.

    The random numbers of a lane depend on (seed, lane, episode, step) alone, so two arenas that agree on these and
    on the actions agree on everything, whatever their batch sizes and whichever door drives them.
    """

    def __init__(
        self, game: Game[S], batch: int, policies: Mapping[str, Policy] | None = None, horizon: int | None = None
    ) -> None:
        """Take the table; `horizon` replaces the game's own limit on steps.

        Raises:
            ValueError: if `horizon`, or the game's own, is neither `None` nor an integer of at least 1.
        """
        self.game = game
        self.batch = batch
        self.policies = dict(policies or {})
        own = at_least_one(game.horizon, "game.horizon")
        self.horizon = own if horizon is None else at_least_one(horizon, "horizon")
        self.simultaneous = type(game).movers is Game.movers
        self.masked = {role.name: False for role in game.roles}
        self._fit = {role.name: ActionFit(role.action_space) for role in game.roles}
        # Who is asked, in which order: (role, [(number in the role, agent, number among all)]); needed at every step.
        self._asked = [
            (role, [(i, agent, game.seat[agent][2]) for i, agent in enumerate(role.agents)]) for role in game.roles
        ]
        self._dealt = False

    # -- episodes ------------------------------------------------------------------------------------------------------

    def seed(self, seed: int | list[int], lane: int = 0) -> None:
        """Set the clocks before the first episode of every lane; deals nothing."""
        self.clock = clock(seed, self.batch, lane)
        self.elapsed = np.zeros(self.batch, np.int64)
        self._world = LaneRandom(self.clock)
        self._policy_random: dict[str, LaneRandom] = {}
        self._deck = Deck(self.game) if self.batch == 1 else None
        self._dealt = False

    def deal(self, index: Array | None = None) -> None:
        """Begin the next episode in the lanes `index` (all by default)."""
        if not self._dealt:
            self.state = self._initial()
            self._dealt = True
            self.masked = {role.name: self.game.legal(self.state, role.name) is not None for role in self.game.roles}
            return
        if index is None or len(index) == self.batch:
            self.clock.episode[:] += _ONE
            self.clock.step[:] = 0
            self.elapsed[:] = 0
            self.state = self._initial()
        elif len(index):
            self.clock.episode[index] += _ONE
            self.clock.step[index] = 0
            self.elapsed[index] = 0
            lanes = Clock(*(word[index] for word in self.clock))
            self.state = put(self.state, index, self.game.initial(len(index), LaneRandom(lanes)))

    def _initial(self) -> S:
        if self._deck is not None:
            return self._deck.deal(self.clock)
        return self.game.initial(self.batch, self._world.at(self.clock))

    def step(self, given: Mapping[str, Any], index: Array | None = None) -> Ended:
        """One step of the rules in the lanes `index` (all by default).

        Args:
            given: agent -> actions, one row for each stepped lane; seats without an entry act by their policies.
                Agents who are not to move anywhere need neither.
            index: lanes to step, ascending; none of them ended.

        Raises:
            ValueError: if actions do not fit the agent's space, are illegal under its mask, or a mover has neither
                actions nor a policy. Nothing has changed then.
        """
        whole = index is None or len(index) == self.batch
        state = self.state if whole else take(self.state, cast(Array, index))
        now = self.clock if whole else Clock(*(word[index] for word in self.clock))
        now = Clock(now.key, now.lane, now.episode, now.step + _ONE)
        lanes = self.batch if whole else len(cast(Array, index))
        actions = self._actions(state, given, now, lanes)
        if whole:  # only now, so that refused actions leave no trace
            self.clock = now
        else:
            self.clock.step[index] = now.step
        rng = self._world.at(now) if whole else LaneRandom(now)
        state, rewards = self.game.step(state, actions, rng)
        terminated = self.game.terminal(state)
        if whole:
            self.state = state
            self.elapsed += 1
            elapsed = self.elapsed
        else:
            self.state = put(self.state, cast(Array, index), state)
            self.elapsed[index] += 1
            elapsed = self.elapsed[index]
        truncated = (elapsed >= self.horizon) & ~terminated if self.horizon is not None else np.zeros(lanes, bool)
        return Ended(rewards, terminated, truncated)

    # -- what agents see and do ----------------------------------------------------------------------------------------

    def observe(self, agent: str, index: Any = slice(None)) -> Observation:
        """Observation (B, *shape) of one agent in its space's dtype, for the lanes `index`; never part of the state."""
        role, i, _ = self.game.seat[agent]
        return cast_observation(
            role.observation_space, pick(self.game.observe(self._part(index), role.name), (slice(None), i))
        )

    def mask(self, agent: str, index: Any = slice(None)) -> Array | None:
        """(B, n_actions) bool, or `None` for an agent who may always do everything.

        An agent who is not to move has only its first action.
        """
        role, i, k = self.game.seat[agent]
        if not self.masked[role.name]:
            return None
        state = self._part(index)
        return self._mask(state, role.name, i, None if self.simultaneous else self.game.movers(state)[:, k])

    def moving(self, agent: str) -> Array:
        """(B,) bool: is the agent to move?"""
        if self.simultaneous:
            return np.ones(self.batch, bool)
        return self.game.movers(self.state)[:, self.game.seat[agent][2]]

    def info(self, agent: str, index: Any = slice(None)) -> dict[str, Array]:
        """The game's facts about one agent, name -> (B, ...), read-only because a fact may be part of the state."""
        role, i, _ = self.game.seat[agent]
        facts = {}
        for name, value in self.game.info(self._part(index), role.name).items():
            facts[name] = own = value[:, i]
            own.flags.writeable = False
        return facts

    def check(self, agent: str, action: Any) -> None:
        """Raise `ValueError` if `action` (*shape), for a batch of one, is outside the agent's space or illegal now."""
        role, i, k = self.game.seat[agent]
        chosen = self._fit[role.name](np.asarray(action)[None], (1,), "actions", agent)
        if self.masked[role.name]:
            moves = None if self.simultaneous else self.game.movers(self.state)[:, k]
            self._check_legal(chosen, self.state, role.name, i, agent, moves)

    def _part(self, index: Any) -> S:
        return self.state if isinstance(index, slice) and index == slice(None) else take(self.state, index)

    def _mask(self, state: S, role: str, i: int, moves: Array | None) -> Array:
        legal = cast(Array, self.game.legal(state, role))[:, i]
        if moves is None:
            return legal.copy()  # the game may keep it in the state
        legal = legal & moves[:, None]
        legal[~moves, 0] = True
        return legal

    def _actions(self, state: S, given: Mapping[str, Any], now: Clock, lanes: int) -> dict[str, Array]:
        movers = None if self.simultaneous else self.game.movers(state)
        actions = {}
        for role, asked in self._asked:
            observed: Observation | None = None
            joint = empty(role.action_space, lanes, len(asked))
            for i, agent, k in asked:
                moves = None if movers is None else movers[:, k]
                if agent in given:
                    chosen = self._fit[role.name](given[agent], (lanes,), "actions", agent)
                    if self.masked[role.name]:
                        self._check_legal(chosen, state, role.name, i, agent, moves)
                    joint[:, i] = chosen
                elif moves is not None and not moves.any():
                    continue
                elif agent in self.policies:
                    if observed is None:
                        observed = cast_observation(role.observation_space, self.game.observe(state, role.name))
                    own = observed[:, i] if isinstance(observed, np.ndarray) else pick(observed, (slice(None), i))
                    mask = self._mask(state, role.name, i, moves) if self.masked[role.name] else None
                    joint[:, i] = self._ask(agent, k, own, mask, moves, now, lanes)
                else:
                    raise ValueError(f"seats: nobody acts for {agent!r}; give its actions or a policy")
            actions[role.name] = joint
        return actions

    def _ask(
        self, agent: str, k: int, own: Observation, mask: Array | None, moves: Array | None, now: Clock, lanes: int
    ) -> Array:
        """The policy's actions in the lanes where it is to move, zeros elsewhere."""
        role = self.game.seat[agent][0]
        rng = self._policy_random.get(agent)
        if rng is None:
            rng = self._policy_random[agent] = LaneRandom(now, stream=k + 1)
        if moves is None or moves.all():
            return self._fit[role.name](
                self.policies[agent](own, mask=mask, rng=rng.at(now)), (lanes,), "policy", agent
            )
        where = np.flatnonzero(moves)
        at = Clock(*(word[where] for word in now))
        part = self.policies[agent](pick(own, where), mask=None if mask is None else mask[where], rng=rng.at(at))
        result = empty(role.action_space, lanes)
        result[where] = self._fit[role.name](part, (len(where),), "policy", agent)
        return result

    def _check_legal(self, chosen: Array, state: S, role: str, i: int, agent: str, moves: Array | None) -> None:
        start = getattr(self.game.role(role).action_space, "start", 0)
        legal = self._mask(state, role, i, moves)
        allowed = np.take_along_axis(legal, (chosen.astype(np.int64) - start)[:, None], axis=1)[:, 0]
        if moves is not None:
            allowed = allowed | ~moves
        if not allowed.all():
            lane = int(np.argmin(allowed))
            options = (np.flatnonzero(legal[lane]) + start).tolist()
            raise ValueError(
                f"actions of {agent!r}: {int(chosen[lane])} is illegal in lane {lane}; legal are {options}"
            )

    # -- saving --------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Array]:
        """Everything that determines the future, as plain arrays."""
        arrays = {f"state.{name}": value.copy() for name, value in self.game.snapshot(self.state).items()}
        arrays |= {f"clock.{name}": word.copy() for name, word in zip(Clock._fields, self.clock, strict=True)}
        return arrays | {"elapsed": self.elapsed.copy()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a `snapshot` of an arena of the same game and batch, exactly.

        Raises:
            ValueError: if the arrays do not belong to such an arena: names, dtypes and shapes are compared with its
                own. Nothing has changed then.
        """
        start = clock(0, self.batch)
        like = self.game.initial(self.batch, LaneRandom(start))
        needed = {f"state.{name}": value for name, value in self.game.snapshot(like).items()}
        needed |= {f"clock.{name}": word for name, word in zip(Clock._fields, start, strict=True)}
        fit(arrays, needed | {"elapsed": np.zeros(self.batch, np.int64)})
        if (np.asarray(arrays["elapsed"]) < 0).any():
            raise ValueError("arrays['elapsed']: a number of steps cannot be negative")
        state = {name.removeprefix("state."): value for name, value in arrays.items() if name.startswith("state.")}
        restored = self.game.restore(like, state)
        self.seed(0)
        self.deal()
        self.state = restored
        self.clock = Clock(*(np.array(arrays[f"clock.{name}"]) for name in Clock._fields))
        self._deck = Deck(self.game) if self.batch == 1 else None
        self.elapsed = np.array(arrays["elapsed"])

    def over(self) -> Array:
        """(B,) bool: which lanes have ended, by the rules or at the horizon?"""
        over: Array = self.game.terminal(self.state).copy()
        return over if self.horizon is None else over | (self.elapsed >= self.horizon)


def fit(arrays: Mapping[str, Any], needed: Mapping[str, Array]) -> None:
    """Compare the names, dtypes and shapes of a snapshot with those `needed`.

    Raises:
        ValueError: naming what does not fit.
    """
    if arrays.keys() != needed.keys():
        raise ValueError(f"arrays: not such a snapshot: {sorted(arrays)} given, {sorted(needed)} needed")
    for name, like in needed.items():
        given = np.asarray(arrays[name])
        if given.dtype != like.dtype or given.shape != like.shape:
            raise ValueError(
                f"arrays[{name!r}]: not such a snapshot: {given.dtype}{given.shape} given, "
                f"{like.dtype}{like.shape} needed"
            )


class SeatView(Generic[S]):
    """One agent's side of an arena: the other seats act by policies until this one is to move again."""

    def __init__(
        self,
        game: Game[S],
        batch: int,
        agent: str | None = None,
        others: Mapping[str, Any] | str | None = None,
        horizon: int | None = None,
    ) -> None:
        """Sit down as `agent` (default: the game's first).

        Args:
            game: the rules.
            batch: number of lanes.
            agent: whose view.
            others: policies by role or agent, or one policy name for all; seats not mentioned play the equilibrium
                where known, else uniformly at random.
            horizon: replaces the game's own limit on steps.

        Raises:
            ValueError: if `agent` or a key of `others` is unknown, `others` names this seat alone, or `horizon` is not
                an integer of at least 1.
            TypeError: if `others` is neither a name nor a mapping.
        """
        self.agent = game.agents[0] if agent is None else agent
        if self.agent not in game.seat:
            raise ValueError(f"agent: {self.agent!r} is not one of {list(game.agents)}")
        self.role, _, self._k = game.seat[self.agent]
        rest = [name for name in game.agents if name != self.agent]
        if isinstance(others, str):
            others = dict.fromkeys(rest, others)
        policies = fill_seats(game, {} if others is None else others, "others")
        for name in others or {}:
            if name == self.agent or (name == self.role.name and self.role.size == 1):
                raise ValueError(f"others: {name!r} is the agent's own seat; name the other seats {rest}")
        policies.pop(self.agent, None)
        for name in rest:
            if name not in policies:
                policies[name] = default_policy(game, name)
        self.arena = Arena(game, batch, policies, horizon)

    def reset(self, seed: int | list[int] | None = None, lane: int = 0) -> None:
        """Begin a new episode in every lane and play to this agent's first move."""
        if seed is not None:
            self.arena.seed(seed, lane)
        self._owed = np.zeros(self.arena.batch)
        self.arena.deal()
        self._reach(None)

    def snapshot(self) -> dict[str, Array]:
        """The arena's snapshot, and what this agent has received since its last move."""
        return self.arena.snapshot() | {"owed": self._owed.copy()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a `snapshot` of a view of the same game, agent and batch, exactly.

        Raises:
            ValueError: if the arrays do not belong to such a view.
        """
        if "owed" not in arrays:
            raise ValueError(f"arrays: not a snapshot of a seat in {self.arena.batch} lanes: 'owed' is missing")
        fit({"owed": arrays["owed"]}, {"owed": np.zeros(self.arena.batch)})
        self.arena.restore({name: value for name, value in arrays.items() if name != "owed"})
        self._owed = np.array(arrays["owed"])

    def begin(self, index: Array) -> None:
        """Begin a new episode in the lanes `index` and play to this agent's first move there."""
        self.arena.deal(index)
        self._owed[index] = 0.0
        self._reach(index)

    def step(self, actions: Any) -> Ended:
        """Act and play on to this agent's next move.

        Returns:
            `rewards` is (B,): what this agent received since its last move. The game may keep these arrays in its
            state: a door hands out copies.
        """
        arena = self.arena
        ended = arena.step({self.agent: actions})
        reward = ended.rewards[:, self._k]
        if arena.simultaneous:
            return Ended(reward, ended.terminated, ended.truncated)
        reward, terminated, truncated = reward + self._owed, ended.terminated.copy(), ended.truncated.copy()
        self._owed[:] = 0.0
        while True:
            waiting = np.flatnonzero(~(terminated | truncated | arena.moving(self.agent)))
            if not len(waiting):
                return Ended(reward, terminated, truncated)
            more = arena.step({}, waiting)
            reward[waiting] += more.rewards[:, self._k]
            terminated[waiting], truncated[waiting] = more.terminated, more.truncated

    def _reach(self, index: Array | None) -> None:
        """Play the others' opening moves; an episode that ends before this agent ever moved is followed by the next.

        Raises:
            ValueError: if the agent still has not moved after `REDEALS` episodes in a row.
        """
        if self.arena.simultaneous:
            return
        index = np.arange(self.arena.batch) if index is None else index
        redeals = np.zeros(self.arena.batch, np.int64)
        while True:
            waiting = index[~self.arena.moving(self.agent)[index]]
            if not len(waiting):
                return
            ended = self.arena.step({}, waiting)
            self._owed[waiting] += ended.rewards[:, self._k]
            over = waiting[ended.terminated | ended.truncated]
            if not len(over):
                continue
            self._owed[over] = 0.0
            redeals[over] += 1
            if redeals.max() > REDEALS:
                raise ValueError(
                    f"agent: {self.agent!r} is never to move: {REDEALS} episodes in a row ended before its first move "
                    f"(horizon={self.arena.horizon})"
                )
            self.arena.deal(over)
