"""Law of a bidder's sum of values, revenue by bundle and by item."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from walras.envs.auctions.laws import Law
from walras.envs.auctions.piecewise import Discrete, PiecewiseUniform, TwoPoint
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.theory import myerson_reserve, myerson_revenue, revenue

_MANY_PIECES = 64  # up to here the exact ironing of piecewise-uniform laws is used
_CELLS = 8192  # cells of the widest law in a convolution; errors fall with its square


@functools.lru_cache(maxsize=64)
def sum_law(laws: tuple[Law, ...]) -> Law:
    """Law of the sum of independent values.

    Exact on atoms, else by convolution on a grid (8,192 cells; probabilities to about 1e-7).

    Laws without an upper bound are cut at the quantile 1 - 1e-9.

    Raises:
        ValueError: no law, or a mix of laws with atoms and laws with densities.
    """
    if not laws:
        raise ValueError("laws: needs at least one law")
    if len(laws) == 1:
        return laws[0]
    discrete = [law for law in laws if isinstance(law, Discrete | TwoPoint)]
    if len(discrete) == len(laws):
        return _sum_atoms(discrete)
    if discrete:
        raise ValueError(f"laws: either all or none may have atoms, got {laws!r}")
    highs = [law.high if math.isfinite(law.high) else float(law.ppf(1.0 - 1e-9)) for law in laws]
    step = max(high - law.low for law, high in zip(laws, highs, strict=True)) / _CELLS
    parts = []
    for law, high in zip(laws, highs, strict=True):
        cells = math.ceil((high - law.low) / step - 1e-9)
        edges = law.low + step * np.arange(cells + 1)
        parts.append(np.diff(law.cdf(edges)) / float(law.cdf(edges[-1])))
    size = sum(len(part) for part in parts) - len(parts) + 1
    transform = functools.reduce(np.multiply, (np.fft.rfft(part, size) for part in parts))
    masses = np.maximum(np.fft.irfft(transform, size), 0.0)
    masses = masses / masses.sum()
    low = sum(law.low for law in laws) + 0.5 * (len(laws) - 1) * step
    kept = np.flatnonzero(masses > 1e-15)
    first, last = int(kept[0]), int(kept[-1]) + 1
    masses = masses[first:last] / masses[first:last].sum()
    return PiecewiseUniform(tuple(low + step * np.arange(first, last + 1)), tuple(masses))


def _sum_atoms(laws: Sequence[Discrete | TwoPoint]) -> Discrete:
    chances: dict[float, float] = {0.0: 1.0}
    for law in laws:
        spread: dict[float, float] = {}
        for (total, chance), (atom, p) in itertools.product(
            chances.items(), zip(law.atoms, law.probabilities, strict=True)
        ):
            key = round(total + atom, 12)
            spread[key] = spread.get(key, 0.0) + chance * p
        chances = spread
    atoms = tuple(sorted(chances))
    return Discrete(atoms, tuple(chances[atom] for atom in atoms))


def monopoly_price(law: Law) -> float:
    """The price p that maximises p P(V >= p) for one buyer.

    On a law of many pieces it is the zero of the virtual value nearest to the best edge.
    """
    if not isinstance(law, PiecewiseUniform) or len(law.masses) <= _MANY_PIECES:
        return myerson_reserve(law)
    edges = np.asarray(law.edges)
    best = int(np.argmax(edges * (1.0 - law.cdf(edges))))
    near = slice(max(best - 8, 0), best + 9)
    middles = 0.5 * (edges[:-1] + edges[1:])[near]
    virtual = law.virtual_value(middles)
    rising = bool(np.all(np.diff(virtual) > 0.0)) and virtual[0] <= 0.0 <= virtual[-1]
    return float(np.interp(0.0, virtual, middles)) if rising else float(edges[best])


def bundle_reserve(prior: Prior) -> float:
    """Monopoly price of the bundle of all items; 2 items U[0, 1]: sqrt(2/3).

    Raises:
        ValueError: the values are not independent, or the bidders' laws differ.
    """
    return monopoly_price(_bundle_law(prior))


def bundle_myerson_revenue(prior: Prior, reserve: float | None = None) -> float:
    """Revenue of a second-price sale of the bundle with `reserve` (default `bundle_reserve`).

    Raises:
        ValueError: the values are not independent, or the bidders' laws differ.
    """
    return revenue(_bundle_law(prior), prior.bidders, bundle_reserve(prior) if reserve is None else reserve)


def itemwise_myerson_revenue(prior: Prior) -> float:
    """Revenue of Myerson's auction for each item alone: the sum of the single-item optima (Myerson 1981).

    Raises:
        ValueError: the values are not independent.
    """
    laws = _marginals(prior)
    return math.fsum(myerson_revenue([row[j] for row in laws]) for j in range(prior.items))


def _marginals(prior: Prior) -> tuple[tuple[Law, ...], ...]:
    laws = prior.marginals if isinstance(prior, Prior) else None
    if laws is None:
        raise ValueError(f"prior: must have independent values, got {prior!r}")
    return laws


def _bundle_law(prior: Prior) -> Law:
    laws = _marginals(prior)
    if any(row != laws[0] for row in laws):
        raise ValueError(f"prior: all bidders must have the same laws, got {prior!r}")
    return sum_law(laws[0])
