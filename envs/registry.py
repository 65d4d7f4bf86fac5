"""The list of games, and their registration with Gymnasium and PettingZoo.

Entries are strings only: nothing is imported until it is made.
"""

from __future__ import annotations

import difflib
import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import gymnasium
import pettingzoo

from walras.envs.game import Game

_DOORS = "walras.envs.doors"
_AEC = "walras.envs.doors.aec:GameAECEnv"
Status = Literal["verified", "runs", "known issue"]


@dataclass(frozen=True)
class GameSpec:
    """One entry of the registry.

    Attributes:
        id: `namespace/Name-vN`, the same in all registries; the version rises when a change in the rules changes
            results.
        entry_point: `"module:Class"` of the game.
        kwargs: its parameters under this id.
        title: one line for tables.
        source: the paper or book the setting comes from.
        status: `verified` (checked against theory or published figures by the tests), `runs`, or `known issue`.
        aec: `"module:Class"` of its PettingZoo AEC environment.
    """

    id: str
    entry_point: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    source: str = ""
    status: Status = "runs"
    aec: str = _AEC

    def make(self, **parameters: Any) -> Game[Any]:
        """The game with these parameters over the registered ones."""
        module, _, attribute = self.entry_point.partition(":")
        game: Game[Any] = getattr(importlib.import_module(module), attribute)(**{**self.kwargs, **parameters})
        return game


_games: dict[str, GameSpec] = {}
_ID = re.compile(r"[\w.-]+/[A-Z]\w*-v\d+")


def register(
    id: str,
    entry_point: str,
    *,
    kwargs: Mapping[str, Any] | None = None,
    title: str = "",
    source: str = "",
    status: Status = "runs",
    aec: str = _AEC,
) -> None:
    """Register a game under `id` with walras, Gymnasium (single and vector) and PettingZoo (parallel and AEC).

    Args:
        id: `namespace/CamelName-vN`.
        entry_point: `"module:Class"` of a `walras.Game`.
        kwargs: JSON-able parameters.
        title: one line for tables.
        source: the paper or book.
        status: how far it is checked.
        aec: `"module:Class"` of the AEC environment, a `GameAECEnv`, for games whose table offers more.

    Raises:
        ValueError: if the id or an entry point is malformed, the id is taken by another entry, the status is unknown,
            or `kwargs` do not go to JSON and back.
        TypeError: if an argument has another type.
    """
    texts = {"id": id, "entry_point": entry_point, "title": title, "source": source, "aec": aec}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"{name}: a string is needed, got {text!r}")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs: a mapping is needed, got {kwargs!r}")
    if status not in get_args(Status):
        raise ValueError(f"status: {status!r} given, one of {list(get_args(Status))} needed")
    try:
        json.dumps(dict(kwargs or {}), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"kwargs: {kwargs!r} does not go to JSON: {error}") from error
    if not all(isinstance(name, str) for name in kwargs or {}):
        raise ValueError(f"kwargs: names of parameters are needed as keys, got {list(kwargs or {})}")
    if not _ID.fullmatch(id):
        raise ValueError(f"id: {id!r} is not of the form 'namespace/CamelName-v0'")
    for name in ("entry_point", "aec"):
        if not re.fullmatch(r"[\w.]+:\w+", texts[name]):
            raise ValueError(f"{name}: {texts[name]!r} is not of the form 'package.module:Class'")
    spec = GameSpec(id, entry_point, dict(kwargs or {}), title, source, status, aec)
    if id in _games:
        if _games[id] == spec:
            return
        raise ValueError(f"id: {id!r} is already registered for {_games[id].entry_point}")
    _games[id] = spec
    gymnasium.register(
        id=id,
        entry_point=f"{_DOORS}.single:SeatEnv",
        vector_entry_point=f"{_DOORS}.vector:SeatVectorEnv",
        kwargs={"game": id},
    )
    pettingzoo.register("parallel", id, entry_point=f"{_DOORS}.parallel:GameParallelEnv", kwargs={"game": id})
    pettingzoo.register("aec", id, entry_point=aec, kwargs={"game": id})


def spec(id: str) -> GameSpec:
    """The registry's entry.

    Args:
        id: `"namespace/Name-v0"`, or `"module:namespace/Name-v0"`: then `module`, which registers the game, is
            imported first.

    Raises:
        KeyError: if the id is unknown; the message names close matches.
        ModuleNotFoundError: if the module named before the colon cannot be found.
        TypeError: if `id` is not a string.
    """
    if not isinstance(id, str):
        raise TypeError(f"id: a string is needed, got {id!r}")
    module, colon, rest = id.partition(":")
    if colon:
        try:
            importlib.import_module(module)
        except ValueError as error:
            raise ValueError(f"id: {id!r} is not of the form 'module:namespace/Name-v0'") from error
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"id: {id!r} needs the module {module!r}: {error}", name=error.name) from error
        id = rest
    if id not in _games:
        close = difflib.get_close_matches(id, _games, n=3, cutoff=0.4)
        raise KeyError(
            f"id: {id!r} is not a registered game"
            + (f"; did you mean {close}?" if close else f"; known: {list(_games)}")
        )
    return _games[id]


def specs() -> tuple[GameSpec, ...]:
    """All registered games, in order of registration."""
    return tuple(_games.values())


def make(id: str, **parameters: Any) -> Game[Any]:
    """The game registered under `id` (as in `spec`), with `parameters` over its registered ones.

    Raises:
        KeyError: if the id is unknown.
        ModuleNotFoundError: if the id names a module that cannot be found.
        TypeError, ValueError: if the game refuses a parameter.
    """
    return spec(id).make(**parameters)


def as_game(game: Game[Any] | str, parameters: Mapping[str, Any]) -> Game[Any]:
    """A game from an id and parameters, or the game itself (then without parameters).

    Raises:
        TypeError: if parameters are given beside a finished game, or `game` is neither.
    """
    if isinstance(game, str):
        return make(game, **parameters)
    if not isinstance(game, Game):
        raise TypeError(f"game: an id or a walras.Game is needed, got {type(game).__name__}")
    if parameters:
        raise TypeError(f"game: parameters {sorted(parameters)} can be given with an id only, not with a finished game")
    return game
