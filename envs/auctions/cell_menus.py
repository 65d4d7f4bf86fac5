"""Menus that are constant on cells of the others' reports: the finite tables that a menu transform makes.

The values of bidder i are cut into cells: boxes that are products of intervals, one for each item, or single types
where values are finite (`points`). Bidder i's menu depends on the cells of the others alone, so truthful reports are
dominant and, with the null option in every menu, losses are impossible, whatever the numbers are (arXiv 2406.07428,
sec. 2; the frozen cells are our own form of its grid). Whether the chosen options fit together at every profile is
what `walras.envs.auctions.certify` decides; nothing is rationed at run time.

The cell of a report: each item's intervals are closed on the left, the last one on both sides; a report outside the
box is read as the bound. Types: the nearest atom of each item, the lower one at ties, and every bidder, its own
choice included, is taken to be of that type.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import array_api_compat
import numpy as np

from walras.envs.auctions.mechanism import DEMANDS, Array, Menu, Outcome
from walras.envs.auctions.simplex_menus import check_options
from walras.envs.auctions.tables import TableMechanism, check_dyadic


@dataclasses.dataclass(frozen=True, eq=False)
class CellMenus(TableMechanism):
    """Menus constant on the cells of the others' reports; see the module for the rule.

    C_i is the number of cells of bidder i and T_i the product of the others' numbers, the tuples of their cells in
    row-major order (the others in index order).

    Attributes:
        cuts: for each bidder and item an increasing sequence: E + 1 edges of E >= 1 intervals, or the atoms.
        options: for each bidder (T_i, K, m) probabilities; option 0 is null (zeros). With unit demand rows sum to at
            most 1. K is the same for all bidders.
        prices: for each bidder (T_i, K); column 0 is zero.
        points: values are the atoms `cuts` instead of intervals between them.
        merged: for each bidder the cell number of every product of intervals (row-major, the items in order), where
            cells are larger boxes made of several; each number below C_i occurs, and its products fill a box. Empty:
            every product is a cell.
        demand: "additive" or "unit".
        bits: every number above is a multiple of 2^-bits.
    """

    cuts: tuple[tuple[Any, ...], ...]
    options: tuple[Any, ...]
    prices: tuple[Any, ...]
    points: bool = False
    merged: tuple[Any, ...] = ()
    demand: str = "additive"
    bits: int = 24

    truthful = True
    individually_rational = True

    def __post_init__(self) -> None:
        """Check shapes, ranges and that every number is a multiple of 2^-bits."""
        if self.demand not in DEMANDS:
            raise ValueError(f"demand: must be one of {DEMANDS}, got {self.demand!r}")
        if isinstance(self.bits, bool) or not isinstance(self.bits, int | np.integer) or not 1 <= self.bits <= 40:
            raise ValueError(f"bits: must be a whole number from 1 to 40, got {self.bits!r}")
        if not isinstance(self.points, bool | np.bool_):
            raise ValueError(f"points: must be a bool, got {self.points!r}")
        _set(self, bits=int(self.bits), points=bool(self.points))
        cuts = tuple(
            tuple(self._check_cuts(f"cuts[{i}][{j}]", edges) for j, edges in enumerate(row))
            for i, row in enumerate(self.cuts)
        )
        n = len(cuts)
        if n < 1 or not cuts[0] or any(len(row) != len(cuts[0]) for row in cuts):
            raise ValueError(f"cuts: need the same number of items >= 1 for each bidder, got {[len(r) for r in cuts]}")
        _set(self, cuts=cuts)
        for name in ("options", "prices"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name}: one array for each of the {n} bidders is needed")
        if len(self.merged) not in (0, n):
            raise ValueError(f"merged: empty or one array for each of the {n} bidders, got {len(self.merged)}")
        merged = tuple(self._check_merged(i, ids) for i, ids in enumerate(self.merged))
        trivial = all(np.array_equal(ids, np.arange(len(ids))) for ids in merged)
        _set(self, merged=() if trivial else merged)
        options = tuple(check_dyadic(f"options[{i}]", own, self.bits, 3) for i, own in enumerate(self.options))
        prices = tuple(check_dyadic(f"prices[{i}]", own, self.bits, 2) for i, own in enumerate(self.prices))
        for i, (own, price) in enumerate(zip(options, prices, strict=True)):
            check_options(f"options[{i}]", own, self.items, self.demand)
            expected = (self.tuples(i), options[0].shape[1], self.items)
            if own.shape != expected or price.shape != expected[:2]:
                raise ValueError(
                    f"options[{i}], prices[{i}]: must have shapes {expected}, {expected[:2]}, "
                    f"got {own.shape}, {price.shape}"
                )
            if price[:, 0].any():
                raise ValueError(f"prices[{i}]: the null option (column 0) must be free")
        _set(self, options=options, prices=prices)

    def _check_cuts(self, name: str, edges: Any) -> Any:
        array = check_dyadic(name, edges, self.bits, 1)
        if len(array) < (1 if self.points else 2) or np.any(np.diff(array) <= 0.0) or array[0] < 0.0:
            what = "atoms" if self.points else "edges, at least two"
            raise ValueError(f"{name}: must be nonnegative increasing {what}, got {array.tolist()}")
        return array

    def _check_merged(self, bidder: int, ids: Any) -> Any:
        name, grid = f"merged[{bidder}]", self._grid(bidder)
        numbers = np.array(ids)
        if numbers.shape != (int(np.prod(grid)),) or numbers.dtype.kind not in "iu":
            raise ValueError(f"{name}: must be {int(np.prod(grid))} whole numbers, got {numbers.dtype} {numbers.shape}")
        numbers = numbers.astype(np.int64)
        if numbers.min() < 0 or not np.array_equal(np.unique(numbers), np.arange(numbers.max() + 1)):
            raise ValueError(f"{name}: every number from 0 to the largest must occur")
        if self.points and numbers.max() + 1 != len(numbers):
            raise ValueError(f"{name}: single types cannot be merged")
        first, last = _hulls(numbers, grid)
        if np.any(np.prod(last - first + 1, axis=1) != np.bincount(numbers)):
            raise ValueError(f"{name}: the products of intervals of one cell must fill a box")
        numbers.flags.writeable = False
        return numbers

    def _grid(self, bidder: int) -> tuple[int, ...]:
        """Number of intervals, or atoms, of each item."""
        return tuple(len(edges) - (not self.points) for edges in self.cuts[bidder])

    @property
    def bidders(self) -> int:
        """Number n of bidders."""
        return len(self.cuts)

    @property
    def items(self) -> int:
        """Number m of items."""
        return len(self.cuts[0])

    @property
    def cells(self) -> tuple[int, ...]:
        """Number C_i of cells of each bidder."""
        if self.merged:
            return tuple(int(ids.max()) + 1 for ids in self.merged)
        return tuple(int(np.prod(self._grid(i))) for i in range(self.bidders))

    def tuples(self, bidder: int) -> int:
        """Number T_i of tuples of the others' cells."""
        return int(np.prod([c for i, c in enumerate(self.cells) if i != bidder], initial=1))

    @property
    def low(self) -> Array:
        """Lower ends (n, m) of the values."""
        return np.array([[edges[0] for edges in row] for row in self.cuts])

    @property
    def high(self) -> Array:
        """Upper ends (n, m) of the values."""
        return np.array([[edges[-1] for edges in row] for row in self.cuts])

    def boxes(self, bidder: int) -> tuple[Array, Array]:
        """Lower and upper ends (C, m) of the cells of `bidder` as closed boxes; equal for single types."""
        grid = self._grid(bidder)
        numbers = self.merged[bidder] if self.merged else np.arange(int(np.prod(grid)))
        first, last = _hulls(numbers, grid)
        after = 0 if self.points else 1
        low = np.stack([edges[first[:, j]] for j, edges in enumerate(self.cuts[bidder])], axis=1)
        high = np.stack([edges[last[:, j] + after] for j, edges in enumerate(self.cuts[bidder])], axis=1)
        return low, high

    @property
    def deterministic(self) -> bool:
        """Whether every option is a plain bundle."""
        return all(bool(np.all((own == 0.0) | (own == 1.0))) for own in self.options)

    def check_size(self, bidders: int, items: int) -> None:
        """The table fixes both numbers."""
        if (bidders, items) != (self.bidders, self.items):
            raise ValueError(
                f"bids: the mechanism is for {self.bidders} bidders and {self.items} items, got {bidders} and {items}"
            )

    def places(self, bids: Array) -> Array:
        """Number (B, n, m) of the interval, or atom, of each report of `bids` (B, n, m)."""
        xp = array_api_compat.array_namespace(bids)
        tables = self._tables(xp, array_api_compat.device(bids))
        exact = xp.astype(bids, xp.float64)
        side = "left" if self.points else "right"
        return xp.stack(
            [
                xp.stack(
                    [
                        xp.searchsorted(tables["inner"][i][j], xp.asarray(exact[:, i, j], copy=True), side=side)
                        for j in range(self.items)
                    ],
                    axis=1,
                )
                for i in range(self.bidders)
            ],
            axis=1,
        )

    def cell(self, bids: Array) -> Array:
        """Cell number (B, n) of each bidder's report."""
        xp = array_api_compat.array_namespace(bids)
        places = self.places(bids)
        tables = self._tables(xp, array_api_compat.device(bids))
        numbers = []
        for i in range(self.bidders):
            number, grid = places[:, i, 0], self._grid(i)
            for j in range(1, self.items):
                number = number * grid[j] + places[:, i, j]
            numbers.append(tables["merged"][i][number] if self.merged else number)
        return xp.stack(numbers, axis=1)

    def key(self, cells: Array, bidder: int) -> Array:
        """Row (B,) of the tables of `bidder` for the cells (B, n) of all; its own cell is never looked at."""
        number = 0 * cells[:, 0] if self.bidders == 1 else None
        for i, count in enumerate(self.cells):
            if i != bidder:
                number = cells[:, i] if number is None else number * count + cells[:, i]
        return number

    def menus(self, bids: Array) -> Menu:
        """Menus for `bids` (B, n, m), in float64 whatever the precision of the bids."""
        xp = array_api_compat.array_namespace(bids)
        tables, cells = self._tables(xp, array_api_compat.device(bids)), self.cell(bids)
        keys = [self.key(cells, i) for i in range(self.bidders)]
        options = xp.stack([tables["options"][i][key] for i, key in enumerate(keys)], axis=1)
        return Menu(options, xp.stack([tables["prices"][i][key] for i, key in enumerate(keys)], axis=1))

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m), chosen in float64 and returned in the precision of the bids."""
        xp = array_api_compat.array_namespace(bids)
        reports = xp.astype(bids, xp.float64)
        if self.points:
            places, atoms = self.places(bids), self._tables(xp, array_api_compat.device(bids))["cuts"]
            reports = xp.stack(
                [
                    xp.stack([atoms[i][j][places[:, i, j]] for j in range(self.items)], axis=1)
                    for i in range(self.bidders)
                ],
                axis=1,
            )
        else:  # a choice beyond the box would be one that no certificate has seen
            tables = self._tables(xp, array_api_compat.device(bids))
            reports = xp.clip(reports, tables["low"], tables["high"])
        allocation, payment = self.menus(bids).best(reports)
        return Outcome(xp.astype(allocation, bids.dtype), xp.astype(payment, bids.dtype))

    def _tables(self, xp: Array, device: Any) -> dict[str, Any]:
        """The numbers as arrays of one kind and on one device, made once."""
        key = (xp.__name__, str(device))
        if key not in self._by_device:

            def put(array: Any) -> Any:
                return xp.asarray(np.array(array), device=device)

            def inner(edges: Any) -> Any:
                return put(0.5 * (edges[:-1] + edges[1:]) if self.points else edges[1:-1])

            self._by_device[key] = {
                "low": put(self.low),
                "high": put(self.high),
                "cuts": [[put(edges) for edges in row] for row in self.cuts],
                "inner": [[inner(edges) for edges in row] for row in self.cuts],
                "options": [put(own) for own in self.options],
                "prices": [put(own) for own in self.prices],
                "merged": [put(ids) for ids in self.merged],
            }
        return self._by_device[key]

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The tables, and the facts that are not tables."""
        arrays = {f"cuts_{i}_{j}": edges for i, row in enumerate(self.cuts) for j, edges in enumerate(row)}
        arrays |= {f"options_{i}": own for i, own in enumerate(self.options)}
        arrays |= {f"prices_{i}": own for i, own in enumerate(self.prices)}
        arrays |= {f"merged_{i}_ids": ids for i, ids in enumerate(self.merged)}
        facts = {"bidders": self.bidders, "items": self.items, "points": self.points}
        return arrays, {**facts, "merged": bool(self.merged), "demand": self.demand, "bits": self.bits}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> CellMenus:
        """Rebuild from `to_arrays`; everything is checked again."""
        n, m = int(facts["bidders"]), int(facts["items"])
        return cls(
            tuple(tuple(arrays[f"cuts_{i}_{j}"] for j in range(m)) for i in range(n)),
            tuple(arrays[f"options_{i}"] for i in range(n)),
            tuple(arrays[f"prices_{i}"] for i in range(n)),
            facts["points"],
            tuple(arrays[f"merged_{i}_ids"] for i in range(n)) if facts["merged"] else (),
            facts["demand"],
            facts["bits"],
        )


def _hulls(numbers: Array, grid: Sequence[int]) -> tuple[Array, Array]:
    """First and last interval (C, m) of the products that carry each number."""
    count = int(numbers.max()) + 1
    first, last = np.full((count, len(grid)), np.iinfo(np.int64).max), np.full((count, len(grid)), -1)
    for j, place in enumerate(np.unravel_index(np.arange(len(numbers)), tuple(grid))):
        np.minimum.at(first[:, j], numbers, place)
        np.maximum.at(last[:, j], numbers, place)
    return first, last


def grid_cuts(low: Any, high: Any, grid: int | Sequence[int], bits: int = 24) -> tuple[tuple[Array, ...], ...]:
    """Equal intervals: `grid` of each bidder's values `low`, `high` (n, m), the inner cuts rounded to 2^-bits.

    Args:
        low: (n, m) lower ends, multiples of 2^-bits.
        high: (n, m) upper ends.
        grid: number of intervals of every item, or one number for each item.
        bits: see `CellMenus`.

    Raises:
        ValueError: a number of intervals is below 1.
    """
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    counts = np.broadcast_to(np.asarray(grid, dtype=np.int64), low.shape[1:])
    if counts.min() < 1:
        raise ValueError(f"grid: needs at least one interval, got {grid!r}")
    unit = 2.0**-bits

    def edges(a: float, b: float, count: int) -> Array:
        inner = np.round((a + (b - a) * np.arange(1, count) / count) / unit) * unit
        return np.concatenate(([a], inner, [b]))

    return tuple(
        tuple(edges(float(low[i, j]), float(high[i, j]), int(counts[j])) for j in range(low.shape[1]))
        for i in range(low.shape[0])
    )


def type_cuts(types: Sequence[Sequence[Sequence[float]]]) -> tuple[tuple[Array, ...], ...]:
    """The atoms of each bidder and item as the `cuts` of a mechanism on `points`."""
    return tuple(tuple(np.asarray(atoms, dtype=np.float64) for atoms in row) for row in types)


def cell_types(mechanism: CellMenus) -> tuple[Array, ...]:
    """The types (C_i, m) of each bidder, in the order of its cells, of a mechanism on `points`."""
    return tuple(np.array(list(itertools.product(*row)), dtype=np.float64) for row in mechanism.cuts)


def _set(record: CellMenus, **values: object) -> None:
    """Set fields of a frozen dataclass while it is being built."""
    for name, entry in values.items():
        object.__setattr__(record, name, entry)
