"""Methods of introducing: certificates, exact optima, bounds and heuristics, against listing and against each other."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.algorithms.platforms.homogeneous_introductions import keep_world, one_seller_known
from walras.algorithms.platforms.introduction_bound import bound_at, pair_losses, revenue_bound
from walras.algorithms.platforms.introduction_search import (
    anneal_introductions,
    fully_traded,
    greedy_introductions,
    search_introductions,
)
from walras.algorithms.platforms.optimal_introductions import optimal_introductions
from walras.algorithms.platforms.penalised import penalised_matching
from walras.benchmarks.suites.platform_properties import check
from walras.envs.platforms.introductions import as_graph, best_introductions, trade, world_and_ideal
from walras.envs.platforms.matching_instances import ONE_KNOWN, WORKED, ladder


def random_market(seed, n, m, top=20, edge=0.3):
    rng = np.random.default_rng(seed)
    return rng.integers(0, top + 1, (n, m)), rng.random((n, m)) < edge


def value_of_penalty(values, world, lam):
    """f(lam) by listing all matchings."""
    n, m = values.shape
    best = Fraction(0)
    for row in itertools.product(range(-1, m), repeat=n):
        used = [j for j in row if j >= 0]
        if len(set(used)) == len(used):
            pairs = [(i, j) for i, j in enumerate(row) if j >= 0]
            best = max(best, sum((Fraction(int(values[p])) - (0 if world[p] else lam) for p in pairs), Fraction(0)))
    return best


# -- penalised matching ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_breakpoints_are_where_the_penalised_value_bends(seed):
    values, world = random_market(seed, 3, 3, top=6)
    found = penalised_matching(values, world)
    lowest, highest = (int(end[0]) for end in world_and_ideal(values, world))
    for lam in {Fraction(k, 12) for k in range(0, 90)} | set(found.breakpoints):
        # The ladder says f: each introduction whose lam_k exceeds the penalty brings the difference.
        told = lowest + sum((max(step - lam, Fraction(0)) for step in found.ladder), Fraction(0))
        assert told == value_of_penalty(values, world, lam)
    assert sum(found.ladder) == highest - lowest


@pytest.mark.parametrize("name", [name for name, worked in WORKED.items() if worked.breakpoints is not None])
def test_worked_breakpoints_and_revenues_are_met(name):
    worked = WORKED[name]
    found = penalised_matching(worked.market.values, worked.market.known)
    assert found.breakpoints == worked.breakpoints
    assert worked.penalised in (None, found.revenue)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
def test_the_certificate_of_the_guarantee_holds(seed, n, m):
    values, world = random_market(seed, n, m, edge=np.random.default_rng(seed).random())
    found = penalised_matching(values, world)
    assert found.complete
    assert found.proved()
    assert found.revenue >= found.guarantee - 1e-9
    assert found.revenue == trade(values, world, found.introduced).revenue[0]
    assert penalised_matching(values / 3, world).proved(1e-6)


def test_a_certificate_that_does_not_add_up_is_refused():
    from dataclasses import replace

    found = penalised_matching(*(lambda market: (market.values, market.known))(ladder(3, 6)))
    assert found.proved()
    assert not replace(found, revenue=found.revenue - 1).proved()
    assert not replace(found, gain=found.gain + 1).proved()
    assert not replace(found, complete=False).proved()


def test_a_cut_search_says_so_and_still_introduces():
    values, world = random_market(0, 12, 12)
    cut, whole = penalised_matching(values, world, problems=3), penalised_matching(values, world)
    assert not cut.complete
    assert not cut.proved()
    assert 0 < cut.revenue <= whole.revenue


@pytest.mark.parametrize(
    ("values", "world", "keywords", "name"),
    [
        (np.ones((2, 2)), np.ones((2, 3), bool), {}, "values and world"),
        (np.ones((2, 2)), np.ones((2, 2), bool), {"problems": 1}, "problems"),
        (np.full((2, 2), 2**52), np.zeros((2, 2), bool), {}, "integers"),
    ],
)
def test_penalised_matching_refuses_what_it_cannot_do(values, world, keywords, name):
    with pytest.raises(ValueError, match=name):
        penalised_matching(values, world, **keywords)


# -- homogeneous goods -------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
def test_keep_world_is_efficient_and_earns_what_the_introduced_are_worth(seed, n, m):
    values, world = random_market(seed, n, m, top=6, edge=np.random.default_rng(seed).random())
    values = np.repeat(values[:, :1], m, axis=1)
    new = keep_world(values, world)
    found = trade(values, world, new)
    lowest, highest = world_and_ideal(values, world)
    assert found.welfare[0] == highest[0]
    assert found.revenue[0] == values[new.any(axis=1), 0].sum() >= highest[0] - lowest[0]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 3)), min_size=1, max_size=4), st.integers(1, 4))
def test_chains_and_cycles_are_optimal_also_where_values_tie(buyers, sellers):
    values = np.array([value for value, _ in buyers])
    known = np.array([min(seller, sellers - 1) for _, seller in buyers])
    found = one_seller_known(values, known, sellers)
    grid, world = np.repeat(values[:, None], sellers, axis=1), as_graph(known, sellers)
    assert found.revenue == best_introductions(grid, world).revenue[0]
    assert trade(grid, world, found.introduced).revenue[0] == found.revenue
    assert np.sort(values)[::-1][: min(len(values), sellers)].sum() - found.loss == found.revenue


def test_worked_markets_with_one_known_seller_are_met():
    for values, known, sellers, revenue, lowest, highest in ONE_KNOWN:
        found = one_seller_known(values, known, sellers)
        grid, world = np.repeat(np.array(values)[:, None], sellers, axis=1), as_graph(np.array(known), sellers)
        ends = world_and_ideal(grid, world)
        assert (found.revenue, ends[0][0], ends[1][0]) == (revenue, lowest, highest)
        assert trade(grid, world, found.introduced).revenue[0] == revenue


def test_a_fresh_group_at_the_cut_can_be_worth_more_than_a_spare():
    # Taking the second 4 (who knows another seller) closes a cycle at price 4; the first would only be a spare.
    assert one_seller_known([4, 4, 2, 7], [1, 0, -1, 1], 2).revenue == 8


def test_homogeneous_methods_refuse_other_goods():
    with pytest.raises(ValueError, match="homogeneous"):
        keep_world(np.array([[1, 2]]), np.zeros((1, 2), bool))
    with pytest.raises(ValueError, match="known"):
        one_seller_known([1, 2], [0, 5], 2)
    with pytest.raises(ValueError, match="nonnegative"):
        one_seller_known([1, -2], [0, 0], 2)


# -- exact optimum and bound -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_the_integer_program_finds_the_listed_optimum(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 5, 2)
    values, world = random_market(seed, n, m, edge=rng.random())
    if seed % 3 == 0:
        values = np.repeat(values[:, :1], m, axis=1)
    best = best_introductions(values, world).revenue[0]
    found = optimal_introductions(values, world, start=np.zeros_like(world))
    assert found.revenue == best == found.bound
    assert found.proved()
    real = optimal_introductions(values / 7, world, start=np.zeros_like(world))
    assert real.revenue == pytest.approx(best / 7, abs=1e-6)
    assert real.bound >= best / 7 - 1e-9


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1e6])
@pytest.mark.parametrize("name", ["inefficient-optimum", "ladder-3"])
def test_the_program_is_right_in_any_unit_of_money(name, unit):
    market = WORKED[name].market
    found = optimal_introductions(market.values * unit, market.known, start=np.zeros_like(market.known))
    assert found.revenue / unit == pytest.approx(WORKED[name].revenue) == found.bound / unit
    assert found.proved()
    assert not found._replace(bound=1.001 * found.bound).proved()


@pytest.mark.parametrize("seed", range(3))
def test_ten_by_ten_markets_are_solved_and_nothing_earns_more(seed):
    values, world = random_market(seed, 10, 10, edge=0.2)
    found = optimal_introductions(values, world)
    assert found.proved()
    assert trade(values, world, found.introduced).revenue[0] == found.revenue
    assert max(penalised_matching(values, world).revenue, greedy_introductions(values, world).revenue) <= found.revenue
    assert revenue_bound(values, world).bound >= found.revenue - 1e-9


@pytest.mark.parametrize(
    "method", [penalised_matching, revenue_bound, greedy_introductions, search_introductions, optimal_introductions]
)
@pytest.mark.parametrize(
    ("values", "world", "name"),
    [
        (np.array([[-1, 2]]), np.zeros((1, 2), bool), "values"),
        (np.array([[np.nan, 2]]), np.zeros((1, 2), bool), "values"),
        (np.ones((1, 2)), np.array([[0.5, 0]]), "world"),
        (np.ones((1, 2)), np.zeros((2, 1), bool), "values and world"),
    ],
)
def test_every_method_refuses_what_is_no_market(method, values, world, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        method(values, world)


def test_the_program_refuses_what_it_cannot_read():
    with pytest.raises(ValueError, match="nonnegative"):
        optimal_introductions(np.array([[-1.0]]), np.zeros((1, 1), bool))
    with pytest.raises(ValueError, match="values and world"):
        optimal_introductions(np.ones((2, 2)), np.zeros((2, 1), bool))
    assert optimal_introductions(np.zeros((2, 2)), np.zeros((2, 2), bool)).bound == 0.0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_every_multiplier_gives_a_bound(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 5, 2)
    values, world = random_market(seed, n, m, edge=rng.random())
    best = best_introductions(values, world).revenue[0]
    lam = np.where(world, rng.exponential(size=(n, m)), 0.0)
    bound = bound_at(values, world, lam)
    assert bound >= best - 1e-9
    # A pair whose forced use costs more than the distance to the optimum is in no optimum.
    out = bound - pair_losses(values, world, lam) < best - 1e-6
    found = best_introductions(values, world | out).revenue[0] if not out.any() else best
    assert found == best
    optimum = trade(values, world, best_introductions(values, world).introduced)
    used = as_graph(optimum.matching[0], m)
    assert not (out & used).any()


def test_the_bound_falls_and_is_reproduced_by_its_multipliers():
    values, world = random_market(1, 30, 30, edge=0.1)
    found = revenue_bound(values, world, iterations=150)
    assert found.bound == min(found.history) <= found.history[0]
    assert bound_at(values, world, found.multipliers) == pytest.approx(found.bound, rel=1e-12)
    assert trade(values, world, found.introduced).revenue[0] == found.revenue <= found.bound


def test_multipliers_that_prove_nothing_are_refused():
    with pytest.raises(ValueError, match="multipliers"):
        bound_at(np.ones((2, 2)), np.eye(2, dtype=bool), np.ones((2, 2)))


# -- heuristics --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_leaving_out_what_does_not_trade_loses_nothing(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 6, 2)
    values, world = random_market(seed, n, m, top=5)
    new = rng.random((n, m)) < 0.5
    found = fully_traded(values, world, new)
    at = trade(values, world, found.introduced)
    assert found.revenue >= trade(values, world, new).revenue[0]
    assert at.introduced.sum() == found.introduced.sum() == found.introduced.any(axis=1).sum()


@pytest.mark.parametrize("seed", range(5))
def test_search_repeats_itself_and_beats_what_it_starts_from(seed):
    values, world = random_market(seed, 12, 10, edge=0.2)
    first, again = (search_introductions(values, world, moves=5_000, seed=3) for _ in range(2))
    assert first.revenue == again.revenue
    np.testing.assert_array_equal(first.introduced, again.introduced)
    assert first.revenue == trade(values, world, first.introduced).revenue[0]
    assert first.revenue >= penalised_matching(values, world).revenue


def test_annealing_finds_the_optimum_where_penalised_matching_finds_a_quarter():
    market = WORKED["beyond-the-guarantee"].market
    start = penalised_matching(market.values, market.known).introduced
    found = anneal_introductions(market.values, market.known, start, moves=20_000)
    assert found.revenue == WORKED["beyond-the-guarantee"].revenue


@pytest.mark.parametrize("keywords", [{"moves": 0}, {"temperature": 0.0}])
def test_annealing_refuses_empty_schedules(keywords):
    with pytest.raises(ValueError, match=next(iter(keywords))):
        anneal_introductions(np.ones((2, 2)), np.eye(2, dtype=bool), np.zeros((2, 2), bool), **keywords)


def test_derived_statements_hold_on_random_markets():
    counts = check(np.random.default_rng(99), 2_000, 200, lambda fraction, text: None)
    assert counts.violations == 0
    assert counts.checks > 12_000


@pytest.mark.slow
def test_derived_statements_hold_on_many_random_markets():
    counts = check(np.random.default_rng(7), 200_000, 20_000, lambda fraction, text: None)
    assert counts.violations == 0
