"""OpenSpiel games behind the other doors: any of its finite games as a walras game."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import pyspiel
from gymnasium import spaces

from walras.envs.game import Array, FiniteGame, Role, take

MEMORY = 100_000
"""Histories whose OpenSpiel state is kept at hand."""


class HistoryState(NamedTuple):
    """State of an OpenSpiel game.

    Attributes:
        history: (B, H) OpenSpiel's action history (all players' actions, nature's too), padded with -1.
        paid: (B, n) rewards paid so far.
    """

    history: Array
    paid: Array


class OpenSpielGame(FiniteGame[HistoryState]):
    """An OpenSpiel game under walras's rules; made by `from_openspiel`.

    ## Action space
    `Discrete(num_distinct_actions)` with a mask of legal actions.

    ## Observation space
    OpenSpiel's information-state tensor of the player, or its observation tensor where there is no such tensor (zeros
    while nature moves).

    ## Rewards
    What OpenSpiel's returns grew by. What a chance move pays comes with the next step; if the game ended with that
    chance move, `player_0` is asked once more and has the one action 0.

    ## Episode end
    By OpenSpiel's rules, when everything is paid.

    Source: Lanctot et al., "OpenSpiel: A framework for reinforcement learning in games", arXiv 1908.09453.
    """

    def __init__(self, name: str) -> None:
        """Load `name`, OpenSpiel's own text for a game and its parameters (`"goofspiel(num_cards=3)"`)."""
        self.name = name
        self._load()
        kind, modes, dynamics = self.openspiel.get_type(), pyspiel.GameType.ChanceMode, pyspiel.GameType.Dynamics
        if kind.chance_mode == modes.SAMPLED_STOCHASTIC or kind.dynamics == dynamics.MEAN_FIELD:
            raise TypeError(f"game: {name!r} does not list its chance moves (sampled chance or a mean field)")
        if not (kind.provides_information_state_tensor or kind.provides_observation_tensor):
            raise TypeError(f"game: {name!r} gives its players no tensor to observe")
        recall = kind.provides_information_state_tensor
        self._look = "information_state_tensor" if recall else "observation_tensor"
        n = self.openspiel.num_players()
        self._length = self.openspiel.max_game_length() * (n if kind.dynamics == dynamics.SIMULTANEOUS else 1)
        if kind.chance_mode != modes.DETERMINISTIC:
            self._length += self.openspiel.max_chance_nodes_in_history()
        size = self.openspiel.information_state_tensor_size() if recall else self.openspiel.observation_tensor_size()
        observation = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.roles = (Role("player", n, observation, spaces.Discrete(self.openspiel.num_distinct_actions())),)

    def _load(self) -> None:
        self.openspiel = pyspiel.load_game(self.name)
        self._known: dict[tuple[int, ...], Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """OpenSpiel's objects are loaded again by name."""
        return {key: value for key, value in self.__dict__.items() if key not in ("openspiel", "_known")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load the game and start with an empty memory."""
        self.__dict__.update(state)
        self._load()

    def __repr__(self) -> str:
        """OpenSpiel's text for the game."""
        return f"OpenSpielGame({self.name!r})"

    def _at(self, history: tuple[int, ...]) -> Any:
        """OpenSpiel's state after a history; never changed afterwards."""
        if history not in self._known:
            state, moves = self.openspiel.new_initial_state(), list(history)
            while moves:
                if state.is_simultaneous_node():
                    state.apply_actions(moves[: self.n_agents])
                    del moves[: self.n_agents]
                else:
                    state.apply_action(moves.pop(0))
            if len(self._known) >= MEMORY:
                self._known.clear()
            self._known[history] = state
        return self._known[history]

    def _states(self, state: HistoryState) -> list[Any]:
        lengths = (state.history >= 0).sum(axis=1).tolist()
        return [self._at(tuple(row[:length])) for row, length in zip(state.history.tolist(), lengths, strict=True)]

    def _extend(self, state: HistoryState, moves: Iterable[list[int]]) -> HistoryState:
        history = state.history.copy()
        lengths = (history >= 0).sum(axis=1)
        for lane, (start, move) in enumerate(zip(lengths.tolist(), moves, strict=True)):
            history[lane, start : start + len(move)] = move
        return state._replace(history=history)

    def root(self, batch: int) -> HistoryState:
        """The empty history."""
        return HistoryState(np.full((batch, self._length), -1, np.int64), np.zeros((batch, self.n_agents)))

    def chance(self, state: HistoryState) -> Array:
        """Probabilities (B, C) in the order of OpenSpiel's `chance_outcomes`."""
        rows = [[p for _, p in s.chance_outcomes()] if s.is_chance_node() else [] for s in self._states(state)]
        width = max([1, *map(len, rows)])
        return np.array([row + [0.0] * (width - len(row)) for row in rows])

    def resolve(self, state: HistoryState, outcome: Array) -> HistoryState:
        """Nature's move number `outcome` in the order of `chance_outcomes`."""
        pairs = zip(self._states(state), outcome.tolist(), strict=True)
        return self._extend(state, ([s.chance_outcomes()[number][0]] for s, number in pairs))

    def movers(self, state: HistoryState) -> Array:
        """(B, n): at a simultaneous node everybody with a legal action."""
        return cast(Array, self.legal(state, "player").any(axis=-1))

    def legal(self, state: HistoryState, role: str) -> Array:
        """(B, n, A): OpenSpiel's legal actions (none for those who do not move); at the end `player_0` has action 0."""
        mask = np.zeros((len(state.paid), self.n_agents, self.openspiel.num_distinct_actions()), bool)
        for lane, s in enumerate(self._states(state)):
            mask[lane, 0, 0] = s.is_terminal()
            players = range(self.n_agents) if s.is_simultaneous_node() else [s.current_player()]
            for player in players if s.is_player_node() or s.is_simultaneous_node() else ():
                mask[lane, player, s.legal_actions(player)] = True
        return mask

    def observe(self, state: HistoryState, role: str) -> Array:
        """(B, n, size): each player's tensor."""
        size = cast(tuple[int], self.roles[0].observation_space.shape)[0]
        seen = np.zeros((len(state.paid), self.n_agents, size), np.float32)
        for lane, s in enumerate(self._states(state)):
            if not s.is_chance_node():
                seen[lane] = [getattr(s, self._look)(player) for player in range(self.n_agents)]
        return seen

    def apply(self, state: HistoryState, actions: Mapping[str, Array]) -> tuple[HistoryState, Array]:
        """The movers' actions; pays what OpenSpiel's returns grew by."""

        def moves(s: Any, chosen: list[int]) -> list[int]:
            if s.is_simultaneous_node() or s.is_terminal():
                return [] if s.is_terminal() else chosen
            return [chosen[s.current_player()]]

        state = self._extend(state, map(moves, self._states(state), actions["player"].tolist()))
        returns = np.array([s.returns() for s in self._states(state)])
        return state._replace(paid=returns), returns - state.paid

    def terminal(self, state: HistoryState) -> Array:
        """OpenSpiel's end, once everything is paid."""
        return np.array(
            [
                s.is_terminal() and s.returns() == paid
                for s, paid in zip(self._states(state), state.paid.tolist(), strict=True)
            ]
        )

    def render_text(self, state: HistoryState, lane: int = 0) -> str:
        """OpenSpiel's own text of the state."""
        return str(self._states(take(state, np.array([lane])))[0])


def from_openspiel(game: str | Any) -> OpenSpielGame:
    """A finite OpenSpiel game as a walras game, playable through every door.

    Nature's moves are enumerated, players are `player_0`, `player_1`, ... The rules run state by state: convenience,
    not speed.

    Args:
        game: OpenSpiel's text for a game (`"kuhn_poker"`, `"goofspiel(num_cards=3)"`), or a game that has such a text.

    Raises:
        ValueError: if OpenSpiel does not know the name, or refuses a parameter.
        TypeError: if the game does not list its chance moves, or gives its players nothing to observe.
    """
    name = game if isinstance(game, str) else str(game)
    if not isinstance(game, str | pyspiel.Game):
        raise TypeError(f"game: OpenSpiel's text for a game or a pyspiel.Game is needed, got {type(game).__name__}")
    load_openspiel(name)
    return OpenSpielGame(name)


def load_openspiel(text: str) -> Any:
    """OpenSpiel's own object for its text of a game (`"goofspiel(num_cards=3)"`).

    Raises:
        ValueError: if OpenSpiel does not know the name, or refuses a parameter.
    """
    known = pyspiel.registered_names()
    if text.partition("(")[0] not in known:
        close = difflib.get_close_matches(text, known, n=3)
        raise ValueError(f"game: OpenSpiel has no {text!r}; close names: {close}, all: pyspiel.registered_names()")
    try:
        return pyspiel.load_game(text)
    except pyspiel.SpielError as error:
        raise ValueError(f"game: OpenSpiel cannot load {text!r}: {error}") from error
