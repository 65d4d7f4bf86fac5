"""The game: what a setting must say about itself, once, for every door and every learner.

Shapes used throughout: `B` lanes (games side by side), `n` agents, `c` agents of one role. Every array has the
lanes as its first axis; one game is a batch of one. A game object only holds parameters; what changes lives in a
*state*, a `NamedTuple` of numpy arrays with leading axis `B` (fields may be such tuples again). Methods are
functions: state in, state out.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, cast

import gymnasium
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Observation = Array | dict[str, Array]
Policy = Callable[..., Any]
_LARGEST = float(np.finfo(np.float32).max)
S = TypeVar("S", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Role:
    """Agents who share a part in the game, and the spaces of one of them.

    Attributes:
        name: the field's word for the part: `bidder`, `seller`, `designer`.
        count: how many agents play it; they are called `bidder_0, bidder_1, ...`. `None` for a single agent that
            carries the role's own name.
        observation_space: Gymnasium space of one agent's observation (Box, Discrete, MultiDiscrete, MultiBinary or
            a Dict of these).
        action_space: Gymnasium space of one agent's action (Box, Discrete, MultiDiscrete or MultiBinary).
    """

    name: str
    count: int | None
    observation_space: gymnasium.Space[Any]
    action_space: gymnasium.Space[Any]

    def __post_init__(self) -> None:
        """Reject parts that nobody plays, names that could be mistaken for an agent's, and spaces that are none."""
        if not isinstance(self.name, str):
            raise TypeError(f"Role: name must be a string, got {self.name!r}")
        whole = isinstance(self.count, int | np.integer) and not isinstance(self.count, bool)
        if self.count is not None and (not whole or self.count < 1):
            raise ValueError(f"Role {self.name!r}: count must be an integer of at least 1 or None, got {self.count!r}")
        for which in ("observation_space", "action_space"):
            if not isinstance(getattr(self, which), gymnasium.Space):
                raise TypeError(f"Role {self.name!r}: {which} must be a Gymnasium space, got {getattr(self, which)!r}")
        if not self.name.isidentifier() or self.name[-1].isdigit():
            raise ValueError(f"Role: name must be an identifier that does not end in a digit, got {self.name!r}")

    @property
    def size(self) -> int:
        """Number of agents, `c` in the shapes (1 for a single agent without a number)."""
        return 1 if self.count is None else self.count

    @property
    def agents(self) -> tuple[str, ...]:
        """Their names, in order."""
        return (self.name,) if self.count is None else tuple(f"{self.name}_{i}" for i in range(self.count))


@dataclass(frozen=True)
class Truth:
    """A number about a game that is known without playing it.

    Attributes:
        name: what it is, in words a table can print: `seller's revenue in equilibrium`.
        value: in the game's own units.
        kind: `optimum` (nobody can do better), `equilibrium` (value under equilibrium play), `bound`, or `identity`.
        source: book and proposition, or arXiv id and equation.
    """

    name: str
    value: float
    kind: Literal["optimum", "equilibrium", "bound", "identity"]
    source: str


class Game(abc.ABC, Generic[S]):
    """Rules of a setting: batched, functional, and free of any door.

    A subclass sets `roles` (and `horizon`, if nothing else ends an episode) in its constructor and writes
    `initial`, `observe`, `step` and `terminal`. The other methods have defaults. Randomness comes only from the
    generator passed in, by calls `rng.random((B, ...))`, as many as needed; see `walras.envs.lanes` for why
    uniforms and nothing else.
    """

    roles: tuple[Role, ...]
    horizon: int | None = None
    """Truncation after so many steps; `None` when the rules themselves end every episode."""

    # -- what every setting writes -------------------------------------------------------------------------------------

    @abc.abstractmethod
    def initial(self, batch: int, rng: np.random.Generator) -> S:
        """State of `batch` fresh games."""

    @abc.abstractmethod
    def observe(self, state: S, role: str) -> Observation:
        """What the agents of `role` see: (B, c, *shape), or a dict of such arrays for a Dict space."""

    @abc.abstractmethod
    def step(self, state: S, actions: Mapping[str, Array], rng: np.random.Generator) -> tuple[S, Array]:
        """One move of everyone who is to move.

        Args:
            state: states of which none is terminal.
            actions: for every role an array (B, c, *shape); entries of agents who are not to move are ignored.
            rng: source of the step's random numbers.

        Returns:
            The next state, and the rewards (B, n) float64 in the order of `agents`.
        """

    @abc.abstractmethod
    def terminal(self, state: S) -> Array:
        """(B,) bool: has the game ended by its own rules?"""

    # -- what a setting may add ----------------------------------------------------------------------------------------

    def movers(self, state: S) -> Array:
        """(B, n) bool: whose action counts in the next step. Default: everybody moves at once."""
        return np.ones((lanes_of(state), self.n_agents), bool)

    def legal(self, state: S, role: str) -> Array | None:
        """(B, c, n_actions) bool for a Discrete action space; `None` when every action is always allowed."""
        return None

    def info(self, state: S, role: str) -> dict[str, Array]:
        """Facts for the analyst, not for the agent: name -> (B, c, ...)."""
        return {}

    def global_state(self, state: S) -> Array:
        """(B, k) float32: the whole state for a central critic; the default lines up all fields (infinities cut)."""
        fields = self.snapshot(state).values()
        flat = [np.asarray(field, np.float64).reshape(len(field), -1) for field in fields]
        return np.nan_to_num(np.concatenate(flat, axis=1)).clip(-_LARGEST, _LARGEST).astype(np.float32)

    def truths(self) -> tuple[Truth, ...]:
        """Closed forms, equilibria and bounds that hold for these parameters."""
        return ()

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """Equilibrium policies by role or agent, where known, as seats take them: `policy(observation) -> action`.

        Both are (B, *shape); a policy that mixes names the keyword `rng` (see `walras.envs.seats`).
        """
        return None

    def render_text(self, state: S, lane: int = 0) -> str:
        """One lane in words; the default lists the state's fields."""
        fields = getattr(state, "_fields", range(len(state)))
        return "\n".join(
            f"{name}: {np.array2string(value[lane], precision=4)}"
            for name, value in zip(fields, state, strict=True)
            if isinstance(value, np.ndarray)
        )

    def render_rgb(self, state: S, lane: int = 0) -> npt.NDArray[np.uint8]:
        """One lane as a picture (H, W, 3); the default draws `render_text`."""
        from walras.envs.picture import draw_text

        return draw_text(self.render_text(state, lane))

    # -- what follows from the roles -----------------------------------------------------------------------------------

    @functools.cached_property
    def agents(self) -> tuple[str, ...]:
        """All agents' names, role after role."""
        return tuple(name for role in self.roles for name in role.agents)

    @property
    def n_agents(self) -> int:
        """Number of agents, `n` in the shapes."""
        return len(self.agents)

    @functools.cached_property
    def seat(self) -> Mapping[str, tuple[Role, int, int]]:
        """Agent name -> (its role, its number within the role, its number among all agents)."""
        places = [(role, i) for role in self.roles for i in range(role.size)]
        return {name: (*place, k) for k, (name, place) in enumerate(zip(self.agents, places, strict=True))}

    def role(self, name: str) -> Role:
        """The role of that name.

        Raises:
            KeyError: if there is none.
        """
        for role in self.roles:
            if role.name == name:
                return role
        raise KeyError(f"role {name!r}: this game has {[role.name for role in self.roles]}")

    def snapshot(self, state: S) -> dict[str, Array]:
        """The state as plain arrays, `field` or `field.inner` -> (B, ...), exact and ready for any file format."""
        return dict(_flatten(state, ""))

    def restore(self, like: S, arrays: Mapping[str, Array]) -> S:
        """The state whose `snapshot` is `arrays`; `like` is any state of this game (it gives the structure).

        Raises:
            ValueError: if a field is missing, unknown, or of another dtype or lane shape, or lanes differ in number.
        """
        expected = dict(_flatten(like, ""))
        if expected.keys() != arrays.keys():
            raise ValueError(f"arrays: fields {sorted(arrays)} given, {sorted(expected)} needed")
        lanes = {np.shape(value)[:1] for value in arrays.values()}
        if len(lanes) > 1:
            raise ValueError(f"arrays: all need the same number of lanes, got {sorted(lanes)}")
        for name, value in expected.items():
            given = np.asarray(arrays[name])
            if given.dtype != value.dtype or given.shape[1:] != value.shape[1:]:
                raise ValueError(
                    f"arrays[{name!r}]: {given.dtype}{given.shape} given, {value.dtype}(B, *{value.shape[1:]}) needed"
                )
        return cast(S, _unflatten(like, "", arrays))


class FiniteGame(Game[S]):
    """A game with finitely many states whose chance moves are enumerated.

    A subclass writes `root`, `chance`, `resolve` and `apply` in place of `initial` and `step`. Sampling is derived
    from the enumeration (one uniform for each chance move, by inverse CDF), so a tree built from these methods and
    a simulation cannot disagree.
    """

    @abc.abstractmethod
    def root(self, batch: int) -> S:
        """State before anything has happened, chance included."""

    @abc.abstractmethod
    def chance(self, state: S) -> Array:
        """(B, C) probabilities of nature's pending move; a row of zeros says that no chance move is pending."""

    @abc.abstractmethod
    def resolve(self, state: S, outcome: Array) -> S:
        """Nature's move: `outcome` (B,) int in [0, C)."""

    @abc.abstractmethod
    def apply(self, state: S, actions: Mapping[str, Array]) -> tuple[S, Array]:
        """The agents' move without chance: next state (a chance move may then be pending) and rewards (B, n)."""

    def initial(self, batch: int, rng: np.random.Generator) -> S:
        """Derived: the root with nature's moves sampled."""
        return self._nature(self.root(batch), rng)

    def step(self, state: S, actions: Mapping[str, Array], rng: np.random.Generator) -> tuple[S, Array]:
        """Derived: `apply`, then nature's moves sampled."""
        state, rewards = self.apply(state, actions)
        return self._nature(state, rng), rewards

    def _nature(self, state: S, rng: np.random.Generator) -> S:
        while True:
            probabilities = self.chance(state)
            total = probabilities.sum(-1)
            pending = total > 0
            if not pending.any():
                return state
            cumulative = np.cumsum(probabilities, axis=-1)
            u = rng.random((len(total), 1)) * total[:, None]
            outcome = np.minimum((u >= cumulative).sum(-1), probabilities.shape[-1] - 1)
            # The sum may fall short of 1 by rounding: never return an outcome of probability zero.
            last = probabilities.shape[-1] - 1 - np.argmax(probabilities[:, ::-1] > 0, axis=-1)
            outcome = np.minimum(outcome, last)
            if pending.all():
                state = self.resolve(state, outcome)
            else:
                index = np.flatnonzero(pending)
                state = put(state, index, self.resolve(take(state, index), outcome[index]))


# -- states as trees of arrays -----------------------------------------------------------------------------------------


def lanes_of(state: tuple[Any, ...]) -> int:
    """Number of lanes `B` of a state."""
    first = state[0]
    return lanes_of(first) if isinstance(first, tuple) else len(first)


def take(state: S, index: Array | slice) -> S:
    """The lanes `index` of a state, in that order (a lane may appear several times: tree search clones it)."""
    return type(state)(*[take(field, index) if isinstance(field, tuple) else field[index] for field in state])


def put(state: S, index: Array, lanes: S) -> S:
    """A copy of `state` in which the lanes `index` are replaced by `lanes`."""

    def replace(whole: Array, part: Array) -> Array:
        result = whole.copy()
        result[index] = part
        return result

    return cast(S, _map(replace, state, lanes))


def _map(f: Callable[..., Array], *states: Any) -> Any:
    first = states[0]
    if isinstance(first, tuple):
        return type(first)(*(_map(f, *fields) for fields in zip(*states, strict=True)))
    return f(*states)


def _flatten(state: Any, prefix: str) -> list[tuple[str, Array]]:
    if not isinstance(state, tuple):
        return [(prefix, state)]
    names = state._fields  # type: ignore[attr-defined]
    return [
        leaf
        for name, value in zip(names, state, strict=True)
        for leaf in _flatten(value, f"{prefix}.{name}" if prefix else name)
    ]


def _unflatten(like: Any, prefix: str, arrays: Mapping[str, Array]) -> Any:
    if not isinstance(like, tuple):
        return np.array(arrays[prefix])
    names = like._fields  # type: ignore[attr-defined]
    return type(like)(
        *(
            _unflatten(value, f"{prefix}.{name}" if prefix else name, arrays)
            for name, value in zip(names, like, strict=True)
        )
    )
