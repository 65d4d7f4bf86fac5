"""Closed forms against quadrature, best-response grids, Monte Carlo of the mechanisms, and published figures."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate

from walras.envs.auctions import theory
from walras.envs.auctions.bundles import (
    bundle_myerson_revenue,
    bundle_reserve,
    itemwise_myerson_revenue,
    monopoly_price,
    sum_law,
)
from walras.envs.auctions.mechanisms import (
    VCG,
    AllPay,
    BundleMyerson,
    FirstPrice,
    ItemwiseMyerson,
    Mechanism,
    SecondPrice,
    value,
)
from walras.envs.auctions.priors import (
    Beta,
    Discrete,
    Exponential,
    Law,
    ParetoTail,
    PiecewiseUniform,
    Power,
    Prior,
    TwoPoint,
    Uniform,
    irregular,
    prior,
)

LAWS = [
    Uniform(),
    Uniform(1.0, 3.0),
    Power(2.5, 3.0),
    Power(0.6),
    Exponential(2.0),
    Beta(1.0, 2.0),
    Beta(2.0, 2.0),
    ParetoTail(5.0),
    irregular(),
]
CLOSED = LAWS[:5]
SIZES = [1, 2, 3, 6]


def reference_integral(function, low: float, high: float, law: Law) -> float:
    """Adaptive quadrature, split where the law has kinks."""
    points = sorted({low, high, *(edge for edge in getattr(law, "edges", (law.low,)) if low < edge < high)})
    return sum(integrate.quad(function, a, b, limit=200, epsabs=1e-12)[0] for a, b in itertools.pairwise(points))


@pytest.mark.parametrize("law", LAWS, ids=repr)
@pytest.mark.parametrize("bidders", SIZES)
@pytest.mark.parametrize("reserve_at", [None, 0.4])
def test_equilibrium_bids_equal_adaptive_quadrature_of_the_general_formula(law, bidders, reserve_at):
    reserve = 0.0 if reserve_at is None else float(law.ppf(reserve_at))
    values = law.ppf(np.array([0.3, 0.6, 0.97]))
    first = theory.first_price_bid(law, bidders, values, reserve)
    again = theory.first_price_bid_by_quadrature(law, bidders, values, reserve)
    entry = theory.all_pay_entry(law, bidders, reserve)
    everyone = theory.all_pay_bid(law, bidders, values, reserve)
    interim = theory.interim_utility(law, bidders, values, reserve)

    def highest(x: float) -> float:
        return float(law.cdf(x)) ** (bidders - 1)

    for k, v in enumerate(values):
        if v < reserve:
            assert first[k] == again[k] == interim[k] == 0.0
        else:
            rent = reference_integral(highest, reserve, v, law)
            assert interim[k] == pytest.approx(rent, abs=1e-8)
            assert first[k] == pytest.approx(v - rent / highest(v), abs=1e-7)
            assert again[k] == pytest.approx(first[k], abs=1e-7)
        if v < entry:
            assert everyone[k] == 0.0
        else:
            assert everyone[k] == pytest.approx(v * highest(v) - reference_integral(highest, entry, v, law), abs=1e-7)
    if math.isfinite(entry):
        assert entry * highest(entry) == pytest.approx(reserve, abs=1e-9)


def test_textbook_bids():
    v = np.linspace(0.05, 1.0, 20)
    for n in (2, 3, 5):
        np.testing.assert_allclose(theory.first_price_bid(Uniform(), n, v), (n - 1) / n * v)
        np.testing.assert_allclose(theory.all_pay_bid(Uniform(), n, v), (n - 1) / n * v**n)
        np.testing.assert_allclose(theory.first_price_bid(Power(2.0), n, v), 2 * (n - 1) / (2 * (n - 1) + 1) * v)
    # Krishna, example 2.2: exponential values, two bidders: b(v) = 1 - v exp(-v) / (1 - exp(-v)) for mean 1
    np.testing.assert_allclose(theory.first_price_bid(Exponential(), 2, v), 1 - v * np.exp(-v) / (1 - np.exp(-v)))
    np.testing.assert_allclose(theory.first_price_bid(Uniform(), 2, v, 0.5)[v >= 0.5], (v / 2 + 0.125 / v)[v >= 0.5])
    np.testing.assert_array_equal(theory.second_price_bid(v), v)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_small_values_shade_without_cancellation(law):
    values = law.ppf(np.array([1e-9, 1e-6, 1e-3]))
    bids = theory.first_price_bid(law, 6, values)
    assert np.all((bids <= values) & (bids >= law.low))
    assert theory.first_price_bid(law, 6, law.low) == pytest.approx(law.low)
    if not isinstance(law, Beta | ParetoTail | Uniform | PiecewiseUniform):
        exponent = law.exponent if isinstance(law, Power) else 1.0
        expected = 5 * exponent / (5 * exponent + 1)
        np.testing.assert_allclose(bids[:2] / values[:2], expected, rtol=1e-5)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_rounding_never_pushes_an_entrant_below_the_reserve_and_dear_reserves_keep_all_out(law):
    for u in np.linspace(0.05, 0.95, 31):
        reserve = float(law.ppf(u))
        near = reserve + np.spacing(reserve) * np.arange(200)
        assert np.all(theory.first_price_bid(law, 3, near, reserve) >= reserve)
        entry = theory.all_pay_entry(law, 3, reserve)
        if math.isfinite(entry):
            near = entry + np.spacing(entry) * np.arange(200)
            assert np.all(theory.all_pay_bid(law, 3, near, reserve) >= reserve)
    if math.isfinite(law.high):
        values = law.ppf(np.linspace(0.0, 1.0, 11))
        assert np.all(theory.first_price_bid(law, 3, values, law.high + 1.0) == 0.0)
        assert np.all(theory.all_pay_bid(law, 3, values, law.high + 1.0) == 0.0)
        assert theory.revenue(law, 3, law.high + 1.0) == theory.all_pay_revenue(law, 3, law.high + 1.0) == 0.0


@pytest.mark.parametrize("law", LAWS, ids=repr)
@pytest.mark.parametrize("bidders", [2, 4])
@pytest.mark.parametrize("reserve_at", [None, 0.4])
def test_no_bid_on_a_grid_beats_the_equilibrium_bid(law, bidders, reserve_at):
    reserve = 0.0 if reserve_at is None else float(law.ppf(reserve_at))
    types = law.ppf(np.concatenate([np.linspace(0.0, 0.999, 1500), [0.9999]]))
    for bid_of, paid in ((theory.first_price_bid, "winner"), (theory.all_pay_bid, "everyone")):
        start = reserve if paid == "winner" else theory.all_pay_entry(law, bidders, reserve)
        bids = bid_of(law, bidders, types, reserve)
        wins = np.where(types >= start, law.cdf(types) ** (bidders - 1), 0.0)
        assert np.all(np.diff(bids) >= -1e-12)
        for u in (0.2, 0.5, 0.8, 0.95):
            v = float(law.ppf(u))
            offers = (v - bids) * wins if paid == "winner" else v * wins - bids
            utility = float(theory.interim_utility(law, bidders, v, start))
            assert max(offers.max(), 0.0) <= utility + 1e-9
            assert max(offers.max(), 0.0) == pytest.approx(utility, abs=1e-4 * (v + 1.0))


@pytest.mark.parametrize("law", LAWS, ids=repr)
@pytest.mark.parametrize("bidders", SIZES)
def test_three_auctions_earn_the_same_and_value_splits_into_revenue_and_utility(law, bidders):
    for reserve in (0.0, float(law.ppf(0.3))):
        second = theory.revenue(law, bidders, reserve)
        assert theory.revenue_by_quadrature(law, bidders, reserve) == pytest.approx(second, abs=1e-8)
        assert theory.first_price_revenue(law, bidders, reserve) == pytest.approx(second, abs=1e-6)
        floor = reserve * float(law.cdf(reserve)) ** (bidders - 1)
        assert theory.all_pay_revenue(law, bidders, floor) == pytest.approx(second, abs=1e-6)

        def welfare(u: float, reserve: float = reserve) -> float:
            v = float(law.ppf(u ** (1.0 / bidders)))
            return v if v >= reserve else 0.0

        cut = float(law.cdf(reserve)) ** bidders
        surplus = integrate.quad(welfare, cut, 1.0, limit=400)[0]
        assert second + bidders * theory.expected_utility(law, bidders, reserve) == pytest.approx(surplus, rel=1e-4)


def test_textbook_revenue_and_utility():
    for n in (2, 3, 5):
        assert theory.revenue(Uniform(), n) == pytest.approx((n - 1) / (n + 1))
        assert theory.expected_utility(Uniform(), n) == pytest.approx(1 / (n * (n + 1)))
        assert theory.vcg_revenue(Uniform(), n, 3) == pytest.approx(3 * (n - 1) / (n + 1))
    for r in (0.2, 0.5, 0.9):
        assert theory.revenue(Uniform(), 2, r) == pytest.approx(1 / 3 + r**2 - 4 / 3 * r**3)
    assert theory.revenue(Exponential(3.0), 3) == pytest.approx(3 * (1 / 2 + 1 / 3))
    assert theory.revenue(TwoPoint(1.0, 2.0, 0.5), 2) == pytest.approx(1.25)
    assert theory.revenue(TwoPoint(1.0, 2.0, 0.5), 2, 2.0) == pytest.approx(1.5)


@pytest.mark.parametrize("law", [*LAWS, TwoPoint(3.0, 7.0, 0.3), Discrete((1.0, 2.0, 5.0), (0.5, 0.3, 0.2))], ids=repr)
def test_the_myerson_reserve_is_the_best_posted_price(law):
    reserve = theory.myerson_reserve(law)
    top = law.high if math.isfinite(law.high) else float(law.ppf(0.9999))
    grid = np.append(np.linspace(law.low, top, 20_001), getattr(law, "atoms", ()))

    def profit(price):
        return price * (1.0 - law.cdf(price) + (law.pdf(price) if hasattr(law, "atoms") else 0.0))

    assert float(profit(np.asarray(reserve))) >= profit(grid).max() - 1e-9
    assert theory.myerson_revenue(law, 1) == pytest.approx(float(profit(np.asarray(reserve))), abs=1e-6)


@pytest.mark.parametrize("law", [law for law in LAWS if law != irregular() and law != Power(0.6)], ids=repr)
@pytest.mark.parametrize("bidders", [2, 3])
def test_the_optimal_revenue_of_regular_laws_is_the_second_price_auction_with_the_optimal_reserve(law, bidders):
    best = theory.myerson_revenue(law, bidders)
    assert best == pytest.approx(theory.revenue(law, bidders, theory.myerson_reserve(law)), abs=1e-6)
    assert best == pytest.approx(theory.myerson_revenue([law] * bidders), abs=1e-6)


def test_ironing_earns_more_than_any_reserve_on_the_irregular_law():
    best = theory.myerson_revenue(irregular(), 2)
    reserves = np.linspace(0.0, 7.9, 80)
    assert best > max(theory.revenue(irregular(), 2, r) for r in reserves) + 0.01
    # expectation of the positive part of the largest ironed virtual value, on a fine quantile grid
    u = (np.arange(400_000) + 0.5) / 400_000
    virtual = theory.ironed_virtual_value(irregular(), irregular().ppf(np.sqrt(u)))
    assert best == pytest.approx(np.maximum(virtual, 0.0).mean(), abs=1e-5)


def test_published_optimal_revenues():
    assert [theory.myerson_revenue(Uniform(), n) for n in (1, 2, 3)] == pytest.approx([1 / 4, 5 / 12, 0.53125])
    beta = [theory.myerson_revenue(Beta(1.0, 2.0), n) for n in (1, 2, 3)]
    assert beta == pytest.approx([4 / 27, 0.256790, 0.338468], abs=1e-6)
    for q in (0.6, 0.7, 0.9):
        assert itemwise_myerson_revenue(prior("two_point", 2, 2, low=3, high=7, probability_high=q)) == pytest.approx(
            14 * (1 - (1 - q) ** 2)
        )
    for low, high, q, known in ((1, 2, 0.2, 2.4), (1, 2, 0.6, 3.36), (3, 7, 0.3, 8.4), (3, 7, 0.5, 10.5)):
        two = prior("two_point", 2, 2, low=low, high=high, probability_high=q)
        assert itemwise_myerson_revenue(two) == pytest.approx(known)
    for n, m, known in (
        (2, 2, 0.83333),
        (2, 3, 1.25),
        (3, 2, 1.0625),
        (3, 3, 1.59375),
        (2, 5, 2.08333),
        (3, 10, 5.3125),
    ):
        assert itemwise_myerson_revenue(prior("uniform01", n, m)) == pytest.approx(known, abs=1e-5)


@pytest.mark.parametrize(
    ("bidders", "items", "published"),
    [(1, 2, 0.544331), (2, 2, 0.8393), (2, 3, 1.2778), (3, 2, 1.0159), (3, 3, 1.5100), (2, 5, 2.1878), (3, 10, 5.003)],
)
def test_bundle_revenue_is_the_published_one(bidders, items, published):
    assert bundle_myerson_revenue(prior("uniform01", bidders, items)) == pytest.approx(published, abs=8e-4)


def test_bundle_of_two_uniform_items_in_closed_form():
    assert bundle_reserve(prior("uniform01", 1, 2)) == pytest.approx(math.sqrt(2 / 3), abs=1e-7)
    r = math.sqrt(2 / 3)
    below_one = integrate.quad(lambda s: (1 - s * s / 2) ** 2, r, 1.0)[0]
    exact = r * (1 - (r * r / 2) ** 2) + below_one + 1 / 20
    assert bundle_myerson_revenue(prior("uniform01", 2, 2)) == pytest.approx(exact, abs=1e-7)
    assert exact > bundle_myerson_revenue(prior("uniform01", 2, 2), 0.7)


def test_the_law_of_a_sum_agrees_with_known_sums():
    x = np.linspace(0.05, 2.9, 58)
    irwin_hall = sum((-1) ** k * math.comb(3, k) * np.maximum(x - k, 0.0) ** 3 for k in range(4)) / 6
    np.testing.assert_allclose(sum_law((Uniform(),) * 3).cdf(x), irwin_hall, atol=1e-7)
    gamma = 1 - np.exp(-x) * (1 + x)
    np.testing.assert_allclose(sum_law((Exponential(), Exponential())).cdf(x), gamma, atol=1e-5)
    uneven = sum_law((Uniform(4.0, 16.0), Uniform(4.0, 7.0)))
    assert uneven.mean == pytest.approx(15.5, abs=1e-4) and uneven.low == pytest.approx(8.0, abs=2e-3)
    atoms = sum_law((TwoPoint(1.0, 2.0, 0.3), TwoPoint(1.0, 2.0, 0.3)))
    assert atoms == Discrete((2.0, 3.0, 4.0), atoms.probabilities)
    np.testing.assert_allclose(atoms.probabilities, [0.49, 0.42, 0.09])
    assert sum_law((Beta(2.0, 2.0),)) == Beta(2.0, 2.0)
    assert monopoly_price(sum_law((TwoPoint(3.0, 7.0, 0.6),) * 2)) == 10.0


def simulated(mechanism: Mechanism, bids: np.ndarray) -> tuple[float, float]:
    """Mean revenue and its standard error."""
    revenue = mechanism.outcome(bids).payment.sum(axis=1)
    return float(revenue.mean()), float(revenue.std() / math.sqrt(len(revenue)))


@pytest.mark.parametrize("law", [Uniform(), Power(2.0), Exponential(), Beta(2.0, 2.0), irregular()], ids=repr)
@pytest.mark.parametrize("reserve_at", [None, 0.4])
def test_mechanisms_at_equilibrium_bids_earn_the_predicted_revenue(law, reserve_at):
    reserve = 0.0 if reserve_at is None else float(law.ppf(reserve_at))
    values = Prior.iid(law, 3).sample(np.random.default_rng(7).random((50_000, 3)))
    floor = reserve * float(law.cdf(reserve)) ** 2
    predicted = theory.revenue(law, 3, reserve)
    for mechanism, bids in (
        (FirstPrice(reserve), theory.first_price_bid(law, 3, values, reserve)),
        (SecondPrice(reserve), theory.second_price_bid(values)),
        (AllPay(floor), theory.all_pay_bid(law, 3, values, floor)),
    ):
        mean, error = simulated(mechanism, bids)
        assert abs(mean - predicted) <= 4 * error
        outcome = mechanism.outcome(bids)
        utility = (value(values, outcome.allocation) - outcome.payment).ravel()
        expected = theory.expected_utility(law, 3, reserve)
        assert abs(utility.mean() - expected) <= 4 * utility.std() / math.sqrt(len(utility))


@pytest.mark.parametrize(
    "given",
    [
        prior("uniform01", 2, 2),
        prior("irregular", 3, 1),
        prior("beta", 2, 2),
        prior("exponential", 3, 1),
        prior("pareto_5_6", 2, 2),
        prior("two_point", 2, 2, low=3, high=7, probability_high=0.3),
        Prior.per_bidder([Uniform(), Uniform(0.0, 2.0)]),
        Prior.per_bidder([irregular(), Uniform(0.0, 6.0), Exponential(2.0)]),
    ],
    ids=lambda p: repr(p.marginals[0][0]) + f"x{p.bidders}x{p.items}",
)
def test_itemwise_myerson_earns_the_predicted_optimum(given):
    values = given.sample(np.random.default_rng(8).random((100_000, given.draws)))
    mean, error = simulated(ItemwiseMyerson(given), values)
    assert abs(mean - itemwise_myerson_revenue(given)) <= 4 * error
    for rival in (SecondPrice(), VCG()):
        assert simulated(rival, values)[0] <= itemwise_myerson_revenue(given) + 4 * error


@pytest.mark.parametrize("name", ["uniform01", "exponential", "two_point", "uniform_4_16_4_7"])
def test_the_bundle_sale_earns_the_predicted_revenue(name):
    given = prior(name, 3, 2)
    values = given.sample(np.random.default_rng(9).random((100_000, given.draws)))
    mean, error = simulated(BundleMyerson.of(given), values)
    assert abs(mean - bundle_myerson_revenue(given)) <= 4 * error


@pytest.mark.parametrize(
    ("make", "error", "word"),
    [
        (lambda: theory.first_price_bid(Uniform(), 0, 0.5), ValueError, "bidders"),
        (lambda: theory.first_price_bid(Uniform(), 2.0, 0.5), ValueError, "bidders"),
        (lambda: theory.all_pay_bid(Uniform(), 2, 0.5, -1.0), ValueError, "reserve"),
        (lambda: theory.revenue(Uniform(), 2, float("nan")), ValueError, "reserve"),
        (lambda: theory.first_price_bid(TwoPoint(1.0, 2.0), 2, 1.0), ValueError, "law"),
        (lambda: theory.first_price_bid(Uniform(), 2, float("nan")), ValueError, "value"),
        (lambda: theory.first_price_bid(Uniform(), 2, "a"), ValueError, "value"),
        (lambda: theory.second_price_bid([0.5, float("nan")]), ValueError, "value"),
        (lambda: theory.interim_utility(Uniform(), 2, float("nan")), ValueError, "value"),
        (lambda: theory.virtual_value(Uniform(), float("nan")), ValueError, "value"),
        (lambda: theory.ironed_virtual_value(Uniform(), float("nan")), ValueError, "value"),
        (lambda: theory.expected_utility(Uniform(), 1.5), ValueError, "bidders"),
        (lambda: theory.revenue(Uniform(), 2, "a"), ValueError, "reserve"),
        (lambda: theory.revenue("uniform", 2), TypeError, "law"),
        (lambda: theory.myerson_reserve(0.5), TypeError, "law"),
        (lambda: theory.virtual_value(0.5, 0.5), TypeError, "law"),
        (lambda: theory.ironed_virtual_value(None, 0.5), TypeError, "law"),
        (lambda: theory.vcg_revenue(Uniform(), 2, -1), ValueError, "items"),
        (lambda: theory.vcg_revenue(Uniform(), 2, 1.5), ValueError, "items"),
        (lambda: theory.vcg_revenue(Uniform(), -2), ValueError, "bidders"),
        (lambda: theory.myerson_revenue([]), ValueError, "laws"),
        (lambda: theory.myerson_revenue(3), ValueError, "laws"),
        (lambda: theory.myerson_revenue([Uniform(), 3]), TypeError, "laws"),
        (lambda: itemwise_myerson_revenue("uniform01"), ValueError, "prior"),
        (lambda: theory.myerson_revenue(Uniform()), ValueError, "bidders"),
        (lambda: theory.myerson_revenue([Uniform()], 2), ValueError, "bidders"),
        (lambda: theory.myerson_reserve(ParetoTail(0.5)), ValueError, "law"),
        (lambda: itemwise_myerson_revenue(prior("triangle", 2, 2)), ValueError, "prior"),
        (lambda: bundle_reserve(Prior.per_bidder([Uniform(), Uniform(0.0, 2.0)])), ValueError, "prior"),
        (lambda: sum_law(()), ValueError, "laws"),
        (lambda: sum_law((Uniform(), TwoPoint(1.0, 2.0))), ValueError, "laws"),
    ],
)
def test_bad_input_names_the_argument(make, error, word):
    with pytest.raises(error, match=word):
        make()
