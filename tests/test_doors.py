"""Doors: each of them shows the game that a plain loop over the rules plays, lane by lane and episode by episode.

One long file, because every section holds the doors against the same small games and the same plain loop.
"""

import pickle
import subprocess
import sys
from typing import NamedTuple

import gymnasium
import numpy as np
import pettingzoo
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

import walras
from walras.envs.checks.probe import Probe
from walras.envs.doors.aec import GameAECEnv
from walras.envs.doors.parallel import GameParallelEnv
from walras.envs.doors.single import SeatEnv
from walras.envs.doors.vector import SeatVectorEnv
from walras.envs.lanes import LaneRandom, clock
from walras.envs.seats import as_policy
from walras.envs.spaces import empty

# -- games -------------------------------------------------------------------------------------------------------------


class TurnState(NamedTuple):
    x: np.ndarray  # (B,)
    moving: np.ndarray  # (B, n) bool
    over: np.ndarray  # (B,) bool


class Turns(walras.Game[TurnState]):
    """Who moves next is drawn (sometimes several), everyone is paid for every move, and the game ends by chance."""

    def __init__(self, players=3, stop=0.3, masked=True):
        self.players, self.stop, self.masked = players, stop, masked
        seen = spaces.Box(0, 1, (2,), np.float32)
        self.roles = (walras.Role("player", players, seen, spaces.Discrete(4, start=1)),)

    def _draw(self, u):
        moving = u[:, 2:] < 0.35
        moving[np.arange(len(u)), u[:, 2:].argmin(axis=1)] = True
        return TurnState(u[:, 0], moving, u[:, 1] < self.stop)

    def initial(self, batch, rng):
        return self._draw(rng.random((batch, 2 + self.players)))._replace(over=np.zeros(batch, bool))

    def observe(self, state, role):
        return np.stack([np.repeat(state.x[:, None], self.players, 1), state.moving.astype(float)], axis=-1)

    def movers(self, state):
        return state.moving

    def legal(self, state, role):
        if not self.masked:
            return None
        legal = np.ones((len(state.x), self.players, 4), bool)
        legal[..., 3] = (state.x < 0.5)[:, None]
        legal[..., 0] = (state.x > 0.2)[:, None]
        return legal

    def info(self, state, role):
        return {"x": np.repeat(state.x[:, None], self.players, 1)}

    def step(self, state, actions, rng):
        work = (actions["player"] * state.moving).sum(axis=1)
        rewards = (state.x * work)[:, None] * np.arange(1, self.players + 1) - 0.1 * state.moving
        return self._draw(rng.random((len(work), 2 + self.players))), rewards

    def terminal(self, state):
        return state.over


class WalkState(NamedTuple):
    x: np.ndarray


class Walk(walras.Game[WalkState]):
    """One walker; ends by the rules beyond `goal`, else after seven steps."""

    horizon = 7

    def __init__(self, goal=np.inf):
        self.goal = goal
        self.roles = (
            walras.Role("walker", None, spaces.Box(-9, 99, (1,), np.float32), spaces.Box(-1, 1, (1,), np.float32)),
        )

    def initial(self, batch, rng):
        return WalkState(rng.random(batch))

    def observe(self, state, role):
        return state.x[:, None, None]

    def step(self, state, actions, rng):
        x = state.x + actions["walker"][:, 0, 0] + rng.random(len(state.x))
        return WalkState(x), -np.abs(x)[:, None]

    def terminal(self, state):
        return state.x > self.goal


GAMES = {
    "turns": (Turns, None),
    "turns without masks, at most 4 steps": (lambda: Turns(masked=False), 4),
    "turns of two": (lambda: Turns(2, stop=0.5), None),
    "walk": (lambda: Walk(1.5), None),
    "repeated auction": (lambda: walras.make("walras/RepeatedAuction-v0", rounds=3, items=2), None),
    "one-shot auction": (lambda: walras.make("walras/SealedBidAuction-v0"), None),
    "bargaining": (lambda: walras.make("walras/Bargaining-v0"), 6),
    "finite auction": (lambda: walras.make("walras/DiscreteAuction-v0", rounds=2), None),
    "prisoner's dilemma": (lambda: walras.make("walras/PrisonersDilemma-v0"), 5),
}


@pytest.fixture(params=GAMES)
def setting(request):
    """A game and the horizon the doors are given."""
    make, horizon = GAMES[request.param]
    return make(), horizon


# -- the plain loop ----------------------------------------------------------------------------------------------------


def probe(game, agent):
    """A jumpy deterministic policy for one seat."""
    return Probe(game.seat[agent][0].action_space)


def random_seats(game, *without):
    return {a: as_policy("random", game, a) for a in game.agents if a not in without}


def dealt(game, seed, lane, episode):
    now = clock(seed, 1, lane)._replace(episode=np.array([episode], np.uint64))
    return now, game.initial(1, LaneRandom(now))


def seen_by(game, state, agent):
    role, i, _ = game.seat[agent]
    return game.observe(state, role.name)[:, i].astype(role.observation_space.dtype)


def mask_of(game, state, agent):
    role, i, k = game.seat[agent]
    legal = game.legal(state, role.name)
    if legal is None:
        return None
    legal = legal[:, i] & game.movers(state)[:, [k]]
    return np.where(legal.any(axis=1, keepdims=True), legal, np.arange(legal.shape[1]) == 0)


def moved(game, now, state, t, policies):
    """One step of one lane: the next state and the rewards (n,)."""
    now = now._replace(step=np.array([t + 1], np.uint64))
    actions = {role.name: empty(role.action_space, 1, role.size) for role in game.roles}
    for agent, (role, i, k) in game.seat.items():
        if game.movers(state)[0, k]:
            rng = LaneRandom(now, stream=k + 1)
            seen = seen_by(game, state, agent)
            actions[role.name][:, i] = policies[agent](seen, mask=mask_of(game, state, agent), rng=rng)
    state, rewards = game.step(state, actions, LaneRandom(now))
    return state, rewards[0]


def lived(game, agent, policies, seed, lane, moves, horizon):
    """First observation, then (observation, reward, terminated, truncated) after each of `moves` moves of `agent`."""
    horizon = game.horizon if horizon is None else horizon
    k = game.seat[agent][2]
    first, history, owed, acted, t, episode = None, [], 0.0, False, 0, 0
    now, state = dealt(game, seed, lane, 0)
    starts = []
    while len(history) < moves:
        terminated = bool(game.terminal(state)[0])
        truncated = not terminated and horizon is not None and t >= horizon
        mine = bool(game.movers(state)[0, k])
        if terminated or truncated or mine:
            seen = seen_by(game, state, agent)[0]
            if acted:
                history.append((seen, owed, terminated, truncated))
                owed = 0.0
            elif mine and not (terminated or truncated):
                starts.append(seen)
                first = seen if first is None else first
            acted = not (terminated or truncated)
        if terminated or truncated:
            episode, owed, t = episode + 1, 0.0, 0
            now, state = dealt(game, seed, lane, episode)
            continue
        state, rewards = moved(game, now, state, t, policies)
        owed, t = owed + rewards[k], t + 1
    return starts, history


def whole_episode(game, policies, seed, lane, episode, horizon):
    """Rewards (T, n) of one episode."""
    horizon = game.horizon if horizon is None else horizon
    now, state = dealt(game, seed, lane, episode)
    paid = []
    while not game.terminal(state)[0] and (horizon is None or len(paid) < horizon):
        state, rewards = moved(game, now, state, len(paid), policies)
        paid.append(rewards)
    return np.array(paid)


# -- one seat ----------------------------------------------------------------------------------------------------------

MOVES = 25


def agent_of(game):
    return game.agents[-1]


def expected(game, horizon, seed, lane):
    agent = agent_of(game)
    policies = {agent: probe(game, agent), **random_seats(game, agent)}
    return lived(game, agent, policies, seed, lane, MOVES, horizon)


@pytest.mark.parametrize("lane", [0, 3])
def test_the_single_door_is_the_plain_loop_over_many_episodes(setting, lane):
    game, horizon = setting
    agent = agent_of(game)
    starts, history = expected(game, horizon, 17, lane)
    env = SeatEnv(game, agent=agent, others="random", horizon=horizon)
    policy, starts = probe(game, agent), iter(starts)
    seen, info = env.reset(seed=17, options={"lane": lane})
    np.testing.assert_array_equal(seen, next(starts))
    for want in history:
        mask = info["action_mask"].astype(bool)[None] if "action_mask" in info else None
        seen, reward, terminated, truncated, info = env.step(policy(seen[None], mask=mask)[0])
        np.testing.assert_array_equal(seen, want[0])
        assert (reward, terminated, truncated) == want[1:]
        if terminated or truncated:
            seen, info = env.reset()
            following = next(starts, None)
            assert following is None or np.array_equal(seen, following)


def test_the_vector_door_is_the_plain_loop_in_every_lane(setting):
    game, horizon = setting
    agent = agent_of(game)
    lanes = [expected(game, horizon, 17, lane) for lane in range(5)]
    starts = [iter(first) for first, _ in lanes]
    env = SeatVectorEnv(game, num_envs=5, agent=agent, others="random", horizon=horizon)
    policy = probe(game, agent)
    seen, info = env.reset(seed=17)
    np.testing.assert_array_equal(seen, [next(first) for first in starts])
    for t in range(MOVES):
        mask = info["action_mask"].astype(bool) if "action_mask" in info else None
        seen, rewards, terminated, truncated, info = env.step(policy(seen, mask=mask))
        over = terminated | truncated
        np.testing.assert_array_equal(info["_final_obs"] if over.any() else over, over)
        for lane in range(5):
            want = lanes[lane][1][t]
            last = info["final_obs"][lane] if over[lane] else seen[lane]
            np.testing.assert_array_equal(last, want[0])
            assert (rewards[lane], terminated[lane], truncated[lane]) == want[1:]
            if over[lane]:
                following = next(starts[lane], None)
                assert following is None or np.array_equal(seen[lane], following)


def test_the_sb3_door_is_the_plain_loop_in_every_lane(setting):
    sb3 = pytest.importorskip("walras.envs.doors.sb3", reason="needs stable_baselines3")
    game, horizon = setting
    agent = agent_of(game)
    lanes = [expected(game, horizon, 17, lane) for lane in range(3)]
    env = sb3.SeatVecEnv(game, 3, agent=agent, others="random", horizon=horizon, seed=17)
    policy = probe(game, agent)
    masked = game.legal(game.initial(1, LaneRandom(clock(0, 1))), game.seat[agent][0].name) is not None
    seen = env.reset()
    for t in range(MOVES):
        seen, rewards, over, infos = env.step(policy(seen, mask=env.action_masks() if masked else None))
        for lane in range(3):
            last, reward, terminated, truncated = lanes[lane][1][t]
            assert rewards.dtype == np.float32 and rewards[lane] == np.float32(reward)
            assert over[lane] == (terminated or truncated)
            if over[lane]:
                np.testing.assert_array_equal(infos[lane]["terminal_observation"], last)
                assert infos[lane]["TimeLimit.truncated"] == truncated
            else:
                np.testing.assert_array_equal(seen[lane], last)


def test_sb3_reports_each_episodes_return_and_length():
    sb3 = pytest.importorskip("walras.envs.doors.sb3", reason="needs stable_baselines3")
    game = Turns()
    env = sb3.SeatVecEnv(game, 2, others="random", seed=4)
    env.reset()
    totals, lengths, ended = np.zeros(2), np.zeros(2, int), 0
    for _ in range(40):
        legal = env.action_masks().argmax(axis=1) + 1
        _, rewards, over, infos = env.step(legal)
        totals, lengths = totals + rewards, lengths + 1
        for lane in np.flatnonzero(over):
            episode = infos[lane]["episode"]
            assert episode["r"] == pytest.approx(totals[lane], rel=1e-5) and episode["l"] == lengths[lane]
            totals[lane], lengths[lane], ended = 0, 0, ended + 1
    assert ended > 4


def test_rewards_of_the_others_moves_reach_the_seat_and_unmoved_episodes_are_skipped():
    game = Turns(3, stop=0.6)
    first = np.array([game.movers(dealt(game, 5, lane, 0)[1])[0, 0] for lane in range(200)])
    env = SeatVectorEnv(game, num_envs=200, others="random")
    env.reset(seed=5)
    episode = env.snapshot()["clock.episode"]
    assert (episode > 0).any()  # somewhere the first episodes ended before the seat was asked
    assert (episode[first] == 0).all()
    waited = env.snapshot()["elapsed"]
    assert ((waited > 0) & (episode == 0)).any() and (waited[first] == 0).all()
    owed = env.snapshot()["owed"]
    assert (owed[waited > 0] != 0).any() and not owed[waited == 0].any()


# -- everyone's doors --------------------------------------------------------------------------------------------------


def drive_parallel(env, game, policies, **reset):
    """Rewards (T, outside agents) of one episode, everyone acting by `policies`."""
    observations, _ = env.reset(**reset)
    agents, paid = env.agents, []
    while env.agents:
        acts = {}
        for agent in env.agents:
            seen, mask = observations[agent], None
            if isinstance(seen, dict):
                seen, mask = seen["observation"], seen["action_mask"].astype(bool)[None]
            acts[agent] = policies[agent](seen[None], mask=mask)[0]
        observations, rewards, terminated, truncated, _ = env.step(acts)
        assert len(set(terminated.values())) == len(set(truncated.values())) == 1
        paid.append([rewards[agent] for agent in agents])
    return np.array(paid)


def drive_aec(env, policies, **reset):
    """Returns of one episode as agents meet them: by `last()`, when they are asked."""
    env.reset(**reset)
    totals = dict.fromkeys(env.possible_agents, 0.0)
    for agent in env.agent_iter(10_000):
        seen, reward, terminated, truncated, _ = env.last()
        totals[agent] += reward
        if terminated or truncated:
            env.step(None)
            continue
        mask = None
        if isinstance(seen, dict):
            seen, mask = seen["observation"], seen["action_mask"].astype(bool)[None]
        env.step(policies[agent](seen[None], mask=mask)[0])
    return np.array([totals[agent] for agent in env.possible_agents])


@pytest.mark.parametrize("inside", [False, True])
def test_parallel_aec_and_play_are_the_plain_loop(setting, inside):
    game, horizon = setting
    if inside and game.n_agents == 1:
        inside = False
    outside = [agent for agent in game.agents if not inside or agent == agent_of(game)]
    policies = {agent: probe(game, agent) for agent in outside} | random_seats(game, *outside)
    seats = {} if not inside else {agent: "random" for agent in game.agents if agent not in outside}
    columns = [game.seat[agent][2] for agent in outside]
    parallel = GameParallelEnv(game, seats=seats, max_cycles=horizon)
    turns = GameAECEnv(game, seats=seats, max_cycles=horizon)
    assert parallel.possible_agents == turns.possible_agents == outside
    for lane in (0, 2):
        for episode in range(4):
            paid = whole_episode(game, policies, 23, lane, episode, horizon)
            reset = {"seed": 23, "options": {"lane": lane}} if episode == 0 else {}
            np.testing.assert_array_equal(drive_parallel(parallel, game, policies, **reset), paid[:, columns])
            np.testing.assert_allclose(
                drive_aec(turns, policies, **reset), paid.sum(axis=0)[columns], rtol=1e-12, atol=1e-12
            )
            if episode == 0 and horizon is None:
                once = walras.play(game, policies, batch=1, seed=23, lane=lane)
                np.testing.assert_allclose(once.returns[0], paid.sum(axis=0), rtol=1e-12, atol=1e-12)
                assert once.lengths[0] == len(paid)


def test_the_parallel_door_says_who_is_to_move_in_a_game_of_turns_only():
    env = GameParallelEnv(Turns())
    _, infos = env.reset(seed=1)
    assert any(infos[a]["to_move"] for a in env.agents)
    assert "to_move" not in GameParallelEnv("walras/SealedBidAuction-v0").reset(seed=0)[1]["bidder_0"]


def test_the_aec_door_shows_no_action_before_all_simultaneous_movers_have_acted():
    env = GameAECEnv("walras/SealedBidAuction-v0", bidders=3)
    env.reset(seed=0)
    before = env.snapshot()
    for agent in ("bidder_0", "bidder_1"):
        assert env.agent_selection == agent
        env.step(np.array([0.3], np.float32))
        np.testing.assert_array_equal(env.snapshot()["state.bid"], before["state.bid"])
    env.step(np.array([0.3], np.float32))
    np.testing.assert_allclose(env.snapshot()["state.bid"], 0.3, rtol=1e-6)


def test_a_parallel_step_needs_an_action_of_everyone():
    env = GameParallelEnv("walras/SealedBidAuction-v0")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"actions: none given for \['bidder_1', 'bidder_2'\]"):
        env.step({"bidder_0": np.zeros(1, np.float32)})


# -- Gymnasium ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "id",
    ["walras/SealedBidAuction-v0", "walras/RepeatedAuction-v0", "walras/Bargaining-v0", "walras/PrisonersDilemma-v0"],
)
def test_the_native_batch_equals_gymnasiums_sync_vector_env_seed_for_seed(id):
    same = AutoresetMode.SAME_STEP
    theirs = gymnasium.make_vec(
        id, num_envs=3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": same}, others="random"
    )
    ours = gymnasium.make_vec(id, num_envs=3, others="random")
    assert isinstance(ours.unwrapped, SeatVectorEnv) and isinstance(theirs.unwrapped, gymnasium.vector.SyncVectorEnv)
    a, _ = theirs.reset(seed=31)
    b, info = ours.reset(seed=[31, 32, 33])
    np.testing.assert_array_equal(a, b)
    rng = np.random.default_rng(0)
    for _ in range(40):
        if isinstance(ours.single_action_space, spaces.Discrete):
            mask = info.get("action_mask", np.ones((3, ours.single_action_space.n)))
            acts = (rng.random(mask.shape) * mask).argmax(axis=1) + ours.single_action_space.start
        else:
            box = ours.single_action_space
            acts = (box.low + rng.random((3, *box.shape)) * (box.high - box.low)).astype(box.dtype)
        a, rewards, terminated, truncated, theirs_info = theirs.step(acts)
        b, *mine, info = ours.step(acts)
        np.testing.assert_array_equal(a, b)
        for want, have in zip((rewards, terminated, truncated), mine, strict=True):
            np.testing.assert_array_equal(want, have)
        for lane in np.flatnonzero(terminated | truncated):
            np.testing.assert_array_equal(theirs_info["final_obs"][lane], info["final_obs"][lane])


def test_gymnasium_finds_the_games_before_walras_is_imported():
    code = (
        "import gymnasium, pettingzoo, sys\n"
        "assert 'walras' not in sys.modules\n"
        "env = gymnasium.make('walras:walras/SealedBidAuction-v0', bidders=2)\n"
        "obs, info = env.reset(seed=0)\n"
        "print(env.observation_space.contains(obs), len(env.unwrapped.game.agents))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["True", "2"]


def test_parameters_of_the_game_pass_through_every_registry():
    for env in (
        gymnasium.make("walras/SealedBidAuction-v0", bidders=4, mechanism="all-pay").unwrapped,
        gymnasium.make_vec("walras/SealedBidAuction-v0", num_envs=2, bidders=4, mechanism="all-pay").unwrapped,
        pettingzoo.make("parallel", "walras/SealedBidAuction-v0", bidders=4, mechanism="all-pay"),
        pettingzoo.make("aec", "walras/SealedBidAuction-v0", bidders=4, mechanism="all-pay").unwrapped,
    ):
        assert env.game.bidders == 4 and type(env.game.mechanism).__name__ == "AllPay"


def test_without_a_seed_episodes_go_on_under_the_last_one_and_fresh_environments_differ():
    env = SeatEnv(Walk())
    env.reset(seed=3)
    second, third = env.reset()[0], env.reset()[0]
    env.reset(seed=3)
    assert env.reset()[0] == second and env.reset()[0] == third and second != third
    assert SeatEnv(Walk()).reset()[0] != SeatEnv(Walk()).reset()[0]
    vectors = [SeatVectorEnv(Walk(), num_envs=2).reset()[0] for _ in range(2)]
    assert (vectors[0] != vectors[1]).all()


def test_many_resets_deal_the_episodes_of_the_plain_loop():
    game = walras.make("walras/RepeatedAuction-v0", rounds=2)
    env = SeatEnv(game, others="random")
    first = [env.reset(seed=12, options={"lane": 3})[0]]
    for episode in range(1, 200):
        if episode % 7 == 0:
            env.step(np.zeros(1, np.float32))  # an episode that is left early
        if episode == 100:
            env.restore(env.snapshot())
        first.append(env.reset()[0])
    plain = [seen_by(game, dealt(game, 12, 3, episode)[1], "bidder_0")[0] for episode in range(200)]
    np.testing.assert_array_equal(first, plain)
    np.testing.assert_array_equal(env.reset(seed=13)[0], seen_by(game, dealt(game, 13, 0, 0)[1], "bidder_0")[0])


def test_the_lane_option_moves_every_door_to_another_lane():
    whole, _ = SeatVectorEnv(Walk(), num_envs=6).reset(seed=2)
    part, _ = SeatVectorEnv(Walk(), num_envs=2).reset(seed=2, options={"lane": 4})
    np.testing.assert_array_equal(part, whole[4:])
    np.testing.assert_array_equal(SeatEnv(Walk()).reset(seed=2, options={"lane": 5})[0], whole[5])
    with pytest.raises(ValueError, match="lane"):
        SeatEnv(Walk()).reset(seed=2, options={"lane": -1})


@pytest.mark.parametrize("door", [SeatEnv, SeatVectorEnv, GameParallelEnv, GameAECEnv])
def test_a_step_before_the_first_reset_is_refused(door):
    env = door("walras/SealedBidAuction-v0")
    action = {"bidder_0": np.zeros(1)} if door is GameParallelEnv else np.zeros(1)
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step(action)


@pytest.mark.parametrize(
    ("door", "arguments", "error", "named"),
    [
        (SeatEnv, {"agent": "seller"}, ValueError, "agent: 'seller'"),
        (SeatEnv, {"others": {"seller": "random"}}, ValueError, "others: 'seller'"),
        (SeatEnv, {"others": "nobody"}, ValueError, "'nobody' is not a policy"),
        (SeatEnv, {"render_mode": "human"}, ValueError, "render_mode: 'human'"),
        (SeatEnv, {"bidders": 0}, ValueError, "bidders"),
        (SeatEnv, {"colour": 0}, TypeError, "colour"),
        (SeatVectorEnv, {"autoreset_mode": AutoresetMode.NEXT_STEP}, ValueError, "autoreset_mode: NEXT_STEP"),
        (SeatVectorEnv, {"autoreset_mode": "Sometimes"}, ValueError, "Sometimes"),
        (SeatVectorEnv, {"autoreset_mode": "NEXT_STEP"}, ValueError, "NEXT_STEP wastes a step"),
        (SeatEnv, {"others": 3}, TypeError, "others: .*got 3"),
        (SeatEnv, {"others": 0}, TypeError, "others: .*got 0"),
        (SeatEnv, {"others": {"bidder_0": "random"}}, ValueError, "others: 'bidder_0' is the agent's own seat"),
        (SeatVectorEnv, {"agent": "bidder_1", "others": {"bidder_1": "zero"}}, ValueError, "others: 'bidder_1' is"),
        (SeatEnv, {"horizon": 0}, ValueError, "horizon must be an integer of at least 1"),
        (SeatEnv, {"horizon": 1.5}, ValueError, "horizon must be .*1.5"),
        (SeatVectorEnv, {"horizon": True}, ValueError, "horizon must be .*True"),
        (GameParallelEnv, {"max_cycles": 2.0}, ValueError, "max_cycles must be .*2.0"),
        (GameAECEnv, {"max_cycles": "3"}, ValueError, "max_cycles must be .*'3'"),
        (GameParallelEnv, {"seats": 3}, TypeError, "seats: .*got 3"),
        (GameAECEnv, {"seats": "random"}, ValueError, "seats: every seat is filled; .*walras.play"),
        (GameAECEnv, {"seats": "nobody"}, ValueError, "'nobody' is not a policy"),
        (SeatVectorEnv, {"render_mode": "human"}, ValueError, "render_mode: 'human'"),
        (GameParallelEnv, {"render_mode": "human"}, ValueError, "render_mode: 'human'"),
        (GameParallelEnv, {"max_cycles": 0}, ValueError, "max_cycles"),
        (GameParallelEnv, {"seats": {"bidder": "random"}}, ValueError, "seats: every seat is filled"),
        (GameAECEnv, {"seats": {"seller": "random"}}, ValueError, "seats: 'seller'"),
    ],
)
def test_doors_name_the_argument_that_does_not_fit(door, arguments, error, named):
    with pytest.raises(error, match=named):
        door("walras/SealedBidAuction-v0", **arguments)


def test_doors_take_an_id_or_a_game_but_no_parameters_beside_a_finished_game():
    with pytest.raises(TypeError, match=r"parameters \['stop'\]"):
        SeatEnv(Turns(), stop=0.2)
    with pytest.raises(TypeError, match=r"game: an id or a walras\.Game"):
        SeatEnv(3)
    for number in (0, -1, 2.5):
        with pytest.raises(ValueError, match="num_envs"):
            SeatVectorEnv(Walk(), num_envs=number)


# -- autoreset, horizons, masks, infos, pictures -----------------------------------------------------------------------


def test_disabled_autoreset_leaves_ended_lanes_to_the_reset_mask():
    game = Turns()
    env = SeatVectorEnv(game, num_envs=4, others="random", autoreset_mode="Disabled")
    twin = SeatVectorEnv(game, num_envs=4, others="random")
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    assert SeatVectorEnv.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    (_, info), _ = env.reset(seed=9), twin.reset(seed=9)
    ended = 0
    for _ in range(30):
        acts = info["action_mask"].argmax(axis=1) + 1
        seen, *mine, info = env.step(acts)
        follow, *theirs, twin_info = twin.step(acts)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
        over = mine[1] | mine[2]
        if over.any():
            np.testing.assert_array_equal(seen[over], twin_info["final_obs"][over])
            with pytest.raises(ValueError, match=r"have ended: reset them \(autoreset is DISABLED\)"):
                env.step(acts)
            seen, info = env.reset(options={"reset_mask": over})
            ended += int(over.sum())
        np.testing.assert_array_equal(seen, follow)
    assert ended > 5


@pytest.mark.parametrize("mask", [np.ones(3, bool), np.ones(2), [True], np.ones((2, 1), bool)])
def test_a_reset_mask_of_another_shape_or_dtype_is_refused(mask):
    env = SeatVectorEnv(Walk(), num_envs=2, autoreset_mode="Disabled")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(options={"reset_mask": mask})


def test_a_reset_mask_does_not_go_with_a_seed_or_before_the_first_reset():
    env = SeatVectorEnv(Walk(), num_envs=2, autoreset_mode="Disabled")
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=0)
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(seed=1, options={"reset_mask": np.array([True, False])})


def test_the_horizon_truncates_and_the_rules_terminate():
    walk = SeatEnv(Walk())
    walk.reset(seed=0)
    ends = [walk.step(np.zeros(1, np.float32))[2:4] for _ in range(7)]
    assert ends == [(False, False)] * 6 + [(False, True)]
    short = SeatEnv(Walk(), horizon=2)
    short.reset(seed=0)
    assert [short.step(np.zeros(1, np.float32))[3] for _ in range(2)] == [False, True]
    both = SeatEnv(Walk(goal=-1.0), horizon=1)  # the rules end the episode just at the horizon
    both.reset(seed=0)
    assert both.step(np.zeros(1, np.float32))[2:4] == (True, False)


def test_a_step_after_the_end_is_refused_until_the_reset():
    for env in (SeatEnv(Walk(), horizon=1), SeatEnv("walras/DiscreteAuction-v0")):
        action = env.action_space.sample() * 0
        env.reset(seed=0)
        env.step(action)
        ended = env.snapshot()
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            env.step(action)
        env.reset()
        env.step(action)
        env.reset(seed=0)
        env.restore(ended)
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            env.step(action)


def test_infinite_actions_are_refused_in_unbounded_spaces_too():
    class Free(Walk):
        def __init__(self):
            self.goal = np.inf
            free = spaces.Box(-np.inf, np.inf, (1,), np.float32)
            self.roles = (walras.Role("walker", None, free, free),)

    env = SeatEnv(Free())
    env.reset(seed=0)
    for action in (np.inf, -np.inf, np.nan, 1e300):  # the last one is infinite in float32
        with pytest.raises(ValueError, match="'walker'"):
            env.step(np.array([action]))
    assert np.isfinite(env.step(np.array([1e30]))[1])


def test_boxes_of_integers_take_integers_in_their_range_only():
    class Steps(Walk):
        def __init__(self):
            self.goal = np.inf
            pixel = spaces.Box(0, 200, (1,), np.uint8)
            self.roles = (walras.Role("walker", None, Walk().roles[0].observation_space, pixel),)

    env = SeatEnv(Steps())
    env.reset(seed=0)
    for action in (np.array([300]), np.array([-1]), np.array([0.5]), np.array([201], np.uint8)):
        with pytest.raises(ValueError, match="'walker'"):
            env.step(action)
    assert env.step(np.array([20]))[1] < -20


def test_numbers_are_compared_with_the_bounds_in_the_dtype_of_the_space():
    class Tenth(Walk):
        def __init__(self):
            self.goal = np.inf
            self.roles = (
                walras.Role("walker", None, Walk().roles[0].observation_space, spaces.Box(0, np.float32(0.7), (1,))),
            )

    assert float(np.float32(0.7)) < 0.7
    env = SeatEnv(Tenth())
    env.reset(seed=0)
    env.step(np.array([0.7]))
    with pytest.raises(ValueError, match="'walker'"):
        env.step(np.array([0.7001]))


def test_infos_can_be_left_out():
    env = SeatVectorEnv("walras/SealedBidAuction-v0", num_envs=3, infos=False)
    assert env.reset(seed=0)[1] == {}
    assert env.step(np.zeros((3, 1), np.float32))[4] == {}
    masked = SeatVectorEnv(Turns(), num_envs=3, infos=False)
    assert set(masked.reset(seed=0)[1]) == {"action_mask", "_action_mask"}


def test_infos_hold_the_games_facts_about_the_agent():
    env = SeatVectorEnv("walras/SealedBidAuction-v0", num_envs=3, others={"bidder": lambda seen: seen * 0})
    env.reset(seed=0)
    info = env.step(np.full((3, 1), 0.5, np.float32))[4]["final_info"]
    np.testing.assert_array_equal(info["allocation"], np.ones((3, 1)))
    np.testing.assert_array_equal(info["payment"], np.full(3, 0.5))
    single = SeatEnv("walras/SealedBidAuction-v0", others={"bidder": lambda seen: seen * 0})
    single.reset(seed=0)
    assert single.step(np.array([0.5], np.float32))[4]["payment"] == 0.5


def test_action_masks_of_all_doors_agree_and_illegal_actions_are_refused():
    game = Turns(2)
    single = SeatEnv(game, others="random")
    _, info = single.reset(seed=8)
    vector = SeatVectorEnv(game, num_envs=2, others="random")
    _, both = vector.reset(seed=8)
    np.testing.assert_array_equal(single.action_masks(), info["action_mask"])
    np.testing.assert_array_equal(both["action_mask"][0], info["action_mask"])
    assert info["action_mask"].dtype == np.int8 and single.action_masks().dtype == bool
    illegal = int(np.argmin(info["action_mask"])) + 1
    legal = (np.flatnonzero(info["action_mask"]) + 1).tolist()
    before = single.snapshot()
    with pytest.raises(ValueError, match=rf"'player_0'.*{illegal} is illegal.*legal are {legal}".replace("[", r"\[")):
        single.step(illegal)
    np.testing.assert_equal(single.snapshot(), before)
    single.step(legal[0])
    assert SeatEnv("walras/PrisonersDilemma-v0").action_masks().all()


def test_agents_who_are_not_to_move_may_only_give_their_first_action_to_pettingzoo():
    env = GameParallelEnv(Turns(2, stop=0.1))
    for seed in range(20):
        observations, infos = env.reset(seed=seed)
        for agent in env.agents:
            if not infos[agent]["to_move"]:
                assert observations[agent]["action_mask"].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_every_door_renders_in_its_mode_and_not_without_one(mode):
    if mode == "rgb_array":
        pytest.importorskip("matplotlib")
    id = "walras/SealedBidAuction-v0"

    def good(shown):
        return isinstance(shown, str) if mode == "ansi" else shown.shape[2] == 3 and shown.dtype == np.uint8

    single, vector = SeatEnv(id, render_mode=mode), SeatVectorEnv(id, num_envs=2, render_mode=mode)
    parallel, turns = GameParallelEnv(id, render_mode=mode), GameAECEnv(id, render_mode=mode)
    for env in (single, vector, parallel, turns):
        env.reset(seed=0)
    assert good(single.render()) and good(parallel.render()) and good(turns.render())
    assert len(vector.render()) == 2 and all(good(shown) for shown in vector.render())
    for door in (SeatEnv, SeatVectorEnv, GameParallelEnv, GameAECEnv):
        env = door(id)
        env.reset(seed=0)
        assert env.render() is None


# -- snapshot and restore ----------------------------------------------------------------------------------------------


def legal_actions(game, info):
    return info["action_mask"].argmax(axis=-1) + 1 if "action_mask" in info else None


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_a_restored_single_door_goes_on_to_the_same_numbers(steps):
    env, other = (SeatEnv(Turns(stop=0.15), others="random") for _ in range(2))
    for seed in range(6):
        _, info = env.reset(seed=seed)
        for _ in range(steps):
            _, _, terminated, _, info = env.step(int(legal_actions(env.game, info)))
            if terminated:
                _, info = env.reset()
        saved = pickle.loads(pickle.dumps(env.snapshot()))
        other.restore(saved)
        np.testing.assert_equal(other.snapshot(), saved)
        for _ in range(12):
            action = int(env.action_masks().argmax()) + 1
            here, there = env.step(action), other.step(action)
            np.testing.assert_equal(here, there)
            if here[2]:
                np.testing.assert_equal(env.reset(), other.reset())


@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_restored_vector_door_goes_on_to_the_same_numbers(steps, mode):
    env, other = (SeatVectorEnv(Turns(), num_envs=5, others="random", autoreset_mode=mode) for _ in range(2))

    def onward(env, last):
        over = last[2] | last[3] if len(last) == 5 else np.zeros(5, bool)
        if mode == "Disabled" and over.any():
            return env.reset(options={"reset_mask": over})
        return env.step(last[-1]["action_mask"].argmax(axis=1) + 1)

    last = env.reset(seed=2)
    for _ in range(steps):
        last = onward(env, last)
    other.restore(env.snapshot())
    for _ in range(10):
        here, there = onward(env, last), onward(other, last)
        np.testing.assert_equal(here, there)
        last = here


def test_a_restored_lane_that_has_ended_still_waits_for_its_reset():
    env, other = (SeatVectorEnv(Walk(), num_envs=2, autoreset_mode="Disabled", horizon=2) for _ in range(2))
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.zeros((2, 1), np.float32))
    other.restore(env.snapshot())
    with pytest.raises(ValueError, match=r"lanes \[0, 1\] have ended"):
        other.step(np.zeros((2, 1), np.float32))


def test_going_back_to_a_snapshot_replays_the_same_future():
    env = SeatVectorEnv("walras/RepeatedAuction-v0", num_envs=3, others="random")
    env.reset(seed=2)
    act = np.full((3, 1), 0.4, np.float32)
    env.step(act)
    saved = env.snapshot()
    kept = pickle.loads(pickle.dumps(saved))
    first = [env.step(act)[:2] for _ in range(15)]
    np.testing.assert_equal(saved, kept)  # the future does not write into a snapshot
    env.restore(saved)
    np.testing.assert_equal([env.step(act)[:2] for _ in range(15)], first)


@pytest.mark.parametrize(
    "change",
    [
        "missing",
        "unknown",
        "lanes",
        "dtype",
        "uneven",
        "foreign",
        "complex",
        "key",
        "lane",
        "elapsed",
        "negative",
        "owed",
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused(change):
    env = SeatVectorEnv("walras/SealedBidAuction-v0", num_envs=3)
    env.reset(seed=5)
    arrays = env.snapshot()
    if change == "missing":
        del arrays["state.value"]
    elif change == "unknown":
        arrays["state.weather"] = np.zeros(3)
    elif change == "lanes":
        arrays = {name: value[:2] for name, value in arrays.items()}
    elif change == "dtype":
        arrays["state.value"] = arrays["state.value"].astype(np.float32)
    elif change == "foreign":
        arrays["weather"] = np.zeros(3)
    elif change == "complex":
        arrays["state.value"] = arrays["state.value"].astype(np.complex128)
    elif change == "key":
        arrays["clock.key"] = arrays["clock.key"][:, :1]
    elif change == "lane":
        arrays["clock.lane"] = arrays["clock.lane"].astype(np.int64)
    elif change == "elapsed":
        arrays["elapsed"] = arrays["elapsed"].astype(np.float64)
    elif change == "negative":
        arrays["elapsed"] = arrays["elapsed"] - 1
    elif change == "owed":
        arrays["owed"] = arrays["owed"].astype(np.complex128)
    else:
        arrays["state.value"] = arrays["state.value"][:2]
    before = env.snapshot()
    with pytest.raises(ValueError, match="arrays"):
        env.restore(arrays)
    np.testing.assert_equal(env.snapshot(), before)


def test_a_refused_snapshot_leaves_a_door_that_was_not_started_as_it_was():
    for env in (SeatEnv(Walk()), SeatVectorEnv(Walk(), num_envs=1)):
        with pytest.raises(ValueError, match="arrays"):
            env.restore({})
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(np.zeros((1, 1), np.float32))


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_a_restored_parallel_door_goes_on_to_the_same_numbers(steps):
    game = Turns(stop=0.1)
    env, other = (GameParallelEnv(game, seats={"player_1": "random"}, max_cycles=6) for _ in range(2))
    for seed in range(4):
        seen, _ = env.reset(seed=seed)
        for _ in range(steps):
            if env.agents:
                seen = env.step({a: int(seen[a]["action_mask"].argmax()) + 1 for a in env.agents})[0]
        saved = pickle.loads(pickle.dumps(env.snapshot()))
        np.testing.assert_equal(other.restore(saved), seen)
        assert other.agents == env.agents
        np.testing.assert_equal(other.snapshot(), saved)
        for _ in range(8):
            if not env.agents:
                np.testing.assert_equal(other.reset(), env.reset())
            acts = {a: int(env._observe(a)["action_mask"].argmax()) + 1 for a in env.agents}
            np.testing.assert_equal(other.step(acts), env.step(acts))


@pytest.mark.parametrize("steps", range(9))
def test_a_restored_aec_door_goes_on_to_the_same_numbers_between_simultaneous_moves_and_while_agents_leave(steps):
    def act(env):
        observation, _, terminated, truncated, _ = env.last()
        env.step(None if terminated or truncated else int(observation["action_mask"].argmax()) + 1)

    def shown(env):
        return env.agents, env.agent_selection, env.rewards, env._cumulative_rewards, env.terminations, env.infos

    env, other = (GameAECEnv(Turns(stop=0.3), max_cycles=3) for _ in range(2))
    for seed in range(6):
        env.reset(seed=seed)
        for _ in range(steps):
            if env.agents:
                act(env)
        saved = pickle.loads(pickle.dumps(env.snapshot()))
        other.restore(saved)
        np.testing.assert_equal(other.snapshot(), saved)
        for _ in range(12):
            np.testing.assert_equal(shown(other), shown(env))
            for each in (env, other):
                act(each) if each.agents else each.reset()


def test_snapshots_of_pettingzoo_doors_that_do_not_fit_are_refused_and_none_is_taken_before_the_reset():
    for door in (GameParallelEnv, GameAECEnv):
        env = door(Turns())
        with pytest.raises(gymnasium.error.ResetNeeded, match="snapshot"):
            env.snapshot()
        env.reset(seed=1)
        before = env.snapshot()
        name = "turn.rewards" if door is GameAECEnv else "elapsed"
        for change in ({name: before[name].astype(np.complex128)}, {"weather": np.zeros(1)}):
            with pytest.raises(ValueError, match="arrays"):
                env.restore(before | change)
        with pytest.raises(ValueError, match="arrays"):
            env.restore({key: value for key, value in before.items() if key != name})
        np.testing.assert_equal(env.snapshot(), before)
    with pytest.raises(ValueError, match=r"turn\.selection.*7 is not in \[0, 3\)"):
        env.restore(before | {"turn.selection": np.array([7])})


# -- what is handed out is not the state -------------------------------------------------------------------------------


class Ledger(NamedTuple):
    x: np.ndarray  # (B, n, 1) float32, observed as it is
    pay: np.ndarray  # (B, n) float64, handed out as the rewards
    over: np.ndarray  # (B,) bool, handed out as the end


class Shown(walras.Game[Ledger]):
    """A game that hands out its state's own arrays wherever it can: as observations, rewards, ends and facts."""

    horizon = 4

    def __init__(self):
        unit = spaces.Box(0, 1, (1,), np.float32)
        self.roles = (walras.Role("player", 2, unit, unit),)

    def initial(self, batch, rng):
        return Ledger(rng.random((batch, 2, 1)).astype(np.float32), np.zeros((batch, 2)), np.zeros(batch, bool))

    def observe(self, state, role):
        return state.x

    def step(self, state, actions, rng):
        pay = state.pay + state.x[..., 0]
        return Ledger(state.x, pay, state.over), pay

    def terminal(self, state):
        return state.over

    def info(self, state, role):
        return {"pay": state.pay, "x": state.x}


def scribble(value):
    """Write into an array wherever that is allowed."""
    for part in value.values() if isinstance(value, dict) else [value]:
        if isinstance(part, np.ndarray) and part.flags.writeable:
            part[...] = True if part.dtype == bool else 0


def test_writing_into_what_a_door_gives_does_not_change_the_game():
    act = np.zeros(1, np.float32)
    clean, dirty = ([], [])
    for log, spoil in ((clean, lambda value: None), (dirty, scribble)):
        single, vector = SeatEnv(Shown()), SeatVectorEnv(Shown(), num_envs=3)
        table, turns = GameParallelEnv(Shown()), GameAECEnv(Shown())
        for result in (single.reset(seed=1), vector.reset(seed=1), table.reset(seed=1)):
            for part in result:
                spoil(part)
        turns.reset(seed=1)
        for _ in range(3):
            for result in (single.step(act), vector.step(np.zeros((3, 1), np.float32))):
                log.append(pickle.dumps([np.array(part) for part in result[:4]]))
                for part in result:
                    spoil(part)
            seen, rewards, *_, infos = table.step({agent: act for agent in table.agents})
            log.append(pickle.dumps([seen, rewards]))
            spoil(seen)
            spoil(table.state())
            for info in infos.values():
                spoil(info)
            for _ in range(2):
                observation, *_ = turns.last()
                log.append(pickle.dumps([observation, turns.rewards]))
                spoil(observation)
                turns.step(act)
    assert dirty == clean


def test_an_action_that_its_owner_writes_into_later_has_been_chosen_already():
    env = GameAECEnv(walras.make("walras/SealedBidAuction-v0", bidders=2, mechanism="first-price"))
    paid = []
    for later in (0.25, 0.0):
        env.reset(seed=0)
        mine = np.array([0.25], np.float32)
        env.step(mine)
        mine[:] = later
        env.step(np.zeros(1, np.float32))
        paid.append(env.rewards)
    assert paid[0] == paid[1]


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", [SeatEnv, SeatVectorEnv])
def test_a_seat_that_is_never_to_move_is_an_error_and_no_endless_loop(door):
    env = door("walras/Bargaining-v0", agent="bargainer_1", horizon=1)
    with pytest.raises(ValueError, match=r"'bargainer_1' is never to move: 1000 episodes .*horizon=1"):
        env.reset(seed=0)
    assert np.all(door("walras/Bargaining-v0", agent="bargainer_1", horizon=2).reset(seed=0)[0] is not None)


@pytest.mark.parametrize("door", [SeatEnv, SeatVectorEnv, GameParallelEnv, GameAECEnv])
def test_options_other_than_the_known_ones_are_ignored_and_lanes_are_checked(door):
    env = door(Walk())
    env.reset(seed=1, options={"options": 1})
    with pytest.raises(ValueError, match=r"lane must be an integer.*1\.7"):
        env.reset(seed=1, options={"lane": 1.7})
    with pytest.raises(ValueError, match=r"options\['lane'\]: 2 given without a seed"):
        env.reset(options={"lane": 2})


def test_a_lane_does_not_go_with_a_list_of_seeds():
    with pytest.raises(ValueError, match="lane"):
        SeatVectorEnv(Walk(), num_envs=2).reset(seed=[1, 2], options={"lane": 1})
    with pytest.raises(ValueError, match="lane must be 0"):
        walras.play(Walk(), batch=2, seed=[1, 2], lane=3)


@pytest.mark.parametrize("horizon", [0, -1, 2.5, "4"])
def test_a_games_own_horizon_must_be_an_integer_of_at_least_one(horizon):
    game = Walk()
    game.horizon = horizon
    for use in (SeatEnv, SeatVectorEnv, GameParallelEnv, GameAECEnv, lambda game: walras.play(game, seed=0)):
        with pytest.raises(ValueError, match=r"game\.horizon must be an integer of at least 1"):
            use(game)


def test_the_sb3_door_refuses_steps_before_the_reset_and_seeds_that_are_no_integers():
    sb3 = pytest.importorskip("walras.envs.doors.sb3")
    env = sb3.SeatVecEnv(Walk(), 2)
    with pytest.raises(gymnasium.error.ResetNeeded, match="before reset"):
        env.step(np.zeros((2, 1), np.float32))
    for seed in (1.7, -1, True):
        with pytest.raises(ValueError, match="seed must be a non-negative integer"):
            env.seed(seed)


@pytest.mark.parametrize("door", [GameParallelEnv, GameAECEnv])
def test_pettingzoo_metadata_names_the_game(door):
    assert door("walras/SealedBidAuction-v0").metadata["name"] == "sealed_bid_auction_v0"
    assert door("walras/PrisonersDilemma-v0").metadata["name"] == "prisoners_dilemma_v0"
    assert door(Turns()).metadata["name"] == "turns"
    assert door(walras.make("walras/SealedBidAuction-v0")).metadata["name"] == "sealed_bid_auction"


# -- what other libraries ask of a door --------------------------------------------------------------------------------


def test_both_pettingzoo_doors_show_the_whole_state_to_a_central_critic():
    game = walras.make("walras/SealedBidAuction-v0", bidders=2)
    turns, together = GameAECEnv(game), GameParallelEnv(game)
    turns.reset(seed=3)
    together.reset(seed=3)
    assert together.state_space.contains(together.state())  # budgets without a limit are cut to finite numbers
    np.testing.assert_array_equal(turns.state(), together.state())
    values = together.snapshot()["state.value"].ravel().astype(np.float32)
    assert set(values) <= set(together.state())


def test_gymnasiums_wrappers_count_the_episodes_of_both_doors():
    single = gymnasium.wrappers.RecordEpisodeStatistics(SeatEnv(Walk()))
    single.reset(seed=1)
    rewards = [single.step(np.zeros(1, np.float32)) for _ in range(7)]
    assert rewards[-1][4]["episode"]["l"] == 7
    assert rewards[-1][4]["episode"]["r"] == pytest.approx(sum(step[1] for step in rewards))
    vector = gymnasium.wrappers.vector.RecordEpisodeStatistics(SeatVectorEnv(Walk(), num_envs=3))
    vector.reset(seed=1)
    for _ in range(7):
        *_, info = vector.step(np.zeros((3, 1), np.float32))
    assert info["episode"]["l"].tolist() == [7, 7, 7]
    assert info["episode"]["r"][0] == pytest.approx(rewards[-1][4]["episode"]["r"])


def test_sb3_wrappers_work_on_the_native_batch():
    sb3 = pytest.importorskip("walras.envs.doors.sb3", reason="needs stable_baselines3")
    from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

    env = VecNormalize(VecMonitor(sb3.SeatVecEnv(Walk(), 3, seed=1)), norm_reward=False)
    env.reset()
    for _ in range(7):
        _, _, over, infos = env.step(np.zeros((3, 1), np.float32))
    assert over.all() and [info["episode"]["l"] for info in infos] == [7, 7, 7]


def test_the_sb3_door_answers_for_every_lane_and_refuses_to_be_changed():
    sb3 = pytest.importorskip("walras.envs.doors.sb3", reason="needs stable_baselines3")
    env = sb3.SeatVecEnv(Turns(), 3, others="random", seed=1)
    env.reset()
    assert env.get_attr("agent") == ["player_0"] * 3 and len(env.get_attr("game", indices=[0, 2])) == 2
    masks = env.env_method("action_masks", indices=[2])
    np.testing.assert_array_equal(masks, env.action_masks()[2:])
    with pytest.raises(AttributeError, match="'horizon' cannot be set"):
        env.set_attr("horizon", 3)
    assert env.env_is_wrapped(gymnasium.Wrapper) == [False] * 3
    for number in (0, 1.5):
        with pytest.raises(ValueError, match="num_envs"):
            sb3.SeatVecEnv(Turns(), number)


def test_the_sb3_door_starts_again_from_the_seed_it_is_given():
    sb3 = pytest.importorskip("walras.envs.doors.sb3", reason="needs stable_baselines3")
    env = sb3.SeatVecEnv(Walk(), 2)
    assert env.seed(4) == [4, 4]
    first, following = env.reset(), env.reset()
    env.seed(4)
    np.testing.assert_array_equal(env.reset(), first)
    np.testing.assert_array_equal(first, SeatVectorEnv(Walk(), num_envs=2).reset(seed=4)[0])
    assert (following != first).all()


def test_the_sb3_door_tells_the_games_facts_when_asked():
    sb3 = pytest.importorskip("walras.envs.doors.sb3", reason="needs stable_baselines3")
    for infos in (False, True):
        env = sb3.SeatVecEnv("walras/RepeatedAuction-v0", 2, infos=infos, seed=0)
        env.reset()
        told = env.step(np.full((2, 1), 0.9, np.float32))[3]
        assert all(("payment" in info) == infos for info in told)
