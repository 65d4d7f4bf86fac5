"""The contract every game keeps, as checks that anyone can run on their own game.

    from walras.envs.check import check_game
    check_game("mine/Market-v0")

or, in pytest, one named test for each check:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check): check("mine/Market-v0")
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import gymnasium
import numpy as np
import pettingzoo
from gymnasium import spaces

from walras.envs.arena import Arena
from walras.envs.doors.aec import GameAECEnv
from walras.envs.doors.parallel import GameParallelEnv
from walras.envs.doors.single import SeatEnv
from walras.envs.doors.vector import SeatVectorEnv
from walras.envs.game import Array, FiniteGame, Game, Observation, take
from walras.envs.lanes import LaneRandom, clock
from walras.envs.play import play
from walras.envs.registry import as_game
from walras.envs.spaces import ActionFit

LIMIT = 300
"""Longest stretch of an episode that a check plays; longer ones are cut at this horizon."""


@dataclass(frozen=True)
class Probe:
    """A fixed, jumpy function of what it sees: the same observation gives the same action on every door."""

    space: gymnasium.Space[Any]

    def __call__(self, observation: Observation, *, mask: Array | None = None, rng: object = None) -> Array:
        """Actions (B, *shape) inside the space and under the mask."""
        parts = list(observation.values()) if isinstance(observation, dict) else [observation]
        batch = len(parts[0])
        flat = np.concatenate([np.asarray(part, np.float64).reshape(batch, -1) for part in parts], axis=1)
        mixed = np.zeros(batch)
        for column in range(flat.shape[1]):  # a loop, so that each lane adds up in the same order for every batch
            mixed = mixed + np.sin(flat[:, column] * (column + 1.37) * 12.9898)
        size = int(np.prod(cast(tuple[int, ...], self.space.shape), dtype=int))
        u = np.stack([np.abs(mixed * (k + 43758.5453)) % 1.0 for k in range(size)], axis=1).reshape(
            batch, *cast(Any, self.space.shape)
        )
        if mask is not None:
            room = u.reshape(batch, 1) * mask.sum(axis=1, keepdims=True)
            chosen: Array = (np.cumsum(mask, axis=1) <= room).sum(axis=1) + getattr(self.space, "start", 0)
            return chosen.astype(cast(Any, self.space.dtype))
        if isinstance(self.space, spaces.Box):
            low, high = self.space.low.astype(np.float64), self.space.high.astype(np.float64)
            point: Array = (low + u * (high - low)).astype(self.space.dtype)
            return np.clip(point, self.space.low, self.space.high)
        binary = isinstance(self.space, spaces.MultiBinary)
        count = 2 if binary else getattr(self.space, "nvec", getattr(self.space, "n", 2))
        whole: Array = np.floor(u * count) + getattr(self.space, "start", 0)
        return whole.astype(cast(Any, self.space.dtype))


def _probes(game: Game[Any]) -> dict[str, Probe]:
    return {agent: Probe(role.action_space) for agent, (role, _, _) in game.seat.items()}


def _horizon(game: Game[Any]) -> int:
    return min(game.horizon or LIMIT, LIMIT)


def _same(a: Any, b: Any, what: str) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys(), f"{what}: {sorted(a)} against {sorted(b)}"
        for key in a:
            _same(a[key], b[key], f"{what}[{key!r}]")
        return
    np.testing.assert_array_equal(a, b, err_msg=what)


def _reference(game: Game[Any], seed: int, batch: int) -> tuple[Array, Array, Array]:
    """Returns (B, n), lengths (B,) and who ever moved (B, n) when every seat probes."""
    arena = Arena(game, batch, _probes(game), _horizon(game))
    arena.seed(seed)
    arena.deal()
    returns, moved, live = np.zeros((batch, game.n_agents)), np.zeros((batch, game.n_agents), bool), np.arange(batch)
    while len(live):
        moved[live] |= game.movers(take(arena.state, live))
        ended = arena.step({}, live)
        returns[live] += ended.rewards
        live = live[~(ended.terminated | ended.truncated)]
    return returns, arena.elapsed, moved


# -- checks: each takes an id or a game and raises AssertionError (or the door's own error) ----------------------------


def rules_have_the_stated_shapes(target: str | Game[Any]) -> None:
    """Shapes, dtypes and spaces of everything a game returns; states are never changed in place."""
    game = as_game(target, {})
    batch, n = 5, game.n_agents
    assert len(set(game.agents)) == n, f"agents' names are not distinct: {game.agents}"
    rng = LaneRandom(clock(0, batch))
    state = game.initial(batch, rng)
    for _ in range(min(_horizon(game), 20)):
        for name, field in game.snapshot(state).items():
            assert isinstance(field, np.ndarray) and field.shape[:1] == (batch,), (
                f"state.{name}: an array with {batch} lanes is needed"
            )
        movers, over = game.movers(state), game.terminal(state)
        assert movers.shape == (batch, n) and movers.dtype == bool, "movers: (B, n) bool is needed"
        assert over.shape == (batch,) and over.dtype == bool, "terminal: (B,) bool is needed"
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
            for name, fact in game.info(state, role.name).items():
                assert fact.shape[:2] == (batch, role.size), (
                    f"info[{name!r}]: shape {fact.shape}, (B, c, ...) is needed"
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
        before = copy.deepcopy(state)
        state, rewards = game.step(state, actions, rng)
        assert rewards.shape == (batch, n) and rewards.dtype == np.float64, (
            f"step: rewards {rewards.dtype}{rewards.shape}, float64 (B, n) needed"
        )
        assert np.isfinite(rewards).all(), "step: rewards must be finite"
        replay = game.snapshot(before)
        _same(replay, game.snapshot(game.restore(before, replay)), "snapshot and restore")


def _cast_one(space: gymnasium.Space[Any], value: Any) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _cast_one(sub, value[key]) for key, sub in space.spaces.items()}
    return (
        np.asarray(value).astype(cast(Any, space.dtype)) if not isinstance(space, spaces.Discrete) else np.int64(value)
    )


def steps_leave_their_input_alone(target: str | Game[Any]) -> None:
    """`step` and `observe` return new arrays and do not write into the state or the actions they are given."""
    game = as_game(target, {})
    arena = Arena(game, 4, _probes(game), _horizon(game))
    arena.seed(1)
    arena.deal()
    state = arena.state
    kept = copy.deepcopy(game.snapshot(state))
    for role in game.roles:
        game.observe(state, role.name)
    arena.step({})
    _same(kept, game.snapshot(state), "the state before the step")


def lanes_do_not_depend_on_the_batch(target: str | Game[Any]) -> None:
    """Lane i plays the same game in every batch, from every first lane, with random seats."""
    game = _cut(as_game(target, {}))
    whole = play(game, "random", batch=6, seed=11)
    half = play(game, "random", batch=3, seed=11)
    rest = play(game, "random", batch=2, seed=11, lane=4)
    _same(
        whole.returns[:3],
        half.returns,
        "returns of lanes 0-2, batch 6 against 3 (does the game draw anything but rng.random((batch, ...))?)",
    )
    _same(whole.returns[4:], rest.returns, "returns of lanes 4-5, first lane 0 against 4")
    _same(whole.lengths[:3], half.lengths, "lengths of lanes 0-2")
    _same({k: v[:3] for k, v in game.snapshot(whole.state).items()}, game.snapshot(half.state), "final states")
    _same(whole.returns, play(game, "random", batch=6, seed=11).returns, "the same seed twice")


def _cut(game: Game[Any]) -> Game[Any]:
    """A copy whose episodes are not too long for a check."""
    game = copy.deepcopy(game)
    game.horizon = _horizon(game)
    return game


def doors_give_the_same_numbers(target: str | Game[Any]) -> None:
    """One seed gives one sequence of rewards on the single, vector, parallel and AEC doors and in `play`."""
    game = as_game(target, {})
    batch, horizon = 3, _horizon(game)
    returns, lengths, moved = _reference(game, 21, batch)
    probes = _probes(game)
    for agent, (_, _, k) in game.seat.items():
        others = {name: probe for name, probe in probes.items() if name != agent}
        single = SeatEnv(game, agent=agent, others=others, horizon=horizon)
        vector = SeatVectorEnv(game, num_envs=batch, agent=agent, others=others, horizon=horizon)
        seen, _ = vector.reset(seed=21)
        total, live, masks = np.zeros(batch), np.ones(batch, bool), vector._view.arena
        while live.any():
            seen, rewards, terminated, truncated, _ = vector.step(probes[agent](seen, mask=masks.mask(agent)))
            total += np.where(live, rewards, 0.0)
            live &= ~(terminated | truncated)
        for lane in range(batch):
            alone = _drive(single, probes[agent], {"seed": 21, "options": {"lane": lane}})
            _same(alone, total[lane], f"{agent}, lane {lane}: single against vector door")
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
            acts = {a: _act(probes[a], observations[a]) for a in table.agents}
            observations, rewards_of, *_ = table.step(acts)
            steps += 1
            for a, r in rewards_of.items():
                together[a] += r
        _same([together[a] for a in game.agents], returns[lane], f"lane {lane}: parallel door against play")
        _same(steps, int(lengths[lane]), f"lane {lane}: steps of the parallel door")
        turns = GameAECEnv(game, max_cycles=horizon)
        turns.reset(seed=21, options={"lane": lane})
        summed = dict.fromkeys(game.agents, 0.0)
        for a in turns.agent_iter(100 * LIMIT * game.n_agents):
            observation, _, terminated_a, truncated_a, _ = turns.last()
            over = terminated_a or truncated_a
            turns.step(None if over else _act(probes[a], observation))
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


def _act(probe: Probe, observation: Any) -> Any:
    mask = None
    if isinstance(observation, dict) and "action_mask" in observation:
        mask, observation = observation["action_mask"].astype(bool)[None], observation["observation"]
    lead = (
        {k: np.asarray(v)[None] for k, v in observation.items()}
        if isinstance(observation, dict)
        else np.asarray(observation)[None]
    )
    return probe(lead, mask=mask)[0]


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
    agent, horizon = game.agents[0], min(_horizon(game), 5)
    probes = _probes(game)
    others = {name: probe for name, probe in probes.items() if name != agent}
    vector = SeatVectorEnv(game, num_envs=2, agent=agent, others=others, horizon=horizon)
    single = SeatEnv(game, agent=agent, others=others, horizon=horizon)
    assert vector.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP
    seen, _ = vector.reset(seed=5)
    one, _ = single.reset(seed=5, options={"lane": 1})
    for _ in range(3 * horizon):
        mask = vector._view.arena.mask(agent)
        acts = probes[agent](seen, mask=mask)
        seen, rewards, terminated, truncated, infos = vector.step(acts)
        one, reward, done, cut, _ = single.step(acts[1])
        _same(
            (rewards[1], terminated[1], truncated[1]),
            (reward, done, cut),
            "lane 1 of the vector door against the single door",
        )
        if done or cut:
            last = infos["final_obs"]
            _same({k: v[1] for k, v in last.items()} if isinstance(last, dict) else last[1], one, "final_obs")
            one, _ = single.reset()
        _same(
            {k: v[1] for k, v in seen.items()} if isinstance(seen, dict) else seen[1],
            one,
            "observation after autoreset",
        )


def snapshots_resume_exactly(target: str | Game[Any]) -> None:
    """A running arena written to a file and read back goes on to the same bits."""
    game = as_game(target, {})
    first, second = (Arena(game, 3, _random_policies(game), _horizon(game)) for _ in range(2))
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
        _same(first.snapshot(), second.snapshot(), "snapshot after restore")
        if game.terminal(first.state).any():
            first.deal()
            second.deal()
        _same(first.step({})._asdict(), second.step({})._asdict(), "the step after restore")


def _random_policies(game: Game[Any]) -> dict[str, Any]:
    from walras.envs.seats import fill_seats

    return fill_seats(game, dict.fromkeys(game.agents, "random"))


def games_and_doors_copy_and_pickle(target: str | Game[Any]) -> None:
    """Games, and doors in mid-episode, survive deepcopy and pickle and go on to the same numbers."""
    game = as_game(target, {})
    clones: tuple[Callable[[Any], Any], ...] = (copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing)))
    for clone in clones:
        other = clone(game)
        _same(
            play(_cut(game), "random", batch=2, seed=3).returns,
            play(_cut(other), "random", batch=2, seed=3).returns,
            "copied game",
        )
        env = SeatEnv(game, others="random", horizon=_horizon(game))
        env.reset(seed=2)
        twin = clone(env)
        action = env.action_space.sample(_mask_of(env))
        for here, there in zip(env.step(action)[:4], twin.step(action)[:4], strict=True):
            _same(here, there, "copied environment")


def _mask_of(env: SeatEnv) -> Array | None:
    return env.action_masks().astype(np.int8) if env._masked() else None


def actions_that_do_not_fit_are_refused(target: str | Game[Any]) -> None:
    """Wrong shapes, NaN and values outside the space raise a ValueError that names the agent; the game goes on."""
    game = as_game(target, {})
    for agent in game.agents:
        env = SeatEnv(game, agent=agent, others="random", horizon=_horizon(game))
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
        env.step(space.sample(_mask_of(env)))


def equilibria_play_inside_the_spaces(target: str | Game[Any]) -> None:
    """Stated equilibrium policies give actions of the space, and truths carry finite numbers with sources."""
    game = as_game(target, {})
    for truth in game.truths():
        assert np.isfinite(truth.value) and truth.source and truth.name, (
            f"{truth}: a finite value, a name and a source are needed"
        )
    known = game.equilibrium()
    if known is None:
        return
    arena = Arena(game, 4)
    arena.seed(0)
    arena.deal()
    for agent, (role, _, _) in game.seat.items():
        policy = known.get(agent, known.get(role.name))
        if policy is not None:
            ActionFit(role.action_space)(policy(arena.observe(agent)), (4,), "equilibrium policy", agent)
    play(_cut(game), "random", batch=2, seed=0)


def finite_games_enumerate_chance(target: str | Game[Any]) -> None:
    """Chance probabilities of a FiniteGame are rows that sum to one (or to zero where none is pending)."""
    game = as_game(target, {})
    if not isinstance(game, FiniteGame):
        return
    state = game.root(3)
    for _ in range(50):
        rows = game.chance(state)
        total = rows.sum(axis=1)
        assert (rows >= 0).all() and (np.isclose(total, 1.0) | (total == 0.0)).all(), f"chance: rows sum to {total}"
        if not (total > 0).any():
            return
        state = game.resolve(state, rows.argmax(axis=1))
    raise AssertionError("chance: still pending after 50 moves of nature")


def renders_as_text_and_picture(target: str | Game[Any]) -> None:
    """`ansi` gives text and `rgb_array` a picture (H, W, 3) uint8, before and after a step."""
    game = as_game(target, {})
    for mode, good in (("ansi", _is_text), ("rgb_array", _is_picture)):
        if mode == "rgb_array" and not installed("matplotlib"):
            continue
        env = SeatEnv(game, others="random", render_mode=mode, horizon=_horizon(game))
        env.reset(seed=0)
        good(env.render())
        env.step(env.action_space.sample(_mask_of(env)))
        good(env.render())
        table = GameParallelEnv(game, render_mode=mode)
        table.reset(seed=0)
        good(table.render())


def _is_text(shown: Any) -> None:
    assert isinstance(shown, str) and shown.strip(), f"ansi: text is needed, got {shown!r}"


def _is_picture(shown: Any) -> None:
    assert isinstance(shown, np.ndarray) and shown.dtype == np.uint8 and shown.ndim == 3 and shown.shape[2] == 3, (
        "rgb_array: (H, W, 3) uint8"
    )


def passes_gymnasium_check_env(target: str | Game[Any]) -> None:
    """`gymnasium.utils.env_checker.check_env` for every seat."""
    from gymnasium.utils.env_checker import check_env

    game = as_game(target, {})
    for agent in game.agents:
        with _quiet():
            check_env(_Lenient(game, agent=agent, others="random", horizon=_horizon(game)), skip_render_check=True)


def passes_sb3_check_env(target: str | Game[Any]) -> None:
    """`stable_baselines3.common.env_checker.check_env` for every seat (needs the extra `learn`)."""
    from stable_baselines3.common.env_checker import check_env

    game = as_game(target, {})
    for agent in game.agents:
        with _quiet():
            check_env(_Lenient(game, agent=agent, others="random", horizon=_horizon(game)), skip_render_check=True)


class _Lenient(SeatEnv):
    """Illegal samples become the first legal action: the library checks sample without masks."""

    def step(self, action: Any) -> Any:
        """Act, legally."""
        if self._masked() and self.action_space.contains(action):
            mask, start = self.action_masks(), getattr(self.action_space, "start", 0)
            action = action if mask[int(action) - start] else np.int64(np.argmax(mask) + start)
        return super().step(action)


def passes_pettingzoo_checks(target: str | Game[Any]) -> None:
    """PettingZoo's `api_test`, `parallel_api_test`, `seed_test` and, for games without masks, `parallel_seed_test`."""
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
    from pettingzoo.test.state_test import state_test

    game = as_game(target, {})
    cycles = _horizon(game)

    def turns() -> GameAECEnv:
        return GameAECEnv(game, max_cycles=cycles)

    def together() -> GameParallelEnv:
        return GameParallelEnv(game, max_cycles=cycles)

    with _quiet():
        api_test(turns(), num_cycles=50)
        seed_test(turns, num_cycles=50)
        parallel_api_test(together(), num_cycles=50)
        if not any(together()._masked.values()):
            parallel_seed_test(together, num_cycles=50)
            state_test(turns(), together())


def specs_survive_json(target: str | Game[Any]) -> None:
    """A registered id makes environments in both registries, and Gymnasium's spec goes to JSON and back (ids only)."""
    if not isinstance(target, str):
        return
    spec = gymnasium.spec(target)
    with _quiet():
        again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(spec.to_json()))
        _same(again.reset(seed=4)[0], gymnasium.make(target).reset(seed=4)[0], "the environment from JSON")
        vector = gymnasium.make_vec(target, num_envs=2)
        assert isinstance(vector.unwrapped, SeatVectorEnv), "make_vec must use the native batch"
        assert isinstance(pettingzoo.make("parallel", target), GameParallelEnv)
        assert isinstance(pettingzoo.make("aec", target), GameAECEnv)


def the_sb3_door_agrees(target: str | Game[Any]) -> None:
    """The SB3 `VecEnv` gives the numbers of the vector door, lane by lane (needs the extra `learn`)."""
    from walras.envs.doors.sb3 import SeatVecEnv

    game = as_game(target, {})
    agent, horizon = game.agents[0], min(_horizon(game), 5)
    probes = _probes(game)
    others = {name: probe for name, probe in probes.items() if name != agent}
    ours = SeatVecEnv(game, 3, agent=agent, others=others, seed=6, horizon=horizon)
    theirs = SeatVectorEnv(game, num_envs=3, agent=agent, others=others, horizon=horizon)
    a, (b, _) = ours.reset(), theirs.reset(seed=6)
    for _ in range(3 * horizon):
        _same(a, b, "SB3 door against vector door: observation")
        acts = probes[agent](b, mask=theirs._view.arena.mask(agent))
        ours.step_async(acts)
        a, rewards, over, infos = ours.step_wait()
        b, expected, terminated, truncated, _ = theirs.step(acts)
        _same(rewards, expected.astype(np.float32), "SB3 door against vector door: reward")
        _same(over, terminated | truncated, "SB3 door against vector door: done")
        assert all(("terminal_observation" in info) == bool(done) for info, done in zip(infos, over, strict=True))


def exports_to_openspiel(target: str | Game[Any]) -> None:
    """A FiniteGame without Box actions becomes an OpenSpiel game that survives a random simulation (extra `games`)."""
    game = as_game(target, {})
    if not isinstance(game, FiniteGame) or any(isinstance(role.action_space, spaces.Box) for role in game.roles):
        return
    from walras.envs.doors.openspiel import random_playout, to_openspiel

    random_playout(to_openspiel(game), np.random.default_rng(0))


CORE_CHECKS: tuple[Callable[[str | Game[Any]], None], ...] = (
    rules_have_the_stated_shapes,
    steps_leave_their_input_alone,
    lanes_do_not_depend_on_the_batch,
    doors_give_the_same_numbers,
    the_vector_door_begins_lanes_anew,
    snapshots_resume_exactly,
    games_and_doors_copy_and_pickle,
    actions_that_do_not_fit_are_refused,
    equilibria_play_inside_the_spaces,
    finite_games_enumerate_chance,
    renders_as_text_and_picture,
    passes_gymnasium_check_env,
    passes_pettingzoo_checks,
    specs_survive_json,
)
EXTRA_CHECKS: dict[str, tuple[Callable[[str | Game[Any]], None], ...]] = {
    "stable_baselines3": (passes_sb3_check_env, the_sb3_door_agrees),
    "pyspiel": (exports_to_openspiel,),
}
CHECKS = (*CORE_CHECKS, *(check for checks in EXTRA_CHECKS.values() for check in checks))


def installed(module: str) -> bool:
    """Can this optional library be imported?"""
    return importlib.util.find_spec(module) is not None


def check_game(target: str | Game[Any]) -> tuple[str, ...]:
    """Run every check whose libraries are installed.

    Args:
        target: a registered id, or a game object (then the check of registries is vacuous).

    Returns:
        Names of the checks that could not run, each with the missing library.

    Raises:
        AssertionError, ValueError, ...: from the first check that fails, with a note that names it.
    """
    missing = []
    for check in CORE_CHECKS:
        _run(check, target)
    for module, checks in EXTRA_CHECKS.items():
        for check in checks:
            if installed(module):
                _run(check, target)
            else:
                missing.append(f"{check.__name__} (needs {module})")
    return tuple(missing)


def _run(check: Callable[[str | Game[Any]], None], target: str | Game[Any]) -> None:
    try:
        check(target)
    except Exception as error:
        error.add_note(f"while checking: {check.__name__}")
        raise


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' checkers print and advise; only their errors matter here."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        previous = gymnasium.logger.min_level
        gymnasium.logger.min_level = gymnasium.logger.ERROR
        try:
            yield
        finally:
            gymnasium.logger.min_level = previous
