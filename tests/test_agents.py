"""Policies and designers: what they report, that they survive files and pickles, that they refuse what does not fit."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import walras
from walras import agents
from walras.agents import designers
from walras.agents.best_response import best_response
from walras.agents.codec import Codec
from walras.agents.network import NetworkPolicy
from walras.agents.storage import load_arrays, save_arrays
from walras.agents.tabular import TabularPolicy
from walras.envs.auctions import theory
from walras.envs.auctions.priors import Uniform, prior

AUCTION = "walras/SealedBidAuction-v0"


def auction(**parameters: Any) -> Any:
    return walras.make(AUCTION, **parameters)


# -- scripted ----------------------------------------------------------------------------------------------------------


def test_truthful_bidders_report_their_values() -> None:
    game = auction(bidders=2, items=2, mechanism="second-price")
    state = walras.play(game, "truthful", batch=50, seed=1).state
    np.testing.assert_array_equal(state.bid, state.sold_value.astype(np.float32))


def test_truthful_bidders_on_a_grid_report_the_nearest_level_not_above_the_value() -> None:
    game = auction(bidders=2, items=2, grid=5)
    state = walras.play(game, "truthful", batch=200, seed=1).state
    np.testing.assert_allclose(state.bid, np.floor(state.sold_value * 4) / 4)


def test_a_value_that_is_a_level_is_reported_as_it_is() -> None:
    game = auction(bidders=1, grid=11)
    levels = game.reports[:, 0]
    policy = agents.truthful(game, "bidder_0")
    np.testing.assert_array_equal(policy(levels[:, None].astype(np.float32)), np.arange(11))


def test_truthful_bidders_stay_below_the_ceiling_of_a_discrete_auction() -> None:
    game = walras.make("walras/DiscreteAuction-v0", bidders=2, values=4)
    state = walras.play(game, "truthful", batch=200, seed=1).state.sale
    np.testing.assert_array_equal(state.bid, state.sold_value - 1)


def test_shading_multiplies_the_values() -> None:
    game = auction(bidders=2)
    state = walras.play(game, {"bidder": agents.shade(game, "bidder_0", 0.25)}, batch=20, seed=1).state
    np.testing.assert_allclose(state.bid, 0.25 * state.sold_value, rtol=1e-6)


def test_zero_bids_nothing_and_constant_always_the_same() -> None:
    game = auction(bidders=2, items=2)
    seats = {"bidder_0": "zero", "bidder_1": agents.constant(game, "bidder_1", (0.5, 0.25))}
    state = walras.play(game, seats, batch=5, seed=1).state
    np.testing.assert_array_equal(state.bid, np.broadcast_to([[0.0, 0.0], [0.5, 0.25]], (5, 2, 2)))


def test_zero_takes_the_first_legal_action() -> None:
    policy = agents.zero(walras.make("walras/DiscreteAuction-v0"), "bidder_0")
    mask = np.array([[False, True, True], [True, False, False]])
    np.testing.assert_array_equal(policy(np.zeros((2, 1)), mask=mask), [1, 0])


def test_tit_for_tat_never_defects_first_and_answers_defection() -> None:
    game = walras.make("walras/PrisonersDilemma-v0", rounds=5)
    mirror = agents.tit_for_tat(game, "player_0")
    friends = walras.play(game, {"player": mirror}, batch=1, seed=0).returns
    np.testing.assert_allclose(friends, 5 * 3.0)
    betrayed = walras.play(game, {"player_0": mirror, "player_1": agents.Constant(1)}, batch=1, seed=0).returns
    np.testing.assert_allclose(betrayed, [[0.0 + 4 * 1.0, 5.0 + 4 * 1.0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: agents.truthful(walras.make("walras/Cournot-v0"), "firm_0"), "firm_0|values"),
        (lambda: agents.truthful(auction(), "bidder_9"), "agent: 'bidder_9'"),
        (lambda: agents.shade(auction(), "bidder_0", 1.5), "factor"),
        (lambda: agents.constant(auction(), "bidder_0", (2.0,)), "outside the action space"),
        (lambda: agents.constant(auction(), "bidder_0", 0.5), "shape"),
        (lambda: agents.tit_for_tat(auction(), "bidder_0"), "prisoner"),
        (lambda: agents.Shade(0.5, items=2, levels=((0.0, 1.0),)), "levels"),
    ],
)
def test_scripted_policies_refuse_what_does_not_fit(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_table_of_agents_names_things_that_exist() -> None:
    import importlib

    for entry in agents.AGENTS.values():
        module, _, name = entry.entry.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
    assert {name for name, entry in agents.AGENTS.items() if entry.kind == "seat"} == set(walras.policy_names())
    for name in agents.__all__:
        assert getattr(agents, name) is not None


# -- tables ------------------------------------------------------------------------------------------------------------


def table(cells: int = 3, choices: int = 4, seed: int = 0) -> TabularPolicy:
    rng = np.random.default_rng(seed)
    weights = rng.random((cells, choices))
    edges = (np.linspace(0, 1, cells + 1)[1:-1],)
    return TabularPolicy(edges, np.linspace(0, 1, choices)[:, None], weights / weights.sum(axis=1, keepdims=True))


def test_a_table_plays_its_probabilities() -> None:
    policy, count = table(), 20_000
    observation = np.repeat([[0.1], [0.5], [0.9]], count, axis=0)
    actions = policy(observation, rng=np.random.default_rng(1))
    shares = [[np.mean(actions[k * count : (k + 1) * count] == a) for a in policy.actions[:, 0]] for k in range(3)]
    np.testing.assert_allclose(shares, policy.probabilities, atol=0.02)
    np.testing.assert_allclose(policy.mean(observation[::count]), policy.probabilities @ policy.actions)


def test_a_table_keeps_to_the_mask() -> None:
    policy = TabularPolicy((np.array([0.5]),), np.arange(3), np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]))
    mask = np.array([[False, True, True], [True, True, False]])
    np.testing.assert_allclose(policy.distribution(np.array([[0.0], [1.0]]), mask), [[0, 1, 0], [0.5, 0.5, 0]])


@settings(max_examples=25, deadline=None)
@given(cells=st.integers(1, 6), choices=st.integers(1, 5), seed=st.integers(0, 1000))
def test_a_table_comes_back_from_its_file_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, cells: int, choices: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("table") / "policy.safetensors"
    policy = table(cells, choices, seed)
    policy.save(path)
    assert agents.load_policy(path) == policy
    assert [file.name for file in path.parent.iterdir()] == ["policy.safetensors"]


def test_a_table_without_chance_needs_no_random_numbers_and_a_mixed_one_asks_for_them() -> None:
    pure = TabularPolicy((np.array([0.5]),), np.array([3, 7]), np.eye(2))
    np.testing.assert_array_equal(pure(np.array([[0.2], [0.5]])), [3, 7])
    with pytest.raises(ValueError, match="rng"):
        table()(np.array([[0.2]]))


@pytest.mark.parametrize(
    ("edges", "actions", "probabilities", "message"),
    [
        (((0.5, 0.4),), [0, 1], np.full((3, 2), 0.5), "edges"),
        (((0.5,),), [0, 1], np.full((3, 2), 0.5), "probabilities: shape"),
        (((0.5,),), [0, 1], np.full((2, 2), 0.6), "sum to one"),
        (((0.5,),), [0, 1], np.full((2, 2), np.nan), "sum to one"),
        (((0.5,),), ["a", "b"], np.full((2, 2), 0.5), "actions"),
    ],
)
def test_tables_that_are_no_policies_are_refused(edges: Any, actions: Any, probabilities: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabularPolicy(edges, np.array(actions), probabilities)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    with pytest.raises(FileNotFoundError):
        TabularPolicy.load(path)
    table().save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="not a whole file"):
        TabularPolicy.load(path)
    np.savez(path, objects=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="not a whole file"):
        TabularPolicy.load(path)
    save_arrays(path, "another", {"a": np.arange(3)})
    with pytest.raises(ValueError, match="holds 'another'"):
        TabularPolicy.load(path)
    with pytest.raises(FileNotFoundError, match="folder"):
        table().save(tmp_path / "nowhere" / "policy.safetensors")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save_arrays(path, "kind", {"a": np.arange(3)})
    with pytest.raises(ValueError, match="array of numbers"):
        save_arrays(path, "kind", {"a": np.array([{}], dtype=object)})
    assert [file.name for file in tmp_path.iterdir()] == ["file.safetensors"]
    np.testing.assert_array_equal(load_arrays(path, "kind")[0]["a"], np.arange(3))


# -- networks ----------------------------------------------------------------------------------------------------------

SPACES = {
    "box": (spaces.Box(-2.0, 3.0, (2,)), spaces.Box(np.array([0.0, -4.0]), np.array([1.0, 8.0]), dtype=np.float64)),
    "discrete": (spaces.Discrete(3, start=2), spaces.Discrete(4, start=-1)),
    "multi": (spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([3, 2])),
    "binary": (spaces.MultiBinary(3), spaces.MultiBinary(2)),
    "dict": (
        spaces.Dict({"a": spaces.Box(0.0, np.inf, (2, 2)), "b": spaces.Discrete(2)}),
        spaces.Box(0.0, 1.0, (1,), np.float32),
    ),
}


def network(name: str, *, masked: bool = False, stochastic: bool = False) -> NetworkPolicy:
    codec, rng = Codec(*SPACES[name], masked), np.random.default_rng(0)
    sizes = [codec.width, 5, codec.outputs]
    weights = tuple(rng.normal(size=(b, a)).astype(np.float32) for a, b in itertools.pairwise(sizes))
    biases = tuple(rng.normal(size=b).astype(np.float32) for b in sizes[1:])
    spread = np.full(codec.outputs, 0.3, np.float32) if isinstance(codec.action_space, spaces.Box) else None
    return NetworkPolicy(codec, weights, biases, "tanh", spread, stochastic)


def observations(name: str, count: int = 30) -> Any:
    space = SPACES[name][0]
    space.seed(0)
    drawn = [space.sample() for _ in range(count)]
    return {key: np.stack([one[key] for one in drawn]) for key in drawn[0]} if name == "dict" else np.stack(drawn)


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("name", SPACES)
def test_a_network_acts_inside_every_kind_of_space_and_comes_back_from_its_file(
    name: str, stochastic: bool, tmp_path: Path
) -> None:
    policy, seen = network(name, stochastic=stochastic), observations(name)
    actions = policy(seen, rng=np.random.default_rng(1))
    assert all(policy.codec.action_space.contains(action) for action in actions)
    policy.save(tmp_path / "policy.safetensors")
    again = agents.load_policy(tmp_path / "policy.safetensors")
    assert isinstance(again, NetworkPolicy)
    assert again.codec == policy.codec
    np.testing.assert_array_equal(again(seen, rng=np.random.default_rng(1)), actions)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(policy))(seen, rng=np.random.default_rng(1)), actions)


def test_an_encoded_observation_lies_inside_the_learners_space() -> None:
    for name in SPACES:
        codec = Codec(*SPACES[name])
        seen, _ = codec.learner_spaces()
        encoded = codec.encode(observations(name))
        assert encoded.dtype == np.float32
        assert all(seen.contains(row) for row in encoded)


@pytest.mark.parametrize("stochastic", [False, True])
def test_a_masked_network_plays_legal_actions_only(stochastic: bool) -> None:
    policy, seen = network("discrete", masked=True, stochastic=stochastic), observations("discrete")
    mask = np.zeros((len(seen), 4), bool)
    mask[np.arange(len(seen)), np.arange(len(seen)) % 4] = True
    np.testing.assert_array_equal(policy(seen, mask=mask, rng=np.random.default_rng(0)), np.arange(len(seen)) % 4 - 1)


def test_a_stochastic_network_draws_from_the_softmax_of_its_logits() -> None:
    codec = Codec(spaces.Discrete(1), spaces.Discrete(3))
    policy = NetworkPolicy(
        codec, (np.zeros((3, 1), np.float32),), (np.log([0.2, 0.3, 0.5]).astype(np.float32),), stochastic=True
    )
    drawn = policy(np.zeros(20_000, np.int64), rng=np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, [0.2, 0.3, 0.5], atol=0.015)


def test_networks_and_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    policy = network("box")
    with pytest.raises(ValueError, match="layer 0"):
        NetworkPolicy(policy.codec, policy.weights[1:], policy.biases[1:])
    with pytest.raises(ValueError, match="activation"):
        NetworkPolicy(policy.codec, policy.weights, policy.biases, "sine")
    with pytest.raises(ValueError, match="finite bounds"):
        Codec(spaces.Discrete(2), spaces.Box(-np.inf, np.inf, (1,)))
    with pytest.raises(ValueError, match="masked"):
        Codec(spaces.Discrete(2), spaces.MultiBinary(2), masked=True)
    with pytest.raises(ValueError, match="rng"):
        network("box", stochastic=True)(observations("box"))
    path = tmp_path / "policy.safetensors"
    with pytest.raises(FileNotFoundError):
        NetworkPolicy.load(path)
    policy.save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="not a whole file"):
        NetworkPolicy.load(path)
    with pytest.raises(ValueError, match="not a whole file of walras"):
        agents.load_policy(path)
    save_arrays(path, "another", {"a": np.arange(3)})
    with pytest.raises(ValueError, match="a policy is one of"):
        agents.load_policy(path)


# -- best responses ----------------------------------------------------------------------------------------------------


def test_the_best_response_to_equilibrium_bids_is_the_equilibrium_bid() -> None:
    game = auction(bidders=2)
    policy = best_response(game, "bidder_0", "equilibrium", profiles=20_000)
    values = np.linspace(0.05, 1, 20)[:, None]
    np.testing.assert_allclose(policy(values), values / 2, atol=0.02)


def test_the_best_response_to_a_known_bid_is_to_top_it_when_it_pays() -> None:
    game = auction(bidders=2, grid=11)
    policy = best_response(game, "bidder_0", {"bidder_1": agents.Constant(4)}, profiles=10)
    # A tie at 0.4 wins half of v - 0.4, topping it wins v - 0.5: worth it from v = 0.6 on (the lower bid at the tie).
    np.testing.assert_array_equal(policy(np.array([[0.3], [0.45], [0.55], [0.65], [1.0]])), [0, 4, 4, 5, 5])


def test_nothing_beats_the_truth_in_a_second_price_auction_nor_the_equilibrium_in_a_first_price_one() -> None:
    for mechanism in ("second-price", "first-price"):
        game = auction(bidders=2, mechanism=mechanism)
        gains = agents.exploitability(game, "equilibrium", profiles=5_000, test_profiles=20_000)
        assert set(gains) == {"bidder_0", "bidder_1"}
        for gain in gains.values():
            assert gain.gain < 4 * gain.standard_error + 1e-4
            np.testing.assert_allclose(gain.best - gain.utility, gain.gain, atol=1e-12)
            np.testing.assert_allclose(gain.utility, 1 / 6, atol=0.01)


def test_truthful_bidders_in_a_first_price_auction_can_be_exploited_by_a_known_amount() -> None:
    gain = agents.exploitability(auction(bidders=2), "truthful", agents=("bidder_0",))["bidder_0"]
    # Against a uniform bid, v earns (v - b) b <= v^2 / 4, on average 1 / 12; the truth earns nothing.
    np.testing.assert_allclose(gain.gain, 1 / 12, atol=5 * gain.standard_error + 1e-4)
    np.testing.assert_allclose(gain.utility, 0.0, atol=1e-6)


def test_unit_demand_is_valued_item_by_item() -> None:
    game = auction(bidders=2, items=2, demand="unit")
    zeros = {"bidder_1": "zero"}
    policy = best_response(game, "bidder_0", zeros, profiles=50, reports=5)
    # Against nothing a report of a quarter for the better item wins it, and the other is worth nothing more.
    np.testing.assert_allclose(policy(np.array([[0.9, 0.2], [0.1, 0.8]])), [[0.25, 0.0], [0.0, 0.25]])
    matching = auction(bidders=2, items=2, demand="unit", mechanism="vcg")
    for gain in agents.exploitability(matching, "truthful", profiles=500, test_profiles=2000, reports=6).values():
        assert gain.gain <= 1e-9


def test_a_best_response_fills_a_seat_by_name_and_depends_on_its_seed_alone() -> None:
    game = auction(bidders=2)
    one, other = (walras.play(game, {"bidder_0": "best-response"}, batch=20, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.returns, other.returns)
    policy = best_response(game, "bidder_0", profiles=200, reports=20)
    values = np.random.default_rng(0).random((10, 1))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(policy))(values), policy(values))


@pytest.mark.parametrize(
    ("parameters", "keywords", "message"),
    [
        ({"rounds": 2}, {}, "one round"),
        ({"prior": "contextual"}, {}, "independent"),
        ({}, {"profiles": 0}, "profiles"),
        ({"budget": 0.5}, {}, "without budgets"),
        ({}, {"profiles": 1.5}, "profiles"),
        ({}, {"reports": 1}, "reports"),
        ({}, {"reports": "a"}, "reports"),
        ({}, {"seed": -1}, "seed"),
        ({}, {"seed": 0.5}, "seed"),
        ({}, {"others": {"seller": "zero"}}, "seller"),
    ],
)
def test_best_responses_refuse_what_they_cannot_compute(parameters: Any, keywords: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        best_response(auction(**parameters), "bidder_0", **keywords)
    exploited = (
        {"policies": keywords["others"], "seed": 0} if "others" in keywords else {"policies": "zero", **keywords}
    )
    with pytest.raises(ValueError, match=message):
        agents.exploitability(auction(**parameters), **exploited)
    with pytest.raises(ValueError, match="sealed-bid auction"):
        best_response(walras.make("walras/Cournot-v0"), "firm_0")


def test_best_responses_take_the_id_of_an_auction() -> None:
    gains = agents.exploitability("walras/SecondPriceAuction-v0", "truthful", profiles=200, test_profiles=np.int64(500))
    assert gains and all(gain.gain <= 1e-9 for gain in gains.values())
    with pytest.raises(TypeError, match="game"):
        agents.exploitability(3, "truthful")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="Auktion"):
        best_response("walras/Auktion-v0", "bidder_0")
    for count in (1.5, 0, 1):
        with pytest.raises(ValueError, match="test_profiles"):
            agents.exploitability(auction(), "truthful", test_profiles=count)  # type: ignore[arg-type]


# -- designers ---------------------------------------------------------------------------------------------------------


def test_designers_find_the_known_prices() -> None:
    law = prior("uniform01", 2, 1)
    assert designers.Reserve().commit(law).reserve == (0.5,)  # type: ignore[attr-defined]
    # Two bidders after one another: p (1 - p^2) is largest at 1 / sqrt(3).
    np.testing.assert_allclose(designers.PostedPrice().commit(law).prices, [3**-0.5], atol=1e-5)  # type: ignore[attr-defined]
    atoms = prior("two_point", 1, 1, low=1.0, high=3.0)
    np.testing.assert_allclose(designers.PostedPrice().commit(atoms).prices, [3.0])  # type: ignore[attr-defined]


def test_designers_earn_what_theory_says() -> None:
    law, rng = prior("uniform01", 2, 1), np.random.default_rng(0)
    expected = {
        "reserve": 5 / 12, "myerson": 5 / 12, "bundle-myerson": 5 / 12, "vcg": 1 / 3, "ama": 1 / 3,
        "posted-price": 2 / 3 * 3**-0.5,
    }  # fmt: skip
    assert set(expected) == set(designers.DESIGNERS)
    for name, revenue in expected.items():
        earned = designers.evaluate(designers.DESIGNERS[name](), law, rng=rng)
        assert abs(earned.revenue - revenue) < 4 * earned.standard_error + 1e-6, name
        assert earned.welfare >= earned.revenue


def test_boosts_turn_an_affine_maximiser_into_an_auction_with_reserve() -> None:
    law, values = prior("uniform01", 2, 1), np.random.default_rng(0).random((500, 2, 1))
    boosted = designers.AMA(boosts=(0.0, -0.5, -0.5)).commit(law).outcome(values)
    reserve = designers.Reserve(0.5).commit(law).outcome(values)
    np.testing.assert_allclose(boosted.allocation, reserve.allocation)
    np.testing.assert_allclose(boosted.payment, reserve.payment, atol=1e-12)


def test_the_affine_maximiser_without_boosts_is_vcg_for_unit_demand_too() -> None:
    law, values = prior("uniform01", 2, 2), np.random.default_rng(0).random((200, 2, 2))
    ours, vcg = (designer.commit(law, "unit").outcome(values) for designer in (designers.AMA(), designers.VCG()))
    np.testing.assert_allclose(ours.payment, vcg.payment, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: designers.VCG().commit(prior("uniform01", 2, 1), "greedy"), "demand"),
        (lambda: designers.AMA(boosts=(0.0,)).commit(prior("uniform01", 2, 1)), "boosts: 3"),
        (lambda: designers.AMA(boosts=(0.1, 0.0, 0.0)).commit(prior("uniform01", 2, 1)), "boosts"),
        (lambda: designers.Reserve((0.1, 0.2)).commit(prior("uniform01", 2, 1)), "reserve"),
        (lambda: designers.Reserve().commit(prior("contextual", 2, 1)), "independent"),
        (lambda: designers.Reserve(rule="third-price"), "rule"),
        (lambda: designers.Myerson().commit(prior("uniform01", 2, 2), "unit"), "unit demand"),
        (lambda: designers.PostedPrice(-1.0).commit(prior("uniform01", 2, 1)), "prices"),
        (
            lambda: designers.evaluate(
                designers.Reserve(rule="first-price"), prior("uniform01", 2, 1), rng=np.random.default_rng(0)
            ),
            "truth",
        ),
    ],
)
def test_designers_refuse_what_does_not_fit(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_reserve_designer_uses_the_theory() -> None:
    law = Uniform(0.2, 1.0)
    committed = designers.Reserve().commit(prior("uniform", 3, 1, low=0.2))
    assert committed.reserve == (theory.myerson_reserve(law),)  # type: ignore[attr-defined]
