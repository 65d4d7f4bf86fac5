"""A strategy over the infostates of a flat game: it sits in seats, in files, and in OpenSpiel."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.agents.storage import load_arrays, save_arrays
from walras.envs.game import Array, Game

if TYPE_CHECKING:
    from walras.envs.tabular.flat import FlatGame

KIND = "walras.TabularStrategy"


@dataclass(frozen=True, eq=False)
class TabularStrategy:
    """Probabilities of every action at every infostate of a finite game, all players' in one table.

    As a policy it plays `TabularGame` of the same game in any seat: it takes infostates (B,) and gives positions (B,)
    in the infostate's ascending list of actions. `for_game` makes a policy for the walras game itself.

    Attributes:
        offset: (I + 1,) int32, the slots of infostate i are `offset[i]` to `offset[i + 1]`.
        probabilities: (S,) float64 over slots, summing to one at every infostate.
        game: the text the flat game was compiled from.
        fingerprint: of the flat game.
    """

    offset: Array = field(repr=False)
    probabilities: Array = field(repr=False)
    game: str
    fingerprint: str = field(repr=False)

    @classmethod
    def of(cls, game: FlatGame, probabilities: Array) -> TabularStrategy:
        """The strategy of a flat game.

        Raises:
            ValueError: if the numbers (S,) are no probabilities that sum to one at every infostate.
        """
        kept = game.check_strategy(probabilities).copy()
        kept.flags.writeable = False
        return cls(game.info_offset, kept, game.name, game.fingerprint)

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        offset, slots = np.asarray(self.offset), np.asarray(self.probabilities)
        if offset.ndim != 1 or offset[0] != 0 or offset[-1] != len(slots) or (np.diff(offset) < 1).any():
            raise ValueError(f"offset: numbers that ascend from 0 to {len(slots)} are needed")
        total = np.add.reduceat(slots, offset[:-1])
        if not ((slots >= -1e-12).all() and (np.abs(total - 1.0) < 1e-6).all()):
            raise ValueError("probabilities: nonnegative numbers that sum to one at every infostate are needed")

    def __eq__(self, other: object) -> bool:
        """Whether it is the same table over the same game."""
        return (
            isinstance(other, TabularStrategy)
            and self.fingerprint == other.fingerprint
            and np.array_equal(self.probabilities, other.probabilities)
        )

    __hash__ = None  # type: ignore[assignment]

    def at(self, infostate: int) -> Array:
        """(k,) the probabilities of an infostate's actions.

        Raises:
            IndexError: if there is no such infostate.
        """
        if not 0 <= infostate < len(self.offset) - 1:
            raise IndexError(f"infostate must lie in [0, {len(self.offset) - 1}), got {infostate!r}")
        return np.asarray(self.probabilities[self.offset[infostate] : self.offset[infostate + 1]])

    def __call__(self, observation: Array, *, mask: Array | None = None, rng: np.random.Generator) -> Array:
        """Positions (B,) drawn at infostates (B,); 0 where it is not the player's turn (infostate I)."""
        seen = np.asarray(observation).reshape(len(observation)).astype(np.int64)
        u = rng.random((len(seen), 1))[:, 0]
        idle = seen >= len(self.offset) - 1
        first, end = self.offset[np.where(idle, 0, seen)], self.offset[np.where(idle, 0, seen) + 1]
        chosen = np.zeros(len(seen), np.int64)
        left = u.copy()
        for a in range(int((end - first).max(initial=1)) - 1):
            here = first + a < end
            left = left - np.where(here, self.probabilities[np.minimum(first + a, end - 1)], 0.0)
            chosen += (left >= 0.0) & (first + a + 1 < end)
        return np.where(idle, 0, chosen)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file, the numbers as tensors and text and fingerprint of the game in its header."""
        arrays = {"offset": self.offset, "probabilities": self.probabilities}
        save_arrays(path, KIND, arrays, {"game": self.game, "fingerprint": self.fingerprint})

    @classmethod
    def load(cls, path: str | os.PathLike[str], game: FlatGame | None = None) -> TabularStrategy:
        """The strategy written by `save`, to the bit.

        Args:
            path: of the file.
            game: where given, the strategy must be one of this game.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not one, is damaged, or belongs to another game.
        """
        arrays, facts = load_arrays(path, KIND)
        try:
            found = cls(arrays["offset"], arrays["probabilities"], str(facts["game"]), str(facts["fingerprint"]))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"path: {os.fspath(path)!r} is not a whole file of kind {KIND!r}: {error}") from error
        if game is not None:
            found.check(game)
        return found

    def check(self, game: FlatGame) -> None:
        """Make sure that this is a strategy of `game`.

        Raises:
            ValueError: if it is one of another game.
        """
        if self.fingerprint != game.fingerprint:
            raise ValueError(f"game: the strategy belongs to {self.game}, and {game.name} is another game")

    def for_game(self, game: Game[Any], agent: str) -> ObservedStrategy:
        """A policy for one seat of the walras game that was compiled, acting on that game's own observations.

        Args:
            game: the `FiniteGame` behind the flat game.
            agent: the seat.

        Raises:
            ValueError: if the game is another one, or two infostates of the agent look the same to it (it would need
                to remember: play `TabularGame` instead).
        """
        from walras.agents.observed import observed_strategy

        return observed_strategy(self, game, agent)


@dataclass(frozen=True, eq=False)
class ObservedStrategy:
    """One agent's strategy keyed by what it observes; made by `TabularStrategy.for_game`.

    Attributes:
        keys: observations, as bytes -> row.
        actions: (A, *shape) the action behind each column.
        rows: (K, A) probabilities.
    """

    keys: dict[bytes, int] = field(repr=False)
    actions: Array = field(repr=False)
    rows: Array = field(repr=False)

    def __call__(self, observation: Any, *, mask: Array | None = None, rng: np.random.Generator) -> Array:
        """Actions (B, *shape); at observations that the game never shows, any action that the mask allows."""
        from walras.agents.observed import rows_as_bytes

        seen = rows_as_bytes(observation)
        index = np.array([self.keys.get(key, -1) for key in seen])
        rows = self.rows[index]
        if (index < 0).any():
            free = np.ones_like(rows) if mask is None else mask.astype(np.float64)
            rows = np.where((index < 0)[:, None], free, rows)
        cumulative = np.cumsum(rows, axis=1)
        u = rng.random((len(rows), 1)) * cumulative[:, -1:]
        return np.asarray(self.actions[np.minimum((cumulative <= u).sum(axis=1), len(self.actions) - 1)])
