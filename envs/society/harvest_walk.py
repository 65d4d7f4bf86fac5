"""The compiled walk of scripted harvesters: from what a player sees, by class, to its next move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def walk(
    seen: Any, row: Any, column: Any, facing: Any, here: Any, restraint: int, disc: Any, u: Any, action: Any
) -> None:  # fmt: skip
    """Step towards the nearest ripe apple with enough ripe neighbours, around all other apples.

    The way is a shortest one (breadth first), not planned around other players, who move: a step that one of them
    blocks is tried again. Of equally near apples and of equally short ways the first is taken, in an order that begins
    with a random direction.

    Args:
        seen: (B, R, C) int8 classes.
        row: (B,) where the player stands in `seen`.
        column: (B,) likewise.
        facing: (B,) which way is "forward": 0 for up, 1 right, 2 down, 3 left in `seen`.
        here: (B,) bool: players who are away stay.
        restraint: ripe neighbours that an apple needs.
        disc: (12, 2) offsets of a neighbourhood.
        u: (B,) uniforms.
        action: (B,) written; -1 where no apple was found.
    """
    lanes, rows, columns = seen.shape
    queue = np.empty(rows * columns, np.int64)
    first = np.empty(rows * columns, np.int8)
    down = np.array([-1, 0, 1, 0])
    right = np.array([0, 1, 0, -1])
    move = np.array([1, 4, 2, 3])  # forward, step right, backward, step left
    for b in range(lanes):
        action[b] = -1
        if not here[b]:
            action[b] = 0
            continue
        grid = seen[b]
        first[:] = -1
        start = row[b] * columns + column[b]
        first[start] = 4
        queue[0] = start
        head, tail = 0, 1
        turn = int(u[b] * 4)
        found = -1
        while head < tail and found < 0:
            cell = queue[head]
            head += 1
            r, c = cell // columns, cell % columns
            for t in range(4):
                d = (t + turn) & 3
                y, x = r + down[d], c + right[d]
                if y < 0 or y >= rows or x < 0 or x >= columns:
                    continue
                near = y * columns + x
                kind = grid[y, x]
                if first[near] >= 0 or kind == 1:
                    continue
                first[near] = d if cell == start else first[cell]
                if kind == 2:
                    ripe = 0
                    for k in range(len(disc)):
                        p, q = y + disc[k, 0], x + disc[k, 1]
                        if 0 <= p < rows and 0 <= q < columns and grid[p, q] == 2:
                            ripe += 1
                    if ripe >= restraint:
                        found = near
                        break
                    continue  # an apple that is to stay is walked around
                queue[tail] = near
                tail += 1
        if found >= 0:
            action[b] = move[(first[found] - facing[b]) & 3]
