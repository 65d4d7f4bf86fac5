"""Policies on pictures made of classes: what a cell shows becomes indicators, and the network needs no torch to act.

A view of small integers (11 x 11 cells of 6 classes) is a sparse input: of each cell's indicators at most one is on.
The first layer therefore adds up one row of weights for each cell, which costs a fifth of the dense product.
`B` lanes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from walras.agents.storage import layer_arrays, layers_of, load_arrays, save_arrays
from walras.envs.game import Array, Observation

KIND = "walras.ClassPolicy"
MOST_CLASSES = 16
"""An integer Box with one range of at most so many values everywhere is taken as classes."""


@dataclass(frozen=True)
class Part:
    """One entry of an observation space, flat.

    Attributes:
        key: of the Dict, or `""` for a space that is none.
        size: numbers in it.
        classes: how many classes each is one of (the first has no indicator: all of a cell's are off), or 0 for
            numbers.
        low: first class.
        bounds: (low, high) of each number, infinite where there is none; empty for classes.
    """

    key: str
    size: int
    classes: int
    low: int
    bounds: tuple[tuple[float, float], ...] = ()

    @property
    def width(self) -> int:
        """Inputs of the network."""
        return self.size * (self.classes - 1) if self.classes else self.size


@dataclass(frozen=True)
class ClassCodec:
    """Translator from observations to the two kinds of input: classes and scaled numbers.

    Attributes:
        parts: of the observation space, those of classes first.
    """

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, space: gymnasium.Space[Any]) -> ClassCodec:
        """The codec of an observation space: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of these.

        Raises:
            TypeError: for another space.
        """
        entries = list(space.spaces.items()) if isinstance(space, spaces.Dict) else [("", space)]
        parts = [part for key, entry in entries for part in _parts(key, entry)]
        return cls((*(part for part in parts if part.classes), *(part for part in parts if not part.classes)))

    @property
    def width(self) -> int:
        """Inputs of the network in all."""
        return sum(part.width for part in self.parts)

    @property
    def starts(self) -> Array:
        """(C + 1,) int64: where each class cell's indicators begin among the inputs; the last: where numbers do."""
        counts = [part.classes - 1 for part in self.parts if part.classes for _ in range(part.size)]
        return np.cumsum([0, *counts], dtype=np.int64)

    def encode(self, observation: Observation) -> tuple[Array, Array]:
        """(B, C) int8 classes counted from 0, and (B, F) float32 numbers: bounded ones in [-1, 1], others compressed.

        A number without bounds becomes sign(x) log(1 + |x|).
        """
        classes, numbers = [], []
        for part in self.parts:
            value = np.asarray(observation[part.key] if isinstance(observation, dict) else observation)
            value = value.reshape(len(value), part.size)
            if part.classes:
                classes.append((value - part.low).astype(np.int8))
                continue
            low, high = np.array(part.bounds, np.float64).T
            wide = np.isfinite(low) & np.isfinite(high)
            span = np.where(wide & (high > low), high - low, 1.0)
            scaled = 2.0 * (value - np.where(wide, low, 0.0)) / span - 1.0
            numbers.append(np.where(wide, scaled, np.sign(value) * np.log1p(np.abs(value))).astype(np.float32))
        batch = len(next(iter(observation.values())) if isinstance(observation, dict) else observation)
        return (
            np.concatenate(classes, axis=1) if classes else np.zeros((batch, 0), np.int8),
            np.concatenate(numbers, axis=1) if numbers else np.zeros((batch, 0), np.float32),
        )

    def to_list(self) -> list[dict[str, Any]]:
        """JSON-able."""
        return [
            {
                "key": part.key, "size": part.size, "classes": part.classes, "low": part.low,
                "bounds": [[None if np.isinf(x) else x for x in pair] for pair in part.bounds],
            }
            for part in self.parts
        ]  # fmt: skip

    @classmethod
    def from_list(cls, listed: list[dict[str, Any]]) -> ClassCodec:
        """What `to_list` gave."""
        parts = []
        for entry in listed:
            pairs = [
                (-np.inf if low is None else low, np.inf if high is None else high) for low, high in entry["bounds"]
            ]
            parts.append(Part(entry["key"], entry["size"], entry["classes"], entry["low"], tuple(pairs)))
        return cls(tuple(parts))


def _parts(key: str, space: gymnasium.Space[Any]) -> list[Part]:
    if isinstance(space, spaces.Discrete):
        return [Part(key, 1, int(space.n), int(space.start))]
    if isinstance(space, spaces.MultiBinary):
        return [Part(key, int(np.prod(space.shape)), 2, 0)]
    if isinstance(space, spaces.MultiDiscrete):
        if len(set(space.nvec.ravel().tolist())) == 1 and not space.start.any():
            return [Part(key, space.nvec.size, int(space.nvec.flat[0]), 0)]
        pairs = zip(space.start.ravel().tolist(), (space.start + space.nvec - 1).ravel().tolist(), strict=True)
        return [Part(key, space.nvec.size, 0, 0, tuple((float(a), float(b)) for a, b in pairs))]
    if not isinstance(space, spaces.Box):
        raise TypeError(f"observation_space: Box, Discrete, MultiDiscrete or MultiBinary is needed, got {space}")
    low, high = space.low.ravel(), space.high.ravel()
    if space.dtype is not None and space.dtype.kind in "iu":
        spread = int(high.flat[0]) - int(low.flat[0]) + 1
        if (low == low[0]).all() and (high == high[0]).all() and 2 <= spread <= MOST_CLASSES:
            return [Part(key, low.size, spread, int(low[0]))]
    pairs = zip(low.astype(np.float64).tolist(), high.astype(np.float64).tolist(), strict=True)
    return [Part(key, low.size, 0, 0, tuple(pairs))]


@dataclass(frozen=True, eq=False)
class ClassPolicy:
    """A multilayer perceptron (ReLU) from classes and numbers to the logits of Discrete actions.

    Attributes:
        codec: of the observations.
        weights: matrices (in, out) float32, layer after layer.
        biases: vectors (out,) float32.
        start: number of the space's first action.
        stochastic: draw actions as in training instead of taking the likeliest.
    """

    codec: ClassCodec
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    start: int = 0
    stochastic: bool = True

    def __post_init__(self) -> None:
        """Check that the layers fit together."""
        width = self.codec.width
        if not self.weights or len(self.weights) != len(self.biases):
            raise ValueError(
                f"weights, biases: as many of each are needed, got {len(self.weights)} and {len(self.biases)}"
            )
        for k, (matrix, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if matrix.ndim != 2 or matrix.shape[0] != width or bias.shape != matrix.shape[1:]:
                raise ValueError(
                    f"weights: layer {k} has shapes {matrix.shape} and {bias.shape}, its input is {width} wide"
                )
            width = matrix.shape[1]

    def logits(self, observation: Observation) -> Array:
        """(B, outputs) float32; a lane's numbers do not depend on how many lanes there are."""
        return forward(self.codec.starts, *self.codec.encode(observation), self.weights, self.biases)

    def __call__(
        self, observation: Observation, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> Array:
        """Actions (B,)."""
        logits = self.logits(observation)
        if mask is not None:
            logits = np.where(mask, logits, -np.inf)
        if self.stochastic:
            if rng is None:
                raise ValueError("rng: a stochastic policy needs random numbers")
            return choose(logits, rng.random((len(logits), 1))[:, 0]) + self.start
        likeliest: Array = logits.argmax(axis=1) + self.start
        return likeliest

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, weights as tensors and all else as JSON in its header; replaces an old one."""
        arrays = layer_arrays(self.weights, self.biases)
        facts = {"codec": self.codec.to_list(), "start": self.start, "stochastic": self.stochastic}
        save_arrays(path, KIND, arrays, facts | {"layers": len(self.weights)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ClassPolicy:
        """The policy written by `save`, to the bit.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not one, or is damaged.
        """
        arrays, facts = load_arrays(path, KIND)
        try:
            weights, biases = layers_of(arrays, int(facts["layers"]))
            codec = ClassCodec.from_list(facts["codec"])
            return cls(codec, weights, biases, int(facts["start"]), bool(facts["stochastic"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"path: {os.fspath(path)!r} is not a whole file of kind {KIND!r}: {error}") from error


def forward(
    starts: Array, classes: Array, numbers: Array, weights: tuple[Array, ...], biases: tuple[Array, ...]
) -> Array:
    """(B, outputs) of the network: rows of the first matrix for the classes, then layer after layer."""
    from walras.agents.class_kernels import first_layer
    from walras.agents.dense import affine

    x = np.empty((len(classes), len(biases[0])), np.float32)
    first_layer(classes, numbers, starts, weights[0], biases[0], x)
    for matrix, bias in zip(weights[1:], biases[1:], strict=True):
        result = np.empty((len(x), len(bias)), np.float32)
        affine(np.maximum(x, 0.0), matrix, bias, result)
        x = result
    return x


def choose(logits: Array, u: Array) -> Array:
    """(B,) draws from the softmax of logits (B, k), by one uniform each and the inverse CDF."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    cumulative = np.cumsum(shifted, axis=1)
    drawn = (cumulative <= u[:, None] * cumulative[:, -1:]).sum(axis=1)
    return cast(Array, np.minimum(drawn, logits.shape[1] - 1))
