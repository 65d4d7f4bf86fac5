"""Commons Harvest: players gather apples that grow back the faster the more of them are left, as Melting Pot has it.

The tragedy of the commons on a grid (Perolat et al. 2017, arXiv 1707.06600): an apple that is eaten sprouts again with
a probability that rises with the number of ripe apples near it, and not at all without any. Rules are those of Melting
Pot 2.4, `commons_harvest__open`, on which the tax experiment of Social Environment Design (arXiv 2402.14090) plays;
with `level="open-fixed"`, `zap=False` and `order="last-first"` those of its follow-up (arXiv 2410.08345).

Shapes: `B` lanes, `n` players, `A` apple cells, `H` x `W` cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.game import Array, Game, Observation, Role, Truth
from walras.envs.society.harvest_map import AHEAD, BEHIND, PAD, SIDE, WINDOW, harvest_map

ACTIONS = ("stay", "forward", "backward", "step left", "step right", "turn left", "turn right", "zap")
CLASSES = ("floor or dead cell", "wall or outside", "ripe apple", "other player", "self", "empty, may sprout")
REGROWTH = (0.0, 0.0025, 0.005, 0.025)
"""Probability that an empty apple cell sprouts in a step with 0, 1, 2, and 3 or more ripe neighbours."""
ENDING = (1000, 100, 0.15)
"""Melting Pot's random end: from this step on, in every so many steps, with this probability."""

_READY = np.array([1.0, 0.5, 0.0])  # by steps until the beam has cooled down


class HarvestState(NamedTuple):
    """State of B worlds.

    Attributes:
        place: (B, n) int16 cells; of a player who is away, where it was hit.
        facing: (B, n) int8: 0 north, 1 east, 2 south, 3 west.
        away: (B, n) int8 steps until a player who was zapped comes back, 0 for those in the world.
        cooling: (B, n) int8 steps until a player may zap again.
        live: (B,) uint64, bit k: apple cell k is ripe.
        fresh: (B,) uint64, bit k: apple cell k was emptied in the last step.
        steps: (B,) int64 since the deal.
        over: (B,) bool: has the random end come?
    """

    place: Array
    facing: Array
    away: Array
    cooling: Array
    live: Array
    fresh: Array
    steps: Array
    over: Array


class CommonsHarvest(Game[HarvestState]):
    """Players on a grid eat apples, which grow back the faster the more of them are left.

    ## Description
    In a step all players move in a fresh random order, blocked by walls and by each other; who enters the cell of a
    ripe apple eats it. Then beams are cast; who is hit misses 4 frames and comes back on a random free `P` cell. Then
    apples sprout: an empty apple cell with probability 0, 0.0025, 0.005, 0.025 for 0, 1, 2, and 3 or more ripe apples
    within distance 2. A cell that is emptied in step t can sprout in step t + 2 at the earliest, by the neighbours it
    had at the end of step t + 1; an apple that sprouts under a player is eaten by it at once.

    ## Action space
    `Discrete(8)`, relative to where the player faces; with `zap=False` `Discrete(7)`.

    | action | |
    | --- | --- |
    | 0 | stay |
    | 1, 2, 3, 4 | one cell forward, backward, to the left, to the right |
    | 5, 6 | turn left, turn right |
    | 7 | zap: three cells ahead and, from the cells at its sides, two ahead of each; then not for two steps |

    ## Observation space
    `Dict`: `view` (11, 11), the cells 9 ahead, 1 behind and 5 to each side, "ahead" up; and `ready` (1,), 1 if the
    player can zap, less while its beam cools down, 0 while it is away (then all of `view` is 1). With `sight="world"`
    also `world` (H, W), the whole map, and `self` (4,): row, column, direction, and whether it is in the world.

    | class | |
    | --- | --- |
    | 0 | floor, or an apple cell without a ripe neighbour |
    | 1 | wall or outside |
    | 2 | ripe apple |
    | 3, 4 | another player, the player itself |
    | 5 | an empty apple cell that may sprout |

    ## Rewards
    Apples eaten in the step.

    ## Episode end
    At the horizon, 1,000 steps; with `random_end=True` by the rules, with probability 0.15 at steps 1000, 1100, ...

    ## Info
    `ripe` apples in the world, and whether the player is `away`.

    Source: Melting Pot 2.4, commons_harvest__open; Perolat et al. (2017), arXiv 1707.06600. Bound in `truths`: derived.
    """

    def __init__(
        self,
        players: int = 7,
        *,
        level: str | Sequence[str] = "open",
        zap: bool = True,
        order: Literal["random", "last-first"] = "random",
        regrowth: Sequence[float] = REGROWTH,
        sight: Literal["view", "world"] = "view",
        random_end: bool = False,
        horizon: int | None = None,
    ) -> None:
        """Lay out the world.

        Args:
            players: n, at most 100.
            level: name of a map (`"open"`, `"open-fixed"`) or its rows (see `harvest_map`). Where digits give first
                places, players stand there, facing north; else on `Q` first and on `P` then, facing anywhere.
            zap: players can zap (8 actions) or cannot (7).
            order: who moves first in a step: a random permutation, or the highest number (the follow-up).
            regrowth: probability of sprouting with k = 0, 1, 2, ... ripe neighbours; the last one for more.
            sight: `"world"` adds to the observation the whole map by the same classes, `world` (H, W), and `self`
                (4,): row, column and direction of the player, and whether it is in the world; for scripted players.
            random_end: episodes end as in Melting Pot: with probability 0.15 after steps 1000, 1100, ...
            horizon: steps of an episode; default 1000, with `random_end` 5000.

        Raises:
            ValueError: if a number is out of range or a choice unknown, the map is malformed or has too few first
                places, or nobody who is zapped could come back.
            TypeError: if `level` is no map.
        """
        self.players = whole("players", players)
        if self.players > 100:
            raise ValueError(f"players must be at most 100, got {players}")
        self.level = level if isinstance(level, str) else tuple(level)
        self.map = harvest_map(level)
        for name, flag in (("zap", zap), ("random_end", random_end)):
            if not isinstance(flag, bool):
                raise ValueError(f"{name} must be True or False, got {flag!r}")
        for name, choice, known in (
            ("order", order, ("random", "last-first")),
            ("sight", sight, ("view", "world")),
        ):
            if choice not in known:
                raise ValueError(f"{name} must be one of {known}, got {choice!r}")
        self.zap, self.order, self.sight, self.random_end = zap, order, sight, random_end
        self.regrowth = tuple(float(p) for p in regrowth)
        if not self.regrowth or not all(0.0 <= p <= 1.0 for p in self.regrowth):
            raise ValueError(f"regrowth: probabilities in [0, 1] are needed, got {regrowth!r}")
        self._check_places()
        self.horizon = whole("horizon", (5 * ENDING[0] if random_end else ENDING[0]) if horizon is None else horizon)
        largest = max(self.regrowth)
        self._growth = np.array(self.regrowth) / (largest if largest > 0 else 1.0)
        self._skip = np.cumprod(np.r_[1.0, np.full(len(self.map.apples), 1.0 - largest)])
        height, width = self.map.shape
        seen: dict[str, spaces.Space[Any]] = {
            "view": spaces.Box(0, len(CLASSES) - 1, WINDOW, np.int8),
            "ready": spaces.Box(0.0, 1.0, (1,), np.float32),
        }
        if sight == "world":
            seen["world"] = spaces.Box(0, len(CLASSES) - 1, (height, width), np.int8)
            seen["self"] = spaces.Box(0, np.array([height - 1, width - 1, 3, 1], np.int16), (4,), np.int16)
        acts = spaces.Discrete(len(ACTIONS) - (not zap))
        self.roles = (Role("player", self.players, spaces.Dict(seen), acts),)

    def _check_places(self) -> None:
        fixed, room = len(self.map.fixed), len(self.map.inside) + len(self.map.outside)
        if fixed and fixed < self.players:
            raise ValueError(f"level: {fixed} players have a digit, and {self.players} play")
        if not fixed and room < self.players:
            raise ValueError(f"level: {room} cells 'Q' and 'P' are too few for {self.players} players")
        if self.zap and not len(self.map.outside):
            raise ValueError("level: a player who is zapped needs a cell 'P' to come back to; or set zap=False")

    def __repr__(self) -> str:
        """All parameters: trainings are told apart by it."""
        return (
            f"CommonsHarvest(players={self.players}, level={self.level!r}, zap={self.zap}, order={self.order!r}, "
            f"regrowth={self.regrowth}, sight={self.sight!r}, random_end={self.random_end}, horizon={self.horizon})"
        )

    # -- the rules -----------------------------------------------------------------------------------------------------

    def initial(self, batch: int, rng: np.random.Generator) -> HarvestState:
        """Every apple ripe, players on their first places."""
        place, facing = np.zeros((batch, self.players), np.int16), np.zeros((batch, self.players), np.int8)
        if len(self.map.fixed):
            place[:] = self.map.fixed[: self.players]
        else:
            from walras.envs.society.harvest_kernels import deal

            deal(rng.random((batch, 2)), self.map.inside, self.map.outside, place, facing)
        nobody = np.zeros((batch, self.players), np.int8)
        ripe = np.full(batch, self.map.all_ripe)
        return HarvestState(
            place, facing, nobody, nobody.copy(), ripe, np.zeros_like(ripe),
            np.zeros(batch, np.int64), np.zeros(batch, bool),
        )  # fmt: skip

    def step(
        self, state: HarvestState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[HarvestState, Array]:
        """Moves, zaps, returns, regrowth, in this order; rewards (B, n) are apples eaten."""
        from walras.envs.society.harvest_kernels import step

        level, batch = self.map, len(state.live)
        u = rng.random((batch, 3 if self.random_end else 2))
        place, facing, away, cooling, live, fresh = (field.copy() for field in state[:6])
        rewards = np.zeros((batch, self.players))
        step(
            u, actions["player"], level.wall, level.apples, level.apple_at, level.neighbours, level.outside,
            level.steps, self._growth, self._skip, self.order == "random",
            place, facing, away, cooling, live, fresh, rewards,
        )  # fmt: skip
        steps, over = state.steps + 1, state.over
        if self.random_end:
            first, every, chance = ENDING
            over = (steps >= first) & (steps % every == 0) & (u[:, 2] < chance)
        return HarvestState(place, facing, away, cooling, live, fresh, steps, over), rewards

    def terminal(self, state: HarvestState) -> Array:
        """Only where the end is random."""
        return state.over.copy()

    def observe(self, state: HarvestState, role: str) -> Observation:
        """Classes of the cells around each player, whether it can zap, and with `sight="world"` the whole map."""
        seen = {"view": self.view(state), "ready": self.ready(state)[..., None].astype(np.float32)}
        if self.sight == "world":
            height, width = self.map.shape
            row, column = np.divmod(state.place, width)
            seen["world"] = self.world(state).reshape(*state.place.shape, height, width)
            seen["self"] = np.stack([row, column, state.facing, state.away == 0], axis=-1).astype(np.int16)
        return seen

    # -- what else can be asked of a state -----------------------------------------------------------------------------

    def view(self, state: HarvestState) -> Array:
        """(B, n, 11, 11) int8 classes of each player's window."""
        from walras.envs.society.harvest_kernels import views

        level = self.map
        view = np.empty((*state.place.shape, WINDOW[0] * WINDOW[1]), np.int8)
        views(
            level.padded, level.shape[1], PAD, level.apples, level.neighbours, level.window, AHEAD * WINDOW[1] + SIDE,
            state.place, state.facing, state.away, state.live, view,
        )  # fmt: skip
        return view.reshape(*state.place.shape, *WINDOW)

    def world(self, state: HarvestState) -> Array:
        """(B, n, H * W) int8: the whole map by the same classes, for each player."""
        from walras.envs.society.harvest_kernels import worlds

        level = self.map
        world = np.empty((*state.place.shape, len(level.wall)), np.int8)
        worlds(level.wall, level.apples, level.neighbours, state.place, state.away, state.live, world)
        return world

    def ready(self, state: HarvestState) -> Array:
        """(B, n) 1 where a player can zap, less while its beam cools down, 0 while it is away."""
        ready: Array = _READY[state.cooling] * (state.away == 0)
        return ready

    def ripe(self, state: HarvestState) -> Array:
        """(B,) int64: ripe apples."""
        return np.bitwise_count(state.live).astype(np.int64)

    def nearby(self, state: HarvestState) -> Array:
        """(B, n, n) bool: does player i see player j in its window? Nobody sees itself or anyone who is away."""
        row, column = np.divmod(state.place.astype(np.int64), self.map.shape[1])
        down, right = row[:, None, :] - row[:, :, None], column[:, None, :] - column[:, :, None]
        facing = state.facing[:, :, None]
        ahead = np.choose(facing, [-down, right, down, -right])
        aside = np.choose(facing, [right, down, -right, -down])
        here = state.away == 0
        seen = (ahead <= AHEAD) & (ahead >= -BEHIND) & (np.abs(aside) <= SIDE) & here[:, :, None] & here[:, None, :]
        near: Array = seen & ~np.eye(self.players, dtype=bool)
        return near

    def info(self, state: HarvestState, role: str) -> dict[str, Array]:
        """Ripe apples in the world, and whether each player is away."""
        ripe = np.broadcast_to(self.ripe(state)[:, None], state.place.shape)
        return {"ripe": ripe.copy(), "away": state.away > 0}

    def global_state(self, state: HarvestState) -> Array:
        """(B, 2 A + 5 n) float32: ripe and just emptied cells, and each player's row, column, facing, away, cooling."""
        bits = np.arange(len(self.map.apples), dtype=np.uint64)
        words = [(word[:, None] >> bits) & np.uint64(1) for word in (state.live, state.fresh)]
        place = np.divmod(state.place, self.map.shape[1])
        parts = [*words, *place, state.facing, state.away, state.cooling]
        return np.concatenate([np.asarray(part, np.float32) for part in parts], axis=1)

    def truths(self) -> tuple[Truth, ...]:
        """An upper bound on the apples of an episode, where the patches are small enough to be gone through."""
        from walras.envs.society.harvest_theory import most_apples

        most = None if self.horizon is None else most_apples(self.map, self.regrowth, self.horizon)
        if most is None:
            return ()
        source = "derived: the largest growth of every patch, by enumeration"
        return (
            Truth("apples of an episode, all players", most, "bound", source),
            Truth("apples of an episode, per player", most / self.players, "bound", source),
        )

    def render_text(self, state: HarvestState, lane: int = 0) -> str:
        """The map: `#` wall, `A` ripe, `,` empty and may sprout, `.` dead, `^ > v <` players."""
        from walras.envs.society.harvest_view import as_text

        return as_text(self, state, lane)

    def render_rgb(self, state: HarvestState, lane: int = 0) -> npt.NDArray[np.uint8]:
        """The world from above, 8 pixels a cell: (8 H, 8 W, 3)."""
        from walras.envs.society.harvest_view import draw_world

        return draw_world(self, state, lane)
