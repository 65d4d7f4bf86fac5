"""Laws of a whole value profile (n bidders x m items): maps from uniforms to values, and the named ones.

`B` is the batch of profiles (lanes). Values are in the units of the laws; every one is nonnegative.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from walras.envs.arguments import whole
from walras.envs.auctions.laws import Beta, Exponential, Floats, Law, ParetoTail, Power, Uniform
from walras.envs.auctions.piecewise import Discrete, PiecewiseUniform, TwoPoint, irregular

__all__ = [
    "LAWS",
    "PRESETS",
    "PRIORS",
    "Beta",
    "Contextual",
    "Discrete",
    "Exponential",
    "Independent",
    "Law",
    "ParetoTail",
    "PiecewiseUniform",
    "Power",
    "Prior",
    "Triangle",
    "TwoPoint",
    "Uniform",
    "irregular",
    "law_from_dict",
    "prior",
    "prior_from_dict",
]

LAWS: dict[str, type[Law]] = {
    law.__name__: law for law in (Uniform, Power, Exponential, Beta, ParetoTail, PiecewiseUniform, Discrete, TwoPoint)
}


class Prior(abc.ABC):
    """Law of one value profile v (n, m).

    Attributes:
        bidders: number n of bidders.
        items: number m of items.
        draws: how many uniforms on [0, 1) one profile needs.
    """

    bidders: int
    items: int
    draws: int

    @property
    @abc.abstractmethod
    def low(self) -> Floats:
        """Smallest possible values (n, m)."""

    @property
    @abc.abstractmethod
    def high(self) -> Floats:
        """Largest possible values (n, m), `inf` where unbounded."""

    @property
    def marginals(self) -> tuple[tuple[Law, ...], ...] | None:
        """The n x m laws when all values are independent, else None."""
        return None

    def sample(self, u: ArrayLike) -> Floats:
        """Profiles (B, n, m) from uniforms `u` (B, draws); a profile depends on its own row only.

        Raises:
            ValueError: `u` has another shape, or holds a number outside [0, 1).
        """
        uniforms = np.asarray(u, dtype=np.float64)
        if uniforms.ndim != 2 or uniforms.shape[1] != self.draws:
            raise ValueError(f"u: must have shape (B, {self.draws}), got {uniforms.shape}")
        _check_unit(uniforms)
        return self.transform(uniforms)

    def ppf(self, u: ArrayLike) -> Floats:
        """Profiles (B, n, m) from uniforms `u` (B, n, m), for priors that need one uniform a value.

        Raises:
            ValueError: the prior needs more uniforms (use `sample`), or `u` has another shape or
                holds a number outside [0, 1).
        """
        shape = (self.bidders, self.items)
        uniforms = np.asarray(u, dtype=np.float64)
        if self.draws != self.bidders * self.items:
            raise ValueError(
                f"u: this prior needs {self.draws} uniforms a profile, not {self.bidders * self.items}; use sample"
            )
        if uniforms.ndim != 3 or uniforms.shape[1:] != shape:
            raise ValueError(f"u: must have shape (B, {shape[0]}, {shape[1]}), got {uniforms.shape}")
        _check_unit(uniforms)
        return self.transform(uniforms.reshape(len(uniforms), self.draws))

    @abc.abstractmethod
    def transform(self, uniforms: Floats) -> Floats:
        """`sample` without its checks, for rules that draw (B, draws) float64 uniforms themselves in every step."""

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The prior as plain JSON values, its class name under `"prior"`."""

    @staticmethod
    def iid(law: Law, bidders: int, items: int = 1) -> Independent:
        """All n x m values independent with the same `law`."""
        _counts(bidders=bidders, items=items)
        return Independent(((law,) * items,) * bidders)

    @staticmethod
    def per_item(laws: Sequence[Law], bidders: int) -> Independent:
        """Independent values; item j has law `laws[j]` for every bidder."""
        _counts(bidders=bidders)
        return Independent((tuple(laws),) * bidders)

    @staticmethod
    def per_bidder(laws: Sequence[Law], items: int = 1) -> Independent:
        """Independent values; bidder i has law `laws[i]` for every item."""
        _counts(items=items)
        return Independent(tuple((law,) * items for law in laws))

    @staticmethod
    def independent(laws: Sequence[Sequence[Law]]) -> Independent:
        """Independent values from an n x m grid of laws."""
        return Independent(tuple(tuple(row) for row in laws))

    @staticmethod
    def triangle(bidders: int = 1) -> Triangle:
        """Two items, each bidder's pair uniform on the unit triangle (`Triangle`)."""
        return Triangle(bidders)

    @staticmethod
    def contextual(bidders: int, items: int) -> Contextual:
        """Values scaled by the match of random contexts (`Contextual`)."""
        return Contextual(bidders, items)


@dataclasses.dataclass(frozen=True)
class Independent(Prior):
    """Independent values; `laws` is the n x m grid of their laws. Needs n m uniforms, in row-major order."""

    laws: tuple[tuple[Law, ...], ...]

    def __post_init__(self) -> None:
        """Check the grid and group equal laws, so that sampling makes one call for each distinct law."""
        laws = tuple(tuple(row) for row in self.laws)
        if not laws or not laws[0] or any(len(row) != len(laws[0]) for row in laws):
            raise ValueError(
                f"laws: must be a full n x m grid with n, m >= 1, got rows of lengths {[len(row) for row in laws]}"
            )
        flat = [law for row in laws for law in row]
        for law in flat:
            if not isinstance(law, Law):
                raise TypeError(f"laws: every entry must be a Law, got {law!r}")
        where: dict[Law, list[int]] = {}
        for index, law in enumerate(flat):
            where.setdefault(law, []).append(index)
        object.__setattr__(self, "laws", laws)
        object.__setattr__(self, "bidders", len(laws))
        object.__setattr__(self, "items", len(laws[0]))
        object.__setattr__(self, "draws", len(flat))
        object.__setattr__(self, "_groups", tuple((law, np.array(columns)) for law, columns in where.items()))

    @property
    def low(self) -> Floats:
        """Smallest possible values (n, m)."""
        return np.array([[law.low for law in row] for row in self.laws], dtype=np.float64)

    @property
    def high(self) -> Floats:
        """Largest possible values (n, m), `inf` where unbounded."""
        return np.array([[law.high for law in row] for row in self.laws], dtype=np.float64)

    @property
    def marginals(self) -> tuple[tuple[Law, ...], ...]:
        """The n x m independent laws."""
        return self.laws

    def transform(self, uniforms: Floats) -> Floats:
        """Profiles (B, n, m) from uniforms (B, draws), unchecked."""
        groups: tuple[tuple[Law, Any], ...] = self._groups  # type: ignore[attr-defined]
        if len(groups) == 1:
            values = groups[0][0].ppf(uniforms)
        else:
            values = np.empty_like(uniforms)
            for law, columns in groups:
                values[:, columns] = law.ppf(uniforms[:, columns])
        return values.reshape(len(uniforms), self.bidders, self.items)

    def profiles(self, limit: int = 1_000_000) -> tuple[Floats, Floats]:
        """Every value profile (P, n, m) with its probability (P,), for laws with atoms; the last value runs fastest.

        Raises:
            ValueError: a law has no atoms, or there are more than `limit` profiles.
        """
        flat = [law for row in self.laws for law in row]
        finite = [law for law in flat if isinstance(law, Discrete | TwoPoint)]
        if len(finite) != len(flat):
            raise ValueError(
                f"laws: only laws with atoms can be enumerated, got {next(law for law in flat if law not in finite)!r}"
            )
        size = int(np.prod([float(len(law.atoms)) for law in finite]))
        if size > limit:
            raise ValueError(f"limit: {size} profiles exceed {limit}")
        values = np.stack(np.meshgrid(*[law.atoms for law in finite], indexing="ij"), axis=-1)
        probabilities = np.stack(np.meshgrid(*[law.probabilities for law in finite], indexing="ij"), axis=-1)
        return values.reshape(size, self.bidders, self.items), probabilities.reshape(size, -1).prod(axis=1)

    def to_dict(self) -> dict[str, Any]:
        """The grid of laws as JSON values."""
        return {"prior": "Independent", "laws": [[law.to_dict() for law in row] for row in self.laws]}


@dataclasses.dataclass(frozen=True)
class Triangle(Prior):
    """Two items; each bidder's pair is uniform on {x, y >= 0, x + y <= 1}, independent across bidders.

    Needs 2 n uniforms.

    The pair is drawn by conditional inverse distribution functions: x = 1 - sqrt(1 - u), y = u' (1 - x).
    """

    bidders: int = 1
    items: int = dataclasses.field(default=2, init=False)

    def __post_init__(self) -> None:
        """Check the number of bidders."""
        _counts(bidders=self.bidders)
        object.__setattr__(self, "draws", 2 * self.bidders)

    @property
    def low(self) -> Floats:
        """Zeros (n, 2)."""
        return np.zeros((self.bidders, 2))

    @property
    def high(self) -> Floats:
        """Ones (n, 2)."""
        return np.ones((self.bidders, 2))

    def transform(self, uniforms: Floats) -> Floats:
        """Profiles (B, n, m) from uniforms (B, draws), unchecked."""
        first = 1.0 - np.sqrt(1.0 - uniforms[:, 0::2])
        return np.stack([first, uniforms[:, 1::2] * (1.0 - first)], axis=-1)

    def to_dict(self) -> dict[str, Any]:
        """The number of bidders as JSON values."""
        return {"prior": "Triangle", "bidders": int(self.bidders)}


@dataclasses.dataclass(frozen=True)
class Contextual(Prior):
    """Values v_ij = U[0, 1] sigmoid(x_i . y_j), contexts x_i, y_j uniform on [-1, 1]^dimension in each profile.

    The contextual setting of Duan et al. 2023, "A Scalable Neural Network for DSIC Affine Maximizer Auction Design"
    (arXiv 2305.12162). Needs (n + m) dimension + n m uniforms: bidder contexts, item contexts, then the n m value
    draws.
    """

    bidders: int
    items: int
    dimension: int = 10

    def __post_init__(self) -> None:
        """Check the sizes."""
        _counts(bidders=self.bidders, items=self.items, dimension=self.dimension)
        object.__setattr__(self, "draws", (self.bidders + self.items) * self.dimension + self.bidders * self.items)

    @property
    def low(self) -> Floats:
        """Zeros (n, m)."""
        return np.zeros((self.bidders, self.items))

    @property
    def high(self) -> Floats:
        """Bound sigmoid(dimension) on every value (n, m)."""
        return np.full((self.bidders, self.items), 1.0 / (1.0 + np.exp(-float(self.dimension))))

    def contexts(self, u: ArrayLike) -> tuple[Floats, Floats]:
        """Contexts (B, n, dimension) of bidders and (B, m, dimension) of items that `sample` draws from `u`."""
        uniforms = 2.0 * np.asarray(u, dtype=np.float64) - 1.0
        batch, split, end = len(uniforms), self.bidders * self.dimension, (self.bidders + self.items) * self.dimension
        return (
            uniforms[:, :split].reshape(batch, self.bidders, self.dimension),
            uniforms[:, split:end].reshape(batch, self.items, self.dimension),
        )

    def transform(self, uniforms: Floats) -> Floats:
        """Profiles (B, n, m) from uniforms (B, draws), unchecked."""
        bidder, item = self.contexts(uniforms)
        match: Floats = 1.0 / (1.0 + np.exp(-np.einsum("bik,bjk->bij", bidder, item)))
        return uniforms[:, -self.bidders * self.items :].reshape(match.shape) * match

    def to_dict(self) -> dict[str, Any]:
        """The sizes as JSON values."""
        sizes = {"bidders": int(self.bidders), "items": int(self.items), "dimension": int(self.dimension)}
        return {"prior": "Contextual", **sizes}


PRIORS: dict[str, type[Prior]] = {"Independent": Independent, "Triangle": Triangle, "Contextual": Contextual}


def law_from_dict(record: Mapping[str, Any]) -> Law:
    """Rebuild a law from `Law.to_dict`.

    Raises:
        KeyError: `record` lacks `"law"`, or names an unknown law.
        TypeError: a parameter is missing or unknown.
        ValueError: a parameter is out of range.
    """
    return LAWS[_named(record, "law", LAWS)](**{key: entry for key, entry in record.items() if key != "law"})


def prior_from_dict(record: Mapping[str, Any]) -> Prior:
    """Rebuild a prior from `Prior.to_dict`.

    Raises:
        KeyError: `record` lacks `"prior"`, or names an unknown prior or law.
        TypeError: a parameter is missing or unknown.
        ValueError: a parameter is out of range.
    """
    name = _named(record, "prior", PRIORS)
    parameters = {key: entry for key, entry in record.items() if key != "prior"}
    if name == "Independent" and "laws" in parameters:
        rows = parameters["laws"]
        if not isinstance(rows, list | tuple) or not all(isinstance(row, list | tuple) for row in rows):
            raise TypeError(f"laws: n lists of m laws are needed, got {rows!r}")
        parameters["laws"] = tuple(tuple(law_from_dict(law) for law in row) for row in rows)
    return PRIORS[name](**parameters)


def _named(record: Mapping[str, Any], key: str, table: Mapping[str, object]) -> str:
    if not isinstance(record, Mapping) or key not in record:
        raise KeyError(f"record: needs the key {key!r}, one of {sorted(table)}")
    name = record[key]
    if not isinstance(name, str) or name not in table:
        raise KeyError(f"{key}: {name!r} is unknown; known are {sorted(table)}")
    return name


def _counts(**counts: int) -> None:
    for name, count in counts.items():
        whole(name, count)


def _check_unit(uniforms: Floats) -> None:
    if not ((uniforms >= 0.0) & (uniforms < 1.0)).all():  # also finds NaN
        raise ValueError("u: every number must lie in [0, 1)")


def _two_items(name: str, laws: tuple[Law, Law], bidders: int, items: int) -> Prior:
    if items != 2:
        raise ValueError(f"items: the prior {name!r} has 2 items, got {items!r}")
    return Prior.per_item(laws, bidders)


def _triangle(bidders: int, items: int) -> Prior:
    if items != 2:
        raise ValueError(f"items: the prior 'triangle' has 2 items, got {items!r}")
    return Triangle(bidders)


PRESETS: dict[str, Callable[..., Prior]] = {
    "uniform01": lambda n, m: Prior.iid(Uniform(0.0, 1.0), n, m),
    "uniform": lambda n, m, low=0.0, high=1.0: Prior.iid(Uniform(low, high), n, m),
    "power": lambda n, m, exponent=2.0, high=1.0: Prior.iid(Power(exponent, high), n, m),
    "exponential": lambda n, m, scale=1.0: Prior.iid(Exponential(scale), n, m),
    "beta": lambda n, m, a=1.0, b=2.0: Prior.iid(Beta(a, b), n, m),
    "irregular": lambda n, m: Prior.iid(irregular(), n, m),
    "two_point": lambda n, m, low=1.0, high=2.0, probability_high=0.5: Prior.iid(
        TwoPoint(low, high, probability_high), n, m
    ),
    "uniform_4_16_4_7": lambda n, m: _two_items("uniform_4_16_4_7", (Uniform(4.0, 16.0), Uniform(4.0, 7.0)), n, m),
    "uniform_0_4_0_3": lambda n, m: _two_items("uniform_0_4_0_3", (Uniform(0.0, 4.0), Uniform(0.0, 3.0)), n, m),
    "pareto_5_6": lambda n, m: _two_items("pareto_5_6", (ParetoTail(5.0), ParetoTail(6.0)), n, m),
    "triangle": _triangle,
    "contextual": lambda n, m, dimension=10: Contextual(n, m, dimension),
}


def prior(name: str, bidders: int, items: int = 1, **parameters: float) -> Prior:
    """A prior by name (`PRESETS`), for example `prior("uniform01", 2, 2)` or `prior("two_point", 2, 2, low=3, high=7)`.

    `uniform_4_16_4_7` is the example of Daskalakis, Deckelbaum and Tzamos; `pareto_5_6` draws v1 = (1 - u)^(-1/5) - 1
    and v2 = (1 - u)^(-1/6) - 1.

    Raises:
        KeyError: `name` is unknown.
        ValueError: `bidders`, `items` or a parameter is out of range.
        TypeError: the preset has no such parameter.
    """
    if name not in PRESETS:
        raise KeyError(f"name: {name!r} is unknown; known are {sorted(PRESETS)}")
    _counts(bidders=bidders, items=items)
    return PRESETS[name](bidders, items, **parameters)
