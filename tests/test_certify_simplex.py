"""The certifier of simplex menus against independent methods: linear programs, brute force, exact replays."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from walras.envs.auctions import kuhn
from walras.envs.auctions.certify import certify, whole
from walras.envs.auctions.certify.games import solve_game
from walras.envs.auctions.certify.many import certify_many, conflicts
from walras.envs.auctions.certify.simplex import certify_two
from walras.envs.auctions.mechanisms import AMA
from walras.envs.auctions.simplex_menus import SimplexMenus, Surcharge, tabulate_menus
from walras.envs.auctions.tables import dyadic

BUNDLES = np.array(list(itertools.product((0.0, 1.0), repeat=2)))
LOTTERY = np.array([[0.0], [0.375], [1.0]])
LOTTERIES = np.array([[0, 0], [1, 0], [0.5, 0.5], [0.25, 1], [1, 1]])


def raise_prices(menus: SimplexMenus, fee: float) -> SimplexMenus:
    prices = np.array(menus.prices)
    prices[..., 1:] += dyadic(fee)
    return SimplexMenus(menus.low, menus.high, menus.options, prices, menus.grid, menus.surcharges)


def interpolate(mechanism: AMA, grid: int, fee: float = 0.0) -> SimplexMenus:
    """Two-item menus with the prices of an affine maximiser at the nodes of a grid, and a fee on every option."""
    menus = tabulate_menus(mechanism, BUNDLES, np.zeros((2, 2)), np.ones((2, 2)), grid)
    return raise_prices(menus, fee)


def random_menus(
    seed: int, *, bidders: int = 2, options: np.ndarray = BUNDLES, grid: int = 1, deep: int = 2
) -> SimplexMenus:
    """Menus with some surcharges here and there; the box of each bidder is another one."""
    rng = np.random.default_rng(seed)
    m = options.shape[1]
    d = m * (bidders - 1)
    low = dyadic(rng.integers(0, 2, (bidders, m)) * rng.random((bidders, m)) * 0.5, 8)
    high = low + dyadic(0.5 + rng.random((bidders, m)), 8)
    top = float(high.max())
    prices = rng.random((bidders, (grid + 1) ** d, len(options))) * top * 0.4
    prices += options.sum(axis=1) * rng.uniform(0.2, 0.7) * top
    surcharges = []
    for _ in range(bidders):
        own = []
        for level in range(deep + 1):
            total = kuhn.count(grid << level, d)
            ids = np.flatnonzero(rng.random(min(total, 4000)) < 0.3 / (1 + level))
            amounts = dyadic(rng.random((len(ids), len(options))) * 0.3)
            amounts[:, 0] = 0.0
            own.append(Surcharge(level, ids, amounts))
        surcharges.append(tuple(own))
    prices[..., 0] = 0.0
    return SimplexMenus(low, high, options, dyadic(prices), grid, tuple(surcharges))


def price_at(menus: SimplexMenus, bidder: int, point: list[Fraction], inside: list[Fraction]) -> list[Fraction]:
    """Prices in fractions at a scaled `point` of the others, on the piece that holds `inside`: a second text of it."""

    def simplex(cells: int) -> tuple[list[int], list[int]]:
        corner = [math.floor(x * cells) for x in inside]
        return corner, sorted(range(len(inside)), key=lambda j: corner[j] - inside[j] * cells)

    corner, order = simplex(menus.grid)
    part = [x * menus.grid - c for x, c in zip(point, corner, strict=True)]
    at, price = list(corner), [Fraction(0)] * menus.options.shape[0]
    chain = [Fraction(1), *(part[j] for j in order), Fraction(0)]
    for step in range(len(point) + 1):
        node = sum(c * (menus.grid + 1) ** (len(at) - 1 - j) for j, c in enumerate(at))
        for k in range(len(price)):
            price[k] += (chain[step] - chain[step + 1]) * Fraction(float(menus.prices[bidder, node, k]))
        if step < len(point):
            at[order[step]] += 1
    for entry in reversed(menus.surcharges[bidder]):
        cells = menus.grid << entry.level
        corner, order = simplex(cells)
        rank = list(itertools.permutations(range(len(point)))).index(tuple(order))
        number = sum(c * cells ** (len(at) - 1 - j) for j, c in enumerate(corner)) * math.factorial(len(at)) + rank
        if number in entry.ids:
            row = list(entry.ids).index(number)
            return [p + Fraction(float(x)) for p, x in zip(price, entry.amounts[row], strict=True)]
    return price


def slowest_verdict(menus: SimplexMenus) -> float:
    """Largest value of any conflict's game over all simplices of the whole cube on the finest grid, by HiGHS."""
    n, m = menus.bidders, menus.items
    cells = menus.grid << max((entry.level for own in menus.surcharges for entry in own), default=0)
    options = menus.options
    worst = -np.inf
    for number in range(kuhn.count(cells, n * m)):
        corners = kuhn.vertices(np.array([number]), cells, n * m)[0]
        scaled = [[Fraction(int(c), cells) for c in corner] for corner in corners]
        middle = [sum(column) / len(scaled) for column in zip(*scaled, strict=True)]
        utility = np.empty((len(scaled), n, len(options)))
        for v, point in enumerate(scaled):
            for i in range(n):
                others = [x for j, x in enumerate(point) if j // m != i]
                inside = [x for j, x in enumerate(middle) if j // m != i]
                price = price_at(menus, i, others, inside)
                own = menus.low[i] + (menus.high[i] - menus.low[i]) * np.array(point[i * m : i * m + m], dtype=float)
                utility[v, i] = options @ own - np.array(price, dtype=float)
        for chosen in itertools.product(range(len(options)), repeat=n):
            if np.all(options[list(chosen)].sum(axis=0) <= 1.0):
                continue
            rows = np.array(
                [
                    utility[:, i, k] - utility[:, i, r]
                    for i, k in enumerate(chosen)
                    for r in range(len(options))
                    if r != k
                ]
            )
            bound = np.concatenate((np.full((len(rows), 1), 1.0), -rows), axis=1)  # t <= rows x
            found = linprog(
                np.concatenate(([-1.0], np.zeros(len(scaled)))), A_ub=bound, b_ub=np.zeros(len(rows)),
                A_eq=[[0.0] + [1.0] * len(scaled)], b_eq=[1.0], bounds=[(None, None)] + [(0, None)] * len(scaled),
            )  # fmt: skip
            worst = max(worst, -found.fun)
    return worst


def promised(menus: SimplexMenus, profile: object) -> float:
    values = np.array([[float(x) for x in row] for row in profile])  # type: ignore[attr-defined]
    return float(menus(values[None]).allocation.sum(axis=1).max())


def check_verdict(menus: SimplexMenus, worst: float) -> str:
    found = certify(menus)
    if found.status == "refuted":
        assert worst > -1e-9
        assert found.counterexample is not None
        assert promised(menus, found.counterexample.values) > 1.0 + 1e-9
    elif found.status == "certified":
        assert worst < 1e-12
        rng = np.random.default_rng(0)
        values = menus.low + (menus.high - menus.low) * rng.random((20_000, *menus.low.shape))
        assert np.all(menus(values).allocation.sum(axis=1) <= 1.0)
    else:
        assert abs(worst) < 1e-7
    return found.status


CASES = [
    ("one item", 2, LOTTERY, 2, 1, (4, 5, 6)),
    ("bundles", 2, BUNDLES, 1, 0, (2,)),
    ("lotteries", 2, LOTTERIES, 1, 0, (0,)),
    ("three bidders", 3, LOTTERY, 1, 0, (0, 3, 4)),
    ("three bidders, refined", 3, np.array([[0.0], [1.0]]), 1, 1, (4,)),
]


@pytest.mark.parametrize(("name", "bidders", "options", "grid", "deep", "seeds"), CASES, ids=[c[0] for c in CASES])
def test_verdicts_agree_with_linear_programs_on_the_whole_cube(
    name: str, bidders: int, options: np.ndarray, grid: int, deep: int, seeds: tuple[int, ...]
) -> None:
    statuses = []
    for seed in seeds:
        menus = random_menus(seed, bidders=bidders, options=options, grid=grid, deep=deep)
        statuses.append(check_verdict(menus, slowest_verdict(menus)))
        # A fee on everything leaves each bidder its option or none: with enough of it nothing is in conflict.
        fee = 0.0
        while certify(raise_prices(menus, fee)).status != "certified":
            fee += 0.125
        if seed == seeds[-1]:
            dearer = raise_prices(menus, fee)
            statuses.append(check_verdict(dearer, slowest_verdict(dearer)))
    assert set(statuses) == {"certified", "refuted"}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.booleans())
def test_products_of_simplices_and_the_whole_cube_give_one_verdict(seed: int, fee: float, robust: bool) -> None:
    options = (BUNDLES, LOTTERIES, np.array([[0.0], [0.375], [1.0]]))[seed % 3]
    menus = raise_prices(random_menus(seed, options=options, grid=1 + seed % 2, deep=seed % 3), fee)
    by_pairs, by_cube = certify_two(menus, robust, None), certify_many(menus, robust, None)
    assert by_pairs.status == by_cube.status
    assert by_pairs.undecided == pytest.approx(by_cube.undecided, abs=1e-12) or by_pairs.status != "undecided"


@pytest.mark.parametrize("bits", [20, 24, 40])
@pytest.mark.parametrize("seed", range(3))
def test_options_of_many_bits_do_not_change_the_verdict(seed: int, bits: int) -> None:
    """Products of two long numbers: few bits are left for weights (20, 24), or int64 does not hold them (40)."""
    coarse = raise_prices(random_menus(seed, options=LOTTERIES, grid=1, deep=0), 0.25 * seed)
    options = np.array(coarse.options)
    options[3, 0] += 2.0**-bits
    fine = SimplexMenus(coarse.low, coarse.high, options, coarse.prices, 1, coarse.surcharges, bits=max(bits, 24))
    assert (whole.unit_of(fine).kind is object) == (bits == 40)
    for robust in (True, False):
        assert certify(fine, robust=robust).status == certify(coarse, robust=robust).status


def test_three_half_lotteries_clash_though_no_two_do() -> None:
    options = np.array([[0.0], [0.5]])
    prices = np.zeros((3, 4, 2))
    prices[..., 1] = 0.125
    low, high = np.zeros((3, 1)), np.ones((3, 1))
    found = certify(SimplexMenus(low, high, options, prices, 1))
    assert found.status == "refuted"
    assert found.counterexample is not None and found.counterexample.amount == Fraction(1, 2)
    prices[2, :, 1] = 0.5 + 2.0**-20
    assert certify(SimplexMenus(low, high, options, prices, 1)).status == "certified"


@pytest.mark.parametrize(("bidders", "options"), [(2, BUNDLES), (3, LOTTERY), (3, BUNDLES)], ids=["2x2", "3x1", "3x2"])
def test_the_same_surcharges_on_all_halves_change_nothing(bidders: int, options: np.ndarray) -> None:
    seen = set()
    for seed, fee in itertools.product(range(1), (0.0, 0.5, 1.5)):
        coarse = raise_prices(random_menus(seed, bidders=bidders, options=options, grid=1, deep=0), fee)
        d = coarse.dimension
        halved = []
        for own in coarse.surcharges:
            finer = []
            for level, ids, amounts in own:
                halves = kuhn.halve(ids, 1 << level, d)
                order = np.argsort(halves.ravel())
                finer.append(Surcharge(level + 1, halves.ravel()[order], np.repeat(amounts, 1 << d, axis=0)[order]))
            halved.append(tuple(finer))
        fine = SimplexMenus(coarse.low, coarse.high, options, coarse.prices, 1, tuple(halved))
        values = coarse.low + (coarse.high - coarse.low) * np.random.default_rng(0).random((500, *coarse.low.shape))
        assert np.array_equal(coarse(values).payment, fine(values).payment)
        assert certify(fine).status == certify(coarse).status
        seen.add(certify(fine).status)
    assert seen == {"certified", "refuted"}


@pytest.mark.parametrize(("bidders", "items"), [(2, 1), (3, 1), (3, 2)])
def test_itemwise_second_price_for_more_bidders_is_certified(bidders: int, items: int) -> None:
    options = np.array(list(itertools.product((0.0, 1.0), repeat=items)))
    axis, d = np.arange(3) / 2, items * (bidders - 1)
    nodes = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), -1).reshape(-1, bidders - 1, items)
    prices = dyadic((np.maximum(nodes.max(axis=1), 0.5) + 2.0**-12) @ options.T)
    menus = SimplexMenus(
        np.zeros((bidders, items)), np.ones((bidders, items)), options, np.stack([prices] * bidders), 2
    )
    assert certify(menus).status == "certified"
    cheaper = np.array(menus.prices)
    cheaper[-1, -1, -1] -= 2.0**-4
    found = certify(SimplexMenus(menus.low, menus.high, options, cheaper, 2))
    assert found.status == "refuted"
    assert found.counterexample is not None
    assert promised(SimplexMenus(menus.low, menus.high, options, cheaper, 2), found.counterexample.values) > 1.0


def test_smallest_conflicts_are_listed_once_each() -> None:
    options = np.array([[0], [1], [2], [4]])  # in quarters
    found = conflicts(options, 4, 3)
    brute = set()
    for row in itertools.product((-1, 1, 2, 3), repeat=3):
        used = [options[k, 0] for k in row if k >= 0]
        smaller = all(sum(used) - x <= 4 for x in used)
        if sum(used) > 4 and smaller:
            brute.add(row)
    assert set(map(tuple, found.tolist())) == brute
    assert len(found) == len(brute)


@given(st.lists(st.lists(st.integers(-50, 50), min_size=3, max_size=3), min_size=1, max_size=6))
def test_exact_games_are_solved_with_proofs_on_both_sides(game: list[list[int]]) -> None:
    value, rows, columns = solve_game(game)
    assert min(rows) >= 0 and min(columns) >= 0
    sums = [sum(y * row[c] for y, row in zip(rows, game, strict=True)) for c in range(3)]
    assert max(sums) == value * sum(rows)
    assert min(sum(x * entry for x, entry in zip(columns, row, strict=True)) for row in game) == value * sum(columns)


def test_vcg_touches_at_ties_and_a_small_fee_makes_it_robust() -> None:
    vcg = interpolate(AMA.symmetric_2x2(0, 0, 0), 1)
    assert certify(vcg).status == "undecided"
    assert certify(vcg).undecided == 1.0
    assert certify(vcg, robust=False).status == "certified"
    with_fee = interpolate(AMA.symmetric_2x2(0, 0, 0), 1, 2.0**-20)
    assert certify(with_fee).status == "certified"


@pytest.mark.parametrize("grid", [2, 4])
def test_itemwise_myerson_is_affine_on_even_grids_and_compatible_up_to_ties(grid: int) -> None:
    myerson = interpolate(AMA.symmetric_2x2(0.5, 1, 1), grid)
    assert certify(myerson, robust=False).status == "certified"
    assert certify(interpolate(AMA.symmetric_2x2(0.5, 1, 1), grid, 2.0**-23)).status == "certified"


@pytest.mark.parametrize("seed", range(8))
def test_vcg_with_one_price_entry_altered_is_refuted(seed: int) -> None:
    vcg = interpolate(AMA.symmetric_2x2(0, 0, 0), 2, 2.0**-20)
    assert certify(vcg).status == "certified"
    rng = np.random.default_rng(seed)
    i, node, k = rng.integers(2), rng.integers(1, 9), rng.integers(1, 4)
    prices = np.array(vcg.prices)
    if vcg.prices[i, node, k] < 0.25:
        node = 8
    prices[i, node, k] -= 2.0**-6
    found = certify(SimplexMenus(vcg.low, vcg.high, BUNDLES, prices, 2))
    assert found.status == "refuted"
    assert found.counterexample is not None
    assert promised(vcg, found.counterexample.values) <= 1.0
    assert promised(SimplexMenus(vcg.low, vcg.high, BUNDLES, prices, 2), found.counterexample.values) > 1.0


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_certified_menus_never_promise_an_item_twice_on_a_dense_grid(seed: int) -> None:
    menus = random_menus(seed, grid=2, deep=2)
    menus = raise_prices(menus, 0.45)
    found = certify(menus)
    axis = np.linspace(0.0, 1.0, 13)
    values = menus.low + (menus.high - menus.low) * np.stack(np.meshgrid(*[axis] * 4), -1).reshape(-1, 2, 2)
    most = float(menus(values).allocation.sum(axis=1).max())
    if found.status == "certified":
        assert most <= 1.0
    elif found.status == "refuted":
        assert found.counterexample is not None
        assert promised(menus, found.counterexample.values) > 1.0


def test_the_whole_range_of_reports_is_covered() -> None:
    """Reports beyond the box are read as the bound, so a certificate holds for them too."""
    menus = interpolate(AMA.symmetric_2x2(0.636, 0.91, 1.137), 4, 0.01)
    assert certify(menus).status == "certified"
    values = np.random.default_rng(0).random((50_000, 2, 2)) * 3.0
    outcome = menus(values)
    assert np.all(outcome.allocation.sum(axis=1) <= 1.0)
    assert np.array_equal(outcome.payment, menus(np.minimum(values, 1.0)).payment)
