"""What strategies of a flat game are worth: expected returns, best responses, NashConv, exploitability.

Shapes: `S` slots, `N` players, `Q` sequences of one player.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, NamedTuple

import numpy as np

from walras.envs.game import Array
from walras.envs.tabular.flat import FlatGame


class Response(NamedTuple):
    """A best response.

    Attributes:
        value: what it earns, in the game's units.
        strategy: (S,) the strategy answered, with the player's own part replaced by the (pure) response.
    """

    value: float
    strategy: Array


class _Bench:
    """Buffers for one game, so that an evaluation allocates nothing large."""

    def __init__(self, game: FlatGame) -> None:
        form = game.sequence_form
        self.plexes = form.treeplexes
        sizes = [len(plex.slot) for plex in self.plexes]
        self.base = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        self.all = np.zeros(sum(sizes))
        self.plans = [self.all[b : b + q] for b, q in zip(self.base.tolist(), sizes, strict=True)]
        self.gradients = [np.zeros(q) for q in sizes]
        widest = max((int(plex.groups[:, 1].max(initial=1)) for plex in self.plexes), default=1)
        self.scratch = np.zeros(widest)
        self.choices = [np.zeros(len(plex.parent), np.int64) for plex in self.plexes]
        self.utility = [np.ascontiguousarray(game.returns[form.leaves, i]) for i in range(game.n_players)]

    def gradient(self, game: FlatGame, player: int) -> Array:
        """(Q,) what each of a player's sequences earns at the leaves it ends in, against the others' plans."""
        from walras.algorithms.tabular.sweeps import collect, multiply

        form, g = game.sequence_form, self.gradients[player]
        if form.payoffs is not None:
            multiply(form.payoffs[player], self.plans[1 - player], g)
        else:
            collect(form.last, form.chance, self.utility[player], self.all, self.base, player, g)
        return g


class _Kept(threading.local):
    """Each thread has buffers of its own."""

    def __init__(self) -> None:
        self.benches: weakref.WeakKeyDictionary[FlatGame, _Bench] = weakref.WeakKeyDictionary()


_kept = _Kept()


def _bench(game: FlatGame, strategy: Any) -> _Bench:
    """The game's buffers, with the plans of a strategy in them."""
    from walras.algorithms.tabular.sweeps import plan

    bench = _kept.benches.get(game)
    if bench is None:
        bench = _kept.benches.setdefault(game, _Bench(game))
    slots = game.check_strategy(getattr(strategy, "probabilities", strategy))
    for plex, x in zip(bench.plexes, bench.plans, strict=True):
        plan(plex, slots, x)
    return bench


def expected_returns(game: FlatGame, strategy: Any) -> Array:
    """(N,) what every player earns on average when all follow the strategy.

    Args:
        game: with perfect recall.
        strategy: (S,) numbers, or a `TabularStrategy`.

    Raises:
        ValueError: if it is no strategy of this game, or a player forgets what it did.
    """
    bench = _bench(game, strategy)
    return np.array([bench.gradient(game, i) @ bench.plans[i] for i in range(game.n_players)])


def best_response(game: FlatGame, strategy: Any, player: int) -> Response:
    """What a player earns at most against the others' part of the strategy, and by which pure strategy.

    Of equally good actions the first is taken, at infostates that the response itself avoids as well.

    Raises:
        ValueError: as `expected_returns`, or if there is no such player.
    """
    from walras.algorithms.tabular.sweeps import respond

    own = game.slots(player)
    bench = _bench(game, strategy)
    plex, choice = bench.plexes[player], bench.choices[player]
    value = respond(plex, bench.gradient(game, player), choice)
    slots = np.array(getattr(strategy, "probabilities", strategy), np.float64)
    slots[own] = 0.0
    for first, width, _, k in plex.groups.tolist():
        slots[plex.slot[first + choice[k : k + width] * width + np.arange(width)]] = 1.0
    return Response(value, slots)


def gains(game: FlatGame, strategy: Any) -> Array:
    """(N,) what each player would gain by a best response to the others; zeros in a Nash equilibrium, and only there.

    Raises:
        ValueError: as `expected_returns`.
    """
    from walras.algorithms.tabular.sweeps import best_value

    bench = _bench(game, strategy)
    result = np.empty(game.n_players)
    for i in range(game.n_players):
        g = bench.gradient(game, i)
        now = float(g @ bench.plans[i])
        result[i] = best_value(bench.plexes[i], g, bench.scratch) - now
    return result


def nash_conv(game: FlatGame, strategy: Any) -> float:
    """The sum of all players' gains from a best response (Lanctot et al. 2017, arXiv 1711.00832); general-sum too.

    Raises:
        ValueError: as `expected_returns`.
    """
    return float(gains(game, strategy).sum())


def exploitability(game: FlatGame, strategy: Any) -> float:
    """Half of NashConv in a two-player game of constant sum: how far below its value each side falls on average.

    Raises:
        ValueError: as `expected_returns`; or if the game is not of constant sum with two players (use `nash_conv`).
    """
    if game.constant_sum is None:
        raise ValueError(
            f"game: {game.name} is not a two-player game of constant sum, for which exploitability is defined; "
            "nash_conv measures every game"
        )
    return nash_conv(game, strategy) / 2.0
