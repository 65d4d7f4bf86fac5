"""What is known about the harvest worlds without playing them: the largest growth, and how many apples there can be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from walras.envs.game import Array
from walras.envs.society.harvest_map import HarvestMap

LARGEST_PATCH = 20
"""Apple cells of a patch up to which all its configurations are gone through."""


def patches(level: HarvestMap) -> tuple[Array, ...]:
    """Apple cells, by number, that hang together by neighbourhoods; patches do not influence each other."""
    from scipy.sparse.csgraph import connected_components

    number, label = connected_components(_near(level), directed=False)
    return tuple(np.flatnonzero(label == k) for k in range(number))


def largest_growth(level: HarvestMap, regrowth: Sequence[float]) -> float | None:
    """Most apples expected to sprout in one step, over all configurations; None where a patch is too large for that.

    For the map `open`: 0.055 in each corner patch (3 ripe cells), 0.2 in each diamond (5 ripe), 0.91 in all
    (derived; by enumeration of every patch).
    """
    near, growth = _near(level), np.asarray(regrowth, np.float64)
    total = 0.0
    for cells in patches(level):
        if len(cells) > LARGEST_PATCH:
            return None
        ripe = (np.arange(1 << len(cells))[:, None] >> np.arange(len(cells))) & 1
        around = ripe @ near[np.ix_(cells, cells)].astype(np.int64)
        rates = growth[np.minimum(around, len(growth) - 1)] * (1 - ripe)
        total += float(rates.sum(axis=1).max())
    return total


def most_apples(level: HarvestMap, regrowth: Sequence[float], steps: int) -> float | None:
    """Upper bound on the apples that any policies can be expected to eat in `steps` steps; None as above.

    All that are ripe at the start, and the largest growth in all steps but the first (nothing is empty) and the
    second (an apple eaten in step t sprouts in step t + 2 at the earliest).
    """
    growth = largest_growth(level, regrowth)
    return None if growth is None else len(level.apples) + growth * max(0, steps - 2)


def _near(level: HarvestMap) -> Array:
    """(A, A) bool: is one apple cell a neighbour of the other?"""
    bits = np.arange(len(level.apples), dtype=np.uint64)
    near: Array = (level.neighbours[:, None] >> bits) & np.uint64(1) == 1
    return near
