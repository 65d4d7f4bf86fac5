"""Checks of the rules alone: shapes, lanes, snapshots, truths, chance; `purity` has those of what is left alone."""

from __future__ import annotations

import io
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from walras.envs.arena import Arena
from walras.envs.checks.probe import (
    Probe,
    cut,
    freeze,
    horizon_of,
    random_policies,
    same,
)
from walras.envs.game import FiniteGame, Game
from walras.envs.lanes import LaneRandom, clock
from walras.envs.play import play
from walras.envs.registry import as_game
from walras.envs.seats import as_policy
from walras.envs.spaces import ActionFit


def rules_have_the_stated_shapes(target: str | Game[Any]) -> None:
    """Shapes, dtypes and spaces of what a game returns in an episode's first steps (20 at most), facts without NaN."""
    game = as_game(target, {})
    batch, n = 5, game.n_agents
    assert len(set(game.agents)) == n, f"agents' names are not distinct: {game.agents}"
    rng = LaneRandom(clock(0, batch))
    state = game.initial(batch, rng)
    masked = {role.name: game.legal(state, role.name) is not None for role in game.roles}
    for _ in range(min(horizon_of(game), 20)):
        for name, field in game.snapshot(state).items():
            assert isinstance(field, np.ndarray) and field.shape[:1] == (batch,), (
                f"state.{name}: an array with {batch} lanes is needed"
            )
        movers, over = game.movers(state), game.terminal(state)
        assert movers.shape == (batch, n) and movers.dtype == bool, "movers: (B, n) bool is needed"
        assert over.shape == (batch,) and over.dtype == bool, "terminal: (B,) bool is needed"
        for role in game.roles:
            assert (game.legal(state, role.name) is not None) == masked[role.name], (
                f"legal: for {role.name!r} an array in some states and None in others; doors decide at the first state "
                "whether there is a mask"
            )
            for name, fact in game.info(state, role.name).items():
                assert fact.shape[:2] == (batch, role.size), (
                    f"info[{name!r}]: shape {fact.shape}, (B, c, ...) is needed"
                )
                assert fact.dtype.kind not in "fc" or not np.isnan(fact).any(), f"info[{name!r}]: NaN is no fact"
        if over.any():
            break
        assert movers.any(axis=1).all(), "movers: somebody must be to move in a state that is not terminal"
        actions = {}
        for role in game.roles:
            seen, legal = game.observe(state, role.name), game.legal(state, role.name)
            for lane in range(batch):
                for i in range(role.size):
                    one = {k: v[lane, i] for k, v in seen.items()} if isinstance(seen, dict) else seen[lane, i]
                    fit = _cast_one(role.observation_space, one)
                    assert role.observation_space.contains(fit), (
                        f"observe: {role.name} {i} sees {one}, outside {role.observation_space}"
                    )
            if legal is not None:
                assert isinstance(role.action_space, spaces.Discrete), "legal: masks need a Discrete action space"
                assert legal.shape == (batch, role.size, role.action_space.n) and legal.dtype == bool, (
                    "legal: (B, c, n_actions) bool"
                )
            acts = []
            for i, agent in enumerate(role.agents):
                k = game.seat[agent][2]
                own = {key: v[:, i] for key, v in seen.items()} if isinstance(seen, dict) else seen[:, i]
                mask = None if legal is None else legal[:, i].copy()
                if mask is not None:
                    assert mask[movers[:, k]].any(axis=1).all(), f"legal: {agent} is to move and may do nothing"
                    mask[~mask.any(axis=1), 0] = True
                acts.append(Probe(role.action_space)(own, mask=mask))
            actions[role.name] = np.stack(acts, axis=1)
        state, rewards = game.step(state, actions, rng)
        assert rewards.shape == (batch, n) and rewards.dtype == np.float64, (
            f"step: rewards {rewards.dtype}{rewards.shape}, float64 (B, n) needed"
        )
        assert np.isfinite(rewards).all(), "step: rewards must be finite"
        kept = game.snapshot(state)
        same(kept, game.snapshot(game.restore(state, kept)), "snapshot and restore")


def _cast_one(space: gymnasium.Space[Any], value: Any) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _cast_one(sub, value[key]) for key, sub in space.spaces.items()}
    return (
        np.asarray(value).astype(cast(Any, space.dtype)) if not isinstance(space, spaces.Discrete) else np.int64(value)
    )


def lanes_do_not_depend_on_the_batch(target: str | Game[Any]) -> None:
    """Lane i plays the same game in every batch, from every first lane, with random seats."""
    game = cut(as_game(target, {}))
    whole = play(game, "random", batch=6, seed=11)
    half = play(game, "random", batch=3, seed=11)
    rest = play(game, "random", batch=2, seed=11, lane=4)
    same(
        whole.returns[:3],
        half.returns,
        "returns of lanes 0-2, batch 6 against 3 (does the game draw anything but rng.random((batch, ...))?)",
    )
    same(whole.returns[4:], rest.returns, "returns of lanes 4-5, first lane 0 against 4")
    same(whole.lengths[:3], half.lengths, "lengths of lanes 0-2")
    same({k: v[:3] for k, v in game.snapshot(whole.state).items()}, game.snapshot(half.state), "final states")
    same(whole.returns, play(game, "random", batch=6, seed=11).returns, "the same seed twice")


def snapshots_resume_exactly(target: str | Game[Any]) -> None:
    """A running arena written to a file and read back goes on to the same bits for five steps."""
    game = as_game(target, {})
    first, second = (Arena(game, 3, random_policies(game), horizon_of(game)) for _ in range(2))
    first.seed(8)
    first.deal()
    for _ in range(2):
        if not game.terminal(first.state).any():
            first.step({})
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **first.snapshot())
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as file:
        second.restore({name: file[name] for name in file.files})
    for _ in range(5):
        same(first.snapshot(), second.snapshot(), "snapshot after restore")
        if game.terminal(first.state).any():
            first.deal()
            second.deal()
        same(first.step({})._asdict(), second.step({})._asdict(), "the step after restore")


def equilibria_play_inside_the_spaces(target: str | Game[Any]) -> None:
    """Equilibria name roles or agents and act inside their spaces at first sight; truths are finite, with sources."""
    game = as_game(target, {})
    for truth in game.truths():
        assert np.isfinite(truth.value) and truth.source and truth.name, (
            f"{truth}: a finite value, a name and a source are needed"
        )
    known = game.equilibrium()
    if known is None:
        return
    known_names = {*game.seat, *(role.name for role in game.roles)}
    unknown = sorted(set(known) - known_names)
    assert not unknown, f"equilibrium: {unknown} are neither roles nor agents; the game has {sorted(known_names)}"
    arena = Arena(game, 4)
    arena.seed(0)
    arena.deal()
    for agent, (role, _, _) in game.seat.items():
        policy = known.get(agent, known.get(role.name))
        if policy is not None:
            seat = as_policy(policy, game, agent)
            chosen = seat(arena.observe(agent), mask=arena.mask(agent), rng=LaneRandom(arena.clock, stream=1))
            ActionFit(role.action_space)(chosen, (4,), "equilibrium policy", agent)
    play(cut(game), "random", batch=2, seed=0)


def finite_games_enumerate_chance(target: str | Game[Any]) -> None:
    """Chance probabilities of a FiniteGame are rows that sum to one (or to zero where none is pending)."""
    game = as_game(target, {})
    if not isinstance(game, FiniteGame):
        return
    state = game.root(3)
    for _ in range(50):
        freeze(state)
        rows = game.chance(state)
        total = rows.sum(axis=1)
        assert (rows >= 0).all() and (np.isclose(total, 1.0) | (total == 0.0)).all(), f"chance: rows sum to {total}"
        if not (total > 0).any():
            return
        state = game.resolve(state, rows.argmax(axis=1))
    raise AssertionError("chance: still pending after 50 moves of nature")
