"""The PettingZoo parallel door: all participants of a game act together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
from gymnasium import spaces

from walras.envs.arena import Arena, Ended
from walras.envs.doors.single import lane_option, render
from walras.envs.game import Array, Game
from walras.envs.registry import as_game
from walras.envs.seats import fill_seats
from walras.envs.spaces import at_least_one, fresh, pick


class Table:
    """What the parallel and the AEC door share: one lane of a game, agents who act from outside, spaces, observations.

    Where a role has an action mask, its observation becomes `{"observation": ..., "action_mask": int8}`, as
    PettingZoo's own games have it; an agent who is not to move may then only give its first action.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (an instance variable in PettingZoo's classes)
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 4,
        "name": "walras",  # an instance has its game's name: sealed_bid_auction_v0
        "is_parallelizable": True,
    }

    def __init__(
        self,
        game: Game[Any] | str,
        *,
        seats: Mapping[str, Any] | str | None = None,
        render_mode: str | None = None,
        max_cycles: int | None = None,
        **parameters: Any,
    ) -> None:
        """Open the table.

        Args:
            game: registered id or game object.
            seats: role or agent -> policy for seats that are played inside; they do not appear as agents. (One name
                for all, as `play` takes it, would leave nobody outside.)
            render_mode: `"ansi"`, `"rgb_array"` or `None`.
            max_cycles: truncate after so many steps, in place of the game's own limit.
            parameters: of the game, when an id is given.

        Raises:
            ValueError: if a seat is unknown, nobody is left outside, the render mode is unknown, or `max_cycles` is
                not an integer of at least 1.
            TypeError: if `game` is neither an id nor a game, or `seats` neither a name nor a mapping.
        """
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode: {render_mode!r} given, one of {self.metadata['render_modes']} or None needed"
            )
        self.render_mode = render_mode
        self.game = as_game(game, parameters)
        self.metadata = {**self.metadata, "name": _snake(game if isinstance(game, str) else type(game).__name__)}
        if isinstance(seats, str):
            seats = dict.fromkeys(self.game.agents, seats)
        policies = fill_seats(self.game, {} if seats is None else seats)
        self.possible_agents = [agent for agent in self.game.agents if agent not in policies]
        if not self.possible_agents:
            raise ValueError(
                "seats: every seat is filled; nobody is left to act from outside. Leave some of "
                f"{list(self.game.agents)} out, or use walras.play to watch policies among themselves"
            )
        self.max_cycles = at_least_one(max_cycles, "max_cycles")
        self._arena = Arena(self.game, 1, policies)
        self._arena.seed(0)
        self._arena.deal()
        self._masked = {agent: self._arena.mask(agent) is not None for agent in self.possible_agents}
        self.observation_spaces = {agent: self._space(agent) for agent in self.possible_agents}
        self.action_spaces = {agent: fresh(self.game.seat[agent][0].action_space) for agent in self.possible_agents}
        size = self.game.global_state(self._arena.state).shape[1]
        self.state_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self._seeded = False

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        """The agent's observation space (the same object at every call)."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        """The agent's action space (the same object at every call)."""
        return self.action_spaces[agent]

    def state(self) -> Array:
        """(k,) float32: the whole state of the game, for a central critic."""
        everything: Array = self.game.global_state(self._arena.state)[0].copy()
        return everything

    def render(self) -> Any:
        """Text or picture of the current state; `None` without a render mode."""
        return render(self.game, self._arena.state, self.render_mode)

    def close(self) -> None:
        """Nothing to close."""

    def snapshot(self) -> dict[str, Array]:
        """Everything that determines this table's future, as plain arrays.

        Raises:
            gymnasium.error.ResetNeeded: before the first `reset`.
        """
        if not self._seeded:
            raise gymnasium.error.ResetNeeded("snapshot() called before reset()")
        return self._arena.snapshot()

    def _return_to(self, arrays: Mapping[str, Array]) -> None:
        """Put the arena back where a snapshot says; a ValueError leaves everything as it is."""
        self._arena.restore(arrays)
        self._seeded = True
        self._limit()

    def _limit(self) -> None:
        self._arena.horizon = self.game.horizon if self.max_cycles is None else self.max_cycles

    def _deal(self, seed: int | None, options: Mapping[str, Any] | None) -> None:
        lane = lane_option(seed, options)
        if seed is None and not self._seeded:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        if seed is not None:
            self._arena.seed(seed, lane)
            self._seeded = True
        self._limit()
        self._arena.deal()

    def _space(self, agent: str) -> gymnasium.Space[Any]:
        role = self.game.seat[agent][0]
        inner = fresh(role.observation_space)
        if not self._masked[agent]:
            return inner
        return spaces.Dict({"observation": inner, "action_mask": spaces.MultiBinary(int(role.action_space.n))})  # type: ignore[attr-defined]

    def _observe(self, agent: str) -> Any:
        seen = pick(self._arena.observe(agent), 0)
        mask = self._arena.mask(agent)
        return seen if mask is None else {"observation": seen, "action_mask": mask[0].astype(np.int8)}

    def _info(self, agent: str) -> dict[str, Any]:
        return {name: value[0] for name, value in self._arena.info(agent).items()}

    def _row(self, actions: Mapping[str, Any]) -> Ended:
        return self._arena.step({agent: np.asarray(action)[None] for agent, action in actions.items()})


class GameParallelEnv(Table, pettingzoo.ParallelEnv[str, Any, Any]):
    """All outside agents of a game, acting at once; in a game of turns `info["to_move"]` says whose action counts.

    `reset(seed=s, options={"lane": i})` is lane `i` of every batched door seeded with `s`.
    """

    def __init__(self, game: Game[Any] | str, **arguments: Any) -> None:
        """Open the table; arguments as for `Table`."""
        super().__init__(game, **arguments)
        self.agents: list[str] = []

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin an episode; without a seed, the next one under the last seed (a random seed at first).

        Of `options` only `"lane"` is read; other keys are ignored.

        Raises:
            ValueError: if the seed or `options["lane"]` is out of range, or a lane comes without a seed.
        """
        self._deal(seed, options)
        self.agents = list(self.possible_agents)
        return {agent: self._observe(agent) for agent in self.agents}, {
            agent: self._info(agent) for agent in self.agents
        }

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Everybody acts.

        Raises:
            ValueError: if an agent's action is missing, outside its space or illegal.
        """
        if not self.agents:
            raise gymnasium.error.ResetNeeded("step() called while no episode is running: call reset()")
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise ValueError(f"actions: none given for {missing}")
        ended = self._row({agent: actions[agent] for agent in self.agents})
        agents = self.agents
        rewards = {agent: float(ended.rewards[0, self.game.seat[agent][2]]) for agent in agents}
        terminated, truncated = bool(ended.terminated[0]), bool(ended.truncated[0])
        if terminated or truncated:
            self.agents = []
        return (
            {agent: self._observe(agent) for agent in agents},
            rewards,
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            {agent: self._info(agent) for agent in agents},
        )

    def restore(self, arrays: Mapping[str, Array]) -> dict[str, Any]:
        """Return to a `snapshot`; gives the observations there, of all outside agents.

        Raises:
            ValueError: if the arrays do not belong to such a table. Nothing has changed then.
        """
        self._return_to(arrays)
        self.agents = [] if self._arena.over()[0] else list(self.possible_agents)
        return {agent: self._observe(agent) for agent in self.possible_agents}

    def _info(self, agent: str) -> dict[str, Any]:
        info = super()._info(agent)
        if not self._arena.simultaneous:
            info["to_move"] = bool(self._arena.moving(agent)[0])
        return info


def _snake(name: str) -> str:
    """PettingZoo's style of names: `walras/SealedBidAuction-v0` becomes `sealed_bid_auction_v0`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.rpartition("/")[2])
    return words.replace("-", "_").lower()
