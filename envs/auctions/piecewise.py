"""Laws of a private value made of pieces: mixtures of uniform laws, and laws on finitely many values."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from walras.envs.auctions.laws import Floats, Law, finite


def _numbers(name: str, values: Sequence[float]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: must be a sequence of numbers, got {values!r}") from None
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{name}: must be finite, got {numbers!r}")
    return numbers


def _probabilities(name: str, values: tuple[float, ...]) -> None:
    if min(values) < 0.0 or abs(math.fsum(values) - 1.0) > 1e-9:
        raise ValueError(f"{name}: must be nonnegative and sum to 1, got {values!r}")


def _set(law: Law, **values: object) -> None:
    """Set derived fields of a frozen dataclass while it is being built."""
    for name, value in values.items():
        object.__setattr__(law, name, value)


@dataclasses.dataclass(frozen=True)
class PiecewiseUniform(Law):
    """Density constant between neighbouring `edges`; piece k carries probability `masses[k]`.

    Every mixture of uniform laws is of this form.

    Attributes:
        edges: K + 1 increasing values.
        masses: K nonnegative probabilities that sum to one, the first and the last positive.
    """

    edges: tuple[float, ...]
    masses: tuple[float, ...]
    low: float = dataclasses.field(init=False, repr=False)
    high: float = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the pieces and find the support."""
        edges, masses = _numbers("edges", self.edges), _numbers("masses", self.masses)
        if len(edges) != len(masses) + 1 or not masses:
            raise ValueError(f"edges, masses: need K + 1 edges for K >= 1 masses, got {len(edges)} and {len(masses)}")
        if edges[0] < 0.0 or any(left >= right for left, right in itertools.pairwise(edges)):
            raise ValueError(f"edges: must be nonnegative and increasing, got {edges!r}")
        _probabilities("masses", masses)
        if masses[0] == 0.0 or masses[-1] == 0.0:
            raise ValueError(f"masses: the first and the last must be positive, got {masses!r}")
        _set(self, edges=edges, masses=masses, low=edges[0], high=edges[-1])

    @classmethod
    def mixture(cls, components: Iterable[tuple[float, float, float]]) -> PiecewiseUniform:
        """The mixture of uniform laws on [low, high] with probability p, given as triples (low, high, p).

        Components may overlap.

        Raises:
            ValueError: a component is empty, or the probabilities do not sum to one.
        """
        parts = [tuple(float(number) for number in part) for part in components]
        if not parts or any(len(part) != 3 or not part[0] < part[1] for part in parts):
            raise ValueError(f"components: need triples (low, high, probability) with low < high, got {parts!r}")
        edges = sorted({edge for low, high, _ in parts for edge in (low, high)})
        masses = [
            sum(p * max(0.0, min(high, right) - max(low, left)) / (high - low) for low, high, p in parts)
            for left, right in itertools.pairwise(edges)
        ]
        return cls(tuple(edges), tuple(masses))

    @functools.cached_property
    def _cumulative(self) -> Floats:
        total = np.concatenate(([0.0], np.cumsum(self.masses)))
        return np.asarray(total / total[-1], dtype=np.float64)

    @functools.cached_property
    def densities(self) -> Floats:
        """Density (K,) of each piece."""
        return np.asarray(self.masses) / np.diff(self.edges)

    def pdf(self, value: ArrayLike) -> Floats:
        """Density at `value`; at an inner edge that of the piece on the right."""
        v = np.asarray(value, dtype=np.float64)
        piece = np.clip(np.searchsorted(self.edges, v, side="right") - 1, 0, len(self.masses) - 1)
        return np.where((v >= self.low) & (v <= self.high), self.densities[piece], 0.0)

    def cdf(self, value: ArrayLike) -> Floats:
        """Piecewise-linear distribution function."""
        return np.asarray(
            np.interp(np.asarray(value, dtype=np.float64), self.edges, self._cumulative), dtype=np.float64
        )

    def ppf(self, u: ArrayLike) -> Floats:
        """Piecewise-linear quantile function."""
        uniforms = np.asarray(u, dtype=np.float64)
        piece = np.clip(np.searchsorted(self._cumulative, uniforms, side="left") - 1, 0, len(self.masses) - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = (uniforms - self._cumulative[piece]) / self.densities[piece]
        edges = np.asarray(self.edges)
        values: Floats = edges[piece] + np.where(np.isfinite(inside), inside, 0.0)
        inner: Floats = np.minimum(np.maximum(values, edges[piece]), edges[piece + 1])
        return inner

    @property
    def mean(self) -> float:
        """Mean: mass-weighted midpoints."""
        return sum(
            mass * 0.5 * (left + right)
            for mass, left, right in zip(self.masses, self.edges, self.edges[1:], strict=False)
        )


class _Atoms(Law):
    """Shared text of the laws on finitely many values: increasing `atoms` and their positive `probabilities`."""

    atoms: tuple[float, ...]
    probabilities: tuple[float, ...]

    @functools.cached_property
    def _cumulative(self) -> Floats:
        total = np.cumsum(self.probabilities)
        return np.asarray(total / total[-1], dtype=np.float64)

    def pdf(self, value: ArrayLike) -> Floats:
        """Probability of the atom at `value` (0 elsewhere)."""
        v = np.asarray(value, dtype=np.float64)
        return np.asarray(
            np.sum((v[..., None] == self.atoms) * np.asarray(self.probabilities), axis=-1), dtype=np.float64
        )

    def cdf(self, value: ArrayLike) -> Floats:
        """Step distribution function."""
        below = np.searchsorted(self.atoms, np.asarray(value, dtype=np.float64), side="right")
        return np.concatenate(([0.0], self._cumulative))[below]

    def ppf(self, u: ArrayLike) -> Floats:
        """The atom in whose slice of [0, 1) `u` falls (slices in increasing order of value, closed on the left)."""
        index = np.searchsorted(self._cumulative, np.asarray(u, dtype=np.float64), side="right")
        return np.asarray(self.atoms)[np.minimum(index, len(self.atoms) - 1)]

    @property
    def mean(self) -> float:
        """Mean of the atoms."""
        return math.fsum(atom * p for atom, p in zip(self.atoms, self.probabilities, strict=True))

    def virtual_value(self, value: ArrayLike) -> Floats:
        """Discrete virtual value v_k - (v_{k+1} - v_k) (1 - F(v_k)) / p_k of the largest atom v_k <= value.

        Minus infinity below all atoms.
        """
        atoms, probabilities = np.asarray(self.atoms), np.asarray(self.probabilities)
        gaps = np.append(np.diff(atoms), 0.0)
        virtual = atoms - gaps * np.maximum(1.0 - self._cumulative, 0.0) / probabilities
        return np.concatenate(([-np.inf], virtual))[
            np.searchsorted(atoms, np.asarray(value, dtype=np.float64), side="right")
        ]


@dataclasses.dataclass(frozen=True)
class Discrete(_Atoms):
    """Finitely many values: `atoms` (increasing) with positive `probabilities` that sum to one."""

    atoms: tuple[float, ...]
    probabilities: tuple[float, ...]
    low: float = dataclasses.field(init=False, repr=False)
    high: float = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the atoms and find the support."""
        atoms, probabilities = _numbers("atoms", self.atoms), _numbers("probabilities", self.probabilities)
        if len(atoms) != len(probabilities) or not atoms:
            raise ValueError(
                f"atoms, probabilities: need equal lengths >= 1, got {len(atoms)} and {len(probabilities)}"
            )
        if atoms[0] < 0.0 or any(left >= right for left, right in itertools.pairwise(atoms)):
            raise ValueError(f"atoms: must be nonnegative and increasing, got {atoms!r}")
        _probabilities("probabilities", probabilities)
        if min(probabilities) == 0.0:
            raise ValueError(f"probabilities: must be positive, got {probabilities!r}")
        _set(self, atoms=atoms, probabilities=probabilities, low=atoms[0], high=atoms[-1])


@dataclasses.dataclass(frozen=True)
class TwoPoint(_Atoms):
    """Value `high` with `probability_high`, else `low` (the setting of Yao 2017)."""

    low: float
    high: float
    probability_high: float = 0.5
    atoms: tuple[float, ...] = dataclasses.field(init=False, repr=False)
    probabilities: tuple[float, ...] = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the two values and the probability."""
        finite(low=self.low, high=self.high, probability_high=self.probability_high)
        if not 0.0 <= self.low < self.high:
            raise ValueError(f"low, high: need 0 <= low < high, got {self.low!r}, {self.high!r}")
        if not 0.0 < self.probability_high < 1.0:
            raise ValueError(f"probability_high: must lie strictly between 0 and 1, got {self.probability_high!r}")
        _set(
            self,
            atoms=(float(self.low), float(self.high)),
            probabilities=(1.0 - self.probability_high, self.probability_high),
        )


def irregular() -> PiecewiseUniform:
    """The usual irregular example: U[0, 3] with probability 3/4, U[3, 8] with probability 1/4."""
    return PiecewiseUniform((0.0, 3.0, 8.0), (0.75, 0.25))
