"""The Gymnasium door: one seat of any game, the others filled by policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import gymnasium
import numpy as np
import numpy.typing as npt

from walras.envs.arena import SeatView
from walras.envs.game import Array, Game, Observation
from walras.envs.registry import as_game
from walras.envs.spaces import fresh, pick


class SeatEnv(gymnasium.Env[Any, Any]):
    """One agent's Gymnasium environment of a game.

    One `step` is one move of this agent: the other seats move, by their policies, until it is this agent's turn
    again; the reward is what it received meanwhile. `reset(seed=s, options={"lane": i})` is lane `i` of every
    batched door seeded with `s` (lane 0 by default). With a mask, `info["action_mask"]` holds it as int8, and
    `action_masks()` as bool (sb3-contrib's MaskablePPO).
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (an instance variable in Gymnasium's class)
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 4,
    }

    def __init__(
        self,
        game: Game[Any] | str,
        *,
        agent: str | None = None,
        others: Mapping[str, Any] | str | None = None,
        render_mode: str | None = None,
        horizon: int | None = None,
        **parameters: Any,
    ) -> None:
        """Sit down.

        Args:
            game: registered id or game object.
            agent: whose seat (default: the game's first agent).
            others: role or agent -> policy, or one policy name for all others; default: equilibrium where known,
                else random.
            render_mode: `"ansi"` (text), `"rgb_array"`, or `None`.
            horizon: truncate after so many steps of the rules, in place of the game's own limit.
            **parameters: of the game, when an id is given.

        Raises:
            ValueError: if the render mode or a seat is unknown, `others` names this seat, or `horizon` is not an
                integer of at least 1.
            TypeError: if `game` is neither an id nor a game, or `others` neither a name nor a mapping.
        """
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode: {render_mode!r} given, one of {self.metadata['render_modes']} or None needed"
            )
        self.render_mode = render_mode
        self.game = as_game(game, parameters)
        self._view = SeatView(self.game, 1, agent, others, horizon)
        self.agent = self._view.agent
        self.observation_space = fresh(self._view.role.observation_space)
        self.action_space = fresh(self._view.role.action_space)
        self._started, self._over = False, True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; without a seed, the next one under the last seed (a random seed at first).

        Of `options` only `"lane"` is read; other keys are ignored.

        Raises:
            ValueError: if the seed or `options["lane"]` is out of range, a lane comes without a seed, or the agent is
                never to move before an episode ends.
        """
        lane = lane_option(seed, options)
        super().reset(seed=seed)
        if seed is None and not self._started:
            seed = int(self.np_random.integers(2**63))
        self._over = True  # until the episode has begun
        self._view.reset(seed, lane)
        self._started, self._over = True, False
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act; see the class for what one step is.

        Raises:
            ValueError: if the action lies outside the action space or is illegal now.
            gymnasium.error.ResetNeeded: before the first `reset`, and after the end of an episode.
        """
        if self._over:
            raise gymnasium.error.ResetNeeded("step() called while no episode is running: call reset()")
        ended = self._view.step(np.asarray(action)[None])
        terminated, truncated = bool(ended.terminated[0]), bool(ended.truncated[0])
        self._over = terminated or truncated
        return self._observation(), float(ended.rewards[0]), terminated, truncated, self._info()

    def action_masks(self) -> Array:
        """(n_actions,) bool of legal actions; all True where the game has no mask (Discrete actions only)."""
        mask = self._view.arena.mask(self.agent)
        return np.ones(int(cast(Any, self.action_space).n), bool) if mask is None else cast(Array, mask[0])

    def render(self) -> Any:
        """Text (`ansi`) or a picture (H, W, 3) uint8 (`rgb_array`) of the state; `None` without a render mode."""
        return render(self.game, self._view.arena.state, self.render_mode)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that determines this environment's future, as plain arrays."""
        return self._view.snapshot()

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
        """Return to a `snapshot`; gives the observation there.

        Raises:
            ValueError: if the arrays do not belong to such an environment. Nothing has changed then.
        """
        self._view.restore(arrays)
        self._started = True
        self._over = bool(self._view.arena.over()[0])
        return self._observation()

    def _masked(self) -> bool:
        return self._view.arena.mask(self.agent) is not None

    def _observation(self) -> Observation:
        return pick(self._view.arena.observe(self.agent), 0)

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {name: value[0] for name, value in self._view.arena.info(self.agent).items()}
        mask = self._view.arena.mask(self.agent)
        if mask is not None:
            info["action_mask"] = mask[0].astype(np.int8)
        return info


def lane_option(seed: int | list[int] | None, options: Mapping[str, Any] | None) -> Any:
    """`options["lane"]`, 0 where it is not given.

    Raises:
        ValueError: if a lane is given without one seed: the lanes of a running seed cannot be changed.
    """
    if options is None or "lane" not in options:
        return 0
    if seed is None or isinstance(seed, list):
        raise ValueError(f"options['lane']: {options['lane']!r} given without a seed whose lane it is")
    return options["lane"]


def render(game: Game[Any], state: Any, mode: str | None, lane: int = 0) -> Any:
    """A lane of a state in one of the doors' render modes."""
    if mode == "ansi":
        return game.render_text(state, lane)
    return game.render_rgb(state, lane) if mode == "rgb_array" else None
