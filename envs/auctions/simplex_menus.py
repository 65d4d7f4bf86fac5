"""Menus whose prices are affine on simplices of the others' reports, with surcharges on refined simplices.

The table format of the affine menus of arXiv 2406.07428 as this package learns, transforms and certifies them. All
bidders choose from one list of options; only prices depend on the reports, and bidder i's prices on the reports of
the others alone: the table has no place for its own. All numbers are multiples of 2^-bits, so that a certificate can
be checked in whole numbers.

How the price of option k for bidder i is found, with d = m (n - 1):

1. The others' values, in index order and for each its items in order, are scaled to [0, 1]^d by their boxes. Reports
   outside the box are read as the bound, when the bidder's own option is chosen too.
2. Node prices on the (g + 1)^d grid are interpolated on the Kuhn simplex of g cells that holds the point
   (`walras.envs.auctions.kuhn`).
3. The amount listed for the finest refined simplex that holds the point is added: level r has g 2^r cells. Where no
   simplex is listed nothing is added; a finer entry replaces coarser ones.

Each bidder receives the option it likes best, the lowest index at ties. That makes truthful reports dominant and
losses impossible, whatever the numbers are. Whether the chosen options fit together at every profile is what
`walras.envs.auctions.certify` decides; nothing is rationed at run time.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from walras.envs.auctions import kuhn
from walras.envs.auctions.mechanism import Array, Menu, MenuMechanism, Outcome
from walras.envs.auctions.node_menus import barycentric
from walras.envs.auctions.tables import TableMechanism, check_dyadic, check_format, dyadic


class Surcharge(NamedTuple):
    """Amounts added to a bidder's prices on the listed simplices of one level.

    Attributes:
        level: r >= 0; the simplices are those of g 2^r cells a side.
        ids: (S,) int64, increasing; numbers of the simplices (`walras.envs.auctions.kuhn`).
        amounts: (S, K) added to the price of each option; column 0 is zero.
    """

    level: int
    ids: Any
    amounts: Any


@dataclasses.dataclass(frozen=True, eq=False)
class SimplexMenus(TableMechanism):
    """Menus with prices affine on Kuhn simplices of the others' reports; see the module for the rule.

    Attributes:
        low: (n, m) lower ends of the bidders' values.
        high: (n, m) upper ends, above `low`.
        options: (K, m) probabilities; option 0 is null (zeros). With unit demand rows sum to at most 1.
        prices: (n, (grid + 1)^(m (n - 1)), K) node prices, row-major; column 0 is zero.
        grid: g >= 1, cells a side of the base grid.
        surcharges: one sequence of `Surcharge` (or triples like it) for each bidder; levels differ within a bidder.
        demand: "additive" or "unit".
        bits: every number above is a multiple of 2^-bits.
    """

    low: Any
    high: Any
    options: Any
    prices: Any
    grid: int
    surcharges: tuple[tuple[Surcharge, ...], ...] = ()
    demand: str = "additive"
    bits: int = 24

    truthful = True
    individually_rational = True

    def __post_init__(self) -> None:
        """Check shapes, ranges and that every number is a multiple of 2^-bits."""
        check_format(self, "grid", "bits")
        low, high = (check_dyadic(name, getattr(self, name), self.bits, 2) for name in ("low", "high"))
        options, prices = (
            check_dyadic("options", self.options, self.bits, 2),
            check_dyadic("prices", self.prices, self.bits, 3),
        )
        if low.shape != high.shape or np.any(low < 0.0) or np.any(high <= low):
            raise ValueError("low, high: must be (n, m) with 0 <= low < high")
        n, m = low.shape
        check_options("options", options, m, self.demand)
        dimension = m * (n - 1)
        expected = (n, (self.grid + 1) ** dimension, len(options))
        if prices.shape != expected:
            raise ValueError(f"prices: must have shape {expected}, got {prices.shape}")
        if prices[..., 0].any():
            raise ValueError("prices: the null option (column 0) must be free")
        surcharges = self.surcharges or ((),) * n
        if len(surcharges) != n:
            raise ValueError(f"surcharges: one sequence for each of the {n} bidders is needed, got {len(surcharges)}")
        checked = tuple(self._check_surcharges(i, own, dimension, len(options)) for i, own in enumerate(surcharges))
        for name, entry in zip(
            ("low", "high", "options", "prices", "surcharges"), (low, high, options, prices, checked), strict=True
        ):
            object.__setattr__(self, name, entry)

    def _check_surcharges(
        self, bidder: int, own: Sequence[Sequence[Any]], dimension: int, options: int
    ) -> tuple[Surcharge, ...]:
        name = f"surcharges[{bidder}]"
        checked = []
        for entry in own:
            level, ids, amounts = entry
            if isinstance(level, bool) or not isinstance(level, int | np.integer) or not 0 <= level <= 62:
                raise ValueError(f"{name}: a level must be a whole number from 0 to 62, got {level!r}")
            total = kuhn.count(self.grid << int(level), dimension)
            if total > 2**62:
                raise ValueError(f"{name}: level {level} has too many simplices to be numbered ({total})")
            numbers = np.array(ids)
            if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
                raise ValueError(f"{name}: ids must be whole numbers (S,), got {numbers.dtype} {numbers.shape}")
            numbers = numbers.astype(np.int64)
            if np.any(np.diff(numbers) <= 0) or (numbers.size and (numbers[0] < 0 or numbers[-1] >= total)):
                raise ValueError(f"{name}: ids of level {level} must increase and lie in 0..{total - 1}")
            if not len(numbers):
                continue
            added = check_dyadic(f"{name} amounts", amounts, self.bits, 2)
            if added.shape != (len(numbers), options):
                raise ValueError(f"{name}: amounts must have shape (S, {options}), got {added.shape}")
            if added[:, :1].any():
                raise ValueError(f"{name}: the null option (column 0) must stay free")
            numbers.flags.writeable = False
            checked.append(Surcharge(int(level), numbers, added))
        levels = [entry.level for entry in checked]
        if len(set(levels)) != len(levels):
            raise ValueError(f"{name}: each level may be given once, got {levels}")
        return tuple(sorted(checked, key=lambda entry: entry.level))

    @property
    def bidders(self) -> int:
        """Number n of bidders."""
        return int(self.low.shape[0])

    @property
    def items(self) -> int:
        """Number m of items."""
        return int(self.low.shape[1])

    @property
    def dimension(self) -> int:
        """Number d = m (n - 1) of coordinates of the others' reports."""
        return self.items * (self.bidders - 1)

    @property
    def deterministic(self) -> bool:
        """Whether every option is a plain bundle."""
        return bool(np.all((self.options == 0.0) | (self.options == 1.0)))

    def check_size(self, bidders: int, items: int) -> None:
        """The table fixes both numbers."""
        if (bidders, items) != self.low.shape:
            raise ValueError(
                f"bids: the mechanism is for {self.bidders} bidders and {self.items} items, got {bidders} and {items}"
            )

    def price(self, bids: Array, bidder: int) -> Array:
        """Prices (B, K) of `bidder` for `bids` (B, n, m) in float64; its own row of the bids is never looked at."""
        xp = array_api_compat.array_namespace(bids)
        tables = self._tables(xp, array_api_compat.device(bids))
        batch = bids.shape[0]
        table = tables["prices"][bidder]
        if self.bidders == 1:
            return xp.broadcast_to(table[0] + self._single(xp, tables, bidder), (batch, table.shape[-1]))
        others = [j for j in range(self.bidders) if j != bidder]
        parts = [(xp.astype(bids[:, j], xp.float64) - tables["low"][j]) / tables["width"][j] for j in others]
        point = xp.clip(xp.concat(parts, axis=1), 0.0, 1.0)
        index, weight = barycentric(point, self.grid)
        prices = xp.sum(weight[..., None] * table[index], axis=1)
        added = xp.zeros_like(prices)
        for level, ids, amounts in tables["surcharges"][bidder]:
            number = kuhn.locate(point, self.grid << level)
            place = xp.clip(xp.searchsorted(ids, number), 0, ids.shape[0] - 1)
            listed = ids[place] == number
            added = xp.where(listed[:, None], amounts[place], added)
        return prices + added

    def _single(self, xp: Array, tables: Mapping[str, Any], bidder: int) -> Array:
        entries = tables["surcharges"][bidder]
        return entries[-1][2][0] if entries else xp.zeros_like(tables["prices"][bidder][0])

    def menus(self, bids: Array) -> Menu:
        """Menus for `bids` (B, n, m), in float64 whatever the precision of the bids."""
        xp = array_api_compat.array_namespace(bids)
        options = self._tables(xp, array_api_compat.device(bids))["options"]
        prices = xp.stack([self.price(bids, i) for i in range(self.bidders)], axis=1)
        return Menu(xp.broadcast_to(options, (bids.shape[0], self.bidders, *options.shape)), prices)

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m), chosen in float64 and returned in the precision of the bids."""
        xp = array_api_compat.array_namespace(bids)
        tables = self._tables(xp, array_api_compat.device(bids))
        reports = xp.clip(xp.astype(bids, xp.float64), tables["low"], tables["high"])
        allocation, payment = self.menus(bids).best(reports)
        return Outcome(xp.astype(allocation, bids.dtype), xp.astype(payment, bids.dtype))

    def _tables(self, xp: Array, device: Any) -> dict[str, Any]:
        """The numbers as arrays of one kind and on one device, made once."""
        key = (xp.__name__, str(device))
        if key not in self._by_device:

            def put(array: Any) -> Any:
                return xp.asarray(array.copy(), device=device)

            self._by_device[key] = {
                "low": put(self.low),
                "high": put(self.high),
                "width": put(self.high - self.low),
                "options": put(self.options),
                "prices": put(self.prices),
                "surcharges": [
                    [(entry.level, put(entry.ids), put(entry.amounts)) for entry in own] for own in self.surcharges
                ],
            }
        return self._by_device[key]

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The tables, and the facts that are not tables."""
        arrays = {"low": self.low, "high": self.high, "options": self.options, "prices": self.prices}
        levels = [[entry.level for entry in own] for own in self.surcharges]
        for i, own in enumerate(self.surcharges):
            for entry in own:
                arrays[f"surcharge_{i}_{entry.level}_ids"] = entry.ids
                arrays[f"surcharge_{i}_{entry.level}_amounts"] = entry.amounts
        return arrays, {"grid": self.grid, "demand": self.demand, "bits": self.bits, "levels": levels}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> SimplexMenus:
        """Rebuild from `to_arrays`; everything is checked again."""
        surcharges = tuple(
            tuple(Surcharge(r, arrays[f"surcharge_{i}_{r}_ids"], arrays[f"surcharge_{i}_{r}_amounts"]) for r in levels)
            for i, levels in enumerate(facts["levels"])
        )
        low, high, options, prices = (arrays[name] for name in ("low", "high", "options", "prices"))
        return cls(low, high, options, prices, facts["grid"], surcharges, facts["demand"], facts["bits"])


def tabulate_menus(
    mechanism: MenuMechanism, options: Any, low: Any, high: Any, grid: int, *, fee: float = 0.0, bits: int = 24
) -> SimplexMenus:
    """The menus of `mechanism` read at the nodes of a grid, as a table; in between its prices are interpolated.

    Exact where prices are affine on the simplices, as those of item-wise second-price sales with reserves on the grid.

    Args:
        mechanism: its menus must hold every one of the options at every node; of equal options the cheapest counts.
        options: (K, m), option 0 null.
        low: (n, m) lower ends of the values.
        high: (n, m) upper ends.
        grid: cells a side.
        fee: added to the price of every option for each unit of probability in it.
        bits: prices are rounded to multiples of 2^-bits.

    Raises:
        ValueError: an option is missing in a menu, or a table is malformed.
    """
    options, low, high = (np.array(part, dtype=np.float64) for part in (options, low, high))
    n, m = low.shape
    unit = np.array(list(itertools.product(range(grid + 1), repeat=m * (n - 1))), dtype=np.float64) / grid
    nodes = unit.reshape(-1, n - 1, m)
    prices = np.empty((n, len(nodes), len(options)))
    for i in range(n):
        others = [j for j in range(n) if j != i]
        bids = np.insert(low[others] + (high - low)[others] * nodes, i, low[i], axis=1)
        menu = mechanism.menus(bids)
        same = np.all(menu.items[:, i, None] == options[None, :, None], axis=-1)  # (nodes, K, options of the menu)
        if not same.any(axis=2).all():
            raise ValueError("options: each must be in the menu at every node")
        prices[i] = np.where(same, menu.prices[:, i, None], np.inf).min(axis=2) + fee * options.sum(axis=1)
    prices[..., 0] = 0.0
    return SimplexMenus(low, high, options, dyadic(prices, bits), grid, demand=mechanism.demand, bits=bits)


def check_options(name: str, options: Any, items: int, demand: str) -> None:
    """Check a list of options (..., K, m): null first, probabilities, rows of at most 1 under unit demand.

    Raises:
        ValueError: naming `name`.
    """
    if options.shape[-1] != items or options.shape[-2] < 1:
        raise ValueError(f"{name}: {items} items need shape (..., K, {items}), got {options.shape}")
    if options[..., 0, :].any():
        raise ValueError(f"{name}: option 0 must be null (zeros)")
    if np.any(options < 0.0) or np.any(options > 1.0):
        raise ValueError(f"{name}: must be probabilities in [0, 1]")
    if demand == "unit" and any(math.fsum(row) > 1.0 for row in options.reshape(-1, items).tolist()):
        raise ValueError(f"{name}: with unit demand each option must sum to at most 1")
