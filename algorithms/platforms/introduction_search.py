"""Heuristics for introductions: greedy addition, and annealing among optimal matchings.

Annealing walks through matchings M that are optimal among the world's pairs and their own, the only ones that matter,
and prices each by shortest paths among the world's pairs: a few microseconds for 15 x 15. It starts from the best of
what penalised matching, the Lagrangian bound's matchings and, for homogeneous goods, KEEP-WORLD give.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from walras.algorithms.platforms.homogeneous_introductions import keep_world
from walras.algorithms.platforms.introduction_bound import revenue_bound
from walras.algorithms.platforms.penalised import penalised_matching
from walras.envs.arguments import whole
from walras.envs.game import Array
from walras.envs.platforms.clearing import TOLERANCE
from walras.envs.platforms.introductions import as_graph, one_market, trade

_FAVOURITES = 12
_COLDEST = 1e-3  # last temperature over the first


class Found(NamedTuple):
    """Introductions and what they earn.

    Attributes:
        introduced: (n, m) bool.
        revenue: by the rules, with the tie rule `"platform"`.
    """

    introduced: Array
    revenue: float


def fully_traded(values: Any, world: Any, introduced: Any) -> Found:
    """Introductions without those that do not trade: a matching that earns at least as much.

    Raises:
        ValueError: if shapes do not fit, or a value is negative or not finite.
    """
    v, e = one_market(values, world)
    graph = np.asarray(introduced, bool) & ~e
    while True:
        now = trade(v, e, graph)
        traded = as_graph(now.matching[0], v.shape[1]) & graph
        if (traded == graph).all():
            return Found(graph, float(now.revenue[0]))
        graph = traded


def greedy_introductions(values: Any, world: Any) -> Found:
    """Add the pair that earns most more, until none earns more; every pair is tried in the market at every step.

    Raises:
        ValueError: if shapes do not fit, or a value is negative or not finite.
    """
    v, e = one_market(values, world)
    graph, revenue = np.zeros(v.shape, bool), 0.0
    while True:
        open_ = np.argwhere(~e & ~graph & (v > 0))
        if not len(open_):
            return Found(graph, revenue)
        tried = np.repeat(graph[None], len(open_), axis=0)
        tried[np.arange(len(open_)), open_[:, 0], open_[:, 1]] = True
        earned = trade(v, e, tried).revenue
        at = int(np.argmax(earned))
        if earned[at] <= revenue + TOLERANCE * float(v.max(initial=0)):
            return Found(graph, revenue)
        graph, revenue = tried[at], float(earned[at])


def anneal_introductions(
    values: Any,
    world: Any,
    start: Any,
    *,
    moves: int = 200_000,
    temperature: float = 0.3,
    favourites: Any = None,
    seed: int = 0,
) -> Found:
    """Simulated annealing among optimal matchings.

    Args:
        values: (n, m), nonnegative.
        world: (n, m) bool.
        start: (n, m) bool, introductions to start from.
        moves: moves tried.
        temperature: of the first move, in units of the mean value; it falls geometrically to a thousandth.
        favourites: (n, m) float, what a buyer's sellers promise: the best dozen are tried more often; default: values.
        seed: nonnegative integer.

    Raises:
        ValueError: if the market does not fit, `moves` is below 1, or the temperature is not positive and finite.
    """
    from walras.algorithms.platforms import introduction_kernels as kernels

    moves = whole("moves", moves)
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be a positive number, got {temperature!r}")
    v, e = one_market(values, world)
    first = fully_traded(v, e, start)
    if not v.size or not (v > 0).any():
        return first
    matching = trade(v, e, first.introduced).matching[0].copy()
    exact = v.astype(np.float64)
    lists = kernels.knows(exact, e)
    promise = exact if favourites is None else np.asarray(favourites, np.float64)
    best = np.argsort(-promise, axis=1, kind="stable")[:, : min(v.shape[1], _FAVOURITES)]
    heat = temperature * float(exact.mean()) * np.geomspace(1.0, _COLDEST, moves)
    rng = np.random.default_rng(seed)
    slack = 1e-3 * TOLERANCE * float(exact.max())
    kernels.anneal(exact, e, lists.of_buyer, lists.sellers, best, matching, heat, rng, slack)
    found = fully_traded(v, e, as_graph(matching, v.shape[1]) & ~e)
    return found if found.revenue >= first.revenue else first


def search_introductions(
    values: Any,
    world: Any,
    *,
    moves: int = 200_000,
    runs: int = 2,
    problems: int | None = 64,
    iterations: int = 200,
    seed: int = 0,
) -> Found:
    """The best of the constructions, improved by annealing.

    Args:
        values: (n, m), nonnegative.
        world: (n, m) bool.
        moves: of each annealing.
        runs: annealings, at temperatures 0.3, 0.05, 0.3, ...; each starts from the best found so far.
        problems: assignment problems of penalised matching.
        iterations: of the Lagrangian bound.
        seed: nonnegative integer.

    Raises:
        ValueError: if shapes do not fit, a value is negative or not finite, or a count is too small.
    """
    v, e = one_market(values, world)
    penalised = penalised_matching(v, e, problems=problems)
    bound = revenue_bound(v, e, iterations=iterations, revenue=penalised.revenue)
    starts = [Found(penalised.introduced, penalised.revenue), Found(bound.introduced, bound.revenue)]
    if v.size and (v == v[:, :1]).all():
        graph = keep_world(v, e)
        starts.append(Found(graph, float(trade(v, e, graph).revenue[0])))
    best = max(starts, key=lambda found: found.revenue)
    for run in range(whole("runs", runs)):
        heat = (0.3, 0.05)[run % 2]
        found = anneal_introductions(v, e, best.introduced, moves=moves, temperature=heat, seed=seed * 1000 + run)
        best = max(best, found, key=lambda found: found.revenue)
    return best
