"""Certificates of cell menus: in every tuple of cells the options that may be best fit together.

Menus are constant on the cells of the others, so within one tuple of cells the bidders choose independently of each
other. An item is then promised at most once at every profile of the tuple if, and up to ties only if, the largest
shares among each bidder's possible choices add up to at most one. An option is impossible in a cell when another one
beats it everywhere (a bound), or when weights on "it beats that one" have a negative sum at every corner (Farkas);
both together are complete.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np

from walras.envs.auctions.cell_menus import CellMenus
from walras.envs.auctions.certify import whole
from walras.envs.auctions.certify.games import solve_game
from walras.envs.auctions.certify.report import never_with_ties
from walras.envs.auctions.certify.result import (
    CERTIFIED,
    REFUTED,
    UNDECIDED,
    Certificate,
    Counterexample,
    Progress,
)
from walras.envs.auctions.mechanism import Array


def certify_cell_menus(mechanism: CellMenus, *, robust: bool = True, progress: Progress | None = None) -> Certificate:
    """Decide whether cell menus are feasible at every profile; they are truthful by their form.

    Args:
        mechanism: the table.
        robust: ask that every excluded choice is beaten by half a unit 2^-bits at least, and by twice what doubles can
            err by, so that arithmetic in doubles cannot choose it either; otherwise prove it in exact arithmetic,
            ties to the lowest index.
        progress: told the share of the work done.

    Raises:
        ValueError: more than 62 options, or numbers too large for int64.
    """
    tables = _Tables(mechanism, robust)
    bad = tables.conflicts()
    if progress is not None:
        progress(0.5)
    if len(bad):
        tables.sharpen(bad)
        bad = tables.conflicts()
    facts = {"tuples of cells": math.prod(mechanism.cells)}
    open_share, left = Fraction(0), 0
    example: Counterexample | None = None
    for place in bad.tolist():
        still, example = tables.settle(tuple(place))
        if example is not None:
            break
        if still:
            left += 1
            open_share += tables.share(tuple(place))
    facts |= {
        "options tried by weights": int(tables.counts[0]),
        "options excluded by weights": int(tables.counts[1]),
        "tuples settled one by one": len(bad) - left if example is None else 0,
        "tuples not settled": left,
    }
    method = "every tuple of cells, in whole numbers; " + (
        "excluded choices are beaten by half a unit at least" if robust else "ties to the lowest index"
    )
    margin = tables.margin / tables.per_value if robust else None
    verdict = Certificate("CellMenus", CERTIFIED, method, margin=margin, counts=facts)
    if example is not None:
        return dataclasses.replace(
            verdict, status=REFUTED, reason="an item is promised more than once", counterexample=example, margin=None
        )
    if left:
        reason = f"in {left} tuples of cells choices touch at ties"
        return dataclasses.replace(verdict, status=UNDECIDED, reason=reason, undecided=float(open_share))
    return verdict


class _Tables:
    """The numbers of a mechanism in whole units, and what each bidder may choose."""

    def __init__(self, mechanism: CellMenus, robust: bool) -> None:
        from walras.envs.auctions.certify import box_kernels, kernels

        kernel: Any = box_kernels
        self.mechanism, self.robust, self.kernels = mechanism, robust, kernel
        bits, n = mechanism.bits, mechanism.bidders
        fraction = max(whole.option_bits(own, bits) for own in mechanism.options)
        self.per_value, self.limit = 1 << (bits + fraction), 1 << fraction
        size = Fraction(float(mechanism.high.sum(axis=1).max())) + Fraction(
            max(float(np.max(np.abs(own))) for own in mechanism.prices)
        )
        # A sum of m products, its rounding, and the same once more for the other option.
        error = float(2.0**-52 * 8 * (mechanism.items + 1) * size)
        self.margin = whole.least_margin(self.per_value, bits, error) if robust else 1
        scale = 2 * math.ceil(size * self.per_value) + self.margin
        count = mechanism.options[0].shape[1]
        self.scale, self.width = scale, min(26, 61 - (count * scale).bit_length())
        self.limbs = -(-kernels.LIMB_BITS // max(self.width, 1))
        if count > 62:
            raise ValueError(f"mechanism: at most 62 options can be certified, got {count}")
        if self.width < 1:
            raise ValueError("mechanism: its numbers are too large for int64; use fewer bits, for options above all")
        self.boxes = [tuple(whole.whole(end, bits, np.int64) for end in mechanism.boxes(i)) for i in range(n)]
        self.options = [whole.whole(own, fraction, np.int64) for own in mechanism.options]
        self.prices = [whole.whole(own, bits, np.int64) << fraction for own in mechanism.prices]
        self.counts = np.zeros(2, dtype=np.int64)
        self.masks = []
        for i in range(n):
            masks = np.empty((len(self.options[i]), mechanism.cells[i]), dtype=np.int64)
            kernel.possible(*self.boxes[i], self.options[i], self.prices[i], self.margin, masks)
            self.masks.append(masks)

    def conflicts(self) -> Array:
        """Tuples of cells (F, n) in which the possible choices do not fit together, the worst first."""
        mechanism, total = self.mechanism, None
        for i, masks in enumerate(self.masks):
            top = np.empty((*masks.shape, mechanism.items), dtype=np.int64)
            self.kernels.most(self.options[i], masks, top)
            others = [count for j, count in enumerate(mechanism.cells) if j != i]
            shaped = np.moveaxis(top.reshape(*others, mechanism.cells[i], mechanism.items), -2, i)
            total = shaped if total is None else total + shaped
        assert total is not None
        worst = total.max(axis=-1)
        bad = np.argwhere(worst > self.limit)
        return bad[np.argsort(-worst[tuple(bad.T)], kind="stable")]

    def sharpen(self, bad: Array) -> None:
        """Exclude what weights can exclude in the given tuples."""
        for i in range(self.mechanism.bidders):
            wanted = np.unique(np.stack([self._row(i, bad), bad[:, i]], axis=1), axis=0)
            self.kernels.sharpen(
                wanted, *self.boxes[i], self.options[i], self.prices[i], self.margin, self.masks[i],
                float(self.scale), self.width, self.limbs, self.counts,
            )  # fmt: skip

    def _row(self, bidder: int, cells: Array) -> Array:
        """Row of the bidder's tables for tuples of cells (F, n)."""
        row = np.zeros(len(cells), dtype=np.int64)
        for j, count in enumerate(self.mechanism.cells):
            if j != bidder:
                row = row * count + cells[:, j]
        return row

    def settle(self, place: tuple[int, ...]) -> tuple[bool, Counterexample | None]:
        """Whether a tuple of cells stays open after everything is decided exactly, and a counterexample if any."""
        n, items = self.mechanism.bidders, self.mechanism.items
        maybe: list[dict[int, tuple[Fraction, list[Fraction]]]] = []
        for i in range(n):
            row = int(self._row(i, np.array([place]))[0])
            mask = int(self.masks[i][row, place[i]])
            own: dict[int, tuple[Fraction, list[Fraction]]] = {}
            for k in range(self.options[i].shape[1]):
                if (mask >> k) & 1:
                    found = self._where_best(i, row, place[i], k)
                    if found is not None:
                        own[k] = found
            maybe.append(own)
        still = False
        for j in range(items):
            for strict in (True, False):  # choices that are best by more than nothing first
                picks = []
                for i in range(n):
                    row = int(self._row(i, np.array([place]))[0])
                    among = [k for k, (value, _) in maybe[i].items() if value > 0 or not strict]
                    if among:
                        picks.append((i, max(among, key=lambda k: self.options[i][row, k, j])))
                shares = [int(self.options[i][int(self._row(i, np.array([place]))[0]), k, j]) for i, k in picks]
                if sum(shares) <= self.limit:
                    continue
                still = True
                points = {i: maybe[i][k][1] for i, k in picks}
                profile = [
                    points[i] if i in points else [Fraction(float(x)) for x in self.mechanism.boxes(i)[0][place[i]]]
                    for i in range(n)
                ]
                example = over_allocated(self.mechanism, profile)
                if example is not None:
                    return True, example
        return still, None

    def _where_best(self, i: int, row: int, cell: int, k: int) -> tuple[Fraction, list[Fraction]] | None:
        """By how much option k can be best in a cell, and where; None when it is excluded."""
        low, high = ([int(x) for x in end[cell]] for end in self.boxes[i])
        options, prices = self.options[i][row].tolist(), self.prices[i][row].tolist()
        corners = [low] if low == high else [list(c) for c in itertools.product(*zip(low, high, strict=True))]
        game = [
            [
                sum((a - b) * x for a, b, x in zip(options[k], options[r], corner, strict=True)) - prices[k] + prices[r]
                for corner in corners
            ]
            for r in range(len(options))
            if r != k
        ]
        if not game:
            return Fraction(1), [Fraction(x, 1 << self.mechanism.bits) for x in low]
        value, _, weights = solve_game(game)
        self.counts[0] += 1
        never = not self.robust and (value < 0 or (value == 0 and never_with_ties(game, (k,))))
        if value <= -self.margin or never:
            self.counts[1] += 1
            return None
        total, columns = sum(weights), len(corners)
        point = [Fraction(w, total) for w in weights]
        if value > 0:  # into the interior of the cell
            least = min(Fraction(sum(entries), columns) for entries in game)
            step = Fraction(1, 2) if least >= 0 else value / (2 * (value - least))
            point = [(1 - step) * x + step / columns for x in point]
        unit = 1 << self.mechanism.bits
        return value, [
            sum((x * corner[j] for x, corner in zip(point, corners, strict=True)), Fraction(0)) / unit
            for j in range(self.mechanism.items)
        ]

    def share(self, place: tuple[int, ...]) -> Fraction:
        """Share of the value space that a tuple of cells is; each type counts alike where values are finite."""
        mechanism = self.mechanism
        if mechanism.points:
            return Fraction(1, math.prod(mechanism.cells))
        whole_box = [(low, high) for low, high in zip(mechanism.low, mechanism.high, strict=True)]
        result = Fraction(1)
        for i, cell in enumerate(place):
            low, high = mechanism.boxes(i)
            for a, b, bottom, top in zip(low[cell], high[cell], *whole_box[i], strict=True):
                result *= Fraction(float(b - a)) / Fraction(float(top - bottom))
        return result


def exact_cell_choices(mechanism: CellMenus, profile: list[list[Fraction]]) -> list[tuple[int, int]]:
    """Row of the tables and option of each bidder at a profile (n, m) inside the box, in fractions.

    The lowest index wins ties.
    """
    cells = []
    for i, row in enumerate(profile):
        number = 0
        for x, edges in zip(row, mechanism.cuts[i], strict=True):
            exact = [Fraction(float(edge)) for edge in edges]
            if mechanism.points:
                place, count = exact.index(x), len(exact)
            else:
                place, count = sum(edge <= x for edge in exact[1:-1]), len(exact) - 1
            number = number * count + place
        cells.append(int(mechanism.merged[i][number]) if mechanism.merged else number)
    chosen = []
    for i, row in enumerate(profile):
        key = 0
        for other, count in enumerate(mechanism.cells):
            if other != i:
                key = key * count + cells[other]
        utility = [
            sum((x * Fraction(float(a)) for x, a in zip(row, option, strict=True)), -Fraction(float(price)))
            for option, price in zip(mechanism.options[i][key], mechanism.prices[i][key], strict=True)
        ]
        chosen.append((key, utility.index(max(utility))))
    return chosen


def over_allocated(mechanism: CellMenus, profile: list[list[Fraction]]) -> Counterexample | None:
    """The counterexample at a profile, on doubles near it where they do, or None when the options fit there."""
    near = [[Fraction(round(x * (1 << 48)), 1 << 48) for x in row] for row in profile]
    for values in [profile] if mechanism.points else [near, profile]:
        chosen = exact_cell_choices(mechanism, values)
        rows = [mechanism.options[i][key, k].tolist() for i, (key, k) in enumerate(chosen)]
        totals = [sum(map(Fraction, column), Fraction(-1)) for column in zip(*rows, strict=True)]
        over = max(totals)
        if over > 0:
            item = totals.index(over)
            text = f"item {item} is promised with total probability {float(1 + over):.10g}"
            text += f"; options {[k for _, k in chosen]}"
            at = tuple(map(tuple, values))
            return Counterexample("feasible", at, at, None, over, text)
    return None
