"""What the tabular learners share: work in slices that can be interrupted, and files that resume to the same bits."""

from __future__ import annotations

import abc
import os
import time
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np

from walras.agents.storage import load_arrays, save_arrays
from walras.agents.strategy import TabularStrategy
from walras.envs.game import Array
from walras.envs.tabular.compile import compile_game
from walras.envs.tabular.flat import FlatGame

Progress = Callable[[float, str], None]  # progress(fraction, text): how far a call of `fit` is

SLICE = 0.2
"""Seconds of compiled work, about, between two chances to interrupt it."""


class TabularLearner(abc.ABC):
    """A learner whose whole state is a few arrays; `fit` may be called again, and a saved learner goes on.

    Attributes:
        settings: what the constructor was given, JSON-able.
    """

    kind: ClassVar[str]
    settings: dict[str, Any]

    @property
    @abc.abstractmethod
    def iteration_(self) -> int:
        """Iterations done."""

    @property
    @abc.abstractmethod
    def nodes_(self) -> int:
        """Nodes touched; how they are counted is the learner's."""

    @property
    @abc.abstractmethod
    def game(self) -> FlatGame:
        """The flat game that is learned."""

    @property
    @abc.abstractmethod
    def average_(self) -> Array:
        """(S,) the average strategy, uniform where nothing was learned."""

    @abc.abstractmethod
    def _arrays(self) -> dict[str, Array]:
        """The arrays that change while learning; they are written in place when a file is loaded."""

    @abc.abstractmethod
    def _facts(self) -> dict[str, Any]:
        """Numbers and texts that belong to the state; `_resume` takes them back."""

    @abc.abstractmethod
    def _resume(self, facts: dict[str, Any]) -> None:
        """Take back what `_facts` gave."""

    @abc.abstractmethod
    def _identity(self) -> str:
        """What tells the learned setting from others."""

    @property
    def strategy_(self) -> TabularStrategy:
        """The average strategy as an agent that sits in seats and files."""
        return TabularStrategy.of(self.game, self.average_)

    def _pack(self) -> dict[str, Array]:
        """The arrays of a file."""
        return self._arrays()

    def _unpack(self, arrays: dict[str, Array]) -> None:
        """Take back what `_pack` gave (ValueError or KeyError if it does not fit)."""
        own = self._arrays()
        if own.keys() != arrays.keys():
            raise ValueError(f"arrays {sorted(arrays)} there, {sorted(own)} here")
        for key, value in own.items():
            if value.shape != arrays[key].shape or value.dtype != arrays[key].dtype:
                raise ValueError(f"{key} is {arrays[key].dtype}{arrays[key].shape} there, {value.shape} here")
        for key, value in own.items():
            value[...] = arrays[key]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that learning goes on from, as a safetensors file; an existing file is replaced."""
        facts = {"settings": self.settings, "identity": self._identity(), "state": self._facts()}
        save_arrays(path, self.kind, self._pack(), facts)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *setting: Any, **more: Any) -> Self:
        """The learner written by `save`, to the bit, for the same setting.

        Args:
            path: of the file.
            setting: the game (and process) as the constructor takes them; its other arguments come from the file.
            more: the same by name.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not one, is damaged, or belongs to another setting.
        """
        arrays, facts = load_arrays(path, cls.kind)
        name = os.fspath(path)
        try:
            learner = cls(*setting, **more, **facts["settings"])
            if facts["identity"] != learner._identity():
                raise ValueError("it was learned in another setting")
            learner._unpack(arrays)
            learner._resume(facts["state"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"path: {name!r} does not fit this setting: {error}") from error
        return learner


def sliced(done: int, target: int, run: Callable[[int], int], progress: Progress | None, unit: str) -> None:
    """Call `run(until)` with growing goals up to `target`, so that each call takes about `SLICE` seconds.

    Args:
        done: how far the work is.
        target: where it ends.
        run: works at least until the goal and returns how far it came.
        progress: told after each call.
        unit: the word for what is counted.
    """
    begin, step = done, 1
    while done < target:
        goal = min(target, done + step)
        start = time.perf_counter()
        done = max(run(goal), goal)
        spent = time.perf_counter() - start
        if spent < SLICE / 2:
            step *= 4
        elif spent > SLICE:
            step = max(1, int(step * SLICE / spent))
        if progress is not None:
            progress(min(1.0, (done - begin) / max(target - begin, 1)), f"{done:,} {unit}")


def as_flat(game: Any) -> FlatGame:
    """The flat game of anything that `compile_game` takes.

    Raises:
        ValueError: if nobody decides anything in it.
    """
    flat = game if isinstance(game, FlatGame) else compile_game(game)
    if flat.n_slots == 0:
        raise ValueError(f"game: nobody decides anything in {flat.name}; there is nothing to learn")
    return flat


def count(name: str, number: Any) -> int:
    """A number of nodes or iterations to do, 0 allowed; floats that are whole, such as 5e6, too.

    Raises:
        ValueError: naming `name`, for anything else.
    """
    numeric = isinstance(number, int | float | np.integer) and not isinstance(number, bool)
    if not numeric or not 0 <= number < 2**62 or number != int(number):
        raise ValueError(f"{name} must be a whole number of at least 0, got {number!r}")
    return int(number)


def averaging_of(given: str | None, default: str, players: int) -> str:
    """Where strategies enter the average: `"opponent"` (where others move) or `"published"` (at one's own visits).

    Raises:
        ValueError: if it is neither, or nobody else moves.
    """
    if given not in (None, "opponent", "published"):
        raise ValueError(f"averaging must be 'opponent' or 'published', got {given!r}")
    if given == "opponent" and players == 1:
        raise ValueError("averaging must be 'published' in a game of one player: there is no opponent, got 'opponent'")
    return given or ("published" if players == 1 else default)
