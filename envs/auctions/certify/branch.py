"""Certificates of continuous menus by branch and bound over boxes of values, for menus with proven enclosures.

For menus that are neither constant nor affine on known pieces: networks, formulas. Whoever knows the menus says how
far they can move while the others' values stay in a box (`Enclosure`); the bound must be proved, not sampled. A box
of profiles is settled when the options that may be best anywhere in it fit together, the mechanism is refuted when
the program itself promises too much at a box's centre, and otherwise the longest side of the box is halved. This ends
only where choices that clash are beaten by a margin: at tie surfaces a share of the space stays undecided.

Bounds are computed in doubles and moved outward by more than their rounding.
"""

from __future__ import annotations

import abc
import dataclasses
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from walras.envs.arguments import whole as whole_number
from walras.envs.auctions.certify.result import (
    CERTIFIED,
    REFUTED,
    UNDECIDED,
    Certificate,
    Counterexample,
    Progress,
)
from walras.envs.auctions.mechanism import Array, MenuMechanism

_BATCH = 2048


class MenuBounds(NamedTuple):
    """What a bidder's menu can be while the others' values are in N boxes.

    Attributes:
        items_low: (N, K, m) least probabilities of each option.
        items_high: (N, K, m) largest ones.
        price_gap: (N, K, K) largest price of option k minus that of option l, at [:, k, l].
    """

    items_low: Array
    items_high: Array
    price_gap: Array


class Enclosure(abc.ABC):
    """A menu mechanism with proven bounds on how its menus move.

    Attributes:
        low: (n, m) lower ends of the values.
        high: (n, m) upper ends.
    """

    low: Array
    high: Array

    @abc.abstractmethod
    def bounds(self, bidder: int, low: Array, high: Array) -> MenuBounds:
        """Bounds on the menu of `bidder` while the others' values are in boxes `low`, `high` (N, n - 1, m)."""

    @abc.abstractmethod
    def promised(self, bids: Array) -> Array:
        """Total probability (B, m) that the program promises of each item for `bids` (B, n, m)."""

    def __call__(self, bids: Array) -> Array:
        """The program's promises."""
        return self.promised(bids)


@dataclasses.dataclass(frozen=True, eq=False)
class LipschitzMenus(Enclosure):
    """Fixed options with prices whose differences have known Lipschitz constants.

    Attributes:
        mechanism: its options are the same for all reports; its prices are not.
        low: (n, m) lower ends of the values.
        high: (n, m) upper ends.
        constants: (n, K, K) proven bounds: the price of option k minus that of option l for bidder i changes by at
            most `constants[i, k, l]` times the largest change of one of the others' values. A sampled maximum is no
            bound. One number stands for all.
    """

    mechanism: MenuMechanism
    low: Any
    high: Any
    constants: Any

    def bounds(self, bidder: int, low: Array, high: Array) -> MenuBounds:
        """The menu at the centre, give or take.

        Raises:
            ValueError: the first option is not null and free there, or options are not the same for all reports.
        """
        middle, reach = 0.5 * (low + high), 0.5 * (high - low).max(axis=(1, 2), initial=0.0)
        bids = np.insert(middle, bidder, np.asarray(self.low, dtype=np.float64)[bidder], axis=1)
        menu = self.mechanism.menus(bids)
        items, prices = menu.items[:, bidder], menu.prices[:, bidder]
        if items[:, 0].any() or prices[:, 0].any():
            raise ValueError("mechanism: option 0 of every menu must be null (no item, price 0)")
        if np.any(items != items[:1]):
            raise ValueError("mechanism: its options must be the same for all reports")
        constants = np.broadcast_to(
            np.asarray(self.constants, dtype=np.float64), (len(self.low), *([items.shape[1]] * 2))
        )
        # Rounding of the centre and of the constant's product is far below a part in 2^40.
        spread = constants[bidder] * (reach * (1.0 + 2.0**-40))[:, None, None]
        gap = prices[:, :, None] - prices[:, None, :] + spread
        return MenuBounds(items, items, gap + 2.0**-40 * np.abs(prices).max(initial=1.0))

    def promised(self, bids: Array) -> Array:
        """What the mechanism gives away."""
        total: Array = self.mechanism.outcome(bids).allocation.sum(axis=1)
        return total


def certify_enclosure(
    enclosure: Enclosure, *, boxes: int = 1_000_000, robust: bool = True, progress: Progress | None = None
) -> Certificate:
    """Decide about menus with proven enclosures.

    Args:
        enclosure: the menus.
        boxes: so many boxes are looked at; what is left then is undecided.
        robust: not used; bounds allow for rounding.
        progress: told the share of the value space that is settled.

    Raises:
        ValueError: the box is empty, or `boxes` is below 1.
    """
    budget = whole_number("boxes", boxes, 1)
    bottom, top = (np.array(end, dtype=np.float64) for end in (enclosure.low, enclosure.high))
    if bottom.ndim != 2 or bottom.shape != top.shape or np.any(bottom < 0.0) or not np.all(top > bottom):
        raise ValueError("low, high: must be (n, m) with 0 <= low < high")
    stack = [(bottom[None], top[None])]
    looked, settled, open_share = 0, 0.0, 0.0
    example: Counterexample | None = None
    while stack and looked < budget and example is None:
        low, high = stack.pop()
        if len(low) > _BATCH:
            stack.append((low[_BATCH:], high[_BATCH:]))
            low, high = low[:_BATCH], high[:_BATCH]
        looked += len(low)
        fits = _fits(enclosure, low, high)
        settled += float(_shares(low[fits], high[fits], bottom, top).sum())
        low, high = low[~fits], high[~fits]
        if len(low):
            example = _violation(enclosure, 0.5 * (low + high))
            stack.append(_halves(low, high, top - bottom))
        if progress is not None:
            progress(settled)
    open_share = sum(float(_shares(low, high, bottom, top).sum()) for low, high in stack)
    method = "branch and bound over boxes of values, bounds moved outward"
    counts = {"boxes": looked}
    if example is not None:
        return Certificate(
            "Enclosure", REFUTED, method, "an item is promised more than once", example, counts=counts
        )  # fmt: skip
    if stack:
        reason = f"{sum(len(low) for low, _ in stack)} boxes are open"
        return Certificate("Enclosure", UNDECIDED, method, reason, undecided=open_share, counts=counts)
    return Certificate("Enclosure", CERTIFIED, method, counts=counts)


def _fits(enclosure: Enclosure, low: Array, high: Array) -> Array:
    """Whether everything that may be chosen in each box fits together."""
    n = low.shape[1]
    total = np.zeros((len(low), low.shape[2]))
    for i in range(n):
        others = [j for j in range(n) if j != i]
        bounds = enclosure.bounds(i, low[:, others], high[:, others])
        # Least advantage of option k over option l: sum_j v_j (a_kj - a_lj) - (p_k - p_l), v >= 0.
        least = bounds.items_low[:, :, None, :] - bounds.items_high[:, None, :, :]
        values = np.where(least > 0.0, low[:, i, None, None, :], high[:, i, None, None, :])
        advantage = (values * least).sum(axis=-1) - bounds.price_gap
        size = 1.0 + np.abs(bounds.price_gap).max(initial=0.0) + float(high.max()) * low.shape[2]
        beaten = np.any(advantage > 2.0**-45 * size, axis=1)  # option l, by some k
        total = total + np.where(beaten[:, :, None], 0.0, bounds.items_high).max(axis=1)
    slack = 0.0 if np.all(total * 2.0**30 == np.round(total * 2.0**30)) else 2.0**-48
    return np.all(total <= 1.0 - slack, axis=1)


def _violation(enclosure: Enclosure, bids: Array) -> Counterexample | None:
    """A centre at which the program promises too much."""
    over = enclosure.promised(bids).max(axis=1) - 1.0
    lane = int(np.argmax(over))
    if not over[lane] > 1e-9:
        return None
    values = tuple(tuple(map(Fraction, row)) for row in bids[lane].tolist())
    item = int(np.argmax(enclosure.promised(bids[lane : lane + 1])[0]))
    text = f"item {item} is promised with total probability {1.0 + over[lane]:.10g}"
    return Counterexample("feasible", values, values, None, Fraction(float(over[lane])), text)


def _halves(low: Array, high: Array, width: Array) -> tuple[Array, Array]:
    """Both halves of each box along the side that is longest in parts of `width` (n, m)."""
    count, size = len(low), low[0].size
    flat_low, flat_high = low.reshape(count, size), high.reshape(count, size)
    side = np.argmax((flat_high - flat_low) / width.ravel(), axis=1)
    lane = np.arange(count)
    middle = 0.5 * (flat_low[lane, side] + flat_high[lane, side])
    lower, upper = flat_high.copy(), flat_low.copy()
    lower[lane, side], upper[lane, side] = middle, middle
    shape = (2 * count, *low.shape[1:])
    return np.concatenate((flat_low, upper)).reshape(shape), np.concatenate((lower, flat_high)).reshape(shape)


def _shares(low: Array, high: Array, bottom: Array, top: Array) -> Array:
    """Share (N,) of the value space that each box is."""
    result: Array = np.prod((high - low) / (top - bottom), axis=(1, 2))
    return result
