"""From any finite game to flat arrays: walras games level by level, OpenSpiel games state by state.

Both find the same tree. Agents who move at the same time become players who move one after another without seeing what
the others chose. Infostates have perfect recall: a player knows, for every step of the rules so far, what it observed,
whether it was asked, and what it did. Some of OpenSpiel's games (goofspiel) name information states that forget; they
are split here by what the player did before.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from walras.envs.arguments import whole
from walras.envs.finite import as_finite
from walras.envs.game import Game
from walras.envs.registry import as_game
from walras.envs.tabular.flat import FlatGame
from walras.envs.tabular.from_rules import RulesSource
from walras.envs.tabular.from_spiel import SpielSource
from walras.envs.tabular.sizes import DIVES, Size

if TYPE_CHECKING:
    from walras.envs.doors.from_openspiel import OpenSpielGame

LIMIT = 20_000_000
"""Largest number of nodes that `compile_game` expands unless told otherwise; a node takes about 70 bytes."""

KEPT, KEPT_NODES = 16, 1_000_000
"""How many games `cached_game` keeps, and the largest one it keeps."""

Progress = Callable[[float, str], None]


def compile_game(game: Any, *, limit: int = LIMIT, progress: Progress | None = None, **parameters: Any) -> FlatGame:
    """Expand a finite game once, to flat arrays.

    Args:
        game: a `FlatGame` (returned as it is), a walras `FiniteGame`, a registered id, OpenSpiel's text for a game
            (`"leduc_poker"`, `"goofspiel(num_cards=3)"`), or a `pyspiel.Game`. OpenSpiel's simultaneous games are
            taken in turns.
        limit: largest number of nodes. The size is estimated by random descents (Knuth 1975, Mathematics of
            Computation 29) before anything is expanded, and counted while it is.
        progress: told `(fraction, text)` now and then; the fraction is of the estimated size.
        parameters: of the game, where a registered id is given.

    Raises:
        ValueError: if the game is larger than `limit` (before memory is used up), is unknown, or breaks the rules of
            finite games.
        TypeError: if the game is not finite.
    """
    limit = whole("limit", limit)
    if isinstance(game, FlatGame):
        if parameters:
            raise TypeError(f"game: parameters {sorted(parameters)} can be given with an id only")
        return game
    source = _source(game, parameters)
    size = source.estimate()
    # Were there no more than `limit` nodes, a descent would pass 4 * limit with probability 1/4 at most (Markov).
    if size.nodes - 3.0 * size.deviation > limit or size.median > 4.0 * limit:
        raise ValueError(
            f"limit: {source.name} has about {size.nodes:.3g} nodes (standard error {size.deviation:.2g}, estimated by "
            f"{DIVES} random descents), more than {limit}; use a smaller game or a larger limit (a node takes about 70 "
            "bytes)"
        )
    return source.expand(limit, functools.partial(_tell, progress, size.nodes))


def cached_game(game: Any, *, limit: int = LIMIT, **parameters: Any) -> FlatGame:
    """As `compile_game`, but texts and ids are compiled once in a process: the last games of moderate size are kept."""
    try:
        key = (game, str(limit), json.dumps(parameters, sort_keys=True))
    except TypeError:  # parameters that are objects: nothing says when two of them are the same
        key = None
    if key is None or not isinstance(game, str):
        return compile_game(game, limit=limit, **parameters)
    if key not in _kept:
        flat = compile_game(game, limit=limit, **parameters)
        if flat.n_nodes > KEPT_NODES:
            return flat
        if len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = flat
    return _kept[key]


_kept: dict[tuple[Any, ...], FlatGame] = {}


def estimate_size(game: Any, **parameters: Any) -> Size:
    """Estimated number of nodes of a game's tree, by random descents, without expanding it; arguments as above."""
    return _source(game, parameters).estimate()


def _tell(progress: Progress | None, expected: float, nodes: int) -> None:
    if progress is not None:
        progress(min(1.0, nodes / max(expected, 1.0)), f"{nodes:,} nodes")


def _source(game: Any, parameters: dict[str, Any]) -> RulesSource | SpielSource | _Arrays:
    from walras.envs.registry import specs

    if isinstance(game, str):
        if "/" in game or game in [spec.id for spec in specs()]:
            game = as_game(game, parameters)
        else:
            return SpielSource(_load(game, parameters))
    elif parameters:
        raise TypeError(f"game: parameters {sorted(parameters)} can be given with an id only, not with a finished game")
    if isinstance(game, Game):
        if type(game).__name__ == "OpenSpielGame":
            wrapped: OpenSpielGame = game  # type: ignore[assignment]
            return SpielSource(wrapped.openspiel)
        flat = getattr(game, "flat", None)
        if isinstance(flat, FlatGame) and game.horizon is None:
            return _Arrays(flat)
        return RulesSource(as_finite(game))
    try:
        import pyspiel
    except ImportError:
        pyspiel = None
    if pyspiel is not None and isinstance(game, pyspiel.Game):
        rules = getattr(game, "walras", None)
        return SpielSource(game) if rules is None else RulesSource(rules)
    raise TypeError(
        f"game: a walras FiniteGame, an id, OpenSpiel's text for a game or a pyspiel.Game is needed, got {game!r}"
    )


def _load(text: str, parameters: dict[str, Any]) -> Any:
    try:
        from walras.envs.doors.from_openspiel import load_openspiel
    except ImportError as error:
        raise ImportError(
            f"game: {text!r} is not an id of walras, and for OpenSpiel's games OpenSpiel is needed: "
            "pip install 'walras[games]'"
        ) from error

    inside = ",".join(f"{name}={value}" for name, value in parameters.items())
    return load_openspiel(f"{text}({inside})" if inside else text)


class _Arrays:
    """A game that is already compiled."""

    def __init__(self, flat: FlatGame) -> None:
        self.flat, self.name = flat, flat.name

    def estimate(self) -> Size:
        return Size(float(self.flat.n_nodes), 0.0, float(self.flat.n_nodes))

    def expand(self, limit: int, tell: Callable[[int], None]) -> FlatGame:
        return self.flat
