"""Welfare functions: from what everybody has to one number, batched over leading axes.

Shapes: `x` (..., n), incomes or utilities of n people; every function gives (...). The plain Gini coefficient is
`G(x) = sum_ij |x_i - x_j| / (2 n^2 mean(x))`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from walras.envs.game import Array

Welfare = Callable[[Array], Array]


def gini(x: Array) -> Array:
    """Gini coefficient of nonnegative x: 0 where all have the same (or nothing), (n - 1) / n where one has all.

    Raises:
        ValueError: if a number is negative.
    """
    x = _nonnegative(x, "gini")
    n = x.shape[-1]
    ordered = np.sort(x, axis=-1)
    total = ordered.sum(axis=-1)
    # sum_ij |x_i - x_j| / 2 = sum_i (2 i - n - 1) x_(i), i = 1..n in ascending order.
    spread = ordered @ (2.0 * np.arange(1, n + 1) - n - 1)
    return np.where(total > 0, spread / (n * np.where(total > 0, total, 1.0)), 0.0)


def utilitarian(x: Array) -> Array:
    """The mean."""
    return np.asarray(np.asarray(x, np.float64).mean(axis=-1))


def egalitarian(x: Array) -> Array:
    """The least (Rawls)."""
    return np.asarray(np.asarray(x, np.float64).min(axis=-1))


def nash(x: Array, eps: float = 1.0) -> Array:
    """Geometric mean of `x + eps`, less `eps` (Nash); `eps` keeps one zero from deciding everything.

    Raises:
        ValueError: if a number is negative.
    """
    x = _nonnegative(x, "nash")
    if eps == 0:
        positive = x > 0
        mean = np.log(np.where(positive, x, 1.0)).mean(axis=-1)
        return np.where(positive.all(axis=-1), np.exp(mean), 0.0)
    return np.asarray(np.exp(np.log(x + eps).mean(axis=-1)) - eps)


def equality(x: Array) -> Array:
    """`1 - n / (n - 1) G(x)`: 1 where all have the same (or nothing), 0 where one has all (AI Economist).

    Raises:
        ValueError: if a number is negative, or n is 1.
    """
    n = np.shape(x)[-1]
    if n < 2:
        raise ValueError("equality: at least two people are needed")
    return np.asarray(1.0 - n / (n - 1) * gini(x))


def equality_productivity(x: Array, weight: float = 1.0) -> Array:
    """Equality times the sum: `(1 - k + k equality(x)) sum(x)` with `weight` k (AI Economist).

    Raises:
        ValueError: if a number is negative, or `weight` lies outside [0, 1].
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must lie in [0, 1], got {weight!r}")
    return np.asarray((1.0 - weight + weight * equality(x)) * np.asarray(x, np.float64).sum(axis=-1))


def isoelastic(x: Array, eta: float = 1.0, eps: float = 0.0) -> Array:
    """Mean of `((x + eps)^(1 - eta) - 1) / (1 - eta)`, of the logarithm where `eta` is 1 (Atkinson).

    Raises:
        ValueError: if `x + eps` is not positive.
    """
    x = np.asarray(x, np.float64) + eps
    if not (x > 0).all():
        raise ValueError(f"isoelastic: numbers must be positive, got {x.min() - eps} (eps={eps})")
    if eta == 1:
        return np.asarray(np.log(x).mean(axis=-1))
    return np.asarray(((x ** (1.0 - eta) - 1.0) / (1.0 - eta)).mean(axis=-1))


def inverse_income(x: Array, utility: Array | None = None) -> Array:
    """`sum_i w_i u_i`, weights in proportion to `1 / max(x_i, 1)`, summing to 1 (AI Economist); u is x by default."""
    x = np.asarray(x, np.float64)
    weights = 1.0 / np.maximum(x, 1.0)
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.asarray((weights * (x if utility is None else utility)).sum(axis=-1))


WELFARE: dict[str, Callable[..., Array]] = {
    "utilitarian": utilitarian,
    "egalitarian": egalitarian,
    "nash": nash,
    "equality": equality,
    "equality-productivity": equality_productivity,
    "isoelastic": isoelastic,
    "inverse-income": inverse_income,
}
"""Every welfare function, by the name that scenarios use."""

NONNEGATIVE = frozenset({"nash", "equality", "equality-productivity", "isoelastic"})
"""Those that are defined for nonnegative numbers only."""


def as_welfare(given: str | Mapping[str, Any], *, cut: bool = False) -> Welfare:
    """A welfare function from its name, or from `{"welfare": name, ...}` with its parameters.

    Args:
        given: the description.
        cut: count numbers below zero as zero where the function needs nonnegative ones (and give `isoelastic` an `eps`
            of 1 unless it has one), so that it is defined everywhere.

    Raises:
        ValueError: if the name is unknown.
        TypeError: if a parameter is unknown.
    """
    settings: dict[str, Any] = {"welfare": given} if isinstance(given, str) else dict(given)
    name = settings.pop("welfare", None)
    if name not in WELFARE:
        raise ValueError(f"welfare must be one of {sorted(WELFARE)}, got {name!r}")
    if cut and name == "isoelastic":
        settings.setdefault("eps", 1.0)
    function: Welfare = functools.partial(WELFARE[name], **settings)
    function(np.ones(2))  # unknown and impossible parameters are found now
    if cut and name in NONNEGATIVE:
        return functools.partial(_cut, function)
    return function


def measures(x: Array, names: Sequence[str | Mapping[str, Any]]) -> Array:
    """(..., K): several welfare functions of the same x, defined everywhere (see `as_welfare`)."""
    return np.stack([as_welfare(name, cut=True)(x) for name in names], axis=-1)


def _cut(function: Welfare, x: Array) -> Array:
    return function(np.maximum(x, 0.0))


def _nonnegative(x: Array, what: str) -> Array:
    x = np.asarray(x, np.float64)
    if not (x >= 0).all():  # nan is refused too
        raise ValueError(f"{what}: numbers must be nonnegative, got {x.min()}")
    return x
