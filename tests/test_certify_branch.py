"""Branch and bound over boxes agrees with the exact certifier, and leaves only tie surfaces undecided."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from walras.envs.auctions.certify import certify
from walras.envs.auctions.certify.branch import LipschitzMenus
from walras.envs.auctions.mechanism import Menu, MenuMechanism
from walras.envs.auctions.simplex_menus import SimplexMenus
from walras.envs.auctions.tables import dyadic

OPTIONS = np.array(list(itertools.product((0.0, 1.0), repeat=2)))


class Dear(MenuMechanism):
    """Item by item, the other's value plus a fee that falls with it: smooth prices, no table."""

    truthful = individually_rational = deterministic = True

    def __init__(self, fee: float, items: int) -> None:
        self.fee, self.options = fee, np.array(list(itertools.product((0.0, 1.0), repeat=items)))

    def menus(self, bids: Any) -> Menu:
        items = np.broadcast_to(self.options, (*bids.shape[:2], *self.options.shape))
        each = bids[:, ::-1] + self.fee * np.exp(-bids[:, ::-1])
        return Menu(items, (items * each[:, :, None, :]).sum(axis=-1))


def enclosed(fee: float, items: int) -> LipschitzMenus:
    menus = Dear(fee, items)
    # d/dx (x + fee exp(-x)) is in [1 - fee, 1] for fee in [0, 1]; options differ in so many items.
    constants = np.abs(menus.options[:, None] - menus.options[None, :]).sum(axis=-1) * (1.0 + abs(min(fee, 0.0)))
    box = np.zeros((2, items)), np.ones((2, items))
    return LipschitzMenus(menus, *box, np.broadcast_to(constants, (2, *constants.shape)))


@pytest.mark.parametrize(("items", "fee"), [(1, 0.05), (1, 0.01), (2, 0.3)])
def test_a_margin_lets_branch_and_bound_finish(items: int, fee: float) -> None:
    found = certify(enclosed(fee, items))
    assert (found.status, found.undecided) == ("certified", 0.0)


def test_promises_that_clash_are_found() -> None:
    found = certify(enclosed(-0.05, 1))
    assert found.status == "refuted"
    assert found.counterexample is not None
    values = np.array([[[float(x) for x in row] for row in found.counterexample.values]])
    assert Dear(-0.05, 1)(values).allocation.sum() == 2.0


def test_a_tie_surface_stays_undecided_and_shrinks() -> None:
    shares = [certify(enclosed(0.0, 1), boxes=boxes).undecided for boxes in (2_000, 20_000)]
    assert 0.0 < shares[1] < 0.25 * shares[0] < 0.1


def test_it_agrees_with_the_exact_certifier() -> None:
    for fee, status in ((0.125, "certified"), (-0.125, "refuted")):
        nodes = np.array(list(itertools.product((0.0, 0.5, 1.0), repeat=2)))
        prices = dyadic(np.maximum(nodes, 0.5) @ OPTIONS.T + fee * OPTIONS.sum(axis=1))
        menus = SimplexMenus(np.zeros((2, 2)), np.ones((2, 2)), OPTIONS, np.stack([prices, prices]), 2)
        constants = np.abs(OPTIONS[:, None] - OPTIONS[None, :]).sum(axis=-1)  # each item's price has slope 0 or 1
        enclosure = LipschitzMenus(menus, menus.low, menus.high, np.stack([constants, constants]))
        assert certify(menus).status == status
        assert certify(enclosure).status == status


def test_menus_without_a_free_null_option_have_no_enclosure() -> None:
    class Forced(Dear):
        def menus(self, bids: Any) -> Menu:
            items, prices = super().menus(bids)
            return Menu(items[:, :, 1:], prices[:, :, 1:])

    box = np.zeros((2, 2)), np.ones((2, 2))
    with pytest.raises(ValueError, match="option 0 of every menu must be null"):
        certify(LipschitzMenus(Forced(0.1, 2), *box, 2.0))
