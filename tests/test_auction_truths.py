"""The numbers an auction states of itself: only where theory has them, and right where play can check them."""

import numpy as np
import pytest

import walras
from walras.envs.auctions.mechanisms import BundleMyerson, ItemwiseMyerson
from walras.envs.auctions.priors import Power, Prior, TwoPoint, Uniform, prior
from walras.envs.auctions.rules import SealedBidAuction


def truth(game, name):
    return next(t.value for t in game.truths() if t.name == name)


@pytest.mark.parametrize(
    "parameters",
    [
        {"budget": 1.0},
        {"rounds": 3, "budget": 2.0},
        {"grid": 5},
        {"grid": 5, "mechanism": "second-price"},
        {"prior": "two_point"},
        {"prior": Prior.per_bidder([Uniform(0, 1), Uniform(0, 2), Power(2.0)])},
        {"items": 2, "demand": "unit", "mechanism": "second-price"},
        {"mechanism": "bundle-first-price", "items": 2},
    ],
)
def test_no_number_is_given_for_an_equilibrium_that_is_not_known(parameters):
    game = SealedBidAuction(**parameters)
    assert game.equilibrium() is None
    assert not [t for t in game.truths() if "equilibrium" in t.name or t.kind == "equilibrium"]
    if "budget" in parameters:
        assert game.truths() == ()


def test_the_repeated_auction_of_the_registry_claims_nothing_about_its_budgets():
    assert walras.make("walras/RepeatedAuction-v0").truths() == ()


def test_numbers_of_a_repeated_auction_are_per_round():
    names = [t.name for t in SealedBidAuction(2, 2, rounds=5).truths()]
    assert names and all(name.endswith(" per round") for name in names)
    once, often = SealedBidAuction(2, grid=5), SealedBidAuction(2, grid=5, rounds=5)
    assert truth(once, "optimal revenue") == truth(often, "optimal revenue per round") == pytest.approx(5 / 12)


@pytest.mark.parametrize("items", [1, 2])
@pytest.mark.parametrize("law", ["uniform01", "exponential", "two_point"])
@pytest.mark.parametrize("mechanism", ["vcg", "myerson", "bundle-myerson", "bundle-second-price"])
def test_dominant_strategy_mechanisms_earn_what_theory_says(mechanism, law, items):
    game = SealedBidAuction(3, items, prior=law, mechanism=mechanism)
    played = walras.play(game, "equilibrium", batch=60_000, seed=4)
    revenue = played.info("bidder")["payment"].sum(axis=1)
    error = max(revenue.std() / np.sqrt(len(revenue)), 1e-6)
    assert abs(revenue.mean() - truth(game, "revenue in equilibrium")) < 4 * error
    if mechanism == "vcg" and law != "two_point":
        expected = truth(game, "utility of a bidder in equilibrium")
        assert abs(played.mean("bidder") - expected) < 4 * played.standard_error("bidder")


def test_myersons_auction_for_other_bidders_has_no_known_revenue():
    laws = Prior.per_bidder([Uniform(0, 1), Uniform(0, 2)])
    own = SealedBidAuction(2, prior=laws, mechanism="myerson")
    assert truth(own, "revenue in equilibrium") == truth(own, "optimal revenue")
    other = SealedBidAuction(2, prior=laws, mechanism=ItemwiseMyerson(prior("uniform01", 2, 1)))
    assert [t.name for t in other.truths()] == ["optimal revenue"]


def test_a_bundle_whose_sum_has_no_known_law_has_no_known_revenue():
    laws = Prior.per_item([Uniform(0, 1), TwoPoint(1.0, 2.0)], 2)
    game = SealedBidAuction(2, 2, prior=laws, mechanism=BundleMyerson(1.0))
    assert [t.name for t in game.truths()] == ["revenue of item-wise Myerson"]
