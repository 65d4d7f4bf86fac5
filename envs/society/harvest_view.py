"""Pictures of the harvest worlds: from above, as a player sees it, and as a film.

Cells are 8 x 8 pixels, drawn by hand here; the size of the pictures is Melting Pot's (world 144 x 192, view 88 x 88),
the sprites are not.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from walras.envs.society.harvest_map import AHEAD, PAD, SIDE, WINDOW

if TYPE_CHECKING:
    from walras.envs.society.commons import CommonsHarvest, HarvestState

Picture = npt.NDArray[np.uint8]
CELL = 8
"""Pixels of a cell's side."""
OUTSIDE = (24, 24, 28)
COLOURS = (
    (55, 110, 210), (215, 80, 60), (150, 90, 190), (240, 160, 40),
    (60, 165, 165), (205, 95, 150), (120, 120, 60),
)  # fmt: skip
"""Of players 0 to 6; further players take them again."""

_SPRITES = {
    "floor": ("........", ".o......", "........", "....o...", "........", "......o.", ".o......", "........"),
    "grass": ("..g....g", ".g......", "....g...", "...g....", "........", ".g....g.", "g....g..", "........"),
    "wall": ("wwwwwwww", "w######w", "w######w", "w######w", "w######w", "w######w", "w######w", "wwwwwwww"),
    "apple": ("....s...", "...s....", "..rrrr..", ".rrhrrr.", ".rrrrrr.", ".rrrrrr.", "..rrrr..", "...rr..."),
    "player": ("...bb...", "..bbbb..", ".beebee.", ".bbbbbb.", "bbbbbbbb", "bbbbbbbb", ".bbbbbb.", "..b..b.."),
}
_INK = {
    "floor": {".": (222, 208, 186), "o": (211, 196, 173)},
    "grass": {".": (166, 200, 108), "g": (146, 184, 90)},
    "wall": {"w": (88, 88, 92), "#": (110, 110, 115)},
    "apple": {"s": (92, 64, 40), "r": (208, 48, 44), "h": (246, 150, 140)},
    "player": {"e": (255, 255, 255)},
}


def as_text(game: CommonsHarvest, state: HarvestState, lane: int = 0) -> str:
    """The map in characters, and what each player is about."""
    height, width = game.map.shape
    cells = np.array(list("#" if wall else " " for wall in game.map.wall))
    live = int(state.live[lane])
    for k, cell in enumerate(game.map.apples):
        near = live & int(game.map.neighbours[k])
        cells[cell] = "A" if live >> k & 1 else "," if near else "."
    gone = []
    for i, (place, facing, away) in enumerate(
        zip(state.place[lane], state.facing[lane], state.away[lane], strict=True)
    ):
        if away:
            gone.append(f"player_{i} away for {away} steps")
        else:
            cells[place] = "^>v<"[facing]
    rows = ["".join(row) for row in cells.reshape(height, width)]
    return "\n".join([*rows, f"step {state.steps[lane]}, {live.bit_count()} ripe", *gone])


def draw_world(game: CommonsHarvest, state: HarvestState, lane: int = 0) -> Picture:
    """(8 H, 8 W, 3) the world from above, players in their colours, facing where they face."""
    height, width = game.map.shape
    live = int(state.live[lane])
    tiles = np.empty((height * width, CELL, CELL, 3), np.uint8)
    tiles[:] = _tile("floor")
    tiles[game.map.wall] = _tile("wall")
    for k, cell in enumerate(game.map.apples):
        ripe = bool(live >> k & 1)
        alive = ripe or bool(live & int(game.map.neighbours[k]))
        tiles[cell] = _tile("grass") if alive else _tile("floor")
        if ripe:
            _over(tiles[cell], "apple")
    for i, (place, facing, away) in enumerate(
        zip(state.place[lane], state.facing[lane], state.away[lane], strict=True)
    ):
        if not away:
            _over(tiles[place], "player", COLOURS[i % len(COLOURS)], int(facing))
    return tiles.reshape(height, width, CELL, CELL, 3).swapaxes(1, 2).reshape(height * CELL, width * CELL, 3)


def draw_view(game: CommonsHarvest, state: HarvestState, player: int, lane: int = 0) -> Picture:
    """(88, 88, 3) what one player sees, "ahead" up; all dark while it is away."""
    rows, columns = WINDOW
    if state.away[lane, player]:
        return np.full((rows * CELL, columns * CELL, 3), OUTSIDE, np.uint8)
    world = draw_world(game, state, lane)
    wide = np.full((world.shape[0] + 2 * PAD * CELL, world.shape[1] + 2 * PAD * CELL, 3), OUTSIDE, np.uint8)
    wide[PAD * CELL : -PAD * CELL, PAD * CELL : -PAD * CELL] = world
    facing = int(state.facing[lane, player])
    wide = np.rot90(wide, facing)  # counter-clockwise: what lay to the east comes up
    row, column = divmod(int(state.place[lane, player]), game.map.shape[1])
    cells = np.zeros((game.map.shape[0] + 2 * PAD, game.map.shape[1] + 2 * PAD), bool)
    cells[row + PAD, column + PAD] = True
    ((row, column),) = np.argwhere(np.rot90(cells, facing))
    top, left = (row - AHEAD) * CELL, (column - SIDE) * CELL
    return np.ascontiguousarray(wide[top : top + rows * CELL, left : left + columns * CELL])


def save_film(
    game: CommonsHarvest,
    states: Iterable[HarvestState],
    path: str | os.PathLike[str],
    *,
    lane: int = 0,
    scale: int = 2,
    fps: float = 10.0,
) -> int:
    """Write an animated GIF, one frame a state; returns how many frames there are.

    Args:
        game: whose states they are.
        states: in order; drawn one by one.
        path: file to write.
        lane: which lane of the states.
        scale: pixels of the film for one of the picture, >= 1.
        fps: frames a second.

    Raises:
        ImportError: without Pillow (it comes with matplotlib, the extra `report`).
        ValueError: if there are no states.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("films need Pillow: pip install 'walras[report]'") from error
    frames = []
    for state in states:
        picture = draw_world(game, state, lane).repeat(scale, axis=0).repeat(scale, axis=1)
        frames.append(Image.fromarray(picture).quantize(64, dither=Image.Dither.NONE))
    if not frames:
        raise ValueError("states: a film needs at least one")
    frames[0].save(
        path, format="GIF", save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0, optimize=True
    )
    return len(frames)


@functools.cache
def _tile(name: str) -> Picture:
    """(8, 8, 3) of a sprite without holes."""
    tile = np.array([[_INK[name][mark] for mark in row] for row in _SPRITES[name]], np.uint8)
    tile.flags.writeable = False
    return tile


def _over(tile: Picture, name: str, body: tuple[int, int, int] | None = None, facing: int = 0) -> None:
    """Paint a sprite with holes on a tile; it faces north until it is turned."""
    marks = np.rot90(np.array([list(row) for row in _SPRITES[name]]), -facing)
    for mark, ink in ({**_INK[name], "b": body} if body else _INK[name]).items():
        tile[marks == mark] = ink
