"""Smooth one-dimensional laws of a private value: density, distribution, quantile, mean and virtual value.

Every law is a frozen dataclass of plain numbers; methods take and give numpy arrays of any shape. Sampling is always
`ppf` of uniforms on [0, 1), so that the stream of uniforms alone decides a draw.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]


class Law(abc.ABC):
    """Law of one private value on [`low`, `high`] (`high` may be infinite).

    Attributes:
        low: smallest possible value.
        high: largest possible value, or `inf`.
    """

    low: float
    high: float

    @abc.abstractmethod
    def pdf(self, value: ArrayLike) -> Floats:
        """Density at `value` (0 outside the support); for a discrete law the probability of the atom."""

    @abc.abstractmethod
    def cdf(self, value: ArrayLike) -> Floats:
        """Probability of a draw less than or equal to `value`."""

    @abc.abstractmethod
    def ppf(self, u: ArrayLike) -> Floats:
        """Quantile function: the smallest value whose `cdf` is at least `u`, for `u` in [0, 1)."""

    @property
    @abc.abstractmethod
    def mean(self) -> float:
        """Expected value (`inf` where it does not exist)."""

    def virtual_value(self, value: ArrayLike) -> Floats:
        """Virtual value v - (1 - F(v)) / f(v) (Myerson 1981, "Optimal Auction Design").

        Minus infinity where the density is zero.
        """
        v = np.asarray(value, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            hazard = (1.0 - self.cdf(v)) / self.pdf(v)
        return v - np.where(np.isnan(hazard), 0.0, hazard)

    def to_dict(self) -> dict[str, Any]:
        """The law as plain JSON values: its name under `"law"`, then its parameters."""
        record: dict[str, Any] = {"law": type(self).__name__}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if field.init:
                value = getattr(self, field.name)
                record[field.name] = [float(x) for x in value] if isinstance(value, tuple) else float(value)
        return record


def finite(**numbers: float) -> None:
    """Raise ValueError naming the first keyword that is not a finite number."""
    for name, number in numbers.items():
        if not isinstance(number, Real) or isinstance(number, bool) or not math.isfinite(number):
            raise ValueError(f"{name}: must be a finite number, got {number!r}")


def positive(**numbers: float) -> None:
    """Raise ValueError naming the first keyword that is not a positive finite number."""
    finite(**numbers)
    for name, number in numbers.items():
        if number <= 0:
            raise ValueError(f"{name}: must be positive, got {number!r}")


@dataclasses.dataclass(frozen=True)
class Uniform(Law):
    """Uniform law on [low, high]."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check the bounds."""
        finite(low=self.low, high=self.high)
        if not 0.0 <= self.low < self.high:
            raise ValueError(f"low, high: need 0 <= low < high, got {self.low!r}, {self.high!r}")

    def pdf(self, value: ArrayLike) -> Floats:
        """Density 1 / (high - low) on the support."""
        v = np.asarray(value, dtype=np.float64)
        return np.where((v >= self.low) & (v <= self.high), 1.0 / (self.high - self.low), 0.0)

    def cdf(self, value: ArrayLike) -> Floats:
        """F(v) = (v - low) / (high - low), clipped to [0, 1]."""
        return np.clip((np.asarray(value, dtype=np.float64) - self.low) / (self.high - self.low), 0.0, 1.0)

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantile low + u (high - low)."""
        return np.asarray(u, dtype=np.float64) * (self.high - self.low) + self.low

    @property
    def mean(self) -> float:
        """Midpoint of the support."""
        return 0.5 * (self.low + self.high)


@dataclasses.dataclass(frozen=True)
class Power(Law):
    """Power law F(v) = (v / high)^exponent on [0, high]; exponent 1 is uniform."""

    exponent: float
    high: float = 1.0
    low: float = dataclasses.field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the parameters."""
        positive(exponent=self.exponent, high=self.high)

    def pdf(self, value: ArrayLike) -> Floats:
        """Density (exponent / high) (v / high)^(exponent - 1)."""
        v = np.asarray(value, dtype=np.float64) / self.high
        inside = (v >= 0.0) & (v <= 1.0)
        with np.errstate(divide="ignore"):
            return np.where(inside, self.exponent / self.high * np.where(inside, v, 1.0) ** (self.exponent - 1.0), 0.0)

    def cdf(self, value: ArrayLike) -> Floats:
        """F(v) = (v / high)^exponent, clipped to [0, 1]."""
        return np.clip(np.asarray(value, dtype=np.float64) / self.high, 0.0, 1.0) ** self.exponent

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantile high u^(1 / exponent)."""
        return self.high * np.asarray(u, dtype=np.float64) ** (1.0 / self.exponent)

    @property
    def mean(self) -> float:
        """Mean high exponent / (exponent + 1)."""
        return self.high * self.exponent / (self.exponent + 1.0)


@dataclasses.dataclass(frozen=True)
class Exponential(Law):
    """Exponential law F(v) = 1 - exp(-v / scale) on [0, inf)."""

    scale: float = 1.0
    low: float = dataclasses.field(default=0.0, init=False, repr=False)
    high: float = dataclasses.field(default=math.inf, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the scale."""
        positive(scale=self.scale)

    def pdf(self, value: ArrayLike) -> Floats:
        """Density exp(-v / scale) / scale."""
        v = np.asarray(value, dtype=np.float64)
        return np.where(v >= 0.0, np.exp(-np.maximum(v, 0.0) / self.scale) / self.scale, 0.0)

    def cdf(self, value: ArrayLike) -> Floats:
        """F(v) = 1 - exp(-v / scale)."""
        return -np.expm1(-np.maximum(np.asarray(value, dtype=np.float64), 0.0) / self.scale)

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantile -scale log(1 - u)."""
        with np.errstate(divide="ignore"):
            return -self.scale * np.log1p(-np.asarray(u, dtype=np.float64))

    @property
    def mean(self) -> float:
        """The scale."""
        return self.scale

    def virtual_value(self, value: ArrayLike) -> Floats:
        """Virtual value v - scale (constant hazard rate)."""
        return np.asarray(value, dtype=np.float64) - self.scale


@dataclasses.dataclass(frozen=True)
class Beta(Law):
    """Beta(a, b) law on [0, 1]."""

    a: float
    b: float
    low: float = dataclasses.field(default=0.0, init=False, repr=False)
    high: float = dataclasses.field(default=1.0, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the shapes."""
        positive(a=self.a, b=self.b)

    def pdf(self, value: ArrayLike) -> Floats:
        """Density v^(a-1) (1-v)^(b-1) / B(a, b)."""
        from scipy.special import beta

        v = np.asarray(value, dtype=np.float64)
        inside = (v >= 0.0) & (v <= 1.0)
        w = np.where(inside, v, 0.5)
        with np.errstate(divide="ignore"):
            return np.where(inside, w ** (self.a - 1.0) * (1.0 - w) ** (self.b - 1.0) / beta(self.a, self.b), 0.0)

    def cdf(self, value: ArrayLike) -> Floats:
        """Regularised incomplete beta function."""
        from scipy.special import betainc

        return np.asarray(
            betainc(self.a, self.b, np.clip(np.asarray(value, dtype=np.float64), 0.0, 1.0)), dtype=np.float64
        )

    def ppf(self, u: ArrayLike) -> Floats:
        """Inverse of the regularised incomplete beta function."""
        from scipy.special import betaincinv

        return np.asarray(betaincinv(self.a, self.b, np.asarray(u, dtype=np.float64)), dtype=np.float64)

    @property
    def mean(self) -> float:
        """Mean a / (a + b)."""
        return self.a / (self.a + self.b)


@dataclasses.dataclass(frozen=True)
class ParetoTail(Law):
    """Shifted Pareto (Lomax) law F(v) = 1 - (1 + v)^(-exponent) on [0, inf)."""

    exponent: float
    low: float = dataclasses.field(default=0.0, init=False, repr=False)
    high: float = dataclasses.field(default=math.inf, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the exponent."""
        positive(exponent=self.exponent)

    def pdf(self, value: ArrayLike) -> Floats:
        """Density exponent (1 + v)^(-exponent - 1)."""
        v = np.asarray(value, dtype=np.float64)
        return np.where(v >= 0.0, self.exponent * (1.0 + np.maximum(v, 0.0)) ** (-self.exponent - 1.0), 0.0)

    def cdf(self, value: ArrayLike) -> Floats:
        """F(v) = 1 - (1 + v)^(-exponent)."""
        return 1.0 - (1.0 + np.maximum(np.asarray(value, dtype=np.float64), 0.0)) ** -self.exponent

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantile (1 - u)^(-1 / exponent) - 1."""
        with np.errstate(divide="ignore"):
            return (1.0 - np.asarray(u, dtype=np.float64)) ** (-1.0 / self.exponent) - 1.0

    @property
    def mean(self) -> float:
        """Mean 1 / (exponent - 1), infinite for exponent <= 1."""
        return 1.0 / (self.exponent - 1.0) if self.exponent > 1.0 else math.inf

    def virtual_value(self, value: ArrayLike) -> Floats:
        """Virtual value v - (1 + v) / exponent."""
        v = np.asarray(value, dtype=np.float64)
        return v - (1.0 + v) / self.exponent
