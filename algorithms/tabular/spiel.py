"""Strategies to OpenSpiel's policies and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from walras.agents.strategy import TabularStrategy
from walras.envs.tabular.flat import FlatGame


def to_openspiel_policy(game: FlatGame, strategy: Any) -> Any:
    """A `pyspiel.TabularPolicy` that plays the strategy in the OpenSpiel game that `game` was compiled from.

    Args:
        game: compiled from an OpenSpiel game.
        strategy: (S,) numbers, or a `TabularStrategy` of the game.

    Raises:
        ValueError: if the game has no information-state strings, or they do not tell its infostates apart (OpenSpiel's
            own would then forget), or the strategy is none of the game.
    """
    import pyspiel

    slots = game.check_strategy(getattr(strategy, "probabilities", strategy))
    table: dict[str, list[tuple[int, float]]] = {}
    for label, first, end in zip(_labels(game), game.info_offset[:-1], game.info_offset[1:], strict=True):
        table[label] = list(zip(game.info_actions[first:end].tolist(), slots[first:end].tolist(), strict=True))
    return pyspiel.TabularPolicy(table)


def from_openspiel_policy(game: FlatGame, policy: Any) -> TabularStrategy:
    """The strategy that an OpenSpiel policy plays.

    Args:
        game: compiled from an OpenSpiel game.
        policy: of `pyspiel` (a `TabularPolicy`, a solver's `average_policy()`), or of
            `open_spiel.python.policy`.

    Raises:
        ValueError: if the game has no information-state strings, or the policy says nothing about one of them.
        TypeError: if it is no policy.
    """
    strategy = np.zeros(game.n_slots)
    ask = _asker(game, policy)
    for info, label in enumerate(_labels(game)):
        first, end = game.info_offset[info], game.info_offset[info + 1]
        said = ask(info, label)
        if not said:
            raise ValueError(f"policy: it says nothing about information state {label!r} of {game.name}")
        strategy[first:end] = [said.get(action, 0.0) for action in game.info_actions[first:end].tolist()]
    return TabularStrategy.of(game, strategy)


def _labels(game: FlatGame) -> tuple[str, ...]:
    if game.labels is None:
        raise ValueError(f"game: {game.name} was not compiled from OpenSpiel and has no information-state strings")
    if len(set(game.labels)) < len(game.labels):
        raise ValueError(f"game: OpenSpiel's information states of {game.name} forget; policies over them do not fit")
    return game.labels


def _asker(game: FlatGame, policy: Any) -> Any:
    """A function from an infostate and its string to {action: probability}."""
    import pyspiel

    if isinstance(policy, pyspiel.Policy):
        return lambda info, label: dict(policy.get_state_policy(label))
    if hasattr(policy, "policy_for_key"):  # open_spiel.python.policy.TabularPolicy

        def look_up(info: int, label: str) -> dict[int, float]:
            row = policy.policy_for_key(label)
            return dict(enumerate(np.asarray(row, np.float64).tolist()))

        return look_up
    raise TypeError(f"policy: a policy of pyspiel or open_spiel.python.policy is needed, got {type(policy).__name__}")
