"""Finite types: optimal mechanisms by linear programs, and learned menus that reach them and are certified."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.agents.trained import trained
from walras.algorithms.auctions.cell_transform import promised
from walras.algorithms.auctions.finite_menus import (
    Choices,
    FiniteMenuLearner,
    improve,
    margin_for,
    settle,
    tabulate,
)
from walras.envs.auctions.bundles import itemwise_myerson_revenue
from walras.envs.auctions.cell_revenue import cell_revenue
from walras.envs.auctions.certify import certify
from walras.envs.auctions.finite_lp import Types, bic_optimum, dsic_optimum, finite_types
from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.piecewise import Discrete, TwoPoint
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.rules import SealedBidAuction
from walras.envs.play import play

YAO = [
    (1, 2, 0.2, 2.4256, 2.432), (1, 2, 0.4, 2.8576, 2.896), (1, 2, 0.5, 3.125, 3.1875), (1, 2, 0.6, 3.3984, 3.4272),
    (3, 7, 0.3, 8.5764, 8.652), (3, 7, 0.5, 10.75, 10.875),
]  # fmt: skip


@pytest.mark.parametrize(("low", "high", "q", "dominant", "bayesian"), YAO)
def test_two_point_optima_are_the_known_ones(low, high, q, dominant, bayesian):
    prior = Prior.iid(TwoPoint(low, high, q), 2, 2)
    assert dsic_optimum(prior).revenue == pytest.approx(dominant, abs=1e-8)
    assert bic_optimum(prior).revenue == pytest.approx(bayesian, abs=1e-8)


@pytest.mark.parametrize(("low", "high", "q"), [(1, 2, 2 / 3), (1, 2, 0.8), (3, 7, 0.6), (3, 7, 0.7)])
def test_from_some_share_of_high_values_on_selling_item_by_item_is_best(low, high, q):
    prior = Prior.iid(TwoPoint(low, high, q), 2, 2)
    exact = 2 * high * (1 - (1 - q) ** 2)
    assert dsic_optimum(prior).revenue == pytest.approx(exact, abs=1e-8)
    assert bic_optimum(prior).revenue == pytest.approx(exact, abs=1e-8)
    assert itemwise_myerson_revenue(prior) == pytest.approx(exact, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), unit=st.booleans())
def test_optimal_mechanisms_keep_every_promise_and_are_ordered(seed, unit):
    rng = np.random.default_rng(seed)
    laws = []
    for _ in range(2):
        row = []
        for _ in range(2):
            atoms = np.sort(rng.choice(9, 2, replace=False).astype(float))
            chance = float(rng.integers(1, 8)) / 8
            row.append(Discrete(tuple(atoms), (1.0 - chance, chance)))
        laws.append(row)
    prior, demand = Prior.independent(laws), "unit" if unit else "additive"
    types = finite_types(prior)
    best, bayes = dsic_optimum(prior, demand), bic_optimum(prior, demand)
    assert bayes.revenue >= best.revenue - 1e-8
    if not unit:
        assert best.revenue >= itemwise_myerson_revenue(prior) - 1e-8
    assert best.allocation.min() >= -1e-9 and best.allocation.sum(axis=1).max() <= 1 + 1e-9
    if unit:
        assert best.allocation.sum(axis=2).max() <= 1 + 1e-9
    profiles, masses = types.profiles(), types.masses()
    assert masses @ best.payment.sum(axis=1) == pytest.approx(best.revenue, abs=1e-9)
    for i in range(2):
        keys = types.keys(i)
        for a, b in itertools.permutations(range(len(profiles)), 2):
            if keys[a] == keys[b]:
                value = types.values[i][profiles[a, i]]
                truth = value @ best.allocation[a, i] - best.payment[a, i]
                assert truth >= value @ best.allocation[b, i] - best.payment[b, i] - 1e-8
                assert truth >= -1e-8


def test_one_bidder_with_one_item_meets_the_monopoly_price():
    prior = Prior.iid(Discrete((1.0, 3.0, 4.0), (0.5, 0.25, 0.25)), 1, 1)
    assert dsic_optimum(prior).revenue == pytest.approx(1.5)  # 3 to half of the buyers
    assert bic_optimum(prior).revenue == pytest.approx(1.5)


def test_three_bidders_and_three_items_are_solved_too():
    three = Prior.iid(TwoPoint(1, 2, 0.5), 3, 1)
    assert dsic_optimum(three).revenue == pytest.approx(itemwise_myerson_revenue(three), abs=1e-8)
    wide = Prior.iid(TwoPoint(1, 2, 0.5), 2, 3)
    assert dsic_optimum(wide).revenue > itemwise_myerson_revenue(wide)


def test_groups_without_a_mechanism_are_refused():
    types = finite_types(Prior.iid(TwoPoint(1, 2, 0.5), 1, 1))
    with pytest.raises(ValueError, match="no mechanism"):
        dsic_optimum(types, groups=[np.array([[1, 0]])], margin=1e-6)  # the low type buys and the high one does not
    with pytest.raises(ValueError, match="needs groups"):
        dsic_optimum(types, margin=1e-6)
    with pytest.raises(ValueError, match=r"groups\[0\]"):
        dsic_optimum(types, groups=[np.array([[1, 0, 2]])])
    with pytest.raises(ValueError, match="atoms"):
        finite_types(Prior.iid(Uniform(0, 1), 2, 1))
    assert settle(types, [np.array([[1, 0]])]).revenue == -np.inf


def test_settled_choices_become_a_table_that_the_certifier_accepts():
    prior = Prior.iid(TwoPoint(3, 7, 0.7), 2, 2)
    types = finite_types(prior)
    # Everybody is offered all four bundles at first; choices are improved from there.
    start = settle(types, [np.tile([0, 1, 2, 3], (4, 1)), np.zeros((4, 4), int)])
    best = improve(types, start, bound=dsic_optimum(types).revenue)
    assert best.revenue > start.revenue
    table = tabulate(prior, best)
    assert cell_revenue(table, prior) == pytest.approx(best.revenue, abs=1e-8)
    assert promised(table).max() <= 1.0
    found = certify(table)
    assert found.status == "certified"


def test_rounding_leaves_a_strict_preference():
    types = Types((np.array([[3.0, 7.0]]),) * 2, (np.ones(1),) * 2)
    assert margin_for(types, 30) == pytest.approx(4 * 11 * 2.0**-30)
    with pytest.raises(ValueError, match="no mechanism"):
        tabulate(Prior.iid(TwoPoint(1, 2, 0.5), 2, 1), Choices((), None))


@pytest.mark.parametrize(("low", "high", "q"), [(1, 2, 0.4), (3, 7, 0.7)])
def test_learned_menus_reach_the_optimum_and_are_certified(low, high, q):
    pytest.importorskip("torch")
    prior = Prior.iid(TwoPoint(low, high, q), 2, 2)
    learner = FiniteMenuLearner(prior, restarts=8, steps=800, seed=0).fit()
    best = dsic_optimum(prior).revenue
    # Learned menus earn nearly the optimum but promise too much; the table promises nothing twice and loses nothing.
    assert promised(learner.learned_).max() > 1.0
    assert 0.9 * best < cell_revenue(learner.learned_, prior) < 1.1 * best
    assert learner.choices_.revenue > 0.95 * best
    assert cell_revenue(learner.mechanism_, prior) == pytest.approx(best, abs=1e-6)
    assert certify(learner.mechanism_).status == "certified"


def test_learning_under_unit_demand_is_certified_and_repeats():
    pytest.importorskip("torch")
    prior = Prior.iid(TwoPoint(1, 2, 0.5), 2, 2)
    settings = {"restarts": 4, "steps": 200, "seed": 1, "search": 0}
    first, again = (FiniteMenuLearner(prior, "unit", **settings).fit() for _ in range(2))
    assert first.mechanism_ == again.mechanism_
    assert certify(first.mechanism_).status == "certified"
    best = dsic_optimum(prior, "unit").revenue
    assert 0.9 * best < cell_revenue(first.mechanism_, prior) <= best + 1e-9


@pytest.mark.parametrize(("low", "high", "q"), [(1, 2, 0.5), (3, 7, 0.5), (3, 7, 0.7)])
def test_kept_mechanisms_are_optimal_certified_and_sit_in_an_auction(low, high, q):
    prior = Prior.iid(TwoPoint(low, high, q), 2, 2)
    mechanism = trained(f"two-point-{low}-{high}-q{q}")
    assert cell_revenue(mechanism, prior) == pytest.approx(dsic_optimum(prior).revenue, abs=1e-6)
    assert certify(mechanism).status == "certified"
    game = SealedBidAuction(2, 2, prior=prior, mechanism=mechanism, audit=True)
    episodes = play(game, "truthful", batch=64, seed=0)
    for agent in game.agents:
        assert np.max(game.info(episodes.state, agent)["regret"]) <= 1e-12
