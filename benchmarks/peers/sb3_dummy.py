"""Stable-Baselines3's `DummyVecEnv` around our single door, and our native `VecEnv`; stepped without a learner."""

from __future__ import annotations

import gymnasium

import walras  # noqa: F401  (registers the games)
from walras.benchmarks.peers.gymnasium_sync import ID, vector_loop
from walras.benchmarks.peers.stopwatch import Play


def native(seed: int, *, bidders: int, lanes: int) -> Play:
    """Our `VecEnv` on the native batch."""
    from walras.envs.doors.sb3 import SeatVecEnv

    env = SeatVecEnv(ID, lanes, seed=seed, bidders=bidders)
    return vector_loop(env.step, env.reset(), bidders=bidders, lanes=lanes)


def dummy(seed: int, *, bidders: int, lanes: int) -> Play:
    """`DummyVecEnv` over as many environments from `gymnasium.make`."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    env = DummyVecEnv([lambda: gymnasium.make(ID, bidders=bidders)] * lanes)
    env.seed(seed)
    return vector_loop(env.step, env.reset(), bidders=bidders, lanes=lanes)
