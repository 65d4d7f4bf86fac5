"""Checks of what a game leaves alone, states and actions it is given, and of episodes that come to an end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from walras.envs.arena import Arena
from walras.envs.checks.probe import Probe, freeze, horizon_of, quiet, random_policies, same
from walras.envs.game import Array, Game, Observation, lanes_of, take
from walras.envs.lanes import LaneRandom, clock
from walras.envs.registry import as_game
from walras.envs.spaces import cast_observation, empty, pick

PATIENCE = 10_000
"""Steps after which an episode without a horizon is taken never to end."""
RENDERED = 20
"""Steps of an episode after which states are no longer rendered, which is slow."""
T = TypeVar("T")


def nothing_is_changed_in_place(target: str | Game[Any]) -> None:
    """No method writes into a state or into actions, at any step of an episode: all arrays handed over are read-only.

    Nor does `initial` write into the states it handed out before. Text is rendered in the first 20 states and the last.
    """
    game = copy.deepcopy(as_game(target, {}))  # arrays that the game keeps may be made read-only, too
    batch = 4
    now = clock(1, batch)
    rng = LaneRandom(now)
    state = _ask("initial", None, game.initial, batch, rng)
    kept = copy.deepcopy(game.snapshot(state))
    freeze(state)
    _ask("initial", None, game.initial, batch, LaneRandom(clock(2, batch)))
    same(kept, game.snapshot(state), "initial: a state handed out earlier was changed by the next one")
    for step in range(horizon_of(game)):
        live = np.flatnonzero(~_look(game, state, render=step < RENDERED))
        if not len(live):
            return
        now = now._replace(step=now.step + np.uint64(1))
        at = type(now)(*(word[live] for word in now))
        state = take(state, live)
        now = at
        freeze(state)
        actions = _actions(game, state)
        freeze(actions)
        given, chosen = copy.deepcopy(game.snapshot(state)), copy.deepcopy(actions)
        after, rewards = _ask("step", game, game.step, state, actions, rng.at(at))
        same(given, game.snapshot(state), "step: the state it was given was changed")
        same(chosen, actions, "step: the actions it was given were changed")
        freeze(after, rewards)
        state = after
    _look(game, state, render=True)


def episodes_come_to_an_end(target: str | Game[Any]) -> None:
    """A game without a horizon ends by its rules within 10,000 steps when every seat plays at random."""
    game = as_game(target, {})
    arena = Arena(game, 2, random_policies(game))
    if arena.horizon is not None:
        return
    arena.seed(0)
    arena.deal()
    live = np.arange(arena.batch)
    for _ in range(PATIENCE):
        ended = arena.step({}, live)
        live = live[~ended.terminated]
        if not len(live):
            return
    raise AssertionError(
        f"terminal: an episode of random play still runs after {PATIENCE} steps, and the game has no horizon; "
        "set self.horizon, or let terminal() say when it is over"
    )


def _look(game: Game[Any], state: Any, render: bool) -> Array:
    """Call everything that only reads a state; returns which lanes have ended."""
    kept = copy.deepcopy(game.snapshot(state))
    freeze(state)

    def ask(name: str, *arguments: Any) -> Any:
        answer = _ask(name, game, getattr(game, name), state, *arguments)
        same(kept, game.snapshot(state), f"{name}: the state it was given was changed")
        return answer

    over: Array = ask("terminal")
    ask("movers")
    ask("global_state")
    for role in game.roles:
        for name in ("observe", "legal", "info"):
            ask(name, role.name)
    if render:
        with quiet():
            ask("render_text")
    return over


def _actions(game: Game[Any], state: Any) -> dict[str, Array]:
    """Everybody's probing actions, as the arena would hand them over."""
    movers = game.movers(state)
    actions = {}
    for role in game.roles:
        seen: Observation = cast_observation(role.observation_space, game.observe(state, role.name))
        legal = game.legal(state, role.name)
        joint = empty(role.action_space, lanes_of(state), role.size)
        for i, agent in enumerate(role.agents):
            mask = None
            if legal is not None:
                mask = legal[:, i] & movers[:, game.seat[agent][2], None]
                mask[~mask.any(axis=1), 0] = True
            joint[:, i] = Probe(role.action_space)(pick(seen, (slice(None), i)), mask=mask)
        actions[role.name] = joint
    return actions


def _ask(name: str, game: Game[Any] | None, method: Callable[..., T], *arguments: Any) -> T:
    try:
        return method(*arguments)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        given = "an array of a state handed out earlier" if game is None else "a state or actions it is given"
        raise AssertionError(f"{name}: writes into {given}; return new arrays instead ({error})") from error
