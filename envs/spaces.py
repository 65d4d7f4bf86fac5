"""Batches of one agent's space: what shape they have, and a clear error when an array does not fit."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from walras.envs.game import Array, Observation

FLAT_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def empty(space: gymnasium.Space[Any], *lead: int) -> Array:
    """Zeros (the start of a Discrete) of shape (*lead, *space.shape) in the space's dtype."""
    if isinstance(space, spaces.Discrete):
        return np.full(lead, space.start, space.dtype)
    return np.zeros((*lead, *cast(tuple[int, ...], space.shape)), space.dtype)


def fresh(space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
    """An equal space with its own random state (two environments must never share one)."""
    import copy

    return copy.deepcopy(space)


def cast_observation(space: gymnasium.Space[Any], value: Observation) -> Observation:
    """A copy of the observation in the space's dtype(s): the same numbers on every door, free to be written into."""
    if isinstance(space, spaces.Dict):
        parts = cast(dict[str, Array], value)
        return {key: cast(Array, cast_observation(sub, parts[key])) for key, sub in space.spaces.items()}
    array = cast(Array, value)
    return array.astype(cast(Any, space.dtype))  # a copy even where the dtype fits: it may be the state itself


def at_least_one(number: Any, what: str) -> int | None:
    """A limit on steps: an integer of at least 1, or `None` for no limit.

    Raises:
        ValueError: naming `what`, for anything else.
    """
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise ValueError(f"{what} must be an integer of at least 1 or None, got {number!r}")
    return int(number)


def pick(value: Observation, index: Any) -> Observation:
    """`value[index]`, inside a dict of arrays too."""
    if isinstance(value, dict):
        return {key: part[index] for key, part in value.items()}
    return cast(Array, value[index])


class ActionFit:
    """What actions of a space must look like, prepared once, because every step of every door asks."""

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        """Bounds and dtype of a Box, Discrete, MultiDiscrete or MultiBinary space.

        Raises:
            TypeError: for any other space.
        """
        if not isinstance(space, FLAT_SPACES):
            raise TypeError(f"action_space: one of {[s.__name__ for s in FLAT_SPACES]} is needed, got {space}")
        self.space = space
        self.shape = cast(tuple[int, ...], space.shape)
        self.dtype = np.dtype(cast(Any, space.dtype))
        self._floating = self.dtype.kind == "f"
        self._kinds = "fiub" if self._floating else "iub"
        low, top = (space.low, space.high) if isinstance(space, spaces.Box) else _integer_range(space)
        high = np.asarray(top) if isinstance(space, spaces.Box) else np.asarray(top) - 1
        low = np.asarray(low)
        if self._floating:  # infinite bounds admit every number, but not infinity
            low, high = np.maximum(low, np.finfo(self.dtype).min), np.minimum(high, np.finfo(self.dtype).max)
        self._low, self._high = low, high
        self._uniform = bool(low.size) and bool((low == low.flat[0]).all() and (high == high.flat[0]).all())
        self._least: float = low.flat[0].item() if self._uniform else 0.0
        self._most: float = high.flat[0].item() if self._uniform else 0.0

    def __call__(self, actions: Any, lead: tuple[int, ...], what: str, agent: str) -> Array:
        """`actions` as an array (*lead, *shape) in the space's dtype.

        Raises:
            ValueError: naming `what` of which `agent`, if the shape is wrong, a number is NaN or outside the space,
                or a number of an integer space is not an integer.
        """
        try:
            array = np.asarray(actions)
        except ValueError as error:
            raise self._unfit(what, agent, "actions of unequal shapes cannot form an array") from error
        if array.shape != lead + self.shape:
            raise self._unfit(what, agent, f"shape {array.shape} given, {lead + self.shape} needed ({self.space})")
        if array.dtype.kind not in self._kinds:
            wanted = "numbers" if "f" in self._kinds else "integers"
            raise self._unfit(what, agent, f"dtype {array.dtype} given, {wanted} needed ({self.space})")
        if self._floating and array.dtype != self.dtype:
            with np.errstate(over="ignore"):  # too large a number becomes infinite, which is refused
                array = array.astype(self.dtype)  # before comparing: 0.1 is no more than a float32 bound of 0.1
        if array.size <= 4 and self._uniform:  # a list beats an array for a handful of numbers
            inside = all(self._least <= x <= self._most for x in array.ravel().tolist())
        else:
            inside = bool(((array >= self._low) & (array <= self._high)).all())
        if not inside:
            worst = array[~((array >= self._low) & (array <= self._high))].flat[0]
            raise self._unfit(what, agent, f"{worst} lies outside the action space {self.space}")
        return array if array.dtype == self.dtype else array.astype(self.dtype)

    @staticmethod
    def _unfit(what: str, agent: str, problem: str) -> ValueError:
        return ValueError(f"{what} of {agent!r}: {problem}")


def _integer_range(space: gymnasium.Space[Any]) -> tuple[Any, Any]:
    if isinstance(space, spaces.Discrete):
        return space.start, space.start + space.n
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec
    return 0, 2


def sample_batch(space: gymnasium.Space[Any], batch: int, mask: Array | None, rng: np.random.Generator) -> Array:
    """`batch` uniform draws from an action space by `rng.random`, restricted to `mask` (B, n_actions) where given."""
    if mask is not None:
        u = rng.random((batch, 1)) * mask.sum(-1, keepdims=True)
        start = space.start if isinstance(space, spaces.Discrete) else 0
        chosen: Array = (np.cumsum(mask, axis=-1) <= u).sum(-1)
        return (chosen + start).astype(cast(Any, space.dtype), copy=False)
    u = rng.random((batch, *cast(tuple[int, ...], space.shape)))
    if isinstance(space, spaces.Box):
        least, most = space.low.astype(np.float64), space.high.astype(np.float64)
        low = np.where(np.isfinite(least), least, np.where(np.isfinite(most), most - 1.0, -1.0))
        high = np.where(np.isfinite(most), most, np.where(np.isfinite(least), least + 1.0, 1.0))
        drawn: Array = (low + u * (high - low)).astype(space.dtype)
        return np.clip(drawn, space.low, space.high)
    first, end = _integer_range(space)
    whole: Array = first + np.floor(u * (np.asarray(end) - first))
    return whole.astype(cast(Any, space.dtype))
