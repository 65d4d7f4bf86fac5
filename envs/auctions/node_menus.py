"""Menus whose prices are piecewise affine in the others' reports.

Prices are given at grid nodes and are affine on the Kuhn simplices in between.
Each bidder is offered every bundle (every single item under unit demand) at a price that depends on the other
bidders' reports alone, so no bidder can gain by a false report. Nothing ensures that the bundles chosen fit
together: the sum over bidders of an item's probabilities may exceed one, which `AuctionDesign` charges for and
which a menu transform has to remove (arXiv 2406.07428 calls it incompatibility).
"""

from __future__ import annotations

import itertools
from typing import Any

import array_api_compat
import numpy as np

from walras.envs.auctions.mechanism import Array, Menu, Outcome, like


def bundles(items: int, demand: str) -> Array:
    """The options after the null option: (2^m - 1, m) bundles, or (m, m) single items under unit demand."""
    if demand == "unit":
        return np.eye(items)
    return np.array([bundle for bundle in itertools.product((0.0, 1.0), repeat=items) if any(bundle)])


def nodes(bidders: int, items: int, grid: int) -> int:
    """Number of price nodes of one option: (grid + 1)^(m (n - 1))."""
    return int((grid + 1) ** (items * (bidders - 1)))


def barycentric(points: Array, grid: int) -> tuple[Array, Array]:
    """Nodes and weights of the Kuhn simplex that holds each point of the unit cube.

    Args:
        points: (N, d) in [0, 1].
        grid: number of intervals in each direction.

    Returns:
        Node numbers (N, d + 1) in row-major order on the (grid + 1)^d nodes, and weights (N, d + 1) that are
        nonnegative and sum to 1.
    """
    xp = array_api_compat.array_namespace(points)
    d = points.shape[1]
    scaled = points * grid
    base = xp.clip(xp.floor(scaled), 0, grid - 1)
    part = scaled - base
    order = xp.argsort(part, axis=1, descending=True, stable=True)
    sorted_part = xp.take_along_axis(part, order, axis=1)
    one, zero = xp.ones_like(points[:, :1]), xp.zeros_like(points[:, :1])
    weights = xp.concat([one, sorted_part], axis=1) - xp.concat([sorted_part, zero], axis=1)
    stride = xp.asarray(
        [(grid + 1) ** (d - 1 - j) for j in range(d)], dtype=order.dtype, device=array_api_compat.device(points)
    )
    start = xp.sum(xp.astype(base, order.dtype) * stride, axis=1, keepdims=True)
    return xp.concat([start, start + xp.cumulative_sum(stride[order], axis=1)], axis=1), weights


def node_menus(bids: Array, prices: Array, *, grid: int, low: Array, high: Array, demand: str = "additive") -> Menu:
    """Menus for `bids` (B, n, m) from node prices.

    Args:
        bids: reports; those beyond `low` (m,) or `high` (m,) are read as the bound.
        prices: (B, nodes, K) or (nodes, K), one table for all bidders; option order of `bundles`.
        grid: intervals in each direction.
        low: lower ends of the price grid.
        high: upper ends.
        demand: `"additive"` or `"unit"`.
    """
    xp = array_api_compat.array_namespace(bids)
    batch, n, m = bids.shape
    low, high = like(xp, low, bids), like(xp, high, bids)
    table = like(xp, prices, bids)
    unit = xp.clip((bids - low) / (high - low), 0.0, 1.0)
    offers: list[Any] = []
    for i in range(n):
        if n == 1:
            own = table[..., 0, :] if table.ndim == 3 else xp.broadcast_to(table[0], (batch, table.shape[-1]))
        else:
            others = xp.reshape(xp.concat([unit[:, :i], unit[:, i + 1 :]], axis=1), (batch, (n - 1) * m))
            index, weight = barycentric(others, grid)
            lane = xp.arange(batch, device=array_api_compat.device(bids))[:, None]
            at_nodes = table[lane, index] if table.ndim == 3 else table[index]
            own = xp.sum(weight[..., None] * at_nodes, axis=1)
        offers.append(xp.concat([xp.zeros_like(own[:, :1]), own], axis=1))
    options = like(xp, np.concatenate((np.zeros((1, m)), bundles(m, demand))), bids)
    return Menu(xp.broadcast_to(options, (batch, n, *options.shape)), xp.stack(offers, axis=1))


def node_price_sale(
    bids: Array, prices: Array, *, grid: int, low: Array, high: Array, demand: str = "additive"
) -> Outcome:
    """Every bidder's best option of `node_menus`: truthful, individually rational, but may promise an item twice."""
    return node_menus(bids, prices, grid=grid, low=low, high=high, demand=demand).best(bids)
