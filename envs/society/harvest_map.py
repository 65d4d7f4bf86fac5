"""Maps of the harvest worlds: where walls, apples and first places are, as tables for the compiled loops.

A map is drawn in rows of equal length: `#` wall, `A` apple, `Q` first places inside the orchard, `P` first places
outside it, digits the fixed first places of players 0 to 9, everything else floor. Directions are 0 north, 1 east,
2 south, 3 west; cells are numbered row by row. At most 64 cells grow apples: they are the bits of one word.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from walras.envs.game import Array

AHEAD, BEHIND, SIDE = 9, 1, 5
"""A player's window: cells ahead, behind, and to each side of it (Melting Pot 2.4)."""
WINDOW = (AHEAD + 1 + BEHIND, 2 * SIDE + 1)
"""Rows and columns of the window; the player stands in row `AHEAD`, column `SIDE`, and looks up."""
PAD = AHEAD
"""Cells of wall put around the map, so that every window lies inside."""
STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""(row, column) of one step north, east, south, west."""
DISC = tuple((r, c) for r in range(-2, 3) for c in range(-2, 3) if 0 < r * r + c * c <= 4)
"""The 12 cells at a distance of at most 2: an apple's neighbourhood."""

_ORCHARD = """
########################
#AAA    A      A    AAA#
#AA    AAA    AAA    AA#
#A    AAAAA  AAAAA    A#
#      AAA    AAA      #
#       A      A       #
#  A                A  #
# AAA  Q        Q  AAA #
#AAAAA            AAAAA#
# AAA              AAA #
#  A                A  #
#                      #
#                      #
#                      #
#  PPPPPPPPPPPPPPPPPP  #
# PPPPPPPPPPPPPPPPPPPP #
#PPPPPPPPPPPPPPPPPPPPPP#
########################
""".split("\n")[1:-1]
_FIXED = [row.translate(str.maketrans("PQ", "  ")) for row in _ORCHARD]
for _number, (_row, _column) in enumerate(((13, 17), (13, 14), (7, 7), (7, 16), (13, 11), (13, 8), (13, 5))):
    _FIXED[_row] = f"{_FIXED[_row][:_column]}{_number}{_FIXED[_row][_column + 1 :]}"

MAPS: dict[str, tuple[str, ...]] = {"open": tuple(_ORCHARD), "open-fixed": tuple(_FIXED)}
"""Named maps: Melting Pot's Commons Harvest: Open, and the same with the follow-up's fixed first places
(arXiv 2410.08345)."""


@dataclass(frozen=True, eq=False)
class HarvestMap:
    """Tables of one map with `H` rows, `W` columns and `A` apple cells.

    Attributes:
        rows: the drawing.
        shape: (H, W).
        wall: (H * W,) bool.
        apples: (A,) int64 cells that grow apples, in reading order.
        apple_at: (H * W,) int8 number of the apple cell, -1 elsewhere.
        neighbours: (A,) uint64, bit `j` of entry `i`: apple cell `j` lies within distance 2 of `i`, itself left out.
        inside: (I,) int64 first places inside.
        outside: (O,) int64 first places outside, and where players who were zapped come back.
        fixed: (F,) int64 first places of players 0, 1, ...
        padded: (H + 2 PAD, W + 2 PAD) int8: 1 at walls and all around the map, 0 elsewhere.
        window: (4, 121) int64: by direction, where the cells of a window lie in the flat `padded`, counted from
            the player's own cell.
        steps: (4,) int64: one step in each direction, in cell numbers.
    """

    rows: tuple[str, ...]
    shape: tuple[int, int]
    wall: Array
    apples: Array
    apple_at: Array
    neighbours: Array
    inside: Array
    outside: Array
    fixed: Array
    padded: Array
    window: Array
    steps: Array

    @property
    def all_ripe(self) -> np.uint64:
        """The word with every apple ripe."""
        return np.uint64((1 << len(self.apples)) - 1)


def harvest_map(level: str | Sequence[str]) -> HarvestMap:
    """The map of that name, or as drawn.

    Raises:
        ValueError: if the name is unknown, rows differ in length, the border is open, no cell or more than 64 grow
            apples, a digit stands twice, or digits have gaps.
        TypeError: if it is neither a name nor a sequence of strings.
    """
    if isinstance(level, str):
        if level not in MAPS:
            raise ValueError(f"level: {level!r} given, one of {list(MAPS)} or the rows of a map needed")
        return _tables(MAPS[level])
    if not isinstance(level, Sequence) or not all(isinstance(row, str) for row in level):
        raise TypeError(f"level: a name of {list(MAPS)} or rows of text are needed, got {level!r}")
    return _tables(tuple(level))


@functools.cache
def _tables(rows: tuple[str, ...]) -> HarvestMap:
    if len(rows) < 3 or len({len(row) for row in rows}) != 1 or len(rows[0]) < 3:
        raise ValueError("level: at least 3 rows of one length of at least 3 are needed")
    grid = np.array([list(row) for row in rows])
    height, width = grid.shape
    wall = grid == "#"
    if not (wall[0].all() and wall[-1].all() and wall[:, 0].all() and wall[:, -1].all()):
        raise ValueError("level: the border must be wall '#' all around")
    flat = grid.ravel()
    apples = np.flatnonzero(flat == "A")
    if not 1 <= len(apples) <= 64:
        raise ValueError(f"level: 1 to 64 apple cells 'A' are needed, got {len(apples)}")
    digits = sorted(mark for mark in flat.tolist() if mark.isdigit())
    if digits != [str(i) for i in range(len(digits))]:
        raise ValueError(f"level: digits must be 0, 1, ... without a gap and once each, got {digits}")
    apple_at = np.full(height * width, -1, np.int8)
    apple_at[apples] = np.arange(len(apples))
    row, column = np.divmod(apples, width)
    near = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2 <= 4
    np.fill_diagonal(near, False)
    bits = np.uint64(1) << np.arange(len(apples), dtype=np.uint64)
    neighbours = np.where(near, bits, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    padded = np.ones((height + 2 * PAD, width + 2 * PAD), np.int8)
    padded[PAD:-PAD, PAD:-PAD] = wall
    steps = np.array([r * width + c for r, c in STEPS])
    wide = np.array([r * padded.shape[1] + c for r, c in STEPS])
    up, right = np.meshgrid(np.arange(AHEAD, -BEHIND - 1, -1), np.arange(-SIDE, SIDE + 1), indexing="ij")
    window = np.stack([(up * wide[d] + right * wide[(d + 1) % 4]).ravel() for d in range(4)])
    places = [np.flatnonzero(flat == mark) for mark in ("Q", "P")]
    fixed = np.array([int(np.flatnonzero(flat == mark)[0]) for mark in digits], np.int64)
    tables = (wall.ravel(), apples, apple_at, neighbours, *places, fixed, padded, window, steps)
    for table in tables:
        table.flags.writeable = False
    return HarvestMap(rows, (height, width), *tables)
