"""econgym's first-price auction in a bare loop: no wrapper, equilibrium bids.

econgym 0.2 (https://github.com/shubhL-research/econgym) plays one auction at a time. `reset()` begins an episode the
way of Gymnasium, with a generator of its own; handing every episode the same generator, `reset(rng=...)`, is faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from walras.benchmarks.peers.stopwatch import Play


def loop(seed: int, *, bidders: int, shared: bool = True) -> Play:
    """Whole episodes of `FirstPriceAuctionEnv`, U[0, 1] values, everybody bids (n - 1) / n of the value.

    Args:
        seed: Of the shared generator.
        bidders: n.
        shared: One generator for all episodes, or one for each, as `reset()` makes it.
    """
    import econgym

    env: Any = econgym.FirstPriceAuctionEnv(bidders)
    rng = np.random.default_rng(seed)
    share = (bidders - 1) / bidders

    def play(episodes: int) -> int:
        for _ in range(episodes):
            values = env.reset(rng=rng) if shared else env.reset()
            env.step([share * value for value in values])
        return episodes

    return play
