"""The sealed-bid auction: theory by simulation, and what every round promises whatever the mechanism."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import walras
from walras.envs.auctions.mechanisms import (
    AMA,
    VCG,
    AllPay,
    BundleMyerson,
    BundleSale,
    FirstPrice,
    ItemwiseMyerson,
    Outcome,
    PostedMenu,
    PostedPrice,
    SecondPrice,
)
from walras.envs.auctions.priors import Exponential, Independent, Power, Prior, Uniform, prior
from walras.envs.auctions.rules import SealedBidAuction
from walras.envs.doors.single import SeatEnv
from walras.envs.lanes import LaneRandom, clock


def after(game, bids, values=None):
    """State after one round in which everyone reports `bids` (B, n, m), and the utilities (B, n)."""
    state = game.initial(len(bids), LaneRandom(clock(0, len(bids))))
    if values is not None:
        state = state._replace(value=np.asarray(values, float), sold_value=np.asarray(values, float))
    return game.step(state, {"bidder": np.asarray(bids)}, LaneRandom(clock(1, len(bids))))


def truth(game, name):
    return next(t.value for t in game.truths() if t.name == name)


# -- theory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidders", [2, 3, 5])
@pytest.mark.parametrize("law", ["uniform01", "power", "exponential"])
@pytest.mark.parametrize("mechanism", ["first-price", "second-price", "all-pay"])
def test_equilibrium_play_earns_what_theory_says(mechanism, law, bidders):
    game = SealedBidAuction(bidders, prior=law, mechanism=mechanism)
    played = walras.play(game, "equilibrium", batch=100_000, seed=1)
    revenue = played.info("bidder")["payment"].sum(axis=1)
    error = revenue.std() / np.sqrt(len(revenue))
    assert abs(revenue.mean() - truth(game, "revenue in equilibrium")) < 4 * error
    utility = truth(game, "utility of a bidder in equilibrium")
    assert abs(played.mean("bidder") - utility) < 4 * played.standard_error("bidder")
    assert played.standard_error("bidder") < 0.05 * utility


@pytest.mark.parametrize(
    ("mechanism", "reserve"),
    [("FirstPrice", 0.5), ("SecondPrice", 0.5), ("AllPay", 0.25), ("SecondPrice", 0.0), ("FirstPrice", 0.2)],
)
def test_reserves_change_revenue_as_theory_says(mechanism, reserve):
    game = SealedBidAuction(2, mechanism={"mechanism": mechanism, "reserve": reserve})
    played = walras.play(game, "equilibrium", batch=60_000, seed=2)
    revenue = played.info("bidder")["payment"].sum(axis=1)
    assert abs(revenue.mean() - truth(game, "revenue in equilibrium")) < 4 * revenue.std() / np.sqrt(len(revenue))
    utility = truth(game, "utility of a bidder in equilibrium")
    assert abs(played.mean("bidder") - utility) < 4 * played.standard_error("bidder")


def test_the_numbers_of_two_uniform_bidders_are_the_textbooks():
    for mechanism in ("first-price", "second-price", "all-pay"):
        game = SealedBidAuction(2, mechanism=mechanism)
        assert truth(game, "revenue in equilibrium") == pytest.approx(1 / 3)
        assert truth(game, "utility of a bidder in equilibrium") == pytest.approx(1 / 6)
        assert truth(game, "optimal revenue") == pytest.approx(5 / 12)
    two_items = SealedBidAuction(2, 2, mechanism="vcg")
    assert truth(two_items, "revenue of item-wise Myerson") == pytest.approx(5 / 6)


@pytest.mark.parametrize("mechanism", ["first-price", "all-pay", "second-price"])
def test_no_constant_shading_beats_the_equilibrium_against_it(mechanism):
    game = SealedBidAuction(3, mechanism=mechanism)
    best = walras.play(game, "equilibrium", batch=20_000, seed=3).returns[:, 0]
    equilibrium = game.equilibrium()["bidder"]
    for factor in (0.0, 0.5, 0.8, 0.95, 1.05, 1.3):
        seats = {"bidder": "equilibrium", "bidder_0": lambda v, f=factor: np.minimum(f * equilibrium(v), 1.0)}
        other = walras.play(game, seats, batch=20_000, seed=3).returns[:, 0]
        gain = other - best
        assert gain.mean() < 4 * gain.std() / np.sqrt(len(gain)) + 1e-12


@pytest.mark.parametrize(
    "parameters",
    [
        {"budget": 1.0},
        {"grid": 5},
        {"prior": "two_point"},
        {"prior": Prior.per_bidder([Uniform(0, 1), Uniform(0, 2), Power(2.0)])},
        {"items": 2, "demand": "unit"},
        {"items": 2, "demand": "unit", "mechanism": "second-price"},
        {"items": 2, "mechanism": VCG(demand="unit")},
        {"mechanism": "bundle-first-price", "items": 2},
    ],
)
def test_where_no_equilibrium_is_known_none_is_claimed(parameters):
    assert SealedBidAuction(**{"mechanism": "first-price", **parameters}).equilibrium() is None


# -- what every round promises -----------------------------------------------------------------------------------------

UNIT = ("additive", "unit")


@st.composite
def auctions(draw, budgets=True):
    """Auctions over mechanisms, laws and sizes; with the promise their mechanism makes to truthful bidders."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    law = draw(st.sampled_from([Uniform(0, 1), Uniform(2, 5), Power(2.0), Exponential(0.5)]))
    laws = Prior.iid(law, n, m)
    kind = draw(
        st.sampled_from(
            ["first", "second", "all", "bundle", "posted", "vcg", "myerson", "bundle-myerson", "ama", "menu"]
        )
    )
    reserve = draw(st.sampled_from([0.0, 0.3, 2.5]))
    demand = "additive"
    if kind == "ama":
        count = draw(st.integers(1, 4))
        rng = np.random.default_rng(draw(st.integers(0, 1000)))
        shares = rng.dirichlet(np.ones(n + 1), size=(count, m)).transpose(0, 2, 1)[:, :n]
        weights, boosts = rng.uniform(0.2, 1.0, n), rng.uniform(-1, 1, count)
        mechanism = AMA(shares.tolist(), tuple(weights), tuple(boosts))
    elif kind == "menu":
        n, laws = 1, Prior.iid(law, 1, m)
        items = np.random.default_rng(m).random((3, m))
        mechanism = PostedMenu(items.tolist(), (0.2, 0.5, 1.0))
    elif kind in ("posted", "vcg"):
        demand = draw(st.sampled_from(UNIT))
        mechanism = PostedPrice(reserve + 0.1, demand) if kind == "posted" else VCG(demand)
    else:
        mechanism = {
            "first": lambda: FirstPrice(reserve),
            "second": lambda: SecondPrice((reserve,) * m),
            "all": lambda: AllPay(reserve),
            "bundle": lambda: BundleSale(draw(st.sampled_from(["first", "second", "all-pay"])), reserve),
            "myerson": lambda: ItemwiseMyerson(laws),
            "bundle-myerson": lambda: BundleMyerson(1.0),
        }[kind]()
    budget = draw(st.sampled_from([None, 0.4, 3.0])) if budgets else None
    rounds = draw(st.integers(1, 3))
    return SealedBidAuction(
        n, m, prior=laws, mechanism=mechanism, demand=demand, budget=budget, rounds=rounds, audit=True
    )


@settings(max_examples=300, deadline=None)
@given(game=auctions(), seed=st.integers(0, 10**6))
def test_random_reports_keep_allocations_feasible_payments_nonnegative_and_budgets(game, seed):
    played = walras.play(game, "random", batch=8, seed=seed, record=True)
    states = [moment.state for moment in played.history[1:]] + [played.state]
    spent = np.zeros((8, game.bidders))
    for state in states:
        assert (state.allocation >= 0).all() and (state.allocation <= 1 + 1e-12).all()
        assert (state.allocation.sum(axis=1) <= 1 + 1e-9).all()
        assert np.isfinite(state.payment).all() and (state.payment >= -1e-9).all()
        assert (state.budget >= 0).all()
        spent += state.payment
        if game.budget is not None:
            assert (spent <= game.budget * (1 + 1e-9)).all()
            np.testing.assert_allclose(state.budget, game.budget - spent, atol=1e-9)
    assert np.isfinite(played.returns).all()
    assert (played.lengths == game.rounds).all()


@settings(max_examples=300, deadline=None)
@given(game=auctions(budgets=False), seed=st.integers(0, 10**6))
def test_truthful_reports_never_lose_where_the_mechanism_promises_it(game, seed):
    played = walras.play(game, {"bidder": lambda seen: seen[:, : game.items]}, batch=16, seed=seed, record=True)
    scale = max(1.0, float(np.max(played.state.sold_value))) * game.items
    facts = played.info("bidder")
    np.testing.assert_allclose(facts["utility"], facts["truthful_utility"], atol=2e-6 * scale)  # float32 reports
    if game.mechanism.individually_rational:
        for moment in played.history:
            assert (moment.rewards >= -1e-6 * scale).all()
    if game.mechanism.truthful:
        assert (facts["regret"] >= 0).all() and (facts["regret"] <= 2e-6 * scale).all()


@settings(max_examples=200, deadline=None)
@given(game=auctions(budgets=False), seed=st.integers(0, 10**6))
def test_no_random_report_beats_the_truth_where_the_mechanism_promises_it(game, seed):
    played = walras.play(game, "random", batch=16, seed=seed)
    facts = played.info("bidder")
    scale = max(1.0, float(np.max(played.state.sold_value))) * game.items
    if game.mechanism.truthful:
        assert (facts["truthful_utility"] >= facts["utility"] - 1e-7 * scale).all()
        np.testing.assert_allclose(facts["regret"], facts["truthful_utility"] - facts["utility"], atol=1e-7 * scale)


@settings(max_examples=60, deadline=None)
@given(game=auctions(), seed=st.integers(0, 10**6))
def test_observations_lie_in_their_float32_bounds_on_every_round(game, seed):
    played = walras.play(game, "random", batch=8, seed=seed, record=True)
    space = game.roles[0].observation_space
    assert space.dtype == np.float32 and np.isfinite(space.low).all() and np.isfinite(space.high).all()
    for state in [moment.state for moment in played.history] + [played.state]:
        seen = game.observe(state, "bidder")
        assert (seen >= space.low).all() and (seen <= space.high).all()  # in float64, before the cast


def test_the_largest_uniform_number_still_gives_a_value_within_the_bounds():
    for law in ("uniform01", "power", "exponential", "beta", "irregular"):
        game = SealedBidAuction(2, prior=law)
        top = game.prior.sample(np.full((1, 2), 1.0 - 2.0**-53))
        bottom = game.prior.sample(np.zeros((1, 2)))
        space = game.roles[0].observation_space
        assert (top[0] <= space.high).all() and (bottom[0] >= space.low).all()
        assert (top[0] <= game.roles[0].action_space.high).all()


# -- parts of the rules ------------------------------------------------------------------------------------------------


def test_a_round_by_hand_gives_the_item_to_the_highest_report_at_its_price():
    values = [[[0.9], [0.6], [0.2]]]
    bids = [[[0.5], [0.4], [0.1]]]
    for mechanism, paid, won in (("first-price", 0.5, 0.4), ("second-price", 0.4, 0.5)):
        state, utility = after(SealedBidAuction(3, mechanism=mechanism), bids, values)
        np.testing.assert_allclose(state.allocation[0, :, 0], [1, 0, 0])
        np.testing.assert_allclose(state.payment[0], [paid, 0, 0])
        np.testing.assert_allclose(utility[0], [won, 0, 0])
    state, utility = after(SealedBidAuction(3, mechanism="all-pay"), bids, values)
    np.testing.assert_allclose(utility[0], [0.4, -0.4, -0.1])


def test_a_tie_shares_the_item_in_expectation():
    state, utility = after(SealedBidAuction(2), [[[0.5], [0.5]]], [[[0.9], [0.7]]])
    np.testing.assert_allclose(state.allocation[0, :, 0], 0.5)
    np.testing.assert_allclose(utility[0], [0.2, 0.1])


def test_unit_demand_bidders_value_the_best_item_they_receive():
    values, bids = [[[0.9, 0.5], [0.1, 0.2]]], [[[0.8, 0.4], [0.0, 0.0]]]
    _, additive = after(SealedBidAuction(2, 2), bids, values)
    _, unit = after(SealedBidAuction(2, 2, demand="unit"), bids, values)
    np.testing.assert_allclose(additive[0], [0.9 + 0.5 - 1.2, 0.0])
    np.testing.assert_allclose(unit[0], [0.9 - 1.2, 0.0])


def test_unit_demand_vcg_matches_bidders_to_items():
    game = SealedBidAuction(2, 2, mechanism="vcg", demand="unit")
    state, utility = after(game, [[[0.9, 0.8], [0.7, 0.1]]], [[[0.9, 0.8], [0.7, 0.1]]])
    np.testing.assert_allclose(state.allocation[0], [[0, 1], [1, 0]])
    np.testing.assert_allclose(state.payment[0], [0.0, 0.1])  # bidder 1 takes item 0, worth 0.1 more to bidder 0
    np.testing.assert_allclose(utility[0], [0.8, 0.6])


def test_the_repeated_form_draws_fresh_values_and_shows_progress():
    game = SealedBidAuction(2, rounds=4)
    played = walras.play(game, "equilibrium", batch=500, seed=0, record=True)
    values = np.stack([moment.state.value[:, :, 0] for moment in played.history])
    assert values.shape == (4, 500, 2)
    assert abs(np.corrcoef(values.transpose(0, 2, 1).reshape(8, -1))[np.triu_indices(8, 1)]).max() < 0.2
    assert len(np.unique(values)) == values.size
    for t, moment in enumerate(played.history):
        np.testing.assert_array_equal(game.observe(moment.state, "bidder")[..., 1], t / 4)
    np.testing.assert_array_equal(played.state.value[:, :, 0], values[-1])
    utility = truth(game, "utility of a bidder in equilibrium per round")
    assert abs(played.mean("bidder") - 4 * utility) < 4 * played.standard_error("bidder")


def test_reports_beyond_the_budget_are_scaled_to_it():
    game = SealedBidAuction(2, 2, budget=0.5, rounds=2)
    state, _ = after(game, [[[0.6, 0.4], [0.1, 0.1]]])
    np.testing.assert_allclose(state.bid[0], [[0.3, 0.2], [0.1, 0.1]])
    np.testing.assert_allclose(state.budget[0], [0.0, 0.5])
    seen = game.observe(state, "bidder")
    np.testing.assert_allclose(seen[0, :, 2:], [[0.5, 0.0], [0.5, 1.0]])
    state, utility = game.step(state, {"bidder": np.full((1, 2, 2), 0.2)}, LaneRandom(clock(2, 1)))
    np.testing.assert_array_equal(state.bid[0, 0], 0.0)  # nothing left
    assert utility[0, 0] == 0.0


def test_grid_actions_are_digits_of_reports():
    game = SealedBidAuction(2, 3, grid=4, prior=Prior.per_item([Uniform(0, 1), Uniform(1, 4), Uniform(0, 9)], 2))
    assert game.roles[0].action_space.n == 64
    action = np.array([[0, 63], [1, 16], [4, 30]])
    got = game.bids(action)
    levels = [np.linspace(0, 1, 4), np.linspace(1, 4, 4), np.linspace(0, 9, 4)]
    for lane in range(3):
        for i in range(2):
            digits = np.base_repr(action[lane, i], 4).zfill(3)
            np.testing.assert_allclose(got[lane, i], [levels[j][int(digits[j])] for j in range(3)])


def test_the_grid_form_is_the_box_form_on_its_reports():
    box = SealedBidAuction(2, 2, mechanism="second-price")
    grid = SealedBidAuction(2, 2, mechanism="second-price", grid=11)
    action = np.random.default_rng(0).integers(0, 121, (50, 2))
    a, paid_a = after(grid, action)
    b, paid_b = after(box, grid.bids(action))
    np.testing.assert_array_equal(paid_a, paid_b)
    np.testing.assert_array_equal(a.allocation, b.allocation)


def test_any_object_with_an_outcome_is_a_mechanism():
    class Lottery:
        """Everyone wins with equal chance and pays a tenth of the report."""

        def outcome(self, bids):
            return Outcome(np.full_like(bids, 1.0 / bids.shape[1]), 0.1 * bids.sum(axis=-1))

    for audit in (False, True):
        game = SealedBidAuction(4, mechanism=Lottery(), audit=audit)
        assert game.equilibrium() is None
        played = walras.play(game, "truthful", batch=5, seed=0)
        np.testing.assert_allclose(played.returns, (0.25 - 0.1) * played.state.sold_value[..., 0], rtol=1e-5)
        assert "regret" not in played.info("bidder")
        env = SeatEnv(game)
        env.reset(seed=0)
        env.step(np.array([0.5], np.float32))


# -- audit -------------------------------------------------------------------------------------------------------------


def test_audit_compares_with_the_truth_against_the_same_reports():
    game = SealedBidAuction(2, mechanism="first-price", audit=True)
    state, utility = after(game, [[[0.3], [0.2]]], [[[0.8], [0.9]]])
    facts = game.info(state, "bidder")
    np.testing.assert_allclose(facts["utility"], utility)
    np.testing.assert_allclose(facts["truthful_utility"], [[0.0, 0.0]])  # truth pays the value in a first-price auction
    assert "regret" not in facts  # no exact best answer is known
    second = SealedBidAuction(2, mechanism="second-price", audit=True)
    facts = second.info(after(second, [[[0.3], [0.4]]], [[[0.8], [0.9]]])[0], "bidder")
    np.testing.assert_allclose(facts["truthful_utility"], [[0.4, 0.6]])
    np.testing.assert_allclose(facts["regret"], [[0.4, 0.0]])


def test_audit_speaks_of_the_round_that_was_played_not_of_the_next_values():
    game = SealedBidAuction(2, rounds=3, mechanism=PostedPrice(0.5), audit=True)
    state, utility = after(game, [[[0.2], [0.9]]], [[[0.8], [0.1]]])
    assert (state.value != state.sold_value).all()
    facts = game.info(state, "bidder")
    np.testing.assert_allclose(facts["utility"], utility)
    np.testing.assert_allclose(facts["truthful_utility"], [[0.3, 0.0]])  # bidder 0 is served first
    np.testing.assert_allclose(facts["regret"], [[0.3, 0.4]])


def test_truthful_bidders_short_of_money_tie_and_leave_nothing_to_audit():
    game = SealedBidAuction(2, budget=0.3, rounds=3, mechanism="second-price", audit=True)
    played = walras.play(game, "truthful", batch=500, seed=1, record=True)
    states = [moment.state for moment in played.history[1:]] + [played.state]
    for state in states:
        facts = game.info(state, "bidder")
        np.testing.assert_allclose(facts["truthful_utility"], facts["utility"], atol=1e-6)
        assert "regret" not in facts
    both = (states[0].sold_value > 0.31).all(axis=(1, 2))
    np.testing.assert_array_equal(states[0].allocation[both], 0.5)


def test_a_truth_that_nobody_could_pay_is_scaled_down_and_leaves_no_regret():
    game = SealedBidAuction(2, budget=0.3, rounds=3, mechanism="second-price", audit=True)
    state, _ = after(game, [[[0.2], [0.2]]], [[[0.9], [0.6]]])  # a tie: each wins half and pays half of 0.2
    np.testing.assert_allclose(state.budget, [[0.2, 0.2]])
    facts = game.info(state, "bidder")
    np.testing.assert_allclose(facts["truthful_utility"], [[0.9 - 0.2, 0.6 - 0.2]])  # 0.3 beats 0.2
    assert "regret" not in facts
    menus = SealedBidAuction(1, budget=0.3, mechanism=PostedMenu(((1.0,),), (0.2,)), audit=True)
    facts = walras.play(menus, "random", batch=3, seed=0).info("bidder")
    assert "regret" not in facts and "menu_prices" in facts


def test_regret_is_not_claimed_for_bidders_whom_the_mechanism_was_not_made_for():
    game = SealedBidAuction(2, 2, mechanism="second-price", demand="unit", audit=True)
    assert "regret" not in walras.play(game, "random", batch=3, seed=0).info("bidder")


def test_menu_mechanisms_report_menus_the_chosen_element_and_regret():
    menu = PostedMenu(((1.0, 0.0), (0.0, 1.0), (1.0, 1.0)), (0.4, 0.5, 0.8))
    game = SealedBidAuction(1, 2, mechanism=menu, audit=True)
    values = [[[0.9, 0.1]], [[0.6, 0.9]], [[0.2, 0.2]], [[0.9, 0.1]]]
    bids = [[[0.9, 0.1]], [[0.6, 0.9]], [[0.2, 0.2]], [[0.0, 0.9]]]
    state, utility = after(game, bids, values)
    facts = game.info(state, "bidder")
    assert facts["chosen_element"][:, 0].tolist() == [1, 3, 0, 2]
    assert facts["menu_items"].shape == (4, 1, 4, 2) and facts["menu_prices"].shape == (4, 1, 4)
    np.testing.assert_array_equal(facts["menu_items"][:, :, 0], 0.0)
    np.testing.assert_array_equal(facts["menu_prices"][0, 0], [0.0, 0.4, 0.5, 0.8])
    np.testing.assert_allclose(facts["regret"][:, 0], [0.0, 0.0, 0.0, 0.5 - (0.1 - 0.5)])
    np.testing.assert_allclose(utility[:, 0], [0.5, 0.7, 0.0, -0.4])


def test_before_the_first_round_audit_says_nothing():
    for mechanism in ("vcg", PostedPrice(0.3)):
        game = SealedBidAuction(2, mechanism=mechanism, audit=True)
        facts = game.info(game.initial(3, LaneRandom(clock(0, 3))), "bidder")
        for name in ("allocation", "payment", "utility", "truthful_utility", "regret"):
            assert not facts[name].any()


# -- text and errors ---------------------------------------------------------------------------------------------------


def test_text_shows_the_values_first_and_then_the_round_that_was_played():
    game = SealedBidAuction(2, rounds=2, mechanism="second-price")
    state = game.initial(1, LaneRandom(clock(0, 1)))
    text = game.render_text(state)
    assert "round 0 of 2" in text and f"{state.value[0, 0, 0]:.3f}" in text
    later, _ = game.step(state, {"bidder": np.array([[[0.5], [0.25]]])}, LaneRandom(clock(1, 1)))
    text = game.render_text(later)
    assert "round 1 of 2" in text and "SecondPrice" in text
    assert f"{state.value[0, 1, 0]:.3f}" in text and "0.500" in text and "0.250" in text and "1.000" in text
    assert len(text.splitlines()) == 4


@pytest.mark.parametrize(
    ("parameters", "error", "named"),
    [
        ({"bidders": 0}, ValueError, "bidders"),
        ({"bidders": 2.0}, ValueError, "bidders"),
        ({"bidders": True}, ValueError, "bidders"),
        ({"items": 0}, ValueError, "items"),
        ({"items": "2"}, ValueError, "items"),
        ({"rounds": 0}, ValueError, "rounds"),
        ({"demand": "greedy"}, ValueError, "demand"),
        ({"budget": 0.0}, ValueError, "budget"),
        ({"budget": -1.0}, ValueError, "budget"),
        ({"budget": float("nan")}, ValueError, "budget"),
        ({"budget": "2"}, ValueError, "budget"),
        ({"budget": True}, ValueError, "budget"),
        ({"audit": "yes"}, ValueError, "audit"),
        ({"public": 1}, ValueError, "public"),
        ({"demand": 3}, ValueError, "demand"),
        ({"grid": True}, ValueError, "grid"),
        ({"budget": float("inf")}, ValueError, "budget"),
        ({"grid": 1}, ValueError, "grid"),
        ({"grid": 2.5}, ValueError, "grid"),
        ({"grid": 100, "items": 3}, ValueError, "grid"),
        ({"prior": "gauss"}, ValueError, "prior: 'gauss'"),
        ({"prior": 3}, TypeError, "prior"),
        ({"prior": {"prior": "Gauss"}}, ValueError, "prior: .*Gauss"),
        ({"prior": {}}, ValueError, "prior: .*needs the key"),
        ({"prior": {"prior": []}}, ValueError, "prior: "),
        ({"prior": {"prior": "Independent", "laws": 3}}, ValueError, "prior: laws: n lists"),
        ({"prior": {"prior": "Independent", "laws": [[3]]}}, ValueError, "prior: "),
        ({"prior": prior("uniform01", 2, 2)}, ValueError, "prior: made for 2 bidders and 2 items"),
        ({"prior": "triangle"}, ValueError, "items"),
        ({"mechanism": "third-price"}, ValueError, "mechanism: 'third-price'"),
        ({"mechanism": 3}, TypeError, "mechanism"),
        ({"mechanism": {"mechanism": "ThirdPrice"}}, ValueError, "mechanism: .*ThirdPrice"),
        ({"mechanism": {}}, ValueError, "mechanism: "),
        ({"mechanism": {"mechanism": []}}, ValueError, "mechanism: "),
        ({"mechanism": {"mechanism": "ItemwiseMyerson", "prior": {}}}, ValueError, "mechanism: "),
        ({"mechanism": {"reserve": 1.0}}, ValueError, "mechanism"),
        ({"mechanism": {"mechanism": "FirstPrice", "reserve": -1.0}}, ValueError, "mechanism: reserve"),
        ({"mechanism": {"mechanism": "FirstPrice", "bonus": 1.0}}, ValueError, "mechanism: .*bonus"),
        ({"mechanism": FirstPrice((0.1, 0.2))}, ValueError, "mechanism: .*reserve"),
        ({"mechanism": PostedPrice((0.1, 0.2))}, ValueError, "mechanism: .*prices"),
        (
            {"mechanism": ItemwiseMyerson(prior("uniform01", 2, 1))},
            ValueError,
            "mechanism: does not fit 3 bidders and 1 items",
        ),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named(parameters, error, named):
    with pytest.raises(error, match=named):
        SealedBidAuction(**parameters)


def test_counts_may_be_integers_of_numpy():
    game = SealedBidAuction(np.int64(3), np.int32(2), rounds=np.int64(2), grid=np.int64(3), budget=np.float64(1.0))
    assert (game.bidders, game.items, game.rounds, game.grid) == (3, 2, 2, 3)
    assert all(type(count) is int for count in (game.bidders, game.items, game.rounds, game.grid))
    assert walras.play(game, "random", batch=4, seed=0).returns.shape == (4, 3)


def test_priors_and_mechanisms_may_be_objects_names_or_dicts():
    objects = SealedBidAuction(2, prior=prior("power", 2, 1), mechanism=SecondPrice(0.25))
    dicts = SealedBidAuction(2, prior=objects.prior.to_dict(), mechanism=objects.mechanism.to_dict())
    names = SealedBidAuction(2, prior="power", mechanism=SecondPrice(0.25))
    assert isinstance(objects.prior, Independent)
    for other in (dicts, names):
        np.testing.assert_array_equal(
            walras.play(objects, "random", batch=5, seed=0).returns,
            walras.play(other, "random", batch=5, seed=0).returns,
        )
    assert "SecondPrice(reserve=0.25)" in repr(objects)
