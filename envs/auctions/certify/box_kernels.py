"""Compiled loops over cells of values: imported when first used. Sets of options are bit masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from walras.envs.auctions.certify.kernels import settle


@njit(cache=True)
def possible(low: Any, high: Any, options: Any, prices: Any, margin: Any, masks: Any) -> None:
    """Which options may be best somewhere in each own cell, for each menu.

    Option k is out when another one beats it by the margin everywhere in the cell.

    Args:
        low: (C, m) whole lower ends of a bidder's cells.
        high: (C, m) upper ends.
        options: (T, K, m).
        prices: (T, K).
        margin: what an option must be beaten by to be out.
        masks: (T, C) filled.
    """
    menus, count, items = options.shape
    for t in range(menus):
        for c in range(low.shape[0]):
            mask = np.int64(0)
            for k in range(count):
                out = False
                for other in range(count):
                    if other != k:
                        gap = prices[t, other] - prices[t, k]
                        for j in range(items):
                            slope = options[t, k, j] - options[t, other, j]
                            gap += slope * (high[c, j] if slope > 0 else low[c, j])
                        if gap <= -margin:
                            out = True
                            break
                if not out:
                    mask |= np.int64(1) << k
            masks[t, c] = mask


@njit(cache=True)
def most(options: Any, masks: Any, top: Any) -> None:
    """Largest share `top` (T, C, m) of each item among the options (T, K, m) in `masks` (T, C)."""
    menus, count, items = options.shape
    for t in range(menus):
        for c in range(masks.shape[1]):
            for j in range(items):
                best = options[t, 0, j]
                for k in range(1, count):
                    if (masks[t, c] >> k) & 1 and options[t, k, j] > best:
                        best = options[t, k, j]
                top[t, c, j] = best


@njit(cache=True)
def sharpen(
    wanted: Any, low: Any, high: Any, options: Any, prices: Any, margin: Any, masks: Any,
    scale: float, width: int, limbs: int, counts: Any,
) -> None:  # fmt: skip
    """Take out of the masks at `wanted` (F, 2) menus and own cells every option that weights prove to be never best.

    `counts` (2) is added to: options tried, options excluded.
    """
    _, count, items = options.shape
    corners = 1 << items
    game = np.empty((count, corners), np.int64)
    table, label, weights = np.empty((corners + 1, count + 1)), np.empty(corners + count, np.int64), np.empty(count)
    short, long, partial = np.empty((count, 1), np.int64), np.empty((count, limbs), np.int64), np.empty(limbs, np.int64)
    strict = np.zeros(count, np.bool_)
    for f in range(wanted.shape[0]):
        t, c = wanted[f]
        before = masks[t, c]
        for k in range(1, count):
            if not (before >> k) & 1:
                continue
            rows = 0
            for other in range(count):
                if other != k and (before >> other) & 1:
                    for corner in range(corners):
                        gap = prices[t, other] - prices[t, k] + margin
                        for j in range(items):
                            value = high[c, j] if (corner >> j) & 1 else low[c, j]
                            gap += (options[t, k, j] - options[t, other, j]) * value
                        game[rows, corner] = gap
                    rows += 1
            if rows:
                done, _ = settle(
                    game, rows, corners, scale, width, -1e-5, strict, margin, False, table, label, weights, short, long,
                    partial,
                )  # fmt: skip
                counts[0] += 1
                if done:
                    counts[1] += 1
                    masks[t, c] &= ~(np.int64(1) << k)
