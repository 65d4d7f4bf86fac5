"""Checks of the doors: the same numbers everywhere, autoreset, copies, refusals, pictures."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from walras.envs.arena import Arena
from walras.envs.checks.probe import (
    LIMIT,
    Probe,
    act_once,
    cut,
    horizon_of,
    mask_of,
    probes,
    same,
)
from walras.envs.doors.aec import GameAECEnv
from walras.envs.doors.parallel import GameParallelEnv
from walras.envs.doors.single import SeatEnv
from walras.envs.doors.vector import SeatVectorEnv
from walras.envs.game import Array, Game, take
from walras.envs.play import play
from walras.envs.registry import as_game


def doors_give_the_same_numbers(target: str | Game[Any]) -> None:
    """One seed gives one sequence of rewards on the single, vector, parallel and AEC doors and in `play`."""
    game = as_game(target, {})
    batch, horizon = 3, horizon_of(game)
    returns, lengths, moved = _reference(game, 21, batch)
    everyone = probes(game)
    for agent, (_, _, k) in game.seat.items():
        others = {name: probe for name, probe in everyone.items() if name != agent}
        single = SeatEnv(game, agent=agent, others=others, horizon=horizon)
        vector = SeatVectorEnv(game, num_envs=batch, agent=agent, others=others, horizon=horizon)
        seen, _ = vector.reset(seed=21)
        total, live, masks = np.zeros(batch), np.ones(batch, bool), vector._view.arena
        while live.any():
            seen, rewards, terminated, truncated, _ = vector.step(everyone[agent](seen, mask=masks.mask(agent)))
            total += np.where(live, rewards, 0.0)
            live &= ~(terminated | truncated)
        for lane in range(batch):
            alone = _drive(single, everyone[agent], {"seed": 21, "options": {"lane": lane}})
            same(alone, total[lane], f"{agent}, lane {lane}: single against vector door")
            if moved[lane, k]:
                np.testing.assert_allclose(
                    alone, returns[lane, k], rtol=1e-12, atol=1e-12, err_msg=f"{agent}, lane {lane}: doors against play"
                )
    for lane in range(batch):
        table = GameParallelEnv(game, max_cycles=horizon)
        observations, _ = table.reset(seed=21, options={"lane": lane})
        together = dict.fromkeys(game.agents, 0.0)
        steps = 0
        while table.agents:
            acts = {a: act_once(everyone[a], observations[a]) for a in table.agents}
            observations, rewards_of, *_ = table.step(acts)
            steps += 1
            for a, r in rewards_of.items():
                together[a] += r
        same([together[a] for a in game.agents], returns[lane], f"lane {lane}: parallel door against play")
        same(steps, int(lengths[lane]), f"lane {lane}: steps of the parallel door")
        turns = GameAECEnv(game, max_cycles=horizon)
        turns.reset(seed=21, options={"lane": lane})
        summed = dict.fromkeys(game.agents, 0.0)
        for a in turns.agent_iter(100 * LIMIT * game.n_agents):
            observation, _, terminated_a, truncated_a, _ = turns.last()
            over = terminated_a or truncated_a
            turns.step(None if over else act_once(everyone[a], observation))
            if not over:
                for b in turns.agents:
                    summed[b] += turns.rewards[b]
        np.testing.assert_allclose(
            [summed[a] for a in game.agents],
            returns[lane],
            rtol=1e-12,
            atol=1e-12,
            err_msg=f"lane {lane}: AEC against play",
        )


def _reference(game: Game[Any], seed: int, batch: int) -> tuple[Array, Array, Array]:
    """Returns (B, n), lengths (B,) and who ever moved (B, n) when every seat probes."""
    arena = Arena(game, batch, probes(game), horizon_of(game))
    arena.seed(seed)
    arena.deal()
    returns, moved, live = np.zeros((batch, game.n_agents)), np.zeros((batch, game.n_agents), bool), np.arange(batch)
    while len(live):
        moved[live] |= game.movers(take(arena.state, live))
        ended = arena.step({}, live)
        returns[live] += ended.rewards
        live = live[~(ended.terminated | ended.truncated)]
    return returns, arena.elapsed, moved


def _drive(env: SeatEnv, probe: Probe, reset: dict[str, Any]) -> float:
    observation, info = env.reset(**reset)
    total, over = 0.0, False
    while not over:
        mask = info["action_mask"].astype(bool)[None] if "action_mask" in info else None
        lead = (
            {k: np.asarray(v)[None] for k, v in observation.items()}
            if isinstance(observation, dict)
            else np.asarray(observation)[None]
        )
        observation, reward, terminated, truncated, info = env.step(probe(lead, mask=mask)[0])
        total, over = total + reward, terminated or truncated
    return total


def the_vector_door_begins_lanes_anew(target: str | Game[Any]) -> None:
    """Over several episodes a vector lane equals the single door; final observations and autoreset are as stated."""
    game = as_game(target, {})
    agent, horizon = game.agents[0], min(horizon_of(game), 5)
    everyone = probes(game)
    others = {name: probe for name, probe in everyone.items() if name != agent}
    vector = SeatVectorEnv(game, num_envs=2, agent=agent, others=others, horizon=horizon)
    single = SeatEnv(game, agent=agent, others=others, horizon=horizon)
    assert vector.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP
    seen, _ = vector.reset(seed=5)
    one, _ = single.reset(seed=5, options={"lane": 1})
    for _ in range(3 * horizon):
        mask = vector._view.arena.mask(agent)
        acts = everyone[agent](seen, mask=mask)
        seen, rewards, terminated, truncated, infos = vector.step(acts)
        one, reward, done, cut, _ = single.step(acts[1])
        same(
            (rewards[1], terminated[1], truncated[1]),
            (reward, done, cut),
            "lane 1 of the vector door against the single door",
        )
        if done or cut:
            last = infos["final_obs"]
            same({k: v[1] for k, v in last.items()} if isinstance(last, dict) else last[1], one, "final_obs")
            one, _ = single.reset()
        same(
            {k: v[1] for k, v in seen.items()} if isinstance(seen, dict) else seen[1],
            one,
            "observation after autoreset",
        )


def the_sb3_door_agrees(target: str | Game[Any]) -> None:
    """The SB3 `VecEnv` gives the numbers of the vector door, lane by lane (needs the extra `learn`)."""
    from walras.envs.doors.sb3 import SeatVecEnv

    game = as_game(target, {})
    agent, horizon = game.agents[0], min(horizon_of(game), 5)
    everyone = probes(game)
    others = {name: probe for name, probe in everyone.items() if name != agent}
    ours = SeatVecEnv(game, 3, agent=agent, others=others, seed=6, horizon=horizon)
    theirs = SeatVectorEnv(game, num_envs=3, agent=agent, others=others, horizon=horizon)
    a, (b, _) = ours.reset(), theirs.reset(seed=6)
    for _ in range(3 * horizon):
        same(a, b, "SB3 door against vector door: observation")
        acts = everyone[agent](b, mask=theirs._view.arena.mask(agent))
        ours.step_async(acts)
        a, rewards, over, infos = ours.step_wait()
        b, expected, terminated, truncated, _ = theirs.step(acts)
        same(rewards, expected.astype(np.float32), "SB3 door against vector door: reward")
        same(over, terminated | truncated, "SB3 door against vector door: done")
        assert all(("terminal_observation" in info) == bool(done) for info, done in zip(infos, over, strict=True))


def games_and_doors_copy_and_pickle(target: str | Game[Any]) -> None:
    """Games, and doors in mid-episode, survive deepcopy and pickle and go on to the same numbers."""
    game = as_game(target, {})
    clones: tuple[Callable[[Any], Any], ...] = (copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing)))
    for clone in clones:
        other = clone(game)
        same(
            play(cut(game), "random", batch=2, seed=3).returns,
            play(cut(other), "random", batch=2, seed=3).returns,
            "copied game",
        )
        env = SeatEnv(game, others="random", horizon=horizon_of(game))
        env.reset(seed=2)
        twin = clone(env)
        action = env.action_space.sample(mask_of(env))
        for here, there in zip(env.step(action)[:4], twin.step(action)[:4], strict=True):
            same(here, there, "copied environment")


def actions_that_do_not_fit_are_refused(target: str | Game[Any]) -> None:
    """Wrong shapes, NaN and values outside the space raise a ValueError that names the agent; others still fit."""
    game = as_game(target, {})
    for agent in game.agents:
        env = SeatEnv(game, agent=agent, others="random", horizon=horizon_of(game))
        env.reset(seed=0)
        space = env.action_space
        shape = cast(tuple[int, ...], space.shape)
        bad: list[Any] = [np.zeros((*shape, 7)), "no action"]
        if isinstance(space, spaces.Box):
            bad += [np.full(shape, np.nan), space.high.astype(np.float64) + 1.0]
        else:
            bad += [np.full(shape, -1), np.full(shape, 10**6), np.full(shape, 0.5)]
        for action in bad:
            try:
                env.step(action)
            except ValueError as error:
                assert agent in str(error), f"the message must name {agent!r}: {error}"
            else:
                raise AssertionError(f"{agent}: action {action!r} was accepted by {space}")
        env.step(space.sample(mask_of(env)))


def renders_as_text(target: str | Game[Any]) -> None:
    """`ansi` gives text: before and after a step on the single door, at the start on the parallel one."""
    for shown in _renderings(as_game(target, {}), "ansi"):
        assert isinstance(shown, str) and shown.strip(), f"ansi: text is needed, got {shown!r}"


def renders_as_picture(target: str | Game[Any]) -> None:
    """`rgb_array` gives pictures (H, W, 3) uint8 in the moments of `renders_as_text` (needs the extra `report`)."""
    for shown in _renderings(as_game(target, {}), "rgb_array"):
        right = isinstance(shown, np.ndarray) and shown.dtype == np.uint8 and shown.ndim == 3 and shown.shape[2] == 3
        assert right, "rgb_array: an array (H, W, 3) uint8 is needed"


def _renderings(game: Game[Any], mode: str) -> list[Any]:
    env = SeatEnv(game, others="random", render_mode=mode, horizon=horizon_of(game))
    env.reset(seed=0)
    before = env.render()
    env.step(env.action_space.sample(mask_of(env)))
    table = GameParallelEnv(game, render_mode=mode)
    table.reset(seed=0)
    return [before, env.render(), table.render()]
