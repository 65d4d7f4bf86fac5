"""Introductions by penalised matching, with the certificate that they earn DeltaW / H_K.

f(lam) = the largest v(M) - lam |M outside E| over matchings M of all buyers with all sellers: convex, piecewise linear,
decreasing from W* to W0, with slopes -k, k <= K = min(n, m). Let M attain f(lam) and P = M outside E. Then M is optimal
in E or P; each of P's sellers adds at least lam to welfare (without her at most |P| - 1 introductions remain), so her
largest competitive price is at least lam and P earns at least lam |P|. With lam_k the largest lam at which an optimum
has k introductions or more, DeltaW = W* - W0 = the sum of the lam_k <= max_k k lam_k H_K: the best breakpoint earns
DeltaW / H_K. The order of the guarantee is that of arXiv 2406.07385 (abstract), constant and algorithm are derived.

Breakpoints are found by the method of Eisner and Severance (1976): solve where two known lines cross, and go on to
both sides if f lies above them there. For integers all of it is exact.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from walras.envs.arguments import whole
from walras.envs.game import Array
from walras.envs.platforms.introductions import harmonic, one_market, trade

_EXACT = 2.0**53
_NUDGE = 1e-9  # of the largest value: what prefers more introductions where values are floats

Number = Fraction | float


@dataclass(frozen=True, eq=False)
class PenalisedMatching:
    """What penalised matching found, and what it proves.

    Attributes:
        introduced: (n, m) bool, the best of the introductions tried.
        revenue: what they earn.
        breakpoints: penalties at which f bends, increasing; of type `Fraction` for integer values.
        ladder: lam_1 >= ... >= lam_k, as above; their sum is DeltaW.
        gain: DeltaW = W* - W0.
        guarantee: DeltaW / H_K.
        complete: all breakpoints were found.
    """

    introduced: Array
    revenue: float
    breakpoints: tuple[Number, ...]
    ladder: tuple[Number, ...]
    gain: float
    guarantee: float
    complete: bool

    def proved(self, tolerance: float = 0.0) -> bool:
        """Whether the chain revenue >= max_k k lam_k >= DeltaW / H_K, with sum lam_k = DeltaW, holds here.

        Exact for integers with tolerance 0: the last comparison is then one of fractions. Never where the search was
        cut before all breakpoints were found.
        """
        if not self.complete:
            return False
        total = sum(self.ladder, start=Fraction(0))
        best = max((k * lam for k, lam in enumerate(self.ladder, 1)), default=Fraction(0))
        harmonics = sum((Fraction(1, k) for k in range(1, len(self.ladder) + 1)), start=Fraction(0))
        return bool(
            abs(total - self.gain) <= tolerance
            and self.revenue >= best - tolerance
            and best * harmonics >= total - tolerance * len(self.ladder)
        )


class _Line:
    """v - lam k, the value of one matching; `pairs` (k, 2) are its introductions."""

    def __init__(self, value: float, pairs: Array) -> None:
        self.value, self.pairs, self.k = value, pairs, len(pairs)


def penalised_matching(values: Any, world: Any, *, problems: int | None = None) -> PenalisedMatching:
    """Try the optima of all penalties at which their number of introductions changes, and of no penalty.

    Args:
        values: (n, m), nonnegative; integers are treated exactly.
        world: (n, m) bool.
        problems: largest number of assignment problems to solve; `None`: all that are needed, at most 2 K + 1. Where it
            cuts the search, `complete` is false, and crossings of the largest k lam were looked at first.

    Raises:
        ValueError: if shapes do not fit, a value is negative or not finite, `problems` is below 2, or integers are too
            large to be weighed in float64.
    """
    v, e = one_market(values, world)
    left_over = np.inf if problems is None else whole("problems", problems, 2) - 2
    weigh = _Weigh(v, e)
    first, last = weigh.solve(Fraction(0)), weigh.alone()
    breaks: dict[Number, _Line] = {}
    gaps: list[tuple[float, int, Number, _Line, _Line]] = []

    def between(left: _Line, right: _Line) -> None:
        if left.k > right.k:
            lam = weigh.crossing(left, right)
            heapq.heappush(gaps, (-float(left.k * lam), len(breaks) + len(gaps), lam, left, right))

    between(first, last)
    while gaps and left_over > 0:
        _, _, lam, left, right = heapq.heappop(gaps)
        left_over -= 1
        middle = weigh.solve(lam)
        if weigh.above(middle, left, lam):
            between(left, middle)
            between(middle, right)
        else:  # the steepest optimum of a breakpoint is the one to try: it has k = left.k introductions
            breaks[lam] = middle
    ladder: list[Number] = []
    for lam in sorted(breaks, reverse=True):
        ladder += [lam] * (breaks[lam].k - len(ladder))
    introduced, revenue = _best(v, e, [first, *breaks.values()])
    gain = first.value - last.value
    guarantee = gain / harmonic(max(1, min(v.shape)))
    return PenalisedMatching(
        introduced, revenue, tuple(sorted(breaks)), tuple(ladder), gain, guarantee, complete=not gaps
    )


def _best(v: Array, e: Array, lines: list[_Line]) -> tuple[Array, float]:
    best, most = np.zeros(v.shape, bool), 0.0
    for line in lines:
        graph = np.zeros(v.shape, bool)
        graph[line.pairs[:, 0], line.pairs[:, 1]] = True
        revenue = float(trade(v, e, graph).revenue[0])
        if revenue > most:
            best, most = graph, revenue
    return best, most


class _Weigh:
    """Assignment problems of one market, exact for integers."""

    def __init__(self, v: Array, e: Array) -> None:
        self.whole = v.dtype.kind in "iub"
        self.v, self.e, self.most = v.astype(np.float64), e, min(v.shape)
        self.largest = float(self.v.max(initial=0))
        if self.whole and (self.largest + 1.0) * (self.most + 1.0) ** 3 >= _EXACT:
            raise ValueError("values: integers this large cannot be weighed exactly in float64; give floats")

    def solve(self, lam: Number) -> _Line:
        """An optimum at `lam` with as many introductions as an optimum there can have."""
        if self.whole:
            # In units of 1 / (b (K + 1)), lam = a / b: one unit for each introduction decides between equals.
            a, b = lam.as_integer_ratio()
            unit = self.most + 1
            weight = np.where(self.e, b * self.v * unit, (b * self.v - a) * unit + 1)
        else:
            weight = np.where(self.e, self.v, self.v - float(lam) + _NUDGE * self.largest)
        return self._line(np.where(self.v > 0, weight, 0.0))

    def alone(self) -> _Line:
        """The world without introductions."""
        return self._line(np.where(self.e, self.v, 0.0))

    def crossing(self, left: _Line, right: _Line) -> Number:
        """The penalty at which two lines meet."""
        if self.whole:
            return Fraction(int(left.value - right.value), left.k - right.k)
        return max(0.0, left.value - right.value) / (left.k - right.k)

    def above(self, middle: _Line, left: _Line, lam: Number) -> bool:
        """Whether the optimum at the crossing lies above the lines that cross there."""
        if self.whole:
            return bool(int(middle.value) - lam * middle.k > int(left.value) - lam * left.k)
        rise = (middle.value - left.value) - float(lam) * (middle.k - left.k)
        return bool(rise > 1e-12 + 2 * _NUDGE * self.largest * self.most)

    def _line(self, weight: Array) -> _Line:
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(np.maximum(weight, 0.0), maximize=True)
        kept = weight[rows, columns] > 0
        rows, columns = rows[kept], columns[kept]
        new = ~self.e[rows, columns]
        return _Line(float(self.v[rows, columns].sum()), np.column_stack([rows[new], columns[new]]))
