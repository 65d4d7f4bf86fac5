"""Any agent's spaces as one flat, scaled vector and back, so that one kind of network fits every game.

`B` lanes. Bounded coordinates are scaled to [-1, 1], Discrete ones become one-hot, dicts are joined in the order of
their keys; for games with action masks the mask stands at the end, as zeros and ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from walras.envs.game import Array, Observation


@dataclass(frozen=True)
class Codec:
    """Translator between an agent's spaces and a learner's.

    Attributes:
        observation_space: of one agent: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of these.
        action_space: of one agent: a bounded Box, Discrete, MultiDiscrete or MultiBinary.
        masked: whether the game restricts Discrete actions.
    """

    observation_space: gymnasium.Space[Any]
    action_space: gymnasium.Space[Any]
    masked: bool = False

    def __post_init__(self) -> None:
        """Reject spaces that no network output can cover."""
        space = self.action_space
        if isinstance(space, spaces.Box) and not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise ValueError(f"action_space: a Box needs finite bounds, got {space}")
        if not isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise ValueError(f"action_space: Box, Discrete, MultiDiscrete or MultiBinary is needed, got {space}")
        if self.masked and not isinstance(space, spaces.Discrete):
            raise ValueError(f"masked: only Discrete actions can be masked, got {space}")
        _width(self.observation_space)

    @property
    def width(self) -> int:
        """Length of an encoded observation, the mask included."""
        return _width(self.observation_space) + (self.outputs if self.masked else 0)

    @property
    def outputs(self) -> int:
        """Numbers a network must put out: means of a Box, logits of the others."""
        space = self.action_space
        if isinstance(space, spaces.Discrete):
            return int(space.n)
        if isinstance(space, spaces.MultiDiscrete):
            return int(space.nvec.sum())
        return int(np.prod(cast(tuple[int, ...], space.shape)))

    def encode(self, observation: Observation, mask: Array | None = None) -> Array:
        """(B, width) float32; a missing mask allows everything."""
        parts = _encode(self.observation_space, observation)
        if self.masked:
            parts.append(
                np.ones((len(parts[0]), self.outputs), np.float32) if mask is None else mask.astype(np.float32)
            )
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def learner_spaces(self) -> tuple[spaces.Box, gymnasium.Space[Any]]:
        """What the learner sees: a flat Box, and actions that are a Box on [-1, 1] or count from 0."""
        low, high = _bounds(self.observation_space)
        extra = np.zeros(self.width - len(low), np.float32)
        seen = spaces.Box(np.append(low, extra), np.append(high, extra + 1), dtype=np.float32)
        space = self.action_space
        if isinstance(space, spaces.Box):
            return seen, spaces.Box(-1.0, 1.0, (self.outputs,), np.float32)
        if isinstance(space, spaces.Discrete):
            return seen, spaces.Discrete(int(space.n))
        if isinstance(space, spaces.MultiDiscrete):
            return seen, spaces.MultiDiscrete(space.nvec.ravel())
        return seen, spaces.MultiBinary(self.outputs)

    def decode(self, chosen: Array) -> Array:
        """Actions (B, *shape) from the learner's (B, outputs) or, for Discrete, (B,)."""
        space = self.action_space
        shape = (len(chosen), *cast(tuple[int, ...], space.shape))
        if isinstance(space, spaces.Box):
            share = (np.clip(chosen, -1.0, 1.0).reshape(shape).astype(np.float64) + 1.0) / 2.0
            action = (space.low + share * (space.high.astype(np.float64) - space.low)).astype(space.dtype)
            return np.asarray(np.clip(action, space.low, space.high))
        start = getattr(space, "start", 0)
        return (chosen.reshape(shape) + start).astype(cast(Any, space.dtype))

    def act(
        self, output: Array, mask: Array | None = None, spread: Array | None = None, u: Array | None = None
    ) -> Array:
        """Actions (B, *shape) from what a network put out.

        Args:
            output: (B, outputs) means or logits.
            mask: (B, outputs) legal actions, for Discrete ones.
            spread: (outputs,) standard deviations of a Box's normal law.
            u: (B, outputs) uniforms to draw by; `None`: the mean, or the likeliest action.
        """
        space = self.action_space
        if isinstance(space, spaces.Box):
            if u is not None and spread is not None:
                from scipy.special import ndtri

                output = output + spread * ndtri(np.clip(u, 1e-12, 1.0 - 1e-12))
            return self.decode(output)
        if isinstance(space, spaces.MultiBinary):
            return self.decode(output > 0 if u is None else u < 1.0 / (1.0 + np.exp(-output)))
        if mask is not None:
            output = np.where(mask, output, -np.inf)
        if u is not None:  # the largest of logits plus Gumbel noise is a draw from their softmax
            output = output - np.log(-np.log(np.clip(u, 1e-300, 1.0 - 1e-16)))
        if isinstance(space, spaces.Discrete):
            return self.decode(output.argmax(axis=1))
        ends = np.cumsum(space.nvec.ravel())[:-1]  # type: ignore[attr-defined]
        return self.decode(np.stack([part.argmax(axis=1) for part in np.split(output, ends, axis=1)], axis=1))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, exact."""
        return {
            "observation_space": _space_to_dict(self.observation_space),
            "action_space": _space_to_dict(self.action_space),
            "masked": self.masked,
        }  # fmt: skip

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> Codec:
        """Rebuild from `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: if the record is not such a one.
        """
        seen, done = _space_from_dict(record["observation_space"]), _space_from_dict(record["action_space"])
        return Codec(seen, done, bool(record["masked"]))


def _width(space: gymnasium.Space[Any]) -> int:
    if isinstance(space, spaces.Dict):
        return sum(_width(part) for part in space.spaces.values())
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return int(np.prod(space.shape))
    raise ValueError(
        f"observation_space: Box, Discrete, MultiDiscrete, MultiBinary or a Dict of these is needed, got {space}"
    )


def _bounds(space: gymnasium.Space[Any]) -> tuple[Array, Array]:
    """Bounds of the encoded observation without its mask."""
    if isinstance(space, spaces.Dict):
        parts = [_bounds(part) for part in space.spaces.values()]
        return np.concatenate([low for low, _ in parts]), np.concatenate([high for _, high in parts])
    if isinstance(space, spaces.Box):
        scaled = (np.isfinite(space.low) & np.isfinite(space.high)).ravel()
        return np.where(scaled, -1.0, space.low.ravel()).astype(np.float32), np.where(
            scaled, 1.0, space.high.ravel()
        ).astype(np.float32)
    return np.zeros(_width(space), np.float32), np.ones(_width(space), np.float32)


def _encode(space: gymnasium.Space[Any], value: Observation) -> list[Array]:
    if isinstance(space, spaces.Dict):
        return [part for key, sub in space.spaces.items() for part in _encode(sub, cast(dict[str, Array], value)[key])]
    array = cast(Array, value)
    if isinstance(space, spaces.Box):
        flat = array.reshape(len(array), -1).astype(np.float64)
        low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
        scaled = np.isfinite(low) & np.isfinite(high)
        base, size = np.where(scaled, low, 0.0), np.where(scaled & (high > low), high - low, 2.0)
        return [np.where(scaled, np.clip(2.0 * (flat - base) / size - 1.0, -1.0, 1.0), flat).astype(np.float32)]
    if isinstance(space, spaces.MultiBinary):
        return [array.reshape(len(array), -1).astype(np.float32)]
    columns = (array - space.start).reshape(len(array), -1)  # type: ignore[attr-defined]
    nvec = [space.n] if isinstance(space, spaces.Discrete) else cast(spaces.MultiDiscrete, space).nvec.ravel().tolist()
    return [(columns[:, j, None] == np.arange(count)).astype(np.float32) for j, count in enumerate(nvec)]


def _space_to_dict(space: gymnasium.Space[Any]) -> dict[str, Any]:
    if isinstance(space, spaces.Dict):
        return {"space": "Dict", "parts": {key: _space_to_dict(part) for key, part in space.spaces.items()}}
    shape, dtype = list(cast(tuple[int, ...], space.shape)), str(space.dtype)
    if isinstance(space, spaces.Box):
        low, high = (
            [str(x) for x in bound.ravel().tolist()] for bound in (space.low, space.high)
        )  # JSON has no infinity
        return {"space": "Box", "low": low, "high": high, "shape": shape, "dtype": dtype}
    if isinstance(space, spaces.Discrete):
        return {"space": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": dtype}
    if isinstance(space, spaces.MultiDiscrete):
        return {"space": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist(), "dtype": dtype}
    return {"space": "MultiBinary", "shape": shape}


def _space_from_dict(record: Mapping[str, Any]) -> gymnasium.Space[Any]:
    kind = record["space"]
    if kind == "Dict":
        return spaces.Dict({key: _space_from_dict(part) for key, part in record["parts"].items()})
    if kind == "MultiBinary":
        return spaces.MultiBinary(record["shape"] if len(record["shape"]) > 1 else record["shape"][0])
    dtype: Any = np.dtype(record["dtype"])
    if kind == "Box":
        low, high = (
            np.array([float(x) for x in record[key]]).reshape(record["shape"]).astype(dtype) for key in ("low", "high")
        )
        return spaces.Box(low, high, dtype=dtype)
    if kind == "Discrete":
        return spaces.Discrete(record["n"], start=record["start"], dtype=dtype)
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(np.array(record["nvec"]), start=np.array(record["start"]), dtype=dtype)
    raise ValueError(f"space: {kind!r} is unknown")
