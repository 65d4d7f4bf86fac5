"""Prices of the last bidder, moved to where they earn most while the menus still fit together.

The last bidder's menu may be anything that fits beside the others' choices, so given theirs it is chosen simplex by
simplex: a small problem with one number an option. `transform` takes the least surcharges; `earn` goes on from there
and lets them fall where the learned menus left a gap, or rise where the bidder's own demand asks for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from walras.algorithms.auctions.piece_leaves import make_leaves
from walras.algorithms.auctions.piece_transform import Progress, least_surcharges
from walras.envs.arguments import whole
from walras.envs.auctions import kuhn
from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.simplex_menus import SimplexMenus, Surcharge
from walras.envs.auctions.simplex_revenue import triangle_points

_WINDOW = 4.0  # surcharges stay within so many first steps of the least ones


def earn(
    mechanism: SimplexMenus,
    prior: Prior,
    order: Sequence[int] | None = None,
    *,
    level: int = 2,
    step: float = 0.004,
    margin: int = 2,
    sample: int = 2048,
    progress: Progress | None = None,
) -> SimplexMenus:
    """Give the last bidder of a compatible mechanism the surcharges that earn most, conflicts excluded.

    Args:
        mechanism: compatible, from `transform` with the same order; the last bidder's surcharges are found anew.
        prior: independent values.
        order: as in `transform`.
        level: of refinement, everywhere.
        step: first step of the search, in widths of the widest box; the last one is a 32nd of it.
        margin: as in `transform`.
        sample: how many values of the bidder the revenue is averaged over (scrambled Sobol points), except for two
            items with uniform values, where it is exact.
        progress: told `(fraction, text)` now and then.

    Returns:
        A compatible mechanism that earns at least as much, on the sample.

    Raises:
        ValueError: if the prior's values are not independent, or the order is no order.
    """
    from walras.algorithms.auctions.earning_kernels import earn_on_leaf

    n = mechanism.bidders
    order = tuple(range(n)) if order is None else tuple(order)
    if sorted(order) != list(range(n)) or n < 2:
        raise ValueError(f"order: must list bidders 0..{n - 1}, at least two, got {order!r}")
    laws = prior.marginals
    if laws is None:
        raise ValueError(f"prior: independent values are needed, got {prior!r}")
    bidder = order[-1]
    numbers = np.arange(kuhn.count(mechanism.grid << whole("level", level, 0), mechanism.dimension))
    leaves = make_leaves(
        mechanism, bidder, level, numbers, earlier=order[:-1], surcharges=mechanism.surcharges, margin=margin
    )
    # Only where something is in the way: elsewhere the learned prices are the bidder's own optimum already.
    amounts, _ = least_surcharges(leaves)
    first = float((mechanism.high - mechanism.low).max()) * step
    places, place_weights = triangle_points(2) if mechanism.dimension == 2 else _centre(mechanism.dimension)
    utility, weights = _sample(prior, bidder, mechanism.options, sample)
    low, high = mechanism.low[bidder], mechanism.high[bidder]
    for s in range(len(numbers)):
        bottom = amounts[s] - _WINDOW * first
        top = amounts[s] + _WINDOW * first
        bottom[0] = top[0] = 0.0
        cases = leaves.cases(s, bottom, top)
        if cases.number == 0:
            continue
        earn_on_leaf(
            amounts[s].copy(),
            bottom,
            top,
            *cases,
            leaves.unit,
            leaves.margin,
            leaves.work,
            places @ leaves.prices[s],
            place_weights,
            mechanism.options,
            low,
            high,
            utility,
            weights,
            first,
            first / 32.0,
            amounts[s],
        )
        if progress is not None and s % 256 == 255:
            progress((s + 1) / len(numbers), f"bidder {bidder}: simplex {s + 1} of {len(numbers)}")
    moved = amounts.any(axis=1)
    surcharges = list(mechanism.surcharges)
    surcharges[bidder] = (Surcharge(level, numbers[moved], amounts[moved]),) if moved.any() else ()
    return dataclasses.replace(mechanism, surcharges=tuple(surcharges))


def _centre(dimension: int) -> tuple[Any, Any]:
    return np.full((1, dimension + 1), 1.0 / (dimension + 1)), np.ones(1)


def _sample(prior: Prior, bidder: int, options: Any, count: int) -> tuple[Any, Any]:
    """Utilities without prices of drawn bidders (M, K) and weights (M,); none where revenue is exact."""
    laws = prior.marginals
    assert laws is not None
    own = laws[bidder]
    if len(own) == 2 and all(isinstance(law, Uniform) for law in own):
        return np.zeros((0, len(options))), np.zeros(0)
    from scipy.stats import qmc

    points = qmc.Sobol(len(own), seed=np.random.default_rng(0)).random(count)
    values = np.stack([law.ppf(points[:, j]) for j, law in enumerate(own)], axis=1)
    return np.ascontiguousarray(values @ options.T), np.full(count, 1.0 / count)
