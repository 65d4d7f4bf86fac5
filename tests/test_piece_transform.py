"""The piecewise-affine transform: programs against HiGHS, compatibility by the certifier, theorems as properties."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from walras.algorithms.auctions.piece_earnings import earn
from walras.algorithms.auctions.piece_kernels import least_bound
from walras.algorithms.auctions.piece_leaves import PairLeaves, WholeLeaves, minimal_conflicts, surcharge_range
from walras.algorithms.auctions.piece_transform import least_surcharges, transform
from walras.envs.auctions import kuhn
from walras.envs.auctions.certify import certify
from walras.envs.auctions.laws import Beta, Uniform
from walras.envs.auctions.mechanism import MenuMechanism
from walras.envs.auctions.node_menus import bundles
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.simplex_menus import SimplexMenus, Surcharge
from walras.envs.auctions.simplex_revenue import drawn_revenue, integrated_revenue
from walras.envs.auctions.tables import dyadic

HALVES = np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
THIRDS = np.array([[0.0], [0.375], [0.5], [1.0]])


def menus(bidders, items, grid, seed, *, options=None, demand="additive", low=0.0, high=1.0):
    """Menus with random prices, cheap enough to conflict."""
    rng = np.random.default_rng(seed)
    if options is None:
        options = np.concatenate((np.zeros((1, items)), bundles(items, demand)))
    count = (grid + 1) ** (items * (bidders - 1))
    prices = dyadic(rng.uniform(0.3, 0.8, (bidders, count, len(options))) * options.sum(axis=1) * high)
    box = np.full((bidders, items), low), np.full((bidders, items), high)
    return SimplexMenus(*box, options, prices, grid, demand=demand)


def item_prices(grid, reserve=0.5):
    """Myerson's auction of each of two items with U[0, 1]: the highest of the reserve and the other's value."""
    axis = np.linspace(0.0, 1.0, grid + 1)
    nodes = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    options = np.concatenate((np.zeros((1, 2)), bundles(2, "additive")))
    prices = np.maximum(nodes, reserve) @ options.T
    return SimplexMenus(np.zeros((2, 2)), np.ones((2, 2)), options, dyadic([prices, prices]), grid)


def over_promised(mechanism, draws=20_000, seed=0):
    """Share of random profiles at which an item is promised more than once."""
    n, m = mechanism.low.shape
    values = mechanism.low + np.random.default_rng(seed).random((draws, n, m)) * (mechanism.high - mechanism.low)
    return float((mechanism.outcome(values).allocation.sum(axis=1) > 1.0 + 1e-9).any(axis=1).mean())


@pytest.mark.parametrize("seed", range(40))
def test_bounds_are_the_optima_of_linear_programs(seed):
    rng = np.random.default_rng(seed)
    rows, options, vertices = rng.integers(1, 5), rng.integers(1, 4), rng.integers(3, 10)
    best = rng.normal(size=(rows, vertices)) + rng.choice([-0.5, 0.0, 0.5])
    gain, added = rng.normal(size=(options, vertices)), rng.normal(size=options)
    if seed % 4 == 0:  # degenerate: whole numbers, repeated vertices
        best, gain = np.round(best), np.round(gain)
        best[:, 1], gain[:, 1] = best[:, 0], gain[:, 0]
    work = np.zeros((vertices + 1, rows + options + 1))
    found = least_bound(best, gain, added, -np.inf, work)
    # maximise t with t <= gain_o . x + added_o, best . x >= 0, x a distribution over the vertices
    answer = linprog(
        np.append(np.zeros(vertices), -1.0),
        A_ub=np.block([[-gain, np.ones((options, 1))], [-best, np.zeros((rows, 1))]]),
        b_ub=np.append(added, np.zeros(rows)),
        A_eq=[[1.0] * vertices + [0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * vertices + [(None, None)],
        method="highs",
    )
    assert (found == -np.inf) if answer.status == 2 else found == pytest.approx(-answer.fun, abs=1e-9)
    early = least_bound(best, gain, added, 1.0, work)
    assert early <= 1.0 if found <= 1.0 else early == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("level", [0, 1])
def test_products_of_simplices_and_simplices_of_the_cube_give_the_same_surcharges(level):
    mechanism = menus(2, 2, 2, 1)
    leaves = np.arange(kuhn.count(2 << level, 2))
    pairs, _ = least_surcharges(PairLeaves(mechanism, 1, level, leaves, 2))
    whole, _ = least_surcharges(WholeLeaves(mechanism, 1, level, leaves, 2, (0,), ((), ())))
    assert pairs.any()
    np.testing.assert_array_equal(pairs, whole)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from([(2, 1, 3, None), (2, 2, 2, None), (2, 2, 1, HALVES), (3, 1, 2, None), (3, 1, 2, THIRDS)]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 1),
    st.booleans(),
)
def test_transformed_menus_are_certified_whatever_the_prices(size, seed, levels, reverse):
    bidders, items, grid, options = size
    mechanism = menus(bidders, items, grid, seed, options=options)
    order = tuple(range(bidders))[:: -1 if reverse else 1]
    found, work = transform(mechanism, order, levels=levels)
    assert certify(found).status == "certified"
    assert over_promised(found, 2_000) == 0.0
    np.testing.assert_array_equal(found.prices, mechanism.prices)
    assert found.surcharges[order[0]] == ()
    for own in found.surcharges:
        for entry in own:
            assert (entry.amounts >= 0.0).all() and not entry.amounts[:, 0].any()
    assert {step.bidder for step in work} == set(order[1:])


@pytest.mark.parametrize(("bidders", "items", "demand"), [(2, 2, "unit"), (3, 2, "additive"), (2, 3, "additive")])
def test_larger_auctions_are_certified_too(bidders, items, demand):
    mechanism = menus(bidders, items, 1, 5, demand=demand, low=1.0, high=3.0)
    assert over_promised(mechanism) > 0.0
    assert certify(mechanism).status == "refuted"
    assert certify(transform(mechanism, levels=0).mechanism).status == "certified"


@pytest.mark.parametrize("grid", [2, 4])
def test_selling_item_by_item_is_left_as_it_is_up_to_ties(grid):
    mechanism = item_prices(grid)
    found = transform(mechanism, levels=1).mechanism
    largest = max((float(e.amounts.max()) for own in found.surcharges for e in own), default=0.0)
    assert largest <= 8 * 2.0**-24
    assert integrated_revenue(found, Prior.iid(Uniform(), 2, 2)).mean == pytest.approx(5.0 / 6.0, abs=1e-6)


def test_menus_that_fit_with_a_margin_are_not_touched():
    mechanism = item_prices(4)
    other = np.array(mechanism.prices)
    # Item 0 is for bidder 0 alone, item 1 for bidder 1: what is not offered costs more than it can be worth.
    for i, j in ((0, 1), (1, 0)):
        other[i, :, [k for k in range(4) if mechanism.options[k, j] == 1.0]] = 2.5
    found, work = transform(dataclasses.replace(mechanism, prices=other))
    assert found.surcharges == ((), ()) and work[0].raised == 0


def test_cheaper_menus_of_the_first_bidder_never_lower_the_surcharges_of_the_second():
    mechanism = menus(2, 2, 2, 3)
    cheaper = np.array(mechanism.prices)
    cheaper[0, :, 1:] -= 2.0**-5
    leaves = np.arange(kuhn.count(2, 2))
    before, _ = least_surcharges(PairLeaves(mechanism, 1, 0, leaves, 2))
    after, _ = least_surcharges(PairLeaves(dataclasses.replace(mechanism, prices=cheaper), 1, 0, leaves, 2))
    assert (after >= before - 2 * 2.0**-24).all() and (after > before).any()


def test_a_common_fee_keeps_a_compatible_mechanism_compatible():
    found = transform(menus(2, 2, 2, 4), levels=1).mechanism
    rng = np.random.default_rng(0)
    charged = np.array(found.prices)
    charged[:, :, 1:] += dyadic(rng.random((2, charged.shape[1], 1)) * 0.2)
    assert certify(dataclasses.replace(found, prices=charged)).status == "certified"


def test_refinement_lowers_surcharges_and_raises_revenue():
    prior = Prior.iid(Uniform(), 2, 2)
    mechanism = menus(2, 2, 2, 6)
    revenues = []
    coarse = None
    for levels in range(3):
        found = transform(mechanism, levels=levels).mechanism
        revenues.append(integrated_revenue(found, prior).mean)
        fine = surcharge_range(found, found.surcharges[1], 2)[0]
        assert coarse is None or (fine <= coarse + 2.0**-24).all()
        coarse = fine
    assert revenues == sorted(revenues) and revenues[2] > revenues[0]


def test_the_last_bidder_earns_more_where_the_menus_leave_room_and_still_fits():
    prior = Prior.iid(Uniform(), 2, 2)
    mechanism = item_prices(2)
    dear = np.array(mechanism.prices)
    dear[1, :, 1:] += 2.0**-5  # a gap on the side of bidder 1
    found = transform(dataclasses.replace(mechanism, prices=dear), levels=0).mechanism
    better = earn(found, prior, level=1)
    assert certify(better).status == "certified"
    assert integrated_revenue(better, prior).mean > integrated_revenue(found, prior).mean + 1e-4
    sloped = Prior.iid(Beta(1.0, 2.0), 2, 2)
    other = earn(found, sloped, level=0, sample=256)
    assert certify(other).status == "certified"
    rng = np.random.default_rng
    assert drawn_revenue(other, sloped, 200_000, rng(0)).mean > drawn_revenue(found, sloped, 200_000, rng(0)).mean


def test_least_conflicts_have_no_spare_member():
    conflicts, losers, fits = minimal_conflicts(THIRDS, 3, 2, (0, 1))
    found = {(*row, lost) for row, lost in zip(conflicts.tolist(), losers.tolist(), strict=True)}
    assert (3, -1, -1, 1) in found  # a whole item beside 0.375
    assert (1, 1, -1, 2) in found  # 0.375 + 0.375 + 0.5
    assert (2, 2, -1, 1) in found
    assert (1, 1, -1, 1) in found  # 3 * 0.375
    assert (2, -1, -1, 2) not in found  # two halves fit
    for row, lost, fit in zip(conflicts, losers, fits, strict=True):
        taken = THIRDS[[k for k in row if k > 0], 0].sum()
        assert taken <= 1.0 < taken + THIRDS[lost, 0]
        np.testing.assert_array_equal(fit, taken + THIRDS[:, 0] <= 1.0)


def test_the_range_of_surcharges_covers_finer_and_coarser_entries():
    mechanism = menus(2, 1, 2, 0)
    own = (Surcharge(0, np.array([1]), np.array([[0.0, 0.5]])), Surcharge(1, np.array([2]), np.array([[0.0, 0.25]])))
    least, most = surcharge_range(mechanism, own, 0)
    np.testing.assert_array_equal(least[:, 1], [0.0, 0.25])
    np.testing.assert_array_equal(most[:, 1], [0.0, 0.5])
    least, most = surcharge_range(mechanism, own, 2)
    np.testing.assert_array_equal(least[:, 1], [0, 0, 0, 0, 0.25, 0.25, 0.5, 0.5])
    np.testing.assert_array_equal(most, least)


def test_revenue_by_integration_is_that_of_draws():
    mechanism = transform(menus(2, 2, 2, 8), levels=1).mechanism
    prior = Prior.iid(Uniform(), 2, 2)
    exact = integrated_revenue(mechanism, prior)
    drawn = drawn_revenue(mechanism, prior, 400_000, np.random.default_rng(1))
    assert exact.error < 1e-4 and abs(exact.mean - drawn.mean) < 5.0 * drawn.error
    assert integrated_revenue(item_prices(2), prior).mean == pytest.approx(5.0 / 6.0, abs=1e-7)
    with pytest.raises(ValueError, match="uniform"):
        integrated_revenue(mechanism, Prior.iid(Beta(1.0, 2.0), 2, 2))


def test_mechanisms_and_orders_that_do_not_fit_are_refused():
    mechanism = menus(2, 1, 2, 0)
    with pytest.raises(ValueError, match="order"):
        transform(mechanism, (0, 0))
    with pytest.raises(ValueError, match="surcharges"):
        transform(transform(mechanism).mechanism)
    with pytest.raises(ValueError, match="independent"):
        earn(mechanism, Prior.triangle(2))
    assert isinstance(mechanism, MenuMechanism)
