"""Welfare functions, bracket taxes, voting rules, ballots and types: known numbers, and properties on random cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.envs.society import ballots, voting
from walras.envs.society.taxes import bracket_of, bracket_tax, lump_sum
from walras.envs.society.types import check_types, draw_types, mixed_reward
from walras.envs.society.welfare import (
    WELFARE,
    as_welfare,
    equality,
    equality_productivity,
    gini,
    inverse_income,
    isoelastic,
    measures,
    nash,
)

CASES = 10_000
EDGES = np.array([10.0, 20.0])
FAMILIES = np.array([[1, 0.5, 0]] * 4 + [[0, 0.5, 1]] * 3 + [[0, 1, 0.5]] * 2, float)
"""Nine voters over U, N, E: 4 x U > N > E, 3 x E > N > U, 2 x N > E > U."""
U, N, E = 0, 1, 2


def random_economies(seed=0, cases=CASES, people=7):
    """Incomes and rates of random economies; some people have nothing, some the same."""
    rng = np.random.default_rng(seed)
    incomes = rng.exponential(12.0, (cases, people)) * (rng.random((cases, people)) > 0.2)
    incomes = np.where(rng.random((cases, 1)) < 0.3, np.round(incomes), incomes)
    return incomes, rng.random((cases, 3)) * np.where(rng.random((cases, 1)) < 0.1, 0.0, 1.0)


# -- welfare -----------------------------------------------------------------------------------------------------------


def test_welfare_of_a_known_economy():
    x = np.array([20, 10, 10, 5, 5, 0, 0.0])
    assert gini(x) == pytest.approx(0.485714, abs=1e-6)
    assert equality(x) == pytest.approx(0.433333, abs=1e-6)
    assert equality_productivity(x) == pytest.approx(21.666667, abs=1e-6)
    assert equality_productivity(x, weight=0.0) == pytest.approx(50.0)
    assert nash(x) == pytest.approx(4.113970, abs=1e-6)
    assert WELFARE["utilitarian"](x) == pytest.approx(50 / 7)
    assert WELFARE["egalitarian"](x) == 0.0


@pytest.mark.parametrize("name", ["nash", "equality", "equality-productivity", "isoelastic"])
def test_what_is_no_number_is_not_taken_for_equality(name):
    with pytest.raises(ValueError, match="got nan"):
        as_welfare(name, cut=True)(np.array([1.0, np.nan]))


def test_the_gini_is_its_definition():
    x = np.random.default_rng(1).exponential(1.0, (500, 6))
    pairs = np.abs(x[:, :, None] - x[:, None, :]).sum(axis=(1, 2))
    np.testing.assert_allclose(gini(x), pairs / (2 * 36 * x.mean(axis=1)), rtol=1e-12)
    np.testing.assert_array_equal(gini(np.zeros((2, 4))), 0.0)
    assert equality(np.array([5.0, 0, 0])) == pytest.approx(0.0)
    assert equality(np.zeros(3)) == 1.0


def test_isoelastic_welfare_is_continuous_in_eta_and_falls_with_inequality():
    x = np.array([1.0, 2.0, 6.0])
    assert isoelastic(x, 1.0) == pytest.approx(np.log(x).mean())
    assert isoelastic(x, 1.0 + 1e-7) == pytest.approx(isoelastic(x, 1.0), abs=1e-5)
    assert isoelastic(x, 0.0) == pytest.approx((x - 1).mean())
    for eta in (0.5, 1.0, 3.0):
        assert isoelastic(np.full(3, 3.0), eta) > isoelastic(x, eta)


def test_inverse_income_weights_sum_to_one_and_favour_the_poor():
    assert inverse_income(np.array([0.0, 1.0, 4.0])) == pytest.approx((0 + 1 + 1) / (1 + 1 + 0.25))
    assert inverse_income(np.array([1.0, 1.0]), np.array([2.0, 4.0])) == pytest.approx(3.0)


@pytest.mark.parametrize("name", ["nash", "equality", "equality-productivity"])
def test_negative_numbers_are_refused_where_a_function_needs_nonnegative_ones(name):
    with pytest.raises(ValueError, match="nonnegative"):
        WELFARE[name](np.array([1.0, -0.1]))
    assert np.isfinite(as_welfare(name, cut=True)(np.array([1.0, -0.1])))


def test_wrong_welfare_is_named():
    with pytest.raises(ValueError, match="welfare must be one of"):
        as_welfare("utilitarians")
    with pytest.raises(TypeError, match="eta"):
        as_welfare({"welfare": "nash", "eta": 2.0})
    with pytest.raises(ValueError, match="weight must lie"):
        equality_productivity(np.ones(2), weight=2.0)
    assert measures(np.ones((5, 3)), ["utilitarian", {"welfare": "nash", "eps": 0.0}]).shape == (5, 2)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=9))
def test_welfare_functions_do_not_depend_on_who_is_who(x):
    x = np.array(x)
    for name in WELFARE:
        function = as_welfare(name, cut=True)
        assert function(x[::-1]) == pytest.approx(float(function(x)), rel=1e-9, abs=1e-9)


# -- taxes -------------------------------------------------------------------------------------------------------------


def test_taxes_of_known_incomes():
    rates = np.array([0.1, 0.3, 0.5])
    incomes = np.array([0, 5, 10, 11, 20, 21, 25, 30.0])
    np.testing.assert_allclose(bracket_tax(incomes, rates, EDGES), [0, 0.5, 1, 1.3, 4, 4.5, 6.5, 9])
    x = np.array([25, 12, 10, 6, 3, 0, 0.0])
    net = lump_sum(bracket_tax(x, rates, EDGES))
    np.testing.assert_allclose(net, [5.0714, 0.1714, -0.4286, -0.8286, -1.1286, -1.4286, -1.4286], atol=5e-5)
    after = x - net
    np.testing.assert_allclose(after, [19.9286, 11.8286, 10.4286, 6.8286, 4.1286, 1.4286, 1.4286], atol=5e-5)
    assert gini(x) == pytest.approx(0.5408, abs=5e-5) and gini(after) == pytest.approx(0.4214, abs=5e-5)


def test_redistribution_conserves_income_on_many_random_economies():
    incomes, rates = random_economies()
    after = incomes - lump_sum(bracket_tax(incomes, rates, EDGES))
    np.testing.assert_allclose(after.sum(axis=1), incomes.sum(axis=1), rtol=1e-12, atol=1e-9)


def test_redistribution_never_raises_the_gini_on_many_random_economies():
    incomes, rates = random_economies(seed=1)
    after = incomes - lump_sum(bracket_tax(incomes, rates, EDGES))
    assert (after >= -1e-9).all()
    assert (gini(np.maximum(after, 0.0)) <= gini(incomes) + 1e-9).all()
    # Not a trivial statement: it fails without the lump sum, where taxes may be regressive.
    regressive = incomes - bracket_tax(incomes, rates * [1.0, 0.0, 0.0], EDGES)
    assert (gini(regressive) > gini(incomes) + 1e-6).any()


def test_the_tax_is_the_integral_of_the_marginal_rate():
    incomes, rates = random_economies(seed=2, cases=200)
    steps = np.linspace(0.0, 1.0, 4001)
    for income, rate in zip(incomes[:, 0], rates, strict=True):
        at = income * (steps[1:] + steps[:-1]) / 2
        marginal = rate[bracket_of(at, EDGES)]
        assert bracket_tax(np.array([income]), rate, EDGES)[0] == pytest.approx(
            float(marginal.mean() * income), abs=2e-2
        )


# -- voting ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "winner"),
    [("plurality", U), ("instant-runoff", E), ("borda", N), ("copeland", N)],
)
def test_families_of_rules_disagree_about_nine_voters(rule, winner):
    assert voting.vote(rule, FAMILIES[None], [0.0])[0].argmax() == winner


def test_borda_points_and_pairwise_majorities_of_the_nine_voters():
    wins = voting.pairwise(FAMILIES[None])[0]
    assert wins.sum(axis=1).tolist() == [8, 11, 8]
    assert (wins[N, U], wins[N, E]) == (5, 6)


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        ("plurality", "plurality:PluralityVoting"),
        ("borda", "borda:BordaVoting"),
        ("copeland", "copeland:CopelandVoting"),
    ],
)
def test_batched_rules_agree_with_openspiel_wherever_there_is_no_tie(own, theirs):
    pytest.importorskip("pyspiel")
    import importlib

    from open_spiel.python.voting import base

    module, _, name = theirs.partition(":")
    method = getattr(importlib.import_module(f"open_spiel.python.voting.{module}"), name)()
    rng = np.random.default_rng(3)
    profiles = rng.random((300, 7, 4))
    ours = voting.vote(own, profiles, np.zeros(300)).argmax(axis=1)
    agreed = 0
    for rows, winner in zip(voting.ranking(profiles), ours, strict=True):
        outcome = method.run_election(base.PreferenceProfile(votes=rows.tolist(), alternatives=[0, 1, 2, 3]))
        if outcome.scores[0] > outcome.scores[1] + 1e-9:
            assert outcome.ranking[0] == winner
            agreed += 1
    assert agreed > 150


@pytest.mark.parametrize("rule", sorted(voting.SPIEL))
def test_openspiels_rules_elect_the_condorcet_winner_or_the_runoffs(rule):
    pytest.importorskip("pyspiel")
    winner = voting.vote(rule, FAMILIES[None], [0.0])[0].argmax()
    assert winner == (E if rule == "single-transferable-vote" else N)


def test_pref_voting_gives_more_rules():
    pytest.importorskip("pref_voting")
    assert voting.vote("pref_voting:minimax", FAMILIES[None], [0.0])[0].argmax() == N
    with pytest.raises(ValueError, match="no voting method 'minimaxx'"):
        voting.vote("pref_voting:minimaxx", FAMILIES[None], [0.0])


def test_condorcet_winners_win_by_copeland_on_many_random_elections():
    profiles = np.random.default_rng(5).random((CASES, 7, 4))
    wins = voting.pairwise(profiles)
    beats_all = ((wins > wins.transpose(0, 2, 1)).sum(axis=2) == 3).astype(float)
    known = beats_all.any(axis=1)
    assert known.sum() > CASES / 2
    np.testing.assert_array_equal(voting.vote("copeland", profiles, np.zeros(CASES))[known], beats_all[known])


def test_anonymity_neutrality_and_monotonicity_on_many_random_elections():
    rng = np.random.default_rng(6)
    profiles, zeros = rng.random((CASES, 5, 3)), np.zeros(CASES)
    order, names = rng.permutation(5), np.array([2, 0, 1])
    for rule in ("plurality", "borda", "copeland", "score", "approval", "linear-mix"):
        before = voting.vote(rule, profiles, zeros)
        np.testing.assert_allclose(voting.vote(rule, profiles[:, order], zeros), before, atol=1e-12)
        points = {"plurality": _first_places, "borda": lambda p: voting.pairwise(p).sum(axis=2)}.get(rule)
        if points is not None:  # where nobody ties, names do not matter
            top = np.sort(points(profiles), axis=1)
            clear = top[:, -1] > top[:, -2]
            renamed = voting.vote(rule, profiles[:, :, names], zeros)
            np.testing.assert_array_equal(renamed[clear], before[:, names][clear])
        if rule in ("plurality", "borda", "score"):  # a winner who gains support stays the winner
            raised = profiles.copy()
            winner = before.argmax(axis=1)
            raised[np.arange(CASES), 0, winner] = 1.0
            np.testing.assert_array_equal(voting.vote(rule, raised, zeros).argmax(axis=1), winner)


def _first_places(profiles):
    return (profiles.argmax(axis=2)[..., None] == np.arange(profiles.shape[2])).sum(axis=1)


def test_the_threshold_on_the_mean_can_be_manipulated_and_that_on_the_median_cannot():
    b = voting.lean(np.array([0.1, 0.45, 0.6, 0.6, 0.6]))
    assert voting.vote("mean-threshold", b[None], [0])[0].tolist() == [1, 0]
    lies = ballots.manipulations("mean-threshold", b, b)
    assert {lie.voter for lie in lies} == {2, 3, 4}
    lied = b.copy()
    lied[2] = lies[0].ballot
    assert voting.vote("mean-threshold", lied[None], [0])[0].tolist() == [0, 1]
    assert voting.vote("median", b[None], [0])[0].tolist() == [0, 1]
    assert ballots.manipulations("median", b, b) == []


def test_median_and_majority_over_two_objectives_are_strategy_proof_on_many_random_elections():
    rng = np.random.default_rng(7)
    utility = rng.random((600, 7, 2))
    for rule in ("median", "majority"):
        for case in utility[:: 1 if rule == "median" else 4]:
            assert ballots.manipulations(rule, case) == []
    # And a lie of any kind, not only an extreme one, gains nothing against the median.
    b = rng.random((CASES, 7))
    won = voting.vote("median", voting.lean(b), np.zeros(CASES))
    lied = b.copy()
    lied[:, 0] = rng.random(CASES)
    then = voting.vote("median", voting.lean(lied), np.zeros(CASES))
    worth = voting.lean(b[:, 0] > 0.5)
    assert ((then * worth).sum(axis=1) <= (won * worth).sum(axis=1)).all()


def test_seven_uniform_ballots_elect_equality_half_the_time():
    b = np.random.default_rng(8).random((100_000, 7))
    share = voting.vote("mean-threshold", voting.lean(b), np.zeros(len(b)))[:, 1].mean()
    assert share == pytest.approx(0.5, abs=0.006)


def test_a_random_dictator_is_each_voter_in_turn_and_mixing_is_the_mean_of_shares():
    rows = np.array([[1.0, 0], [0, 1.0], [0, 0.5], [1.0, 1.0]])
    chosen = voting.vote("random-dictator", np.repeat(rows[None], 4, axis=0), np.array([0.0, 0.3, 0.6, 0.99]))
    assert chosen[:, 1].tolist() == [0, 1, 1, 0]
    assert voting.vote("linear-mix", rows[None], [0])[0].tolist() == [0.375, 0.625]


def test_strategic_voters_end_where_no_lie_pays():
    rng = np.random.default_rng(9)
    settled = 0
    for _ in range(40):
        utility = rng.random((5, 3))
        cast = ballots.strategic("plurality", utility)
        lies = [ballots.best_lie("plurality", cast, utility, voter) for voter in range(5)]
        settled += all(lie.gain <= 1e-12 for lie in lies)
    assert settled >= 36  # best responses may go round in a circle
    with pytest.raises(ValueError, match="at most 7 voters"):
        ballots.strategic("plurality", rng.random((8, 3)))


@pytest.mark.parametrize(
    ("rule", "shape", "words"),
    [
        ("plurallity", (1, 3, 2), "rule must be one of"),
        ("median", (1, 3, 3), "two candidates"),
        ("borda", (3, 2), "scores"),
    ],
)
def test_wrong_elections_are_named(rule, shape, words):
    with pytest.raises(ValueError, match=words):
        voting.vote(rule, np.full(shape, 0.5), [0.0])
    with pytest.raises(ValueError, match="scores"):
        voting.vote("borda", np.full((1, 2, 2), 1.5), [0.0])


# -- types -------------------------------------------------------------------------------------------------------------


def test_mixed_rewards_of_known_types():
    raw, nearby = np.array([1.0, 0.0]), np.array([[False, True], [True, False]])
    types = np.array([[0.0, 0.5, 0.2], [0.0, 1.0, 0.8]])
    extrinsic = raw - np.array([0.3, -0.3])
    # The first sees nothing of the second's zero, the second is selfish: the numbers of the specification.
    np.testing.assert_allclose(mixed_reward(raw, extrinsic, types, nearby), [0.54, 0.24])
    np.testing.assert_allclose(mixed_reward(raw, extrinsic, types * 0 + 1, nearby), extrinsic)
    blind = draw_types("tax-blind", np.zeros((1, 2, 3)))[0]
    np.testing.assert_allclose(mixed_reward(raw, extrinsic, blind, nearby), raw)
    kind = draw_types(((0, 0, 0), (0, 0, 0)), np.zeros((1, 2, 3)))[0]
    np.testing.assert_allclose(mixed_reward(raw, extrinsic, kind, nearby), [0.0, 1.0])


def test_wrong_types_are_named():
    with pytest.raises(ValueError, match="types must be one of"):
        check_types("greedy", 2)
    with pytest.raises(ValueError, match="2 rows"):
        check_types([[0, 0, 2]], 2)
