"""Mechanisms: what they promise on random instances, their equalities, numpy against torch, gradients, bad input."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.envs.auctions.mechanisms import (
    AMA,
    MECHANISMS,
    VCG,
    AllPay,
    BundleMyerson,
    BundleSale,
    FirstPrice,
    ItemwiseMyerson,
    Menu,
    MenuMechanism,
    PostedMenu,
    PostedPrice,
    SecondPrice,
    affine_maximizer,
    choose,
    first_price,
    mechanism_from_dict,
    second_price,
    value,
)
from walras.envs.auctions.priors import Discrete, Power, Prior, TwoPoint, Uniform, irregular, prior

LOTTERIES = AMA(
    (
        (((0.5, 0.2), (0.5, 0.8))),
        (((1.0, 1.0), (0.0, 0.0))),
        (((0.0, 0.5), (0.3, 0.0))),
        (((0.0, 0.0), (0.7, 1.0))),
    ),
    (1.0, 1.7),
    (0.2, -0.3, 0.1, 0.0),
)
UNIT_LOTTERIES = AMA(
    (((0.5, 0.5), (0.5, 0.5)), ((1.0, 0.0), (0.0, 1.0)), ((0.2, 0.3), (0.0, 0.7))), (1.0, 0.6), (0.1, 0.0, 0.2), "unit"
)

# name -> (mechanism, bidders, items)
CASES = {
    "first price": (FirstPrice(), 3, 2),
    "first price with reserves": (FirstPrice((0.3, 0.6)), 3, 2),
    "second price": (SecondPrice(), 3, 2),
    "second price with reserves": (SecondPrice((0.3, 0.6)), 3, 2),
    "second price, one bidder": (SecondPrice(0.5), 1, 2),
    "all-pay": (AllPay(0.2), 3, 2),
    "bundle, first price": (BundleSale("first", 0.4), 3, 2),
    "bundle, second price": (BundleSale("second", 0.4), 3, 2),
    "bundle, all-pay": (BundleSale("all-pay", 0.4), 3, 2),
    "bundle Myerson": (BundleMyerson.of(prior("uniform01", 2, 3)), 2, 3),
    "posted prices": (PostedPrice((0.3, 0.6)), 3, 2),
    "posted prices, unit demand": (PostedPrice((0.3, 0.6), demand="unit"), 3, 2),
    "posted menu": (PostedMenu(((0.5, 1.0), (1.0, 1.0), (0.3, 0.3)), (0.5, 0.9, 0.1)), 1, 2),
    "VCG": (VCG(), 3, 2),
    "VCG, unit demand": (VCG("unit"), 3, 2),
    "VCG, unit demand, many items": (VCG("unit"), 4, 5),
    "item-wise Myerson, uniform": (ItemwiseMyerson(prior("uniform01", 3, 2)), 3, 2),
    "item-wise Myerson, irregular": (ItemwiseMyerson(Prior.iid(irregular(), 3, 2)), 3, 2),
    "item-wise Myerson, atoms": (ItemwiseMyerson(Prior.iid(Discrete((0.0, 0.5, 1.0), (0.5, 0.2, 0.3)), 3, 1)), 3, 1),
    "item-wise Myerson, mixed": (
        ItemwiseMyerson(Prior.per_bidder([Uniform(), irregular(), Power(2.0, 2.0)], 2)),
        3,
        2,
    ),
    "symmetric AMA": (AMA.symmetric_2x2(159 / 250, 91 / 100, 1137 / 1000), 2, 2),
    "AMA with lotteries": (LOTTERIES, 2, 2),
    "AMA with lotteries, unit demand": (UNIT_LOTTERIES, 2, 2),
}
TRUTHFUL = [name for name, (mechanism, _, _) in CASES.items() if mechanism.truthful]
MENUS = [name for name, (mechanism, _, _) in CASES.items() if isinstance(mechanism, MenuMechanism)]


def draw_bids(seed: int, bidders: int, items: int, batch: int = 256) -> np.ndarray:
    """Half the lanes continuous on several scales, half on a coarse grid, where ties and edges of flats are common."""
    rng = np.random.default_rng(seed)
    bids = rng.random((batch, bidders, items)) * rng.choice([1.0, 2.0, 5.0], (batch, 1, 1))
    bids[::2] = np.round(bids[::2] * 4.0) / 4.0
    return bids


seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=12, deadline=None)
@given(seed=seeds)
def test_no_item_is_sold_twice_and_nobody_is_paid(name, seed):
    mechanism, bidders, items = CASES[name]
    allocation, payment = mechanism(draw_bids(seed, bidders, items))
    assert allocation.shape == (256, bidders, items) and payment.shape == (256, bidders)
    assert np.all(allocation >= 0.0)
    assert np.all(allocation.sum(axis=1) <= 1.0 + 1e-12)
    assert np.all(payment >= -1e-12)
    if mechanism.demand == "unit":
        assert np.all(allocation.sum(axis=2) <= 1.0 + 1e-12)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[0].deterministic])
@settings(max_examples=5, deadline=None)
@given(seed=seeds)
def test_deterministic_mechanisms_use_probabilities_only_to_share_ties(name, seed):
    mechanism, bidders, items = CASES[name]
    rng = np.random.default_rng(seed)
    allocation = mechanism(rng.random((256, bidders, items)) * 2.0).allocation
    shared = (allocation > 0.0) & (allocation < 1.0)
    inverse = 1.0 / allocation[shared]
    np.testing.assert_allclose(inverse, np.round(inverse))
    if not isinstance(mechanism, ItemwiseMyerson):  # whose ties are flats of the ironed virtual value, of positive mass
        assert not shared.any()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[0].individually_rational])
@settings(max_examples=12, deadline=None)
@given(seed=seeds)
def test_a_truthful_bidder_never_loses_where_that_is_promised(name, seed):
    mechanism, bidders, items = CASES[name]
    values = draw_bids(seed, bidders, items)
    allocation, payment = mechanism(values)
    assert np.all(value(values, allocation, mechanism.demand) - payment >= -1e-9)


def test_a_truthful_bidder_can_lose_in_an_all_pay_auction():
    values = np.array([[[0.4], [0.9]]])
    for mechanism in (AllPay(), BundleSale("all-pay")):
        assert not mechanism.individually_rational
        np.testing.assert_allclose(mechanism(values).payment, [[0.4, 0.9]])


@pytest.mark.parametrize("name", TRUTHFUL)
@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_no_misreport_gains_where_truthfulness_is_promised(name, seed):
    mechanism, bidders, items = CASES[name]
    values = draw_bids(seed, bidders, items)
    rng = np.random.default_rng([seed, 1])
    allocation, payment = mechanism(values)
    honest = value(values, allocation, mechanism.demand) - payment
    for i in range(bidders):
        for lie in (
            draw_bids(seed + 1, 1, items)[:, 0],
            values[:, i] * rng.random((256, items)) * 2.0,
            np.maximum(values[:, i] + rng.choice([-0.25, 0.0, 0.25], (256, items)), 0.0),
            values[:, rng.integers(bidders)],
        ):
            reports = values.copy()
            reports[:, i] = lie
            allocation, payment = mechanism(reports)
            gained = value(values, allocation, mechanism.demand) - payment
            assert np.all(gained[:, i] <= honest[:, i] + 1e-9)


@pytest.mark.parametrize("name", [name for name in CASES if name not in TRUTHFUL])
def test_some_misreport_gains_where_truthfulness_is_not_promised(name):
    mechanism, bidders, items = CASES[name]
    values = draw_bids(5, bidders, items)
    reports = values.copy()
    reports[:, 0] *= 0.8
    honest, shaded = (
        value(values, outcome.allocation) - outcome.payment for outcome in (mechanism(values), mechanism(reports))
    )
    assert np.any(shaded[:, 0] > honest[:, 0] + 1e-3)


@pytest.mark.parametrize("name", MENUS)
@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_a_menu_does_not_depend_on_its_own_bidder_and_starts_with_the_null_option(name, seed):
    mechanism, bidders, items = CASES[name]
    bids = draw_bids(seed, bidders, items)
    menu = mechanism.menus(bids)
    assert np.all(menu.items[:, :, 0] == 0.0) and np.all(menu.prices[:, :, 0] == 0.0)
    for i in range(bidders):
        other = bids.copy()
        other[:, i] = draw_bids(seed + 1, 1, items)[:, 0]
        again = mechanism.menus(other)
        np.testing.assert_array_equal(again.items[:, i], menu.items[:, i])
        np.testing.assert_array_equal(again.prices[:, i], menu.prices[:, i])


@pytest.mark.parametrize("name", MENUS)
def test_the_outcome_of_a_menu_mechanism_is_the_best_option_of_every_bidder(name):
    mechanism, bidders, items = CASES[name]
    bids = np.random.default_rng(3).random((2000, bidders, items)) * 2.0
    outcome, chosen = mechanism.outcome(bids), mechanism.menus(bids).best(bids)
    np.testing.assert_allclose(outcome.allocation, chosen.allocation, atol=1e-12)
    np.testing.assert_allclose(outcome.payment, chosen.payment, atol=1e-9)


def test_the_lowest_index_wins_ties_between_options():
    assert choose(np.array([[1.0, 2.0, 2.0], [0.0, 0.0, -1.0]])).tolist() == [1, 0]
    menu = Menu(np.zeros((1, 1, 2, 1)) + np.array([[0.0], [1.0]]), np.array([[[0.0, 0.5]]]))
    assert menu.best(np.array([[[0.5]]])).payment.tolist() == [[0.0]]
    assert menu.best(np.array([[[0.6]]])).payment.tolist() == [[0.5]]


@settings(max_examples=25, deadline=None)
@given(seed=seeds, bidders=st.integers(1, 5), items=st.integers(1, 4))
def test_additive_vcg_is_the_second_price_auction_of_each_item_and_the_unweighted_ama(seed, bidders, items):
    bids = np.random.default_rng(seed).random((64, bidders, items))
    vcg, sale = VCG()(bids), SecondPrice()(bids)
    np.testing.assert_array_equal(vcg.allocation, sale.allocation)
    np.testing.assert_array_equal(vcg.payment, sale.payment)
    ranked = np.sort(np.concatenate([np.zeros((64, 1, items)), bids], axis=1), axis=1)
    np.testing.assert_allclose(vcg.payment.sum(axis=1), ranked[:, -2].sum(axis=1))


def test_the_symmetric_ama_family_contains_vcg_and_itemwise_myerson():
    bids = np.random.default_rng(0).random((20_000, 2, 2))
    for mechanism, other in (
        (AMA.symmetric_2x2(0.0, 0.0, 0.0), VCG()),
        (AMA.symmetric_2x2(0.5, 1.0, 1.0), ItemwiseMyerson(prior("uniform01", 2, 2))),
        (AMA.symmetric_2x2(0.5, 1.0, 1.0), SecondPrice(0.5)),
    ):
        np.testing.assert_allclose(mechanism(bids).allocation, other(bids).allocation)
        np.testing.assert_allclose(mechanism(bids).payment, other(bids).payment, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, boosts=st.tuples(*[st.floats(0.0, 1.2)] * 3))
def test_the_symmetric_ama_has_the_menu_of_the_closed_form(seed, boosts):
    one, both, extra = boosts
    split = one + extra  # below `one`, not selling to the bidder would no longer be the others' best outcome
    mechanism = AMA.symmetric_2x2(one, both, split)
    bids = np.random.default_rng(seed).random((200, 2, 2))
    q1, q2 = bids[:, 1, 0], bids[:, 1, 1]
    h = np.maximum.reduce([0.0 * q1, q1 - one, q2 - one, q1 + q2 - both])
    prices = np.stack([0.0 * h, h - np.maximum(-one, q2 - split), h - np.maximum(-one, q1 - split), h + both], axis=-1)
    bundles = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    best = Menu(np.broadcast_to(bundles, (200, 1, 4, 2)), prices[:, None]).utility(bids[:, :1]).max(axis=-1)[:, 0]
    allocation, payment = mechanism(bids)
    np.testing.assert_allclose(value(bids, allocation)[:, 0] - payment[:, 0], best, atol=1e-12)


@pytest.mark.parametrize(
    ("one", "both", "split", "published"),
    [(0.0, 0.0, 0.0, 2 / 3), (0.5, 1.0, 1.0, 5 / 6), (1.15, 0.82, 1.10, 0.8621), (0.636, 0.91, 1.137, 0.874402994)],
)
def test_symmetric_ama_revenue_on_the_uniform_square_is_the_published_one(one, both, split, published):
    mechanism = AMA.symmetric_2x2(one, both, split)
    side = (np.arange(44) + 0.5) / 44
    grid = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    total, shift = 0.0, np.random.default_rng(0)
    for own in grid:  # bidder 0 at one cell, bidder 1 everywhere: a jittered midpoint rule over all four values
        bids = np.stack([np.broadcast_to(own, grid.shape), grid], axis=1)
        total += mechanism.outcome(bids + (shift.random(bids.shape) - 0.5) / 44).payment.sum()
    assert total / len(grid) ** 2 == pytest.approx(published, abs=3e-4)


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_both_ways_to_compute_unit_demand_vcg_agree(seed):
    from walras.envs.auctions.truthful import _assignment_vcg

    bids = np.random.default_rng(seed).random((20, 3, 3))
    listed, solved = VCG("unit").outcome(bids), _assignment_vcg(bids)
    np.testing.assert_allclose(listed.allocation, solved.allocation)
    np.testing.assert_allclose(listed.payment, solved.payment, atol=1e-12)


def test_unit_demand_vcg_by_hand():
    bids = np.array([[[5.0, 3.0], [4.0, 1.0], [2.0, 2.5]]])
    allocation, payment = VCG("unit")(bids)
    # item 0 to bidder 0 (5) and item 1 to bidder 2 (2.5); without bidder 0: 4 + 2.5; without bidder 2: 4 + 3
    assert allocation[0].tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    np.testing.assert_allclose(payment[0], [6.5 - 2.5, 0.0, 7.0 - 5.0])


def test_second_price_by_hand_with_ties_and_reserves():
    bids = np.array([[[0.5], [0.5], [0.2]], [[0.9], [0.3], [0.1]], [[0.3], [0.2], [0.1]], [[0.4], [0.1], [0.0]]])
    allocation, payment = SecondPrice(0.4)(bids)
    np.testing.assert_allclose(allocation[:, :, 0], [[0.5, 0.5, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(payment, [[0.25, 0.25, 0], [0.4, 0, 0], [0, 0, 0], [0.4, 0, 0]])


def test_first_price_and_all_pay_by_hand():
    bids = np.array([[[0.5, 0.1], [0.5, 0.7], [0.2, 0.6]]])
    first, everyone = FirstPrice(0.15)(bids), AllPay(0.15)(bids)
    np.testing.assert_allclose(first.allocation, [[[0.5, 0.0], [0.5, 1.0], [0.0, 0.0]]])
    np.testing.assert_allclose(first.payment, [[0.25, 0.95, 0.0]])
    np.testing.assert_allclose(everyone.allocation, first.allocation)
    np.testing.assert_allclose(everyone.payment, [[0.5, 1.2, 0.8]])


def test_bundle_and_posted_sales_by_hand():
    bids = np.array([[[0.5, 0.1], [0.5, 0.7], [0.2, 0.6]]])
    bundle = BundleSale("second", 0.5)(bids)
    np.testing.assert_allclose(bundle.allocation, [[[0, 0], [1, 1], [0, 0]]])
    np.testing.assert_allclose(bundle.payment, [[0.0, 0.8, 0.0]])
    posted = PostedPrice((0.5, 0.55))(bids)
    np.testing.assert_allclose(posted.allocation, [[[1, 0], [0, 1], [0, 0]]])
    np.testing.assert_allclose(posted.payment, [[0.5, 0.55, 0.0]])
    single = PostedPrice((0.1, 0.05), demand="unit")(bids)
    np.testing.assert_allclose(single.allocation, [[[1, 0], [0, 1], [0, 0]]])


def test_ironed_ties_charge_the_average_threshold_over_random_orders():
    # values 1 and 2 with equal chances for 1 item: virtual values 0 and 2; three tied bidders of value 1
    # share at price 1, and one bidder of value 2 against two of value 1 pays (1 + 2 * 2) / 3.
    mechanism = ItemwiseMyerson(Prior.iid(TwoPoint(1.0, 2.0, 0.5), 3))
    allocation, payment = mechanism(np.array([[[1.0], [1.0], [1.0]], [[2.0], [1.0], [1.0]], [[2.0], [2.0], [1.0]]]))
    np.testing.assert_allclose(allocation[:, :, 0], [[1 / 3] * 3, [1, 0, 0], [0.5, 0.5, 0]])
    np.testing.assert_allclose(payment, [[1 / 3] * 3, [5 / 3, 0, 0], [1, 1, 0]])


def test_unit_demand_counts_only_the_best_item():
    values = np.array([[[3.0, 5.0, 1.0]]])
    for row, worth in (
        ([1.0, 1.0, 1.0], 5.0),
        ([1.0, 0.0, 1.0], 3.0),
        ([0.5, 0.0, 0.5], 2.0),
        ([0.5, 0.5, 0.0], 4.0),
        ([0.0, 0.5, 1.0], 3.0),
        ([0.0, 0.0, 0.0], 0.0),
    ):
        assert value(values, np.array([[row]]), "unit")[0, 0] == pytest.approx(worth)
        assert value(values, np.array([[row]]))[0, 0] == pytest.approx(np.dot(row, [3.0, 5.0, 1.0]))


def test_functions_take_one_reserve_for_each_lane():
    bids = np.random.default_rng(0).random((50, 3, 2))
    reserves = np.random.default_rng(1).random((50, 2))
    for function, kind in ((first_price, FirstPrice), (second_price, SecondPrice)):
        allocation, payment = function(bids, reserves)
        for lane in range(50):
            single = kind(tuple(reserves[lane]))(bids[lane : lane + 1])
            np.testing.assert_array_equal(allocation[lane], single.allocation[0])
            np.testing.assert_allclose(payment[lane], single.payment[0])


@pytest.mark.parametrize("name", CASES)
def test_numpy_and_torch_agree(name):
    mechanism, bidders, items = CASES[name]
    bids = draw_bids(11, bidders, items)
    expected, got = mechanism(bids), mechanism(torch.tensor(bids))
    np.testing.assert_allclose(got.allocation.numpy(), expected.allocation, atol=1e-12)
    np.testing.assert_allclose(got.payment.numpy(), expected.payment, atol=1e-12)
    np.testing.assert_allclose(
        value(torch.tensor(bids), got.allocation, mechanism.demand).numpy(),
        value(bids, expected.allocation, mechanism.demand),
        atol=1e-12,
    )
    single = mechanism(torch.tensor(bids, dtype=torch.float32))
    assert single.payment.dtype == torch.float32


CONSTANT_PRICES = ("posted prices", "posted prices, unit demand", "posted menu", "second price, one bidder")


@pytest.mark.parametrize("name", [name for name in CASES if name not in CONSTANT_PRICES])
def test_payments_have_the_gradient_of_finite_differences(name):
    mechanism, bidders, items = CASES[name]
    bids = np.random.default_rng(12).random((32, bidders, items)) * (8.0 if "irregular" in name else 2.0)
    tensor = torch.tensor(bids, requires_grad=True)
    mechanism.outcome(tensor).payment.sum().backward()
    gradient = tensor.grad.numpy()
    step = 1e-7
    for i in range(bidders):
        shift = np.zeros_like(bids)
        shift[:, i, 0] = step
        slope = (mechanism(bids + shift).payment - mechanism(bids - shift).payment).sum(axis=1) / (2 * step)
        np.testing.assert_allclose(gradient[:, i, 0], slope, atol=1e-5)
    assert np.any(gradient != 0.0)


def test_gradients_reach_reserves_and_affine_parameters():
    bids = torch.tensor(np.random.default_rng(4).random((500, 2, 2)))
    reserve = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    second_price(bids, reserve).payment.mean().backward()
    assert reserve.grad > 0.0
    known = AMA.symmetric_2x2(0.6, 0.9, 1.1)
    weights = torch.ones(2, dtype=torch.float64, requires_grad=True)
    boosts = torch.tensor(known.boosts, dtype=torch.float64, requires_grad=True)
    outcome = affine_maximizer(bids, known.allocations, weights, boosts)
    np.testing.assert_allclose(outcome.payment.detach().numpy(), known(bids.numpy()).payment)
    outcome.payment.mean().backward()
    assert torch.any(weights.grad != 0.0) and torch.any(boosts.grad != 0.0)


@pytest.mark.parametrize("name", CASES)
def test_mechanisms_survive_json(name):
    mechanism = CASES[name][0]
    again = mechanism_from_dict(json.loads(json.dumps(mechanism.to_dict())))
    assert again == mechanism
    assert type(again) is MECHANISMS[type(mechanism).__name__]


@pytest.mark.parametrize(
    "bids",
    [
        np.zeros((3, 2)),
        np.zeros((3, 0, 2)),
        np.array([[[np.nan]]]),
        np.array([[[-0.1]]]),
        np.array([[[np.inf]]]),
        np.array([[[1]]]),
        [[[0.5]]],
        torch.tensor([[[-1.0]]]),
    ],
    ids=["two axes", "no bidder", "nan", "negative", "infinite", "integers", "list", "torch"],
)
def test_malformed_bids_are_named(bids):
    with pytest.raises(ValueError, match="bids"):
        FirstPrice()(bids)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("first price with reserves", (1, 2, 3)),
        ("posted prices", (1, 2, 3)),
        ("posted menu", (1, 2, 2)),
        ("symmetric AMA", (1, 3, 2)),
        ("item-wise Myerson, uniform", (1, 2, 2)),
    ],
)
def test_bids_of_another_size_are_named(name, shape):
    with pytest.raises(ValueError, match="bids"):
        CASES[name][0](np.zeros(shape))


@pytest.mark.parametrize(
    ("make", "error", "word"),
    [
        (lambda: FirstPrice(-0.1), ValueError, "reserve"),
        (lambda: SecondPrice((0.1, float("nan"))), ValueError, "reserve"),
        (lambda: AllPay("high"), ValueError, "reserve"),
        (lambda: BundleSale("third"), ValueError, "rule"),
        (lambda: BundleSale("second", (0.1, 0.2)), ValueError, "reserve"),
        (lambda: BundleMyerson(-1.0), ValueError, "reserve"),
        (lambda: BundleMyerson.of(prior("triangle", 2, 2)), ValueError, "prior"),
        (lambda: PostedPrice(()), ValueError, "prices"),
        (lambda: PostedPrice(0.1, demand="gross"), ValueError, "demand"),
        (lambda: PostedMenu(((0.5, 1.5),), (1.0,)), ValueError, "items"),
        (lambda: PostedMenu(((0.5, 0.5),), (1.0, 2.0)), ValueError, "items, prices"),
        (lambda: PostedMenu(((1.0, 1.0),), (1.0,), "unit"), ValueError, "items"),
        (lambda: VCG("gross"), ValueError, "demand"),
        (lambda: ItemwiseMyerson(prior("triangle", 2, 2)), ValueError, "prior"),
        (lambda: AMA((((1.0,), (1.0,)),), (1.0, 1.0), (0.0,)), ValueError, "allocations"),
        (lambda: AMA((((1.0,), (0.0,)),), (0.0, 1.0), (0.0,)), ValueError, "weights"),
        (lambda: AMA((((1.0,), (0.0,)),), (1.0, 1.0), (0.0, 0.0)), ValueError, "boosts"),
        (lambda: value(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), "gross"), ValueError, "demand"),
        (lambda: mechanism_from_dict({"mechanism": "Lottery"}), KeyError, "Lottery"),
        (lambda: mechanism_from_dict({"reserve": 1.0}), KeyError, "mechanism"),
        (lambda: mechanism_from_dict({"mechanism": "FirstPrice", "floor": 1.0}), TypeError, "floor"),
    ],
)
def test_bad_parameters_name_the_argument(make, error, word):
    with pytest.raises(error, match=word):
        make()
