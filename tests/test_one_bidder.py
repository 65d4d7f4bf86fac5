"""One bidder: exact revenue of menus, proved optima, bounds by linear programs, the Straight-Jacket auction."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from walras.envs.auctions.bundles import bundle_myerson_revenue
from walras.envs.auctions.mechanisms import PostedMenu
from walras.envs.auctions.menu_bound import menu_bound
from walras.envs.auctions.menu_revenue import menu_regions, menu_revenue, menu_shares
from walras.envs.auctions.one_bidder import ONE_BIDDER, straight_jacket
from walras.envs.auctions.priors import Prior, Triangle, Uniform, prior
from walras.envs.auctions.straight_jacket import (
    polymatroid_volume,
    straight_jacket_prices,
    straight_jacket_revenue,
    symmetric_menu_shares,
    uniform_bundle,
)

UNIT = [
    Prior.iid(Uniform(), 1, 2),
    Prior.per_item((Uniform(4.0, 16.0), Uniform(4.0, 7.0)), 1),
    Triangle(),
]


def grid_revenue(menu, law, side):
    """Mean payment over the midpoints of a grid of uniforms."""
    points = (np.arange(side) + 0.5) / side
    u = np.stack(np.meshgrid(*[points] * law.items, indexing="ij"), axis=-1).reshape(-1, law.items)
    return menu.outcome(law.sample(u)).payment.sum(axis=1).mean()


def menus(items, demand="additive", options=6):
    """Menus with prices in eighths, so that ties and parallel options come up."""
    share = st.integers(0, 4).map(lambda k: k / 4)
    row = st.tuples(*[share] * items)
    if demand == "unit":
        row = row.filter(lambda entries: sum(entries) <= 1)
    option = st.tuples(row, st.integers(0, 8 * items).map(lambda k: k / 8))
    return st.lists(option, min_size=1, max_size=options).map(
        lambda rows: PostedMenu(tuple(row for row, _ in rows), tuple(price for _, price in rows), demand)
    )


@pytest.mark.parametrize("name", ONE_BIDDER)
def test_the_known_optimal_menus_earn_their_exact_revenue(name):
    setting = ONE_BIDDER[name]
    assert menu_revenue(setting.menu, setting.prior) == pytest.approx(setting.revenue, rel=1e-15)
    assert grid_revenue(setting.menu, setting.prior, 1000) == pytest.approx(setting.revenue, rel=1e-3)


@pytest.mark.parametrize("name", ONE_BIDDER)
def test_no_small_change_of_a_price_or_a_share_of_an_optimal_menu_earns_more(name):
    setting = ONE_BIDDER[name]
    menu, top = setting.menu, setting.revenue * (1 + 1e-12)
    for k in range(1, len(menu.prices)):
        for nudge in (-1e-3, 1e-3):
            prices = tuple(p * (1 + nudge) if j == k else p for j, p in enumerate(menu.prices))
            assert menu_revenue(PostedMenu(menu.items, prices, setting.demand), setting.prior) <= top
    for k, j in itertools.product(range(1, len(menu.prices)), range(len(menu.items[0]))):
        items = [list(row) for row in menu.items]
        items[k][j] = max(0.0, items[k][j] - 1e-3)
        assert menu_revenue(PostedMenu(items, menu.prices, setting.demand), setting.prior) <= top


@pytest.mark.parametrize("name", ONE_BIDDER)
def test_a_linear_program_proves_that_no_menu_earns_more(name):
    setting = ONE_BIDDER[name]
    found = menu_bound(setting.prior, setting.demand, cells=32)
    assert setting.revenue * (1 - 1e-12) <= found.bound <= setting.revenue * 1.0022
    assert found.violation <= 1e-6


@pytest.mark.parametrize("law", UNIT, ids=repr)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_shares_are_fractions_that_fill_the_values_and_agree_with_counting(law, data):
    menu = data.draw(menus(2))
    shares = menu_shares(menu, law)
    assert all(isinstance(share, Fraction) and share >= 0 for share in shares)
    assert sum(shares) == 1
    assert menu_revenue(menu, law) == pytest.approx(grid_revenue(menu, law, 200), abs=0.02 * float(law.high.max()))


@given(menu=menus(3, options=5))
@settings(max_examples=15, deadline=None)
def test_three_items_agree_with_counting(menu):
    law = Prior.iid(Uniform(), 1, 3)
    assert sum(menu_shares(menu, law)) == 1
    assert menu_revenue(menu, law) == pytest.approx(grid_revenue(menu, law, 40), abs=0.1)


@given(menu=menus(2, "unit"))
@settings(max_examples=15, deadline=None)
def test_the_bound_holds_for_every_menu(menu):
    law = Prior.iid(Uniform(2.0, 3.0), 1, 2)
    raised = PostedMenu(
        menu.items, tuple(p + 2.0 * sum(row) for row, p in zip(menu.items, menu.prices, strict=True)), "unit"
    )
    assert menu_revenue(raised, law) <= menu_bound(law, "unit", cells=4).bound


def test_regions_are_polygons_that_cover_the_values():
    setting = ONE_BIDDER["additive-uniform"]
    regions = menu_regions(setting.menu, setting.prior)

    def area(polygon):
        x, y = np.array(polygon).T
        return 0.5 * abs(float((np.roll(x, 1) * y - x * np.roll(y, 1)).sum()))

    shares = menu_shares(setting.menu, setting.prior)
    for polygon, share in zip(regions, shares, strict=True):
        assert area(polygon) == pytest.approx(float(share), abs=1e-14)


@given(
    slopes=st.lists(st.fractions(0, 1, max_denominator=20), min_size=1, max_size=3).map(
        lambda parts: sorted(parts, reverse=True)
    )
)
@settings(max_examples=25, deadline=None)
def test_symmetric_volumes_are_those_of_the_polytopes(slopes):
    prices = list(itertools.accumulate(slopes))
    bundles = [row for row in itertools.product((0, 1), repeat=len(prices)) if any(row)]
    # Dyadic prices, so that floats lose nothing.
    prices = [Fraction(round(p * 1024), 1024) for p in prices]
    assume(all(2 * b >= a + c for a, b, c in zip([Fraction(0), *prices], prices, prices[1:], strict=False)))
    menu = PostedMenu(tuple(bundles), tuple(float(prices[sum(row) - 1]) for row in bundles))
    exact = menu_shares(menu, Prior.iid(Uniform(), 1, len(prices)))
    assert polymatroid_volume(prices) == exact[0]
    by_size = [Fraction(0)] * (len(prices) + 1)
    for row, share in zip(menu.items, exact, strict=True):
        by_size[int(sum(row))] += share
    shares = symmetric_menu_shares(prices)
    assert sum(shares) == 1
    if len(set(prices)) == len(prices):  # else parts and wholes cost the same, and the first one listed is bought
        assert list(shares) == by_size


def test_straight_jacket_prices_solve_the_volume_equations():
    for m in range(1, 8):
        prices = straight_jacket_prices(m)
        assert prices[0] == pytest.approx(m / (m + 1), rel=1e-15)
        if m > 1:
            assert prices[1] == pytest.approx((2 * m - math.sqrt(2)) / (m + 1), rel=1e-14)
        for r in range(1, m + 1):
            assert float(polymatroid_volume(prices[:r])) == pytest.approx(1 - r / (m + 1), rel=1e-13)
    assert straight_jacket_prices(5)[4] < straight_jacket_prices(5)[3]


@pytest.mark.parametrize("items", [1, 2, 3, 4])
def test_the_straight_jacket_menu_earns_its_exact_revenue(items):
    setting = straight_jacket(items)
    assert menu_revenue(setting.menu, setting.prior) == pytest.approx(setting.revenue, rel=1e-14)
    assert sum(symmetric_menu_shares(straight_jacket_prices(items))) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize(
    ("items", "sampled"), [(2, 0.549187), (3, 0.875466), (4, 1.2195), (5, 1.576457), (10, 3.477781)]
)
def test_straight_jacket_revenue_is_what_others_have_sampled(items, sampled):
    assert straight_jacket_revenue(items) == pytest.approx(sampled, abs=3e-5)


def test_the_straight_jacket_auction_of_three_goods_is_bounded_by_a_program():
    found = menu_bound(prior("uniform01", 1, 3), cells=6)
    assert straight_jacket_revenue(3) <= found.bound <= 1.06 * straight_jacket_revenue(3)


@pytest.mark.parametrize("items", [1, 2, 5, 20])
def test_the_best_price_of_one_lot(items):
    price, revenue = uniform_bundle(items)
    assert revenue == pytest.approx(bundle_myerson_revenue(prior("uniform01", 1, items)), rel=1e-8)
    if items == 2:
        assert price == pytest.approx(math.sqrt(2 / 3), rel=1e-14)
        assert revenue == pytest.approx(2 / 3 * math.sqrt(2 / 3), rel=1e-12)
    assert revenue <= straight_jacket_revenue(items) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: menu_revenue(PostedMenu(((1.0,),), (0.5,)), prior("beta", 1, 1)), "prior"),
        (lambda: menu_revenue(PostedMenu(((1.0,),), (0.5,)), prior("uniform01", 1, 2)), "bids"),
        (lambda: menu_regions(PostedMenu(((1.0,),), (0.5,)), prior("uniform01", 1, 1)), "menu"),
        (lambda: menu_bound(prior("exponential", 1, 1)), "prior"),
        (lambda: menu_bound(prior("uniform01", 2, 1)), "prior"),
        (lambda: menu_bound(prior("uniform01", 1, 1), "both"), "demand"),
        (lambda: menu_bound(prior("uniform01", 1, 1), cells=0), "cells"),
        (lambda: straight_jacket_prices(0), "items"),
        (lambda: straight_jacket(11), "items"),
        (lambda: polymatroid_volume([0.5, 1.5]), "bounds"),
        (lambda: polymatroid_volume([-0.5]), "bounds"),
        (lambda: symmetric_menu_shares([]), "prices"),
        (lambda: symmetric_menu_shares([0.1, 0.9]), "prices"),
    ],
)
def test_bad_input_is_refused_by_name(call, word):
    with pytest.raises(ValueError, match=word):
        call()
