"""Mechanisms that are tables of numbers: how they are compared, stored, and kept to multiples of a power of two."""

from __future__ import annotations

import abc
import functools
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from walras.envs.arguments import whole
from walras.envs.auctions.mechanism import DEMANDS, Mechanism, MenuMechanism


class Tables(Mechanism):
    """A mechanism held in numpy arrays (read-only) and a few facts; equal when all of them are equal."""

    @abc.abstractmethod
    def to_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arrays by name, and the JSON-able facts; `from_arrays` takes them back."""

    @classmethod
    @abc.abstractmethod
    def from_arrays(cls, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> Self:
        """Rebuild the mechanism, checking everything again.

        Raises:
            KeyError: an array or a fact is missing.
            ValueError: one is out of range.
        """

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Tables):
            return NotImplemented
        (mine, facts), (theirs, said) = self.to_arrays(), other.to_arrays()
        return facts == said and mine.keys() == theirs.keys() and all(np.array_equal(mine[k], theirs[k]) for k in mine)

    def __hash__(self) -> int:
        arrays, facts = self.to_arrays()
        return hash((type(self), repr(facts), *((name, arrays[name].tobytes()) for name in sorted(arrays))))

    def to_dict(self) -> dict[str, Any]:
        """The mechanism as plain JSON values: its class name, its facts, and its arrays as nested lists."""
        arrays, facts = self.to_arrays()
        return {
            "mechanism": type(self).__name__,
            **facts,
            "arrays": {name: {"shape": list(a.shape), "entries": a.ravel().tolist()} for name, a in arrays.items()},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild the mechanism from `to_dict`."""
        arrays = {
            name: np.array(entry["entries"], dtype=np.int64 if name.endswith("ids") else np.float64).reshape(
                entry["shape"]
            )
            for name, entry in record["arrays"].items()
        }
        return cls.from_arrays(arrays, {k: v for k, v in record.items() if k not in ("mechanism", "arrays")})


class TableMechanism(Tables, MenuMechanism):
    """A menu mechanism held in tables."""

    @functools.cached_property
    def _by_device(self) -> dict[Any, dict[str, Any]]:
        """The numbers as arrays of each kind and device that asked for them."""
        return {}


def check_format(table: Any, *counts: str) -> None:
    """Check the demand of a table and its whole numbers, by name, which are kept as plain integers.

    Raises:
        ValueError: naming the field at fault.
    """
    if table.demand not in DEMANDS:
        raise ValueError(f"demand: must be one of {DEMANDS}, got {table.demand!r}")
    for name in counts:
        object.__setattr__(table, name, whole(name, getattr(table, name)))


def dyadic(numbers: Any, bits: int = 24) -> Any:
    """The multiples of 2^-bits nearest to `numbers`, as float64; rounding half to even."""
    return np.round(np.ldexp(np.asarray(numbers, dtype=np.float64), bits)) * 2.0**-bits


def check_dyadic(name: str, numbers: Any, bits: int, dimensions: int) -> Any:
    """A read-only float64 copy of `numbers`, checked to be finite multiples of 2^-bits below 2^(52 - bits) in size.

    Args:
        name: of the argument, for the message.
        numbers: what was given.
        bits: the unit is 2^-bits.
        dimensions: number of axes.

    Raises:
        ValueError: naming `name`.
    """
    try:
        array = np.array(numbers, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        raise ValueError(f"{name}: must be a full grid of numbers") from None
    if array.ndim != dimensions or array.size == 0:
        raise ValueError(f"{name}: must have {dimensions} axes of length >= 1, got shape {array.shape}")
    if not np.all(np.abs(array) < 2.0 ** (52 - bits)):  # a NaN fails too
        raise ValueError(f"{name}: must be finite and below 2^{52 - bits} in size")
    scaled = np.ldexp(array, bits)
    if np.any(scaled != np.round(scaled)):
        worst = array.ravel()[int(np.argmax(np.abs(scaled - np.round(scaled))))]
        raise ValueError(f"{name}: must be multiples of 2^-{bits} (round them by `dyadic`), got {worst!r}")
    array += 0.0  # no negative zeros, so that equal tables have equal bytes
    array.flags.writeable = False
    return array
