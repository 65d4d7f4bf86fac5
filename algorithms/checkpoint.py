"""The whole state of an unfinished training in one safetensors file: written whole, checked, never mistaken.

Arrays are the file's tensors; what describes them is JSON in its header. Nothing in it is executed. The file also says
which training it belongs to, so that another one does not go on from it, and holds a digest of everything else.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from walras.agents.storage import load_arrays, save_arrays
from walras.envs.game import Array, Game

_KIND = "walras.PPOCheckpoint"
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Standing(NamedTuple):
    """How far a training has come.

    Attributes:
        rollouts: done so far, updates included.
        curve: (moves, mean return) after each of them that had one.
        seconds: processor time and time on the clock spent so far.
        arrays: everything that determines how it goes on, name -> array of numbers.
    """

    rollouts: int
    curve: list[tuple[int, float]]
    seconds: tuple[float, float]
    arrays: dict[str, Array]


class Checkpoint:
    """The file in which one training keeps its standing."""

    def __init__(self, path: str | os.PathLike[str], training: Mapping[str, Any]) -> None:
        """Neither reads nor writes.

        Args:
            path: of the file.
            training: what tells this training from others, as `describe` gives it.
        """
        self.path = Path(path)
        self._training: dict[str, Any] = json.loads(json.dumps(training, default=float))

    def load(self) -> Standing | None:
        """The standing to go on from, or `None` where there is no file.

        Raises:
            ValueError: if the file is not a checkpoint, is damaged, or belongs to another training.
        """
        if not self.path.exists():
            return None
        arrays, facts = load_arrays(self.path, _KIND)
        try:
            there: dict[str, Any] = facts["training"]
            curve = [(int(move), float(mean)) for move, mean in facts["curve"]]
            standing = Standing(int(facts["rollouts"]), curve, (facts["seconds"][0], facts["seconds"][1]), arrays)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f"checkpoint: {os.fspath(self.path)!r} is not a whole file of kind {_KIND!r}: {error}"
            ) from error
        differing = [
            f"{name} is {_short(there.get(name))} there and {_short(self._training.get(name))} here"
            for name in {**there, **self._training}
            if there.get(name) != self._training.get(name)
        ]
        if differing:
            raise ValueError(
                f"checkpoint: {os.fspath(self.path)!r} belongs to another training: {'; '.join(differing)}; "
                "remove the file to begin anew"
            )
        return standing

    def prepare(self) -> None:
        """Make the file's folder, so that a path that cannot be written is found out before the first move."""
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def save(self, standing: Standing) -> None:
        """Replace the file.

        Raises:
            ValueError: if an array is not one of numbers.
        """
        facts = {
            "training": self._training, "rollouts": standing.rollouts, "curve": standing.curve,
            "seconds": standing.seconds,
        }  # fmt: skip
        save_arrays(self.path, _KIND, standing.arrays, facts)

    def unfit(self, error: Exception) -> ValueError:
        """What to raise when a file in order cannot be gone on from, as one of another version of the libraries."""
        return ValueError(f"checkpoint: {os.fspath(self.path)!r} does not fit this training: {error}")

    def remove(self) -> None:
        """The training is finished."""
        self.path.unlink(missing_ok=True)


def describe(game: Game[Any], agent: str, settings: Any, seed: int, others: Any) -> dict[str, Any]:
    """What must agree for one training to go on from another's file: name -> JSON-able value.

    Games and policies are compared by what they print and, for games, by what their public attributes print.
    """
    lasting = {
        name: _text(value)
        for name, value in vars(game).items()
        if not name.startswith("_") and not isinstance(getattr(type(game), name, None), functools.cached_property)
    }
    rivals = {name: _text(who) for name, who in others.items()} if isinstance(others, Mapping) else others
    chosen = {f"settings.{name}": value for name, value in dataclasses.asdict(settings).items()}
    own = {f"game.{name}": value for name, value in lasting.items()}
    return {"game": _text(game), **own, "agent": agent, "others": rivals, "seed": int(seed), **chosen}


def _text(thing: Any) -> str:
    """The same in every process: without addresses."""
    return _ADDRESS.sub("", repr(thing.tolist() if isinstance(thing, np.ndarray) else thing))


def _short(value: Any) -> str:
    return textwrap.shorten(value if isinstance(value, str) else json.dumps(value), 120, placeholder=" ...")
