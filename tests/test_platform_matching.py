"""Introductions: trades and prices against the definitions, ties, the game in both forms, rounds, its seat."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import walras
from walras.algorithms.platforms.introducers import METHODS, Introducer
from walras.envs.check import CHECKS
from walras.envs.platforms.introductions import (
    as_graph,
    best_introductions,
    harmonic,
    matchings,
    trade,
    world_and_ideal,
)
from walras.envs.platforms.market import Market
from walras.envs.platforms.matching import PlatformMatching
from walras.envs.platforms.matching_instances import ONE_KNOWN, WORKED, ladder

# -- slow references, from the definitions -----------------------------------------------------------------------------


def weight(values, graph):
    """The largest weight of a matching."""
    w = np.where(graph, values, 0)
    rows, columns = linear_sum_assignment(w, maximize=True)
    return w[rows, columns].sum()


def added(values, graph):
    """What each seller adds to welfare: her largest competitive price."""
    without = [np.where(np.arange(graph.shape[1]) == j, False, graph) for j in range(graph.shape[1])]
    return np.array([weight(values, graph) - weight(values, rest) for rest in without])


def all_revenues(values, world, new):
    """Revenue of every optimal matching, by listing them."""
    graph = world | new
    most, price = weight(values, graph), added(values, graph)
    n, m = values.shape
    found = []
    for row in itertools.product(range(-1, m), repeat=n):
        used = [j for j in row if j >= 0]
        if len(set(used)) < len(used) or any(j >= 0 and not graph[i, j] for i, j in enumerate(row)):
            continue
        if sum(values[i, j] for i, j in enumerate(row) if j >= 0) == most:
            found.append(sum(price[j] for i, j in enumerate(row) if j >= 0 and new[i, j] and not world[i, j]))
    return found


@st.composite
def markets(draw, largest=4, top=8):
    n, m = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    number = st.integers(0, draw(st.integers(1, top)))
    values = np.array(draw(st.lists(number, min_size=n * m, max_size=n * m))).reshape(n, m)
    if draw(st.booleans()):
        values = np.repeat(values[:, :1], m, axis=1)
    graphs = [np.array(draw(st.lists(st.booleans(), min_size=n * m, max_size=n * m))).reshape(n, m) for _ in range(2)]
    return values, *graphs


@settings(max_examples=150, deadline=None)
@given(markets(largest=3))
def test_trades_and_prices_follow_the_definitions_and_ties_are_broken_as_asked(market):
    values, world, new = market
    kind, cruel, some = (trade(values, world, new, ties=ties) for ties in ("platform", "adversarial", "any"))
    revenues = all_revenues(values, world, new)
    assert kind.welfare[0] == weight(values, world | new)
    np.testing.assert_array_equal(kind.price_max[0], added(values, world | new))
    assert kind.revenue[0] == max(revenues)
    assert cruel.revenue[0] == min(revenues)
    assert min(revenues) <= some.revenue[0] <= max(revenues)
    for found in (kind, cruel, some):
        buyers = np.flatnonzero(found.matching[0] >= 0)
        sellers = found.matching[0][buyers]
        assert len(set(sellers)) == len(sellers)
        assert values[buyers, sellers].sum() == found.welfare[0]
        paid = found.price_max[0][sellers][found.introduced[0][buyers]].sum()
        assert paid == found.revenue[0]


@settings(max_examples=100, deadline=None)
@given(markets())
def test_floats_give_what_integers_give(market):
    values, world, new = market
    for ties in ("platform", "adversarial"):
        exact, rounded = trade(values, world, new, ties=ties), trade(values / 7, world, new, ties=ties)
        np.testing.assert_allclose(rounded.revenue * 7, exact.revenue, atol=1e-7)
        np.testing.assert_allclose(rounded.price_max * 7, exact.price_max, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(markets(largest=3))
def test_the_listed_optimum_is_that_over_all_sets_of_introductions(market):
    values, world, _ = market
    pairs = np.argwhere(~world)
    best = 0
    for chosen in itertools.product((False, True), repeat=min(len(pairs), 9)):
        new = np.zeros_like(world)
        for (i, j), use in zip(pairs, chosen, strict=False):
            new[i, j] = use
        best = max(best, int(trade(values, world, new).revenue[0]))
    found = best_introductions(values, world)
    assert found.revenue[0] == best
    assert trade(values, world, found.introduced).revenue[0] == best
    assert (found.introduced.sum(axis=1) <= 1).all()


def test_all_matchings_are_listed_once():
    assert [len(matchings(k, k)) for k in range(1, 6)] == [2, 7, 34, 209, 1546]
    assert len(matchings(2, 3)) == 13
    assert len({tuple(row) for row in matchings(4, 3).tolist()}) == len(matchings(4, 3))


@pytest.mark.parametrize("name", list(WORKED))
def test_worked_instances_have_their_numbers(name):
    worked = WORKED[name]
    values, world = worked.market.values, worked.market.known
    lowest, highest = world_and_ideal(values, world)
    assert (lowest[0], highest[0]) == (worked.world_welfare, worked.ideal_welfare)
    if max(values.shape) <= 5:
        assert best_introductions(values, world).revenue[0] == worked.revenue
    for pairs, welfare in zip(worked.optima, worked.welfare, strict=True):
        new = np.zeros_like(world)
        new[tuple(np.array(sorted(pairs)).T)] = True
        found = trade(values, world, new)
        assert (found.revenue[0], found.welfare[0]) == (worked.revenue, welfare)
        assert found.introduced.sum() == len(pairs)


def test_the_ladder_attains_the_guarantee():
    for k, h in ((2, 2), (3, 6)):
        market = ladder(k, h)
        lowest, highest = world_and_ideal(market.values, market.known)
        assert highest[0] - lowest[0] == pytest.approx(h * harmonic(k), rel=1e-12)
        assert best_introductions(market.values, market.known).revenue[0] == h
    with pytest.raises(ValueError, match="divisible"):
        ladder(4, 6)


def test_the_unique_optimum_of_one_instance_is_unique():
    worked = WORKED["beyond-the-guarantee"]
    values, world = worked.market.values, worked.market.known
    graphs = as_graph(matchings(4, 4), 4)
    graphs = graphs[~(graphs & world).any(axis=(1, 2))]
    found = trade(values, world, graphs)
    traded = (as_graph(found.matching, 4) & graphs == graphs).all(axis=(1, 2))
    best = graphs[(found.revenue == worked.revenue) & traded]
    assert {frozenset(map(tuple, np.argwhere(graph).tolist())) for graph in best} == set(worked.optima)


def test_more_introductions_can_hurt():
    values, world = np.array([[10, 10], [4, 4]]), np.zeros((2, 2), bool)
    assert trade(values, world, np.eye(2, dtype=bool)).revenue[0] == 14
    assert trade(values, world, np.array([[1, 1], [0, 1]], bool)).revenue[0] == 8


def test_pairs_that_know_each_other_earn_nothing():
    values, world = np.array([[5, 3]]), np.array([[True, False]])
    found = trade(values, world, np.ones((1, 2), bool))
    assert (found.revenue[0], found.welfare[0], found.introduced.any()) == (0, 5, False)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        (([[1.0]], [[True]], [[1]]), TypeError, "introduced"),
        (([[1.0]], [[0]], [[True]]), TypeError, "world"),
        (([[1.0, 2.0]], [[True]], [[True]]), ValueError, "values"),
    ],
)
def test_wrong_markets_are_refused_by_name(arguments, error, name):
    with pytest.raises(error, match=name):
        trade(*arguments)


def test_unknown_ties_and_large_lists_are_refused():
    with pytest.raises(ValueError, match="ties"):
        trade([[1]], [[True]], [[True]], ties="fair")
    with pytest.raises(ValueError, match="6 x 2"):
        best_introductions(np.ones((6, 2)), np.zeros((6, 2), bool))


# -- the game ----------------------------------------------------------------------------------------------------------

VARIANTS = {
    "growing": {"rounds": 3, "arrivals": [[0, 1, 0, 2], [0, 0, 1, 2]], "law": "uniform"},
    "growing-sequential": {"rounds": 2, "form": "sequential", "moves": 3, "sellers": 3},
    "instance": {"market": "inefficient-optimum", "optimum": True},
    "adversarial-mix": {"law": "homogeneous-uniform", "known": 2, "objective": 0.3, "ties": "adversarial"},
}


def test_games_with_other_rules_print_otherwise():
    others: list[dict[str, object]] = [
        {}, {"buyers": 3}, {"sellers": 3}, {"market": "disruption"}, {"market": "revenue-against-welfare"},
        {"law": "uniform"}, {"edge": 0.5}, {"known": 2}, {"form": "sequential"}, {"form": "sequential", "moves": 2},
        {"objective": 0.5}, {"ties": "adversarial"}, {"rounds": 2}, {"rounds": 2, "acquaint": False},
        {"rounds": 2, "arrivals": [[0, 0, 0, 1], [0, 0, 0, 1]]}, {"optimum": True},
    ]  # fmt: skip
    assert len({repr(PlatformMatching(**parameters)) for parameters in others}) == len(others)


@pytest.mark.parametrize("name", list(VARIANTS))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_variants_keep_the_contract(check, name):
    check(PlatformMatching(**VARIANTS[name]))


@pytest.mark.parametrize("name", [name for name in WORKED if max(WORKED[name].market.values.shape) <= 5])
@pytest.mark.parametrize("form", ["one-shot", "sequential"])
def test_the_optimal_introducer_earns_the_optimum_in_both_forms(name, form):
    game = PlatformMatching(market=name, form=form, optimum=True)
    episodes = walras.play(game, {"designer": Introducer.of(game, "optimal")}, batch=1, seed=0)
    optimum = next(truth.value for truth in game.truths() if truth.kind == "optimum")
    facts = game.info(episodes.state, "designer")
    assert episodes.returns[0, 0] == optimum == WORKED[name].revenue == facts["optimum"][0, 0]
    assert facts["revenue"][0, 0] == optimum
    assert facts["gain"][0, 0] == WORKED[name].ideal_welfare - WORKED[name].world_welfare


def test_the_sequential_rewards_add_up_to_the_revenue_and_masks_keep_a_matching():
    game = PlatformMatching(form="sequential", moves=20)
    episodes = walras.play(game, "random", batch=200, seed=3)
    np.testing.assert_array_equal(episodes.returns[:, 0], episodes.state.revenue)
    made = episodes.state.introduced
    assert (made.sum(axis=1) <= 1).all()
    assert (made.sum(axis=2) <= 1).all()
    assert not (made & episodes.state.world).any()
    assert made.any()


def test_a_pair_can_be_taken_back():
    game = PlatformMatching(2, 2, form="sequential", edge=0.0, law="uniform")
    state = game.initial(1, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    once, first = game.step(state, {"designer": np.array([[1]])}, rng)
    twice, second = game.step(once, {"designer": np.array([[1]])}, rng)
    assert once.introduced[0, 0, 1]
    assert not twice.introduced.any()
    assert first[0, 0] == state.values[0, 0, 1] == -second[0, 0]


@pytest.mark.parametrize("objective", ["welfare", 0.25])
def test_objectives_pay_what_they_say(objective):
    game = PlatformMatching(objective=objective, law="uniform")
    played = walras.play(game, "random", batch=50, seed=1)
    state = played.state
    w = 1.0 if objective == "welfare" else objective
    expected = (1 - w) * state.revenue + w * (state.welfare - state.world_welfare)
    np.testing.assert_allclose(played.returns[:, 0], expected, atol=1e-12)


def test_the_efficient_introducer_attains_the_largest_welfare():
    game = PlatformMatching(market="five", objective="welfare")
    episodes = walras.play(game, {"designer": Introducer.of(game, "efficient")}, batch=1, seed=0)
    optimum = next(truth.value for truth in game.truths() if truth.kind == "optimum")
    assert episodes.returns[0, 0] == optimum == 17


def test_introduced_pairs_earn_once_where_they_make_acquaintances():
    market = Market(np.array([[5.0]]), np.zeros((1, 1), bool))
    earned = {}
    for acquaint in (True, False):
        game = PlatformMatching(market=market, rounds=3, acquaint=acquaint)
        earned[acquaint] = walras.play(game, {"designer": Introducer.of(game, "optimal")}, batch=1, seed=0).returns[
            0, 0
        ]
    assert earned == {True: 5.0, False: 15.0}


def test_nobody_trades_before_arriving():
    market = Market(np.array([[3, 3], [2, 2]]), np.zeros((2, 2), bool))
    game = PlatformMatching(market=market, rounds=2, arrivals=[[0, 1], [0, 1]])
    state = game.initial(1, np.random.default_rng(0))
    all_pairs = {"designer": np.array([[[0, 1]]])}
    after, reward = game.step(state, all_pairs, np.random.default_rng(0))
    assert reward[0, 0] == 3
    last, reward = game.step(after, {"designer": np.array([[[2, 1]]])}, np.random.default_rng(0))
    assert reward[0, 0] == 2
    assert game.terminal(last).all()
    assert last.earned[0] == 5


def test_known_sellers_are_drawn_as_many_as_asked():
    game = PlatformMatching(5, 4, known=2)
    state = game.initial(100, np.random.default_rng(0))
    assert (state.world.sum(axis=2) == 2).all()
    assert len(np.unique(state.world.reshape(100, -1), axis=0)) > 90


def test_one_known_markets_are_games_too():
    values, known, sellers, revenue, lowest, highest = ONE_KNOWN[6]
    market = Market(np.repeat(np.array(values)[:, None], sellers, axis=1), as_graph(np.array(known), sellers))
    numbers = {truth.name: truth.value for truth in PlatformMatching(market=market).truths()}
    assert numbers["largest return"] == revenue
    assert numbers["welfare without introductions"] == lowest
    assert numbers["ideal welfare, which revenue never exceeds"] == highest


@pytest.mark.parametrize("method", [name for name in METHODS if name != "keep-world"])
def test_introducers_of_any_method_play_both_forms_alike(method):
    totals = []
    for form in ("one-shot", "sequential"):
        game = PlatformMatching(3, 3, form=form)
        totals.append(walras.play(game, {"designer": Introducer.of(game, method)}, batch=4, seed=5).returns)
    np.testing.assert_array_equal(*totals)


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="method"):
        Introducer.of(PlatformMatching(), "best")


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"form": "both"}, "form"),
        ({"ties": "fair"}, "ties"),
        ({"objective": "profit"}, "objective"),
        ({"objective": 2.0}, "objective"),
        ({"edge": -0.1}, "edge"),
        ({"known": 9}, "known"),
        ({"law": "normal"}, "law"),
        ({"market": "V1"}, "market"),
        ({"moves": 0, "form": "sequential"}, "moves"),
        ({"rounds": 0}, "rounds"),
        ({"acquaint": 1}, "acquaint"),
        ({"optimum": True, "buyers": 6}, "optimum"),
        ({"arrivals": [[0], [0]]}, "arrivals"),
        ({"market": {"values": [[1]], "known": [[0]], "costs": [1]}}, "costs"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters, name):
    with pytest.raises(ValueError, match=name):
        PlatformMatching(**parameters)
