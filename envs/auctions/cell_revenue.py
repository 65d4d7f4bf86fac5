"""Exact expected revenue of menus on cells from truthful bidders with independent values.

A bidder's menu depends on the others' cells alone and its choice on its own values alone, so expected revenue is a
sum over menus: the probability of the others' cells times what the menu earns from a bidder.
"""

from __future__ import annotations

import math

import numpy as np

from walras.envs.auctions.cell_menus import CellMenus, cell_types
from walras.envs.auctions.finite_lp import finite_types
from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.mechanism import Array
from walras.envs.auctions.menu_revenue import menu_revenue
from walras.envs.auctions.priors import Independent, Prior
from walras.envs.auctions.truthful import PostedMenu


def cell_revenue(mechanism: CellMenus, prior: Prior) -> float:
    """Expected sum of payments.

    Args:
        mechanism: menus on cells with uniform values, or on the types of a prior with atoms.
        prior: independent values; uniform, in the box of the mechanism, where its cells are boxes.

    Raises:
        ValueError: the prior does not fit, or a price is negative where there are not two items.
    """
    laws = prior.marginals
    if laws is None:
        raise ValueError(f"prior: must have independent values, got {prior!r}")
    mechanism.check_size(prior.bidders, prior.items)
    if mechanism.points:
        return _finite_revenue(mechanism, prior)
    if np.any(prior.low < mechanism.low) or np.any(prior.high > mechanism.high):
        raise ValueError("prior: values must lie in the box of the mechanism")
    chances = cell_chances(mechanism, prior)
    total = []
    for i, row in enumerate(laws):
        own = Independent((row,))
        menus = np.concatenate((mechanism.options[i].reshape(len(chances[i]), -1), mechanism.prices[i]), axis=1)
        rows, place = np.unique(menus, axis=0, return_inverse=True)
        weight = np.bincount(place.ravel(), chances[i], len(rows))
        split = mechanism.options[i].shape[1] * mechanism.items
        for menu, chance in zip(rows, weight.tolist(), strict=True):
            if chance > 0.0 and np.any(menu[split:] != 0.0):
                total.append(chance * _menu_revenue(menu[:split].reshape(-1, mechanism.items), menu[split:], own))
    return math.fsum(total)


def _menu_revenue(options: Array, prices: Array, own: Independent) -> float:
    """What one menu earns from one bidder; of equal options the cheapest counts."""
    distinct, place = np.unique(options, axis=0, return_inverse=True)
    least = np.full(len(distinct), np.inf)
    np.minimum.at(least, place.ravel(), prices)
    if own.items == 2 and all(isinstance(law, Uniform) for law in own.laws[0]):
        from walras.envs.auctions.polygon_kernels import uniform_revenue

        work = np.empty((4, len(least) + 5))
        return float(uniform_revenue(least, distinct, own.low[0], own.high[0], work))
    return menu_revenue(PostedMenu(tuple(map(tuple, distinct.tolist())), tuple(least.tolist())), own)


def cell_chances(mechanism: CellMenus, prior: Prior) -> list[Array]:
    """For each bidder (T_i,) the probability of the others' cells, row by row of its table.

    Raises:
        ValueError: the values are not independent.
    """
    laws = prior.marginals
    if laws is None:
        raise ValueError(f"prior: must have independent values, got {prior!r}")
    single = []
    for i, row in enumerate(laws):
        low, high = mechanism.boxes(i)
        mass = np.ones(len(low))
        for j, law in enumerate(row):
            mass = mass * (np.asarray(law.cdf(high[:, j])) - np.asarray(law.cdf(low[:, j])))
        single.append(mass)
    chances = []
    for i in range(mechanism.bidders):
        chance = np.ones(1)
        for j, mass in enumerate(single):
            if j != i:
                chance = np.multiply.outer(chance, mass).ravel()
        chances.append(chance)
    return chances


def _finite_revenue(mechanism: CellMenus, prior: Prior) -> float:
    types = finite_types(prior)
    listed = cell_types(mechanism)
    if any(not np.array_equal(own, other) for own, other in zip(types.values, listed, strict=True)):
        raise ValueError("prior: its types must be those of the mechanism")
    values = np.stack([own[types.profiles()[:, i]] for i, own in enumerate(types.values)], axis=1)
    return float(types.masses() @ mechanism.outcome(values).payment.sum(axis=1))
