"""Simplex menus, outcome tables and mixtures: the rules of the formats, on their own terms."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.envs.auctions import kuhn
from walras.envs.auctions.certify import whole
from walras.envs.auctions.mechanisms import AMA, VCG, CoinMixture, FirstPrice, OutcomeTable
from walras.envs.auctions.node_menus import node_menus
from walras.envs.auctions.priors import prior
from walras.envs.auctions.simplex_menus import SimplexMenus, tabulate_menus
from walras.envs.auctions.simplex_revenue import integrated_revenue
from walras.envs.auctions.tables import check_dyadic, dyadic

BUNDLES = np.array(list(itertools.product((0.0, 1.0), repeat=2)))


def menus_of(seed: int, bidders: int = 2, grid: int = 3, surcharges: bool = True) -> SimplexMenus:
    rng = np.random.default_rng(seed)
    d = 2 * (bidders - 1)
    prices = dyadic(rng.random((bidders, (grid + 1) ** d, 4)) + BUNDLES.sum(axis=1) * 0.3)
    prices[..., 0] = 0.0
    own = []
    for level in (0, 2):
        total = kuhn.count(grid << level, d)
        ids = np.sort(rng.choice(total, min(total // 2, 40), replace=False))
        amounts = dyadic(rng.random((len(ids), 4)) * 0.2)
        amounts[:, 0] = 0.0
        own.append((level, ids, amounts))
    low = np.zeros((bidders, 2))
    low[-1] = 0.25
    every = (tuple(own),) * bidders if surcharges else ()
    return SimplexMenus(low, low + np.array([1.0, 2.0]), BUNDLES, prices, grid, every)


@pytest.mark.parametrize(("cells", "dimension"), [(1, 0), (3, 1), (2, 2), (3, 3), (2, 4), (1, 5)])
def test_simplices_are_numbered_halved_and_joined_consistently(cells: int, dimension: int) -> None:
    ids = np.arange(kuhn.count(cells, dimension))
    corners = kuhn.vertices(ids, cells, dimension)
    assert corners.min(initial=0) >= 0 and corners.max(initial=0) <= cells
    assert np.array_equal(kuhn.locate(corners.mean(axis=1) / cells, cells), ids)
    halves = kuhn.halve(ids, cells, dimension)
    middles = kuhn.vertices(halves.ravel(), 2 * cells, dimension).mean(axis=1) / (2 * cells)
    assert np.array_equal(kuhn.locate(middles, cells), np.repeat(ids, 2**dimension))
    assert np.array_equal(np.sort(halves.ravel()), np.arange(kuhn.count(2 * cells, dimension)))
    assert np.array_equal(kuhn.parents(halves.ravel(), 2 * cells, dimension), np.repeat(ids, 2**dimension))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.integers(2, 3), st.integers(0, 10_000))
def test_prices_in_doubles_agree_with_the_rule_in_fractions(seed: int, bidders: int, profile: int) -> None:
    menus = menus_of(seed, bidders, grid=2)
    rng = np.random.default_rng(profile)
    values = menus.low + (menus.high - menus.low) * rng.random((1, bidders, 2)) * 1.2 - 0.1
    values = np.maximum(values, 0.0)
    exact_values = [[Fraction(x) for x in row] for row in values[0].tolist()]
    for i in range(bidders):
        exact = whole.exact_prices(menus, exact_values, i)
        assert np.allclose(menus.price(values, i)[0], np.array(exact, dtype=float), atol=1e-12)
    outcome = menus(values)
    for i, k in enumerate(whole.exact_choices(menus, exact_values)):
        assert np.array_equal(outcome.allocation[0, i], menus.options[k])


def test_without_surcharges_it_is_the_node_menu_of_the_designers_view() -> None:
    rng = np.random.default_rng(0)
    prices = dyadic(rng.random((16, 3)))
    table = np.concatenate((np.zeros((16, 1)), prices), axis=1)
    menus = SimplexMenus(np.zeros((2, 2)), np.ones((2, 2)), BUNDLES, np.stack([table, table]), 3)
    bids = rng.random((500, 2, 2))
    old = node_menus(bids, prices, grid=3, low=np.zeros(2), high=np.ones(2))
    assert np.allclose(menus.menus(bids).prices, old.prices, atol=1e-12)
    assert np.array_equal(menus.menus(bids).items, old.items)


def test_menus_never_look_at_the_bidders_own_report() -> None:
    menus = menus_of(1, 3, grid=2)
    rng = np.random.default_rng(0)
    bids = rng.random((300, 3, 2))
    before = menus.menus(bids)
    for i in range(3):
        other = bids.copy()
        other[:, i] = rng.random((300, 2)) * 3
        assert np.array_equal(menus.menus(other).prices[:, i], before.prices[:, i])


def test_torch_and_single_precision_choose_as_double_precision_does() -> None:
    menus = menus_of(2)
    bids = np.random.default_rng(0).random((4000, 2, 2)).astype(np.float32)
    exact = menus(bids.astype(np.float64))
    single, tensor = menus(bids), menus(torch.as_tensor(bids))
    assert single.payment.dtype == np.float32 and tensor.payment.dtype == torch.float32
    assert np.array_equal(single.allocation, exact.allocation)
    assert np.array_equal(tensor.allocation.numpy(), exact.allocation)


def test_finer_surcharges_replace_coarser_ones() -> None:
    prices = np.zeros((2, 2, 2))
    amounts = np.array([[0.0, 0.5]])
    own = ((0, [0], amounts), (2, [1], amounts / 2))
    menus = SimplexMenus(np.zeros((2, 1)), np.ones((2, 1)), np.array([[0.0], [1.0]]), prices, 1, ((), own))
    bids = np.zeros((3, 2, 1))
    bids[:, 0, 0] = (0.1, 0.3, 0.6)
    assert menus.price(bids, 1)[:, 1].tolist() == [0.5, 0.25, 0.5]
    assert menus.price(bids, 0)[:, 1].tolist() == [0.0] * 3


def test_menus_of_any_mechanism_are_read_at_the_nodes() -> None:
    ama, box = AMA.symmetric_2x2(0.636, 0.91, 1.137), (np.zeros((2, 2)), np.ones((2, 2)))
    table = tabulate_menus(ama, BUNDLES, *box, 4)
    bids = np.random.default_rng(0).integers(0, 5, (300, 2, 2)) / 4
    menu = ama.menus(bids)
    for k, bundle in enumerate(BUNDLES):
        same = np.all(menu.items == bundle, axis=-1)
        cheapest = np.where(same, menu.prices, np.inf).min(axis=-1)
        assert np.allclose(table.menus(bids).prices[..., k], cheapest if k else 0.0, atol=2.0**-24)
    with pytest.raises(ValueError, match="options: each must be in the menu"):
        tabulate_menus(ama, np.array([[0.0, 0.0], [0.5, 0.0]]), *box, 4)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"grid": 0}, "grid"),
    ({"demand": "both"}, "demand"),
    ({"high": np.zeros((2, 2))}, "low, high"),
    ({"options": BUNDLES[1:]}, "options"),
    ({"options": 2 * BUNDLES}, "options"),
    ({"demand": "unit"}, "options"),
    ({"prices": np.zeros((2, 9, 4))}, "prices"),
    ({"prices": np.full((2, 16, 4), 0.5)}, "prices"),
    ({"prices": np.full((2, 16, 4), 1 / 3)}, "prices"),
    ({"prices": np.full((2, 16, 4), np.nan)}, "prices"),
    ({"surcharges": ((),)}, "surcharges"),
    ({"surcharges": ((), ((0, [1, 0], np.zeros((2, 4))),))}, r"surcharges\[1\]"),
    ({"surcharges": ((), ((0, [18], np.zeros((1, 4))),))}, r"surcharges\[1\]"),
    ({"surcharges": ((), ((0, [0], np.ones((1, 4))),))}, "null option"),
    ({"surcharges": ((), ((40, [0], np.zeros((1, 4))),))}, "too many simplices"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[f"{k}-{m}" for k, (_, m) in enumerate(BAD)])
def test_bad_tables_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(menus_of(0, surcharges=False), **change)


def test_multiples_of_a_power_of_two_are_checked() -> None:
    assert dyadic(0.3, 4) == 5 / 16
    assert check_dyadic("x", [0.25], 2, 1).tolist() == [0.25]
    for wrong in ([0.125], [np.inf], [2.0**51], [], [[0.25]]):
        with pytest.raises(ValueError, match="x:"):
            check_dyadic("x", wrong, 2, 1)


def test_an_outcome_table_reads_reports_as_the_nearest_type() -> None:
    types = np.array([[1.0, 1.0], [2.0, 4.0]])
    table = OutcomeTable((types, types), np.zeros((4, 2, 2)), np.arange(8.0).reshape(4, 2))
    bids = np.array([[[0.0, 0.0], [9.0, 9.0]], [[1.4, 3.0], [1.5, 2.5]]])
    assert table.profile(bids).tolist() == [1, 2]
    assert table(bids).payment.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert table(torch.as_tensor(bids)).payment.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert not table.individually_rational


def test_a_mixture_is_the_mean_over_the_coin() -> None:
    parts = (VCG(), AMA.symmetric_2x2(0.5, 1, 1))
    mixture = CoinMixture(parts, (0.25, 0.75))
    bids = np.random.default_rng(0).random((200, 2, 2))
    expected = 0.25 * parts[0](bids).payment + 0.75 * parts[1](bids).payment
    assert np.allclose(mixture(bids).payment, expected)
    assert mixture.truthful and not CoinMixture.even(VCG(), FirstPrice(0.0)).truthful
    rng = np.random.default_rng(1)
    drawn = [mixture.draw(rng) for _ in range(2000)]
    assert 0.2 < np.mean([part == parts[0] for part in drawn]) < 0.3
    for mechanisms, weights, message in (
        ((), (), "mechanisms"),
        (parts, (0.5, 0.4), "weights"),
        ((VCG(), VCG("unit")), (0.5, 0.5), "mechanisms"),
    ):
        with pytest.raises(ValueError, match=message):
            CoinMixture(mechanisms, weights)


def test_options_listed_twice_are_paid_for_once_in_integrated_revenue() -> None:
    prices = np.array([0.0, 0.5, 0.5, 1.0])
    once, twice = (
        SimplexMenus(np.zeros((2, 2)), np.ones((2, 2)), BUNDLES[rows], np.tile(prices[rows], (2, 4, 1)), 1)
        for rows in ([0, 1, 2, 3], [0, 1, 1, 2, 3, 3])
    )
    values = prior("uniform01", 2, 2)
    assert integrated_revenue(once, values).mean == pytest.approx(1.0, abs=1e-12)
    assert integrated_revenue(twice, values).mean == pytest.approx(1.0, abs=1e-12)
