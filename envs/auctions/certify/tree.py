"""The pieces of the others' reports on which a bidder's prices are affine: a tree of Kuhn simplices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from walras.envs.auctions import kuhn
from walras.envs.auctions.simplex_menus import Surcharge


class Tree(NamedTuple):
    """Simplices of one bidder's table: the base ones are the roots, refined ones are below them.

    Attributes:
        ids: (N,) number of the simplex at its level.
        level: (N,).
        child: (N,) first child, -1 at leaves; children follow each other.
        entry: (N,) row of `amounts` that holds in the simplex unless a finer one says otherwise, 0 for nothing.
        amounts: (1 + entries, K); row 0 is zero.
        roots: number of roots, which come first.
    """

    ids: Any
    level: Any
    child: Any
    entry: Any
    amounts: Any
    roots: int


def build_tree(own: Sequence[Surcharge], cells: int, dimension: int, options: int) -> Tree:
    """The tree of a bidder with surcharges `own` on a base grid of `cells` a side."""
    listed: dict[int, tuple[Any, Any]] = {}  # level -> ids, rows of `amounts`
    amounts = [np.zeros((1, options))]
    count = 1
    for given in own:
        listed[given.level] = (given.ids, count + np.arange(len(given.ids)))
        amounts.append(given.amounts)
        count += len(given.ids)
    divided = divided_simplices(own, cells, dimension)
    deepest = max(listed, default=0)
    ids = np.arange(kuhn.count(cells, dimension), dtype=np.int64)
    entry = np.zeros(len(ids), dtype=np.int64)
    parts: list[tuple[Any, Any, Any, Any]] = []
    start = 0
    for level in range(deepest + 1):
        if level in listed:
            place, found = _look_up(listed[level][0], ids)
            entry = np.where(found, listed[level][1][place], entry)
        inner = np.isin(ids, divided[level]) if level < deepest else np.zeros(len(ids), dtype=bool)
        child = np.full(len(ids), -1, dtype=np.int64)
        child[inner] = start + len(ids) + (np.arange(int(inner.sum())) << dimension)
        parts.append((ids, np.full(len(ids), level, dtype=np.int64), child, entry))
        start += len(ids)
        ids = kuhn.halve(ids[inner], cells << level, dimension).ravel()
        entry = np.repeat(entry[inner], 1 << dimension)
    numbers, levels, children, entries = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Tree(numbers, levels, children, entries, np.concatenate(amounts), len(parts[0][0]))


def divided_simplices(own: Sequence[Surcharge], cells: int, dimension: int) -> dict[int, Any]:
    """For each level the sorted numbers of the simplices that hold a finer listed one."""
    listed = {given.level: given.ids for given in own}
    divided: dict[int, Any] = {}
    below = np.empty(0, dtype=np.int64)
    for level in range(max(listed, default=0), 0, -1):
        below = np.union1d(below, listed.get(level, np.empty(0, dtype=np.int64)))
        below = np.unique(kuhn.parents(below, cells << level, dimension))
        divided[level - 1] = below
    return divided


def _look_up(numbers: Any, wanted: Any) -> tuple[Any, Any]:
    place = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return place, numbers[place] == wanted
