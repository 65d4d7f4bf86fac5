"""The last word on conflicts of simplex menus, and the verdict that all of them add up to."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction

from walras.envs.auctions.certify import whole
from walras.envs.auctions.certify.games import solve_game
from walras.envs.auctions.certify.result import CERTIFIED, REFUTED, UNDECIDED, Certificate, Counterexample
from walras.envs.auctions.simplex_menus import SimplexMenus

Game = list[list[int]]

PATIENCE = 20_000
"""So many conflicts are decided one by one; further ones that touch as far as doubles can tell are left open."""


class Report:
    """What has been settled so far, and how.

    Attributes:
        margin: whole units by which a choice must be beaten to be excluded.
        robust: whether touching at ties leaves a conflict open.
        bounds: facts about what bounds settled, by name.
        total: conflicts that bounds left open.
        weights: conflicts excluded by weights.
        ties: conflicts excluded by the order at ties.
        left: conflicts not excluded.
        skipped: those of them that were not tried one by one.
        open: share of the value space of each piece with a conflict that is not excluded.
        example: a counterexample, once found.
    """

    def __init__(self, mechanism: SimplexMenus, unit: whole.Unit, margin: int, robust: bool) -> None:
        self.mechanism, self.unit, self.margin, self.robust = mechanism, unit, margin, robust
        self.bounds: dict[str, int] = {}
        self.total = self.weights = self.ties = self.left = self.tried = self.skipped = 0
        self.open: dict[Hashable, Fraction] = {}
        self.example: Counterexample | None = None

    def leaves(self, estimate: float, piece: Hashable, share: Fraction) -> bool:
        """Whether a conflict with this `estimate` of its value over the scale is left open without a try."""
        self.tried += 1
        if self.tried <= PATIENCE or estimate > 1e-7:
            return False
        self.left, self.skipped = self.left + 1, self.skipped + 1
        self.open[piece] = share
        return True

    def settle(
        self,
        game: Game,
        chosen: Sequence[int],
        profile: Callable[[Sequence[Fraction]], list[list[Fraction]]],
        piece: Hashable,
        share: Fraction,
    ) -> None:
        """Decide one conflict exactly.

        Args:
            game: rows "option k of a bidder beats option r", for the bidders of the conflict and all r but k in
                order, without any margin; columns are the vertices of the piece.
            chosen: the options in conflict, bidder by bidder as in the rows.
            profile: values (n, m) at given weights of the columns.
            piece: name of the piece.
            share: of the value space that the piece is.
        """
        value, _, weights = solve_game(game)
        if value <= -self.margin:
            self.weights += 1
        elif not self.robust and value < 0:
            self.weights += 1
        elif not self.robust and value == 0 and never_with_ties(game, chosen):
            self.ties += 1
        else:
            self.left += 1
            self.open[piece] = share
            total, columns = sum(weights), len(weights)
            point = [Fraction(w, total) for w in weights]
            if value > 0:  # move into the interior, where it is beyond doubt which piece holds the point
                least = min(Fraction(sum(row), columns) for row in game)
                step = Fraction(1, 2) if least >= 0 else value / (2 * (value - least))
                point = [(1 - step) * x + step / columns for x in point]
            values = profile(point)
            self.example = whole.over_allocated(self.mechanism, values)
            if value > 0 and self.example is None:
                raise RuntimeError(f"a conflict of positive value {value} has no counterexample at {values}")

    def certificate(self) -> Certificate:
        """The verdict."""
        facts = dict(self.bounds)
        facts["conflicts left by bounds"] = self.total
        facts["conflicts excluded by weights"] = self.weights
        if not self.robust:
            facts["conflicts excluded by the order at ties"] = self.ties
        facts["conflicts not excluded"] = self.left
        method = "every conflict on every piece, in whole numbers; " + (
            "excluded choices are beaten by half a unit at least" if self.robust else "ties to the lowest index"
        )
        status, reason = CERTIFIED, ""
        if self.example is not None:
            status, reason = REFUTED, "an item is promised more than once"
        elif self.left:
            status, reason = UNDECIDED, f"{self.left} of {self.total} conflicts touch at ties"
            if self.skipped:
                reason += f", {self.skipped} of them as far as doubles can tell"
        margin = self.margin / self.unit.per_value if self.robust and status != REFUTED else None
        volume = float(sum(self.open.values(), Fraction(0))) if status == UNDECIDED else 0.0
        return Certificate("SimplexMenus", status, method, reason, self.example, margin, volume, facts)


def rows_against(values: Sequence[Sequence[int]], prices: Sequence[Sequence[int]], k: int) -> Game:
    """Rows "option k beats option r" for all r but k in order, from values and prices (V, K) at the vertices."""
    utility = [[v - p for v, p in zip(*rows, strict=True)] for rows in zip(values, prices, strict=True)]
    return [[row[k] - row[r] for row in utility] for r in range(len(utility[0])) if r != k]


def never_with_ties(game: Game, chosen: Sequence[int]) -> bool:
    """Whether options are never all chosen when ties go to the lowest index: a lower option must be beaten strictly.

    By Motzkin's theorem it takes weights with (y M)_c <= 0 everywhere and some weight on a strict row.
    """
    options = len(game) // len(chosen) + 1
    strict = [r < k for k in chosen for r in range(options) if r != k]
    if not any(strict):
        return False
    big = 1 << 200  # outweighs the bonus of strict rows wherever a sum is above zero
    tilted = [[big * entry - rule for entry in row] for row, rule in zip(game, strict, strict=True)]
    weights = solve_game(tilted).rows
    sums = [sum(y * row[c] for y, row in zip(weights, game, strict=True)) for c in range(len(game[0]))]
    return max(sums) <= 0 and any(y > 0 for y, rule in zip(weights, strict, strict=True) if rule)
