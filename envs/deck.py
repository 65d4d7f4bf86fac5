"""Episodes dealt ahead: why a single environment begins an episode almost for free."""

from __future__ import annotations

from typing import Generic

import numpy as np

from walras.envs.game import Game, S, take
from walras.envs.lanes import Clock, LaneRandom

AHEAD = 64
"""Most episodes dealt at once."""


class Deck(Generic[S]):
    """First states of one lane's coming episodes.

    What nature deals in an episode depends on (seed, lane, episode) alone, so the coming episodes can be dealt in one
    call of the rules, one row each, and handed out one by one: the same numbers at a fraction of the price. The
    first call deals one episode, the next two, then four, so nobody pays for many who needs one.
    """

    def __init__(self, game: Game[S]) -> None:
        """Nothing is dealt yet."""
        self._game = game
        self._first, self._size = 0, 0
        self._states: S | None = None

    def deal(self, clock: Clock) -> S:
        """The first state of the episode at `clock`, a clock of one lane; no state is handed out twice."""
        episode = int(clock.episode[0])
        at = episode - self._first
        if self._states is None or not 0 <= at < self._size:
            self._size = min(max(1, 2 * self._size), AHEAD)
            lanes = [np.repeat(word, self._size, axis=0) for word in clock]
            ahead = Clock(*lanes)._replace(episode=np.arange(episode, episode + self._size, dtype=np.uint64))
            self._states = self._game.initial(self._size, LaneRandom(ahead))
            self._first, at = episode, 0
        return take(self._states, slice(at, at + 1))
