"""The menu transform for piecewise-affine prices: surcharges that make learned menus fit together everywhere.

Bidders are taken in an order. The first keeps its menus. For each next bidder i, and each simplex of the others'
reports, the surcharges are the least ones with which i never chooses an option that does not fit beside what earlier
bidders choose: margins come from linear programs on the pieces where all utilities are affine (`piece_kernels`), and
the least surcharges from a fixed point, which is the optimum of the mixed-integer program with any nonnegative
weights. Only prices rise; allocations and the null option stay; where nothing conflicts nothing changes. Simplices on
which prices moved are halved and solved again, so that a surcharge is paid only near the conflict that asks for it:
the surcharge of a half is at most that of the whole.

Source: the transform of arXiv 2406.07428, with piecewise-affine prices and the fixed point in place of its programs;
refinement by sub-simplex is this package's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from walras.algorithms.auctions.piece_leaves import Leaves, make_leaves
from walras.envs.arguments import whole
from walras.envs.auctions import kuhn
from walras.envs.auctions.simplex_menus import SimplexMenus, Surcharge
from walras.envs.game import Array

Progress = Callable[[float, str], None]

_REACH = 0.05  # surcharges tried at first, in widths of the widest box; a leaf that needs more is solved again


class Work(NamedTuple):
    """What a transform did for one bidder at one level.

    Attributes:
        bidder: which one.
        level: of refinement.
        simplices: how many were solved.
        raised: on how many of them prices moved.
        programs: linear programs begun (most end at their first bound).
        largest: surcharge.
    """

    bidder: int
    level: int
    simplices: int
    raised: int
    programs: int
    largest: float


class Transformed(NamedTuple):
    """A compatible mechanism, and how it came about."""

    mechanism: SimplexMenus
    work: tuple[Work, ...]


def transform(
    mechanism: SimplexMenus,
    order: Sequence[int] | None = None,
    *,
    levels: int = 2,
    margin: int = 2,
    progress: Progress | None = None,
) -> Transformed:
    """Raise prices until the menus fit together at every profile.

    Args:
        mechanism: without surcharges.
        order: of the bidders; the first one's menus are not touched. Default: by index.
        levels: how often simplices whose prices moved are halved.
        margin: excluded options are beaten by at least so many units of 2^-bits. With 24 bits the doubles of the run
            time cannot choose them then; a table of many more bits needs more units, the certifier says so.
        progress: told `(fraction, text)` now and then.

    Raises:
        ValueError: if the mechanism has surcharges or one bidder, or the order is no order.
    """
    order = checked_order(mechanism, order)
    levels, margin = whole("levels", levels, 0), whole("margin", margin)
    surcharges: list[tuple[Surcharge, ...]] = [()] * mechanism.bidders
    work: list[Work] = []
    for place in range(1, len(order)):
        bidder = order[place]
        numbers = np.arange(kuhn.count(mechanism.grid, mechanism.dimension))
        for level in range(levels + 1):
            leaves = make_leaves(
                mechanism,
                bidder,
                level,
                numbers,
                earlier=order[:place],
                surcharges=surcharges,
                margin=margin,
            )
            amounts, programs = least_surcharges(leaves)
            raised = amounts.any(axis=1)
            work.append(Work(bidder, level, len(numbers), int(raised.sum()), programs, float(amounts.max(initial=0.0))))
            if progress is not None:
                progress((place - 1 + (level + 1) / (levels + 1)) / (len(order) - 1), str(work[-1]))
            # Halves replace their whole: all of them are solved, and those that need nothing are not listed.
            kept = Surcharge(level, numbers[raised], amounts[raised])
            if level == levels or not raised.any():
                surcharges[bidder] = (kept,) if raised.any() else ()
                break
            numbers = np.sort(kuhn.halve(numbers[raised], mechanism.grid << level, mechanism.dimension).ravel())
    return Transformed(dataclasses.replace(mechanism, surcharges=tuple(surcharges)), tuple(work))


def checked_order(mechanism: SimplexMenus, order: Sequence[int] | None) -> tuple[int, ...]:
    """The order of the bidders, by index if none is given.

    Raises:
        ValueError: if the mechanism has surcharges or one bidder, or the order is no order.
    """
    order = tuple(range(mechanism.bidders)) if order is None else tuple(order)
    if sorted(order) != list(range(mechanism.bidders)) or len(order) < 2:
        raise ValueError(f"order: must list bidders 0..{mechanism.bidders - 1}, at least two, got {order!r}")
    if any(mechanism.surcharges):
        raise ValueError("mechanism: must have no surcharges; give the learned menus")
    return order


def least_surcharges(leaves: Leaves) -> tuple[Array, int]:
    """Least surcharges (S, K) that exclude every conflict over each leaf, and the programs begun."""
    from walras.algorithms.auctions.piece_kernels import raise_from

    count, size = len(leaves.prices), len(leaves.options)
    zero, amounts = np.zeros(size), np.zeros((count, size))
    first = _REACH * float(np.ptp(leaves.vertices)) if count else 0.0
    programs = 0
    for s in range(count):
        reach = first
        while True:
            high = np.full(size, reach)
            high[0] = 0.0
            cases = leaves.cases(s, zero, high)
            if cases.number == 0:
                break
            programs += raise_from(zero, *cases, leaves.unit, leaves.margin, leaves.work, amounts[s])
            needed = float(amounts[s].max())
            if needed <= reach:
                break
            reach = 2.0 * needed
    return amounts, programs
