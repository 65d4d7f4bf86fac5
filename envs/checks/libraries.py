"""Checks that other libraries ship: Gymnasium, Stable-Baselines3, PettingZoo, OpenSpiel."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pettingzoo
from gymnasium import spaces

from walras.envs.checks.probe import (
    horizon_of,
    quiet,
    same,
)
from walras.envs.doors.aec import GameAECEnv
from walras.envs.doors.parallel import GameParallelEnv
from walras.envs.doors.single import SeatEnv
from walras.envs.doors.vector import SeatVectorEnv
from walras.envs.game import FiniteGame, Game
from walras.envs.registry import as_game


def passes_gymnasium_check_env(target: str | Game[Any]) -> None:
    """`gymnasium.utils.env_checker.check_env` for every seat."""
    from gymnasium.utils.env_checker import check_env

    game = as_game(target, {})
    for agent in game.agents:
        with quiet():
            check_env(Lenient(game, agent=agent, others="random", horizon=horizon_of(game)), skip_render_check=True)


def passes_sb3_check_env(target: str | Game[Any]) -> None:
    """`stable_baselines3.common.env_checker.check_env` for every seat (needs the extra `learn`)."""
    from stable_baselines3.common.env_checker import check_env

    game = as_game(target, {})
    for agent in game.agents:
        with quiet():
            check_env(Lenient(game, agent=agent, others="random", horizon=horizon_of(game)), skip_render_check=True)


class Lenient(SeatEnv):
    """Illegal samples become the first legal action: the library checks sample without masks."""

    def step(self, action: Any) -> Any:
        """Act, legally."""
        if self._masked() and self.action_space.contains(action):
            mask, start = self.action_masks(), getattr(self.action_space, "start", 0)
            action = action if mask[int(action) - start] else np.int64(np.argmax(mask) + start)
        return super().step(action)


def passes_pettingzoo_checks(target: str | Game[Any]) -> None:
    """PettingZoo's `api_test`, `parallel_api_test`, `seed_test` and, for games without masks, `parallel_seed_test`."""
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
    from pettingzoo.test.state_test import state_test

    game = as_game(target, {})
    cycles = horizon_of(game)

    def turns() -> GameAECEnv:
        return GameAECEnv(game, max_cycles=cycles)

    def together() -> GameParallelEnv:
        return GameParallelEnv(game, max_cycles=cycles)

    with quiet():
        api_test(turns(), num_cycles=50)
        seed_test(turns, num_cycles=50)
        parallel_api_test(together(), num_cycles=50)
        if not any(together()._masked.values()):
            parallel_seed_test(together, num_cycles=50)
            state_test(turns(), together())


def specs_survive_json(target: str | Game[Any]) -> None:
    """A registered id makes environments in both registries, and Gymnasium's spec goes to JSON and back (ids only)."""
    if not isinstance(target, str):
        return
    as_game(target, {})  # an id "module:namespace/Name-v0" imports its module
    target = target.rpartition(":")[2]
    spec = gymnasium.spec(target)
    with quiet():
        again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(spec.to_json()))
        same(again.reset(seed=4)[0], gymnasium.make(target).reset(seed=4)[0], "the environment from JSON")
        vector = gymnasium.make_vec(target, num_envs=2)
        assert isinstance(vector.unwrapped, SeatVectorEnv), "make_vec must use the native batch"
        assert isinstance(pettingzoo.make("parallel", target), GameParallelEnv)
        assert isinstance(pettingzoo.make("aec", target), GameAECEnv)


def exports_to_openspiel(target: str | Game[Any]) -> None:
    """A FiniteGame without Box actions becomes an OpenSpiel game that survives a random simulation (extra `games`)."""
    game = as_game(target, {})
    if not isinstance(game, FiniteGame) or any(isinstance(role.action_space, spaces.Box) for role in game.roles):
        return
    from walras.envs.doors.openspiel import random_playout, to_openspiel

    random_playout(to_openspiel(game), np.random.default_rng(0))
