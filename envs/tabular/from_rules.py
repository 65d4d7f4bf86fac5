"""Trees of walras games: all nodes of a level go through the rules in one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from walras.envs.finite import STEP_LIMIT, Actions
from walras.envs.game import Array, FiniteGame, put, take
from walras.envs.spaces import cast_observation
from walras.envs.tabular.flat import FlatGame
from walras.envs.tabular.growth import Growth
from walras.envs.tabular.sizes import DIVES, Size, summarise

_CHUNK = 1 << 18  # lanes that the rules step at once: more would only cost memory


class RulesSource:
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
        return summarise(total.tolist())

    def _over(self, state: Any, step: int) -> Array:
        over: Array = self.game.terminal(state)
        if self.game.horizon is not None and step >= self.game.horizon:
            over = np.ones_like(over)
        if step >= STEP_LIMIT and not over.all():
            raise ValueError(f"game: {self.name} has not ended after {STEP_LIMIT} steps; give it a horizon")
        return over

    def expand(self, limit: int, tell: Callable[[int], None]) -> FlatGame:
        """The flat game, if it has no more than `limit` nodes (else ValueError); `tell` hears how many are found."""
        n = self.game.n_agents
        growth = Growth(self.game.agents, limit, self.name, tell)
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

    def _settle(self, growth: Growth, nodes: Array, state: Any, memory: Array) -> tuple[Array, Any, Array]:
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

    def _show(self, growth: Growth, state: Any, movers: Array, view: Array) -> None:
        """Keep the observations of those who are to move, as their seats receive them."""
        for role in self.game.roles:
            seen = cast_observation(role.observation_space, self.game.observe(state, role.name))
            parts = list(seen.values()) if isinstance(seen, dict) else [seen]
            for i, agent in enumerate(role.agents):
                k = self.game.seat[agent][2]
                asked = np.flatnonzero(movers[:, k])
                if len(asked):
                    growth.show(view[asked, k], [part[asked, i] for part in parts])

    def _act(self, growth: Growth, nodes: Array, state: Any, menu: Any, view: Array) -> tuple[Array, Any, Array]:
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
