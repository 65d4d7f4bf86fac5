"""Certificates of simplex menus for two bidders: no two conflicting options are ever both best, on any pair of pieces.

Bidder 0's prices are affine on the pieces of bidder 1's values and the other way round, so on a product of two
simplices every difference of utilities is affine and separable. Options k and l that together promise an item more
than once are excluded on such a product when either of them is beaten everywhere by one other option (a bound that
needs two additions), or by weights y >= 0 on the inequalities "k is best" and "l is best" whose weighted sum is
negative at every vertex (Farkas). Both are complete together: where no such weights exist the game has a point at
which both are best, and that point is the counterexample.
"""

from __future__ import annotations

import itertools
import math
import types
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from walras.envs.auctions import kuhn
from walras.envs.auctions.certify import whole
from walras.envs.auctions.certify.many import certify_many
from walras.envs.auctions.certify.report import Game, Report, rows_against
from walras.envs.auctions.certify.result import CERTIFIED, Certificate, Progress
from walras.envs.auctions.certify.tree import Tree, build_tree
from walras.envs.auctions.mechanism import Array
from walras.envs.auctions.simplex_menus import SimplexMenus

Profile: TypeAlias = Callable[[Sequence[Fraction]], list[list[Fraction]]]


class Side(NamedTuple):
    """One tree of pieces with the numbers of both bidders at its nodes (N) and vertices (V).

    Attributes:
        tree: the pieces, of the values of the bidder whose own values these are.
        vertices: (N, V, m) whole coordinates on the finest grid.
        values: (N, V, K) values of the options to that bidder.
        prices: (N, V, K) prices of the other bidder.
        gain: (N, K, K) largest gain in value of one option over another, over the piece.
        saving: (N, K, K) largest saving in the other bidder's price, over the leaves of the piece.
    """

    tree: Tree
    vertices: Array
    values: Array
    prices: Array
    gain: Array
    saving: Array


def certify_simplex_menus(
    mechanism: SimplexMenus, *, robust: bool = True, progress: Progress | None = None
) -> Certificate:
    """Decide whether simplex menus are feasible at every profile; they are truthful by their form.

    Args:
        mechanism: the table.
        robust: ask that every excluded choice is beaten by half a unit 2^-bits at least, and by twice what doubles can
            err by, so that arithmetic in doubles cannot choose it either; otherwise prove it in exact arithmetic,
            ties to the lowest index.
        progress: told the share of the work done.

    Raises:
        ValueError: three bidders or more, and tables or numbers are too large for that method.
    """
    if mechanism.bidders == 1:
        return Certificate("SimplexMenus", CERTIFIED, "one bidder: options are probabilities, so every choice fits")
    return (certify_two if mechanism.bidders == 2 else certify_many)(mechanism, robust, progress)


def certify_two(mechanism: SimplexMenus, robust: bool, progress: Progress | None) -> Certificate:
    """Decide about two bidders, see `certify_simplex_menus`."""
    search = TwoSides(mechanism, robust)
    report = Report(mechanism, search.unit, search.margin, robust)
    for begin, found in search.conflicts():
        if progress is not None:
            progress(begin / search.sides[0].tree.roots)
        by_weights, by_ties, estimate = search.prove(found)
        report.weights, report.ties = report.weights + by_weights, report.ties + by_ties
        # Likely counterexamples first.
        left = np.flatnonzero(~np.isnan(estimate))
        for f in left[np.argsort(-estimate[left], kind="stable")].tolist():
            a, b, k, other = (int(x) for x in found[f])
            if report.leaves(float(estimate[f]), (a, b), search.share(a, b)):
                continue
            game, profile = search.game(a, b, k, other)
            report.settle(game, (k, other), profile, (a, b), search.share(a, b))
            if report.example is not None:
                break
        if report.example is not None:
            break
    report.total = int(search.counts[2])
    report.bounds = {
        "pairs of pieces settled by bounds": int(search.counts[0]),
        "pairs of pieces with conflicts left": int(search.counts[1]),
    }
    return report.certificate()


class TwoSides:
    """The numbers of a mechanism for two bidders, laid out by piece, and the search for conflicts.

    Attributes:
        unit: the whole unit.
        margin: units by which an excluded choice must be beaten.
        sides: the pieces of bidder 0's values, and of bidder 1's.
        counts: pairs of pieces settled by bounds, pairs with conflicts left, conflicts left.
    """

    def __init__(self, mechanism: SimplexMenus, robust: bool) -> None:
        self.mechanism, self.robust = mechanism, robust
        self.unit = unit = whole.unit_of(mechanism)
        error = whole.double_error(mechanism)
        self.margin = whole.least_margin(unit.per_value, mechanism.bits, error) if robust else 1
        self.scale = 2 * unit.bound + self.margin  # at least every entry of a game
        self.width = min(26, 61 - (2 * len(mechanism.options) * self.scale).bit_length())
        self._kernels = _kernels(unit.kind is object)
        options = whole.whole(mechanism.options, unit.option_bits, np.int64)
        self._clash = np.any(options[:, None] + options[None, :] > 1 << unit.option_bits, axis=-1)
        self.sides = (self._side(0), self._side(1))
        self.counts = np.zeros(3, dtype=np.int64)

    def conflicts(self) -> Iterator[tuple[int, Array]]:
        """Conflicts (F, 4) that bounds leave open, a block of roots at a time, with the first root of the block.

        Each is a leaf of the first side, a leaf of the second, the option of bidder 0 and that of bidder 1.
        """
        (first, second), children = self.sides, 1 << self.mechanism.items
        room, begin, roots = 1 << 16, 0, first.tree.roots
        stack = np.empty((1 << 12, 2), dtype=np.int64)
        while begin < roots:
            found = np.empty((room, 4), dtype=np.int64)
            size, after = self._kernels.walk_pairs(
                begin, roots, self._clash, self.margin, first.gain, second.saving, second.gain, first.saving,
                first.tree.child, first.tree.level, second.tree.child, second.tree.level, children,
                stack, found, self.counts,
            )  # fmt: skip
            if after == begin:
                room *= 4
            elif size:
                yield begin, found[:size]
            begin = after

    def prove(self, found: Array) -> tuple[int, int, Array]:
        """How many of the conflicts (F, 4) weights exclude, and the order at ties; doubles' estimates of the others.

        Estimates (F,) are values of games over `scale`, nan where the conflict is excluded.
        """
        first, second = self.sides
        estimate = np.full(len(found), np.inf)
        if self.width < 1 or self.unit.kind is object:
            return 0, 0, estimate
        by_weights, by_ties = self._kernels.settle_pairs(
            found, 0, len(found), first.values, second.prices, second.values, first.prices,
            first.gain, second.saving, second.gain, first.saving, self.margin, float(self.scale), self.width,
            -(-self._kernels.LIMB_BITS // self.width), -1e-5, not self.robust and self.width >= 6, estimate,
        )  # fmt: skip
        return int(by_weights), int(by_ties), estimate

    def _side(self, bidder: int) -> Side:
        """The pieces of the values of `bidder`, on which the other's prices are affine."""
        mechanism, unit, payer = self.mechanism, self.unit, 1 - bidder
        m, g = mechanism.items, mechanism.grid
        tree = build_tree(mechanism.surcharges[payer], g, m, len(mechanism.options))
        corners = np.empty((len(tree.ids), m + 1, m), dtype=np.int64)
        for level in range(unit.levels + 1):
            at = tree.level == level
            corners[at] = kuhn.vertices(tree.ids[at], g << level, m) << (unit.levels - level)
        values = whole.option_values(mechanism, unit, bidder, corners)
        prices = whole.base_prices(mechanism, unit, payer, corners)
        prices += whole.surcharge(tree.amounts, mechanism, unit)[tree.entry][:, None, :]
        gain, saving = whole.largest(values), whole.largest(-prices)
        for node in np.flatnonzero(tree.child >= 0)[::-1]:  # children come after their parents
            below = slice(tree.child[node], tree.child[node] + (1 << m))
            saving[node] = saving[below].max(axis=0)
        return Side(tree, corners, values, prices, gain, saving)

    def share(self, a: int, b: int) -> Fraction:
        """Share of the value space that a pair of pieces is."""
        m, g = self.mechanism.items, self.mechanism.grid
        levels = (int(side.tree.level[node]) for side, node in zip(self.sides, (a, b), strict=True))
        return Fraction(1, math.prod(kuhn.count(g << level, m) for level in levels))

    def game(self, a: int, b: int, k: int, other: int) -> tuple[Game, Profile]:
        """The whole game of one conflict in Python integers, and the profile at weights of its columns."""
        first, second = self.sides
        pairs = list(itertools.product(range(first.vertices.shape[1]), range(second.vertices.shape[1])))

        def spread(numbers: Array, place: int) -> list[list[int]]:
            return [[int(x) for x in numbers[pair[place]]] for pair in pairs]

        game = rows_against(spread(first.values[a], 0), spread(second.prices[b], 1), k)
        game += rows_against(spread(second.values[b], 1), spread(first.prices[a], 0), other)

        def profile(weights: Sequence[Fraction]) -> list[list[Fraction]]:
            return [
                whole.at_vertices(self.mechanism, self.unit, i, corners[[pair[i] for pair in pairs]], weights)
                for i, corners in enumerate((first.vertices[a], second.vertices[b]))
            ]

        return game, profile


def _kernels(plain: bool) -> Any:
    """The kernels, compiled, or the same text uncompiled for Python integers."""
    from walras.envs.auctions.certify import kernels

    if not plain:
        return kernels
    scope: dict[str, Any] = dict(vars(kernels))
    for name, entry in vars(kernels).items():
        if hasattr(entry, "py_func"):
            scope[name] = types.FunctionType(entry.py_func.__code__, scope, name)
    return types.SimpleNamespace(**scope)
