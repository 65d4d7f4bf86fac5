"""Platforms that introduce by a method: from the market they see to introductions, at once or pair by pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from walras.envs.game import Array
from walras.envs.platforms.introductions import LISTED, best_introductions
from walras.envs.platforms.matching import PlatformMatching

Method = Callable[[Array, Array], Array]
"""Introductions (n, m) bool for values (n, m) and world pairs (n, m) bool; a matching outside the world."""


def nobody(values: Array, world: Array) -> Array:
    """No introductions."""
    return np.zeros(world.shape, bool)


def efficient(values: Array, world: Array) -> Array:
    """The pairs of a maximum-weight matching of the complete graph that do not know each other."""
    from walras.envs.platforms.clearing import clear
    from walras.envs.platforms.introductions import as_graph

    matching = clear(values, np.ones(world.shape, bool)).matching[0]
    pairs: Array = as_graph(matching, world.shape[1]) & ~world
    return pairs


def penalised(values: Array, world: Array) -> Array:
    """The best of penalised matching: at least DeltaW / H_K."""
    from walras.algorithms.platforms.penalised import penalised_matching

    return penalised_matching(values, world).introduced


def greedy(values: Array, world: Array) -> Array:
    """Pair by pair, what adds most."""
    from walras.algorithms.platforms.introduction_search import fully_traded, greedy_introductions

    return fully_traded(values, world, greedy_introductions(values, world).introduced).introduced


def search(values: Array, world: Array) -> Array:
    """The constructions, improved by annealing."""
    from walras.algorithms.platforms.introduction_search import search_introductions

    return search_introductions(values, world, moves=20_000).introduced


def optimal(values: Array, world: Array) -> Array:
    """The revenue-optimal introductions: listed where the market is small, else by mixed-integer programming."""
    if max(values.shape) <= LISTED:
        best: Array = best_introductions(values, world).introduced[0]
        return best
    from walras.algorithms.platforms.optimal_introductions import optimal_introductions

    return optimal_introductions(values, world).introduced


def world_first(values: Array, world: Array) -> Array:
    """KEEP-WORLD, for homogeneous goods: at least DeltaW, with an efficient outcome."""
    from walras.algorithms.platforms.homogeneous_introductions import keep_world

    return keep_world(values, world)


METHODS: dict[str, Method] = {
    "nobody": nobody,
    "efficient": efficient,
    "penalised": penalised,
    "keep-world": world_first,
    "greedy": greedy,
    "search": search,
    "optimal": optimal,
}
"""Methods by name."""


@dataclass(frozen=True)
class Introducer:
    """A designer of `PlatformMatching` who follows a method, in either form of the game.

    In the sequential form it takes back what the method would not introduce, then introduces pair by pair, then stops.

    Attributes:
        buyers: n.
        sellers: m.
        sequential: whether it acts pair by pair.
        method: from a market to introductions.
    """

    buyers: int
    sellers: int
    sequential: bool
    method: Method

    @classmethod
    def of(cls, game: PlatformMatching, method: str | Method = "penalised") -> Introducer:
        """The introducer for a game.

        Args:
            game: the game it will sit in.
            method: a name in `METHODS`, or a function.

        Raises:
            ValueError: for an unknown name.
        """
        if isinstance(method, str):
            if method not in METHODS:
                raise ValueError(f"method must be one of {sorted(METHODS)} or a function, got {method!r}")
            method = METHODS[method]
        return cls(game.buyers, game.sellers, game.form == "sequential", method)

    def __call__(self, observation: Array, *, mask: Array | None = None, rng: Any = None) -> Array:
        """Actions (B, n), or (B,) in the sequential form, for observations (B, 3 n m + m + 4)."""
        n, m = self.buyers, self.sellers
        graphs = np.asarray(observation, np.float64)[:, : 3 * n * m].reshape(-1, 3, n, m)
        actions = []
        for values, world, made in graphs:
            if (values == np.rint(values)).all():
                values = values.astype(np.int64)
            plan = self.method(values, world > 0)
            if self.sequential:
                wrong = np.flatnonzero(((made > 0) & ~plan).ravel())
                rest = np.flatnonzero((plan & (made == 0)).ravel())
                todo = [*wrong, *rest, n * m]
                actions.append(todo[0])
            else:
                actions.append(np.where(plan.any(axis=1), plan.argmax(axis=1), m))
        return np.array(actions, np.int64)
