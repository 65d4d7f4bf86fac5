"""Symmetries of node prices: exchanging bidders and items that the prior does not tell apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from walras.envs.auctions.laws import Law
from walras.envs.game import Array


class Relabelling(NamedTuple):
    """Where the price of bidder i, node and option goes when bidders and items are renamed.

    Attributes:
        bidder: (n,) new bidder.
        node: (n, N) new node of that bidder's table.
        option: (K,) new option.
    """

    bidder: Array
    node: Array
    option: Array


def symmetries(laws: Sequence[Sequence[Law]], options: Array, grid: int) -> list[Relabelling]:
    """All renamings of bidders and items that leave the `laws` (n x m) as they are, the identity first.

    Args:
        laws: of the values.
        options: (K, m), closed under renaming items.
        grid: cells a side of the table of prices.
    """
    n, m = len(laws), len(laws[0])
    nodes = np.array(list(itertools.product(range(grid + 1), repeat=m * (n - 1)))).reshape(-1, n - 1, m)
    stride = (grid + 1) ** np.arange(m * (n - 1))[::-1].reshape(n - 1, m)
    numbers = {tuple(row): k for k, row in enumerate(options.tolist())}
    found = []
    for bidders in itertools.permutations(range(n)):
        for items in itertools.permutations(range(m)):
            if any(laws[bidders[i]][items[j]] != laws[i][j] for i in range(n) for j in range(m)):
                continue
            node = []
            for i in range(n):
                there = [o for o in range(n) if o != bidders[i]]
                rows = [there.index(bidders[o]) for o in range(n) if o != i]
                node.append((nodes * stride[np.ix_(rows, items)]).sum(axis=(1, 2)))
            back = np.argsort(items)
            option = [numbers[tuple(row)] for row in options[:, back].tolist()]
            found.append(Relabelling(np.array(bidders), np.array(node), np.array(option)))
    return found


def symmetrised(table: Array, group: Sequence[Relabelling]) -> Array:
    """The mean of a table (n, N, K) over all its renamed forms."""
    total = np.zeros_like(table)
    for bidder, node, option in group:
        total += table[bidder[:, None, None], node[:, :, None], option]
    return total / len(group)
