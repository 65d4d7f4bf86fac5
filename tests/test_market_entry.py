"""Sellers who enter or stay out: profits from Cournot's game itself, equilibria by brute force and on the tree."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import walras
from walras.envs.classical.cournot import Cournot
from walras.envs.classical.entry import MarketEntry
from walras.envs.play import play
from walras.envs.tabular import LEAF, compile_game

games = st.builds(
    MarketEntry,
    st.integers(1, 5),
    intercept=st.floats(50.0, 100.0),
    slope=st.floats(0.5, 2.0),
    cost=st.floats(0.0, 20.0),
    fee=st.floats(10.0, 5000.0),
)


def truths(game):
    return {truth.name: truth.value for truth in game.truths()}


def profit(game, entrants):
    """From the equilibrium of `Cournot`."""
    market = Cournot(entrants, intercept=game.intercept, slope=game.slope, cost=game.cost)
    return truths(market)["firm's profit in equilibrium"] - game.fee


@given(games)
def test_entrants_earn_what_cournots_game_says_and_others_nothing(game):
    for profile in itertools.product((0.0, 1.0), repeat=game.sellers):
        (paid,), facts = game.outcome(np.array([profile]))
        m = int(sum(profile))
        expected = [profit(game, m) * x if x else 0.0 for x in profile]
        np.testing.assert_allclose(paid, expected, rtol=1e-12, atol=1e-9)
        assert (facts["sellers"] == m).all() and facts["enters"].tolist() == [list(profile)]


@given(games)
def test_surplus_is_what_the_buyers_keep_and_the_sellers_earn(game):
    for m in range(1, game.sellers + 1):
        quantity = m * (game.intercept - game.cost) / game.slope / (m + 1)
        buyers = game.slope * quantity**2 / 2  # the triangle under demand above the price
        assert game.surplus[m] == pytest.approx(buyers + m * profit(game, m), rel=1e-9, abs=1e-9)
    assert truths(game)["largest total surplus"] == max(game.surplus)


@given(games)
def test_the_pure_equilibria_of_most_entrants_have_the_stated_number(game):
    stable = []
    for m in range(game.sellers + 1):
        stays = m == 0 or game.profits[m] >= 0
        if stays and (m == game.sellers or game.profits[m + 1] <= 0):
            stable.append(m)
    assert max(stable) == truths(game)["sellers who enter in a pure equilibrium"]


@given(games)
def test_too_many_or_one_too_few_enter(game):
    """Mankiw and Whinston: free entry falls short of the optimum by one seller at most."""
    known = truths(game)
    enter = known["sellers who enter in a pure equilibrium"]
    best = known["sellers who enter at the largest total surplus"]
    assert enter >= best - 1


@settings(max_examples=40, deadline=None)
@given(games)
def test_nobody_gains_against_the_symmetric_equilibrium(game):
    """On the compiled tree: whatever one seller does, it earns no more than by the equilibrium's own mixture."""
    flat = compile_game(game)
    odds = np.array([1.0 - game.likelihood, game.likelihood])
    leaves = np.flatnonzero(flat.kind == LEAF)
    for seller in range(game.sellers):
        worth = np.zeros(2)
        for leaf in leaves.tolist():
            reach, own, node = 1.0, 0, leaf
            while node:
                slot = flat.edge_slot[node]
                if flat.info_player[flat.info[flat.parent[node]]] == seller:
                    own = flat.info_actions[slot]
                else:
                    reach *= odds[flat.info_actions[slot]]
                node = flat.parent[node]
            worth[own] += reach * flat.returns[leaf, seller]
        assert worth.max() <= worth @ odds + 1e-6 * max(1.0, game.profits[1])
        assert 0.0 <= game.likelihood <= 1.0


def test_the_equilibrium_earns_nothing_in_play_where_sellers_mix():
    episodes = play("walras/MarketEntry-v0", "equilibrium", batch=50_000, seed=0)
    assert abs(episodes.mean("seller")) < 4 * episodes.standard_error("seller")
    entered = episodes.info("seller")["enters"].mean()
    assert entered == pytest.approx(walras.make("walras/MarketEntry-v0").likelihood, abs=0.005)


@pytest.mark.parametrize(
    ("fee", "sellers", "likelihood"), [(8000.0, 2, 0.0), (800.0, 2, 1.0), (2024.99, 1, 1.0), (2025.01, 1, 0.0)]
)
def test_sure_entry_and_sure_absence(fee, sellers, likelihood):
    assert MarketEntry(sellers, fee=fee).likelihood == likelihood


@pytest.mark.parametrize(
    "bad", [{"sellers": 0}, {"intercept": 0.0}, {"slope": -1.0}, {"cost": 100.0}, {"fee": 0.0}, {"rounds": 0}]
)
def test_bad_parameters_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        MarketEntry(**bad)
