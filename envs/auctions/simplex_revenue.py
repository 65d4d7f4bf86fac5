"""Revenue of menus from truthful bidders: by integration where two bidders meet over two items, by fresh draws else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from walras.envs.arguments import whole
from walras.envs.auctions import kuhn
from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.mechanism import Array, Mechanism
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.simplex_menus import SimplexMenus

_BLOCK = 1 << 18


class Revenue(NamedTuple):
    """Expected revenue per profile.

    Attributes:
        mean: of the sum of payments.
        error: standard error of draws, or the difference to a coarser integration.
        draws: profiles drawn; 0 when integrated.
    """

    mean: float
    error: float
    draws: int


def integrable(mechanism: SimplexMenus, prior: Prior) -> bool:
    """Whether `integrated_revenue` applies: two bidders, two items, independent values uniform on the boxes."""
    laws = prior.marginals
    return (
        mechanism.low.shape == (2, 2)
        and laws is not None
        and all(isinstance(law, Uniform) for row in laws for law in row)
        and np.array_equal(prior.low, mechanism.low)
        and np.array_equal(prior.high, mechanism.high)
    )


def integrated_revenue(mechanism: SimplexMenus, prior: Prior, points: int = 6) -> Revenue:
    """Revenue by integration: over the own values exactly, over the other's by Gauss points on every simplex.

    Given the other's report, the regions of choice are polygons. On a simplex prices are affine, so that the integrand
    is a cubic polynomial wherever the regions keep their corners, and Gauss points integrate it exactly; kinks leave a
    small error, which is estimated by fewer points.

    Args:
        mechanism: for two bidders and two items.
        prior: independent uniform values on the mechanism's boxes.
        points: a side of a simplex, >= 3.

    Raises:
        ValueError: if mechanism or prior is of another kind.
    """
    if not integrable(mechanism, prior):
        raise ValueError(f"prior: must be uniform on the boxes of a mechanism for 2 bidders and 2 items, got {prior!r}")
    fine, coarse = (_integrated(mechanism, whole("points", p, 2)) for p in (points, points - 1))
    return Revenue(fine, abs(fine - coarse), 0)


def _integrated(mechanism: SimplexMenus, points: int) -> float:
    from walras.envs.auctions.polygon_kernels import uniform_revenues

    weight_on, weights = triangle_points(points)
    options, place = np.unique(mechanism.options, axis=0, return_inverse=True)
    alike = [np.flatnonzero(place.ravel() == k) for k in range(len(options))]  # of these the cheapest counts
    total = 0.0
    for i in range(2):
        finest = max((entry.level for entry in mechanism.surcharges[i]), default=0)
        cells = mechanism.grid << finest
        corners = kuhn.vertices(np.arange(kuhn.count(cells, 2)), cells, 2) / cells
        low, high = mechanism.low[1 - i], mechanism.high[1 - i]
        for part in np.array_split(corners, max(1, len(corners) * len(weights) // _BLOCK)):
            places = (weight_on @ part).reshape(-1, 2)
            bids = np.zeros((len(places), 2, 2))
            bids[:, 1 - i] = low + (high - low) * places
            prices = mechanism.price(bids, i)
            least = np.stack([prices[:, same].min(axis=1) for same in alike], axis=1)
            earned = uniform_revenues(least, options, mechanism.low[i], mechanism.high[i])
            total += float((earned.reshape(len(part), -1) @ weights).sum()) / len(corners)
    return total


def triangle_points(points: int) -> tuple[Array, Array]:
    """Gauss points of a triangle: barycentric weights (Q, 3) and weights (Q,) that sum to one, Q = points^2.

    The collapsed product rule integrates polynomials up to degree 2 points - 2 exactly.
    """
    x, w = np.polynomial.legendre.leggauss(points)
    x, w = (x + 1.0) / 2.0, w / 2.0
    a, b = np.meshgrid(x, x, indexing="ij")
    first, second = a.ravel(), ((1.0 - a) * b).ravel()
    return np.stack((1.0 - first - second, first, second), axis=1), (np.outer(w, w) * 2.0 * (1.0 - a)).ravel()


def drawn_revenue(mechanism: Mechanism, prior: Prior, draws: int, rng: np.random.Generator) -> Revenue:
    """Mean revenue of fresh truthful profiles, with its standard error.

    Args:
        mechanism: any.
        prior: of the values.
        draws: number of profiles, >= 2.
        rng: where they come from.
    """
    draws = whole("draws", draws, 2)
    total = squares = 0.0
    for start in range(0, draws, _BLOCK):
        values = prior.transform(rng.random((min(_BLOCK, draws - start), prior.draws)))
        paid = mechanism.outcome(values).payment.sum(axis=1)
        total += float(paid.sum())
        squares += float(paid @ paid)
    mean = total / draws
    return Revenue(mean, float(np.sqrt(max(0.0, squares / draws - mean * mean) / draws)), draws)


def revenue(mechanism: Mechanism, prior: Prior, draws: int, rng: np.random.Generator) -> Revenue:
    """Revenue by integration where that applies, else by `draws` fresh profiles."""
    if isinstance(mechanism, SimplexMenus) and integrable(mechanism, prior):
        return integrated_revenue(mechanism, prior)
    return drawn_revenue(mechanism, prior, draws, rng)


def revenue_gain(
    mechanism: Mechanism, other: Mechanism, prior: Prior, draws: int, rng: np.random.Generator
) -> tuple[Revenue, Revenue]:
    """Revenue of `mechanism`, and how much more than `other` it earns on the same profiles, which varies far less."""
    draws = whole("draws", draws, 2)
    sums = np.zeros((2, 2))
    for start in range(0, draws, _BLOCK):
        values = prior.transform(rng.random((min(_BLOCK, draws - start), prior.draws)))
        paid, there = (each.outcome(values).payment.sum(axis=1) for each in (mechanism, other))
        for row, part in enumerate((paid, paid - there)):
            sums[row] += part.sum(), part @ part
    means = sums[:, 0] / draws
    errors = np.sqrt(np.maximum(0.0, sums[:, 1] / draws - means**2) / draws)
    return Revenue(float(means[0]), float(errors[0]), draws), Revenue(float(means[1]), float(errors[1]), draws)
