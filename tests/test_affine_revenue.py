"""Exact revenue of affine maximisers under uniform values, against printed fractions, closed forms and simulation."""

import itertools
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.envs.auctions.affine_revenue import affine_revenue, uniform_revenue
from walras.envs.auctions.mechanisms import AMA, PostedMenu
from walras.envs.auctions.priors import Beta, Prior, Uniform, prior
from walras.envs.auctions.regions import largest_regions, mean_of_largest


def symmetric(one, both, split):
    """Outcomes and boosts of the symmetric deterministic auction for 2 bidders and 2 items, in fractions."""
    ama = AMA.symmetric_2x2(1.0, 2.0, 4.0)
    boosts = {0.0: F(0), -1.0: -F(one), -2.0: -F(both), -4.0: -F(split)}
    return ama.allocations, [boosts[boost] for boost in ama.boosts]


@pytest.mark.parametrize(
    ("numbers", "revenue"),
    [
        ((0, 0, 0), F(2, 3)),
        ((F(1, 2), 1, 1), F(5, 6)),
        ((F(115, 100), F(82, 100), F(110, 100)), F(336757781, 390625000)),
        ((F(159, 250), F(91, 100), F(1137, 1000)), F(26232089810531183, 30000000000000000)),
    ],
    ids=["vcg", "item-wise Myerson", "AMA_bsym", "published certificate"],
)
def test_symmetric_auctions_for_two_bidders_and_two_items_earn_the_known_fractions(numbers, revenue):
    allocations, boosts = symmetric(*numbers)
    assert affine_revenue(allocations, (1, 1), boosts, [[0, 0]] * 2, [[1, 1]] * 2) == revenue


@pytest.mark.parametrize(("bidders", "items", "revenue"), [(2, 1, F(5, 12)), (3, 1, F(17, 32)), (3, 2, F(17, 16))])
def test_a_reserve_of_one_half_for_each_item_earns_what_myerson_says(bidders, items, revenue):
    owners = list(itertools.product(range(-1, bidders), repeat=items))
    allocations = [[[int(o == i) for o in row] for i in range(bidders)] for row in owners]
    boosts = [-F(1, 2) * sum(o >= 0 for o in row) for row in owners]
    low, high = [[0] * items] * bidders, [[1] * items] * bidders
    assert affine_revenue(allocations, (1,) * bidders, boosts, low, high) == revenue


def test_one_bidder_is_a_posted_menu():
    menu = PostedMenu(((1.0, 0.0), (0.0, 1.0), (1.0, 1.0)), (0.625, 0.6875, 0.875))
    shares = [[list(row)] for row in menu.items]
    exact = affine_revenue(shares, (1,), [-p for p in menu.prices], [[0, 0]], [[1, 1]])
    u = np.random.default_rng(0).random((400_000, 1, 2))
    paid = menu.outcome(u).payment[:, 0]
    assert float(exact) == pytest.approx(paid.mean(), abs=4 * paid.std() / np.sqrt(len(paid)))


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_lotteries_weights_and_boxes_of_any_kind_earn_what_simulation_says(data):
    n, m = data.draw(st.sampled_from([(1, 2), (2, 1), (2, 2), (3, 1)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    count = data.draw(st.integers(1, 6))
    shares = np.round(rng.dirichlet(np.ones(n + 1), size=(count, m)) * 64) / 64
    shares = np.minimum(shares[..., :n], 1.0).transpose(0, 2, 1)
    shares *= shares.sum(axis=1, keepdims=True) <= 1.0
    boosts = np.round((0.1 * rng.standard_normal(count) - 0.4 * shares.sum(axis=(1, 2))) * 64) / 64
    weights = np.round(rng.uniform(0.5, 2.0, n) * 16) / 16
    laws = [[Uniform(float(a), float(a) + float(w)) for a, w in rng.integers(1, 4, (m, 2)) / 2] for _ in range(n)]
    values = Prior.independent(laws)
    ama = AMA(tuple(map(tuple, shares.tolist())), tuple(weights.tolist()), tuple(boosts.tolist()))
    exact = float(uniform_revenue(ama, values))
    paid = ama.outcome(values.sample(rng.random((100_000, values.draws)))).payment.sum(axis=1)
    assert exact == pytest.approx(paid.mean(), abs=5 * paid.std() / np.sqrt(len(paid)) + 1e-9)


def test_regions_fill_the_box_and_ties_go_to_the_first():
    regions = largest_regions([[1, 0], [0, 1], [1, 0]], [0, 0, 0], [F(0), F(0)], [F(2), F(2)])
    assert [region.volume for region in regions] == [2, 2, 0]
    assert regions[0].moment == (F(8, 3), F(4, 3))
    assert mean_of_largest([[1, 0], [0, 1]], [0, 0], [F(0), F(0)], [F(1), F(1)]) == F(2, 3)


def test_the_mean_of_the_largest_coordinate_is_that_of_the_order_statistic():
    for d in range(1, 7):
        eye = np.eye(d, dtype=int).tolist()
        assert mean_of_largest(eye, [0] * d, [F(0)] * d, [F(1)] * d) == F(d, d + 1)


def test_what_cannot_be_computed_exactly_is_refused():
    ama = AMA.symmetric_2x2(0.5, 1.0, 1.0)
    with pytest.raises(ValueError, match="prior: independent uniform values"):
        uniform_revenue(ama, Prior.iid(Beta(1.0, 2.0), 2, 2))
    with pytest.raises(ValueError, match="at most 6 values"):
        uniform_revenue(AMA((((0.0,) * 4,) * 2,), (1.0, 1.0), (0.0,)), prior("uniform01", 2, 4))
    with pytest.raises(ValueError, match="slopes, offsets, low"):
        largest_regions([[1, 2]], [0, 0], [F(0)] * 2, [F(1)] * 2)
    with pytest.raises(ValueError, match="low, high"):
        largest_regions([[1]], [0], [F(1)], [F(1)])
