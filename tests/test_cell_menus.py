"""Menus on cells as a mechanism: which cell a report is in, what it is offered, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from walras.envs.auctions.cell_menus import CellMenus, cell_types, grid_cuts, type_cuts
from walras.envs.auctions.mechanisms import mechanism_from_dict

BUNDLES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def random_menus(seed=0, grid=3, bidders=2, merged=()):
    rng = np.random.default_rng(seed)
    cuts = grid_cuts(np.zeros((bidders, 2)), np.ones((bidders, 2)), grid)
    counts = [max(ids) + 1 for ids in merged] if merged else [grid**2] * bidders
    prices, options = [], []
    for i in range(bidders):
        tuples = int(np.prod([c for j, c in enumerate(counts) if j != i]))
        prices.append(np.concatenate([np.zeros((tuples, 1)), rng.integers(1, 2**24, (tuples, 3)) / 2**24], axis=1))
        options.append(np.broadcast_to(BUNDLES, (tuples, 4, 2)))
    return CellMenus(cuts, tuple(options), tuple(prices), merged=merged)


def test_menus_are_looked_up_by_the_cells_of_the_others():
    for bidders in (1, 2, 3):
        mechanism = random_menus(bidders=bidders)
        bids = np.random.default_rng(1).random((200, bidders, 2))
        menu = mechanism.menus(bids)
        place = np.minimum((bids * 3).astype(int), 2)
        cell = place[..., 0] * 3 + place[..., 1]
        for i in range(bidders):
            key = np.zeros(200, int)
            for j in range(bidders):
                if j != i:
                    key = key * 9 + cell[:, j]
            np.testing.assert_array_equal(menu.prices[:, i], mechanism.prices[i][key])


def test_a_bidders_own_report_does_not_move_its_menu():
    mechanism = random_menus(bidders=3)
    rng = np.random.default_rng(2)
    bids = rng.random((100, 3, 2))
    for i in range(3):
        other = bids.copy()
        other[:, i] = rng.random((100, 2))
        assert np.array_equal(mechanism.menus(bids).prices[:, i], mechanism.menus(other).prices[:, i])


def test_cells_are_closed_on_the_left_and_reports_outside_are_read_as_the_bound():
    mechanism = CellMenus(
        (((0.0, 0.25, 1.0),), ((0.0, 0.5, 1.0),)), (np.array([[[0.0], [1.0]]] * 2),) * 2, (np.zeros((2, 2)),) * 2
    )
    reports = np.array([0.0, 0.25, 0.24999, 1.0, 3.0])
    bids = np.stack([reports, 2.0 * reports], axis=1)[:, :, None]
    np.testing.assert_array_equal(mechanism.cell(bids), [[0, 0], [1, 1], [0, 0], [1, 1], [1, 1]])


def test_types_are_rounded_to_the_nearest_atom_also_for_the_own_choice():
    types = ((1.0, 2.0), (1.0, 2.0))
    menu = np.array([[0.0, 0.0], [1.0, 0.0]])
    mechanism = CellMenus(
        type_cuts((types, types)), (np.broadcast_to(menu, (4, 2, 2)),) * 2, (np.array([[0.0, 1.75]] * 4),) * 2,
        points=True,
    )  # fmt: skip
    bids = np.array([[[1.6, 1.0], [1.0, 1.0]], [[1.5, 1.0], [9.0, 0.0]]])
    allocation, payment = mechanism(bids)
    np.testing.assert_array_equal(payment, [[1.75, 0.0], [0.0, 1.75]])
    np.testing.assert_array_equal(allocation[..., 0], [[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(cell_types(mechanism)[0], [[1, 1], [1, 2], [2, 1], [2, 2]])


def test_merged_cells_are_boxes():
    ids = np.array([0, 0, 1, 0, 0, 1, 2, 2, 3])
    mechanism = random_menus(merged=(ids, ids))
    assert mechanism.cells == (4, 4)
    low, high = mechanism.boxes(0)
    third = mechanism.cuts[0][0]
    np.testing.assert_array_equal(low, [[0, 0], [0, third[2]], [third[2], 0], [third[2], third[2]]])
    np.testing.assert_array_equal(high, [[third[2]] * 2, [third[2], 1], [1, third[2]], [1, 1]])
    bids = np.random.default_rng(0).random((50, 2, 2))
    cell = mechanism.cell(bids)
    assert np.all((bids >= low[cell]) & (bids <= high[cell]))
    with pytest.raises(ValueError, match="fill a box"):
        random_menus(merged=(np.array([0, 0, 1, 0, 1, 1, 2, 2, 3]),) * 2)


def test_torch_and_numpy_choose_alike():
    torch = pytest.importorskip("torch")
    mechanism = random_menus(bidders=3)
    bids = np.random.default_rng(3).random((100, 3, 2))
    ours, theirs = mechanism(bids), mechanism(torch.tensor(bids))
    np.testing.assert_array_equal(ours.allocation, theirs.allocation.numpy())
    np.testing.assert_array_equal(ours.payment, theirs.payment.numpy())


def test_json_keeps_every_number():
    ids = np.array([0, 0, 1, 0, 0, 1, 2, 2, 3])
    for mechanism in (random_menus(), random_menus(merged=(ids, ids))):
        assert mechanism_from_dict(json.loads(json.dumps(mechanism.to_dict()))) == mechanism


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cuts": (((0.0, 0.0, 1.0),),)}, "increasing edges"),
        ({"cuts": (((0.0,),),)}, "at least two"),
        ({"cuts": (((0.0, 1 / 3, 1.0),),)}, "multiples of 2"),
        ({"options": (np.array([[[0.5], [1.0]]]),)}, "option 0 must be null"),
        ({"options": (np.array([[[0.0], [1.5]]]),)}, "probabilities"),
        ({"prices": (np.array([[0.5, 0.0]]),)}, "must be free"),
        ({"prices": (np.array([[0.0, 0.5, 0.5]]),)}, "must have shapes"),
        ({"prices": (np.array([[0.0, np.nan]]),)}, "finite"),
        ({"demand": "many"}, "demand"),
        ({"bits": 0}, "bits"),
        ({"merged": (np.array([0, 2]),)}, "must occur"),
    ],
)
def test_malformed_tables_are_refused_by_name(change, message):
    fields = {
        "cuts": (((0.0, 0.5, 1.0),),), "options": (np.array([[[0.0], [1.0]]]),), "prices": (np.array([[0.0, 0.5]]),)
    }  # fmt: skip
    CellMenus(**fields)
    with pytest.raises(ValueError, match=message):
        CellMenus(**{**fields, **change})
