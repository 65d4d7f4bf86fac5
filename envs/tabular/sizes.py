"""How large a game tree is, estimated by random descents before it is expanded.

Knuth (1975), "Estimating the efficiency of backtrack programs", Mathematics of Computation 29.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

DIVES = 256
"""Random descents from the root."""


class Size(NamedTuple):
    """An estimate of a game tree's size.

    Attributes:
        nodes: unbiased estimate of the number of nodes.
        deviation: its standard error; of little worth for deep games, where few descents make up most of the sum.
        median: half of the descents estimate more than this.
    """

    nodes: float
    deviation: float
    median: float


def descent(branching: list[float]) -> float:
    """Knuth's estimate from the numbers of children met on one random descent: 1 + b1 + b1 b2 + ..."""
    with np.errstate(over="ignore"):
        return float(1.0 + np.cumprod(branching).sum())


def summarise(estimates: list[float]) -> Size:
    """The estimate that several descents make."""
    cut = np.minimum(estimates, 1e150)  # the squares must remain finite
    return Size(float(cut.mean()), float(cut.std(ddof=1) / math.sqrt(len(cut))), float(np.median(cut)))
