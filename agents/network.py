"""A trained network as a policy that needs no torch: a learned bidder sits anywhere."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

import numpy as np

from walras.agents.codec import Codec
from walras.agents.storage import layer_arrays, layers_of, load_arrays, save_arrays
from walras.envs.game import Array, Observation

KIND = "walras.NetworkPolicy"


@dataclass(frozen=True, eq=False)
class NetworkPolicy:
    """A multilayer perceptron from observation to action; fits the seat it was trained for, and equal ones.

    Attributes:
        codec: the agent's spaces.
        weights: matrices (out, in) float32, layer after layer.
        biases: vectors (out,) float32.
        activation: `"tanh"` or `"relu"` between layers.
        spread: (outputs,) standard deviations for a Box's actions, in half-widths of the Box; `None` for other spaces.
        stochastic: draw actions as in training instead of the mean, or the likeliest.
    """

    codec: Codec
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activation: str = "tanh"
    spread: Array | None = None
    stochastic: bool = False

    def __post_init__(self) -> None:
        """Check that the layers fit together."""
        if self.activation not in ("tanh", "relu"):
            raise ValueError(f"activation must be 'tanh' or 'relu', got {self.activation!r}")
        if not self.weights or len(self.weights) != len(self.biases):
            raise ValueError(
                f"weights, biases: as many of each are needed, got {len(self.weights)} and {len(self.biases)}"
            )
        width = self.codec.width
        for k, (matrix, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if matrix.ndim != 2 or matrix.shape[1] != width or bias.shape != matrix.shape[:1]:
                raise ValueError(
                    f"weights: layer {k} has shapes {matrix.shape} and {bias.shape}, its input is {width} wide"
                )
            width = matrix.shape[0]
        if width != self.codec.outputs:
            raise ValueError(f"weights: the last layer gives {width} numbers, {self.codec.outputs} needed")
        if self.spread is not None and self.spread.shape != (width,):
            raise ValueError(f"spread: shape {self.spread.shape} given, {(width,)} needed")

    def output(self, observation: Observation, mask: Array | None = None) -> Array:
        """(B, outputs) float32: means of a Box in half-widths, logits of other spaces."""
        from walras.agents.dense import affine

        x = np.ascontiguousarray(self.codec.encode(observation, mask), np.float32)
        for k, (matrix, bias) in enumerate(self._layers):
            if k:
                x = np.tanh(x) if self.activation == "tanh" else np.maximum(x, 0.0)
            result = np.empty((len(x), len(bias)), np.float32)
            affine(x, matrix, bias, result)
            x = result
        return x

    @functools.cached_property
    def _layers(self) -> tuple[tuple[Array, Array], ...]:
        """The layers as `affine` wants them: matrices (in, out) in C order, float32."""
        return tuple(
            (np.ascontiguousarray(matrix.T, np.float32), np.ascontiguousarray(bias, np.float32))
            for matrix, bias in zip(self.weights, self.biases, strict=True)
        )

    def __call__(
        self, observation: Observation, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> Array:
        """Actions (B, *shape)."""
        output = self.output(observation, mask)
        if not self.stochastic:
            return self.codec.act(output, mask)
        if rng is None:
            raise ValueError("rng: a stochastic policy needs random numbers")
        return self.codec.act(output, mask, self.spread, rng.random(output.shape))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, weights as tensors and all else as JSON in its header; replaces an old one."""
        arrays = layer_arrays(self.weights, self.biases)
        if self.spread is not None:
            arrays["spread"] = self.spread
        facts = {
            "codec": self.codec.to_dict(), "activation": self.activation, "stochastic": self.stochastic,
            "layers": len(self.weights),
        }  # fmt: skip
        save_arrays(path, KIND, arrays, facts)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NetworkPolicy:
        """The policy written by `save`, to the bit.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not one, or is damaged.
        """
        arrays, facts = load_arrays(path, KIND)
        try:
            weights, biases = layers_of(arrays, int(facts["layers"]))
            codec, activation = Codec.from_dict(facts["codec"]), facts["activation"]
            return cls(codec, weights, biases, activation, arrays.get("spread"), facts["stochastic"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"path: {os.fspath(path)!r} is not a whole file of kind {KIND!r}: {error}") from error
