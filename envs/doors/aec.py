"""The PettingZoo AEC door: agents act one after another; who moves at once is asked in order, then the rules step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pettingzoo

from walras.envs.arena import fit
from walras.envs.doors.parallel import Table
from walras.envs.game import Array, Game
from walras.envs.spaces import empty

_TURNS = {
    "alive": np.bool_,
    "rewards": np.float64,
    "cumulative": np.float64,
    "ended": np.bool_,
    "cut": np.bool_,
    "waiting": np.bool_,
    "acted": np.bool_,
}
"""What an AEC snapshot says of every outside agent, and in which dtype."""


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
        self._queue: list[str] = []
        self._chosen: dict[str, Any] = {}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode; without a seed, the next one under the last seed (a random seed at first).

        Of `options` only `"lane"` is read; other keys are ignored.

        Raises:
            ValueError: if the seed or `options["lane"]` is out of range, or a lane comes without a seed.
        """
        self._deal(seed, options)
        self._open()

    def _open(self) -> None:
        """Begin with the state as it has been dealt."""
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: self._info(agent) for agent in self.agents}
        self._next_stage()
        self._accumulate_rewards()  # what the inside seats' opening moves earned for those who are asked later

    def snapshot(self) -> dict[str, Array]:
        """Everything that determines this table's future, as plain arrays: actions already chosen, too.

        Raises:
            gymnasium.error.ResetNeeded: before the first `reset`.
        """
        return super().snapshot() | self._turns()

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Return to a `snapshot`, exactly; between the actions of agents who move at the same time, too.

        Raises:
            ValueError: if the arrays do not belong to such a table. Nothing has changed then.
        """
        own = {name: np.asarray(value) for name, value in arrays.items() if name.startswith("turn.")}
        everyone = self.possible_agents
        like: dict[str, Array] = {f"turn.{name}": np.zeros(len(everyone), dtype) for name, dtype in _TURNS.items()}
        like |= {f"turn.chosen.{agent}": empty(self.game.seat[agent][0].action_space, 1) for agent in everyone}
        fit(own, like | {"turn.selection": np.zeros(1, np.int64)})
        selection = int(own["turn.selection"][0])
        if not 0 <= selection < len(everyone):
            raise ValueError(f"arrays['turn.selection']: {selection} is not in [0, {len(everyone)})")
        self._return_to({name: value for name, value in arrays.items() if name not in own})
        at = {agent: i for i, agent in enumerate(everyone)}

        def among(name: str) -> list[str]:
            return [agent for agent in everyone if own[f"turn.{name}"][at[agent]]]

        self.agents = among("alive")
        self.agent_selection = everyone[selection]
        self.rewards, self._cumulative_rewards = (
            {agent: float(own[f"turn.{name}"][at[agent]]) for agent in self.agents}
            for name in ("rewards", "cumulative")
        )
        self.terminations, self.truncations = (
            {agent: bool(own[f"turn.{name}"][at[agent]]) for agent in self.agents} for name in ("ended", "cut")
        )
        self.infos = {agent: self._info(agent) for agent in self.agents}
        self._queue = among("waiting")
        self._chosen = {agent: own[f"turn.chosen.{agent}"][0].copy() for agent in among("acted")}
        # PettingZoo's record of whose turn it was when the agents began to leave: they all end at once, in order.
        leaving = 0 < len(self.agents) < len(everyone)
        self._skip_agent_selection = everyone[0] if leaving else None

    def _turns(self) -> dict[str, Array]:
        everyone = self.possible_agents
        columns: dict[str, list[Any]] = {
            "alive": [agent in self.agents for agent in everyone],
            "rewards": [self.rewards.get(agent, 0.0) for agent in everyone],
            "cumulative": [self._cumulative_rewards.get(agent, 0.0) for agent in everyone],
            "ended": [self.terminations.get(agent, False) for agent in everyone],
            "cut": [self.truncations.get(agent, False) for agent in everyone],
            "waiting": [agent in self._queue for agent in everyone],
            "acted": [agent in self._chosen for agent in everyone],
        }
        arrays: dict[str, Array] = {f"turn.{name}": np.array(column, _TURNS[name]) for name, column in columns.items()}
        for agent in everyone:
            arrays[f"turn.chosen.{agent}"] = chosen = empty(self.game.seat[agent][0].action_space, 1)
            if agent in self._chosen:
                chosen[0] = self._chosen[agent]
        return arrays | {"turn.selection": np.array([everyone.index(self.agent_selection)])}

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
        self._chosen[agent] = np.array(action)  # the caller may use its array again before everyone has acted
        self._queue.pop(0)
        if not self._queue:
            self._settle(self._chosen)
        if self._queue:
            self.agent_selection = self._queue[0]
        self._accumulate_rewards()

    def _next_stage(self) -> None:
        """Ask those who are to move; moves that belong to inside seats alone are played at once."""
        self._chosen = {}
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
