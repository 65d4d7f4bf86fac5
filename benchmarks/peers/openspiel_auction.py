"""OpenSpiel's `first_sealed_auction` by its Python API, and the same game on our native batch.

Values 1..V equally likely, bids below the value; everybody bids half its value, rounded down, on both sides. arXiv
1908.09453.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

import walras  # noqa: F401  (registers the games)
from walras.benchmarks.peers.stopwatch import Play


class Half:
    """Bids half the value, rounded down, in the seats of our side that the loop does not fill."""

    def __call__(self, observation: Any) -> Any:
        """Values (B, 1) -> actions (B,)."""
        return observation[:, 0].astype(np.int64) // 2


def loop(seed: int, *, bidders: int, values: int) -> Play:
    """Whole episodes state by state: chance sampled by inverse CDF from uniforms drawn beforehand."""
    import pyspiel

    game: Any = pyspiel.load_game(f"first_sealed_auction(players={bidders},max_value={values})")
    rng = np.random.default_rng(seed)

    def play(episodes: int) -> int:
        draws = rng.random((episodes, bidders + 1)).tolist()
        for row in draws:
            state = game.new_initial_state()
            uniforms = iter(row)
            while not state.is_terminal():
                if state.is_chance_node():
                    chosen, left = 0, next(uniforms)
                    for outcome, chance in state.chance_outcomes():
                        chosen = outcome
                        left -= chance
                        if left < 0.0:
                            break
                    state.apply_action(chosen)
                else:
                    legal = state.legal_actions()  # the bids 0, ..., value - 1
                    state.apply_action(len(legal) // 2)
            state.returns()
        return episodes

    return play


def native(seed: int, *, bidders: int, values: int, lanes: int) -> Play:
    """The same game through our vector door."""
    half = Half()
    env: Any = gymnasium.make_vec(
        "walras/DiscreteAuction-v0", lanes, bidders=bidders, values=values, others={"bidder": half}
    )
    observation, _ = env.reset(seed=seed)

    def play(episodes: int) -> int:
        nonlocal observation
        steps = -(-episodes // lanes)
        for _ in range(steps):
            observation = env.step(half(observation))[0]
        return steps * lanes

    return play
