"""The contextual escape room: five players, three levers, a door; what a principal must pay is known exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.game import Array, Game, Observation, Role, Truth
from walras.envs.society.layer import Society
from walras.envs.society.levers import Subsidy

LEVERS = 3
DOOR, START = 3, 4
PLACES = 5
NEEDED = 2
"""Players who must stand at the active lever."""

_SOURCE = "arXiv 2410.08345, its code; enumeration of all profiles"


class EscapeState(NamedTuple):
    """State of the escape room.

    Attributes:
        place: (B, n) int64, where everybody stands: levers 0-2, 3 the door, 4 the start.
        active: (B,) int64, the lever that opens the door.
        opened: (B,) bool, whether the door stood open in the last step.
        time: (B,) steps made.
    """

    place: Array
    active: Array
    opened: Array
    time: Array


class EscapeRoom(Game[EscapeState]):
    """Some must stand at the lever so that others get out of the door, and nobody wants to be the one.

    ## Description
    Every step each player picks a place. The door opens if two players stand at the lever that is active in this
    episode. Door open: +10 at the door, -1 elsewhere. Door shut: 0 for who did not move, -1 for who did.

    ## Action space
    `Discrete(5)`: levers 0, 1, 2, the door, the start.

    ## Observation space
    `Box`, 28 zeros and ones: everybody's place (5 x 5), the active lever (3).

    ## Rewards
    As above.

    ## Episode end
    After `steps` steps, by the rules.

    ## Info
    `at` (5): place one-hot; `part` (5): the same with the active lever first, then the two others in cyclic order, the
    door, the start; `lever` (3): the active lever; `open`: whether the door stood open in the last step.

    Source: arXiv 2410.08345 (Large Legislative Models), its published code.
    """

    def __init__(self, players: int = 5, steps: int = 5, *, active: int | None = None) -> None:
        """Set the parameters.

        Args:
            players: n >= 3.
            steps: of an episode, >= 1.
            active: the lever, 0-2; `None`: drawn for each episode.

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.players, self.steps = whole("players", players, NEEDED + 1), whole("steps", steps)
        if active is not None and not whole("active", active, 0) < LEVERS:
            raise ValueError(f"active must be one of 0, 1, 2 or None, got {active!r}")
        self.active = active
        seen = spaces.Box(0.0, 1.0, (PLACES * self.players + LEVERS,), np.float32)
        self.roles = (Role("player", self.players, seen, spaces.Discrete(PLACES)),)

    def __repr__(self) -> str:
        """Parameters that tell this room from others."""
        return f"EscapeRoom(players={self.players}, steps={self.steps}, active={self.active})"

    def initial(self, batch: int, rng: np.random.Generator) -> EscapeState:
        """Everybody at the start, a lever drawn."""
        active = np.floor(rng.random((batch,)) * LEVERS).astype(np.int64)
        if self.active is not None:
            active = np.full(batch, self.active, np.int64)
        place = np.full((batch, self.players), START, np.int64)
        return EscapeState(place, active, np.zeros(batch, bool), np.zeros(batch, np.int64))

    def observe(self, state: EscapeState, role: str) -> Array:
        """(B, n, 28): the same for all."""
        batch = len(state.active)
        seen = np.concatenate([np.eye(PLACES)[state.place].reshape(batch, -1), np.eye(LEVERS)[state.active]], axis=1)
        return np.broadcast_to(seen[:, None], (batch, self.players, seen.shape[1]))

    def step(
        self, state: EscapeState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[EscapeState, Array]:
        """Everybody goes to a place; nothing is random."""
        place = actions["player"].astype(np.int64)
        opened = (place == state.active[:, None]).sum(axis=1) >= NEEDED
        when_open = np.where(place == DOOR, 10.0, -1.0)
        when_shut = np.where(place == state.place, 0.0, -1.0)
        rewards = np.where(opened[:, None], when_open, when_shut)
        return EscapeState(place, state.active, opened, state.time + 1), rewards

    def terminal(self, state: EscapeState) -> Array:
        """After the last step."""
        over: Array = state.time >= self.steps
        return over

    def info(self, state: EscapeState, role: str) -> dict[str, Array]:
        """See the class docstring."""
        batch = len(state.active)
        part = np.where(state.place < LEVERS, (state.place - state.active[:, None]) % LEVERS, state.place)
        return {
            "at": np.eye(PLACES)[state.place],
            "part": np.eye(PLACES)[part],
            "lever": np.broadcast_to(np.eye(LEVERS)[state.active][:, None], (batch, self.players, LEVERS)),
            "open": np.broadcast_to(state.opened[:, None], (batch, self.players)).astype(np.float64),
        }

    def truths(self) -> tuple[Truth, ...]:
        """The most that all can have together."""
        best = float(10 * (self.players - NEEDED) - NEEDED)
        return (
            Truth("largest total reward of a step", best, "optimum", _SOURCE),
            Truth("largest total reward of an episode", best * self.steps, "optimum", _SOURCE),
        )


def stage_equilibria(
    active: int, incentive: Array, place: Array | None = None, players: int = 5
) -> tuple[Array, Array]:
    """All pure Nash equilibria of one step, by looking at every profile and every deviation.

    Args:
        active: the lever.
        incentive: (5,) paid for standing at each place.
        place: (n,) where everybody stood; default: at the start.
        players: n.

    Returns:
        Profiles (E, n), and the total of the raw rewards in each (E,).
    """
    game = EscapeRoom(players, 1)
    profiles = np.stack(np.unravel_index(np.arange(PLACES**players), (PLACES,) * players), axis=1)
    batch = len(profiles)
    stood = np.full((batch, players), START) if place is None else np.broadcast_to(place, (batch, players))
    state = EscapeState(stood, np.full(batch, active), np.zeros(batch, bool), np.zeros(batch, np.int64))
    raw = game.step(state, {"player": profiles}, np.random.default_rng(0))[1]
    payoff = (raw + np.asarray(incentive, np.float64)[profiles]).reshape((PLACES,) * players + (players,))
    stable = np.ones((PLACES,) * players, bool)
    for i in range(players):
        stable &= payoff[..., i] >= payoff[..., i].max(axis=i, keepdims=True) - 1e-12
    found = stable.reshape(-1)
    return profiles[found], raw.sum(axis=1)[found]


class EscapeIncentives(Society):
    """The escape room with a principal who pays for standing at places; it serves the sum of raw rewards.

    ## Description
    `Society` over `EscapeRoom` with a subsidy for each place. At the start of an episode the principal sees the active
    lever and sets five prices in [0, 5], paid every step. Its objective, the surplus, is utilities less what it pays,
    which is the sum of the raw rewards.

    ## Action space
    Principal: `Box(0, 5, (5,))`, or `MultiDiscrete([g + 1] * 5)`. Players: `Discrete(5)`.

    ## Observation space
    As in `Society`, with the active lever at the end of the principal's.

    ## Rewards
    As in `Society`.

    ## Episode end
    After `rounds` rounds of one episode of the escape room each.

    ## Info
    As in `Society`.

    Source: arXiv 2410.08345, its published code; the parametrisation `relative` is ours.
    """

    def __init__(
        self,
        players: int = 5,
        steps: int = 5,
        *,
        rounds: int = 1,
        grid: int | None = None,
        relative: bool = False,
        informed: bool = True,
        active: int | None = None,
        most: float = 5.0,
    ) -> None:
        """Set the parameters.

        Args:
            players: n >= 3.
            steps: of an episode, >= 1.
            rounds: of a society's episode, >= 1.
            grid: number of prices; `None`: any.
            relative: prices are for parts (active lever, the next, the one after, door, start) in place of places.
            informed: whether players see the prices.
            active: the lever, 0-2; `None`: drawn for each episode.
            most: largest price, > 0.

        Raises:
            ValueError: if a parameter is out of range.
        """
        if not 0 < most < np.inf:
            raise ValueError(f"most must be positive and finite, got {most!r}")
        paid: Any = Subsidy("part" if relative else "at", PLACES, 0.0, float(most))
        super().__init__(
            EscapeRoom(players, steps, active=active), levers=(paid,), objectives=("surplus", "utilitarian"),
            rounds=rounds, grid=grid, told=("mean:lever",), informed=informed,
        )  # fmt: skip

    def answers(self) -> Mapping[str, Any]:
        """Players answer the prices they see, and each other, in turn."""
        if not self.informed:
            return {}
        relative = self.levers[0].base == "part"
        return {name: InTurn(i, self.game.n_agents, relative) for i, name in enumerate(self.game.agents)}

    def truths(self) -> tuple[Truth, ...]:
        """The most that all can have together, per round."""
        return tuple(Truth(f"{t.name} per round", t.value, t.kind, t.source) for t in self.game.truths()[1:])


class InTurn:
    """A player of a room that reaches its step's equilibrium by best replies in turn, from where everybody stands.

    Player after player picks what pays most in this step given the others' picks, `sweeps` times round; ties go to the
    place where the player is, then to the smaller number. Everybody computes the same and plays the own part.
    """

    def __init__(self, number: int, players: int = 5, relative: bool = False, sweeps: int = 3) -> None:
        self.number, self.players, self.relative, self.sweeps = number, players, relative, sweeps

    def __repr__(self) -> str:
        """For checkpoints."""
        return f"InTurn({self.number}, {self.players}, {self.relative}, {self.sweeps})"

    def __call__(self, observation: Observation) -> Array:
        """Places (B,)."""
        assert isinstance(observation, dict)
        seen = np.asarray(observation["game"], np.float64)
        price = np.asarray(observation["policy"], np.float64)
        batch, n = len(seen), self.players
        stood = seen[:, : n * PLACES].reshape(batch, n, PLACES).argmax(axis=2)
        active = seen[:, n * PLACES :].argmax(axis=1)
        if self.relative:  # prices are for parts: bring them to places
            part = np.tile(np.arange(PLACES), (batch, 1))
            part[:, :LEVERS] = (np.arange(LEVERS) - active[:, None]) % LEVERS
            price = np.take_along_axis(price, part, axis=1)
        picks = stood.copy()
        for _ in range(self.sweeps):
            for i in range(n):
                helpers = (picks == active[:, None]).sum(axis=1) - (picks[:, i] == active)
                worth = np.empty((batch, PLACES))
                for place in range(PLACES):
                    opened = helpers + (active == place) >= NEEDED
                    shut = np.where(stood[:, i] == place, 0.0, -1.0)
                    worth[:, place] = np.where(opened, 10.0 if place == DOOR else -1.0, shut) + price[:, place]
                worth[np.arange(batch), picks[:, i]] += 1e-9
                picks[:, i] = worth.argmax(axis=1)
        chosen: Array = picks[:, self.number]
        return chosen
