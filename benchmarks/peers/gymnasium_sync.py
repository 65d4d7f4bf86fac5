"""The first-price auction through Gymnasium: our vector door, `SyncVectorEnv`, and single environments.

In every lane one bidder bids (n - 1) / n of its value; the other seats are filled by the equilibrium inside the
environment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

import walras  # noqa: F401  (registers the games)
from walras.benchmarks.peers.stopwatch import Play

ID = "walras/FirstPriceAuction-v0"


def native(seed: int, *, bidders: int, lanes: int) -> Play:
    """Our vector door, all lanes by one call of the rules; one step is one whole episode in each lane."""
    env: Any = gymnasium.make_vec(ID, lanes, bidders=bidders)
    return vector_loop(env.step, env.reset(seed=seed)[0], bidders=bidders, lanes=lanes)


def sync(seed: int, *, bidders: int, lanes: int) -> Play:
    """Gymnasium's `SyncVectorEnv` around as many single environments."""
    mode = {"autoreset_mode": AutoresetMode.SAME_STEP}
    env: Any = gymnasium.make_vec(ID, lanes, vectorization_mode="sync", vector_kwargs=mode, bidders=bidders)
    return vector_loop(env.step, env.reset(seed=seed)[0], bidders=bidders, lanes=lanes)


def single(seed: int, *, bidders: int, wrapped: bool) -> Play:
    """One environment from `gymnasium.make`, with the wrappers it puts on or without them."""
    env: Any = gymnasium.make(ID, bidders=bidders)
    env = env if wrapped else env.unwrapped
    env.reset(seed=seed)
    share = np.float32((bidders - 1) / bidders)

    def play(episodes: int) -> int:
        for _ in range(episodes):
            observation, _ = env.reset()
            env.step(observation * share)
        return episodes

    return play


def vector_loop(step: Callable[[Any], Any], observation: Any, *, bidders: int, lanes: int) -> Play:
    """Whole one-step episodes in all lanes: `step(actions)` gives a tuple that begins with the next observations."""
    share = np.float32((bidders - 1) / bidders)

    def play(episodes: int) -> int:
        nonlocal observation
        steps = -(-episodes // lanes)
        for _ in range(steps):
            observation = step(observation * share)[0]
        return steps * lanes

    return play
