"""Learners in auctions whose equilibrium or optimum is known: PPO as bidder and as designer, and regret matching.

PPO is trained as in `walras.algorithms.trials`; this file gives the runs their sizes and says what is required.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from walras.benchmarks.suite import Case, Curve, Known, Metric, Outcome, Picture, Progress, Suite, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record
    from walras.envs.game import Array

_MODULE = "walras.benchmarks.suites.learning"
_GRID = 50  # values at which bid functions are kept for the pictures


def ppo_bidder(
    seed: int,
    progress: Progress,
    *,
    bidders: int,
    steps: int,
    episodes: int,
    door: Literal["native", "dummy"] = "native",
) -> Outcome:
    """PPO as one bidder of the first-price auction, the others in equilibrium; judged on fresh episodes."""
    from dataclasses import replace

    from walras.agents.best_response import exploitability
    from walras.algorithms.trials import BIDDER_SETTINGS, bidder_trial
    from walras.envs.registry import make

    trial = bidder_trial(
        seed, progress, bidders=bidders, episodes=episodes, settings=replace(BIDDER_SETTINGS, steps=steps), door=door
    )
    policy, trained = trial.trained.policy, trial.trained
    game = make("walras/SealedBidAuction-v0", bidders=bidders, mechanism="first-price")
    gain = exploitability(game, {"bidder_0": policy}, seed=seed, agents=("bidder_0",))["bidder_0"].gain
    values = (np.arange(_GRID) + 0.5) / _GRID
    bids = np.asarray(policy(values[:, None].astype(np.float32)), np.float64)[:, 0]
    equilibrium = (bidders - 1) / bidders * values
    return Outcome(
        {
            "utility_ratio": trial.measured.ratio,
            "utility": trial.measured.utility,
            "gain": gain,
            "distance": float(np.abs(bids - equilibrium).mean()),
            "cpu_seconds": trained.cpu_seconds,
            "wall_seconds": trained.wall_seconds,
        },
        curves={"utility": _smooth(trained.curve_steps, trained.curve_returns)},
        arrays={"values": values, "bids": [bids], "equilibrium": equilibrium},
    )


def _smooth(steps: Array, returns: Array, points: int = 40) -> Curve:
    """A learning curve of few points, each the mean over as many rollouts: one rollout alone is mostly luck."""
    parts = [part for part in np.array_split(np.arange(len(steps)), points) if len(part)]
    return Curve(
        [float(steps[part[-1]]) for part in parts],
        [float(returns[part].mean()) for part in parts],
        "moves",
        "mean utility",
    )


def ppo_doors(seed: int, progress: Progress, *, bidders: int, steps: int) -> Outcome:
    """The same short training through the native batch and through DummyVecEnv, one after the other."""
    from walras.algorithms.trials import door_trial

    trial = door_trial(seed, progress, bidders=bidders, steps=steps)
    return Outcome({"wall_ratio": trial.ratio, "cpu_ratio": trial.cpu_ratio})


def ppo_designer(seed: int, progress: Progress, *, bidders: int, steps: int) -> Outcome:
    """PPO as designer of the reserve of a second-price auction with truthful bidders."""
    from dataclasses import replace

    from walras.algorithms.trials import DESIGNER_SETTINGS, designer_trial

    trial = designer_trial(seed, progress, bidders=bidders, settings=replace(DESIGNER_SETTINGS, steps=steps))
    steps_made, returns = trial.trained.curve_steps, trial.trained.curve_returns
    return Outcome(
        {
            "reserve": trial.reserve,
            "reserve_error": abs(trial.reserve - 0.5),
            "revenue": trial.revenue,
            "revenue_ratio": trial.revenue / trial.optimum,
            "cpu_seconds": trial.trained.cpu_seconds,
        },
        # An episode is `horizon` auctions of equal weight; the curve is that of one.
        curves={"revenue": Curve(steps_made, returns / _horizon(), "designs tried", "mean revenue")},
        arrays={"reserve": trial.reserve},
    )


def _horizon() -> int:
    from walras.envs.registry import make

    horizon = make("walras/AuctionDesign-v0").horizon
    assert horizon is not None
    return horizon


def regret_matching(seed: int, progress: Progress, *, bidders: int, iterations: int, points: int = 20) -> Outcome:
    """Independent regret-matching bidders in the first-price auction, all of them learning at once."""
    from walras.agents.best_response import exploitability
    from walras.algorithms.regret_matching import RegretMatching, bid_distance
    from walras.envs.registry import make

    game = make("walras/SealedBidAuction-v0", bidders=bidders, mechanism="first-price")
    learner = RegretMatching(game, seed=seed)
    marks: list[int] = []
    distances: list[float] = []
    for k in range(points):
        learner.fit(iterations * (k + 1) // points - iterations * k // points)
        marks.append(learner.iteration_)
        distances.append(float(np.mean([bid_distance(learner, agent) for agent in game.agents])))
        progress((k + 1) / points, f"round {marks[-1]}, distance {distances[-1]:.4f}")
    gains = exploitability(game, learner.policies_, seed=seed)
    values = (np.arange(_GRID) + 0.5) / _GRID
    return Outcome(
        {
            "distance": distances[-1],
            "gain": max(gain.gain for gain in gains.values()),
            "utility": float(np.mean([gain.utility for gain in gains.values()])),
        },
        curves={"distance": Curve(marks, distances, "rounds", "mean distance of bids")},
        arrays={
            "values": values,
            "bids": [learner.mean_bids(agent, values) for agent in game.agents],
            "equilibrium": (bidders - 1) / bidders * values,
        },
    )


def draw_bids(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Learned bids, every bidder of every seed, beside the equilibrium; one panel a case."""
    panels = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for panel, (case, records) in zip(panels, results.items(), strict=True):
        arrays = records[0].arrays
        panel.plot(arrays["values"], arrays["equilibrium"], color="C1", linewidth=3.5, alpha=0.45, label="equilibrium")
        for record in records:
            for k, bids in enumerate(record.arrays["bids"]):
                first = record is records[0] and k == 0
                label = "learned" if first else "_"
                panel.plot(record.arrays["values"], bids, color="C0", alpha=0.8, linewidth=0.9, label=label)
        panel.set_title(case)
        panel.set_xlabel("value")
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 0.8)
        panel.grid(True)
    panels[0].set_ylabel("bid")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)


_EQUILIBRIUM = "Vickrey (1961); Krishna, Auction Theory, section 2.3: bid (n - 1) v / n, utility 1 / (n (n + 1))"
_BOUND = (
    "no policy earns more against rivals in equilibrium than the equilibrium bid, 1 / (n (n + 1)); Krishna, section 2.3"
)
_MYERSON = "Myerson (1981), Optimal Auction Design: reserve 1/2, revenue 5/12"
_BIDDER = {"bidders": 3, "episodes": 1_000_000}

SUITE = Suite(
    name="auction-learning",
    status="verified",
    title="Learning in auctions",
    description=(
        "Learners beside what theory says they should learn. U[0, 1] values; gain is what a best response, found by "
        "simulation on a grid of bids and judged on fresh auctions, adds to the utility of a learned strategy."
    ),
    cases=(
        Case(
            "ppo-bidder",
            f"{_MODULE}:ppo_bidder",
            {**_BIDDER, "steps": 500_000},
            seeds=3,
            requires=("torch", "stable_baselines3"),
            description="First price, 3 bidders: SB3's PPO in one seat through our native VecEnv, the others in "
            "equilibrium. Judged on 1,000,000 fresh auctions.",
        ),
        Case(
            "ppo-bidder-dummy",
            f"{_MODULE}:ppo_bidder",
            {**_BIDDER, "steps": 500_000, "door": "dummy"},
            cost="minutes",
            seeds=2,
            requires=("torch", "stable_baselines3"),
            peer_of="ppo-bidder",
            description="The whole training of ppo-bidder through SB3's DummyVecEnv around gymnasium.make.",
        ),
        Case(
            "ppo-doors",
            f"{_MODULE}:ppo_doors",
            {"bidders": 3, "steps": 65_536},
            requires=("torch", "stable_baselines3"),
            description="The first 65,536 moves of that training through both, one after the other in one process.",
        ),
        Case(
            "ppo-designer",
            f"{_MODULE}:ppo_designer",
            {"bidders": 2, "steps": 16_384},
            seeds=3,
            requires=("torch", "stable_baselines3"),
            description="Second price, 2 truthful bidders: PPO chooses the reserve; it begins near 0.1.",
        ),
        *(
            Case(
                f"regret-matching-{n}",
                f"{_MODULE}:regret_matching",
                {"bidders": n, "iterations": 1000},
                seeds=3,
                description=f"First price, {n} independent bidders, all learning by regret matching; averages.",
            )
            for n in (2, 3)
        ),
    ),
    metrics=(
        Metric("utility_ratio", better="higher", description="Utility over that of the equilibrium, same episodes."),
        Metric("utility", better="higher", description="Mean utility of a bidder in one auction."),
        Metric("gain", better="lower", description="What a best response would add to the utility."),
        Metric("distance", better="lower", description="Mean absolute distance of the bid from the equilibrium bid."),
        Metric("reserve", description="The reserve that the designer has learned to set."),
        Metric("reserve_error", better="lower", description="Its absolute distance from 1/2."),
        Metric("revenue", better="higher", description="Expected revenue of that reserve, by closed form."),
        Metric("revenue_ratio", better="higher", description="That revenue over the optimum."),
        Metric("wall_ratio", "×", "higher", "timing", "Wall time through DummyVecEnv over wall time through our door."),
        Metric("cpu_ratio", "×", "higher", "timing", "The same of processor time."),
        Metric("cpu_seconds", "s", "lower", "timing", "Processor time of the training, building included."),
        Metric("wall_seconds", "s", "lower", "timing", "Wall time of the training."),
    ),
    known=(
        Known("ppo-bidder", "utility", 1 / 12, _BOUND, "bound", 5e-4),
        Known("ppo-bidder", "utility_ratio", 1.0, _BOUND, "bound", 5e-3),
        Known("ppo-bidder", "gain", 0.0, _EQUILIBRIUM, "equilibrium", 1e-3),
        Known("ppo-bidder-dummy", "utility", 1 / 12, _BOUND, "bound", 5e-4),
        Known("ppo-designer", "reserve", 0.5, _MYERSON, "optimum", 0.03),
        Known("ppo-designer", "revenue", 5 / 12, _MYERSON, "optimum", 0.01 * 5 / 12),
        Known("regret-matching-2", "utility", 1 / 6, _EQUILIBRIUM, "equilibrium", 0.01),
        Known("regret-matching-3", "utility", 1 / 12, _EQUILIBRIUM, "equilibrium", 0.01),
        Known("regret-matching-2", "gain", 0.0, _EQUILIBRIUM, "equilibrium", 5e-3),
        Known("regret-matching-3", "gain", 0.0, _EQUILIBRIUM, "equilibrium", 5e-3),
    ),
    targets=(
        Target(
            "ppo-bidder", "utility_ratio", at_least=0.97, text="PPO bidder: at least 97 % of the equilibrium utility"
        ),
        Target("ppo-bidder", "cpu_seconds", at_most=60.0, text="PPO bidder: within 60 CPU seconds"),
        Target("ppo-designer", "reserve_error", at_most=0.03, text="PPO designer: reserve within 0.03 of 1/2"),
        Target(
            "ppo-designer",
            "revenue_ratio",
            at_least=0.99,
            at_most=1.01,
            text="PPO designer: revenue within 1 % of 5/12",
        ),
        Target(
            "regret-matching-2",
            "distance",
            at_most=0.02,
            text="independent learners, n = 2: within 0.02 of equilibrium",
        ),
        Target(
            "regret-matching-3",
            "distance",
            at_most=0.02,
            text="independent learners, n = 3: within 0.02 of equilibrium",
        ),
    ),
    pictures=(
        Picture(
            "bids",
            "Learned bid functions beside the equilibrium, all bidders and seeds",
            f"{_MODULE}:draw_bids",
            ("ppo-bidder", "regret-matching-2", "regret-matching-3"),
            (6.6, 3.0),
        ),
    ),
)
