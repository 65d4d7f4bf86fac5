"""The Gymnasium vector door on the native batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from walras.envs.arena import SeatView
from walras.envs.doors.single import lane_option, render
from walras.envs.game import Array, Game
from walras.envs.registry import as_game
from walras.envs.spaces import fresh


class SeatVectorEnv(VectorEnv[Any, Any, Any]):
    """One agent's seat in `num_envs` lanes of a game, stepped by one call of the rules.

    Autoreset is `SAME_STEP`: when a lane ends, the observation returned is already the first of its next episode, and
    the last one stands in `info["final_obs"]` (an array over all lanes; rows of lanes that go on repeat their current
    observation), with `info["_final_obs"]` saying which lanes ended. `AutoresetMode.DISABLED` leaves ended lanes to
    `reset(options={"reset_mask": mask})`.

    `reset(seed=s)` makes lane `i` equal to the single door's `reset(seed=s, options={"lane": i})`; with a list of
    seeds lane `i` equals `reset(seed=seeds[i])`, which is what Gymnasium's `SyncVectorEnv` gives for `seed=s` and the
    list `[s, s + 1, ...]`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (an instance variable in Gymnasium's class)
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        game: Game[Any] | str,
        *,
        num_envs: int = 1,
        agent: str | None = None,
        others: Mapping[str, Any] | str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        infos: bool = True,
        render_mode: str | None = None,
        horizon: int | None = None,
        **parameters: Any,
    ) -> None:
        """Sit down in every lane.

        Args:
            game: registered id or game object.
            num_envs: number of lanes.
            agent: whose seat (default: the game's first agent).
            others: role or agent -> policy, or one policy name for all others; default: equilibrium where known,
                else random.
            autoreset_mode: `SAME_STEP` or `DISABLED`, as a member of `AutoresetMode` or by name or value.
            infos: also report the game's facts and final observations (`False` saves their cost).
            render_mode: `"ansi"`, `"rgb_array"` (a tuple with one entry a lane) or `None`.
            horizon: truncate after so many steps of the rules, in place of the game's own limit.
            **parameters: of the game, when an id is given.

        Raises:
            ValueError: if `autoreset_mode`, the render mode or a seat is unknown, `others` names this seat, or
                `num_envs` or `horizon` is not an integer of at least 1.
            TypeError: if `game` is neither an id nor a game, or `others` neither a name nor a mapping.
        """
        self.autoreset_mode = _autoreset(autoreset_mode)
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            raise ValueError(
                "autoreset_mode: NEXT_STEP wastes a step of every lane; SAME_STEP and DISABLED are offered"
            )
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode: {render_mode!r} given, one of {self.metadata['render_modes']} or None needed"
            )
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs must be an integer of at least 1, got {num_envs!r}")
        self.game = as_game(game, parameters)
        self.num_envs = num_envs
        self._infos = infos
        self._view = SeatView(self.game, num_envs, agent, others, horizon)
        self.agent = self._view.agent
        self.single_observation_space = fresh(self._view.role.observation_space)
        self.single_action_space = fresh(self._view.role.action_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._started = False
        self._over = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every lane, or in those of `options["reset_mask"]` (num_envs,) bool.

        Of `options` only `"reset_mask"` and `"lane"` are read; other keys are ignored.

        Raises:
            ValueError: if the mask has another shape or dtype, or comes with a seed or before the first `reset`; if a
                seed or `options["lane"]` is out of range, or a lane comes without one seed.
        """
        lane = lane_option(seed, options)
        mask = (options or {}).get("reset_mask")
        if mask is not None:
            mask = np.asarray(mask)
            if mask.shape != (self.num_envs,) or mask.dtype != bool:
                raise ValueError(
                    f"options['reset_mask']: a bool array ({self.num_envs},) is needed, got {mask.dtype}{mask.shape}"
                )
            if seed is not None or not self._started:
                raise ValueError("options['reset_mask']: every lane is to be seeded; leave the mask out")
        if seed is None and not self._started:
            seed = int(self.np_random.integers(2**63))
        if mask is not None:
            self._view.begin(np.flatnonzero(mask))
            self._over &= ~mask
        else:
            self._view.reset(seed, lane)
            self._over[:] = False
        self._started = True
        return self._view.arena.observe(self.agent), self._info()

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Act in every lane.

        Raises:
            ValueError: if actions lie outside the action space or are illegal, or a lane has ended and was not reset.
            gymnasium.error.ResetNeeded: before the first `reset`.
        """
        if not self._started:
            raise gymnasium.error.ResetNeeded("step() called before reset()")
        if self._over.any():
            raise ValueError(
                f"lanes {np.flatnonzero(self._over).tolist()} have ended: reset them (autoreset is DISABLED)"
            )
        arena = self._view.arena
        ended = self._view.step(actions)
        over = ended.terminated | ended.truncated
        info: dict[str, Any] = {}
        if over.any():
            if self.autoreset_mode is AutoresetMode.SAME_STEP:
                if self._infos:
                    info = {
                        "final_obs": arena.observe(self.agent),
                        "_final_obs": over,
                        "final_info": self._info(),
                        "_final_info": over,
                    }
                self._view.begin(np.flatnonzero(over))
            else:
                self._over = over.copy()
        rewards, terminated = ended.rewards.copy(), ended.terminated.copy()  # the game may keep its own in the state
        return arena.observe(self.agent), rewards, terminated, ended.truncated, self._info() | info

    def render(self) -> tuple[Any, ...] | None:
        """One rendering a lane; `None` without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(render(self.game, self._view.arena.state, self.render_mode, lane) for lane in range(self.num_envs))

    def snapshot(self) -> dict[str, Array]:
        """Everything that determines the lanes' future, as plain arrays."""
        return self._view.snapshot()

    def restore(self, arrays: Mapping[str, Array]) -> Any:
        """Return to a `snapshot`; gives the observations there.

        Raises:
            ValueError: if the arrays do not belong to such lanes. Nothing has changed then.
        """
        self._view.restore(arrays)
        self._started = True
        self._over = self._view.arena.over()
        return self._view.arena.observe(self.agent)

    def _info(self) -> dict[str, Any]:
        arena = self._view.arena
        info: dict[str, Any] = {}
        if self._infos:
            for name, value in arena.info(self.agent).items():
                info[name], info[f"_{name}"] = value, np.ones(self.num_envs, bool)
        mask = arena.mask(self.agent)
        if mask is not None:
            info["action_mask"], info["_action_mask"] = mask.astype(np.int8), np.ones(self.num_envs, bool)
        return info


def _autoreset(mode: AutoresetMode | str) -> AutoresetMode:
    """The mode of that name or value."""
    if isinstance(mode, str) and mode in AutoresetMode.__members__:
        return AutoresetMode[mode]
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        names = list(AutoresetMode.__members__)
        raise ValueError(f"autoreset_mode: {mode!r} given, SAME_STEP or DISABLED of {names} needed") from error
