"""A mixed policy as a table: observation cells x actions."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np

from walras.agents.storage import load_arrays, save_arrays
from walras.envs.game import Array

KIND = "walras.TabularPolicy"


@dataclass(frozen=True, eq=False)
class TabularPolicy:
    """Probabilities over finitely many actions in each cell of the observation; fits games with array observations.

    A cell is a box: coordinate `d` of the observation (flattened; coordinates beyond the `D` with edges are
    ignored) falls between two of its `edges`. Cells are numbered with the last coordinate running fastest. `A`
    actions, `C` cells.

    Attributes:
        edges: D ascending arrays; `E` edges make `E + 1` cells, and an observation equal to an edge belongs to the
            upper one.
        actions: (A, *shape) what each column stands for: reports, prices, or the numbers of Discrete actions.
        probabilities: (C, A), rows summing to one.
    """

    edges: tuple[Array, ...]
    actions: Array
    probabilities: Array

    def __post_init__(self) -> None:
        """Check shapes and probabilities; keep read-only copies."""
        edges = tuple(np.array(row, np.float64) for row in self.edges)
        actions, probabilities = np.array(self.actions), np.array(self.probabilities, np.float64)
        if not edges or any(row.ndim != 1 or not np.isfinite(row).all() or (np.diff(row) <= 0).any() for row in edges):
            raise ValueError("edges: at least one array of finite, strictly ascending numbers is needed")
        cells = math.prod(len(row) + 1 for row in edges)
        if actions.ndim < 1 or actions.dtype.kind not in "fiub" or len(actions) < 1:
            raise ValueError(f"actions: numbers of shape (A, *shape) are needed, got {actions.dtype}{actions.shape}")
        if probabilities.shape != (cells, len(actions)):
            raise ValueError(
                f"probabilities: shape {probabilities.shape} given, {(cells, len(actions))} needed (cells, actions)"
            )
        if not ((probabilities >= 0).all() and np.allclose(probabilities.sum(axis=1), 1.0, rtol=0, atol=1e-6)):
            raise ValueError("probabilities: rows must be nonnegative and sum to one")
        for array in (*edges, actions, probabilities):
            array.flags.writeable = False
        for name, value in (("edges", edges), ("actions", actions), ("probabilities", probabilities)):
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        """Whether all numbers are the same."""
        if not isinstance(other, TabularPolicy) or len(self.edges) != len(other.edges):
            return False
        pairs = [
            *zip(self.edges, other.edges, strict=True),
            (self.actions, other.actions),
            (self.probabilities, other.probabilities),
        ]
        return all(mine.dtype == theirs.dtype and np.array_equal(mine, theirs) for mine, theirs in pairs)

    __hash__ = None  # type: ignore[assignment]

    def cell(self, observation: Array) -> Array:
        """(B,) number of the cell of each observation (B, *shape).

        Raises:
            ValueError: if the observation has fewer numbers than there are edges.
        """
        flat = np.asarray(observation).reshape(len(observation), -1)
        if flat.shape[1] < len(self.edges):
            raise ValueError(f"observation: {flat.shape[1]} numbers given, the table divides {len(self.edges)}")
        index = [np.searchsorted(row, flat[:, d], side="right") for d, row in enumerate(self.edges)]
        return np.asarray(np.ravel_multi_index(index, tuple(len(row) + 1 for row in self.edges)))

    def distribution(self, observation: Array, mask: Array | None = None) -> Array:
        """(B, A) probabilities; with a `mask` (B, A) of the legal actions alone, uniform if none is ever played."""
        rows = self.probabilities[self.cell(observation)]
        if mask is None:
            return np.asarray(rows)
        if mask.shape != rows.shape:
            raise ValueError(
                f"mask: shape {mask.shape} given, {rows.shape} needed: one column for each of the table's actions"
            )
        rows = np.where(mask, rows, 0.0)
        total = rows.sum(axis=1, keepdims=True)
        return np.where(
            total > 0, rows / np.where(total > 0, total, 1.0), mask / np.maximum(mask.sum(axis=1, keepdims=True), 1)
        )

    def mean(self, observation: Array) -> Array:
        """(B, *shape) expected action, float64."""
        weights = self.probabilities[self.cell(observation)]
        return np.tensordot(weights, self.actions.astype(np.float64), axes=1)

    def __call__(
        self, observation: Array, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> Array:
        """Actions (B, *shape) drawn from the table, one uniform each; a table without chance needs no `rng`."""
        rows = self.distribution(observation, mask)
        if rng is None:
            if not (rows.max(axis=1) > 1.0 - 1e-12).all():
                raise ValueError("rng: the policy is mixed and needs random numbers")
            return np.asarray(self.actions[rows.argmax(axis=1)])
        cumulative = np.cumsum(rows, axis=1)
        u = rng.random((len(rows), 1)) * cumulative[:, -1:]
        return np.asarray(self.actions[(cumulative <= u).sum(axis=1)])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as a safetensors file; an existing file is replaced."""
        arrays = {f"edges.{d}": row for d, row in enumerate(self.edges)}
        save_arrays(
            path,
            KIND,
            arrays | {"actions": self.actions, "probabilities": self.probabilities},
            {"coordinates": len(self.edges)},
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TabularPolicy:
        """The table written by `save`, to the bit.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not one, or is damaged.
        """
        arrays, facts = load_arrays(path, KIND)
        names = [f"edges.{d}" for d in range(int(facts.get("coordinates", 0)))]
        missing = {*names, "actions", "probabilities"} - arrays.keys()
        if missing:
            raise ValueError(f"path: {os.fspath(path)!r} lacks {sorted(missing)}")
        return cls(tuple(arrays[name] for name in names), arrays["actions"], arrays["probabilities"])
