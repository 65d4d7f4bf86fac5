"""Compiled loops of the cell transform: imported by `cell_transform` and `cell_programs` when first used.

Names: `centre`, `half` (C, m) boxes of the own cells; `options` (K, m) and `prices` (K,) one menu, option 0 null;
`room` (C, m) what earlier bidders certainly leave of each item, by own cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def utilities(centre: Any, options: Any, prices: Any, out: Any) -> None:
    """Write the utility (C, K) of each option at the centre of each cell."""
    for s in range(centre.shape[0]):
        for k in range(options.shape[0]):
            total = -prices[k]
            for j in range(options.shape[1]):
                total += centre[s, j] * options[k, j]
            out[s, k] = total


@njit(cache=True)
def distances(options: Any, out: Any) -> None:
    """Write |option l - option k| (K, K, m), item by item."""
    for k in range(options.shape[0]):
        for other in range(options.shape[0]):
            for j in range(options.shape[1]):
                out[k, other, j] = abs(options[k, j] - options[other, j])


@njit(cache=True)
def reach(half: Any, apart: Any, s: int, k: int, other: int) -> float:
    """How far the difference of the utilities of two options moves between the centre of cell s and its rim."""
    total = 0.0
    for j in range(half.shape[1]):
        total += half[s, j] * apart[k, other, j]
    return total


@njit(cache=True)
def fitting(options: Any, room: Any, out: Any) -> None:
    """Write which options (C, K) fit into the room that earlier bidders leave."""
    for s in range(room.shape[0]):
        for k in range(options.shape[0]):
            fits = True
            for j in range(options.shape[1]):
                if options[k, j] > room[s, j]:
                    fits = False
                    break
            out[s, k] = fits


@njit(cache=True)
def least_fixed_point(
    u: Any, half: Any, apart: Any, fits: Any, margin: float, unit: float, sweeps: int, delta: Any
) -> int:
    """Raise `delta` (K,), from below, to the least price changes that make fitting options win in every cell.

    delta_l = max(0, max over cells s that l does not fit of min over k that fit of
                     u_l - u_k + half . |option l - option k| + margin + delta_k).

    Args:
        u: (C, K) utilities at the centres.
        half: (C, m).
        apart: (K, K, m), `distances`.
        fits: (C, K) bool; option 0 fits everywhere.
        margin: strict advantage that the winner needs.
        unit: price changes are rounded up to multiples of it; 0: not rounded.
        sweeps: sweeps by chaotic iteration before a policy is solved at once (`_jump`).
        delta: (K,) read and written.

    Returns:
        Number of sweeps; negative when the limit of sweeps was met and the options in motion were priced out against
        the null option, which is sound but need not be least.
    """
    cells, count = u.shape
    # Cells in which some option that does not fit could win against the null option, whose price never changes.
    busy = np.empty(cells, np.int64)
    size = 0
    for s in range(cells):
        for k in range(1, count):
            if not fits[s, k] and u[s, k] - u[s, 0] + reach(half, apart, s, 0, k) + margin > delta[k]:
                busy[size] = s
                size += 1
                break
    source = np.full(count, -1, np.int64)
    used = 0
    while True:
        used += 1
        moved = False
        for x in range(size):
            s = busy[x]
            for bad in range(1, count):
                if fits[s, bad]:
                    continue
                least = np.inf
                for k in range(count):
                    if fits[s, k]:
                        need = u[s, bad] - u[s, k] + reach(half, apart, s, k, bad) + margin + delta[k]
                        if need < least:
                            least = need
                            if least <= delta[bad]:
                                break
                if least > delta[bad]:
                    raised = np.ceil(least / unit - 1e-9) * unit if unit > 0.0 else least
                    if raised > delta[bad]:
                        delta[bad] = raised
                        source[bad] = s
                        moved = True
        if not moved:
            return used
        if used % sweeps == 0:
            if used >= 64 * sweeps:
                _price_out(u, half, apart, fits, margin, unit, busy[:size], delta)
                return -used
            _jump(u, half, apart, fits, margin, unit, source, delta)


@njit(cache=True)
def _jump(u: Any, half: Any, apart: Any, fits: Any, margin: float, unit: float, source: Any, delta: Any) -> None:
    """Solve the system in which each option is pushed up by one cell alone, the last that pushed it, from above.

    Two options that push each other up by tiny steps would need as many sweeps as the way is long. With one pushing
    cell an option, the price changes are shortest paths to the options that do not move. Every other cell only pushes
    further, so they do not exceed the least fixed point, unless pushes around a cycle add up to exactly zero: only
    then has the system more than one solution, and the larger one, taken here, is sound all the same.
    """
    count = len(delta)
    trial = delta.copy()
    for bad in range(1, count):
        s = source[bad]
        if s >= 0:
            start = u[s, bad] - u[s, 0] + reach(half, apart, s, 0, bad) + margin
            trial[bad] = max(delta[bad], np.ceil(start / unit - 1e-9) * unit if unit > 0.0 else start)
    for _ in range(count + 1):
        lowered = False
        for bad in range(1, count):
            s = source[bad]
            if s < 0:
                continue
            least = np.inf
            for k in range(count):
                if fits[s, k]:
                    need = u[s, bad] - u[s, k] + reach(half, apart, s, k, bad) + margin + trial[k]
                    least = min(least, need)
            if unit > 0.0:
                least = np.ceil(least / unit - 1e-9) * unit
            least = max(least, delta[bad])
            if least < trial[bad]:
                trial[bad] = least
                lowered = True
        if not lowered:
            delta[:] = trial
            return


@njit(cache=True)
def _price_out(u: Any, half: Any, apart: Any, fits: Any, margin: float, unit: float, busy: Any, delta: Any) -> None:
    """Raise every option until the null option wins wherever it does not fit."""
    for x in range(len(busy)):
        s = busy[x]
        for bad in range(1, len(delta)):
            if not fits[s, bad]:
                need = u[s, bad] - u[s, 0] + reach(half, apart, s, 0, bad) + margin
                if unit > 0.0:
                    need = np.ceil(need / unit - 1e-9) * unit
                delta[bad] = max(delta[bad], need)


@njit(cache=True)
def promised(u: Any, half: Any, apart: Any, options: Any, guard: float, out: Any) -> None:
    """Add to `out` (C, m) the largest probability of each item among the options that may be best in each cell.

    An option is ruled out only where another beats it all over the cell by more than `guard`.
    """
    count = u.shape[1]
    most = np.zeros(options.shape[1])
    for s in range(u.shape[0]):
        most[:] = 0.0
        for k in range(1, count):
            if u[s, k] - u[s, 0] + reach(half, apart, s, 0, k) < -guard:
                continue
            best = True
            for other in range(1, count):
                if u[s, other] - u[s, k] - reach(half, apart, s, k, other) > guard:
                    best = False
                    break
            if best:
                for j in range(options.shape[1]):
                    most[j] = max(most[j], options[k, j])
        for j in range(options.shape[1]):
            out[s, j] += most[j]


@njit(cache=True)
def transform_bidder(
    centre: Any,
    half: Any,
    options: Any,
    prices: Any,
    used: Any,
    margin: float,
    unit: float,
    sweeps: int,
    delta: Any,
    steps: Any,
) -> None:
    """Raise the prices of one bidder, menu by menu, then add what it may be promised to `used`.

    Args:
        centre: (C, m).
        half: (C, m).
        options: (T, K, m) or (1, K, m) where all menus have the same options.
        prices: (T, K).
        used: (T, C, m) probabilities promised to earlier bidders at most; written.
        margin: see `least_fixed_point`; with a margin below 0 no price is changed.
        unit: see `least_fixed_point`.
        sweeps: see `least_fixed_point`.
        delta: (T, K) written.
        steps: (T,) sweeps, written.
    """
    cells, count = len(centre), prices.shape[1]
    u = np.empty((cells, count))
    apart = np.empty((count, count, centre.shape[1]))
    fits = np.empty((cells, count), np.bool_)
    same = len(options) == 1
    if same:
        distances(options[0], apart)
    for t in range(len(prices)):
        own = options[0 if same else t]
        if not same:
            distances(own, apart)
        utilities(centre, own, prices[t], u)
        if margin >= 0.0:
            fitting(own, 1.0 - used[t], fits)
            steps[t] = least_fixed_point(u, half, apart, fits, margin, unit, sweeps, delta[t])
            for k in range(1, count):
                if delta[t, k] > 0.0:
                    for s in range(cells):
                        u[s, k] -= delta[t, k]
        promised(u, half, apart, own, 0.5 * max(margin, 0.0), used[t])
