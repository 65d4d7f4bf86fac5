"""The PettingZoo AEC door: agents act one after another; who moves at once is asked in order, then the rules step."""

from __future__ import annotations

from typing import Any

import gymnasium
import pettingzoo

from walras.envs.doors.parallel import Table
from walras.envs.game import Game


class GameAECEnv(Table, pettingzoo.AECEnv[str, Any, Any]):
    """All outside agents of a game in turns.

    Nobody sees an action before everyone who moves at the same time has acted.
    `reset(seed=s, options={"lane": i})` is lane `i` of every batched door seeded with `s`.
    """

    def __init__(self, game: Game[Any] | str, **arguments: Any) -> None:
        """Open the table; arguments as for `walras.envs.doors.parallel.Table`."""
        super().__init__(game, **arguments)
        self.agents: list[str] = []
        self.agent_selection = self.possible_agents[0]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode; without a seed, the next one under the last seed (a random seed at first)."""
        self._deal(seed, options)
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: self._info(agent) for agent in self.agents}
        self._next_stage()
        self._accumulate_rewards()  # what the inside seats' opening moves earned for those who are asked later

    def observe(self, agent: str) -> Any:
        """What the agent sees now."""
        return self._observe(agent)

    def step(self, action: Any) -> None:
        """Act as `agent_selection` (with `None` once that agent's episode is over).

        Raises:
            ValueError: if the action lies outside the agent's space or is illegal; the turn is not used up.
        """
        if not self.agents:
            raise gymnasium.error.ResetNeeded("step() called while no episode is running: call reset()")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self._arena.check(agent, action)
        self._cumulative_rewards[agent] = 0.0
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._chosen[agent] = action
        self._queue.pop(0)
        if not self._queue:
            self._settle(self._chosen)
        if self._queue:
            self.agent_selection = self._queue[0]
        self._accumulate_rewards()

    def _next_stage(self) -> None:
        """Ask those who are to move; moves that belong to inside seats alone are played at once."""
        self._chosen: dict[str, Any] = {}
        while True:
            self._queue = [agent for agent in self.agents if self._arena.moving(agent)[0]]
            if self._queue:
                self.agent_selection = self._queue[0]
                return
            if self._settle({}):
                return

    def _settle(self, actions: dict[str, Any]) -> bool:
        """Step the rules; returns whether the episode is over."""
        ended = self._row(actions)
        for agent in self.agents:
            self.rewards[agent] += float(ended.rewards[0, self.game.seat[agent][2]])
            self.terminations[agent], self.truncations[agent] = bool(ended.terminated[0]), bool(ended.truncated[0])
            self.infos[agent] = self._info(agent)
        over = bool(ended.terminated[0] or ended.truncated[0])
        if over:
            self._queue = list(self.agents)
            self.agent_selection = self.agents[0]
        elif actions:
            self._next_stage()
        return over
