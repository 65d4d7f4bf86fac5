"""How a platform may learn its fee from what fees earned: a grid, bandits, a gradient, a search that narrows.

Each learner plays a game with one seat and a fee in [0, cap] (`PlatformFee` without a grid), knows nothing of the
market, and returns what it would charge. Revenue over the fee is a sawtooth: it rises until the next seller leaves and
then drops. A gradient climbs the tooth on which it starts; the others look at every tooth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from walras.envs.arguments import whole
from walras.envs.game import Array
from walras.envs.lanes import LaneRandom, clock
from walras.envs.platforms.fee import PlatformFee

Progress = Callable[[float, str], None]
METHODS = ("grid", "ucb", "epsilon-greedy", "gradient", "zoom")


class LearnedFee(NamedTuple):
    """What a fee learner ends with.

    Attributes:
        fee: what it would charge, in [0, cap].
        fees: (T,) what it charged on the way.
        rewards: (T,) what that earned.
    """

    fee: float
    fees: Array
    rewards: Array


def learn_fee(
    game: PlatformFee,
    method: Literal["grid", "ucb", "epsilon-greedy", "gradient", "zoom"],
    steps: int = 400,
    *,
    seed: int,
    grid: int = 41,
    start: float = 0.5,
    spread: float = 0.03,
    rate: float = 0.02,
    epsilon: float = 0.1,
    progress: Progress | None = None,
) -> LearnedFee:
    """Learn a fee by trying fees one after another, each in a fresh episode.

    Args:
        game: the platform's game, with any objective and any sellers.
        method: `"grid"` tries all fees of a grid in turn and keeps the best mean; `"ucb"` (UCB1, Auer et al. 2002,
            rewards scaled by the largest seen) and `"epsilon-greedy"` are bandits on that grid; `"gradient"` climbs by
            two-sided differences (Kiefer and Wolfowitz 1952); `"zoom"` tries a grid, then finer ones around its three
            best fees, and spends the last quarter of the steps on trying the eight best of all again.
        steps: fees tried, >= 2.
        seed: of the episodes and of the learner's own coins.
        grid: fees of the grid, evenly spaced from 0 to the cap, >= 3.
        start: first fee of the gradient, as a share of the cap.
        spread: half the distance of the two fees that it compares, as a share of the cap; it shrinks too.
        rate: longest step of it, as a share of the cap; it shrinks over the steps.
        epsilon: share of fees that `"epsilon-greedy"` tries at random.
        progress: told `(fraction, text)` now and then.

    Raises:
        ValueError: if a number is out of range, or the game has a grid of its own.
    """
    if not isinstance(game, PlatformFee) or game.levels is not None:
        raise ValueError(f"game: a PlatformFee with any fee (grid=None) is needed, got {game!r}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    whole("steps", steps, 2)
    whole("grid", grid, 3)
    for name, value in (("start", start), ("spread", spread), ("rate", rate), ("epsilon", epsilon)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    trial = _Trial(game, steps, seed, progress)
    cap = game.cap
    if method == "gradient":
        fee = _climb(trial, cap, start, spread, rate)
    elif method == "zoom":
        fee = _zoom(trial, cap, grid)
    else:
        fee = _bandit(trial, np.linspace(0.0, cap, grid), method, epsilon, np.random.default_rng([seed, 1]))
    return LearnedFee(float(fee), np.array(trial.fees), np.array(trial.rewards))


class _Trial:
    """Fees tried so far; every call plays fresh episodes, one a fee."""

    def __init__(self, game: PlatformFee, steps: int, seed: int, progress: Progress | None) -> None:
        self.game, self.steps, self.seed, self.progress = game, steps, seed, progress
        self.fees: list[float] = []
        self.rewards: list[float] = []

    @property
    def left(self) -> int:
        return self.steps - len(self.fees)

    def __call__(self, fees: Array) -> Array:
        """(k,) rewards of fees (k,)."""
        fees = np.asarray(fees, np.float64)
        rng = LaneRandom(clock(self.seed, len(fees), len(self.fees)))
        state = self.game.initial(len(fees), rng)
        action = fees.astype(np.float32)[:, None, None]
        rewards: Array = self.game.step(state, {"platform": action}, rng)[1][:, 0]
        self.fees += fees.tolist()
        self.rewards += rewards.tolist()
        if self.progress is not None:
            self.progress(min(1.0, len(self.fees) / self.steps), f"{len(self.fees)} fees tried")
        return rewards


def _bandit(trial: _Trial, levels: Array, method: str, epsilon: float, rng: np.random.Generator) -> float:
    count, total = np.zeros(len(levels)), np.zeros(len(levels))
    largest = 1e-300
    while trial.left:
        untried = np.flatnonzero(count == 0)
        if len(untried):
            arm = int(untried[0])
        elif method == "grid":
            arm = int(count.argmin())
        elif method == "ucb":
            bonus = np.sqrt(2 * np.log(count.sum()) / count)
            arm = int((total / count / largest + bonus).argmax())
        else:
            arm = int(rng.integers(len(levels))) if rng.random() < epsilon else int((total / count).argmax())
        reward = float(trial(levels[[arm]])[0])
        count[arm] += 1
        total[arm] += reward
        largest = max(largest, reward)
    return float(levels[np.where(count > 0, total / np.maximum(count, 1), -np.inf).argmax()])


def _climb(trial: _Trial, cap: float, start: float, spread: float, rate: float) -> float:
    fee, turns = start * cap, trial.steps // 2
    scale = 0.0
    for turn in range(turns):
        width = spread * cap * max(1 - turn / turns, 0.05)
        both = np.clip([fee - width, fee + width], 0.0, cap)
        low, high = trial(both)
        slope = (high - low) / max(both[1] - both[0], 1e-12)
        scale = max(scale, abs(slope))
        fee = float(np.clip(fee + rate * cap * (1 - turn / turns) * slope / max(scale, 1e-12), 0.0, cap))
    return fee


def _zoom(trial: _Trial, cap: float, grid: int) -> float:
    step = cap / (grid - 1)
    again = trial.steps // 4
    trial(np.linspace(0.0, cap, grid)[: max(trial.left - again, 1)])
    while trial.left > again:
        near = [fee + step * np.array([-1, -2 / 3, -1 / 3, 1 / 3, 2 / 3, 1]) for fee in _best(trial, 3, step)]
        trial(np.clip(np.concatenate(near), 0.0, cap)[: trial.left - again])
        step /= 3
    # What looked best may only have been lucky.
    finalists = np.array(_best(trial, 8, 0.0))
    while trial.left:
        trial(finalists[: trial.left])
    fees, rewards = np.array(trial.fees), np.array(trial.rewards)
    means = [rewards[fees == fee].mean() for fee in finalists]
    return float(finalists[int(np.argmax(means))])


def _best(trial: _Trial, count: int, apart: float) -> list[float]:
    """The best fees so far that lie further apart than `apart`: on different teeth."""
    best: list[float] = []
    for k in np.argsort(-np.array(trial.rewards), kind="stable"):
        if len(best) < count and all(abs(trial.fees[k] - other) > apart for other in best):
            best.append(trial.fees[k])
    return best
