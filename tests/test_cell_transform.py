"""The transform on cells: sound on every instance, least, equal to its programs by two solvers, and its theorems."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.algorithms.auctions.cell_programs import Program, programs
from walras.algorithms.auctions.cell_transform import adaptive_transform, freeze, promised, transform
from walras.envs.auctions.cell_menus import CellMenus, grid_cuts, type_cuts
from walras.envs.auctions.cell_revenue import cell_revenue
from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.truthful import AMA, PostedMenu

UNIT = 2.0**-24
BUNDLES = np.array(list(itertools.product((0.0, 1.0), repeat=2)))
BEST_AMA = (159 / 250, 91 / 100, 1137 / 1000)


def random_cells(seed, bidders=2, items=2, grid=2, count=4, fractions=True, points=False, units=2**24):
    """Random menus with coarse prices, so that ties and equal distances occur."""
    rng = np.random.default_rng(seed)
    if points:
        cuts = type_cuts([[sorted(rng.choice(16, grid, replace=False) / 8.0) for _ in range(items)]] * bidders)
    else:
        inner = [sorted(rng.choice(np.arange(1, 16), grid - 1, replace=False) / 16.0) for _ in range(items)]
        cuts = tuple(tuple(np.array([0.0, *edges, 1.0]) for edges in inner) for _ in range(bidders))
    tuples = grid ** (items * (bidders - 1))
    levels = 4 if fractions else 1
    options = [rng.integers(0, levels + 1, (tuples, count, items)) / levels for _ in range(bidders)]
    prices = [rng.integers(0, 16, (tuples, count)) / 16.0 * (1.0 + rng.random() * (units > 16)) for _ in range(bidders)]
    for own, price in zip(options, prices, strict=True):
        own[:, 0] = 0.0
        price[:, 0] = 0.0
    prices = [np.round(price * units) / units for price in prices]
    return CellMenus(cuts, tuple(options), tuple(prices), points=points)


def over_allocation(mechanism, bids):
    return float((mechanism.outcome(bids).allocation.sum(axis=1) - 1.0).max())


sizes = st.sampled_from(
    [(2, 2, 3, 8), (2, 1, 4, 3), (2, 2, 2, 4), (2, 2, 3, 3), (3, 1, 3, 4), (3, 2, 2, 3), (4, 1, 2, 3)]
)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=sizes, fractions=st.booleans(), points=st.booleans())
def test_no_item_is_promised_twice_after_the_transform(seed, size, fractions, points):
    bidders, items, grid, count = size
    mechanism = random_cells(seed, bidders, items, grid, count, fractions, points)
    order = np.random.default_rng(seed).permutation(bidders)
    result = transform(mechanism, order)
    assert result.promised.max() <= 1.0
    assert promised(result.mechanism).max() <= 1.0
    assert all((steps >= 0).all() for steps in result.sweeps)
    assert not result.delta[order[0]].any()
    for before, after, delta in zip(mechanism.prices, result.mechanism.prices, result.delta, strict=True):
        assert (delta >= 0.0).all() and not delta[:, 0].any()
        np.testing.assert_array_equal(before + delta, after)
    # Corners and centres of all cells too: there ties are.
    if points:
        types = [list(itertools.product(*row)) for row in mechanism.cuts]
        bids = np.array(list(itertools.product(*types)))
    else:
        rng = np.random.default_rng(seed)
        bids = np.concatenate([rng.random((500, bidders, items)), rng.integers(0, 17, (500, bidders, items)) / 16.0])
    assert over_allocation(result.mechanism, bids) <= 0.0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=sizes, points=st.booleans())
def test_the_fixed_point_is_the_optimum_of_both_solvers_for_every_weighting(seed, size, points):
    bidders, items, grid, count = size
    pytest.importorskip("ortools")
    mechanism = random_cells(seed, bidders, items, grid, count, points=points)
    rng = np.random.default_rng(seed)
    for program in itertools.islice(programs(mechanism), 4):
        weights = rng.integers(1, 10, count)
        exact, whole = program.fixed_point(weights), program.fixed_point(weights, unit=UNIT)
        assert program.satisfied(exact.delta, 1e-12) and program.satisfied(whole.delta, 1e-12)
        assert program.highs(weights).objective == pytest.approx(exact.objective, abs=1e-9)
        assert program.cp_sat(weights, unit=UNIT).objective == pytest.approx(whole.objective, abs=1e-9)
        assert np.all(whole.delta >= exact.delta - 1e-12)
        joint = program.highs(weights, joint=True)
        assert program.satisfied(joint.delta, 1e-9, joint=True) and program.satisfied(joint.delta, 1e-9)
        assert joint.objective >= exact.objective - 1e-9
        assert np.all(whole.delta <= exact.delta + count * UNIT)


def test_the_programs_are_those_that_the_transform_solves():
    mechanism = random_cells(7, bidders=3, items=2, grid=2, count=4)
    result = transform(mechanism)
    seen = 0
    for program in programs(mechanism):
        np.testing.assert_array_equal(program.fixed_point(unit=UNIT).delta, result.delta[program.bidder][program.key])
        seen += 1
    assert 0 < result.moved <= seen


def test_one_winner_for_a_whole_cell_can_cost_more_than_one_for_each_option_it_excludes():
    # A is close to the first option that does not fit, B to the second: neither beats both by the reach of the cell.
    options = np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.75, 0.0], [0.0, 0.75]])
    centre = np.array([[0.75, 0.75]])
    prices = np.array([0.0, 0.25, 0.25, 0.375, 0.375])
    fits = np.array([[True, True, True, False, False]])
    program = Program(centre @ options.T - prices, np.full((1, 2), 0.125), options, fits, 0.0)
    each, joint = program.highs(), program.highs(joint=True)
    assert each.objective == program.fixed_point().objective == pytest.approx(2 * (0.0625 + 0.03125))
    assert joint.objective == pytest.approx(each.objective + 0.125)


def test_least_changes_by_listing_all_of_them():
    found = 0
    for seed in range(12):
        mechanism = random_cells(seed, 2, 1, 3, 3, units=16)
        for program in programs(mechanism, margin=1 / 32):
            unit = 1 / 32
            least = program.fixed_point(unit=unit).delta
            steps = np.arange(0.0, 2.0, unit)
            feasible = [
                (a, b) for a, b in itertools.product(steps, steps) if program.satisfied(np.array([0.0, a, b]), 1e-12)
            ]
            assert tuple(least[1:]) == (min(a for a, _ in feasible), min(b for _, b in feasible))
            found += 1
    assert found > 6


def test_options_that_push_each_other_up_by_tiny_steps_are_solved_at_once():
    # In two cells that touch at a corner A must beat B here and B must beat A there: only far up does null win.
    options = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    centres = np.array([[0.625, 0.625], [0.375, 0.875]])
    fits = np.array([[True, True, False], [True, False, True]])
    for unit in (0.0, UNIT):
        program = Program(centres @ options.T, np.full((2, 2), 0.125), options, fits, UNIT)
        ours = program.fixed_point(unit=unit)
        assert program.satisfied(ours.delta, 1e-12)
        assert 64 < ours.sweeps < 200
        assert ours.objective == pytest.approx(program.highs().objective, abs=1e-9)


def test_one_bidder_keeps_every_menu():
    for seed in range(20):
        mechanism = random_cells(seed, bidders=1, grid=3, count=5)
        result = transform(mechanism)
        assert result.moved == 0 and result.mechanism == mechanism


def test_menus_that_are_compatible_with_the_margin_are_left_untouched():
    mechanism = transform(random_cells(3, 2, 2, 3, 4)).mechanism
    again = transform(mechanism)
    assert again.moved == 0 and again.mechanism == mechanism


def test_the_worked_example_of_one_item():
    # Two bidders, U[0, 1], price max(1/2, centre of the other's cell): bidder 2 ends at 0.5, 0.5, 0.75 and 1.
    class Start:
        demand = "additive"

        def check_size(self, bidders, items):
            assert (bidders, items) == (2, 1)

        def menus(self, bids):
            from walras.envs.auctions.mechanism import Menu

            price = np.maximum(0.5, bids[:, ::-1, 0])
            options = np.broadcast_to([[0.0], [1.0]], (len(bids), 2, 2, 1))
            return Menu(options, np.stack([np.zeros_like(price), price], axis=-1))

    low, high = np.zeros((2, 1)), np.ones((2, 1))
    mechanism = freeze(Start(), grid_cuts(low, high, 4), nudge=0)
    result = transform(mechanism)
    np.testing.assert_array_equal(result.mechanism.prices[0][:, 1], [0.5, 0.5, 0.625, 0.875])
    np.testing.assert_array_equal(result.mechanism.prices[1][:, 1], [0.5, 0.5 + UNIT, 0.75 + UNIT, 1.0 + UNIT])
    for grid, known in ((4, 0.3828125), (8, 0.40039), (16, 0.40869), (32, 0.41272), (64, 0.41470)):
        made = transform(freeze(Start(), grid_cuts(low, high, grid), nudge=0)).mechanism
        revenue = sum(np.mean(own[:, 1] * np.clip(1.0 - own[:, 1], 0.0, 1.0)) for own in made.prices)
        assert revenue == pytest.approx(known, abs=1e-6 if grid == 4 else 6e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 8))
def test_cheaper_menus_of_the_first_bidder_never_lower_the_changes_of_the_second(seed, cut):
    mechanism = random_cells(seed, 2, 2, 2, 4)
    lower = mechanism.prices[0].copy()
    lower[:, 1:] -= cut / 16.0
    cheaper = CellMenus(mechanism.cuts, mechanism.options, (lower, mechanism.prices[1]))
    assert np.all(transform(cheaper).delta[1] >= transform(mechanism).delta[1])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_common_fee_keeps_a_compatible_deterministic_mechanism_compatible(seed):
    rng = np.random.default_rng(seed)
    made = transform(random_cells(seed, 2, 2, 2, 4, fractions=False)).mechanism
    prices = []
    for own in made.prices:
        fee = rng.integers(0, 8, len(own)) / 16.0 * (rng.random(len(own)) < 0.5)
        prices.append(own + fee[:, None] * (np.arange(own.shape[1]) > 0))
    charged = CellMenus(made.cuts, made.options, tuple(prices))
    # With plain bundles the sets of possible options only lose members or gain the null option.
    assert over_allocation(charged, rng.random((2000, 2, 2))) <= 0.0


def test_three_halves_of_one_item_conflict_though_each_two_fit():
    half = np.array([[0.0], [0.5]])
    cuts = grid_cuts(np.zeros((3, 1)), np.ones((3, 1)), 1)
    mechanism = CellMenus(cuts, (half[None],) * 3, (np.array([[0.0, 0.125]]),) * 3)
    assert promised(mechanism).max() == 1.5
    result = transform(mechanism)
    assert [delta.any() for delta in result.delta] == [False, False, True]
    assert result.promised.max() == 1.0


def test_the_order_decides_who_is_privileged():
    mechanism = freeze(AMA.symmetric_2x2(*BEST_AMA), grid_cuts(np.zeros((2, 2)), np.ones((2, 2)), 8))
    first, second = transform(mechanism, (0, 1)), transform(mechanism, (1, 0))
    np.testing.assert_array_equal(first.mechanism.prices[0], second.mechanism.prices[1])
    np.testing.assert_array_equal(first.mechanism.prices[1], second.mechanism.prices[0])
    assert not np.array_equal(first.mechanism.prices[0], first.mechanism.prices[1])


def test_revenue_over_cells_is_the_mean_of_draws():
    law = Uniform(0.0, 1.0)
    prior = Prior.iid(law, 2, 2)
    mechanism = transform(random_cells(5, 2, 2, 3, 4)).mechanism
    paid = mechanism.outcome(np.random.default_rng(0).random((200_000, 2, 2))).payment.sum(axis=1)
    exact = cell_revenue(mechanism, prior)
    assert abs(paid.mean() - exact) < 5.0 * paid.std() / np.sqrt(len(paid))
    three = Prior.independent([[law], [law], [Uniform(0.25, 0.75)]])
    mechanism = transform(random_cells(6, 3, 1, 3, 3)).mechanism
    paid = mechanism.outcome(three.sample(np.random.default_rng(1).random((200_000, 3)))).payment.sum(axis=1)
    assert abs(paid.mean() - cell_revenue(mechanism, three)) < 5.0 * paid.std() / np.sqrt(len(paid))


def test_finer_cells_earn_more_and_broken_ties_earn_more_than_touching_cells():
    ama, prior = AMA.symmetric_2x2(*BEST_AMA), Prior.iid(Uniform(0.0, 1.0), 2, 2)

    def revenue(grid, nudge):
        cuts = grid_cuts(np.zeros((2, 2)), np.ones((2, 2)), grid)
        return cell_revenue(transform(freeze(ama, cuts, nudge=nudge)).mechanism, prior)

    assert revenue(16, 0) + 0.01 < revenue(16, 4)
    assert revenue(10, 4) == pytest.approx(0.844638, abs=1e-5)
    assert revenue(20, 4) == pytest.approx(0.855736, abs=1e-5)


def test_cells_are_refined_only_where_prices_moved():
    ama, prior = AMA.symmetric_2x2(*BEST_AMA), Prior.iid(Uniform(0.0, 1.0), 2, 2)
    low, high = np.zeros((2, 2)), np.ones((2, 2))
    adaptive = adaptive_transform(ama, low, high, grid=6, rounds=1)
    assert adaptive.cells[0] == (36, 36)
    assert all(36 < count < 0.95 * 12**2 for count in adaptive.cells[-1])
    assert promised(adaptive.result.mechanism).max() <= 1.0
    everywhere = transform(freeze(ama, grid_cuts(low, high, 12))).mechanism
    earned = cell_revenue(adaptive.result.mechanism, prior)
    assert earned == pytest.approx(cell_revenue(everywhere, prior), abs=2e-3)
    # Menus that need no transform are never cut.
    one = PostedMenu(BUNDLES[1:], (0.5, 0.5, 0.875))
    assert adaptive_transform(one, low[:1], high[:1], grid=2, rounds=2).cells[-1] == (4,)


def test_bad_arguments_are_refused_by_name():
    mechanism = random_cells(0)
    with pytest.raises(ValueError, match="order"):
        transform(mechanism, (0, 0))
    with pytest.raises(ValueError, match="margin"):
        transform(mechanism, margin=-1.0)
    with pytest.raises(ValueError, match="share"):
        adaptive_transform(AMA.symmetric_2x2(0.5, 1, 1), np.zeros((2, 2)), np.ones((2, 2)), grid=2, rounds=1, share=0)
    with pytest.raises(ValueError, match="bidders"):
        freeze(AMA.symmetric_2x2(0.5, 1, 1), grid_cuts(np.zeros((3, 2)), np.ones((3, 2)), 2))
