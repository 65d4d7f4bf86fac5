"""Training runs whose right answer is known: what the bench measures, as functions of `(seed, progress)`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np

from walras.algorithms.ppo import PPOSettings, Trained, train_ppo
from walras.algorithms.regret_matching import RegretMatching, bid_distance
from walras.envs.game import Array, Game
from walras.envs.play import play
from walras.envs.registry import make

Progress = Callable[[float, str], None]

BIDDER_SETTINGS = PPOSettings()
"""PPO as a bidder: the defaults."""

DESIGNER_SETTINGS = PPOSettings(steps=16_384, lanes=32, rollout=8, minibatch=64, epochs=10, discount=0.0, start=-0.8)
"""PPO as a designer of a reserve; it begins at a tenth of the largest value: the answer, the middle, is far."""


class Utility(NamedTuple):
    """Utility of a policy beside that of the equilibrium, both against the same opponents in the same episodes.

    Attributes:
        ratio: of the mean utilities.
        standard_error: of `ratio` (delta method on paired episodes).
        utility: mean utility of the policy.
        equilibrium: mean utility of the equilibrium in the same episodes.
        exact: the same in closed form.
        exact_ratio: `utility / exact`.
    """

    ratio: float
    standard_error: float
    utility: float
    equilibrium: float
    exact: float
    exact_ratio: float


class BidderTrial(NamedTuple):
    """Outcome of `bidder_trial`."""

    measured: Utility
    trained: Trained


class DoorTrial(NamedTuple):
    """Outcome of `door_trial`: the same training through both doors.

    Attributes:
        ratio: wall time of SB3's DummyVecEnv over that of the native batch.
        cpu_ratio: the same of processor time.
        native: the training through `SeatVecEnv`.
        dummy: the training through `DummyVecEnv`.
    """

    ratio: float
    cpu_ratio: float
    native: Trained
    dummy: Trained


class DesignerTrial(NamedTuple):
    """Outcome of `designer_trial`.

    Attributes:
        reserve: what the designer has learned to set.
        revenue: expected revenue of that reserve, by closed form.
        optimum: largest expected revenue of any auction (Myerson 1981).
        trained: the training.
    """

    reserve: float
    revenue: float
    optimum: float
    trained: Trained


class BidFunctionTrial(NamedTuple):
    """Outcome of `bid_function_trial`.

    Attributes:
        distances: (n,) mean absolute distance of each bidder's mean bid from its equilibrium bid.
        curve_iterations: (R,) rounds after which the distance was taken.
        curve_distances: (R, n) the distances then.
        values: (K,) own values.
        bids: (n, K) mean bids there.
        equilibrium: (K,) equilibrium bids there.
        cpu_seconds: processor time of the learning.
    """

    distances: Array
    curve_iterations: Array
    curve_distances: Array
    values: Array
    bids: Array
    equilibrium: Array
    cpu_seconds: float


def compare_with_equilibrium(
    game: Game[Any], agent: str, policy: Any, *, episodes: int = 1_000_000, seed: int = 0, batch: int = 100_000
) -> Utility:
    """Play fresh episodes twice, with `policy` and with the equilibrium in one seat, all others in equilibrium.

    Raises:
        ValueError: if the game knows no equilibrium, or `episodes` is below 2.
    """
    if episodes < 2:
        raise ValueError(f"episodes must be at least 2, got {episodes}")
    k = game.seat[agent][2]
    pairs = []
    for lane in range(0, episodes, batch):
        count = min(batch, episodes - lane)
        own = play(game, {agent: policy}, batch=count, seed=seed, lane=lane).returns[:, k]
        known = play(game, {agent: "equilibrium"}, batch=count, seed=seed, lane=lane).returns[:, k]
        pairs.append((own, known))
    mine, theirs = (np.concatenate(column) for column in zip(*pairs, strict=True))
    ratio = float(mine.mean() / theirs.mean())
    error = float((mine - ratio * theirs).std(ddof=1) / np.sqrt(episodes) / theirs.mean())
    exact = next(
        (truth.value for truth in game.truths() if truth.name == "utility of a bidder in equilibrium"), float("nan")
    )
    return Utility(ratio, error, float(mine.mean()), float(theirs.mean()), exact, float(mine.mean() / exact))


def bidder_trial(
    seed: int,
    progress: Progress | None = None,
    *,
    bidders: int = 3,
    episodes: int = 1_000_000,
    settings: PPOSettings = BIDDER_SETTINGS,
    door: Literal["native", "dummy"] = "native",
) -> BidderTrial:
    """PPO as one bidder of the first-price auction, U[0, 1] values, the others in equilibrium.

    The truth is the equilibrium utility 1 / (n (n + 1)), which no policy exceeds.
    """
    parameters: dict[str, Any] = {"bidders": bidders, "mechanism": "first-price"}
    trained = train_ppo(
        "walras/SealedBidAuction-v0", "bidder_0", settings, seed=seed, door=door, progress=progress, **parameters
    )
    game = make("walras/SealedBidAuction-v0", **parameters)
    # Episodes of another seed than the training's.
    return BidderTrial(
        compare_with_equilibrium(game, "bidder_0", trained.policy, episodes=episodes, seed=1_000_003 + seed), trained
    )


def door_trial(
    seed: int,
    progress: Progress | None = None,
    *,
    bidders: int = 3,
    steps: int = 131_072,
    settings: PPOSettings = BIDDER_SETTINGS,
) -> DoorTrial:
    """The same PPO training through the native batch and through SB3's DummyVecEnv over `gymnasium.make`, timed."""
    shorter = replace(settings, steps=steps)
    parameters: dict[str, Any] = {"bidders": bidders, "mechanism": "first-price"}
    # The first training of a process pays for imports and compilation: pay before the clock starts.
    warm = replace(settings, steps=settings.lanes * settings.rollout)
    train_ppo("walras/SealedBidAuction-v0", "bidder_0", warm, seed=seed, **parameters)
    auction = "walras/SealedBidAuction-v0"
    halves = [None if progress is None else Half(progress, k) for k in range(2)]
    native = train_ppo(auction, "bidder_0", shorter, seed=seed, door="native", progress=halves[0], **parameters)
    dummy = train_ppo(auction, "bidder_0", shorter, seed=seed, door="dummy", progress=halves[1], **parameters)
    return DoorTrial(dummy.wall_seconds / native.wall_seconds, dummy.cpu_seconds / native.cpu_seconds, native, dummy)


def designer_trial(
    seed: int, progress: Progress | None = None, *, bidders: int = 2, settings: PPOSettings = DESIGNER_SETTINGS
) -> DesignerTrial:
    """PPO as designer of a second-price auction's reserve, U[0, 1] values; best is 1/2 (2 bidders: revenue 5/12)."""
    from walras.envs.auctions import theory
    from walras.envs.auctions.laws import Uniform

    game = make("walras/AuctionDesign-v0", bidders=bidders)
    trained = train_ppo(game, "designer", settings, seed=seed, progress=progress)
    # What it sets after a look at its own last result, as it would go on doing.
    reserve = float(play(game, {"designer": trained.policy}, batch=1, seed=1_000_003 + seed).state.design[0, 0])
    law = Uniform(0.0, 1.0)
    best = theory.revenue(law, bidders, theory.myerson_reserve(law))
    return DesignerTrial(reserve, theory.revenue(law, bidders, reserve), best, trained)


def bid_function_trial(
    seed: int,
    progress: Progress | None = None,
    *,
    bidders: int = 3,
    iterations: int = 1000,
    points: int = 20,
    **settings: Any,
) -> BidFunctionTrial:
    """Independent regret matching in the first-price auction, U[0, 1] values; the equilibrium bid is (n - 1) / n v.

    Args:
        seed: of the learners.
        progress: told `(fraction, text)`.
        bidders: n.
        iterations: rounds in all.
        points: how often the distance is taken on the way.
        settings: of `RegretMatching`.
    """
    game = make("walras/SealedBidAuction-v0", bidders=bidders, mechanism="first-price")
    start, spent = time.process_time(), 0.0
    learner = RegretMatching(game, seed=seed, **settings)
    marks, distances = [], []
    for k in range(points):
        learner.fit(iterations * (k + 1) // points - iterations * k // points)
        spent += time.process_time() - start
        marks.append(learner.iteration_)
        distances.append([bid_distance(learner, agent) for agent in game.agents])
        if progress is not None:
            progress((k + 1) / points, f"round {learner.iteration_}, distance {max(distances[-1]):.4f}")
        start = time.process_time()
    values = (np.arange(200) + 0.5) / 200
    bids = np.stack([learner.mean_bids(agent, values) for agent in game.agents])
    equilibrium = np.asarray((game.equilibrium() or {})["bidder"](values[:, None]))[:, 0]
    return BidFunctionTrial(
        np.array(distances[-1]), np.array(marks), np.array(distances), values, bids, equilibrium, spent
    )


class Half:
    """Progress of the first (0) or second (1) of two equal parts."""

    def __init__(self, whole: Progress, part: int) -> None:
        """Report to `whole`."""
        self.whole, self.part = whole, part

    def __call__(self, fraction: float, text: str = "") -> None:
        """`fraction` of this part is done."""
        self.whole((self.part + fraction) / 2, text)
