"""Draw the pictures of docs/harvest.md: `python docs/harvest_pictures.py` (a few seconds)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from walras.agents.harvest import Restraint
from walras.envs.arena import Arena
from walras.envs.seats import fill_seats
from walras.envs.society.commons import CommonsHarvest
from walras.envs.society.harvest_view import draw_view, save_film

HERE = Path(__file__).parent


def states(k: int, steps: int) -> tuple[CommonsHarvest, list]:
    """An episode of equally restrained players."""
    game = CommonsHarvest(zap=False, sight="world")
    arena = Arena(game, 1, fill_seats(game, {"player": Restraint(k)}))
    arena.seed(4)
    arena.deal()
    seen = [arena.state]
    for _ in range(steps):
        arena.step({})
        seen.append(arena.state)
    return game, seen


def main() -> None:
    """The film of restrained players, and three pictures in one: greedy, restrained, and a player's view."""
    game, restrained = states(3, 150)
    save_film(game, restrained[::2], HERE / "harvest.gif", scale=2, fps=8)
    _, greedy = states(0, 60)
    view = draw_view(game, restrained[60], 0).repeat(2, axis=0).repeat(2, axis=1)
    worlds = [game.render_rgb(state).repeat(2, axis=0).repeat(2, axis=1) for state in (greedy[60], restrained[60])]
    gap = np.full((worlds[0].shape[0], 12, 3), 255, np.uint8)
    frame = np.full((worlds[0].shape[0], view.shape[1], 3), 255, np.uint8)
    top = (len(frame) - len(view)) // 2
    frame[top : top + len(view)] = view
    whole = np.concatenate([worlds[0], gap, worlds[1], gap, frame], axis=1)
    Image.fromarray(whole).save(HERE / "harvest.png", optimize=True)


if __name__ == "__main__":
    main()
