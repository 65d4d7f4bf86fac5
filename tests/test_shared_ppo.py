"""Shared-parameter PPO, the role door it learns through, and the networks on classes that it leaves."""

from typing import NamedTuple

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import walras
from walras.agents import ClassPolicy, load_policy
from walras.agents.class_network import ClassCodec, choose
from walras.algorithms.shared_ppo import SharedPPO, SharedPPOSettings, _advantages, train_shared
from walras.envs.doors.role import RoleVectorEnv
from walras.envs.society.citizens import Citizens
from walras.envs.society.commons import CommonsHarvest
from walras.envs.society.layer import Society

QUICK = SharedPPOSettings(steps=800, lanes=4, rollout=50, minibatches=4, layers=(16,))


class State(NamedTuple):
    sign: np.ndarray  # (B, 3) what each agent is shown
    t: np.ndarray


class Match(walras.Game[State]):
    """Three agents; each is paid for naming its own sign."""

    horizon = 8

    def __init__(self):
        seen = spaces.Dict({"sign": spaces.Box(2, 4, (2,), np.int8), "noise": spaces.Box(-1, 1, (1,), np.float32)})
        self.roles = (walras.Role("player", 3, seen, spaces.Discrete(3, start=1)),)

    def initial(self, batch, rng):
        return State(np.floor(rng.random((batch, 3)) * 3).astype(np.int8), np.zeros(batch, np.int64))

    def observe(self, state, role):
        shown = np.stack([state.sign, 2 - state.sign], axis=-1) + 2
        return {"sign": shown.astype(np.int8), "noise": np.zeros((*state.sign.shape, 1), np.float32)}

    def step(self, state, actions, rng):
        rewards = (actions["player"] - 1 == state.sign).astype(np.float64)
        return State(np.floor(rng.random(state.sign.shape) * 3).astype(np.int8), state.t + 1), rewards

    def terminal(self, state):
        return np.zeros(len(state.t), bool)


def test_every_agent_learns_its_own_sign_within_seconds():
    settings = SharedPPOSettings(
        steps=20_000,
        lanes=16,
        rollout=32,
        minibatches=4,
        epochs=6,
        layers=(32,),
        learning_rate=5e-3,
        discount=0.0,
        reward_scale=1.0,
    )
    trained = train_shared(Match(), settings=settings, seed=0)
    assert trained.curve_rewards[0] < 0.45 and trained.curve_rewards[-1] > 0.95
    played = walras.play(Match(), {"player": trained.policy}, batch=200, seed=9)
    assert (played.returns.mean(axis=0) > 0.95 * 8).all()


def test_players_of_the_orchard_learn_to_eat():
    """Untaxed and selfish they soon eat twice what random players eat in the first hundred steps."""
    game = CommonsHarvest(zap=False, horizon=100)
    settings = SharedPPOSettings(steps=48_000, lanes=16, rollout=50, layers=(64,), learning_rate=2e-3)
    trained = train_shared(game, settings=settings, seed=1)
    eaten = walras.play(game, {"player": trained.policy}, batch=64, seed=5).returns.sum(axis=1).mean()
    chance = walras.play(game, "random", batch=64, seed=5).returns.sum(axis=1).mean()
    assert eaten > 2 * chance


def test_advantages_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(6, 2)).astype(np.float32), rng.normal(size=(7, 2)).astype(np.float32)
    goes_on = np.ones((6, 2), np.float32)
    goes_on[2, 0] = 0
    found = _advantages(rewards, values, goes_on, 0.9, 0.8)
    for n in range(2):
        for t in range(6):
            total, weight = 0.0, 1.0
            for s in range(t, 6):
                change = rewards[s, n] + 0.9 * values[s + 1, n] * goes_on[s, n] - values[s, n]
                total += weight * change
                weight *= 0.9 * 0.8 * goes_on[s, n]
            assert found[t, n] == pytest.approx(total, abs=1e-5)


def test_a_training_that_was_interrupted_ends_in_the_same_bits(tmp_path):
    class StopError(Exception):
        pass

    def stop(fraction, text):
        if fraction > 0.5:
            raise StopError

    game = CommonsHarvest(zap=False, horizon=60)
    whole = train_shared(game, settings=QUICK, seed=3)
    path = tmp_path / "training.safetensors"
    with pytest.raises(StopError):
        train_shared(game, settings=QUICK, seed=3, progress=stop, checkpoint=path, every=1)
    assert path.exists()
    told = []
    again = train_shared(game, settings=QUICK, seed=3, checkpoint=path, progress=lambda f, text: told.append(text))
    assert "going on" in told[0] and not path.exists()
    np.testing.assert_array_equal(whole.curve_rewards, again.curve_rewards)
    for a, b in zip(
        (*whole.policy.weights, *whole.policy.biases), (*again.policy.weights, *again.policy.biases), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "training.safetensors"

    def stop(fraction, text):
        raise KeyboardInterrupt

    game = CommonsHarvest(zap=False, horizon=60)
    with pytest.raises(KeyboardInterrupt):
        train_shared(game, settings=QUICK, seed=3, progress=stop, checkpoint=path, every=1)
    with pytest.raises(ValueError, match="seed"):
        train_shared(game, settings=QUICK, seed=4, checkpoint=path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lanes": 0}, "lanes"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"discount": 1.5}, "discount"),
        ({"entropy": -0.1}, "entropy"),
        ({"schedule": "cosine"}, "schedule"),
        ({"layers": ()}, "layers"),
    ],
)
def test_bad_settings_are_refused_by_name(change, words):
    with pytest.raises(ValueError, match=words):
        SharedPPOSettings(**change)


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(ValueError, match="minibatches"):
        SharedPPO(Match(), settings=SharedPPOSettings(lanes=1, rollout=5, minibatches=4), seed=0)
    with pytest.raises(TypeError, match="Discrete"):
        SharedPPO("walras/PublicGoods-v0", settings=QUICK, seed=0)
    with pytest.raises(ValueError, match="turns"):
        SharedPPO("walras/DiscreteBargaining-v0", settings=QUICK, seed=0)


# -- networks on classes -----------------------------------------------------------------------------------------------


def network(game, seed=0, width=8):
    space = game.roles[0].observation_space
    codec, rng = ClassCodec.of(space), np.random.default_rng(seed)
    shapes = [(codec.width, width), (width, 3)]
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)
    return ClassPolicy(codec, weights, tuple(rng.normal(size=s[1]).astype(np.float32) for s in shapes), start=1)


def test_the_sparse_first_layer_equals_the_dense_product():
    policy = network(Match())
    rng = np.random.default_rng(1)
    seen = {"sign": rng.integers(2, 5, (50, 2)).astype(np.int8), "noise": rng.normal(size=(50, 1)).astype(np.float32)}
    indicators = (seen["sign"][:, :, None] == np.array([3, 4])).reshape(50, 4).astype(np.float64)
    x = np.concatenate([indicators, seen["noise"]], axis=1)
    x = np.maximum(x @ policy.weights[0] + policy.biases[0], 0.0) @ policy.weights[1] + policy.biases[1]
    np.testing.assert_allclose(policy.logits(seen), x, rtol=1e-4, atol=1e-5)


def test_a_policy_comes_back_from_its_file_to_the_bit(tmp_path):
    policy = network(Match())
    policy.save(tmp_path / "policy.safetensors")
    again = load_policy(tmp_path / "policy.safetensors")
    assert isinstance(again, ClassPolicy) and again.codec == policy.codec and again.start == 1
    for a, b in zip(policy.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    played = [walras.play(Match(), {"player": who}, batch=5, seed=2).returns for who in (policy, again)]
    np.testing.assert_array_equal(*played)


def test_draws_follow_the_softmax():
    logits = np.log(np.array([[0.1, 0.2, 0.7]])).repeat(20_000, axis=0)
    drawn = choose(logits, np.random.default_rng(0).random(20_000))
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, [0.1, 0.2, 0.7], atol=0.012)


def test_numbers_are_scaled_by_their_bounds_and_others_compressed():
    space = spaces.Dict(
        {
            "wide": spaces.Box(-np.inf, np.inf, (1,), np.float32),
            "share": spaces.Box(0.0, 4.0, (1,), np.float32),
            "many": spaces.Box(0, 1000, (1,), np.int64),
            "kind": spaces.Discrete(3),
            "flags": spaces.MultiBinary(2),
        }
    )
    codec = ClassCodec.of(space)
    seen = {
        "wide": np.array([[-(np.e - 1)]]), "share": np.array([[3.0]]), "many": np.array([[250]]),
        "kind": np.array([2]), "flags": np.array([[1, 0]]),
    }  # fmt: skip
    classes, numbers = codec.encode(seen)
    kinds = {part.key: part for part in codec.parts}
    assert kinds["kind"].classes == 3 and kinds["flags"].classes == 2 and not kinds["many"].classes
    assert sorted(classes[0].tolist()) == [0, 1, 2]
    np.testing.assert_allclose(sorted(numbers[0].tolist()), [-1.0, -0.5, 0.5], atol=1e-6)
    assert codec.width == 2 + 2 + 3
    with pytest.raises(TypeError, match="Box"):
        ClassCodec.of(spaces.Text(3))


# -- the role door -----------------------------------------------------------------------------------------------------


def test_the_role_door_gives_the_same_numbers_as_the_rules():
    game = CommonsHarvest(zap=False, horizon=30)
    env = RoleVectorEnv(game, num_envs=3)
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 7, (30, 3, 7))
    seen, _ = env.reset(seed=11)
    assert seen["view"].shape == (3, 7, 11, 11) and env.single_action_space.shape == (7,)
    assert env.observation_space.contains(seen)
    total = np.zeros((3, 7))
    for t in range(30):
        seen, rewards, terminated, truncated, info = env.step(actions[t])
        total += rewards
        assert not terminated.any() and truncated.all() == (t == 29)
    played = walras.play(game, {f"player_{i}": Tape(actions[:, :, i]) for i in range(7)}, batch=3, seed=11)
    np.testing.assert_array_equal(total, played.returns)
    np.testing.assert_array_equal(info["final_state"].live, played.state.live)
    np.testing.assert_array_equal(info["final_obs"]["view"], game.observe(played.state, "player")["view"])
    assert (game.ripe(env.arena.state) == 64).all()


class Tape:
    """Actions (T, B) in order."""

    def __init__(self, actions):
        self.actions, self.t = actions, -1

    def __call__(self, observation):
        self.t += 1
        return self.actions[self.t]


def test_the_role_door_resumes_and_refuses():
    env = RoleVectorEnv("walras/CommonsHarvest-v0", num_envs=2, zap=False)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros((2, 7), int))
    env.reset(seed=1)
    env.step(np.ones((2, 7), int))
    kept = env.snapshot()
    first = env.step(np.full((2, 7), 3))
    other = RoleVectorEnv("walras/CommonsHarvest-v0", num_envs=2, zap=False)
    other.restore(kept)
    second = other.step(np.full((2, 7), 3))
    np.testing.assert_array_equal(first[0]["view"], second[0]["view"])
    np.testing.assert_array_equal(first[1], second[1])
    with pytest.raises(ValueError, match="shape"):
        env.step(np.zeros((2, 6), int))
    with pytest.raises(ValueError, match="role"):
        RoleVectorEnv("walras/CommonsHarvest-v0", role="principal")
    with pytest.raises(ValueError, match="turns"):
        RoleVectorEnv("walras/Bargaining-v0")
    with pytest.raises(ValueError, match="own seats"):
        RoleVectorEnv("walras/CommonsHarvest-v0", others={"player_0": "random"})


# -- a round of a society ----------------------------------------------------------------------------------------------


def society(**parameters):
    tax = {"lever": "period-tax", "edges": [1.0, 3.0], "period": 10}
    return Society(CommonsHarvest(zap=False), levers=[tax], steps=30, **parameters)


def test_citizens_play_one_round_under_policies_of_their_own():
    game = Citizens(society(), lambda u: np.where(u < 0.5, 0.0, 1.0))
    assert game.horizon == 30 and [role.name for role in game.roles] == ["player"]
    played = walras.play(game, "random", batch=40, seed=3)
    policies = played.state.policy
    assert set(np.unique(policies)) == {0.0, 1.0} and len(np.unique(policies, axis=0)) > 4
    np.testing.assert_allclose(played.returns, game.incomes(played.state), atol=1e-9)
    flat = np.flatnonzero((policies == 1.0).all(axis=1))
    assert np.ptp(played.returns[flat], axis=1).max() < 1e-9  # everything is shared out
    np.testing.assert_allclose(
        played.returns.sum(axis=1), game.info(played.state, "principal")["income"][:, 0].sum(axis=1), atol=1e-9
    )
    with pytest.raises(ValueError, match="policy"):
        Citizens(society(), [2.0, 0.0, 0.0])


def test_citizens_keep_the_contract_of_games():
    from walras.envs.check import check_game

    assert all("needs" in missing for missing in check_game(Citizens(society(), [0.0, 0.5, 1.0])))


# -- the peer, and the study -------------------------------------------------------------------------------------------


def test_the_dict_loop_plays_the_same_game():
    """Views of one state agree exactly; apples eaten at random agree within three joint standard errors."""
    from walras.benchmarks.peers.harvest_dict import DictHarvest
    from walras.envs.society.harvest_map import MAPS

    game = CommonsHarvest()
    world = DictHarvest(MAPS["open"], 0, views=True)
    rng = np.random.default_rng(0)
    world.reset()
    for _ in range(60):
        seen, _ = world.step({agent: int(a) for agent, a in zip(world.agents, rng.integers(0, 8, 7), strict=True)})
    state = game.initial(1, np.random.default_rng(0))
    place = np.array([[r * 24 + c for r, c in (world.place[agent] for agent in world.agents)]], np.int16)
    bits = sum(1 << k for k, cell in enumerate(game.map.apples) if divmod(int(cell), 24) in world.ripe)
    state = state._replace(
        place=place, facing=np.array([list(world.facing.values())], np.int8),
        away=np.array([list(world.away.values())], np.int8), live=np.array([bits], np.uint64),
    )  # fmt: skip
    np.testing.assert_array_equal(game.view(state)[0], np.stack(list(seen.values())))
    totals = []
    plain = DictHarvest(MAPS["open"], 1, views=False)
    for _ in range(40):
        plain.reset()
        total = 0.0
        for _ in range(200):
            _, rewards = plain.step(
                {agent: int(a) for agent, a in zip(plain.agents, rng.integers(0, 8, 7), strict=True)}
            )
            total += sum(rewards.values())
        totals.append(total)
    ours = walras.play(CommonsHarvest(horizon=200), "random", batch=400, seed=1).returns.sum(axis=1)
    error = (np.var(totals, ddof=1) / len(totals) + ours.var(ddof=1) / len(ours)) ** 0.5
    assert abs(np.mean(totals) - ours.mean()) < 3 * error


def test_the_tax_study_runs_and_reports_every_welfare_function():
    from walras.algorithms.harvest_taxes import REPORTED, brief, harvest_tax_study
    from walras.algorithms.society.principals import Uniform

    found = harvest_tax_study(0, settings=brief(), principal=Uniform())
    again = harvest_tax_study(0, settings=brief(), principal=Uniform())
    assert set(found.arms) == {"no-tax", "best-grid", "principal"} and found.weights.sum() == 1.0
    for name, arm in found.arms.items():
        assert set(arm.welfare) == set(REPORTED) and all(np.isfinite(list(arm.welfare.values())))
        assert 0 <= arm.ripe <= 64 and arm.apples >= 0
        np.testing.assert_array_equal(arm.curve, again.arms[name].curve)
        np.testing.assert_array_equal(arm.policy, again.arms[name].policy)
    assert not found.arms["no-tax"].policies.any()
    assert len(found.grid) == 8 and found.arms["best-grid"].policy in found.grid
