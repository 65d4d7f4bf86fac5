"""The Stable-Baselines3 door: a `VecEnv` on the native batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from walras.envs.arena import SeatView
from walras.envs.doors.single import render
from walras.envs.game import Array, Game
from walras.envs.registry import as_game
from walras.envs.spaces import fresh, pick


class SeatVecEnv(VecEnv):
    """One agent's seat in `num_envs` lanes, as SB3 wants it: lanes begin anew by themselves.

    The last observation of an ended lane stands in its `info["terminal_observation"]`, and
    `info["TimeLimit.truncated"]` says whether the horizon ended it. `infos=True` adds the game's facts (a dict for
    each lane: slow for large batches).
    """

    def __init__(
        self,
        game: Game[Any] | str,
        num_envs: int,
        *,
        agent: str | None = None,
        others: Mapping[str, Any] | str | None = None,
        seed: int | None = None,
        infos: bool = False,
        horizon: int | None = None,
        **parameters: Any,
    ) -> None:
        """Sit down in every lane; arguments as in `walras.envs.doors.vector.SeatVectorEnv`."""
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs must be an integer of at least 1, got {num_envs!r}")
        self.game = as_game(game, parameters)
        self._view = SeatView(self.game, num_envs, agent, others, horizon)
        self.agent = self._view.agent
        self._infos = infos
        self._next_seed = seed
        self._started = False
        self.render_mode = "rgb_array"
        super().__init__(num_envs, fresh(self._view.role.observation_space), fresh(self._view.role.action_space))
        self._totals = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seed of the next `reset`; lane `i` is lane `i` of that seed on every door.

        Raises:
            ValueError: if it is not a non-negative integer.
        """
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
            raise ValueError(f"seed must be a non-negative integer, got {seed!r}")
        self._next_seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
        return [self._next_seed] * self.num_envs

    def reset(self) -> Any:
        """Begin an episode in every lane."""
        if self._next_seed is None and not self._started:
            self.seed()
        self._view.reset(self._next_seed)
        self._next_seed, self._started = None, True
        self._totals[:], self._lengths[:] = 0.0, 0
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._view.arena.observe(self.agent)

    def step_async(self, actions: Array) -> None:
        """Keep the actions for `step_wait`.

        Raises:
            gymnasium.error.ResetNeeded: before the first `reset`.
        """
        if not self._started:
            raise gymnasium.error.ResetNeeded("step() called before reset()")
        self._actions = actions

    def step_wait(self) -> tuple[Any, Array, Array, list[dict[str, Any]]]:
        """Act in every lane; ended lanes begin anew."""
        arena = self._view.arena
        ended = self._view.step(self._actions)
        over = ended.terminated | ended.truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self._totals += ended.rewards
        self._lengths += 1
        if self._infos:
            for name, value in arena.info(self.agent).items():
                for lane, info in enumerate(infos):
                    info[name] = value[lane]
        if over.any():
            last = arena.observe(self.agent)
            index = np.flatnonzero(over)
            for lane in index.tolist():
                infos[lane]["terminal_observation"] = pick(last, lane)
                infos[lane]["TimeLimit.truncated"] = bool(ended.truncated[lane])
                infos[lane]["episode"] = {"r": float(self._totals[lane]), "l": int(self._lengths[lane]), "t": 0.0}
            self._totals[index], self._lengths[index] = 0.0, 0
            self._view.begin(index)
        return arena.observe(self.agent), ended.rewards.astype(np.float32), over, infos

    def snapshot(self) -> dict[str, Array]:
        """Everything that determines the lanes' future, and what they have earned so far, as plain arrays."""
        return self._view.snapshot() | {"totals": self._totals.copy(), "lengths": self._lengths.copy()}

    def restore(self, arrays: Mapping[str, Array]) -> Any:
        """Return to a `snapshot`; gives the observations there.

        Raises:
            ValueError: if the arrays do not belong to such lanes.
        """
        own = {name: np.array(arrays[name]) for name in ("totals", "lengths") if name in arrays}
        if len(own) < 2 or any(value.shape != (self.num_envs,) for value in own.values()):
            raise ValueError(f"arrays: not a snapshot of {self.num_envs} lanes")
        self._view.restore({name: value for name, value in arrays.items() if name not in own})
        self._totals, self._lengths = own["totals"], own["lengths"]
        self._next_seed, self._started = None, True
        return self._view.arena.observe(self.agent)

    def close(self) -> None:
        """Nothing to close."""

    def action_masks(self) -> Array:
        """(num_envs, n_actions) bool (MaskablePPO)."""
        mask = self._view.arena.mask(self.agent)
        return np.ones((self.num_envs, int(cast(Any, self.action_space).n)), bool) if mask is None else mask

    def get_images(self) -> Sequence[Any]:
        """One picture (H, W, 3) a lane."""
        return [render(self.game, self._view.arena.state, "rgb_array", lane) for lane in range(self.num_envs)]

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute once for each lane (lanes share one game)."""
        return [getattr(self, attr_name)] * len(self._get_indices_list(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: lanes share one game, whose parameters are fixed."""
        raise AttributeError(
            f"attr_name: {attr_name!r} cannot be set; make another environment with the parameters you want"
        )

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of this environment that answers for all lanes, and hand each lane its row."""
        result = getattr(self, method_name)(*args, **kwargs)
        return [result[i] for i in self._get_indices_list(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Never: there are no single environments inside."""
        return [False] * len(self._get_indices_list(indices))

    def _get_indices_list(self, indices: Any) -> list[int]:
        return list(self._get_indices(indices))
