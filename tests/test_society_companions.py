"""Societies with closed forms: labour and taxes, the escape room, the regulated platform, disclosure in an auction."""

import itertools

import numpy as np
import pytest

import walras
from walras.algorithms.society.followers import BestResponse, NoRegret, Seats
from walras.algorithms.society.normal_form import normal_form
from walras.algorithms.society.principals import Fixed
from walras.algorithms.society.rounds import Rounds
from walras.envs.check import check_game
from walras.envs.lanes import LaneRandom, clock
from walras.envs.society import disclosure, labour
from walras.envs.society.escape import stage_equilibria
from walras.envs.society.regulation import FeeCap, Town

WAGES = np.array([1.0, 2.0, 3.0])
NASH = {"welfare": "nash", "eps": 0.0}


# -- labour ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "rate", "u"),
    [
        ("utilitarian", 0.0, (0.5, 2.0, 4.5)),
        ("median-voter", 0.125, (0.893229, 2.041667, 3.955729)),
        ("egalitarian", 0.44, (1.306667, 1.777067, 2.561067)),
        (NASH, 0.23128, (1.12515, 2.01155, 3.48887)),
    ],
)
def test_best_rates_of_three_wages(objective, rate, u):
    assert labour.best_rate(WAGES, objective) == pytest.approx(rate, abs=1e-5)
    np.testing.assert_allclose(labour.utilities(WAGES, rate), u, atol=1e-5)


def test_closed_forms_agree_with_a_search_over_rates_and_efforts():
    rng = np.random.default_rng(0)
    rates = np.linspace(0.0, 1.0, 2001)
    for _ in range(20):
        wages = rng.uniform(0.2, 4.0, rng.integers(2, 6))
        u = labour.utilities(wages, rates)
        assert labour.best_rate(wages, "egalitarian") == pytest.approx(rates[u.min(axis=1).argmax()], abs=6e-4)
        assert labour.best_rate(wages, "utilitarian") == rates[u.mean(axis=1).argmax()] == 0.0
        revenue = rates * (wages * labour.efforts(wages, rates)).mean(axis=1)
        assert labour.best_rate(wages, "revenue-per-head") == pytest.approx(rates[revenue.argmax()], abs=6e-4)
        np.testing.assert_allclose(labour.favourite(wages), rates[u.argmax(axis=0)], atol=6e-4)
        m = (wages**2).mean()
        np.testing.assert_allclose(u.mean(axis=1), m * (1 - rates**2) / 2, atol=1e-12)


@pytest.mark.parametrize("own_share", [False, True])
def test_no_worker_can_do_better_than_the_effort_of_the_theory(own_share):
    share = 1 / 3 if own_share else 0.0
    for rate in (0.0, 0.3, 0.7):
        efforts = labour.efforts(WAGES, rate, share)
        for i in range(3):
            others = (WAGES * efforts).sum() - WAGES[i] * efforts[i]
            grid = np.linspace(0.0, 3.0, 3001)
            pool = (others + WAGES[i] * (grid if own_share else efforts[i])) / 3
            u = (1 - rate) * WAGES[i] * grid + rate * pool - grid**2 / 2
            assert grid[u.argmax()] == pytest.approx(efforts[i], abs=1e-3)


def test_the_median_voters_rate_wins_every_pairwise_vote():
    rng = np.random.default_rng(1)
    for _ in range(50):
        wages = rng.uniform(0.1, 5.0, 7)
        chosen = labour.best_rate(wages, "median-voter")
        here = labour.utilities(wages, chosen)
        there = labour.utilities(wages, rng.random(200))
        assert ((here >= there - 1e-12).sum(axis=1) >= 4).all()


def test_played_rounds_give_the_utilities_of_the_theory():
    for own_share in (False, True):
        game = walras.make("walras/LabourTax-v0", own_share=own_share, objective="egalitarian")
        rate = labour.best_rate(WAGES, "egalitarian", game.counted_share)
        played = walras.play(game, "equilibrium", batch=2, seed=0)
        np.testing.assert_allclose(played.state.policy[:, 0], rate, atol=1e-6)
        np.testing.assert_allclose(
            played.state.last_utility[0], labour.utilities(WAGES, rate, game.counted_share), atol=1e-5
        )
    voted = walras.make("walras/LabourTax-v0", vote={"rule": "median", "over": "policy"})
    np.testing.assert_allclose(walras.play(voted, "equilibrium", batch=1, seed=0).state.policy, 0.125, atol=1e-6)


def test_workers_on_a_grid_of_efforts_end_in_equilibrium_where_theory_has_it():
    game = walras.make("walras/LabourTax-v0", effort_grid=31, own_share=True)
    state = game.initial(1, LaneRandom(clock(0, 1)))
    form = normal_form(game, state, np.array([0.5]))
    (found,) = form.equilibria()
    wanted = labour.efforts(WAGES, 0.5, 1 / 3)  # on the table a worker's own share counts
    np.testing.assert_allclose(game.game.levels[form.profiles[found]], wanted, atol=0.051)


# -- the escape room ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("paid", "count", "total"), [(0.0, 1, 0.0), (0.5, 1, 0.0), (1.5, 10, 28.0), (5.0, 10, 28.0)])
def test_pure_equilibria_of_a_step_at_what_is_paid_on_the_active_lever(paid, count, total):
    for active in range(3):
        incentive = np.zeros(5)
        incentive[active] = paid
        profiles, raw = stage_equilibria(active, incentive)
        assert len(profiles) == count and (raw == total).all()
        if total:
            assert ((profiles == active).sum(axis=1) == 2).all() and ((profiles == 3).sum(axis=1) == 3).all()


def test_no_episode_brings_more_than_140():
    game = walras.make("walras/EscapeRoom-v0")
    plans = np.array(list(itertools.product(range(5), repeat=5)))
    state = game.initial(len(plans), LaneRandom(clock(0, len(plans))))
    _, rewards = game.step(state, {"player": plans}, np.random.default_rng(0))
    assert rewards.sum(axis=1).max() == 28.0
    assert {truth.value for truth in game.truths()} == {28.0, 140.0}


@pytest.mark.parametrize("relative", [False, True])
def test_players_who_answer_in_turn_leave_when_the_lever_is_paid_and_stay_when_it_is_not(relative):
    game = walras.make("walras/EscapeIncentives-v0", relative=relative)
    seats = game.answers()

    def pay(amount):
        def prices(seen):
            result = np.zeros((len(seen), 5), np.float32)
            lever = np.zeros(len(seen), int) if relative else seen[:, -3:].argmax(axis=1)
            result[np.arange(len(seen)), lever] = amount
            return result

        return walras.play(game, {**seats, "principal": pay_of(prices)}, batch=60, seed=0).state.last_measures[:, 0]

    def pay_of(prices):
        return lambda seen: prices(seen)

    assert (pay(1.5) == 140.0).all() and (pay(0.5) == 0.0).all()
    with_pay = walras.play(game, {**seats, "principal": lambda seen: np.zeros((len(seen), 5), np.float32)}, seed=0)
    assert with_pay.returns[0, 0] == 0.0


def test_tie_breaks_and_learning_followers_of_the_escape_room():
    game = walras.make("walras/EscapeIncentives-v0", relative=True, rounds=1)
    for followers, most in ((BestResponse(game), 140), (BestResponse(game, "pessimistic"), 140), (NoRegret(game), 140)):
        run = Rounds(game, Fixed((2.5, 0.0, 0.0, 0.0, 0.0)), followers, lanes=6, seed=0)
        run.round()
        assert run.history().measures[0, 0] == most
    run = Rounds(game, Fixed(), BestResponse(game), lanes=2, seed=0)
    run.round()
    assert run.history().measures[0, 0] == 0.0


# -- the regulated platform --------------------------------------------------------------------------------------------


def test_a_cap_restores_the_welfare_that_a_free_platform_loses_and_the_median_voter_wants_it():
    society = FeeCap("harmonic")
    free, capped = society.answer(1.0), society.answer(0.95)
    assert free.welfare == 6078.0 and capped.welfare == 11000.0 == society.joining.ideal
    voted = FeeCap("harmonic", vote={"rule": "median", "over": "policy"})
    run = Rounds(voted, None, Seats(voted), seed=0)
    run.round()
    assert run.history().measures[0, 0] == pytest.approx(11000.0)
    assert 0.9 < run.history().policy[0, 0] < 1.0


def test_answers_to_a_cap_are_equilibria_that_earn_the_platform_most():
    society = FeeCap("sawtooth")
    for cap in (0.2, 0.5, 0.7, 1.0):
        answer = society.answer(cap)
        assert answer.fee <= cap + 1e-12
        number = int("".join(map(str, answer.joined)), 2)
        assert number in society.joining.pure(society.joining.optimistic(cap).fee)
        assert answer.earned.sum() == pytest.approx(answer.welfare)
    best = max(society.caps, key=lambda cap: society.answer(cap).earned[0])
    assert society.answer(best).earned[0] == pytest.approx(15.0)


@pytest.mark.parametrize("make", [Town, FeeCap])
def test_the_town_and_its_regulator_keep_the_contract(make):
    check_game(make("tight"))


# -- disclosure --------------------------------------------------------------------------------------------------------


def test_disclosure_helps_a_seller_with_many_bidders_and_hurts_one_with_two():
    assert disclosure.revenue(2, 0.0) == 0.5 and disclosure.revenue(2, 1.0) == pytest.approx(1 / 3)
    for bidders in range(2, 8):
        assert disclosure.revenue(bidders, 1.0) == pytest.approx((bidders - 1) / (bidders + 1))
        assert disclosure.welfare(bidders, 1.0) == pytest.approx(bidders / (bidders + 1))
    assert [disclosure.best_disclosure(n) for n in (2, 4, 5, 8)] == [0.0, 1.0, 1.0, 1.0]
    np.testing.assert_allclose([disclosure.revenue(3, p) for p in (0, 0.2, 0.5, 0.9)], 0.5, atol=1e-12)


@pytest.mark.parametrize(("bidders", "disclosed"), [(2, 0.4), (3, 0.7), (5, 0.5)])
def test_played_auctions_earn_what_the_closed_form_says(bidders, disclosed):
    from walras.envs.society.layer import Society

    society = Society(
        "walras/SecondPriceAuction-v0", {"bidders": bidders}, levers=["disclosure"], objectives=["sum:payment"],
        steps=4,
    )  # fmt: skip
    seats = {"principal": lambda seen: np.full((len(seen), 1), disclosed, np.float32)}
    honest = {name: society.adapt("truthful", name) for name in society.game.agents}
    played = walras.play(society, {**seats, **honest}, batch=20_000, seed=0)
    assert played.state.last_measures.mean() == pytest.approx(disclosure.revenue(bidders, disclosed), abs=4e-3)
    utility = played.state.last_utility.mean() / 4
    assert utility == pytest.approx(disclosure.utility(bidders, disclosed), abs=3e-3)
