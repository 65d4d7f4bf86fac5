"""Certificates of simplex menus for any number of bidders: on the Kuhn simplices of the cube of all values.

Every bidder's prices are affine on the simplices of the others' values, and the simplices of the cube of all n m
values restrict to simplices of every bidder's own and of the others' values. So on each of them all differences of
utilities are affine. Conflicts are the smallest tuples of options that together promise an item more than once: with
lotteries three bidders may clash where no two of them do. A tuple is excluded by bounds, cell by cell and then
simplex by simplex, or by weights y >= 0 on the inequalities "each of them is best" whose weighted sum is negative at
all n m + 1 vertices (Farkas). Simplices that some bidder's surcharges refine are halved until they are not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from walras.envs.auctions import kuhn
from walras.envs.auctions.certify import whole
from walras.envs.auctions.certify.report import Report, rows_against
from walras.envs.auctions.certify.result import Certificate, Progress
from walras.envs.auctions.certify.tree import Tree, build_tree
from walras.envs.auctions.mechanism import Array
from walras.envs.auctions.simplex_menus import SimplexMenus

_LIMIT = 1 << 28  # numbers in the largest table


def certify_many(mechanism: SimplexMenus, robust: bool, progress: Progress | None) -> Certificate:
    """Decide about any number of bidders, see `walras.envs.auctions.certify.simplex.certify_simplex_menus`.

    Raises:
        ValueError: the tables are too large for this method, or numbers too large for int64.
    """
    cube = _Cube(mechanism, robust)
    report, counts = cube.report, np.zeros(6, dtype=np.int64)
    for ids, depth, which, estimate in cube.walk(counts, progress):
        for f in np.argsort(-estimate, kind="stable").tolist():  # likely counterexamples come first
            cube.settle(int(depth[f]), int(ids[f]), int(which[f]), float(estimate[f]))
            if report.example is not None:
                break
        if report.example is not None:
            break
    report.total, report.weights = int(counts[3]), report.weights + int(counts[4])
    report.ties += int(counts[5])
    report.bounds = {
        "cells settled by bounds": int(counts[0]),
        "simplices settled by bounds": int(counts[1]),
        "simplices with conflicts left": int(counts[2]),
    }
    return report.certificate()


def conflicts(options: Array, limit: int, bidders: int) -> Array:
    """Smallest tuples of options (T, n) that promise an item more than once, -1 for bidders that are not in them.

    Args:
        options: (K, m) whole numbers.
        limit: what an item holds, in the same unit.
        bidders: number n of bidders.
    """
    shares = options.tolist()

    def fit(chosen: tuple[int, ...]) -> bool:
        return all(sum(column) <= limit for column in zip(*(shares[k] for k in chosen), strict=True))

    useful = [k for k, row in enumerate(shares) if any(row)]
    fitting: list[tuple[int, ...]] = [(k,) for k in useful]
    clashing: list[tuple[int, ...]] = []
    for size in range(2, bidders + 1):
        longer = [(*some, k) for some in fitting for k in useful]
        fitting = [chosen for chosen in longer if fit(chosen)]
        for chosen in longer:
            if not fit(chosen) and all(fit(chosen[:gone] + chosen[gone + 1 :]) for gone in range(size)):
                clashing.append(chosen)
    rows = []
    for chosen in clashing:
        for members in itertools.combinations(range(bidders), len(chosen)):
            row = [-1] * bidders
            for i, k in zip(members, chosen, strict=True):
                row[i] = k
            rows.append(row)
    return np.array(rows, dtype=np.int64).reshape(len(rows), bidders)


class _Cube:
    """The numbers of a mechanism on the simplices of the cube of all values."""

    def __init__(self, mechanism: SimplexMenus, robust: bool) -> None:
        self.mechanism, self.robust = mechanism, robust
        self.unit = unit = whole.unit_of(mechanism)
        n, m, g, count = mechanism.bidders, mechanism.items, mechanism.grid, len(mechanism.options)
        self.dimension = n * m
        if kuhn.count(unit.cells, self.dimension) >= 2**62:
            raise ValueError(f"mechanism: the {self.dimension} values on {unit.cells} cells have too many simplices")
        if kuhn.count(g, mechanism.dimension) * count * max(count, n) * n > _LIMIT or count > 62:
            raise ValueError(
                f"mechanism: {kuhn.count(g, mechanism.dimension)} simplices with {count} options are too many here"
            )
        error = whole.double_error(mechanism)
        self.margin = whole.least_margin(unit.per_value, mechanism.bits, error) if robust else 1
        self.scale = 2 * unit.bound + self.margin
        self.width = min(26, 61 - (n * count * self.scale).bit_length())
        self.ties = not robust and self.width >= 6  # weights for ties need some bits of their own
        if unit.kind is object or self.width < 1:
            raise ValueError("mechanism: its numbers are too large for int64; use fewer bits, for options above all")
        self.report = Report(mechanism, unit, self.margin, robust)
        options = whole.whole(mechanism.options, unit.option_bits, np.int64)
        self.tuples = conflicts(options, 1 << unit.option_bits, n)
        self.trees = [build_tree(own, g, mechanism.dimension, count) for own in mechanism.surcharges]
        self.amounts = [whole.surcharge(tree.amounts, mechanism, unit) for tree in self.trees]
        self.extra = [
            _extra(tree, amounts, mechanism.dimension) for tree, amounts in zip(self.trees, self.amounts, strict=True)
        ]

    def others(self, bidder: int) -> list[int]:
        """Coordinates of the others' values."""
        m = self.mechanism.items
        return [j for j in range(self.dimension) if j // m != bidder]

    def walk(self, counts: Array, progress: Progress | None) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Simplices, their levels, tuples and estimates of what is left, a block of cells at a time."""
        from walras.envs.auctions.certify import cube_kernels, kernels

        tables: Any = self._tables()
        halves, trees = self._halves(tables[-2]), self._forest()
        walk: Any = cube_kernels.walk_cells
        cells = self.mechanism.grid**self.dimension
        room, begin = 1 << 16, 0
        while begin < cells:
            found, depth, which = (np.empty(room, dtype=np.int64) for _ in range(3))
            estimate = np.empty(room)
            size, after = walk(
                begin, cells, self.mechanism.grid, *tables, self.tuples, self.margin, float(self.scale), self.width,
                -(-kernels.LIMB_BITS // self.width), self.ties, self.unit.levels, *trees, *halves,
                found, depth, which, estimate, counts,
            )  # fmt: skip
            if after == begin:
                room *= 4
            elif size:
                yield found[:size], depth[:size], which[:size], estimate[:size]
            begin = after
            if progress is not None:
                progress(begin / cells)

    def _tables(self) -> tuple[Any, ...]:
        mechanism, unit, n, m = self.mechanism, self.unit, self.mechanism.bidders, self.mechanism.items
        d, g, size = mechanism.dimension, mechanism.grid, self.dimension
        own_cell, other_cell = np.zeros((n, size), dtype=np.int64), np.zeros((n, size), dtype=np.int64)
        orders = kuhn.orders(size)
        own_rank, other_rank = (np.empty((n, len(orders)), dtype=np.int64) for _ in range(2))
        steps = np.zeros((n, len(orders), size + 1), dtype=np.int64)
        values, prices, gain, saving = [], [], [], []
        own_corners = kuhn.vertices(np.arange(kuhn.count(g, m)), g, m) << unit.levels
        other_corners = kuhn.vertices(np.arange(kuhn.count(g, d)), g, d) << unit.levels
        for i in range(n):
            own, others = [i * m + j for j in range(m)], self.others(i)
            own_cell[i, own] = [g ** (m - 1 - j) for j in range(m)]
            other_cell[i, others] = [g ** (d - 1 - j) for j in range(d)]
            mine = orders // m == i
            own_rank[i] = kuhn.ranks(orders[mine].reshape(-1, m) - i * m)
            other_rank[i] = kuhn.ranks(np.searchsorted(others, orders[~mine].reshape(-1, d)))
            steps[i, :, 1:] = np.cumsum(mine, axis=1)
            tree = self.trees[i]
            values.append(whole.option_values(mechanism, unit, i, own_corners))
            price = whole.base_prices(mechanism, unit, i, other_corners)
            price += self.amounts[i][tree.entry[: tree.roots]][:, None, :]
            prices.append(price)
            gain.append(whole.largest(values[-1]))
            saving.append(whole.largest(-price) + self.extra[i][: tree.roots])
        stacked = [np.stack(part) for part in (gain, saving, values, prices)]
        by_cell = [
            part.reshape(n, -1, math.factorial(k), *part.shape[2:]).max(axis=2)
            for part, k in ((stacked[0], m), (stacked[1], d))
        ]
        return own_cell, other_cell, *by_cell, *stacked, own_rank, other_rank, steps

    def _forest(self) -> tuple[Any, ...]:
        """The trees of all bidders in one table: roots, first children, rows of amounts, amounts, what is below."""
        sizes = [len(tree.ids) for tree in self.trees]
        first = np.cumsum([0, *sizes[:-1]])
        rows = np.cumsum([0, *(len(amounts) for amounts in self.amounts[:-1])])
        child = [np.where(tree.child >= 0, tree.child + k, -1) for tree, k in zip(self.trees, first, strict=True)]
        entry = [tree.entry + k for tree, k in zip(self.trees, rows, strict=True)]
        return first, *(np.concatenate(part) for part in (child, entry, self.amounts, self.extra))

    def _halves(self, other_rank: Array) -> tuple[Any, ...]:
        """How every kind of simplex is halved: see `cube_kernels._descend`; empty tables where nothing is refined."""
        n, size, d = self.mechanism.bidders, self.dimension, self.mechanism.dimension
        if not self.unit.levels:
            empty = np.empty((1, 1, 1, 2), dtype=np.int64), np.empty((1, 1), dtype=np.int64)
            return *empty, np.empty((1, 1, 1), dtype=np.int64), np.empty((n, 1, 1), dtype=np.int64)
        offset, rank = kuhn.halves(size)
        # In units of half a cell a vertex of a half is the sum of two vertices of the whole, which are nested.
        corners = offset[:, :, None, :] + np.concatenate(
            (
                np.zeros((*rank.shape, 1, size), dtype=np.int64),
                np.eye(size, dtype=np.int64)[kuhn.orders(size)[rank]].cumsum(axis=2),
            ),
            axis=2,
        )
        pairs = np.stack([(corners >= 1).sum(axis=-1), (corners >= 2).sum(axis=-1)], axis=-1)
        other_offset, other_half = kuhn.halves(d)
        power = 1 << np.arange(d)[::-1]
        keys = (other_offset @ power) * math.factorial(d) + other_half
        where = np.full((len(keys), (1 << d) * math.factorial(d)), -1, dtype=np.int64)
        np.put_along_axis(where, keys, np.broadcast_to(np.arange(1 << d), keys.shape), axis=1)
        place = np.empty((n, *rank.shape), dtype=np.int64)
        for i in range(n):
            key = (offset[:, :, self.others(i)] @ power) * math.factorial(d) + other_rank[i][rank]
            place[i] = np.take_along_axis(where[other_rank[i]], key, axis=1)
        return pairs, rank, offset, place

    def settle(self, level: int, number: int, t: int, estimate: float) -> None:
        """Decide one conflict on one simplex of the cube exactly."""
        g, n, m = self.mechanism.grid, self.mechanism.bidders, self.mechanism.items
        share = Fraction(1, kuhn.count(g << level, self.dimension))
        if self.report.leaves(estimate, (level, number), share):
            return
        ids = np.array([number])
        corners = self._corners(level, ids)
        nodes = self._nodes(level, ids)
        utility = self._utility(corners, nodes)[0]
        game, chosen = [], []
        for i, k in enumerate(self.tuples[t].tolist()):
            if k >= 0:
                chosen.append(k)
                rows = [[int(x) for x in row] for row in utility[i]]
                game += rows_against(rows, [[0] * len(row) for row in rows], k)

        def profile(weights: Sequence[Fraction]) -> list[list[Fraction]]:
            return [
                whole.at_vertices(self.mechanism, self.unit, i, corners[0][:, i * m : i * m + m], weights)
                for i in range(n)
            ]

        self.report.settle(game, chosen, profile, (level, number), share)

    def _corners(self, level: int, ids: Array) -> Array:
        """Vertices (F, V, n m) on the finest grid."""
        corners: Array = kuhn.vertices(ids, self.mechanism.grid << level, self.dimension)
        return corners << (self.unit.levels - level)

    def _nodes(self, level: int, ids: Array) -> Array:
        """Deepest node (F, n) of each bidder's tree, down to `level`, that holds the others' values."""
        nodes = np.empty((len(ids), self.mechanism.bidders), dtype=np.int64)
        d, g = self.mechanism.dimension, self.mechanism.grid
        corners = kuhn.vertices(ids, g << level, self.dimension)
        for i, tree in enumerate(self.trees):
            # Twice the barycentre of the projection is a point inside the others' simplex.
            part = corners[:, :, self.others(i)]
            chain = [_number(part, g << level)]
            for r in range(level, 0, -1):
                chain.append(kuhn.parents(chain[-1], g << r, d))
            node = chain[-1].copy()  # roots stand in the order of their numbers
            for r in range(1, level + 1):
                first = tree.child[node]
                inner = first >= 0
                below = first[inner, None] + np.arange(1 << d)
                match = tree.ids[below] == chain[level - r][inner, None]
                node[inner] = below[match]
            nodes[:, i] = node
        return nodes

    def _utility(self, corners: Array, nodes: Array) -> Array:
        """Utilities (F, n, V, K) at the vertices, with the prices of the given nodes."""
        m, parts = self.mechanism.items, []
        for i, tree in enumerate(self.trees):
            value = whole.option_values(self.mechanism, self.unit, i, corners[:, :, i * m : i * m + m])
            price = whole.base_prices(self.mechanism, self.unit, i, corners[:, :, self.others(i)])
            parts.append(value - price - self.amounts[i][tree.entry[nodes[:, i]]][:, None, :])
        return np.stack(parts, axis=1)


def _extra(tree: Tree, amounts: Array, dimension: int) -> Array:
    """(N, K, K): by how much finer surcharges can favour option k over k' beyond what a node's own amounts say."""
    own = amounts[tree.entry]
    saving = own[:, None, :] - own[:, :, None]
    most = saving.copy()
    for node in np.flatnonzero(tree.child >= 0)[::-1]:  # children come after their parents
        most[node] = most[tree.child[node] : tree.child[node] + (1 << dimension)].max(axis=0)
    return most - saving


def _number(corners: Array, cells: int) -> Array:
    """Numbers (F,) of the simplices that the projected vertices (F, V, d) of larger simplices span."""
    start, total = corners[:, 0], corners.sum(axis=1)
    inside = total - corners.shape[1] * start  # the sooner a coordinate steps, the more vertices have it
    numbers: Array = kuhn.number(start, np.argsort(-inside, axis=1, kind="stable"), cells)
    return numbers
