"""Properties of every registered game: finite rewards, promised balances, and bad actions refused without a trace."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import walras
from walras.envs.doors.aec import GameAECEnv
from walras.envs.doors.parallel import GameParallelEnv
from walras.envs.doors.single import SeatEnv
from walras.envs.doors.vector import SeatVectorEnv
from walras.envs.spaces import sample_batch

IDS = [spec.id for spec in walras.specs()]
LONGEST = 40


def make(id):
    """The game; a small population for the designer of auctions and short rounds of taxes are as good for these."""
    smaller = {"walras/AuctionDesign-v0": {"profiles": 64}, "walras/TaxCommons-v0": {"steps": 10, "design_every": 5}}
    return walras.make(id, **smaller.get(id, {}))


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", IDS)
def test_random_seats_get_finite_rewards_over_many_steps_and_episodes(id):
    game = make(id)
    for agent in game.agents:
        env = SeatVectorEnv(game, num_envs=6, agent=agent, others="random", horizon=LONGEST)
        seen, info = env.reset(seed=7)
        rng = np.random.default_rng(0)
        ended = 0
        for _ in range(80):
            mask = info["action_mask"].astype(bool) if "action_mask" in info else None
            seen, rewards, terminated, truncated, info = env.step(sample_batch(env.single_action_space, 6, mask, rng))
            assert rewards.dtype == np.float64 and np.isfinite(rewards).all()
            assert env.observation_space.contains(seen)
            assert not (terminated & truncated).any()
            ended += int((terminated | truncated).sum())
        assert ended > 6


@pytest.mark.parametrize("id", IDS)
def test_every_episode_ends_and_the_horizon_is_kept(id):
    game = make(id)
    played = walras.play(game, "random", batch=16, seed=3)
    assert np.isfinite(played.returns).all() and (played.lengths >= 1).all()
    if game.horizon is not None:
        assert (played.lengths <= game.horizon).all()
    ended = game.terminal(played.state)
    assert (ended | (played.lengths == (game.horizon or -1))).all()


AUCTIONS = [id for id in IDS if "Auction-v0" in id]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(AUCTIONS), st.integers(0, 10**6))
def test_auctions_neither_make_nor_lose_money(id, seed):
    """What bidders earn and the seller receives is the value of what was sold, and no more is sold than there is."""
    game = make(id)
    played = walras.play(game, "random", batch=8, seed=seed, record=True)
    states = [moment.state for moment in played.history[1:]] + [played.state]
    for moment, state in zip(played.history, states, strict=True):
        state = getattr(state, "sale", state)
        received = (state.sold_value * state.allocation).sum(axis=(1, 2))
        np.testing.assert_allclose(moment.rewards.sum(axis=1) + state.payment.sum(axis=1), received, atol=1e-9)
        assert (state.payment >= 0).all() and (state.allocation.sum(axis=1) <= 1 + 1e-9).all()


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(AUCTIONS), st.integers(0, 10**6))
def test_bidders_who_report_at_most_their_value_never_lose(id, seed):
    """Every registered auction charges a winner at most its report; finite ones forbid reports above the value."""
    game = make(id)

    def modest(seen, *, rng):
        share = rng.random((len(seen), 1))
        return (np.nextafter(seen[:, : game.roles[0].action_space.shape[0]], np.float32(0)) * share).astype(np.float32)

    finite = isinstance(game.roles[0].action_space, spaces.Discrete)
    played = walras.play(game, "random" if finite else {"bidder": modest}, batch=8, seed=seed, record=True)
    for moment in played.history:
        assert (moment.rewards >= 0).all()


@pytest.mark.parametrize("id", ["walras/Bargaining-v0", "walras/DiscreteBargaining-v0"])
def test_bargainers_share_at_most_the_pie(id):
    returns = walras.play(make(id), "random", batch=300, seed=2).returns
    assert (returns >= 0).all() and (returns.sum(axis=1) <= 1 + 1e-6).all() and returns.any()


def test_contributions_come_back_with_the_promised_return():
    game = make("walras/PublicGoods-v0")
    played = walras.play(game, "random", batch=300, seed=2)
    given_away = played.info("contributor")["contribution"].sum(axis=1)
    surplus = game.players * 0.4 - 1.0
    np.testing.assert_allclose(played.returns.sum(axis=1), game.players * game.endowment + surplus * given_away)


# -- bad actions -------------------------------------------------------------------------------------------------------


def bad_actions(space):
    """Actions that are not in the space: name -> action of one agent."""
    shape = space.shape
    bad = {
        "too many axes": np.zeros((*shape, 2), space.dtype),
        "text": np.full(shape, "high"),
        "nothing": None,
        "complex": np.full(shape, 1j),
        "nan": np.full(shape, np.nan),
        "inf": np.full(shape, np.inf),
        "-inf": np.full(shape, -np.inf),
    }
    if isinstance(space, spaces.Box):
        bad["above"] = np.nextafter(space.high, np.float32(np.inf))
        bad["below"] = np.nextafter(space.low, np.float32(-np.inf))
        bad["negative"] = np.full(shape, -1.0)
        bad["far too large"] = np.full(shape, 1e30)
    else:
        count = space.n if isinstance(space, spaces.Discrete) else space.nvec
        bad["above"] = np.full(shape, space.start + count)
        bad["below"] = np.full(shape, space.start - 1)
        bad["a fraction"] = np.full(shape, 0.5)
        bad["a float"] = np.full(shape, space.start, np.float64)
    if shape:
        bad["no axes"] = space.low.flat[0] if isinstance(space, spaces.Box) else space.start.flat[0]
    return bad


def legal(env, agent=None):
    """A legal action of the agent who is asked."""
    if isinstance(env, SeatEnv):
        mask, space = (
            (env.action_masks(), env.action_space)
            if isinstance(env.action_space, spaces.Discrete)
            else (
                None,
                env.action_space,
            )
        )
    else:
        seen = env._observe(agent)
        space = env.action_space(agent)
        mask = seen["action_mask"] if isinstance(seen, dict) and "action_mask" in seen else None
    if mask is None:
        return np.asarray((space.low + space.high) / 2, space.dtype) if isinstance(space, spaces.Box) else space.start
    return int(np.flatnonzero(mask)[-1]) + space.start


def each_bad_action():
    """Every game with the names of what is bad in the spaces of all its roles."""
    cases = []
    for id in IDS:
        first, *others = (bad_actions(role.action_space) for role in make(id).roles)
        cases += [(id, name) for name in first if all(name in other for other in others)]
    return cases


@pytest.mark.parametrize(("id", "name"), each_bad_action())
def test_the_single_door_refuses_a_bad_action_and_goes_on_as_if_it_had_not_been_tried(id, name):
    game = make(id)
    for agent in game.agents[:2]:
        env, twin = (SeatEnv(game, agent=agent, others="random", horizon=LONGEST) for _ in range(2))
        env.reset(seed=5)
        twin.reset(seed=5)
        before = env.snapshot()
        with pytest.raises(ValueError, match=f"'{agent}'"):
            env.step(bad_actions(env.action_space)[name])
        np.testing.assert_equal(env.snapshot(), before)
        np.testing.assert_equal(env.step(legal(env)), twin.step(legal(twin)))


@pytest.mark.parametrize(("id", "name"), each_bad_action())
def test_the_vector_door_refuses_a_batch_with_one_bad_action(id, name):
    game = make(id)
    agent = game.agents[-1]
    env, twin = (SeatVectorEnv(game, num_envs=6, agent=agent, others="random", horizon=LONGEST) for _ in range(2))
    _, info = env.reset(seed=5)
    twin.reset(seed=5)
    space = env.single_action_space
    mask = info["action_mask"].astype(bool) if "action_mask" in info else None
    good = sample_batch(space, 6, mask, np.random.default_rng(0))
    bad = list(good)
    bad[1] = bad_actions(space)[name]
    before = env.snapshot()
    with pytest.raises(ValueError, match=f"'{agent}'"):
        env.step(bad)
    np.testing.assert_equal(env.snapshot(), before)
    with pytest.raises(ValueError, match=f"'{agent}'.*shape"):
        env.step(good[:2])
    np.testing.assert_equal(env.step(good), twin.step(good))


@pytest.mark.parametrize(("id", "name"), each_bad_action())
def test_the_sb3_door_refuses_a_batch_with_one_bad_action(id, name):
    sb3 = pytest.importorskip("walras.envs.doors.sb3", reason="needs stable_baselines3")
    game = make(id)
    agent = game.agents[0]
    env, twin = (sb3.SeatVecEnv(game, 3, agent=agent, others="random", horizon=LONGEST, seed=5) for _ in range(2))
    env.reset()
    twin.reset()
    mask = env.action_masks() if isinstance(env.action_space, spaces.Discrete) else None
    good = sample_batch(env.action_space, 3, mask, np.random.default_rng(0))
    bad = list(good)
    bad[2] = bad_actions(env.action_space)[name]
    with pytest.raises(ValueError, match=f"'{agent}'"):
        env.step(bad)
    np.testing.assert_equal(env.step(good), twin.step(good))


@pytest.mark.parametrize(("id", "name"), each_bad_action())
def test_the_parallel_door_refuses_one_agents_bad_action(id, name):
    game = make(id)
    agent = game.agents[-1]
    env, twin = GameParallelEnv(game), GameParallelEnv(game)
    env.reset(seed=5)
    twin.reset(seed=5)
    good = {a: legal(env, a) for a in game.agents}
    before = env.snapshot()
    with pytest.raises(ValueError, match=f"'{agent}'"):
        env.step({**good, agent: bad_actions(game.seat[agent][0].action_space)[name]})
    np.testing.assert_equal(env.snapshot(), before)
    np.testing.assert_equal(env.step(good), twin.step(good))


@pytest.mark.parametrize(("id", "name"), each_bad_action())
def test_the_aec_door_refuses_a_bad_action_and_asks_the_same_agent_again(id, name):
    game = make(id)
    env, twin = GameAECEnv(game), GameAECEnv(game)
    env.reset(seed=5)
    twin.reset(seed=5)
    for _ in game.agents:
        agent = env.agent_selection
        before = env.snapshot()
        with pytest.raises(ValueError, match=f"'{agent}'"):
            env.step(bad_actions(game.seat[agent][0].action_space)[name])
        assert env.agent_selection == agent
        np.testing.assert_equal(env.snapshot(), before)
        action = legal(env, agent)
        env.step(action)
        twin.step(action)
        assert env.rewards == twin.rewards and env.agent_selection == twin.agent_selection
        np.testing.assert_equal(env.last(), twin.last())
        if env.terminations[env.agent_selection]:
            break
