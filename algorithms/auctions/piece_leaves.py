"""Leaves of a bidder's table of surcharges, and the conflict cases over each of them.

With two bidders a piece is a leaf times a simplex of the own values on the base grid: the earlier bidder's prices are
affine there. With more bidders a bidder's prices depend on several others at once, and pieces are Kuhn simplices of
the whole value cube, which restrict to Kuhn simplices of every bidder's others.
"""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from walras.envs.auctions import kuhn
from walras.envs.auctions.node_menus import barycentric
from walras.envs.auctions.simplex_menus import SimplexMenus, Surcharge
from walras.envs.game import Array

_ROOM = 256  # cases of a leaf at first; more are made when needed
_ROUNDING = 1e-9  # sums of probabilities above 1 by less are rounding


class Cases(NamedTuple):
    """The cases of one leaf, in the order of the arguments of `raise_from`; only the first `number` are filled."""

    number: int
    loser: Array
    best: Array
    best_rows: Array
    gain: Array
    gain_rows: Array
    fitting: Array


class Leaves(abc.ABC):
    """Leaves of one bidder at one level of refinement.

    Attributes:
        prices: (S, d + 1, K) the bidder's prices at the vertices of the leaves, without surcharges.
        vertices: (S, d + 1, d) the others' values at the vertices.
        work: scratch of `least_bound`.
    """

    def __init__(self, mechanism: SimplexMenus, bidder: int, level: int, leaves: Array, margin: int) -> None:
        self.bidder, self.options = bidder, mechanism.options
        self.cells = mechanism.grid << level
        self.unit = 2.0**-mechanism.bits
        self.margin = margin * self.unit
        corners = kuhn.vertices(leaves, self.cells, mechanism.dimension)
        others = [o for o in range(mechanism.bidders) if o != bidder]
        low, high = (np.concatenate([ends[o] for o in others]) for ends in (mechanism.low, mechanism.high))
        self.vertices = low + (high - low) * (corners / self.cells)
        index, weight = barycentric(corners.reshape(-1, mechanism.dimension) / self.cells, mechanism.grid)
        at_corners = np.einsum("pv,pvk->pk", weight, mechanism.prices[bidder][index])
        self.prices = at_corners.reshape(*corners.shape[:2], -1)
        self._room(_ROOM)

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows of `best`, and vertices V of a piece."""

    @abc.abstractmethod
    def _list(self, leaf: int, low: Array, high: Array) -> int:
        """Fill the arrays with the cases of a leaf; their number, also when not all of them found room."""

    def cases(self, leaf: int, low: Array, high: Array) -> Cases:
        """The cases of `leaf` that surcharges between `low` and `high` (K,) do not rule out at once."""
        count = self._list(leaf, low, high)
        if count > len(self._arrays[0]):
            self._room(2 * count)
            count = self._list(leaf, low, high)
        return Cases(count, *self._arrays)

    def _room(self, count: int) -> None:
        rows, vertices = self.shape
        size = len(self.options)
        self._arrays: tuple[Any, ...] = (
            np.zeros(count, np.int64),
            np.zeros((count, rows, vertices)),
            np.zeros(count, np.int64),
            np.zeros((count, size, vertices)),
            np.zeros(count, np.int64),
            np.zeros((count, size), np.int64),
        )
        self.work = np.zeros((vertices + 1, rows + size + 1))


class PairLeaves(Leaves):
    """Leaves of the second of two bidders."""

    def __init__(self, mechanism: SimplexMenus, bidder: int, level: int, leaves: Array, margin: int) -> None:
        """As in `make_leaves`; the earlier bidder has no surcharges."""
        from walras.algorithms.auctions.piece_kernels import product_maxima

        super().__init__(mechanism, bidder, level, leaves, margin)
        own = kuhn.vertices(np.arange(kuhn.count(mechanism.grid, mechanism.items)), mechanism.grid, mechanism.items)
        low, high = mechanism.low[bidder], mechanism.high[bidder]
        self.own_values = low + (high - low) * (own / mechanism.grid)
        stride = (mechanism.grid + 1) ** np.arange(mechanism.items)[::-1]
        self.earlier_prices = mechanism.prices[1 - bidder][own @ stride]
        self.conflict = (self.options[:, None] + self.options > 1.0 + _ROUNDING).any(axis=2)
        self.maxima = product_maxima(self.vertices, self.options, self.prices)
        self.own_maxima = product_maxima(self.own_values, self.options, self.earlier_prices)

    @property
    def shape(self) -> tuple[int, int]:
        """K - 1 rows, and pairs of vertices."""
        return len(self.options) - 1, (self.options.shape[1] + 1) ** 2

    def _list(self, leaf: int, low: Array, high: Array) -> int:
        from walras.algorithms.auctions.piece_kernels import product_cases

        return int(
            product_cases(
                leaf,
                self.vertices,
                self.prices,
                self.maxima[0],
                self.maxima[1],
                self.own_values,
                self.earlier_prices,
                self.own_maxima[0],
                self.own_maxima[1],
                self.options,
                self.conflict,
                low,
                high,
                self.margin,
                *self._arrays,
            )
        )


class WholeLeaves(Leaves):
    """Leaves of a bidder among three or more."""

    def __init__(
        self,
        mechanism: SimplexMenus,
        bidder: int,
        level: int,
        leaves: Array,
        margin: int,
        earlier: Sequence[int],
        surcharges: Sequence[Sequence[Surcharge]],
    ) -> None:
        """As in `make_leaves`."""
        n, m = self._size = mechanism.low.shape
        self._earlier = len(earlier)
        super().__init__(mechanism, bidder, level, leaves, margin)
        dimension, cells = mechanism.dimension, self.cells
        self.cell_of = kuhn.vertices(leaves, cells, dimension)[:, 0]
        self.rank_of = np.asarray(leaves, dtype=np.int64) % math.factorial(dimension)
        axes = np.stack(np.meshgrid(*[np.arange(cells + 1) / cells] * dimension, indexing="ij"), axis=-1)
        index, weight = barycentric(axes.reshape(-1, dimension), mechanism.grid)
        self.tables = np.einsum("pv,npvk->npk", weight, mechanism.prices[:, index])
        none = np.zeros((1, 1, len(self.options)))
        bounds = [
            surcharge_range(mechanism, surcharges[e], level) if e in earlier else (none[0], none[0]) for e in range(n)
        ]
        rows = max(len(least) for least, _ in bounds)
        self.least, self.most = (
            np.array(
                [np.broadcast_to(b[side], (rows, len(self.options))) if len(b[side]) == 1 else b[side] for b in bounds]
            )
            for side in (0, 1)
        )
        self.low, self.width = mechanism.low.copy(), mechanism.high - mechanism.low
        self.orders = _Orders(n, m)
        self.strides = np.zeros((n, n * m), dtype=np.int64)
        for e in range(n):
            others = [c for c in range(n * m) if c // m != e]
            self.strides[e, others] = (cells + 1) ** np.arange(dimension)[::-1]
        self.conflicts, self.losers, self.fits = minimal_conflicts(self.options, n, bidder, earlier)

    @property
    def shape(self) -> tuple[int, int]:
        """K - 1 rows for each earlier bidder, and vertices of a simplex of the cube."""
        n, m = self._size
        return self._earlier * (len(self.options) - 1), n * m + 1

    def _list(self, leaf: int, low: Array, high: Array) -> int:
        from walras.algorithms.auctions.piece_kernels import whole_cases

        orders = self.orders
        return int(
            whole_cases(
                self.bidder,
                self.cell_of[leaf],
                self.rank_of[leaf],
                self.cells,
                self.low,
                self.width,
                self.tables,
                self.least,
                self.most,
                self.strides,
                orders.restricted,
                orders.extensions,
                orders.extensions.shape[2],
                orders.ranks,
                orders.steps,
                self.options,
                self.conflicts,
                self.losers,
                self.fits,
                low,
                high,
                self.margin,
                *self._arrays,
            )
        )


def make_leaves(
    mechanism: SimplexMenus,
    bidder: int,
    level: int,
    leaves: Array,
    *,
    earlier: Sequence[int],
    surcharges: Sequence[Sequence[Surcharge]],
    margin: int = 2,
) -> Leaves:
    """The numbered `leaves` (S,) of `bidder`'s others at a level of refinement.

    Args:
        mechanism: whose node prices and options are used; its surcharges are not.
        bidder: whose surcharges are wanted.
        level: the leaves have grid * 2^level cells a side.
        leaves: numbers of the simplices.
        earlier: bidders whose choices stand.
        surcharges: of all bidders, used for the earlier ones.
        margin: in units of 2^-bits, see `transform`.
    """
    if mechanism.bidders == 2:
        if any(surcharges[e] for e in earlier):
            raise ValueError("surcharges: of two bidders the first keeps its menus")
        return PairLeaves(mechanism, bidder, level, leaves, margin)
    return WholeLeaves(mechanism, bidder, level, leaves, margin, earlier, surcharges)


def surcharge_range(mechanism: SimplexMenus, own: Sequence[Surcharge], level: int) -> tuple[Array, Array]:
    """Least and largest surcharges (S, K) within each simplex of a level."""
    dimension, size = mechanism.dimension, len(mechanism.options)
    finest = max((entry.level for entry in own), default=level)
    deep = max(level, finest)
    amounts = np.zeros((kuhn.count(mechanism.grid, dimension), size))
    for r in range(deep + 1):
        if r > 0:
            up = kuhn.parents(np.arange(kuhn.count(mechanism.grid << r, dimension)), mechanism.grid << r, dimension)
            amounts = amounts[up]
        for entry in own:
            if entry.level == r:
                amounts[entry.ids] = entry.amounts
    least = most = amounts
    for r in range(deep, level, -1):
        down = kuhn.halve(
            np.arange(kuhn.count(mechanism.grid << (r - 1), dimension)), mechanism.grid << (r - 1), dimension
        )
        least, most = least[down].min(axis=1), most[down].max(axis=1)
    return least, most


def minimal_conflicts(options: Array, bidders: int, bidder: int, earlier: Sequence[int]) -> tuple[Array, Array, Array]:
    """What may not be chosen together: sets of options that promise too much, none of which can be spared.

    Args:
        options: (K, m).
        bidders: n.
        bidder: the one whose option is to be excluded.
        earlier: bidders whose choices stand.

    Returns:
        (T, n) options of earlier bidders (-1: does not matter), (T,) the option that does not fit beside them, and
        (T, K) whether an option fits.
    """
    found: list[tuple[list[int], int]] = []
    limit = 1.0 + _ROUNDING
    for size in range(1, len(earlier) + 1):
        for group in itertools.combinations(earlier, size):
            for chosen in itertools.product(range(1, len(options)), repeat=size):
                total = options[list(chosen)].sum(axis=0)
                if (total > limit).any():
                    continue  # the earlier bidders do not choose that, their own cases see to it
                for lost in range(1, len(options)):
                    if not (total + options[lost] > limit).any():
                        continue
                    spare = any((total - options[k] + options[lost] > limit).any() for k in chosen)
                    if size > 1 and spare:
                        continue
                    row = [-1] * bidders
                    for e, k in zip(group, chosen, strict=True):
                        row[e] = k
                    found.append((row, lost))
    conflicts = np.array([row for row, _ in found], dtype=np.int64).reshape(-1, bidders)
    losers = np.array([lost for _, lost in found], dtype=np.int64)
    promised = np.array([sum((options[k] for k in row if k > 0), np.zeros(options.shape[1])) for row in conflicts])
    fits: Array = np.all(promised.reshape(-1, 1, options.shape[1]) + options <= limit, axis=2)
    return conflicts, losers, fits


class _Orders:
    """Orders of all n m coordinates and what they become when one bidder's are left out."""

    def __init__(self, bidders: int, items: int) -> None:
        total, dimension = bidders * items, items * (bidders - 1)
        if total > 8:
            raise ValueError(f"mechanism: pieces of {total} values have too many orders; at most 8 values are handled")
        orders = kuhn.orders(total)
        self.restricted = math.factorial(dimension)
        self.steps = kuhn.vertices(np.arange(len(orders)), 1, total)  # one cell: vertices in the unit cube
        self.ranks = np.empty((bidders, len(orders)), dtype=np.int64)
        rank = {tuple(order): k for k, order in enumerate(kuhn.orders(dimension).tolist())}
        for e in range(bidders):
            place = {c: k for k, c in enumerate(c for c in range(total) if c // items != e)}
            for k, order in enumerate(orders.tolist()):
                self.ranks[e, k] = rank[tuple(place[c] for c in order if c in place)]
        self.extensions = np.array(
            [[np.flatnonzero(row == r) for r in range(self.restricted)] for row in self.ranks]
        )  # (n, d!, X)
