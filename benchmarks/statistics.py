"""Means and intervals over seeds.

The mean is the correctly rounded sum divided by the number of seeds, so it does not depend on their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Estimate(NamedTuple):
    """A mean over seeds with its interval; `low` and `high` are NaN for a single seed."""

    mean: float
    low: float
    high: float
    seeds: int


def mean_interval(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Return the mean of independent values and its Student-t interval.

    Args:
        values: One number for each seed.
        level: Coverage of the interval, in (0, 1).

    Returns:
        Mean, bounds and the number of values. A single value, or values that are not all finite, have no interval (NaN
        bounds); no value at all has a NaN mean.

    Raises:
        ValueError: If the level is not in (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    count = len(values)
    if count == 0 or not all(map(math.isfinite, values)):
        mean = sum(values) / count if count else math.nan
        return Estimate(mean, math.nan, math.nan, count)
    mean = math.fsum(values) / count
    if count == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    from scipy.special import stdtrit  # the quantile behind scipy.stats.t.ppf, at a fraction of its import time

    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = float(stdtrit(count - 1, 0.5 + level / 2)) * math.sqrt(variance / count)
    return Estimate(mean, mean - half, mean + half, count)


def interquartile_mean(scores: npt.ArrayLike) -> float:
    """Return the mean of the middle half of all scores (arXiv 2108.13264, section 4.3).

    Args:
        scores: Array (R, T): R runs of each of T tasks; any shape with at least one score is taken.

    Raises:
        ValueError: If there is no score.
    """
    from scipy.stats import trim_mean

    flat = np.asarray(scores, dtype=np.float64).ravel()
    if flat.size == 0:
        raise ValueError("scores must hold at least one number, got none")
    return float(trim_mean(flat, 0.25))


def interquartile_interval(
    scores: npt.ArrayLike, rng: np.random.Generator, *, resamples: int = 2000, level: float = 0.95
) -> Estimate:
    """Return the interquartile mean with a percentile interval of the stratified bootstrap.

    The method of arXiv 2108.13264, section 4.3.

    Args:
        scores: Array (R, T): R runs of each of T tasks; a vector is taken as R runs of one task.
        rng: Source of the resamples; each resample draws R runs with replacement within every task.
        resamples: Number of resamples.
        level: Coverage of the interval, in (0, 1).

    Raises:
        ValueError: If the scores are empty or have more than two axes, or a number is out of range.
    """
    from scipy.stats import trim_mean

    table = np.asarray(scores, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"scores must have shape (runs, tasks) with at least one score, got shape {np.shape(scores)}")
    if resamples < 1:
        raise ValueError(f"resamples must be >= 1, got {resamples}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    runs, tasks = table.shape
    picks = rng.integers(runs, size=(resamples, runs, tasks))
    drawn = np.take_along_axis(table[None], picks, axis=1).reshape(resamples, -1)
    low, high = np.quantile(trim_mean(drawn, 0.25, axis=1), [0.5 - level / 2, 0.5 + level / 2])
    return Estimate(interquartile_mean(table), float(low), float(high), runs)
