"""Direct mechanisms given by piecewise-affine utilities: their rule, and certificates against brute force."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from walras.agents.mechanism_files import load_mechanism, save_mechanism
from walras.envs.auctions import kuhn
from walras.envs.auctions.certify import certify
from walras.envs.auctions.tables import dyadic
from walras.envs.auctions.utility_table import UtilityTable


def nodes_of(grid: int, items: int) -> np.ndarray:
    return np.array(list(itertools.product(range(grid + 1), repeat=items))) / grid


def posted(prices: np.ndarray, grid: int) -> np.ndarray:
    """Utility at the nodes of a bidder who may buy each item at its price (..., m)."""
    return np.maximum(nodes_of(grid, prices.shape[-1]) - prices[..., None, :], 0.0).sum(axis=-1)


def second_price(grid: int, first: int, second: int) -> UtilityTable:
    """Two bidders, two items: bidder i pays the lower end of the other's cell, or the upper where its number is 1."""
    corners = kuhn.vertices(np.arange(kuhn.count(grid, 2)), grid, 2)[:, 0] / grid
    tables = [posted(corners + up / grid, grid) for up in (first, second)]
    return UtilityTable(np.zeros((2, 2)), np.ones((2, 2)), np.stack(tables), grid)


def test_posted_prices_are_certified_and_do_what_they_say() -> None:
    table = UtilityTable(np.zeros((1, 2)), np.ones((1, 2)), posted(np.array([[0.5, 0.25]]), 4)[None], 4)
    assert certify(table).status == "certified"
    assert table.truthful and table.individually_rational and table.deterministic
    bids = np.random.default_rng(0).random((1000, 1, 2)) * 1.2
    bought = (np.minimum(bids, 1.0) >= np.array([0.5, 0.25])).astype(float)
    for outcome in (table(bids), table(torch.as_tensor(bids))):
        assert np.array_equal(np.asarray(outcome.allocation), bought)
        assert np.allclose(np.asarray(outcome.payment), (bought * np.array([0.5, 0.25])).sum(axis=-1))


@pytest.mark.parametrize(
    ("first", "second", "status"), [(1, 1, "certified"), (1, 0, "certified"), (0, 1, "certified"), (0, 0, "refuted")]
)
def test_second_price_on_cells_needs_somebody_to_give_way(first: int, second: int, status: str) -> None:
    table = second_price(4, first, second)
    found = certify(table)
    assert found.status == status
    if found.counterexample is not None:
        values = np.array([[[float(x) for x in row] for row in found.counterexample.values]])
        assert table(values).allocation.sum(axis=1).max() == 2.0


def convex_by_brute_force(table: UtilityTable, row: int) -> bool:
    """Whether the affine function of every simplex stays below the utility at every node, in fractions."""
    grid, m = table.grid, table.items
    utility = [Fraction(x) for x in table.utilities[0, row].tolist()]
    everywhere = [tuple(c) for c in itertools.product(range(grid + 1), repeat=m)]
    number = {corner: k for k, corner in enumerate(everywhere)}
    for simplex in range(kuhn.count(grid, m)):
        corners = [tuple(map(int, c)) for c in kuhn.vertices(np.array([simplex]), grid, m)[0]]
        slope = [Fraction(0)] * m
        for before, after in itertools.pairwise(corners):
            j = next(j for j in range(m) if before[j] != after[j])
            slope[j] = utility[number[after]] - utility[number[before]]
        for corner in everywhere:
            rise = sum((s * (x - y) for s, x, y in zip(slope, corner, corners[0], strict=True)), Fraction(0))
            if utility[number[corners[0]]] + rise > utility[number[corner]]:
                return False
    return True


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_convexity_by_facets_agrees_with_brute_force(seed: int, items: int, grid: int, bent: bool) -> None:
    rng = np.random.default_rng(seed)
    nodes = nodes_of(grid, items)
    # Sums of convex functions of single items and of differences of items stay convex when they are interpolated.
    utility = posted(rng.integers(0, 4, (1, items)) / 4, grid)[0] / 4
    for j, k in itertools.combinations(range(items), 2):
        utility = utility + rng.random() * np.maximum(nodes[:, j] - nodes[:, k], 0.0) * 0.1 + 0.2 * nodes[:, k]
    utility = dyadic(utility, 20)
    if bent:
        utility[rng.integers(len(utility))] += rng.choice([-1, 1]) * 2.0**-10
    table = UtilityTable(np.zeros((1, items)), np.ones((1, items)), utility[None, None] + 1.0, grid)
    convex = convex_by_brute_force(table, 0)
    found = certify(table)
    if found.status == "certified":
        assert convex
    elif found.counterexample is not None and found.counterexample.promise == "truthful":
        assert not convex
        values, reports = (
            np.array([[[float(x) for x in row] for row in rows]])
            for rows in (found.counterexample.values, found.counterexample.reports)
        )
        honest, false = table(values), table(reports)
        gain = (values * (false.allocation - honest.allocation)).sum(-1) - (false.payment - honest.payment)
        assert gain[0, 0] == pytest.approx(float(found.counterexample.amount), abs=1e-9)
    else:
        assert found.counterexample is not None and found.counterexample.promise == "feasible"
        allocation = table(np.array([[[float(x) for x in row] for row in found.counterexample.values]])).allocation
        assert allocation.max() > 1.0 or allocation.min() < 0.0
    assert table.truthful == (found.status == "certified" or found.counterexample.promise == "individually rational")


def test_losses_and_unit_demand_are_checked() -> None:
    losing = UtilityTable(np.zeros((1, 1)), np.ones((1, 1)), np.array([[[-0.25, 0.5]]]), 1)
    found = certify(losing)
    assert found.counterexample is not None
    assert (found.counterexample.promise, found.counterexample.amount) == ("individually rational", Fraction(1, 4))
    both = posted(np.array([[0.0, 0.0]]), 1)[None]
    assert certify(UtilityTable(np.zeros((1, 2)), np.ones((1, 2)), both, 1)).status == "certified"
    found = certify(UtilityTable(np.zeros((1, 2)), np.ones((1, 2)), both, 1, "unit"))
    assert found.counterexample is not None and found.counterexample.promise == "feasible"


def test_a_utility_table_survives_a_file(tmp_path: Path) -> None:
    table = second_price(2, 1, 0)
    for name in ("a.json", "a.safetensors"):
        save_mechanism(tmp_path / name, table)
        assert load_mechanism(tmp_path / name) == table


def test_bad_utility_tables_are_named() -> None:
    for arguments, message in (
        ((np.zeros((1, 1)), np.ones((1, 1)), np.zeros((1, 1, 3)), 1), "utilities"),
        ((np.ones((1, 1)), np.ones((1, 1)), np.zeros((1, 1, 2)), 1), "low, high"),
        ((np.zeros((1, 1)), np.ones((1, 1)), np.zeros((1, 1, 2)), 0), "grid"),
        ((np.zeros((1, 1)), np.ones((1, 1)), np.full((1, 1, 2), 0.1), 1), "multiples"),
    ):
        with pytest.raises(ValueError, match=message):
            UtilityTable(*arguments)


def test_slopes_beyond_63_bits_do_not_wrap_around_into_probabilities() -> None:
    utilities = np.zeros((1, 1, 8193))
    utilities[0, 0, -1] = 2.0**50  # a slope of 2^64 units: nothing, in 64 bits
    table = UtilityTable(np.zeros((1, 1)), np.ones((1, 1)), utilities, 8192, bits=1)
    assert certify(table).status == "refuted"
