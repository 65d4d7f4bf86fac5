"""Matrix games of whole numbers, solved exactly: the last word where doubles leave a doubt.

See `walras.envs.auctions.certify.kernels` for what a game means here.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple


class Solution(NamedTuple):
    """Exact solution of a matrix game M (R, C) in which the row player wants the largest column small.

    Attributes:
        value: min over weights y of max over columns of (y M)_c, y >= 0 with sum 1.
        rows: optimal y, as whole numbers with a common denominator left out.
        columns: optimal weights of the vertices, likewise: at that point of the piece every row is at least `value`.
    """

    value: Fraction
    rows: tuple[int, ...]
    columns: tuple[int, ...]


def solve_game(game: Sequence[Sequence[int]]) -> Solution:
    """Solve a matrix game by the simplex method in whole numbers (Edmonds' integer pivoting, Bland's rule).

    Args:
        game: R rows of C Python integers, R, C >= 1.
    """
    rows, columns = len(game), len(game[0])
    shift = 1 + max(abs(entry) for row in game for entry in row)
    # Largest sum of q >= 0 with sum_r q_r (M_rc + shift) <= 1 in every column: 1 / (value + shift).
    table = [[game[r][c] + shift for r in range(rows)] + [1] for c in range(columns)]
    table.append([-1] * rows + [0])
    free, basic = list(range(rows)), list(range(rows, rows + columns))
    divisor = 1
    while True:
        candidates = [r for r in range(rows) if table[columns][r] < 0]
        if not candidates:
            break
        enter = min(candidates, key=lambda r: free[r])
        leave = -1
        for c in range(columns):
            if table[c][enter] > 0 and (
                leave < 0
                or (gap := table[c][rows] * table[leave][enter] - table[leave][rows] * table[c][enter]) < 0
                or (gap == 0 and basic[c] < basic[leave])
            ):
                leave = c
        pivot, row = table[leave][enter], table[leave]
        for c in range(columns + 1):
            if c != leave:
                factor = table[c][enter]
                old = table[c]
                new = [(old[j] * pivot - factor * row[j]) // divisor for j in range(rows + 1)]
                new[enter] = -factor
                table[c] = new
        row[enter] = divisor
        divisor = pivot
        free[enter], basic[leave] = basic[leave], free[enter]
    weights, vertices = [0] * rows, [0] * columns
    for c in range(columns):
        if basic[c] < rows:
            weights[basic[c]] = table[c][rows]
    for r in range(rows):
        if free[r] >= rows:
            vertices[free[r] - rows] = table[columns][r]
    return Solution(Fraction(divisor, table[columns][rows]) - shift, tuple(weights), tuple(vertices))
