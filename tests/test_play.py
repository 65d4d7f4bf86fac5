"""`play`: any mixture of agents in the seats, the same numbers for every batch, means with their errors."""

from typing import NamedTuple

import numpy as np
import pytest
from gymnasium import spaces

import walras
from walras.envs import seats
from walras.envs.lanes import LaneRandom, clock


def auction(**parameters):
    return walras.make("walras/SealedBidAuction-v0", **parameters)


def half(value):
    return value / 2


class CountState(NamedTuple):
    t: np.ndarray


class Seen(NamedTuple):
    x: np.ndarray


class Count(walras.Game[CountState]):
    """Two guests and a host name numbers, for `rounds` rounds; everyone is paid the number they name."""

    def __init__(self, rounds=2, masked=True):
        self.rounds, self.masked = rounds, masked
        seen = spaces.Dict({"t": spaces.Discrete(10), "id": spaces.Box(0, 5, (1,), np.float32)})
        self.roles = (
            walras.Role("guest", 2, seen, spaces.Discrete(5)),
            walras.Role("host", None, seen, spaces.Discrete(3, start=10)),
        )

    def initial(self, batch, rng):
        return CountState(np.zeros(batch, np.int64))

    def observe(self, state, role):
        count = self.role(role).size
        t = np.repeat(state.t[:, None], count, axis=1)
        return {"t": t, "id": np.broadcast_to(np.arange(count)[None, :, None], (*t.shape, 1))}

    def legal(self, state, role):
        if not self.masked:
            return None
        legal = np.ones((len(state.t), self.role(role).size, self.role(role).action_space.n), bool)
        legal[..., 0] = False
        return legal

    def step(self, state, actions, rng):
        named = np.concatenate([actions["guest"], actions["host"]], axis=1)
        return CountState(state.t + 1), named.astype(np.float64)

    def terminal(self, state):
        return state.t >= self.rounds


# -- who sits where ----------------------------------------------------------------------------------------------------


def test_a_role_fills_all_its_seats_and_an_agents_own_entry_goes_first():
    game = Count()
    guests = {"guest": lambda seen: np.full(len(seen["t"]), 1), "guest_1": lambda seen: np.full(len(seen["t"]), 4)}
    played = walras.play(game, {**guests, "host": lambda seen: np.full(len(seen["t"]), 12)}, batch=3, seed=0)
    np.testing.assert_array_equal(played.returns, [[2, 8, 24]] * 3)
    assert game.agents == ("guest_0", "guest_1", "host")


def test_policies_receive_just_the_keywords_their_signature_names():
    game, calls = Count(), []

    def plain(seen):
        calls.append(("plain", sorted(seen)))
        return np.full(len(seen["t"]), 1)

    def with_mask(seen, mask):
        calls.append(("mask", mask.shape, mask.tolist()[0]))
        return mask.argmax(axis=1)

    def with_all(seen, **keywords):
        calls.append(("all", sorted(keywords)))
        return 10 + keywords["mask"].argmax(axis=1)

    walras.play(game, {"guest_0": plain, "guest_1": with_mask, "host": with_all}, batch=2, seed=0)
    assert calls[:3] == [
        ("plain", ["id", "t"]),
        ("mask", (2, 5), [False, True, True, True, True]),
        ("all", ["mask", "rng"]),
    ]


def test_a_policys_random_numbers_belong_to_its_lane_seat_and_step():
    game, drawn = Count(rounds=2, masked=False), []

    def noisy(seen, *, rng):
        drawn.append(rng.random((len(seen["t"]), 1))[:, 0])
        return np.zeros(len(seen["t"]), np.int64)

    walras.play(game, {"guest": noisy, "host": "random"}, batch=3, seed=6)
    for step in (1, 2):
        now = clock(6, 3)._replace(step=np.full(3, step, np.uint64))
        for seat in (0, 1):
            want = LaneRandom(now, stream=seat + 1).random((3, 1))[:, 0]
            np.testing.assert_array_equal(drawn[2 * (step - 1) + seat], want)


def test_objects_with_call_and_models_with_predict_sit_in_seats():
    class Caller:
        def __call__(self, seen, *, mask=None):
            assert mask is None
            return seen * 0

    class Model:
        def predict(self, seen, state=None, episode_start=None, deterministic=False):
            assert deterministic
            return seen * 0 + 0.5, state

    played = walras.play(auction(bidders=2), {"bidder_0": Caller(), "bidder_1": Model()}, batch=4, seed=0)
    np.testing.assert_allclose(played.info("bidder")["payment"], [[0.0, 0.5]] * 4)


def test_a_model_that_knows_action_masks_is_given_them():
    class Masked:
        def predict(self, seen, action_masks=None, deterministic=False):
            return action_masks.argmax(axis=1) + self.start, None

    guest, host = Masked(), Masked()
    guest.start, host.start = 0, 10
    played = walras.play(Count(), {"guest": guest, "host": host}, batch=2, seed=0)
    np.testing.assert_array_equal(played.returns, [[2, 2, 22]] * 2)


def test_builtins_without_a_signature_are_policies():
    played = walras.play(auction(bidders=2), {"bidder": np.sqrt}, batch=3, seed=0)
    assert (played.returns <= 0).all()  # they overbid


@pytest.mark.parametrize("name", ["truthful", "random", "equilibrium", "zero"])
def test_one_name_fills_every_seat(name):
    assert name in walras.policy_names()
    played = walras.play("walras/SecondPriceAuction-v0", name, batch=2, seed=0)
    np.testing.assert_array_equal(
        played.returns, walras.play("walras/SecondPriceAuction-v0", {"bidder": name}, batch=2, seed=0).returns
    )


def test_seats_left_open_play_the_equilibrium_where_it_is_known_and_at_random_otherwise():
    game = auction()
    np.testing.assert_array_equal(
        walras.play(game, {"bidder_1": half}, batch=9, seed=1).returns,
        walras.play(game, {"bidder": "equilibrium", "bidder_1": half}, batch=9, seed=1).returns,
    )
    unknown = auction(budget=1.0)
    assert unknown.equilibrium() is None
    np.testing.assert_array_equal(
        walras.play(unknown, batch=9, seed=1).returns, walras.play(unknown, "random", batch=9, seed=1).returns
    )


def test_a_registered_policy_is_a_name_like_any_other(monkeypatch):
    monkeypatch.setattr(seats, "_named", dict(seats._named))
    walras.register_policy("half-of-value", lambda game, agent: half)
    game = auction()
    np.testing.assert_array_equal(
        walras.play(game, "half-of-value", batch=3, seed=0).returns,
        walras.play(game, {"bidder": half}, batch=3, seed=0).returns,
    )


def test_a_policys_name_is_not_taken_twice_and_its_factory_is_checked(monkeypatch):
    monkeypatch.setattr(seats, "_named", dict(seats._named))
    walras.register_policy("mine", "package.module:function")
    walras.register_policy("mine", "package.module:function")
    for name in ("mine", "random"):
        with pytest.raises(ValueError, match=f"name: '{name}' is already registered"):
            walras.register_policy(name, lambda game, agent: half)
    for name, factory, error, words in [
        (3, "a:b", TypeError, "name: a string"),
        ("", "a:b", ValueError, "name: ''"),
        ("yours", 3, TypeError, "factory: .*int"),
        ("yours", "nowhere", ValueError, "factory: 'nowhere'"),
    ]:
        with pytest.raises(error, match=words):
            walras.register_policy(name, factory)


def test_a_policy_that_writes_into_its_observation_spoils_nothing_but_its_own_copy():
    class Plain(walras.Game):
        horizon = 2

        def __init__(self):
            unit = spaces.Box(0, 1, (1,), np.float32)
            self.roles = (walras.Role("player", 2, unit, unit),)

        def initial(self, batch, rng):
            return Seen(rng.random((batch, 2, 1)).astype(np.float32))

        def observe(self, state, role):
            return state.x

        def step(self, state, actions, rng):
            return state, state.x[..., 0].astype(np.float64)

        def terminal(self, state):
            return np.zeros(len(state.x), bool)

    def in_place(seen):
        seen *= 0
        return seen

    np.testing.assert_array_equal(
        walras.play(Plain(), {"player": in_place}, batch=3, seed=0).returns,
        walras.play(Plain(), {"player": lambda seen: seen * 0}, batch=3, seed=0).returns,
    )


def test_a_game_and_seats_of_another_type_are_named():
    with pytest.raises(TypeError, match=r"seats: .*got 3"):
        walras.play(auction(), 3, seed=0)
    with pytest.raises(TypeError, match=r"game: .*got int"):
        walras.play(3, seed=0)
    with pytest.raises(TypeError, match=r"id: .*got 3"):
        walras.make(3)


def test_a_list_of_seeds_gives_every_lane_its_own():
    both = walras.play(auction(), "random", batch=2, seed=[4, 9])
    for lane, seed in enumerate([4, 9]):
        np.testing.assert_array_equal(both.returns[lane], walras.play(auction(), "random", seed=seed).returns[0])


def test_random_seats_are_uniform_over_legal_actions():
    played = walras.play(Count(rounds=1), "random", batch=4_000, seed=0, record=True)
    for column, legal in ((0, [1, 2, 3, 4]), (1, [1, 2, 3, 4]), (2, [11, 12])):
        numbers, counts = np.unique(played.returns[:, column], return_counts=True)
        assert numbers.tolist() == legal
        np.testing.assert_allclose(counts / 4_000, 1 / len(legal), atol=0.04)
    assert abs(np.corrcoef(played.returns.T)[np.triu_indices(3, 1)]).max() < 0.06


@pytest.mark.parametrize(
    ("filled", "error", "words"),
    [
        ({"seller": "random"}, ValueError, "seats: 'seller' is neither a role .*bidder.* nor an agent"),
        ({"bidder_7": "random"}, ValueError, "seats: 'bidder_7'"),
        ({"bidder": "clever"}, ValueError, "seat 'bidder_0': 'clever' is not a policy; known names are .*random"),
        ({"bidder_1": 7}, TypeError, "seat 'bidder_1': .*got int"),
        ("clever", ValueError, "'clever'"),
        ({"bidder": lambda seen: seen[:1]}, ValueError, "policy of 'bidder_0': shape"),
        ({"bidder": lambda seen: seen * np.nan}, ValueError, "policy of 'bidder_0': nan"),
        ({"bidder_2": lambda seen: seen + 1.0}, ValueError, "policy of 'bidder_2': .* lies outside"),
    ],
)
def test_seats_that_cannot_be_filled_are_named(filled, error, words):
    with pytest.raises(error, match=words):
        walras.play(auction(), filled, batch=3, seed=0)


def test_an_unknown_equilibrium_is_named():
    with pytest.raises(ValueError, match=r"seat 'bidder_0': no equilibrium is known for SealedBidAuction\("):
        walras.play(auction(budget=1.0), "equilibrium", batch=1, seed=0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"batch": 0, "seed": 0}, "batch"),
        ({"batch": 2, "seed": -1}, "seed"),
        ({"batch": 2, "seed": 0.5}, "seed"),
        ({"batch": 2, "seed": 0, "lane": -1}, "lane"),
    ],
)
def test_batch_seed_and_lane_are_checked(arguments, named):
    with pytest.raises(ValueError, match=named):
        walras.play(auction(), **arguments)


def test_an_unknown_id_is_a_key_error():
    with pytest.raises(KeyError, match="not a registered game"):
        walras.play("walras/SealedBid-v0", batch=1, seed=0)


# -- episodes ----------------------------------------------------------------------------------------------------------


def test_lanes_continue_where_an_earlier_call_stopped():
    game = walras.make("walras/RepeatedAuction-v0")
    whole = walras.play(game, "random", batch=10, seed=3)
    parts = [walras.play(game, "random", batch=5, seed=3, lane=lane) for lane in (0, 5)]
    np.testing.assert_array_equal(np.concatenate([part.returns for part in parts]), whole.returns)


def test_one_seed_gives_one_result_and_two_seeds_two():
    first = walras.play(auction(), "random", batch=5, seed=3)
    np.testing.assert_array_equal(walras.play(auction(), "random", batch=5, seed=3).returns, first.returns)
    assert (walras.play(auction(), "random", batch=5, seed=4).state.value != first.state.value).all()


def test_a_recorded_history_adds_up_to_the_returns():
    game = walras.make("walras/Bargaining-v0")
    played = walras.play(game, "random", batch=20, seed=1, record=True)
    assert len(set(played.lengths.tolist())) > 2
    assert len(played.history) == played.lengths.max()
    total = np.zeros_like(played.returns)
    for t, moment in enumerate(played.history):
        np.testing.assert_array_equal(moment.lanes, np.flatnonzero(played.lengths > t))
        assert len(moment.state[0]) == len(moment.lanes) == len(moment.rewards)
        assert not game.terminal(moment.state).any()
        total[moment.lanes] += moment.rewards
    np.testing.assert_array_equal(total, played.returns)
    assert walras.play(game, "random", batch=20, seed=1).history == []


def test_the_final_state_tells_observations_and_facts():
    played = walras.play(auction(bidders=2), {"bidder": half}, batch=6, seed=0)
    facts = played.info("bidder")
    np.testing.assert_allclose(facts["allocation"].sum(axis=(1, 2)), 1.0)
    np.testing.assert_allclose(
        (facts["allocation"][..., 0] * played.state.value[..., 0] - facts["payment"]), played.returns
    )
    np.testing.assert_array_equal(played.observe("bidder_1"), played.state.value[:, 1].astype(np.float32))


def test_a_horizon_ends_play():
    played = walras.play("walras/AuctionDesign-v0", "random", batch=2, seed=0)
    assert played.lengths.tolist() == [64, 64]


def test_means_and_standard_errors_are_those_of_the_returns():
    played = walras.play(auction(), "random", batch=50, seed=0)
    assert played.mean("bidder_2") == pytest.approx(played.returns[:, 2].mean())
    assert played.mean("bidder") == pytest.approx(played.returns.mean())
    assert played.standard_error("bidder_0") == pytest.approx(played.returns[:, 0].std(ddof=1) / np.sqrt(50))
    # Bidders of one lane are dependent: lanes are the sample.
    assert played.standard_error("bidder") == pytest.approx(played.returns.mean(axis=1).std(ddof=1) / np.sqrt(50))
    with pytest.raises(KeyError, match="'seller' is neither a role nor an agent"):
        played.mean("seller")


def test_one_lane_has_no_standard_error():
    assert np.isnan(walras.play(auction(), batch=1, seed=0).standard_error("bidder"))
