"""The role door: all agents of one role, in many lanes at once, as arrays (B, c, ...)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from walras.envs.arena import Arena
from walras.envs.arguments import whole
from walras.envs.doors.single import lane_option, render
from walras.envs.game import Array, Game, Observation
from walras.envs.registry import as_game
from walras.envs.seats import default_policy, fill_seats
from walras.envs.spaces import cast_observation, fresh


class RoleVectorEnv(VectorEnv[Any, Any, Any]):
    """The `c` agents of a role in `num_envs` lanes of a simultaneous game, stepped by one call of the rules.

    Observations, actions and rewards have the lanes first and the agents second: `single_observation_space` is that of
    `c` agents in one lane, rewards are (B, c) (Gymnasium's own environments have (B,)). Autoreset is `SAME_STEP`, as at
    the seat's vector door: `info["final_obs"]` has the last observations, `info["_final_obs"]` says of which lanes, and
    `info["final_state"]` is the state of all lanes before the ended ones were dealt anew.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (an instance variable in Gymnasium's class)
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 10,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        game: Game[Any] | str,
        *,
        num_envs: int = 1,
        role: str | None = None,
        others: Mapping[str, Any] | str | None = None,
        render_mode: str | None = None,
        horizon: int | None = None,
        **parameters: Any,
    ) -> None:
        """Take a role's seats in every lane.

        Args:
            game: registered id or game object.
            num_envs: number of lanes, B.
            role: whose seats (default: the game's first role).
            others: role or agent -> policy of the other roles, or one policy name for all; default: equilibrium where
                known, else random.
            render_mode: `"ansi"`, `"rgb_array"` (a tuple with one entry a lane) or `None`.
            horizon: truncate after so many steps, in place of the game's own limit.
            **parameters: of the game, when an id is given.

        Raises:
            ValueError: if the role, a seat or the render mode is unknown, a number is below 1, the game moves in turns,
                or the role's actions are masked.
        """
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode: {render_mode!r} given, one of {self.metadata['render_modes']} or None needed"
            )
        self.render_mode = render_mode
        self.game = as_game(game, parameters)
        self.num_envs = whole("num_envs", num_envs)
        names = [part.name for part in self.game.roles]
        name = names[0] if role is None else role
        if name not in names:
            raise ValueError(f"role: {name!r} is not one of {names}")
        self.role = self.game.role(name)
        rest = [agent for agent in self.game.agents if agent not in self.role.agents]
        if isinstance(others, str):
            others = dict.fromkeys(rest, others)
        policies = fill_seats(self.game, others or {}, "others")
        unfit = sorted(set(policies) & set(self.role.agents))
        if unfit:
            raise ValueError(f"others: {unfit} are the role's own seats")
        for agent in rest:
            policies.setdefault(agent, default_policy(self.game, agent))
        self._arena: Arena[Any] = Arena(self.game, self.num_envs, policies, horizon)
        if not self._arena.simultaneous:
            raise ValueError(f"game: all agents of {name!r} must move at once, and {self.game!r} moves in turns")
        probe = self.game.initial(1, np.random.default_rng(0))
        if self.game.legal(probe, name) is not None:
            raise ValueError(f"game: the actions of {name!r} are masked; take the seats one by one")
        first = self.game.seat[self.role.agents[0]][2]
        self._columns = slice(first, first + self.role.size)
        self.single_observation_space = batch_space(fresh(self.role.observation_space), self.role.size)
        self.single_action_space = batch_space(fresh(self.role.action_space), self.role.size)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._started = False

    @property
    def arena(self) -> Arena[Any]:
        """The running lanes: states, clocks, steps elapsed."""
        return self._arena

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every lane; of `options` only `"lane"` is read.

        Raises:
            ValueError: if a seed or `options["lane"]` is out of range, or a lane comes without one seed.
        """
        lane = lane_option(seed, options)
        if seed is None and not self._started:
            seed = int(self.np_random.integers(2**63))
        if seed is not None:
            self._arena.seed(seed, lane)
        self._arena.deal()
        self._started = True
        return self.observe(), {}

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """All agents of the role act in every lane: `actions` (B, c, *shape).

        Raises:
            ValueError: if actions lie outside the action space.
            gymnasium.error.ResetNeeded: before the first `reset`.
        """
        if not self._started:
            raise gymnasium.error.ResetNeeded("step() called before reset()")
        actions = np.asarray(actions)
        if actions.shape[:2] != (self.num_envs, self.role.size):
            raise ValueError(f"actions: shape {actions.shape} given, ({self.num_envs}, {self.role.size}, ...) needed")
        ended = self._arena.step({agent: actions[:, i] for i, agent in enumerate(self.role.agents)})
        over = ended.terminated | ended.truncated
        info: dict[str, Any] = {}
        if over.any():
            info = {"final_obs": self.observe(), "_final_obs": over, "final_state": self._arena.state}
            self._arena.deal(np.flatnonzero(over))
        return self.observe(), ended.rewards[:, self._columns].copy(), ended.terminated.copy(), ended.truncated, info

    def observe(self) -> Observation:
        """What the role's agents see: (B, c, *shape), or a dict of such arrays."""
        return cast_observation(self.role.observation_space, self.game.observe(self._arena.state, self.role.name))

    def render(self) -> tuple[Any, ...] | None:
        """One rendering a lane; `None` without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(render(self.game, self._arena.state, self.render_mode, lane) for lane in range(self.num_envs))

    def snapshot(self) -> dict[str, Array]:
        """Everything that determines the lanes' future, as plain arrays."""
        return self._arena.snapshot()

    def restore(self, arrays: Mapping[str, Array]) -> Observation:
        """Return to a `snapshot`; gives the observations there.

        Raises:
            ValueError: if the arrays do not belong to such lanes. Nothing has changed then.
        """
        self._arena.restore(arrays)
        self._started = True
        return self.observe()
