"""From any finite game to flat arrays: walras games level by level, OpenSpiel games state by state.

Both find the same tree. Agents who move at the same time become players who move one after another without seeing what
the others chose. Infostates have perfect recall: a player knows, for every step of the rules so far, what it observed,
whether it was asked, and what it did. Some of OpenSpiel's games (goofspiel) name information states that forget; they
are split here by what the player did before.
"""

from __future__ import annotations

import functools
import json
import math
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from walras.envs.finite import STEP_LIMIT, Actions, as_finite
from walras.envs.game import Array, FiniteGame, Game, put, take
from walras.envs.registry import as_game
from walras.envs.spaces import cast_observation
from walras.envs.tabular.flat import CHANCE, DECISION, LEAF, FlatGame

if TYPE_CHECKING:
    from walras.envs.doors.from_openspiel import OpenSpielGame

LIMIT = 20_000_000
"""Largest number of nodes that `compile_game` expands unless told otherwise; a node takes about 70 bytes."""

DIVES = 256
"""Random descents from the root by which the size is estimated before a game is expanded."""

KEPT, KEPT_NODES = 16, 1_000_000
"""How many games `cached_game` keeps, and the largest one it keeps."""

_CHUNK = 1 << 18  # lanes that the rules step at once: more would only cost memory

Progress = Callable[[float, str], None]


class Size(NamedTuple):
    """An estimate of a game tree's size.

    Attributes:
        nodes: unbiased estimate of the number of nodes.
        deviation: its standard error; of little worth for deep games, where few descents make up most of the sum.
        median: half of the descents estimate more than this.
    """

    nodes: float
    deviation: float
    median: float


def compile_game(game: Any, *, limit: int = LIMIT, progress: Progress | None = None, **parameters: Any) -> FlatGame:
    """Expand a finite game once, to flat arrays.

    Args:
        game: a `FlatGame` (returned as it is), a walras `FiniteGame`, a registered id, OpenSpiel's text for a game
            (`"leduc_poker"`, `"goofspiel(num_cards=3)"`), or a `pyspiel.Game`. OpenSpiel's simultaneous games are
            taken in turns.
        limit: largest number of nodes. The size is estimated by random descents (Knuth 1975, Mathematics of
            Computation 29) before anything is expanded, and counted while it is.
        progress: told `(fraction, text)` now and then; the fraction is of the estimated size.
        parameters: of the game, where a registered id is given.

    Raises:
        ValueError: if the game is larger than `limit` (before memory is used up), is unknown, or breaks the rules of
            finite games.
        TypeError: if the game is not finite.
    """
    if isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 1:
        raise ValueError(f"limit must be an integer of at least 1, got {limit!r}")
    if isinstance(game, FlatGame):
        if parameters:
            raise TypeError(f"game: parameters {sorted(parameters)} can be given with an id only")
        return game
    source = _source(game, parameters)
    size = source.estimate()
    # Were there no more than `limit` nodes, a descent would pass 4 * limit with probability 1/4 at most (Markov).
    if size.nodes - 3.0 * size.deviation > limit or size.median > 4.0 * limit:
        raise ValueError(
            f"limit: {source.name} has about {size.nodes:.3g} nodes (standard error {size.deviation:.2g}, estimated by "
            f"{DIVES} random descents), more than {limit}; use a smaller game or a larger limit (a node takes about 70 "
            "bytes)"
        )
    return source.expand(limit, functools.partial(_tell, progress, size.nodes))


def cached_game(game: Any, *, limit: int = LIMIT, **parameters: Any) -> FlatGame:
    """As `compile_game`, but texts and ids are compiled once in a process: the last games of moderate size are kept."""
    try:
        key = (game, str(limit), json.dumps(parameters, sort_keys=True))
    except TypeError:  # parameters that are objects: nothing says when two of them are the same
        key = None
    if key is None or not isinstance(game, str):
        return compile_game(game, limit=limit, **parameters)
    if key not in _kept:
        flat = compile_game(game, limit=limit, **parameters)
        if flat.n_nodes > KEPT_NODES:
            return flat
        if len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = flat
    return _kept[key]


_kept: dict[tuple[Any, ...], FlatGame] = {}


def estimate_size(game: Any, **parameters: Any) -> Size:
    """Estimated number of nodes of a game's tree, by random descents, without expanding it; arguments as above."""
    return _source(game, parameters).estimate()


def _tell(progress: Progress | None, expected: float, nodes: int) -> None:
    if progress is not None:
        progress(min(1.0, nodes / max(expected, 1.0)), f"{nodes:,} nodes")


def _source(game: Any, parameters: dict[str, Any]) -> _Rules | _Spiel | _Arrays:
    from walras.envs.registry import specs

    if isinstance(game, str):
        if "/" in game or game in [spec.id for spec in specs()]:
            game = as_game(game, parameters)
        else:
            return _Spiel(_load(game, parameters))
    elif parameters:
        raise TypeError(f"game: parameters {sorted(parameters)} can be given with an id only, not with a finished game")
    if isinstance(game, Game):
        if type(game).__name__ == "OpenSpielGame":
            wrapped: OpenSpielGame = game  # type: ignore[assignment]
            return _Spiel(wrapped.openspiel)
        flat = getattr(game, "flat", None)
        if isinstance(flat, FlatGame) and game.horizon is None:
            return _Arrays(flat)
        return _Rules(as_finite(game))
    try:
        import pyspiel
    except ImportError:
        pyspiel = None
    if pyspiel is not None and isinstance(game, pyspiel.Game):
        rules = getattr(game, "walras", None)
        return _Spiel(game) if rules is None else _Rules(rules)
    raise TypeError(
        f"game: a walras FiniteGame, an id, OpenSpiel's text for a game or a pyspiel.Game is needed, got {game!r}"
    )


def _load(text: str, parameters: dict[str, Any]) -> Any:
    try:
        from walras.envs.doors.from_openspiel import load_openspiel
    except ImportError as error:
        raise ImportError(
            f"game: {text!r} is not an id of walras, and for OpenSpiel's games OpenSpiel is needed: "
            "pip install 'walras[games]'"
        ) from error

    inside = ",".join(f"{name}={value}" for name, value in parameters.items())
    return load_openspiel(f"{text}({inside})" if inside else text)


# -- nodes as they are found -------------------------------------------------------------------------------------------


class _Batch(NamedTuple):
    """Nodes found together: their parents, nature's probabilities (1: a player chose) and the actions' numbers."""

    parent: Array
    prob: Array
    number: Array


class _Growth:
    """The tree under construction: nodes in the order in which they are found, siblings in the order of actions."""

    def __init__(
        self, players: tuple[str, ...], limit: int, name: str, tell: Callable[[int], None], recall: bool = True
    ) -> None:
        """Start with the root; without `recall`, infostates are split by what their player did before."""
        self.players, self.limit, self.name, self.tell, self.recall = players, limit, name, tell, recall
        self.count = 1
        self.batches = [_Batch(np.array([-1]), np.ones(1), np.array([-1]))]
        self.decisions: list[tuple[Array, Array, Array]] = []
        self.seen: dict[int, bytes] = {}
        self.payments: list[tuple[Array, Array]] = []

    def check(self, more: float) -> None:
        if self.count + more > self.limit:
            raise ValueError(
                f"limit: {self.name} has more than {self.limit} nodes (counted {self.count + int(more)} so far); "
                "use a smaller game or a larger limit (a node takes about 70 bytes)"
            )

    def add(self, parent: Array, prob: Array | None = None, number: Array | None = None) -> Array:
        """Append children by nature or by a player; returns their numbers."""
        many = len(parent)
        self.check(many)
        batch = _Batch(parent, np.ones(many) if prob is None else prob, np.full(many, -1) if number is None else number)
        self.batches.append(batch)
        first = self.count
        self.count += many
        self.tell(self.count)
        return np.arange(first, self.count)

    def pay(self, nodes: Array, rewards: Array) -> None:
        """Say what the players are paid (B, N) on entering nodes."""
        index = np.flatnonzero(rewards.any(axis=1))
        self.payments.append((nodes[index], rewards[index]))

    def decide(self, nodes: Array, player: Array, keys: Array) -> None:
        """Say who moves at `nodes`, and give their infostates keys that no other infostate has."""
        self.decisions.append((nodes, player, keys))

    def show(self, keys: Array, parts: list[Array]) -> None:
        """Keep what a player observes at the infostates with these keys; `parts` are rows (B, ...) beside the keys."""
        different, first = np.unique(keys, return_index=True)
        rows = [np.ascontiguousarray(part[first]).reshape(len(first), -1) for part in parts]
        for i, key in enumerate(different.tolist()):
            self.seen[key] = b"".join(row[i].tobytes() for row in rows)

    def finish(self, labels: list[str] | None = None, tensors: list[Any] | None = None) -> FlatGame:
        """Renumber breadth first, number infostates and slots, and check that equal infostates offer equal actions."""
        parent = np.concatenate([batch.parent for batch in self.batches])
        prob = np.concatenate([batch.prob for batch in self.batches])
        number = np.concatenate([batch.number for batch in self.batches])
        self.batches.clear()
        order = _breadth_first(parent)
        place = np.empty(self.count, np.int64)
        place[order] = np.arange(self.count)
        parent = np.where(parent[order] >= 0, place[parent[order]], -1)
        prob, number = prob[order], number[order]
        reward = np.zeros((self.count, len(self.players)))
        for nodes, rewards in self.payments:
            reward[place[nodes]] = rewards
        self.payments.clear()
        n_children = np.bincount(parent[1:], minlength=self.count).astype(np.int32)
        first_child = np.where(n_children > 0, 1 + np.cumsum(n_children) - n_children, -1).astype(np.int32)

        player = np.full(self.count, -1, np.int8)
        key = np.full(self.count, -1, np.int64)
        for nodes, who, keys in self.decisions:
            player[place[nodes]] = who
            key[place[nodes]] = keys
        self.decisions.clear()
        given = key
        if not self.recall:
            key = _remember(parent, player, key, number)
        kind = np.full(self.count, CHANCE, np.int8)
        kind[player >= 0] = DECISION
        kind[n_children == 0] = LEAF
        info, info_player, first_node = _number_infostates(player, key)
        source = given[first_node].tolist()

        counts = n_children[first_node]
        offset = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        decisions = np.flatnonzero(player >= 0)
        if (n_children[decisions] != counts[info[decisions]]).any():
            raise ValueError(f"game: {self.name} offers different numbers of actions at nodes of one infostate")
        edge_slot = np.full(self.count, -1, np.int32)
        chosen = np.flatnonzero(parent >= 0)
        chosen = chosen[player[parent[chosen]] >= 0]
        above = parent[chosen]
        edge_slot[chosen] = offset[info[above]] + (chosen - first_child[above])
        actions = np.full(int(offset[-1]), -1, np.int32)
        actions[edge_slot[chosen]] = number[chosen]
        if (actions[edge_slot[chosen]] != number[chosen]).any():
            raise ValueError(f"game: {self.name} offers different actions at nodes of one infostate")
        return FlatGame(
            name=self.name,
            players=self.players,
            kind=kind,
            info=info,
            parent=parent.astype(np.int32),
            first_child=first_child,
            n_children=n_children,
            edge_prob=prob,
            edge_slot=edge_slot,
            reward=reward,
            info_player=info_player,
            info_offset=offset,
            info_actions=actions,
            observations=tuple(self.seen[k] for k in source) if self.seen else None,
            labels=None if labels is None else tuple(labels[k] for k in source),
            tensors=None if tensors is None else np.array([tensors[k] for k in source], np.float32),
        )


def _breadth_first(parent: Array) -> Array:
    """(n,) nodes level by level, the children of earlier nodes first; siblings keep their order."""
    n = len(parent)
    by_parent = np.argsort(parent, kind="stable")
    start = np.searchsorted(parent[by_parent], np.arange(n + 1))
    order = np.empty(n, np.int64)
    order[0], done, level = 0, 1, np.zeros(1, np.int64)
    while len(level):
        counts = start[level + 1] - start[level]
        total = int(counts.sum())
        step = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        below = by_parent[np.repeat(start[level], counts) + step]
        order[done : done + total] = below
        done, level = done + total, below
    return order


def _remember(parent: Array, player: Array, key: Array, number: Array) -> Array:
    """(n,) keys that split infostates at which a player would forget where it had been and what it did there."""
    from walras.envs.tabular.rows import number_rows

    def codes(*columns: Array) -> Array:
        rows = np.stack(columns, axis=1).astype(np.int64).view(np.uint64)
        result = np.empty(len(rows), np.int64)
        number_rows(rows, result)
        return result

    owner = np.where(parent >= 0, player[parent], -1)
    own = np.zeros(len(parent), np.int64)  # the player's own history at its decisions, from 1; 0: it has not acted yet
    for who in range(int(player.max(initial=-1)) + 1):
        last = np.zeros(len(parent), np.int64)  # the node its last own move led to
        depth = np.zeros(len(parent), np.int64)
        start = 1
        while start < len(parent):
            end = int(np.searchsorted(parent, start))
            above = parent[start:end]
            last[start:end], depth[start:end] = last[above], depth[above]
            moved = start + np.flatnonzero(owner[start:end] == who)
            last[moved] = moved
            depth[moved] += 1
            start = end
        history, used = np.zeros(len(parent), np.int64), 1
        for d in range(1, int(depth.max()) + 1):
            moved = np.flatnonzero((depth == d) & (owner == who))
            history[moved] = used + codes(history[last[parent[moved]]], key[parent[moved]], number[moved])
            used = int(history[moved].max()) + 1
        decisions = player == who
        own[decisions] = history[last[decisions]]
    refined = np.full(len(parent), -1, np.int64)
    decisions = np.flatnonzero(player >= 0)
    refined[decisions] = codes(own[decisions], key[decisions])
    return refined


def _number_infostates(player: Array, key: Array) -> tuple[Array, Array, Array]:
    """Infostates player by player, in the order of their first node.

    Returns: of each node (n,) int32, the players (I,) and the first nodes (I,).
    """
    nodes = np.flatnonzero(player >= 0)
    _, first, inverse = np.unique(key[nodes], return_index=True, return_inverse=True)
    first_node = nodes[first]
    order = np.lexsort((first_node, player[first_node]))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    info = np.full(len(player), -1, np.int32)
    info[nodes] = rank[inverse]
    first_node = first_node[order]
    return info, player[first_node].astype(np.int8), first_node


def _dive(branching: list[float]) -> float:
    """Knuth's estimate from the numbers of children met on one random descent: 1 + b1 + b1 b2 + ..."""
    with np.errstate(over="ignore"):
        return float(1.0 + np.cumprod(branching).sum())


def _size(estimates: list[float]) -> Size:
    cut = np.minimum(estimates, 1e150)  # the squares must remain finite
    return Size(float(cut.mean()), float(cut.std(ddof=1) / math.sqrt(len(cut))), float(np.median(cut)))


class _Arrays:
    """A game that is already compiled."""

    def __init__(self, flat: FlatGame) -> None:
        self.flat, self.name = flat, flat.name

    def estimate(self) -> Size:
        return Size(float(self.flat.n_nodes), 0.0, float(self.flat.n_nodes))

    def expand(self, limit: int, tell: Callable[[int], None]) -> FlatGame:
        return self.flat


# -- walras games ------------------------------------------------------------------------------------------------------


class _Rules:
    """A walras game: all nodes of a level go through the rules in one batch."""

    def __init__(self, game: FiniteGame[Any]) -> None:
        self.game, self.name = game, repr(game)
        self.actions = Actions(game)

    def estimate(self) -> Size:
        """All descents at once; descents that have ended drop out."""
        rng = np.random.Generator(np.random.Philox(0))
        state, step = self.game.root(DIVES), 0
        weight, total = np.ones(DIVES), np.ones(DIVES)
        alive = np.arange(DIVES)

        def branch(rows: Array, counts: Array) -> None:
            with np.errstate(over="ignore"):
                weight[alive[rows]] *= counts
                total[alive[rows]] += weight[alive[rows]]

        while len(alive):
            for _ in range(STEP_LIMIT):
                chance = self.game.chance(state)
                pending = np.flatnonzero(chance.sum(axis=-1) > 0)
                if not len(pending):
                    break
                possible = chance[pending] > 0
                branch(pending, possible.sum(axis=1))
                after = self.game.resolve(take(state, pending), _any(possible, rng))
                state = put(state, pending, after)
            over = self._over(state, step)
            alive, state = alive[~over], take(state, np.flatnonzero(~over))
            if len(alive):
                menu = self.actions.menu(state)
                chosen = np.zeros((len(alive), self.game.n_agents), np.int64)
                for k, legal in enumerate(menu.legal):
                    rows = np.flatnonzero(menu.movers[:, k])
                    branch(rows, legal[rows].sum(axis=1))
                    chosen[:, k] = _any(legal, rng)
                state, _ = self.game.apply(state, self.actions.arrays(chosen))
            step += 1
        return _size(total.tolist())

    def _over(self, state: Any, step: int) -> Array:
        over: Array = self.game.terminal(state)
        if self.game.horizon is not None and step >= self.game.horizon:
            over = np.ones_like(over)
        if step >= STEP_LIMIT and not over.all():
            raise ValueError(f"game: {self.name} has not ended after {STEP_LIMIT} steps; give it a horizon")
        return over

    def expand(self, limit: int, tell: Callable[[int], None]) -> FlatGame:
        n = self.game.n_agents
        growth = _Growth(self.game.agents, limit, self.name, tell)
        nodes, state, step = np.zeros(1, np.int64), self.game.root(1), 0
        memory, views = np.zeros((1, n), np.int64), 0
        while len(nodes):
            nodes, state, memory = self._settle(growth, nodes, state, memory)
            live = np.flatnonzero(~self._over(state, step))
            nodes, state, memory = nodes[live], take(state, live), memory[live]
            if len(nodes):
                menu = self.actions.menu(state)
                if not menu.movers.any(axis=1).all():
                    raise ValueError(
                        f"movers: nobody is to move after {step} steps of {self.name}, and it has not ended"
                    )
                view, views = self._look(state, memory, menu.movers, views)
                self._show(growth, state, menu.movers, view)
                nodes, state, memory = self._act(growth, nodes, state, menu, view)
            step += 1
        return growth.finish()

    def _settle(self, growth: _Growth, nodes: Array, state: Any, memory: Array) -> tuple[Array, Any, Array]:
        """Nature moves until nothing is pending."""
        rest: list[tuple[Array, Any, Array]] = []
        for _ in range(STEP_LIMIT):
            chance = self.game.chance(state)
            total = chance.sum(axis=-1)
            index = np.flatnonzero(total > 0)
            if (chance < 0).any() or not np.allclose(total[index], 1.0, atol=1e-9):
                raise ValueError(f"chance: a row of {self.name} is neither zero nor nonnegative with sum one")
            idle = np.flatnonzero(total <= 0)
            rest.append((nodes[idle], take(state, idle), memory[idle]))
            if not len(index):
                return _join(rest)
            rows, outcome = np.nonzero(chance[index] > 0)
            growth.check(len(rows))
            lanes = index[rows]
            state = self.game.resolve(take(state, lanes), outcome)
            nodes = growth.add(nodes[lanes], chance[lanes, outcome] / total[lanes])
            memory = memory[lanes]
        raise ValueError(f"chance: nature moves more than {STEP_LIMIT} times in a row in {self.name}")

    def _look(self, state: Any, memory: Array, movers: Array, views: int) -> tuple[Array, int]:
        """(B, n) keys of what each agent knows now, numbered from `views`; returns the next free number too."""
        from walras.envs.tabular.rows import number_rows

        view = np.empty_like(memory)
        for role in self.game.roles:
            seen = cast_observation(role.observation_space, self.game.observe(state, role.name))
            parts = list(seen.values()) if isinstance(seen, dict) else [seen]
            for i, agent in enumerate(role.agents):
                k = self.game.seat[agent][2]
                own = [_words(part[:, i]) for part in parts]
                rows = np.concatenate([memory[:, k : k + 1].view(np.uint64), movers[:, k : k + 1], *own], axis=1)
                codes = np.empty(len(rows), np.int64)
                found = number_rows(np.ascontiguousarray(rows, np.uint64), codes)
                view[:, k] = codes + views
                views += found
        return view, views

    def _show(self, growth: _Growth, state: Any, movers: Array, view: Array) -> None:
        """Keep the observations of those who are to move, as their seats receive them."""
        for role in self.game.roles:
            seen = cast_observation(role.observation_space, self.game.observe(state, role.name))
            parts = list(seen.values()) if isinstance(seen, dict) else [seen]
            for i, agent in enumerate(role.agents):
                k = self.game.seat[agent][2]
                asked = np.flatnonzero(movers[:, k])
                if len(asked):
                    growth.show(view[asked, k], [part[asked, i] for part in parts])

    def _act(self, growth: _Growth, nodes: Array, state: Any, menu: Any, view: Array) -> tuple[Array, Any, Array]:
        """The movers decide one after another; then the rules step, a chunk at a time."""
        lane, numbers = np.arange(len(nodes)), np.zeros((len(nodes), self.game.n_agents), np.int64)
        for k, legal in enumerate(menu.legal):
            asked = menu.movers[lane, k]
            if not asked.any():
                continue
            where = np.flatnonzero(asked)
            growth.decide(nodes[where], np.full(len(where), k), view[lane[where], k])
            growth.check(float(legal[lane[where]].sum()))
            rows, number = np.nonzero(legal[lane[where]])
            below = growth.add(nodes[where[rows]], number=number)
            idle = np.flatnonzero(~asked)
            chosen = numbers[where[rows]]
            chosen[:, k] = number
            nodes = np.concatenate([nodes[idle], below])
            numbers = np.concatenate([numbers[idle], chosen])
            lane = np.concatenate([lane[idle], lane[where[rows]]])
        kept: list[tuple[Array, Any, Array]] = []
        width = max(self.actions.counts)
        for start in range(0, len(nodes), _CHUNK):
            part = slice(start, start + _CHUNK)
            after, rewards = self.game.apply(take(state, lane[part]), self.actions.arrays(numbers[part]))
            growth.pay(nodes[part], rewards)
            # What has ended needs no state any more; a chance move may still be pending where the rules say the end.
            index = np.flatnonzero(~self.game.terminal(after) | (self.game.chance(after).sum(axis=-1) > 0))
            known = view[lane[part]] * width + numbers[part]
            kept.append((nodes[part][index], take(after, index), known[index]))
        return _join(kept)


def _words(part: Array) -> Array:
    """(B, k) uint64 that are equal where the rows of `part` are equal to the bit."""
    flat = np.ascontiguousarray(part).reshape(len(part), -1)
    if flat.dtype.itemsize == 8:
        return flat.view(np.uint64)
    return flat.view(np.dtype(f"u{flat.dtype.itemsize}")).astype(np.uint64)


def _any(possible: Array, rng: np.random.Generator) -> Array:
    """(B,) one of the columns that are true, each as likely as the others."""
    pick = (rng.random(len(possible)) * possible.sum(axis=1)).astype(np.int64)
    return np.asarray((np.cumsum(possible, axis=1) <= pick[:, None]).sum(axis=1))


def _join(parts: list[tuple[Array, Any, Array]]) -> tuple[Array, Any, Array]:
    """Lanes of several parts, one after another."""
    parts = [part for part in parts if len(part[0])] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    nodes, states, memory = zip(*parts, strict=True)
    return np.concatenate(nodes), _concatenate(states), np.concatenate(memory)


def _concatenate(states: Any) -> Any:
    first = states[0]
    if isinstance(first, tuple):
        return type(first)(*(_concatenate(fields) for fields in zip(*states, strict=True)))
    return np.concatenate(states)


# -- OpenSpiel games ---------------------------------------------------------------------------------------------------


class _Spiel:
    """An OpenSpiel game, through its Python states, one after another."""

    def __init__(self, game: Any) -> None:
        import pyspiel

        kind = game.get_type()
        modes, dynamics = pyspiel.GameType.ChanceMode, pyspiel.GameType.Dynamics
        if kind.chance_mode == modes.SAMPLED_STOCHASTIC or kind.dynamics == dynamics.MEAN_FIELD:
            raise TypeError(f"game: {game} does not list its chance moves (sampled chance or a mean field)")
        self.name = str(game)
        if kind.dynamics == dynamics.SIMULTANEOUS:
            game = pyspiel.convert_to_turn_based(game)
            kind = game.get_type()
        if not kind.provides_information_state_string:
            raise TypeError(f"game: {game} gives its players no information states")
        self.game, self.tensors = game, kind.provides_information_state_tensor
        self.early = kind.reward_model == pyspiel.GameType.RewardModel.REWARDS

    def estimate(self) -> Size:
        rng = np.random.Generator(np.random.Philox(0))
        estimates = []
        for _ in range(DIVES):
            state, branching = self.game.new_initial_state(), []
            while not state.is_terminal():
                moves = state.legal_actions()
                branching.append(float(len(moves)))
                state.apply_action(moves[int(rng.random() * len(moves))])
            estimates.append(_dive(branching))
        return _size(estimates)

    def expand(self, limit: int, tell: Callable[[int], None]) -> FlatGame:
        n = self.game.num_players()
        growth = _Growth(tuple(f"player_{i}" for i in range(n)), limit, self.name, tell, recall=False)
        parent, number, prob = array("i"), array("i"), array("d")
        nodes, player, key = array("i"), array("b"), array("i")
        payees, payments = array("i"), array("d")
        keys: dict[tuple[int, str], int] = {}
        tensors: list[Any] = []
        stack: list[tuple[Any, int, list[float]]] = [(self.game.new_initial_state(), 0, [0.0] * n)]
        count = 1
        while stack:
            state, node, before = stack.pop()
            if self.early or state.is_terminal():
                returns = state.returns()
                if returns != before:
                    payees.append(node)
                    payments.extend(x - y for x, y in zip(returns, before, strict=True))
                before = returns
            if state.is_terminal():
                continue
            if state.is_chance_node():
                outcomes = [(move, p) for move, p in state.chance_outcomes() if p > 0]
                moves, odds = [move for move, _ in outcomes], [p for _, p in outcomes]
                total = sum(odds)
                prob.extend(p / total for p in odds)
                number.extend([-1] * len(moves))
            else:
                who, moves = state.current_player(), sorted(state.legal_actions())
                text = (who, state.information_state_string(who))
                if text not in keys:
                    keys[text] = len(keys)
                    if self.tensors:
                        tensors.append(np.array(state.information_state_tensor(who), np.float32))
                nodes.append(node)
                player.append(who)
                key.append(keys[text])
                prob.extend([1.0] * len(moves))
                number.extend(moves)
            parent.extend([node] * len(moves))
            stack.extend((state.child(move), count + i, before) for i, move in enumerate(moves))
            count += len(moves)
            if count > limit:
                growth.check(count)
            if count % 4096 < len(moves):
                tell(count)
        growth.add(np.array(parent, np.int64), np.array(prob), np.array(number, np.int64))
        growth.decide(np.array(nodes, np.int64), np.array(player, np.int64), np.array(key, np.int64))
        growth.pay(np.array(payees, np.int64), np.array(payments).reshape(-1, n))
        return growth.finish([text for _, text in keys], tensors if self.tensors else None)
