"""Platform equilibria: worked instances, enumeration against definitions, theorems on random markets."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from walras.benchmarks.suites import platform_equilibrium, platform_studies
from walras.envs.platforms.additive import LOSS_BOUND, additive_equilibrium, equal_revenue, optimal_fee
from walras.envs.platforms.clearing import clear
from walras.envs.platforms.equilibrium import Joining, homogeneous_equilibrium, homogeneous_price
from walras.envs.platforms.joining import settle, terms
from walras.envs.platforms.market import INSTANCES, Market, harmonic, homogeneous, tight
from walras.envs.platforms.profiles import (
    acyclic,
    better_responses,
    choices,
    number_of,
    payoffs,
    price_profiles,
    pure_equilibria,
)


def quiet(fraction, text):
    pass


@st.composite
def markets(draw, alike=False, sellers=4):
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, sellers))
    top = draw(st.sampled_from([2, 6, 30]))
    values = draw(hnp.arrays(np.int64, (n, 1 if alike else m), elements=st.integers(0, top)))
    return Market(np.broadcast_to(values, (n, m)).copy(), draw(hnp.arrays(np.bool_, (n, m))))


fees = st.fractions(0, 1, max_denominator=40)


def bits(game, k):
    return "".join(map(str, game.choices[k]))


# -- worked instances --------------------------------------------------------------------------------------------------


def test_prices_and_welfare_of_the_worked_games_are_those_computed_by_hand():
    game = Joining.of("tight")
    assert game.price.tolist() == [[2, 0], [0, 0], [4, 0], [4, 2]]
    assert game.welfare.tolist() == [2, 2, 4, 6]
    game = Joining.of("no-pure-equilibrium")
    expected = {
        "000": (1, 0, 6), "100": (5, 1, 5), "010": (0, 4, 3), "110": (5, 6, 8),
        "001": (1, 0, 6), "101": (5, 1, 5), "011": (2, 6, 5), "111": (5, 6, 8),
    }  # fmt: skip
    welfare = {"000": 11, "100": 15, "010": 15, "110": 20, "001": 11, "101": 15, "011": 17, "111": 20}
    for k in range(8):
        assert tuple(game.price[k]) == expected[bits(game, k)] and game.welfare[k] == welfare[bits(game, k)]
    game = Joining.of("general-sweep")
    assert [tuple(p) for p in game.price[[0b000, 0b010, 0b001, 0b011]]] == [(8, 4, 2), (8, 6, 1), (8, 3, 5), (8, 7, 6)]
    assert game.welfare.tolist() == [14, 17, 16, 21, 14, 17, 16, 21]


@pytest.mark.parametrize("case", [case.name for case in platform_equilibrium.SUITE.cases if case.name[0] == "v"])
def test_every_worked_instance_of_the_suite_has_its_numbers(case):
    suite = platform_equilibrium.SUITE
    entry = suite.case(case)
    run = getattr(platform_equilibrium, entry.run.partition(":")[2])
    metrics = run(0, quiet, **entry.params).metrics
    rows = [row for row in suite.known if row.case == case]
    assert rows
    for row in rows:
        assert row.met(metrics[row.metric], suite.metric(row.metric).better), (row, metrics[row.metric])


def test_the_market_without_equilibrium_has_none_between_five_sixths_and_one():
    game = Joining.of("no-pure-equilibrium")
    assert [(s.low, s.high) for s in game.sweep() if not s.equilibria] == [(Fraction(5, 6), 1)]
    assert all(len(game.pure(Fraction(k, 1000))) == 0 for k in range(834, 1000))
    assert game.better_response_cycle(Fraction(9, 10))
    found = game.coarse_correlated(Fraction(9, 10))
    assert found.probability == pytest.approx([0.25, 0, 0.25, 0, 0.25, 0, 0.25, 0], abs=1e-6)


def test_two_equilibria_are_both_reported_and_the_algorithm_returns_one():
    game = Joining.of("two-equilibria")
    at = Fraction(53, 100)
    assert [bits(game, k) for k in game.pure(at)] == ["0001", "0010"]
    assert homogeneous_equilibrium(game.market, at).tolist() == [0, 0, 0, 1]
    assert game.select(at, "worst").welfare == 29 and game.select(at, "best").welfare == 31
    assert game.select(at, "algorithm").joined == (3,)


@pytest.mark.parametrize("fee", [Fraction(1, 10), Fraction(1, 3), Fraction(1, 2), Fraction(9, 10)])
def test_the_tight_family_attains_the_bound(fee):
    game = Joining(tight(fee))
    worst = game.select(fee, "worst")
    assert Fraction(int(game.ideal), int(worst.welfare)) == (2 - fee) / (1 - fee)
    below = game.select(fee * Fraction(99, 100), "worst")
    assert below.welfare == game.ideal


def test_the_harmonic_family_comes_close_to_the_harmonic_number():
    for k, ratio in ((3, 1.8098), (4, 2.0246)):
        game = Joining(harmonic(k))
        assert float(game.ideal) / game.optimistic().welfare == pytest.approx(ratio, abs=5e-5)


# -- enumeration against definitions -----------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(markets())
def test_the_walk_through_all_profiles_agrees_with_clearing_each(market):
    table = price_profiles(market.values, market.known)
    each = clear(market.values, market.known | (choices(market.sellers)[:, None, :] == 1))
    assert (table.price[0] == each.price_max).all() and (table.welfare[0] == each.welfare).all()


@settings(max_examples=150, deadline=None)
@given(markets(), fees)
def test_pure_equilibria_are_the_profiles_nobody_wants_to_leave(market, fee):
    game = Joining(market)
    found = {tuple(game.choices[k]) for k in game.pure(fee)}
    price = {x: game.price[int(number_of(np.array(x)))] for x in itertools.product((0, 1), repeat=market.sellers)}

    def payoff(x, j):
        return (1 - fee * x[j]) * int(price[x][j])

    for x in price:
        switched = [(*x[:j], 1 - x[j], *x[j + 1 :]) for j in range(market.sellers)]
        assert (x in found) == all(payoff(x, j) >= payoff(y, j) for j, y in enumerate(switched))


@settings(max_examples=150, deadline=None)
@given(markets(), fees)
def test_the_sweep_over_fees_agrees_with_enumeration_at_any_fee(market, fee):
    game = Joining(market)
    pieces = game.sweep()
    here = [p for p in pieces if (p.low == fee == p.high) or p.low < fee < p.high]
    assert len(here) == 1
    assert list(here[0].equilibria) == game.pure(fee).tolist()
    assert pieces[0].low == 0 and pieces[-1].high == 1


@settings(max_examples=100, deadline=None)
@given(markets(), st.fractions(0, 1, max_denominator=10))
def test_no_fee_earns_more_than_the_optimistic_solution(market, cap):
    game = Joining(market)
    try:
        best = game.optimistic(cap)
    except ValueError:
        assert all(len(game.pure(cap * Fraction(k, 50))) == 0 for k in range(51))
        return
    assert best.fee <= cap and number_of(np.isin(np.arange(market.sellers), best.joined)) in game.pure(best.fee)
    ends = {end for piece in game.sweep() for end in (piece.low, piece.high) if end <= cap} | {cap}
    for fee in ends:
        there = game.select(fee, "optimistic")
        assert there is None or there.revenue <= best.revenue


@settings(max_examples=50, deadline=None)
@given(markets(sellers=3), st.sampled_from(["worst", "best"]))
def test_other_selections_earn_the_supremum_over_fees(market, selection):
    game = Joining(market)
    best = game.solve(selection)
    grid = [game.select(Fraction(k, 97), selection) for k in range(98)]
    most = max(s.revenue for s in grid if s is not None)
    assert most <= best.revenue
    just_below = game.select(best.fee if best.attained else best.fee - Fraction(1, 10**6), selection)
    assert float(just_below.revenue) == pytest.approx(float(best.revenue), abs=1e-3)


@settings(max_examples=150, deadline=None)
@given(markets(alike=True), fees)
def test_homogeneous_goods_have_an_equilibrium_no_cycle_and_the_algorithm_finds_one(market, fee):
    game = Joining(market)
    assert number_of(homogeneous_equilibrium(market, fee)) in game.pure(fee)
    assert number_of(homogeneous_equilibrium(market, fee, join_ties=True)) in game.pure(fee)
    assert not game.better_response_cycle(fee)


@settings(max_examples=100, deadline=None)
@given(markets(alike=True))
def test_the_price_on_the_platform_follows_the_formula(market):
    game = Joining(market)
    for k in range(1, len(game.price)):
        joined = game.choices[k] == 1
        price = set(game.price[k][joined].tolist())
        assert price == {int(homogeneous_price(market.values[:, 0], market.known, joined))}
        assert (game.price[k][~joined] <= price.pop()).all()


@settings(max_examples=40, deadline=None)
@given(markets(sellers=3), st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(9, 10)]))
def test_coarse_correlated_equilibria_are_ones_and_lie_inside_the_bound(market, fee):
    game = Joining(market)
    worst, best = game.coarse_correlated(fee, "worst"), game.coarse_correlated(fee, "best")
    scale = max(float(market.values.max()), 1.0)
    for found in (worst, best):
        assert found.probability.sum() == pytest.approx(1) and (found.probability >= -1e-9).all()
        payoff = game.price * np.where(game.choices == 1, float(1 - fee), 1.0)
        for j, to in itertools.product(range(market.sellers), (0, 1)):
            moved = game.choices.copy()
            moved[:, j] = to
            gain = found.probability @ (payoff[number_of(moved), j] - payoff[:, j])
            assert gain <= 1e-6 * scale
    assert worst.welfare <= best.welfare + 1e-6 * scale
    assert worst.welfare * float(2 - fee) >= float(1 - fee) * float(game.ideal) - 1e-6 * scale
    for k in game.pure(fee):
        assert worst.welfare - 1e-6 * scale <= game.welfare[k] <= best.welfare + 1e-6 * scale


def test_cycles_of_better_responses_are_seen():
    pennies = np.array([[[1, 0], [0, 1], [0, 1], [1, 0]]])
    dilemma = np.array([[[3, 3], [0, 5], [5, 0], [1, 1]]])
    assert not acyclic(better_responses(pennies))[0] and acyclic(better_responses(dilemma))[0]
    assert not pure_equilibria(pennies).any() and pure_equilibria(dilemma)[0].tolist() == [False, False, False, True]


# -- theorems, by the studies of the suite -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "study, sizes",
    [
        (platform_studies.general, {"instances": 4000, "correlated": 10}),
        (platform_studies.alike, {"instances": 4000, "formulas": 3}),
        (platform_studies.several, {"instances": 4000}),
        (platform_studies.costly, {"instances": 4000}),
        (platform_equilibrium.additive_random, {"instances": 500}),
    ],
)
def test_no_statement_fails_on_random_markets(study, sizes):
    found = study(11, quiet, **sizes)
    assert found.metrics["instances"] == sizes["instances"]
    assert found.metrics["violations"] == 0, found.arrays


def test_the_studies_would_notice_a_wrong_price(monkeypatch):
    from walras.envs.platforms import profiles

    right = profiles.price_profiles

    def wrong(*args):
        table = right(*args)
        return table._replace(price=table.price + (table.price > 3))

    monkeypatch.setattr(profiles, "price_profiles", wrong)
    assert platform_studies.general(11, quiet, instances=400, correlated=0).metrics["violations"] > 0


def test_smallest_prices_do_not_carry_the_theorem():
    # One buyer, one seller who do not know each other: at smallest prices nobody joins and welfare is zero.
    values, known = np.array([[[1]]]), np.array([[[False]]])
    for rule, gain in (("max", 0.5), ("min", 0.0)):
        stage = settle(values, known, np.array([[0], [1]]), terms(0.5, 1, None, rule))
        assert stage.payoff[1, 0] - stage.payoff[0, 0] == gain


def test_a_cap_just_below_the_first_fee_of_the_richest_set_leaves_the_others():
    market = Market([[6, 8, 8], [5, 2, 5], [7, 1, 6]], [[0, 0, 0], [0, 0, 0], [1, 0, 1]])
    game = Joining(market)
    low = game.interval(0b110)[0]
    assert low == Fraction(1, 5) and game.optimistic(low).joined == game.optimistic(0.2).joined == (0, 1)
    cap = low - Fraction(1, 10**10)
    best = max(cap * int(game.price[k] @ game.choices[k]) for k in game.pure(cap))
    assert game.optimistic(cap).revenue == best and game.optimistic(cap).joined != (0, 1)


# -- extensions --------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(markets(sellers=3), st.integers(0, 2**32 - 1), st.sampled_from(["price", "margin"]))
def test_profiles_of_several_platforms_and_costs_agree_with_settling_each(market, seed, fee_on):
    rng = np.random.default_rng(seed)
    values = market.values * rng.random(market.values.shape)  # generic: one optimal matching, one welfare
    offer = terms(rng.random(2), market.buyers, rng.random((2, market.buyers)) < 0.7, "max", fee_on)
    costs = rng.random(market.sellers)
    table = price_profiles(values, market.known, offer, costs)
    x = choices(market.sellers, 3)
    stage = settle(values[None], market.known[None], x, offer, costs)
    assert np.allclose(table.price[0], stage.price, atol=1e-9)
    assert np.allclose(payoffs(table.price, offer)[0], stage.payoff, atol=1e-9)
    lane, i = np.nonzero(stage.matching >= 0)
    good = stage.matching[lane, i]
    share = np.append(0.0, offer.fees)[x]
    # Nobody sells at a loss, and what everybody gets adds up to the value made.
    base = stage.paid - (0 if fee_on == "price" else costs)
    profit = stage.paid - share * base - costs
    assert (profit[lane, good] >= -1e-9).all()
    assert np.allclose(profit[lane, good], stage.payoff[lane, good], atol=1e-9)
    worth = np.zeros(len(x))
    np.add.at(worth, lane, values[i, good] - costs[good])
    assert np.allclose(worth, stage.welfare, atol=1e-9) and np.allclose(worth, table.welfare[0], atol=1e-9)
    due = np.zeros(len(x))
    np.add.at(due, lane, (share * base)[lane, good])
    assert np.allclose(due, stage.revenue.sum(axis=1), atol=1e-9)


def test_a_cost_above_what_the_fee_leaves_stops_all_trade():
    values, known = np.array([[[1.0]]]), np.array([[[False]]])
    stage = settle(values, known, np.array([[1]]), terms(0.5, 1), np.array([0.6]))
    assert stage.matching.tolist() == [[-1]] and stage.welfare[0] == 0
    stage = settle(values, known, np.array([[1]]), terms(0.5, 1), np.array([0.4]))
    assert stage.welfare[0] == pytest.approx(0.6) and stage.payoff[0, 0] == pytest.approx(0.1)


@pytest.mark.parametrize(("value", "cost", "fee"), [(10, 3, 0.7), (20, 6, 0.7), (30, 9, 0.7), (30, 21, 0.3)])
def test_a_value_that_only_just_covers_the_reserve_makes_no_trade_whatever_the_rounding(value, cost, fee):
    values, known, costs, offer = np.array([[value]]), np.array([[False]]), np.array([cost]), terms(fee, 1)
    stage = settle(values[None], known[None], np.array([[1]]), offer, costs)
    assert stage.matching[0, 0] == -1 and stage.welfare[0] == stage.revenue[0, 0] == stage.payoff[0, 0] == 0
    assert price_profiles(values, known, offer, costs).welfare[0].tolist() == [0, 0]


def test_rounding_does_not_decide_between_equals():
    # 1 - 2 / 6, in floats, is a fee at which (1 - fee) 6 falls short of 2: the seller is indifferent all the same.
    fee = optimal_fee(np.array([6]), np.array([2])).fee
    assert additive_equilibrium(Market([[6], [2]], [[0], [1]]), fee).tolist() == [True]
    # Revenue 2 at fee 1/4 and at fee 1/2; welfare 19 and 18.
    values = np.array([[4, 5, 7, 8], [1, 1, 0, 1], [2, 1, 4, 2], [6, 6, 3, 8]])
    known = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]])
    best = Joining(Market(values, known)).optimistic()
    assert (best.fee, best.joined, best.revenue, best.welfare) == (Fraction(1, 4), (2, 3), 2, 19)
    same = Joining(Market(values / 7, known)).optimistic()
    assert same.joined == best.joined and same.welfare == pytest.approx(19 / 7)


def test_additive_buyers_have_the_closed_forms():
    for items, ratio in ((10, 1.3415), (100, 1.5527), (1000, 1.5792), (10000, 1.5817)):
        found = optimal_fee(*equal_revenue(items))
        assert found.ideal / found.welfare == pytest.approx(ratio, abs=5e-5) and ratio < LOSS_BOUND
    market = Market(np.array([[10, 4], [6, 8]]), np.array([[0, 1], [1, 0]]))
    assert additive_equilibrium(market, 0.4).tolist() == [True, True]  # thresholds 0.4 and 0.5
    assert additive_equilibrium(market, 0.45).tolist() == [False, True]
    assert optimal_fee(np.array([10.0, 8.0]), np.array([6.0, 4.0])).fee == pytest.approx(0.4)
    assert optimal_fee(np.array([10.0, 8.0]), np.array([6.0, 4.0]), cap=0.3).revenue == pytest.approx(5.4)


# -- arguments ---------------------------------------------------------------------------------------------------------


def test_all_instances_can_be_made_and_print_their_numbers():
    for name in INSTANCES:
        assert repr(INSTANCES[name]()).startswith("Market(values=[[")


def test_values_and_fees_whose_products_overflow_are_refused_instead_of_wrapped():
    market = Market([[2**40, 2**40], [2**39, 2**39]], [[1, 0], [0, 0]])
    assert Joining(market).pure(Fraction(1, 2)).tolist() == [1]
    for solve in (Joining(market).pure, lambda fee: homogeneous_equilibrium(market, fee)):
        with pytest.raises(ValueError, match="fee: its denominator times the largest value"):
            solve(Fraction(2**28, 2**29 - 1))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Market([[1, -1]], [[0, 0]]), "values"),
        (lambda: Market([[1, 1]], [[0, 2]]), "known"),
        (lambda: Market([[1, 1]], [[0, 0]], [1]), "costs"),
        (lambda: Joining.of("sawtoothed"), "sawtooth"),
        (lambda: Joining.of("sawtooth").pure(1.5), "fee"),
        (lambda: Joining.of("sawtooth").pure(Fraction(1, 2**61)), "denominator"),
        (lambda: Joining.of("sawtooth").select(0.5, "all"), "selection"),
        (lambda: Joining.of("sawtooth").optimistic(2), "cap"),
        (lambda: homogeneous_equilibrium("general", 0.5), "homogeneous|alike"),
        (lambda: price_profiles(np.ones((2, 40)), np.ones((2, 40), bool)), "profiles"),
        (lambda: homogeneous([1], [[0]], 1) and tight(1), "fee"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()
