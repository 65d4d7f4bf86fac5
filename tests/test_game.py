"""The game itself: roles and seats, states as trees of arrays, and sampling derived from enumerated chance."""

from typing import NamedTuple

import numpy as np
import pytest
from gymnasium import spaces

import walras
from walras.envs.game import lanes_of, put, take
from walras.envs.lanes import LaneRandom, clock

BOX = spaces.Box(0, 1, (1,), np.float32)


class Inner(NamedTuple):
    a: np.ndarray
    b: np.ndarray


class Nested(NamedTuple):
    inner: Inner
    t: np.ndarray


class Dice(walras.FiniteGame[Nested]):
    """A loaded die is thrown before the first move and, after a 2, once more after it; the sum is paid."""

    faces = np.array([0.0, 0.5, 0.2, 0.3, 0.0])

    def __init__(self):
        self.roles = (walras.Role("player", None, BOX, spaces.Discrete(2)),)

    def root(self, batch):
        return Nested(Inner(np.zeros(batch), np.ones(batch, bool)), np.zeros(batch, np.int64))

    def chance(self, state):
        return np.where(state.inner.b[:, None], self.faces, 0.0)

    def resolve(self, state, outcome):
        return Nested(Inner(state.inner.a + outcome, np.zeros_like(state.inner.b)), state.t)

    def apply(self, state, actions):
        again = state.inner.a == 2
        return Nested(Inner(state.inner.a, again), state.t + 1), state.inner.a[:, None] * 1.0

    def observe(self, state, role):
        return (state.inner.a / 10)[:, None, None]

    def terminal(self, state):
        return state.t >= 1


def test_agents_are_numbered_within_their_role_and_singletons_carry_its_name():
    class Market(Dice):
        def __init__(self):
            act = spaces.Discrete(2)
            self.roles = (walras.Role("designer", None, BOX, act), walras.Role("trader", 2, BOX, act))

    game = Market()
    assert game.agents == ("designer", "trader_0", "trader_1") and game.n_agents == 3
    assert [(role.name, i, k) for role, i, k in game.seat.values()] == [
        ("designer", 0, 0),
        ("trader", 0, 1),
        ("trader", 1, 2),
    ]
    assert game.role("trader").size == 2 and game.role("designer").size == 1
    with pytest.raises(KeyError, match=r"role 'broker'.*designer.*trader"):
        game.role("broker")


@pytest.mark.parametrize(
    ("name", "count", "words"),
    [("a b", 2, "name"), ("bidder_1", 2, "name"), ("x", 0, "count"), ("x", 1.5, "count.*1.5"), ("x", True, "count")],
)
def test_a_role_refuses_names_like_an_agents_and_parts_that_nobody_plays(name, count, words):
    with pytest.raises(ValueError, match=words):
        walras.Role(name, count, BOX, BOX)


def test_a_role_refuses_spaces_that_are_none_and_names_that_are_no_strings():
    with pytest.raises(TypeError, match="observation_space must be a Gymnasium space, got 3"):
        walras.Role("x", 2, 3, BOX)
    with pytest.raises(TypeError, match="action_space must be a Gymnasium space"):
        walras.Role("x", 2, BOX, (0, 1))
    with pytest.raises(TypeError, match="name must be a string, got 5"):
        walras.Role(5, 2, BOX, BOX)


def test_sampling_follows_the_enumerated_chances():
    game, batch = Dice(), 20_000
    state = game.initial(batch, LaneRandom(clock(0, batch)))
    assert not state.inner.b.any()  # no chance move is left pending
    faces, counts = np.unique(state.inner.a, return_counts=True)
    assert faces.tolist() == [1, 2, 3]  # what has no probability never happens
    np.testing.assert_allclose(counts / batch, [0.5, 0.2, 0.3], atol=0.015)
    after, rewards = game.step(state, {"player": np.zeros((batch, 1), int)}, LaneRandom(clock(1, batch)))
    np.testing.assert_array_equal(rewards[:, 0], state.inner.a)
    two = state.inner.a == 2
    np.testing.assert_array_equal(after.inner.a[~two], state.inner.a[~two])
    np.testing.assert_allclose((after.inner.a[two] == 3).mean(), 0.5, atol=0.03)


def test_the_largest_uniform_number_never_draws_an_outcome_without_probability():
    class Top(np.random.Generator):
        def random(self, size=None, dtype=np.float64, out=None):
            return np.full(size, np.nextafter(1.0, 0.0))

    class Bottom(Top):
        def random(self, size=None, dtype=np.float64, out=None):
            return np.zeros(size)

    for rng, face in ((Top, 3.0), (Bottom, 1.0)):
        assert Dice().initial(4, rng(np.random.Philox(0))).inner.a.tolist() == [face] * 4


def test_plain_generators_serve_as_well_as_lanes():
    state = Dice().initial(1_000, np.random.default_rng(0))
    assert set(np.unique(state.inner.a)) == {1.0, 2.0, 3.0}
    auction = walras.make("walras/SealedBidAuction-v0")
    assert auction.initial(5, np.random.default_rng(0)).value.shape == (5, 3, 1)


def test_states_are_cut_and_joined_by_lanes():
    state = Nested(Inner(np.arange(5.0), np.arange(5) % 2 == 0), np.arange(5))
    assert lanes_of(state) == 5
    part = take(state, np.array([3, 0, 3]))
    assert type(part) is Nested and part.inner.a.tolist() == [3, 0, 3] and part.t.tolist() == [3, 0, 3]
    whole = put(state, np.array([1, 4]), take(state, np.array([0, 2])))
    assert whole.inner.a.tolist() == [0, 0, 2, 3, 2] and state.inner.a.tolist() == [0, 1, 2, 3, 4]


def test_snapshots_name_nested_fields_and_restore_them_exactly():
    game = Dice()
    state = game.initial(4, LaneRandom(clock(0, 4)))
    arrays = game.snapshot(state)
    assert list(arrays) == ["inner.a", "inner.b", "t"]
    again = game.restore(game.root(1), arrays)
    np.testing.assert_equal(game.snapshot(again), arrays)
    assert type(again.inner) is Inner


@pytest.mark.parametrize(
    "change",
    [
        lambda a: {k: v for k, v in a.items() if k != "t"},
        lambda a: {**a, "weather": a["t"]},
        lambda a: {**a, "t": a["t"].astype(float)},
        lambda a: {**a, "t": a["t"][:, None]},
        lambda a: {**a, "t": a["t"][:2]},
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused(change):
    game = Dice()
    with pytest.raises(ValueError, match="arrays"):
        game.restore(game.root(1), change(game.snapshot(game.root(3))))


def test_the_default_text_lists_the_states_fields_of_the_lane():
    class Flat(NamedTuple):
        price: np.ndarray

    text = walras.Game.render_text(Dice(), Flat(np.array([[0.25, 1.0], [7.0, 8.0]])), lane=1)
    assert text == "price: [7. 8.]"


def test_games_claim_nothing_by_default():
    game = Dice()
    state = game.root(2)
    assert game.truths() == () and game.equilibrium() is None and game.info(state, "player") == {}
    assert game.legal(state, "player") is None and game.movers(state).tolist() == [[True], [True]]
