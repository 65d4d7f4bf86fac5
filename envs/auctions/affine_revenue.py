"""Revenue of affine maximisers (Roberts 1979) under uniform values, exactly.

With S_t(v) = sum_i w_i v_i . x_i^t + boost_t, S_t^-i the same without bidder i, and t* the chosen outcome, bidder i
pays (1 / w_i) [max_t S_t^-i - S_t*^-i]. The mean of the first term is that of a maximum of affine functions over the
values of the others, the mean of the second one an integral over the region of each outcome: both are exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.regions import largest_regions, mean_of_largest
from walras.envs.auctions.truthful import AMA

Number = Fraction | int | float

LARGEST = 6
"""Most values (bidders times items) for which `uniform_revenue` computes exactly; more take too long."""


def affine_revenue(
    allocations: Sequence[Sequence[Sequence[Number]]],
    weights: Sequence[Number],
    boosts: Sequence[Number],
    low: Sequence[Sequence[Number]],
    high: Sequence[Sequence[Number]],
) -> Fraction:
    """Expected revenue of an affine maximiser when values are uniform on a box and reported truthfully.

    Args:
        allocations: outcomes (T, n, m), the one that sells nothing among them.
        weights: positive, (n,).
        boosts: (T,).
        low: (n, m) lower ends of the values.
        high: (n, m) upper ends.

    Raises:
        ValueError: if the shapes do not fit, or the box is empty.
    """
    n = len(weights)
    scores = [
        [[Fraction(w) * Fraction(x) for x in row] for w, row in zip(weights, outcome, strict=True)]
        for outcome in allocations
    ]
    constants = [Fraction(boost) for boost in boosts]
    bottom, top = ([[Fraction(x) for x in row] for row in end] for end in (low, high))
    regions = largest_regions([_flat(score) for score in scores], constants, _flat(bottom), _flat(top))
    size = math.prod(b - a for a, b in zip(_flat(bottom), _flat(top), strict=True))
    revenue = Fraction(0)
    for i in range(n):
        rest = [j for j in range(n) if j != i]
        others = [_flat([score[j] for j in rest]) for score in scores]
        start = max(constants)
        if rest:
            ends = (_flat([end[j] for j in rest]) for end in (bottom, top))
            start = mean_of_largest(others, constants, *ends)
        m = len(bottom[0])
        left = Fraction(0)
        for row, constant, region in zip(others, constants, regions, strict=True):
            moment = [region.moment[j * m + k] for j in rest for k in range(m)]
            left += sum((a * b for a, b in zip(row, moment, strict=True)), constant * region.volume)
        revenue += (start - left / size) / Fraction(weights[i])
    return revenue


def uniform_revenue(mechanism: AMA, prior: Prior) -> Fraction:
    """Exact expected revenue of an affine maximiser whose bidders have independent uniform values.

    Four values take a fraction of a second. Six take seconds for assignments with equal weights; lotteries or unequal
    weights make fractions so long there that it takes minutes and gigabytes.

    Raises:
        ValueError: if the values are not independent and uniform, the sizes do not fit, or there are more than
            `LARGEST` values.
    """
    laws = prior.marginals
    flat = [] if laws is None else [law for row in laws for law in row]
    if not flat or not all(isinstance(law, Uniform) for law in flat):
        raise ValueError(f"prior: independent uniform values are needed for an exact revenue, got {prior!r}")
    mechanism.check_size(prior.bidders, prior.items)
    if len(flat) > LARGEST:
        raise ValueError(f"prior: exact revenue takes at most {LARGEST} values, got {prior.bidders} x {prior.items}")
    low, high = prior.low.tolist(), prior.high.tolist()
    return affine_revenue(mechanism.allocations, mechanism.weights, mechanism.boosts, low, high)


def _flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return [x for row in rows for x in row]
