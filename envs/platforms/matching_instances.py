"""Worked instances of platform matching, with everything that was computed for them by hand or by brute force.

Source of the model: arXiv 2406.07385; the instances and their numbers are derived for this library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from walras.envs.arguments import whole
from walras.envs.platforms.market import Market, homogeneous


@dataclass(frozen=True, eq=False)
class Worked:
    """A market and its exact numbers.

    Attributes:
        market: values and world pairs.
        revenue: the largest that introductions earn (`ties="platform"`).
        world_welfare: W0.
        ideal_welfare: W*.
        optima: sets of pairs (buyer, seller) that earn `revenue` as a matching; empty: not listed.
        welfare: welfare at each of `optima`.
        penalised: what penalised matching earns, where known.
        breakpoints: its penalties, where known.
        says: what the instance shows.
    """

    market: Market
    revenue: int
    world_welfare: int
    ideal_welfare: int
    optima: tuple[frozenset[tuple[int, int]], ...] = ()
    welfare: tuple[int, ...] = ()
    penalised: int | None = None
    breakpoints: tuple[int, ...] | None = None
    says: str = ""


def _graph(shape: tuple[int, int], pairs: Any) -> np.ndarray[Any, Any]:
    graph = np.zeros(shape, bool)
    for i, j in pairs:
        graph[i, j] = True
    return graph


def _market(values: Any, pairs: Any) -> Market:
    v = np.array(values)
    return Market(v, _graph((v.shape[0], v.shape[1]), pairs))


def _one_known(values: Sequence[int], known: Sequence[int], sellers: int) -> Market:
    return homogeneous(values, [[k] if k >= 0 else [] for k in known], sellers)


def ladder(goods: int, worth: int) -> Market:
    """The market in which the guarantee DeltaW / H_K is attained: revenue h, DeltaW = h H_K.

    K buyers; each has a seller of her own, worth h to her alone whom she does not know; all know K - 1 sellers, the
    t-th of whom is worth h - h / (K - t + 1) to everybody.

    Args:
        goods: K >= 1.
        worth: h, divisible by 2, ..., K.

    Raises:
        ValueError: if h is not divisible.
    """
    k, h = whole("goods", goods), whole("worth", worth)
    if any(h % d for d in range(2, k + 1)):
        raise ValueError(f"worth must be divisible by all of 2..{k}, got {h}")
    values = np.zeros((k, 2 * k - 1), np.int64)
    values[np.arange(k), np.arange(k)] = h
    for t in range(1, k):
        values[:, k + t - 1] = h - h // (k - t + 1)
    known = np.zeros(values.shape, bool)
    known[:, k:] = True
    return Market(values, known)


def _sets(*sets: Sequence[tuple[int, int]]) -> tuple[frozenset[tuple[int, int]], ...]:
    return tuple(frozenset(pairs) for pairs in sets)


WORKED: dict[str, Worked] = {
    "disruption": Worked(
        _market([[1, 1], [1, 1]], [(0, 0), (1, 1)]), 2, 2, 2, _sets([(0, 1), (1, 0)]), (2,),
        says="revenue without any welfare to gain; it needs ties to go to the platform",
    ),
    "revenue-against-welfare": Worked(
        _market([[11, 10], [10, 0]], [(1, 0)]), 11, 10, 20, _sets([(0, 0)]), (11,),
        says="the best introduction pushes a buyer out of the market",
    ),
    "ladder-2": Worked(
        ladder(2, 60), 60, 30, 120, _sets([(0, 0)], [(1, 1)], [(0, 0), (1, 1)]), (90, 90, 120), 60, (30, 60),
        says="attains the guarantee DeltaW / H_2",
    ),
    "ladder-3": Worked(ladder(3, 60), 60, 70, 180, (), (), 60, (20, 30, 60), says="attains the guarantee DeltaW / H_3"),
    "near-guarantee": Worked(
        _market([[4, 8, 1], [4, 7, 8]], [(0, 0), (0, 2), (1, 0)]), 8, 5, 16, _sets([(1, 2)], [(0, 1), (1, 2)]),
        (12, 16), None, (4, 7), says="DeltaW is 1.375 times the revenue",
    ),
    "beyond-the-guarantee": Worked(
        _market(
            [[10, 11, 16, 20], [1, 3, 17, 19], [5, 7, 18, 9], [6, 17, 6, 9]],
            [(0, 1), (0, 2), (1, 0), (1, 3), (2, 2), (2, 3), (3, 0), (3, 1)],
        ), 41, 54, 64, _sets([(0, 3), (1, 2), (2, 0)]), (59,), 10, None,
        says="revenue is four times DeltaW, and penalised matching finds a quarter of it",
    ),
    "inefficient-optimum": Worked(
        _market([[9, 2, 7, 4], [6, 8, 3, 5], [3, 7, 9, 1], [8, 6, 2, 7]], [(0, 0), (0, 3), (1, 1), (2, 1), (3, 0)]),
        17, 20, 33, _sets([(1, 3), (2, 2), (3, 1)]), (29,), 16, (4, 9),
        says="the optimum is not efficient, penalised matching is and earns less",
    ),
    "three-know-one": Worked(
        _one_known([7, 5, 4], [0, 0, 0], 3), 9, 7, 16, _sets([(1, 1), (2, 2)], [(1, 2), (2, 1)]), (16, 16),
        says="homogeneous: the best buyer keeps the seller whom all know",
    ),
    "five": Worked(
        _market(
            [[17, 6, 3, 6, 9], [17, 10, 2, 7, 13], [17, 15, 20, 4, 18], [2, 12, 6, 5, 14], [7, 12, 6, 4, 15]],
            [(i, j) for i, known in enumerate(((1, 3), (2, 3), (2, 4), (3, 4), (0, 1))) for j in known],
        ), 44, 54, 71, _sets([(0, 0), (3, 1), (4, 4)]), (71,), 44, None,
        says="five a side, penalised matching is optimal",
    ),
}  # fmt: skip
"""Instances, all but one of general values; where small enough, all introductions were listed."""

ONE_KNOWN: tuple[tuple[tuple[int, ...], tuple[int, ...], int, int, int, int], ...] = (
    ((10, 1), (0, 1), 2, 2, 11, 11),
    ((10, 9, 1), (0, 1, 2), 3, 18, 20, 20),
    ((10, 10, 9), (0, 0, 1), 3, 27, 19, 29),
    ((10, 10, 1), (0, 0, 1), 3, 11, 11, 21),
    ((10, 9, 8, 7), (0, 1, 2, 3), 4, 32, 34, 34),
    ((10, 9, 5, 4, 3), (0, 1, 2, 3, 4), 5, 27, 31, 31),
    ((10, 8, 6, 3), (0, 1, -1, 2), 4, 25, 21, 27),
    ((12, 9, 6, 4), (0, 1, 2, 3), 6, 26, 31, 31),
    ((30, 22, 21, 9, 8, 8), (0, 1, 2, 3, 4, 5), 6, 87, 98, 98),
)
"""Homogeneous markets in which each buyer knows one seller at most : values, seller known or -1, number of sellers,
largest revenue, W0, W*."""
