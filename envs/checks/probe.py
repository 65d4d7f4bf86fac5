"""What the checks share: a policy that repeats itself, comparison to the bit, episodes of bearable length."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from walras.envs.doors.single import SeatEnv
from walras.envs.game import Array, Game, Observation
from walras.envs.seats import fill_seats

LIMIT = 300
"""Longest stretch of an episode that a check plays; longer ones are cut at this horizon."""


@dataclass(frozen=True)
class Probe:
    """A fixed, jumpy function of what it sees: the same observation gives the same action on every door."""

    space: gymnasium.Space[Any]

    def __call__(self, observation: Observation, *, mask: Array | None = None, rng: object = None) -> Array:
        """Actions (B, *shape) inside the space and under the mask."""
        parts = list(observation.values()) if isinstance(observation, dict) else [observation]
        batch = len(parts[0])
        flat = np.concatenate([np.asarray(part, np.float64).reshape(batch, -1) for part in parts], axis=1)
        waves = np.sin(flat * (np.arange(flat.shape[1]) + 1.37) * 12.9898)
        # A running sum, not `sum`: each lane adds up in the same order for every batch.
        mixed = np.cumsum(waves, axis=1)[:, -1] if waves.shape[1] else np.zeros(batch)
        size = int(np.prod(cast(tuple[int, ...], self.space.shape), dtype=int))
        u = np.stack([np.abs(mixed * (k + 43758.5453)) % 1.0 for k in range(size)], axis=1).reshape(
            batch, *cast(Any, self.space.shape)
        )
        if mask is not None:
            room = u.reshape(batch, 1) * mask.sum(axis=1, keepdims=True)
            chosen: Array = (np.cumsum(mask, axis=1) <= room).sum(axis=1) + getattr(self.space, "start", 0)
            return chosen.astype(cast(Any, self.space.dtype))
        if isinstance(self.space, spaces.Box):
            low, high = self.space.low.astype(np.float64), self.space.high.astype(np.float64)
            point: Array = (low + u * (high - low)).astype(self.space.dtype)
            return np.clip(point, self.space.low, self.space.high)
        binary = isinstance(self.space, spaces.MultiBinary)
        count = 2 if binary else getattr(self.space, "nvec", getattr(self.space, "n", 2))
        whole: Array = np.floor(u * count) + getattr(self.space, "start", 0)
        return whole.astype(cast(Any, self.space.dtype))


def probes(game: Game[Any]) -> dict[str, Probe]:
    """A probe for every agent."""
    return {agent: Probe(role.action_space) for agent, (role, _, _) in game.seat.items()}


def horizon_of(game: Game[Any]) -> int:
    """The game's own horizon, but no more than `LIMIT`."""
    return min(game.horizon or LIMIT, LIMIT)


def cut(game: Game[Any]) -> Game[Any]:
    """A copy whose episodes are not too long for a check."""
    game = copy.deepcopy(game)
    game.horizon = horizon_of(game)
    return game


def freeze(*trees: Any) -> None:
    """Make the arrays of states (inside tuples) and of actions (inside dicts) read-only: a write into them raises."""
    for tree in trees:
        if isinstance(tree, np.ndarray):
            tree.flags.writeable = False
        elif isinstance(tree, Mapping):
            freeze(*tree.values())
        elif isinstance(tree, tuple):
            freeze(*tree)


def same(a: Any, b: Any, what: str) -> None:
    """Equal to the bit, inside dicts too; else an AssertionError that says `what` differs."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), f"{what}: {sorted(a)} against {sorted(b)}"
        for key in a:
            same(a[key], b[key], f"{what}[{key!r}]")
        return
    np.testing.assert_array_equal(a, b, err_msg=what)


def random_policies(game: Game[Any]) -> dict[str, Any]:
    """A random policy for every agent."""
    return fill_seats(game, dict.fromkeys(game.agents, "random"))


def act_once(probe: Probe, observation: Any) -> Any:
    """The probe's action for one observation of a PettingZoo door or a Gymnasium one."""
    mask = None
    if isinstance(observation, dict) and "action_mask" in observation:
        mask, observation = observation["action_mask"].astype(bool)[None], observation["observation"]
    lead = (
        {k: np.asarray(v)[None] for k, v in observation.items()}
        if isinstance(observation, dict)
        else np.asarray(observation)[None]
    )
    return probe(lead, mask=mask)[0]


def mask_of(env: SeatEnv) -> Array | None:
    """The mask that `space.sample` wants, or None."""
    return env.action_masks().astype(np.int8) if env._masked() else None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The libraries' checkers print and advise; only their errors matter here."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        previous = gymnasium.logger.min_level
        gymnasium.logger.min_level = gymnasium.logger.ERROR
        try:
            yield
        finally:
            gymnasium.logger.min_level = previous
