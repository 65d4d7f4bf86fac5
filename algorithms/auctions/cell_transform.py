"""From menus that may promise an item twice to menus that never do: the transform on cells, by least fixed points.

Menus are frozen on cells of the others' reports (`freeze`); then bidders are treated in turn. The first keeps its
menus. For each menu of a later bidder and each of its own cells, options that fit beside everything the earlier
bidders may be promised there must win, all over the cell and by a margin, against those that do not fit. Prices only
rise, the null option stays free and no allocation changes, so every bidder's menu still depends on the others alone:
the result is strategy-proof, individually rational and feasible at every profile of the value space.

The programs are those of arXiv 2406.07428 as reconstructed for cells: one binary for each own cell and fitting
option, minimal total price change. They need no solver. Their constraints are monotone in the price changes, so there
is one componentwise least solution, which is optimal for every nonnegative weighting, and iteration from zero finds
it (Tarski 1955). `walras.algorithms.auctions.cell_programs` states the same programs for HiGHS and CP-SAT.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from walras.envs.auctions.cell_menus import CellMenus, grid_cuts
from walras.envs.auctions.mechanism import Array, MenuMechanism
from walras.envs.auctions.tables import dyadic

SWEEPS = 64
"""Sweeps of the fixed point before options that push each other up by tiny steps are solved for at once."""


NUDGE = 4
"""Units of 2^-bits by which `freeze` breaks ties between options of neighbouring sizes."""


@dataclass(frozen=True)
class Transformed:
    """What the transform made.

    Attributes:
        mechanism: the menus with raised prices.
        order: bidders in the order in which they were treated.
        delta: for each bidder (T_i, K), what was added to the prices.
        sweeps: for each bidder (T_i,) sweeps of the fixed point; negative where options in motion were priced out
            against the null option, which is sound but need not be least.
        promised: (C_1, ..., C_n, m) the sum over bidders of the largest probability of each item that each of them
            may be given in these cells; at most 1.
    """

    mechanism: CellMenus
    order: tuple[int, ...]
    delta: tuple[Array, ...]
    sweeps: tuple[Array, ...]
    promised: Array

    @property
    def moved(self) -> int:
        """Number of menus whose prices changed."""
        return sum(int(np.count_nonzero((delta > 0.0).any(axis=1))) for delta in self.delta)


def transform(
    mechanism: CellMenus, order: Sequence[int] | None = None, *, margin: float | None = None, exact: bool = True
) -> Transformed:
    """Raise prices until no item can be promised more than once, whatever the values are.

    Args:
        mechanism: menus on cells, or on finite types.
        order: bidders from the most privileged to the last; default: by index.
        margin: advantage, in units of value, by which a fitting option must win; default one unit 2^-bits.
        exact: keep price changes to multiples of 2^-bits, rounded up, as the format needs. Without it they are the
            reals of the program and only `delta` and `promised` mean something: the mechanism's prices are rounded
            to the nearest multiple.

    Returns:
        The transformed menus and what it took. Bidders whose menus are compatible already keep their prices.

    Raises:
        ValueError: `order` is no order of the bidders, or `margin` is negative.
    """
    order = as_order(mechanism, order)
    unit = 2.0**-mechanism.bits
    margin = unit if margin is None else float(margin)
    if not 0.0 <= margin < np.inf:
        raise ValueError(f"margin: must be nonnegative and finite, got {margin}")
    prices, deltas, steps, used = _run(mechanism, order, margin, unit if exact else 0.0)
    rounded = prices if exact else [dyadic(p, mechanism.bits) for p in prices]
    made = CellMenus(
        mechanism.cuts, mechanism.options, tuple(rounded), mechanism.points, mechanism.merged, mechanism.demand,
        mechanism.bits,
    )  # fmt: skip
    return Transformed(made, order, tuple(deltas), tuple(steps), used)


def promised(mechanism: CellMenus) -> Array:
    """The most that may be promised of each item: (C_1, ..., C_n, m), the sum over bidders in every tuple of cells.

    An option counts as possible in a cell unless another one beats it all over the cell. At most 1 everywhere: no item
    is ever promised twice.
    """
    used = np.zeros((*mechanism.cells, mechanism.items))
    for i in range(mechanism.bidders):
        used = treat(mechanism, i, used, -1.0, 0.0)[2]
    return used


def residual(used: Array, bidder: int) -> Array:
    """(T_i, C_i, m) what is left of each item for `bidder` by the others' cells and its own."""
    moved = np.moveaxis(1.0 - used, bidder, -2)
    return np.ascontiguousarray(moved.reshape(-1, *moved.shape[-2:]))


def _run(
    mechanism: CellMenus, order: tuple[int, ...], margin: float, unit: float
) -> tuple[list[Array], list[Array], list[Array], Array]:
    """Prices, their changes, sweeps, and the sums promised, bidder by bidder in this order."""
    used = np.zeros((*mechanism.cells, mechanism.items))
    prices, deltas, steps = list(mechanism.prices), [np.zeros(0)] * len(order), [np.zeros(0)] * len(order)
    for rank, i in enumerate(order):
        deltas[i], steps[i], used = treat(mechanism, i, used, margin if rank else -1.0, unit)
        prices[i] = mechanism.prices[i] + deltas[i]
    return prices, deltas, steps, used


def treat(mechanism: CellMenus, bidder: int, used: Array, margin: float, unit: float) -> tuple[Array, Array, Array]:
    """One bidder's turn: its price changes (T, K), the sweeps (T,), and `used` with what it may be promised added.

    Args:
        mechanism: menus, those of this bidder not yet changed.
        bidder: i.
        used: (C_1, ..., C_n, m) what earlier bidders may be promised.
        margin: see `transform`; below 0: its prices stay.
        unit: price changes are rounded up to multiples of it; 0: not rounded.
    """
    from walras.algorithms.auctions.cell_kernels import transform_bidder

    low, high = mechanism.boxes(bidder)
    moved = np.moveaxis(used, bidder, -2)
    table = np.array(moved.reshape(-1, *moved.shape[-2:]), order="C")
    options = mechanism.options[bidder]
    if np.all(options == options[:1]):
        options = options[:1]
    delta = np.zeros_like(mechanism.prices[bidder])
    steps = np.zeros(len(delta), np.int64)
    transform_bidder(
        0.5 * (low + high), 0.5 * (high - low), options, mechanism.prices[bidder], table, margin, unit, SWEEPS,
        delta, steps,
    )  # fmt: skip
    return delta, steps, np.ascontiguousarray(np.moveaxis(table.reshape(moved.shape), -2, bidder))


def as_order(mechanism: CellMenus, order: Sequence[int] | None) -> tuple[int, ...]:
    """`order` checked (ValueError unless it lists every bidder once), or the bidders by index."""
    chosen = tuple(range(mechanism.bidders)) if order is None else tuple(int(i) for i in order)
    if sorted(chosen) != list(range(mechanism.bidders)):
        raise ValueError(f"order: must order the bidders 0..{mechanism.bidders - 1}, got {chosen}")
    return chosen


def freeze(
    source: MenuMechanism,
    cuts: Any,
    *,
    merged: Sequence[Any] = (),
    bits: int = 24,
    nudge: int = NUDGE,
    levels: int | None = None,
) -> CellMenus:
    """The menus of `source` at the centres of cells, as a table.

    Options that are the same for every cell, as those of an affine maximiser, are listed once, at their lowest price.

    Args:
        source: any menu mechanism; only how its menus depend on the others' reports is used.
        cuts: edges of the intervals, see `CellMenus` and `grid_cuts`.
        merged: see `CellMenus`.
        bits: prices and allocations are rounded to multiples of 2^-bits.
        nudge: the k-th option by size costs k * `nudge` units of 2^-bits more. On a regular grid many options touch
            the rim of a cell exactly; one that only touches it counts as possible there. Ties that are broken in
            favour of smaller options cost a few 1e-6 of revenue and save several percent in the transform.
        levels: probabilities are rounded to multiples of 1 / `levels` (of 2^-bits if that is finer), so that a
            network's 0.98 beside its 0.03 is no conflict; `None`: kept.

    Raises:
        ValueError: the cuts are malformed, or do not fit the mechanism.
    """
    n, m = len(cuts), len(cuts[0])
    source.check_size(n, m)
    single, free = np.zeros((1, 1, m)), np.zeros((1, 1))
    counts, boxes = [], []
    for i in range(n):
        own = CellMenus((cuts[i],), (single,), (free,), merged=tuple(merged[i : i + 1]), bits=bits)
        boxes.append(own.boxes(0))
        counts.append(own.cells[0])
    centres = [0.5 * (low + high) for low, high in boxes]
    options, prices = [], []
    for i in range(n):
        grids = np.indices([c for j, c in enumerate(counts) if j != i]).reshape(n - 1, -1) if n > 1 else None
        bids = np.empty((1 if grids is None else grids.shape[1], n, m))
        bids[:, i] = centres[i][0]
        for row, j in enumerate(j for j in range(n) if j != i):
            bids[:, j] = centres[j][grids[row]]  # type: ignore[index]
        menu = source.menus(bids)
        share = menu.items[:, i] if levels is None else np.round(menu.items[:, i] * levels) / levels
        share, price = _distinct(dyadic(share, bits), dyadic(menu.prices[:, i], bits))
        options.append(share)
        prices.append(_nudged(share, price, nudge * 2.0**-bits))
    most = max(share.shape[1] for share in options)
    padded = [_pad(share, price, most) for share, price in zip(options, prices, strict=True)]
    return CellMenus(
        cuts, tuple(p[0] for p in padded), tuple(p[1] for p in padded), False, tuple(merged),
        getattr(source, "demand", "additive"), bits,
    )  # fmt: skip


def _distinct(options: Array, prices: Array) -> tuple[Array, Array]:
    """Options (T, K, m) and prices (T, K) with equal columns of options joined, the null option first."""
    if not np.all(options == options[:1]):
        return options, prices
    rows, place = np.unique(options[0], axis=0, return_inverse=True)
    best = np.full((len(prices), len(rows)), np.inf)
    for k, column in enumerate(place.ravel()):
        best[:, column] = np.minimum(best[:, column], prices[:, k])
    return np.broadcast_to(rows, (len(prices), *rows.shape)).copy(), best


def _nudged(options: Array, prices: Array, step: float) -> Array:
    """Prices (T, K) with `step` added for every option that comes before in size, by menu."""
    if step == 0.0:
        return prices
    size = options.sum(axis=2)
    rank = np.argsort(np.argsort(size, axis=1, kind="stable"), axis=1, kind="stable")
    return prices + step * (rank - rank[:, :1]) * (size > 0.0)


def _pad(options: Array, prices: Array, count: int) -> tuple[Array, Array]:
    """More null options at the end, so that all bidders have equally many."""
    short = count - options.shape[1]
    if short == 0:
        return options, prices
    shape = (len(options), short)
    return (
        np.concatenate((options, np.zeros((*shape, options.shape[2]))), axis=1),
        np.concatenate((prices, np.zeros(shape)), axis=1),
    )


@dataclass(frozen=True)
class Adaptive:
    """The transform on cells that were refined where prices moved.

    Attributes:
        result: of the last round.
        cells: cells of each bidder after each round, (rounds + 1, n).
    """

    result: Transformed
    cells: tuple[tuple[int, ...], ...]


def adaptive_transform(
    source: MenuMechanism,
    low: Any,
    high: Any,
    *,
    grid: int,
    rounds: int,
    share: float = 1.0,
    order: Sequence[int] | None = None,
    bits: int = 24,
) -> Adaptive:
    """Freeze and transform, then halve the cells that cost most, and again.

    A cell is blamed for the price changes of the menus that are keyed by it, and for those that it enforces as an own
    cell, each weighted by the volume of the cells. In every round the most blamed cells that together carry `share`
    of all blame are cut in half along every item; cells without blame are never cut.

    Args:
        source: any menu mechanism.
        low: (n, m) lower ends of the values, multiples of 2^-bits.
        high: (n, m) upper ends.
        grid: intervals of every item in the first round.
        rounds: number of refinements.
        share: in (0, 1]. With 1 every blamed cell is cut: as good as cutting all cells, with fewer of them.
        order: see `transform`.
        bits: see `freeze`.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share: must be above 0 and at most 1, got {share}")
    if rounds < 0:
        raise ValueError(f"rounds: must be at least 0, got {rounds}")
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    n, m = low.shape
    side = grid << rounds
    cuts = grid_cuts(low, high, side, bits)
    # A cell is its corner (on the finest grid) and its width there.
    corners = [np.stack(np.unravel_index(np.arange(grid**m), (grid,) * m), axis=1) << rounds for _ in range(n)]
    widths = [np.full(grid**m, 1 << rounds) for _ in range(n)]
    history = [tuple(len(w) for w in widths)]
    for turn in range(rounds + 1):
        merged = tuple(_labels(corner, width, side, m) for corner, width in zip(corners, widths, strict=True))
        result = transform(freeze(source, cuts, merged=merged, bits=bits), order)
        if turn == rounds:
            break
        blame = _blame(result, [w.astype(np.float64) ** m for w in widths])
        for i in range(n):
            cut = _most(np.where(widths[i] > 1, blame[i], 0.0), share)
            corners[i], widths[i] = _halve(corners[i], widths[i], cut)
        history.append(tuple(len(w) for w in widths))
    return Adaptive(result, tuple(history))


def _labels(corner: Array, width: Array, side: int, items: int) -> Array:
    """Cell number of every product of the finest intervals."""
    labels = np.empty((side,) * items, np.int64)
    for c, (start, size) in enumerate(zip(corner.tolist(), width.tolist(), strict=True)):
        labels[tuple(slice(a, a + size) for a in start)] = c
    return labels.ravel()


def _blame(result: Transformed, volumes: Sequence[Array]) -> list[Array]:
    """Blame of each bidder's cells for the price changes: as keys, and as own cells that need them."""
    mechanism = result.mechanism
    n = mechanism.bidders
    weights = [volume / volume.sum() for volume in volumes]
    blame = [np.zeros(count) for count in mechanism.cells]
    for i, delta in enumerate(result.delta):
        total = delta.sum(axis=1)
        if not total.any():
            continue
        others = [j for j in range(n) if j != i]
        mass = total.reshape([mechanism.cells[j] for j in others])
        for axis, j in enumerate(others):
            mass = mass * weights[j].reshape([-1 if a == axis else 1 for a in range(n - 1)])
        for axis, j in enumerate(others):
            blame[j] += mass.sum(axis=tuple(a for a in range(n - 1) if a != axis))
        # Own cells whose best option the changes reach: there the frozen menus and the true ones differ most.
        low, high = mechanism.boxes(i)
        centre, half = 0.5 * (low + high), 0.5 * (high - low)
        flat = mass.ravel()
        for t in np.flatnonzero(flat):
            u = centre @ mechanism.options[i][t].T - mechanism.prices[i][t]
            slack = u.max(axis=1, keepdims=True) - u
            rim = (half[:, None, :] * mechanism.options[i][t][None]).sum(axis=2)
            near = ((slack <= rim) & (delta[t] > 0.0)).any(axis=1)
            blame[i] += flat[t] * near * weights[i] * len(weights[i]) / max(1, int(near.sum()))
    return blame


def _most(blame: Array, share: float) -> Array:
    """Which entries are the largest that together carry `share` of the sum."""
    chosen = np.zeros(len(blame), bool)
    total = blame.sum()
    if total > 0.0:
        order = np.argsort(-blame, kind="stable")
        before = np.cumsum(blame[order]) - blame[order]
        chosen[order] = (before < share * total) & (blame[order] > 0.0)
    return chosen


def _halve(corner: Array, width: Array, cut: Array) -> tuple[Array, Array]:
    """The cells that are not `cut`, then the halves, along every item, of those that are."""
    items = corner.shape[1]
    half = width[cut] // 2
    shifts = np.array(list(itertools.product((0, 1), repeat=items)))
    parts = corner[cut][:, None] + shifts[None] * half[:, None, None]
    return (
        np.concatenate((corner[~cut], parts.reshape(-1, items))),
        np.concatenate((width[~cut], np.repeat(half, len(shifts)))),
    )
