"""The finite auction is OpenSpiel's first-price auction by default, with the rules of the sealed-bid auction."""

import itertools
import re

import numpy as np
import pyspiel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_spiel.python import policy
from open_spiel.python.algorithms import exploitability
from open_spiel.python.algorithms.expected_game_score import policy_value

import walras
from walras.envs.auctions.discrete import DiscreteAuction
from walras.envs.auctions.priors import Discrete, Prior, TwoPoint
from walras.envs.auctions.rules import SealedBidAuction
from walras.envs.doors.openspiel import to_openspiel
from walras.envs.finite import survey
from walras.envs.play import play


def sequential(bidders, values):
    return pyspiel.convert_to_turn_based(to_openspiel(DiscreteAuction(bidders, values=values)))


def peer(bidders, values):
    return pyspiel.load_game(f"first_sealed_auction(players={bidders},max_value={values})")


def random_play(game, seed):
    """One random mixed bid for each player and value, the same whichever of the two games is played."""

    def probabilities(state):
        player, value = re.search(r"p(\d) \D*(\d+)", state.information_state_string()).groups()
        legal = state.legal_actions()
        assert legal == list(range(int(value)))  # bids 0..value-1 in both games
        weights = np.random.default_rng([seed, int(player), int(value)]).exponential(size=len(legal))
        return dict(zip(legal, weights / weights.sum(), strict=True))

    return policy.tabular_policy_from_callable(game, probabilities)


@pytest.mark.parametrize(("bidders", "values"), [(2, 2), (2, 3), (2, 5), (3, 2), (3, 3)])
def test_values_under_any_policies_are_those_of_open_spiel(bidders, values):
    ours, theirs = sequential(bidders, values), peer(bidders, values)
    policies = [policy.UniformRandomPolicy] + [lambda game, seed=seed: random_play(game, seed) for seed in range(3)]
    for make in policies:
        np.testing.assert_allclose(
            policy_value(ours.new_initial_state(), [make(ours)] * bidders),
            policy_value(theirs.new_initial_state(), [make(theirs)] * bidders),
            atol=1e-12,
        )


@pytest.mark.parametrize(("bidders", "values"), [(2, 3), (2, 4), (3, 2)])
def test_nash_conv_is_that_of_open_spiel_on_the_same_policies(bidders, values):
    ours, theirs = sequential(bidders, values), peer(bidders, values)
    for seed in range(3):
        expected = exploitability.nash_conv(theirs, random_play(theirs, seed))
        assert expected > 0.01
        assert exploitability.nash_conv(ours, random_play(ours, seed)) == pytest.approx(expected, abs=1e-12)


def test_the_registered_default_is_two_bidders_with_values_one_to_three():
    game = walras.make("walras/DiscreteAuction-v0")
    assert (game.bidders, game.items, game.levels.tolist()) == (2, 1, [0.0, 1.0, 2.0])
    facts = survey(game)
    assert (facts.chances, facts.outcomes, facts.steps) == (2, 3, 1)
    assert facts.states == 1 + 3 + 9 + 36  # the bids that are legal: (1 + 2 + 3) squared


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 3),
    m=st.integers(1, 2),
    mechanism=st.sampled_from(["first-price", "second-price", "all-pay", "bundle-second-price"]),
    demand=st.sampled_from(["additive", "unit"]),
    seed=st.integers(0, 10**6),
)
def test_one_round_pays_what_the_sealed_bid_auction_pays(n, m, mechanism, demand, seed):
    game = DiscreteAuction(n, m, mechanism=mechanism, demand=demand, ceiling="none")
    whole = SealedBidAuction(n, m, prior=game.prior, mechanism=mechanism, demand=demand)
    rng = np.random.default_rng(seed)
    state = game.initial(5, rng)
    action = rng.integers(len(game.reports), size=(5, n))
    after, utility = game.step(state, {"bidder": action}, rng)
    assert np.isin(state.sale.value, [1.0, 2.0, 3.0]).all() and game.terminal(after).all()
    same, expected = whole.sell(whole.start(state.sale.value), game.reports[action])
    np.testing.assert_array_equal(utility, expected)
    np.testing.assert_array_equal(after.sale.payment, same.payment)
    np.testing.assert_array_equal(game.info(after, "bidder")["allocation"], same.allocation)


def test_nature_draws_from_each_bidders_own_law():
    laws = [Discrete((0.0, 2.0, 7.0), (0.5, 0.3, 0.2)), TwoPoint(1.0, 4.0, 0.25)]
    game = DiscreteAuction(2, 2, prior=Prior.per_bidder(laws, items=2))
    values = play(game, "random", batch=40_000, seed=5).state.sale.value
    for bidder, law in enumerate(laws):
        for item in range(2):
            for atom, p in zip(law.atoms, law.probabilities, strict=True):
                share = (values[:, bidder, item] == atom).mean()
                assert abs(share - p) <= 4 * np.sqrt(p * (1 - p) / 40_000)
    assert len(np.unique(values.reshape(len(values), -1), axis=0)) == 3 * 3 * 2 * 2


@pytest.mark.parametrize(
    ("ceiling", "expected"), [("below-value", [1, 1, 2]), ("value", [1, 2, 3]), ("none", [4, 4, 4])]
)
def test_the_ceiling_decides_which_bids_are_legal(ceiling, expected):
    prior = Prior.iid(Discrete((0.0, 1.0, 2.0), (0.2, 0.3, 0.5)), 1)
    game = DiscreteAuction(1, prior=prior, bids=[0, 1, 2, 3], ceiling=ceiling)
    state = game.resolve(game.root(3), np.arange(3))
    # The lowest bid is legal even for value 0.
    assert game.legal(state, "bidder").sum(axis=-1)[:, 0].tolist() == expected


def test_every_item_has_its_own_ceiling():
    game = DiscreteAuction(1, 2, values=3)
    state = game.resolve(game.resolve(game.root(1), np.array([0])), np.array([2]))  # values 1 and 3
    legal = game.reports[game.legal(state, "bidder")[0, 0]]
    assert legal.tolist() == [[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]]


def test_truth_is_dominant_on_the_grid_in_a_second_price_sale():
    game = DiscreteAuction(2, values=4, mechanism="second-price", ceiling="none")
    turns = pyspiel.convert_to_turn_based(to_openspiel(game))

    def truthful(state):
        value = float(re.search(r"\[([\d.]+)\]", state.information_state_string()).group(1))
        return {game.levels.tolist().index(value): 1.0}

    truth = policy.tabular_policy_from_callable(turns, truthful)
    assert exploitability.nash_conv(turns, truth) == pytest.approx(0.0, abs=1e-12)


def test_several_rounds_draw_fresh_values_and_respect_the_budget():
    game = DiscreteAuction(2, values=3, rounds=4, budget=2.0, mechanism="first-price")
    episodes = play(game, "random", batch=500, seed=2, record=True)
    assert (episodes.lengths == 4).all()
    rounds = [moment.state.sale.value for moment in episodes.history]
    assert all((before != after).any(axis=(1, 2)).mean() > 0.5 for before, after in itertools.pairwise(rounds))
    assert (episodes.state.sale.budget >= 0).all() and (episodes.state.sale.budget < 2.0).any()


def test_nothing_is_claimed_that_is_not_computed():
    game = DiscreteAuction()
    assert game.truths() == () and game.equilibrium() is None


def test_text_shows_values_reports_and_payments():
    game = DiscreteAuction()
    episodes = play(game, "random", batch=1, seed=0)
    text = game.render_text(episodes.state)
    assert "round 1 of 1" in text and "FirstPrice" in text and len(text.splitlines()) == 4


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"values": 0}, ValueError, "values must be an integer"),
        ({"bidders": 0}, ValueError, "bidders"),
        ({"ceiling": "sky"}, ValueError, "ceiling must be one of"),
        ({"bids": [1, 1]}, ValueError, "bids must be nonnegative, finite and increasing"),
        ({"bids": [-1, 1]}, ValueError, "bids must be nonnegative"),
        ({"bids": []}, ValueError, "bids must be nonnegative"),
        ({"bids": [0, float("nan")]}, ValueError, "bids must be nonnegative"),
        ({"bids": ["low"]}, ValueError, "bids must be nonnegative"),
        ({"bids": list(range(400)), "items": 2}, ValueError, "400 for each of 2 items"),
        ({"prior": "uniform01"}, TypeError, "laws with atoms"),
        ({"prior": "triangle", "items": 2}, TypeError, "independent laws with atoms are needed, Triangle"),
        ({"mechanism": "third-price"}, ValueError, "mechanism"),
    ],
)
def test_bad_parameters_are_named(parameters, error, message):
    with pytest.raises(error, match=message):
        DiscreteAuction(**parameters)
