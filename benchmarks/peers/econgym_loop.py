"""econgym's first-price auction in a bare loop: no wrapper, one generator for all episodes, equilibrium bids.

econgym 0.2 (https://github.com/shubhL-research/econgym) plays one auction at a time; `reset(rng=...)` is its fastest
way to begin one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from walras.benchmarks.peers.stopwatch import Play


def loop(seed: int, *, bidders: int) -> Play:
    """Whole episodes of `FirstPriceAuctionEnv`, U[0, 1] values, everybody bids (n - 1) / n of the value."""
    import econgym

    env: Any = econgym.FirstPriceAuctionEnv(bidders)
    rng = np.random.default_rng(seed)
    share = (bidders - 1) / bidders

    def play(episodes: int) -> int:
        for _ in range(episodes):
            values = env.reset(rng=rng)
            env.step([share * value for value in values])
        return episodes

    return play
