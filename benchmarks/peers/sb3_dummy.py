"""Stable-Baselines3's `DummyVecEnv` around our single door, and our native `VecEnv`; stepped without a learner."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

import walras  # noqa: F401  (registers the games)
from walras.benchmarks.peers.gymnasium_sync import ID
from walras.benchmarks.peers.stopwatch import Play


def native(seed: int, *, bidders: int, lanes: int) -> Play:
    """Our `VecEnv` on the native batch."""
    from walras.envs.doors.sb3 import SeatVecEnv

    return _steps(SeatVecEnv(ID, lanes, seed=seed, bidders=bidders), bidders)


def dummy(seed: int, *, bidders: int, lanes: int) -> Play:
    """`DummyVecEnv` over as many environments from `gymnasium.make`."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    env = DummyVecEnv([lambda: gymnasium.make(ID, bidders=bidders)] * lanes)
    env.seed(seed)
    return _steps(env, bidders)


def _steps(env: Any, bidders: int) -> Play:
    observation = env.reset()
    share = np.float32((bidders - 1) / bidders)
    lanes: int = env.num_envs

    def play(episodes: int) -> int:
        nonlocal observation
        steps = -(-episodes // lanes)
        for _ in range(steps):
            observation = env.step(observation * share)[0]
        return steps * lanes

    return play
