"""The designer's game: measures, families of auctions, bidders who answer, and menus between grid nodes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import walras
from walras.envs.auctions.design import AuctionDesign
from walras.envs.auctions.families import FAMILIES
from walras.envs.auctions.mechanisms import AMA, FirstPrice, ItemwiseMyerson, PostedPrice, SecondPrice
from walras.envs.auctions.misreports import gradient_misreports
from walras.envs.auctions.node_menus import barycentric, bundles, node_menus, node_price_sale, nodes
from walras.envs.auctions.priors import Prior, Uniform, prior
from walras.envs.lanes import LaneRandom, clock

RNG = np.random.default_rng


def always(design):
    """A designer who commits to the same numbers every step."""
    return lambda seen: np.repeat(np.asarray(design, np.float32)[None], len(seen), axis=0)


def one_step(game, designs, seed=0):
    """Next state and rewards, and the values (B, P, n, m) that nature drew."""
    batch = len(designs)
    now = clock(seed, batch)
    state = game.initial(batch, LaneRandom(now))
    now = now._replace(step=np.ones(batch, np.uint64))
    u = LaneRandom(now).random((batch, game.profiles, game.prior.draws))
    values = np.stack([game.prior.sample(lane) for lane in u])
    actions = {"designer": np.asarray(designs, np.float32)[:, None]}
    return *game.step(state, actions, LaneRandom(now)), values


def family(name, bidders, items, demand="additive", grid=2):
    return FAMILIES[name](bidders, items, np.zeros(items), np.ones(items), demand, grid)


# -- measures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [1, 2])
def test_a_reserve_price_is_measured_as_a_plain_loop_measures_it(items):
    game = AuctionDesign(3, items, profiles=200)
    designs = RNG(0).random((4, items))
    state, rewards, values = one_step(game, designs)
    for lane in range(4):
        reserve = np.float32(designs[lane]).astype(float)
        revenue = welfare = 0.0
        for profile in values[lane]:
            for j in range(items):
                second, top = np.sort(profile[:, j])[-2:]
                if top >= reserve[j]:
                    revenue += max(second, reserve[j])
                    welfare += top
        assert state.measures.revenue[lane] == pytest.approx(revenue / 200)
        assert state.measures.welfare[lane] == pytest.approx(welfare / 200)
    np.testing.assert_array_equal(rewards[:, 0], state.measures.revenue)
    np.testing.assert_array_equal(state.measures.over_allocation, 0.0)
    np.testing.assert_array_equal(state.measures.regret, 0.0)


def test_a_reserve_of_one_half_earns_five_twelfths_and_no_other_earns_more():
    game = AuctionDesign(2)
    known = [(t.name, t.value, t.kind) for t in game.truths()]
    assert known == [("optimal revenue per step", pytest.approx(5 / 12), "optimum")]
    revenue = {}
    for reserve in (0.0, 0.3, 0.4, 0.5, 0.6, 0.7):
        played = walras.play(game, {"designer": always([reserve])}, batch=4, seed=3)
        assert (played.lengths == 64).all()
        revenue[reserve] = played.mean("designer") / 64
    samples = 4 * 64 * game.profiles
    assert revenue[0.5] == pytest.approx(5 / 12, abs=4 * 0.3 / np.sqrt(samples))
    assert revenue[0.0] == pytest.approx(1 / 3, abs=4 * 0.3 / np.sqrt(samples))
    assert max(revenue, key=revenue.get) == 0.5


def test_the_observation_tells_the_priors_quantiles_and_the_last_measures():
    game = AuctionDesign(2, 2, prior=Prior.per_item([Uniform(0, 1), Uniform(2, 6)], 2), profiles=50)
    state, _, _ = one_step(game, RNG(0).random((3, 2)))
    seen = game.observe(state, "designer")
    assert seen.shape == (3, 1, 8 * 4 + 4)
    at = (np.arange(8) + 0.5) / 8
    np.testing.assert_allclose(seen[0, 0, :32].reshape(8, 2, 2), np.stack([[[p, 2 + 4 * p]] * 2 for p in at]))
    np.testing.assert_array_equal(seen[:, 0, 32], state.measures.revenue)
    np.testing.assert_array_equal(seen[:, 0, 33], state.measures.welfare)
    facts = game.info(state, "designer")
    assert set(facts) == {"revenue", "welfare", "over_allocation", "regret"}
    np.testing.assert_array_equal(facts["welfare"][:, 0], state.measures.welfare)


@pytest.mark.parametrize("name", sorted(FAMILIES))
@pytest.mark.parametrize("demand", ["additive", "unit"])
def test_random_designs_stay_inside_the_observation_space(name, demand):
    game = AuctionDesign(2, 2, family=name, demand=demand, profiles=64, horizon=3, prior="exponential")
    played = walras.play(game, "random", batch=6, seed=0, record=True)
    space = game.roles[0].observation_space
    for state in [moment.state for moment in played.history] + [played.state]:
        for lane in game.observe(state, "designer").astype(np.float32):
            assert space.contains(lane[0])
    assert np.isfinite(played.returns).all()


def test_promising_an_item_twice_costs_the_over_weight():
    # Free bundles for everyone: three bidders are promised both items, two promises too many of each.
    for weight in (0.0, 1.0, 2.5):
        game = AuctionDesign(3, 2, family="node-menu", grid=1, profiles=30, over_weight=weight)
        state, rewards, values = one_step(game, np.zeros((2, len(game.family.low))))
        np.testing.assert_allclose(state.measures.over_allocation, 4.0)
        np.testing.assert_array_equal(state.measures.revenue, 0.0)
        np.testing.assert_allclose(state.measures.welfare, values.sum(axis=(2, 3)).mean(axis=1))
        np.testing.assert_allclose(rewards[:, 0], -4.0 * weight)


def test_shares_of_a_tie_are_not_over_allocation():
    game = AuctionDesign(3, profiles=20, prior="two_point", respond=lambda values, outcome: np.ones_like(values))
    state, _, _ = one_step(game, np.zeros((2, 1)))
    np.testing.assert_array_equal(state.measures.over_allocation, 0.0)


def test_bidders_who_halve_their_reports_leave_regret_that_costs_the_regret_weight():
    game = AuctionDesign(
        2, family="first-price-reserve", profiles=100_000, regret_weight=3.0, respond=lambda values, outcome: values / 2
    )
    state, rewards, values = one_step(game, [[0.0]])
    # The truth earns nothing; half the value against a truthful rival wins with chance v / 2 and then earns v / 2.
    assert state.measures.regret[0] == pytest.approx(1 / 12, abs=0.002)
    assert state.measures.revenue[0] == pytest.approx(values[0].max(axis=1).mean() / 2)
    assert rewards[0, 0] == pytest.approx(state.measures.revenue[0] - 3.0 * state.measures.regret[0])


@pytest.mark.parametrize("answer", [lambda values: values[:1], lambda values: values * np.nan])
def test_answers_that_are_no_reports_are_refused(answer):
    game = AuctionDesign(2, respond=lambda values, outcome: answer(values), profiles=5)
    with pytest.raises(ValueError, match="respond"):
        one_step(game, [[0.0]])


def test_answers_that_do_worse_than_the_truth_are_no_regret():
    game = AuctionDesign(2, respond=lambda values, outcome: values * 0.5, profiles=500)
    state, _, _ = one_step(game, [[0.0], [0.4]])
    np.testing.assert_array_equal(state.measures.regret, 0.0)  # second price: shading never helps


def test_any_mechanism_can_be_measured():
    game = AuctionDesign(2, 2)
    values = game.prior.sample(RNG(0).random((6_000, 4)))
    both = game.measure(values, ItemwiseMyerson(game.prior).outcome, batch=3)
    assert both.revenue.shape == (3,)
    np.testing.assert_allclose(both.revenue, 5 / 6, atol=0.03)
    one = game.measure(values[:2_000], ItemwiseMyerson(game.prior).outcome)
    np.testing.assert_allclose(one.revenue[0], both.revenue[0])


# -- bidders who climb -------------------------------------------------------------------------------------------------


def test_gradient_answers_find_the_gain_of_shading_in_a_first_price_auction():
    values = RNG(1).random((2_000, 2, 1))
    reports = gradient_misreports(values, FirstPrice().outcome, high=np.ones(1))
    v, rival = values[..., 0], values[:, ::-1, 0]
    wins = v > rival
    # A winner goes down to the rival's report, as far as the steps reach (25 of 0.02); a loser has nothing to find.
    ideal = np.maximum(rival, 0.99 * v - 0.48)
    assert (reports[..., 0][~wins] == v[~wins]).all()
    close = wins & (v - rival > 0.06)
    assert (reports[..., 0][close] > rival[close]).all()
    assert np.abs(reports[..., 0] - ideal)[close].max() < 0.045
    game = AuctionDesign(2, family="first-price-reserve", respond="gradient", profiles=2_000)
    state, _, values = one_step(game, [[0.0]])
    v, rival = values[0, ..., 0], values[0, :, ::-1, 0]
    gain = np.where(v > rival, v - np.maximum(rival, v - 0.49), 0.0).mean()
    assert 0.9 * gain < state.measures.regret[0] <= gain


@pytest.mark.parametrize("name", ["reserve", "posted-price", "ama", "node-menu"])
def test_gradient_answers_find_nothing_in_a_truthful_auction(name):
    game = AuctionDesign(2, 2, family=name, respond="gradient", profiles=100, grid=1)
    low, high = game.roles[0].action_space.low, game.roles[0].action_space.high
    designs = low + RNG(0).random((2, len(low))) * (high - low)
    state, _, _ = one_step(game, designs)
    assert (state.measures.regret <= 1e-9).all()


# -- families ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mechanism"),
    [("reserve", SecondPrice), ("first-price-reserve", FirstPrice), ("posted-price", PostedPrice)],
)
def test_price_families_are_the_mechanisms_of_that_name(name, mechanism):
    bids = RNG(0).random((40, 3, 2))
    for row in RNG(1).random((3, 2)):
        ours = family(name, 3, 2).outcome(bids, np.repeat(row[None], 40, axis=0))
        theirs = mechanism(tuple(row)).outcome(bids)
        np.testing.assert_allclose(ours.allocation, theirs.allocation)
        np.testing.assert_allclose(ours.payment, theirs.payment)


def test_every_profile_meets_the_design_of_its_own_row():
    bids, designs = RNG(0).random((30, 2, 2)), RNG(1).random((30, 2))
    for name in ("reserve", "first-price-reserve", "posted-price"):
        together = family(name, 2, 2).outcome(bids, designs)
        for row in range(30):
            alone = family(name, 2, 2).outcome(bids[row : row + 1], designs[row : row + 1])
            np.testing.assert_allclose(together.payment[row], alone.payment[0])


@pytest.mark.parametrize("demand", ["additive", "unit"])
def test_the_affine_family_is_the_affine_maximiser_over_all_assignments(demand):
    ama = family("ama", 2, 2, demand)
    count = {"additive": 9, "unit": 7}[demand]
    assert ama.low.shape == (2 + count,) and ama.allocations.shape == (count, 2, 2)
    bids, rng = RNG(0).random((60, 2, 2)), RNG(1)
    designs = ama.low + rng.random((3, 2 + count)) * (ama.high - ama.low)
    together = ama.outcome(bids, np.repeat(designs, 20, axis=0))
    for lane, design in enumerate(designs):
        boosts = design[2:].copy()
        boosts[0] = 0.0
        mechanism = AMA(ama.allocations.tolist(), tuple(design[:2]), tuple(boosts), demand=demand)
        part = slice(20 * lane, 20 * lane + 20)
        want = mechanism.outcome(bids[part])
        np.testing.assert_allclose(together.allocation[part], want.allocation)
        np.testing.assert_allclose(together.payment[part], want.payment, atol=1e-12)


def test_the_boost_of_selling_nothing_is_not_read():
    ama = family("ama", 2, 1)
    bids = RNG(0).random((10, 2, 1))
    design = np.array([1.0, 1.0, 0.7, 0.1, 0.0])
    other = design.copy()
    other[2] = -0.7
    for a, b in zip(
        ama.outcome(bids, np.tile(design, (10, 1))), ama.outcome(bids, np.tile(other, (10, 1))), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", sorted(FAMILIES))
@pytest.mark.parametrize("demand", ["additive", "unit"])
def test_numpy_and_torch_decide_alike(name, demand):
    import torch

    kind = family(name, 2, 2, demand)
    bids = RNG(0).random((40, 2, 2))
    row = kind.low + RNG(1).random((2, len(kind.low))) * (kind.high - kind.low)
    designs = np.repeat(row, 20, axis=0)
    ours = kind.outcome(bids, designs)
    theirs = kind.outcome(torch.as_tensor(bids), torch.as_tensor(designs))
    np.testing.assert_allclose(theirs.allocation.numpy(), ours.allocation, atol=1e-12)
    np.testing.assert_allclose(theirs.payment.numpy(), ours.payment, atol=1e-12)


# -- menus between nodes -----------------------------------------------------------------------------------------------


@st.composite
def points_in_cube(draw):
    d, grid = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    number = st.one_of(st.floats(0, 1), st.integers(0, grid).map(lambda k: k / grid))
    rows = draw(st.lists(st.lists(number, min_size=d, max_size=d), min_size=1, max_size=5))
    return np.array(rows), grid


@settings(max_examples=300, deadline=None)
@given(points_in_cube(), st.integers(0, 1000))
def test_barycentric_weights_reproduce_points_and_affine_functions(drawn, seed):
    points, grid = drawn
    number, d = points.shape
    index, weights = barycentric(points, grid)
    assert index.shape == weights.shape == (number, d + 1)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    corners = np.stack(np.unravel_index(index, (grid + 1,) * d), axis=-1) / grid
    np.testing.assert_allclose((weights[..., None] * corners).sum(axis=1), points, atol=1e-12)
    assert (np.ptp(corners, axis=1) <= 1 / grid + 1e-12).all()  # the corners of one cell
    slope, constant = RNG(seed).normal(size=d), RNG(seed).normal()
    np.testing.assert_allclose(
        (weights * (corners @ slope + constant)).sum(axis=1), points @ slope + constant, atol=1e-12
    )


def test_interpolation_is_continuous_across_cells():
    table = RNG(0).random(4**2)
    points = RNG(1).random((3_000, 2))
    index, weights = barycentric(points, 3)
    near, near_weights = barycentric(np.clip(points + 1e-7, 0, 1), 3)
    jump = (weights * table[index]).sum(axis=1) - (near_weights * table[near]).sum(axis=1)
    assert np.abs(jump).max() < 1e-5


@pytest.mark.parametrize(("demand", "options"), [("additive", 7), ("unit", 3)])
def test_options_are_bundles_or_single_items_after_the_null_option(demand, options):
    assert bundles(3, demand).shape == (options, 3)
    assert nodes(3, 3, 2) == 3**6
    bids = RNG(0).random((5, 2, 3))
    menu = node_menus(bids, RNG(1).random((3**3, options)), grid=2, low=np.zeros(3), high=np.ones(3), demand=demand)
    assert menu.items.shape == (5, 2, options + 1, 3) and menu.prices.shape == (5, 2, options + 1)
    np.testing.assert_array_equal(menu.items[:, :, 0], 0.0)
    np.testing.assert_array_equal(menu.prices[:, :, 0], 0.0)
    np.testing.assert_array_equal(menu.items[2, 1, 1:], bundles(3, demand))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.integers(0, 1000))
def test_a_menu_does_not_depend_on_the_bidders_own_report(bidders, items, grid, seed):
    rng = RNG(seed)
    table = rng.random((4, nodes(bidders, items, grid), len(bundles(items, "additive"))))
    bids = rng.random((4, bidders, items))
    bounds = {"grid": grid, "low": np.zeros(items), "high": np.ones(items)}
    menu = node_menus(bids, table, **bounds)
    for i in range(bidders):
        lie = bids.copy()
        lie[:, i] = rng.random((4, items))
        np.testing.assert_array_equal(node_menus(lie, table, **bounds).prices[:, i], menu.prices[:, i])
    outcome = node_price_sale(bids, table, **bounds)
    assert ((outcome.allocation * bids).sum(axis=-1) - outcome.payment >= -1e-12).all()


def test_reports_beyond_the_grid_are_read_as_its_bound():
    table = RNG(0).random((9, 3))
    bounds = {"grid": 2, "low": np.array([1.0, 1.0]), "high": np.array([2.0, 3.0])}
    inside = node_menus(np.array([[[1.0, 3.0], [2.0, 1.0]]]), table, **bounds)
    beyond = node_menus(np.array([[[0.2, 9.0], [5.0, 0.0]]]), table, **bounds)
    np.testing.assert_array_equal(beyond.prices, inside.prices)
    # Nodes are numbered in row-major order: (low, high) of the rival is node 2, (high, low) node 6.
    np.testing.assert_array_equal(inside.prices[0, 1, 1:], table[2])
    np.testing.assert_array_equal(inside.prices[0, 0, 1:], table[6])


def test_a_single_bidder_meets_one_table_of_prices():
    table = np.array([[0.3, 0.4, 0.6]])
    menu = node_menus(RNG(0).random((4, 1, 2)), table, grid=2, low=np.zeros(2), high=np.ones(2))
    np.testing.assert_array_equal(menu.prices[:, 0, 1:], np.tile(table, (4, 1)))


@pytest.mark.parametrize("grid", [2, 4])
def test_itemwise_myerson_prices_on_the_nodes_give_itemwise_myerson(grid):
    """max(rival, 1/2) is affine on every cell of an even grid, so nothing is lost between the nodes."""
    game = AuctionDesign(2, 2, family="node-menu", grid=grid, profiles=20_000)
    corners = np.stack(np.unravel_index(np.arange((grid + 1) ** 2), (grid + 1,) * 2), axis=-1) / grid
    table = np.maximum(corners, 0.5) @ bundles(2, "additive").T
    state, rewards, values = one_step(game, np.repeat(table.ravel()[None], 4, axis=0))
    np.testing.assert_allclose(state.measures.revenue, 5 / 6, atol=4 * 0.45 / np.sqrt(20_000))
    assert state.measures.over_allocation.max() < 1e-3  # prices are float32: hardly a tie
    assert rewards.mean() == pytest.approx(5 / 6, abs=4 * 0.45 / np.sqrt(80_000))
    flat = values.reshape(-1, 2, 2)
    want = ItemwiseMyerson(prior("uniform01", 2, 2)).outcome(flat)
    bounds = {"grid": grid, "low": np.zeros(2), "high": np.ones(2)}
    got = node_price_sale(flat, table, **bounds)
    np.testing.assert_allclose(got.payment, want.payment, atol=1e-9)
    np.testing.assert_allclose(got.allocation, want.allocation, atol=1e-9)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "error", "named"),
    [
        ({"bidders": 0}, ValueError, "bidders"),
        ({"items": 1.0}, ValueError, "items"),
        ({"family": []}, ValueError, "family"),
        ({"over_weight": "a"}, ValueError, "over_weight"),
        ({"regret_weight": True}, ValueError, "regret_weight"),
        ({"demand": 3}, ValueError, "demand"),
        ({"prior": {}}, ValueError, "prior: "),
        ({"family": "node-menu", "bidders": 4, "items": 4, "grid": 8}, ValueError, "grid=8, items=4, bidders=4"),
        ({"family": "node-menu", "bidders": 1, "items": 40}, ValueError, "grid=2, items=40, bidders=1"),
        ({"profiles": 0}, ValueError, "profiles"),
        ({"grid": 0}, ValueError, "grid"),
        ({"horizon": True}, ValueError, "horizon"),
        ({"over_weight": -1.0}, ValueError, "over_weight"),
        ({"regret_weight": float("nan")}, ValueError, "regret_weight"),
        ({"regret_weight": float("inf")}, ValueError, "regret_weight"),
        ({"demand": "both"}, ValueError, "demand"),
        ({"respond": "cunning"}, ValueError, "respond"),
        ({"respond": 3}, ValueError, "respond"),
        ({"family": "lottery"}, ValueError, "family"),
        ({"prior": "gauss"}, ValueError, "prior"),
        ({"prior": prior("uniform01", 3, 1)}, ValueError, "prior"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named(parameters, error, named):
    with pytest.raises(error, match=named):
        AuctionDesign(**parameters)


def test_counts_may_be_integers_of_numpy():
    game = AuctionDesign(np.int64(2), np.int64(1), profiles=np.int32(10), horizon=np.int64(3), grid=np.int8(2))
    assert all(type(count) is int for count in (game.bidders, game.items, game.profiles, game.horizon, game.grid))
    assert game.horizon == 3 and walras.play(game, "random", batch=2, seed=0).lengths.tolist() == [3, 3]


def test_no_optimum_is_claimed_against_bidders_whom_theory_does_not_cover():
    assert AuctionDesign(2, family="first-price-reserve").truths() == ()  # the truth there is no equilibrium
    assert AuctionDesign(2, respond=lambda values, outcome: 2 * values).truths() == ()
    names = [t.name for t in AuctionDesign(2, 2, family="ama").truths()]
    assert names and all(name.endswith(" per step") for name in names)


def test_the_text_of_the_setting_names_its_parameters():
    assert repr(AuctionDesign(2, 2, family="ama", demand="unit")) == (
        "AuctionDesign(bidders=2, items=2, family='ama', demand='unit')"
    )
