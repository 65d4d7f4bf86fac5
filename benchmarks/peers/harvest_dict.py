"""Commons Harvest as one would write it in an afternoon: one world, dicts by agent, loops; and ours beside it.

Written for the comparison, with the same rules (`walras.envs.society.commons`) and the interface of PettingZoo's
parallel environments; nothing of ours is used but the drawing of the map.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from walras.benchmarks.peers.stopwatch import Play

WAYS = ((-1, 0), (0, 1), (1, 0), (0, -1))
RATES = (0.0, 0.0025, 0.005, 0.025)


class DictHarvest:
    """Seven agents, `reset() -> observations`, `step(actions) -> observations, rewards`, all of them dicts."""

    def __init__(self, rows: tuple[str, ...], seed: int, *, views: bool) -> None:
        """Read the map; `views` says whether agents observe anything."""
        self.rows, self.views = rows, views
        self.rng = np.random.default_rng(seed)
        marks = {(r, c): mark for r, row in enumerate(rows) for c, mark in enumerate(row)}
        self.walls = {cell for cell, mark in marks.items() if mark == "#"}
        self.apples = [cell for cell, mark in marks.items() if mark == "A"]
        self.inside = [cell for cell, mark in marks.items() if mark == "Q"]
        self.outside = [cell for cell, mark in marks.items() if mark == "P"]
        self.agents = [f"player_{i}" for i in range(7)]
        self.near = {
            a: [b for b in self.apples if a != b and (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 <= 4] for a in self.apples
        }

    def reset(self) -> dict[str, Any]:
        """A full orchard."""
        cells = [self.inside[i] for i in self.rng.permutation(2)]
        cells += [self.outside[i] for i in self.rng.permutation(len(self.outside))[:5]]
        self.place = dict(zip(self.agents, cells, strict=True))
        self.facing = {agent: int(self.rng.integers(4)) for agent in self.agents}
        self.away = dict.fromkeys(self.agents, 0)
        self.cooling = dict.fromkeys(self.agents, 0)
        self.ripe, self.fresh = set(self.apples), set[tuple[int, int]]()
        return self.observe()

    def step(self, actions: dict[str, int]) -> tuple[dict[str, Any], dict[str, float]]:
        """Moves in random order, zaps, returns, regrowth."""
        before, eaten = set(self.ripe), set()
        rewards = dict.fromkeys(self.agents, 0.0)
        taken = {self.place[agent]: agent for agent in self.agents if not self.away[agent]}
        for i in self.rng.permutation(len(self.agents)):
            agent = self.agents[i]
            action = actions[agent]
            if self.away[agent] or action in (0, 7):
                continue
            if action > 4:
                self.facing[agent] = (self.facing[agent] + (3 if action == 5 else 1)) % 4
                continue
            down, right = WAYS[(self.facing[agent] + (0, 0, 2, 3, 1)[action]) % 4]
            cell = (self.place[agent][0] + down, self.place[agent][1] + right)
            if cell in self.walls or cell in taken:
                continue
            del taken[self.place[agent]]
            taken[cell] = agent
            self.place[agent] = cell
            if cell in self.ripe:
                self.ripe.remove(cell)
                eaten.add(cell)
                rewards[agent] += 1.0
        hit = set()
        for agent in self.agents:
            if self.away[agent]:
                continue
            if self.cooling[agent]:
                self.cooling[agent] -= 1
            elif actions[agent] == 7:
                self.cooling[agent] = 2
                down, right = WAYS[self.facing[agent]]
                row, column = self.place[agent]
                for side in (-1, 0, 1):
                    for ahead in range(0 if side else 1, 3 if side else 4):
                        cell = (row + ahead * down + side * right, column + ahead * right - side * down)
                        if cell in self.walls:
                            break
                        if cell in taken:
                            hit.add(taken[cell])
                            break
        for agent in self.agents:
            if self.away[agent]:
                self.away[agent] -= 1
                if not self.away[agent]:
                    free = [cell for cell in self.outside if cell not in taken]
                    self.place[agent] = free[int(self.rng.integers(len(free)))]
                    self.facing[agent] = int(self.rng.integers(4))
                    taken[self.place[agent]] = agent
        for agent in hit:
            del taken[self.place[agent]]
            self.away[agent] = 5
        for cell in self.apples:
            if cell in before or cell in self.fresh:
                continue
            count = sum(other in before for other in self.near[cell])
            if count and self.rng.random() < RATES[min(count, 3)]:
                if cell in taken:
                    rewards[taken[cell]] += 1.0
                    eaten.add(cell)
                else:
                    self.ripe.add(cell)
        self.fresh = eaten
        return self.observe(), rewards

    def observe(self) -> dict[str, Any]:
        """The 11 x 11 classes of every agent."""
        if not self.views:
            return dict.fromkeys(self.agents)
        taken = {self.place[agent] for agent in self.agents if not self.away[agent]}
        seen = {}
        for agent in self.agents:
            view = np.ones((11, 11), np.int8)
            if not self.away[agent]:
                row, column = self.place[agent]
                (down, right), (low, far) = WAYS[self.facing[agent]], WAYS[(self.facing[agent] + 1) % 4]
                for i in range(11):
                    for j in range(11):
                        ahead, aside = 9 - i, j - 5
                        cell = (row + ahead * down + aside * low, column + ahead * right + aside * far)
                        view[i, j] = self._kind(cell, taken)
                view[9, 5] = 4
            seen[agent] = view
        return seen

    def _kind(self, cell: tuple[int, int], taken: set[tuple[int, int]]) -> int:
        if not (0 <= cell[0] < len(self.rows) and 0 <= cell[1] < len(self.rows[0])) or cell in self.walls:
            return 1
        if cell in taken:
            return 3
        if cell in self.ripe:
            return 2
        return 5 if cell in self.near and any(other in self.ripe for other in self.near[cell]) else 0


def loop(seed: int, *, views: bool, steps: int = 1000) -> Play:
    """`play(n)` makes at least n steps of the dict world with random actions, dealt anew every `steps`."""
    from walras.envs.society.harvest_map import MAPS

    world = DictHarvest(MAPS["open"], seed, views=views)
    world.reset()
    rng = np.random.default_rng(seed)
    made = 0

    def play(count: int) -> int:
        nonlocal made
        for _ in range(count):
            if made % steps == 0:
                world.reset()
            chosen = rng.integers(0, 8, 7)
            world.step({agent: int(chosen[i]) for i, agent in enumerate(world.agents)})
            made += 1
        return count

    return play


def native(seed: int, *, lanes: int, views: bool, steps: int = 1000) -> Play:
    """The same with our rules: `lanes` worlds side by side; what is counted is steps of all of them."""
    from walras.envs.lanes import LaneRandom, clock
    from walras.envs.society.commons import CommonsHarvest

    game = CommonsHarvest()
    at = clock(seed, lanes)
    rng = LaneRandom(at)
    actions = np.random.default_rng(seed).integers(0, 8, (64, lanes, 7))
    state = game.initial(lanes, rng)
    made = 0

    def play(count: int) -> int:
        nonlocal state, made
        rounds = -(-count // lanes)
        for _ in range(rounds):
            if made % steps == 0:
                state = game.initial(lanes, rng.at(at))
            at.step[:] += np.uint64(1)
            state, _ = game.step(state, {"player": actions[made % len(actions)]}, rng.at(at))
            if views:
                game.observe(state, "player")
            made += 1
        return rounds * lanes

    return play


def parallel_door(seed: int, *, steps: int = 1000) -> Play:
    """The same through our PettingZoo door: one world, dicts by agent."""
    from walras.envs.doors.parallel import GameParallelEnv

    env = GameParallelEnv("walras/CommonsHarvest-v0", max_cycles=steps)
    env.reset(seed=seed)
    rng = np.random.default_rng(seed)

    def play(count: int) -> int:
        for _ in range(count):
            if not env.agents:
                env.reset()
            chosen = rng.integers(0, 8, 7)
            env.step({agent: int(chosen[i]) for i, agent in enumerate(env.agents)})
        return count

    return play
