"""Numbering equal rows of large arrays, compiled: a hash table in place of a sort."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_MIX = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True)
def number_rows(rows: Any, codes: Any) -> int:
    """Write to `codes` (B,) int64 the number of each row of `rows` (B, k) uint64, in order of first appearance.

    Returns how many different rows there are. Equal means equal bit by bit.
    """
    count, width = rows.shape
    size = 16
    while size < 2 * count:
        size *= 2
    table = np.full(size, -1, np.int64)  # row in which the entry's value first appeared
    found = 0
    for i in range(count):
        mixed = np.uint64(width)
        for k in range(width):
            mixed = (mixed ^ rows[i, k]) * _MIX
            mixed ^= mixed >> np.uint64(29)
        at = np.int64(mixed & np.uint64(size - 1))
        while True:
            first = table[at]
            if first < 0:
                table[at] = i
                codes[i] = found
                found += 1
                break
            same = True
            for k in range(width):
                if rows[first, k] != rows[i, k]:
                    same = False
                    break
            if same:
                codes[i] = codes[first]
                break
            at = (at + 1) & (size - 1)
    return found
