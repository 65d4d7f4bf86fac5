"""Market clearing against definitions: deletions, copies, linear programs, and the check by duality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment, linprog

from walras.envs.platforms.clearing import clear, competitive_violations, sellers_view
from walras.envs.platforms.market import INSTANCES

SIZES = st.integers(1, 5)


def best_value(values, allowed):
    """Maximum weight by scipy, zero weights standing for no trade."""
    weights = np.where(allowed, np.maximum(values, 0), 0)
    if 0 in weights.shape:
        return 0
    rows, columns = linear_sum_assignment(weights, maximize=True)
    return weights[rows, columns].sum()


@st.composite
def markets(draw, elements=None, largest=6):
    n, m = draw(SIZES), draw(SIZES)
    top = draw(st.sampled_from([1, 3, largest, 50]))
    values = draw(hnp.arrays(np.int64, (n, m), elements=st.integers(-1, top)))
    return values, draw(hnp.arrays(np.bool_, (n, m)))


@settings(max_examples=400, deadline=None)
@given(markets())
def test_prices_are_what_deleting_a_seller_or_adding_a_copy_changes(market):
    values, allowed = market
    cleared = clear(values, allowed)
    total = best_value(values, allowed)
    assert cleared.welfare[0] == total and cleared.welfare.dtype == np.int64
    for j in range(values.shape[1]):
        without = [k for k in range(values.shape[1]) if k != j]
        twice = [*range(values.shape[1]), j]
        assert cleared.price_max[0, j] == total - best_value(values[:, without], allowed[:, without])
        assert cleared.price_min[0, j] == best_value(values[:, twice], allowed[:, twice]) - total


@settings(max_examples=200, deadline=None)
@given(markets())
def test_payoffs_at_the_smallest_prices_are_vickrey_payoffs_and_all_add_up_to_welfare(market):
    values, allowed = market
    cleared = clear(values, allowed)
    total = best_value(values, allowed)
    vickrey = [total - best_value(np.delete(values, i, 0), np.delete(allowed, i, 0)) for i in range(len(values))]
    at_min = np.where(allowed, values - cleared.price_min[0], 0).max(axis=1, initial=0)
    assert (at_min == vickrey).all()
    assert sum(vickrey) + cleared.price_min.sum() == total


@settings(max_examples=200, deadline=None)
@given(markets())
def test_every_method_returns_competitive_equilibria_with_the_same_prices(market):
    values, allowed = market
    kernel, scipy = clear(values, allowed, method="kernel"), clear(values, allowed, method="scipy")
    for name in ("welfare", "price_max", "price_min"):
        assert (getattr(kernel, name) == getattr(scipy, name)).all()
    for cleared in (kernel, scipy):
        for price in (cleared.price_max, cleared.price_min, cleared.price("mid")):
            found = competitive_violations(values, allowed, cleared.matching, price)
            assert not found.found().any()
    assert (np.where(kernel.matching >= 0, values[np.arange(len(values)), kernel.matching[0]], 1) > 0).all()


@settings(max_examples=60, deadline=None)
@given(markets(), st.sampled_from([1, -1]))
def test_a_second_linear_program_over_the_dual_face_finds_the_same_extreme_prices(market, sense):
    values, allowed = market
    n, m = values.shape
    i, j = np.nonzero(allowed)
    rows = np.zeros((len(i) + 1, n + m))
    rows[np.arange(len(i)), i] = rows[np.arange(len(i)), n + j] = -1
    rows[-1] = 1  # the optimal face: sums as small as welfare
    total = best_value(values, allowed)
    bound = np.append(-values[i, j], total)
    goal = np.append(np.zeros(n), np.full(m, -sense))
    found = linprog(goal, A_ub=rows, b_ub=bound, bounds=(0, None))
    assert found.status == 0
    cleared = clear(values, allowed)
    price = cleared.price_max if sense == 1 else cleared.price_min
    assert found.x[n:] == pytest.approx(price[0], abs=1e-7)


@settings(max_examples=100, deadline=None)
@given(markets(), st.integers(0, 2**32 - 1))
def test_the_check_by_duality_finds_any_disturbance(market, seed):
    values, allowed = market
    n, m = values.shape
    cleared = clear(values, allowed)
    rng = np.random.default_rng(seed)
    price = cleared.price_max + rng.integers(-1, 2, (1, m))
    matching = cleared.matching.copy()
    if rng.random() < 0.5:
        matching[0, rng.integers(n)] = rng.integers(-1, m)
    found = bool(competitive_violations(values, allowed, matching, price).found()[0])
    # By definition: a matching of allowed pairs, everybody's best choice, unsold goods for nothing.
    bought = matching[0][matching[0] >= 0]
    fits = len(set(bought)) == len(bought) and all(allowed[i, k] for i, k in enumerate(matching[0]) if k >= 0)
    gains = np.where(allowed, values - price, -(10**6))
    best = np.maximum(gains.max(axis=1), 0)
    own = np.array([gains[i, k] if k >= 0 else 0 for i, k in enumerate(matching[0])])
    unsold = [k for k in range(m) if k not in bought]
    right = fits and (price >= 0).all() and (own == best).all() and (price[0, unsold] == 0).all()
    assert found == (not right)


@pytest.mark.parametrize("method", ["kernel", "scipy"])
def test_float_markets_agree_with_deletions_within_rounding(method):
    rng = np.random.default_rng(3)
    for _ in range(60):
        n, m = rng.integers(1, 9, 2)
        values, allowed = rng.random((n, m)) * 10.0 ** rng.integers(-3, 4), rng.random((n, m)) < 0.6
        cleared = clear(values, allowed, method=method)
        total = best_value(values, allowed)
        for j in range(m):
            without = [k for k in range(m) if k != j]
            expected = total - best_value(values[:, without], allowed[:, without])
            assert cleared.price_max[0, j] == pytest.approx(expected, abs=1e-9 * values.max())


def test_a_batch_holds_what_its_markets_hold_alone_and_a_single_matrix_serves_all():
    rng = np.random.default_rng(0)
    values, allowed = rng.integers(0, 9, (40, 6, 5)), rng.random((40, 6, 5)) < 0.5
    whole = clear(values, allowed)
    for b in range(40):
        alone = clear(values[b], allowed[b])
        assert all((a[0] == w[b]).all() for a, w in zip(alone, whole, strict=True))
    shared = clear(values[0], allowed)
    assert (shared.welfare == [best_value(values[0], a) for a in allowed]).all()


def test_a_large_market_with_heavy_ties_is_competitive_and_agrees_with_the_kernel():
    rng = np.random.default_rng(1)
    n = 260
    for values in (
        np.repeat(rng.integers(1, 6, n)[:, None], n, 1),
        rng.integers(1, 4, (n, n)),
        rng.random((n, n - 30)),
    ):
        allowed = rng.random(values.shape) < 0.1
        large, small = clear(values, allowed), clear(values, allowed, method="kernel")
        tolerance = 0 if values.dtype == np.int64 else 1e-9
        for name in ("welfare", "price_max", "price_min"):
            assert np.abs(getattr(large, name) - getattr(small, name)).max() <= tolerance * n
        assert not competitive_violations(values, allowed, large.matching, large.price_max).found(1e-9).any()
        assert not competitive_violations(values, allowed, large.matching, large.price_min).found(1e-9).any()


def test_long_chains_of_opportunities_are_followed_to_their_end():
    n = 300
    values = np.zeros((n, n), np.int64)
    at = np.arange(n)
    values[at, at] = 1000 + at
    values[at[:-1], at[1:]] = 999 + at[:-1]  # each buyer would give one less for the next good
    cleared = clear(values, values > 0, method="scipy")
    assert (cleared.price_max == clear(values, values > 0, method="kernel").price_max).all()
    values[-1, -1] = 0  # nobody wants the last good any more: every price falls to the length of the way there
    fallen = clear(values, values > 0, method="scipy")
    assert not competitive_violations(values, values > 0, fallen.matching, fallen.price_max).found().any()
    assert fallen.price_max[0, 0] == clear(values, values > 0, method="kernel").price_max[0, 0]


def test_torch_clears_to_the_same_prices():
    torch = pytest.importorskip("torch")
    from walras.envs.platforms.clearing_torch import clear_torch

    rng = np.random.default_rng(5)
    for _ in range(20):
        n, m = rng.integers(1, 8, 2)
        values, allowed = rng.integers(-1, rng.choice([2, 9]), (30, n, m)), rng.random((30, n, m)) < 0.5
        ours, theirs = clear(values, allowed), clear_torch(torch.tensor(values), torch.tensor(allowed))
        for name in ("welfare", "price_max", "price_min"):
            assert (getattr(ours, name) == getattr(theirs, name).numpy()).all()
        matching = theirs.matching.numpy()
        assert not competitive_violations(values, allowed, matching, theirs.price_max.numpy()).found().any()


def test_worked_markets_have_their_numbers():
    general = INSTANCES["general"]()
    cleared = clear(general.values, general.known)
    assert cleared.welfare[0] == 19 and cleared.matching[0].tolist() == [1, -1, 0, 2]
    assert cleared.price_max[0].tolist() == [8, 5, 5] and cleared.price_min[0].tolist() == [7, 2, 4]
    assert clear(general.values, np.ones((4, 3), bool)).welfare[0] == 20
    for name, welfare, high, low in (
        ("chain", 24, [10, 7, 5, 2], [3, 3, 3, 0]),
        ("forest", 22, [5, 5, 5, 0], [3, 3, 3, 0]),
    ):
        market = INSTANCES[name]()
        cleared = clear(market.values, market.known)
        assert cleared.welfare[0] == welfare
        assert cleared.price_max[0].tolist() == high and cleared.price_min[0].tolist() == low
        assert clear(market.values, np.ones((5, 4), bool)).welfare[0] == 25


def test_sellers_view_turns_a_matching_round():
    assert sellers_view(np.array([[2, -1, 0]]), 4).tolist() == [[2, -1, 0, -1]]


def test_markets_without_buyers_or_sellers_clear_to_nothing():
    for shape in ((0, 3), (3, 0), (2, 0, 4), (0, 2, 2)):
        cleared = clear(np.zeros(shape, np.int64), np.zeros(shape, bool))
        assert (cleared.welfare == 0).all() and (cleared.price_max == 0).all()


@pytest.mark.parametrize(
    "values, allowed, error, words",
    [
        (np.ones((2, 2)), np.ones((2, 3), bool), ValueError, "same n and m"),
        (np.ones((2, 2)), np.ones((2, 2)), TypeError, "allowed"),
        (np.array([[np.nan]]), np.ones((1, 1), bool), ValueError, "finite"),
        (np.full((2, 2), 2**61), np.ones((2, 2), bool), ValueError, "2\\*\\*62"),
        (np.array([["a"]]), np.ones((1, 1), bool), TypeError, "values"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(values, allowed, error, words):
    with pytest.raises(error, match=words):
        clear(values, allowed)
