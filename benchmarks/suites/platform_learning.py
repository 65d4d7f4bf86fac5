"""Sellers who learn to join and platforms that learn their fee: what the suite `platform-equilibrium` runs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Curve, Outcome, Progress

if TYPE_CHECKING:
    pass


def regret_sellers(seed: int, progress: Progress, *, instance: str, fee: float, rounds: int, runs: int) -> Outcome:
    """Sellers by independent regret matching: mean welfare over all rounds, and the largest average regret."""
    from walras.algorithms.platforms.entry import EntryRegret
    from walras.envs.platforms.entry import SellerEntry
    from walras.envs.platforms.equilibrium import Joining

    game = Joining.of(instance)
    learner = EntryRegret(SellerEntry(game.market, fee), runs=runs, seed=seed).fit(rounds, progress)
    share = learner.frequency_.mean(axis=0)
    metrics = {
        "mean_welfare": float(learner.mean(game.welfare).mean()),
        "regret": float(learner.regret().max()),
        "correlated_worst": game.coarse_correlated(fee, "worst").welfare,
    }
    return Outcome(metrics, arrays={"share": share.tolist()})


def ppo_sellers(seed: int, progress: Progress, *, instance: str, fee: float, steps: int) -> Outcome:
    """Sellers by independent PPO in self-play; judged by the choices they end with."""
    from walras.algorithms.ppo import PPOSettings, train_self_play
    from walras.envs.platforms.entry import SellerEntry
    from walras.envs.play import play

    game = SellerEntry(instance, fee)
    settings = PPOSettings(steps=steps, lanes=128, rollout=4, minibatch=256, learning_rate=1e-2)
    trained = train_self_play(game, "seller", settings, seed=seed, progress=progress)
    ended = play(game, {agent: result.policy for agent, result in trained.items()}, batch=1, seed=seed)
    facts = game.info(ended.state, "seller")
    return Outcome(
        {
            "mean_welfare": float(facts["welfare"][0, 0]),
            "stable": float(facts["is_equilibrium"][0, 0]),
            "cpu_seconds": next(iter(trained.values())).cpu_seconds,
        }
    )


def abcs_sellers(seed: int, progress: Progress, *, instance: str, fee: float, nodes: int) -> Outcome:
    """Sellers by ABCs (arXiv 2402.11835) on the joining game as a tree: welfare of the average strategies."""
    from walras.algorithms.tabular import ABCs, gains
    from walras.envs.platforms.entry import SellerEntry
    from walras.envs.platforms.equilibrium import Joining
    from walras.envs.platforms.profiles import choices
    from walras.envs.tabular import compile_game

    flat = compile_game(SellerEntry(instance, fee))
    average = ABCs(flat, seed=seed).fit(nodes=nodes, progress=progress).average_
    joins = np.array([average[flat.slots(seller)][1] for seller in range(flat.n_players)])
    x = choices(flat.n_players)
    law = np.where(x == 1, joins, 1.0 - joins).prod(axis=1)  # one infostate a seller: what each does is independent
    welfare = np.asarray(Joining.of(instance).welfare, np.float64).reshape(-1)
    return Outcome({"mean_welfare": float(law @ welfare), "regret": float(gains(flat, average).max())})


def _judge(game: Any, fee: float) -> tuple[float, float]:
    """Mean revenue and welfare of a fee over 200 fresh episodes (one, where sellers play an equilibrium)."""
    from walras.envs.lanes import LaneRandom, clock

    lanes = 200 if game.selection == "learning" else 1
    rng = LaneRandom(clock(123, lanes))
    after = game.respond(game.initial(lanes, rng), np.full(lanes, fee), rng)
    return float(after.revenue.mean()), float(after.welfare.mean())


def fee_learner(
    seed: int, progress: Progress, *, instance: str, method: str, steps: int, selection: str, start: float = 0.5
) -> Outcome:
    """A platform that learns its fee from what fees earned; judged on fresh episodes."""
    from walras.algorithms.platforms.fees import learn_fee
    from walras.envs.platforms.equilibrium import Joining
    from walras.envs.platforms.fee import PlatformFee

    game = PlatformFee(instance, selection=selection, learning_rounds=500)
    found = learn_fee(game, method, steps, seed=seed, start=start, progress=progress)  # type: ignore[arg-type]
    revenue, welfare = _judge(game, found.fee)
    best = float(Joining.of(instance).optimistic().revenue)
    return Outcome(
        {"fee": found.fee, "revenue": revenue, "welfare": welfare, "revenue_share": revenue / best},
        arrays={"fees": found.fees.tolist(), "rewards": found.rewards.tolist()},
    )


def ppo_platform(
    seed: int, progress: Progress, *, instance: str, steps: int, start: float, spread: float, selection: str
) -> Outcome:
    """PPO as the platform, from a first mean and spread of the fee; judged by the fee it ends with."""
    from walras.algorithms.ppo import PPOSettings, train_ppo
    from walras.envs.platforms.equilibrium import Joining
    from walras.envs.platforms.fee import PlatformFee
    from walras.envs.play import play

    game = PlatformFee(instance, selection=selection, learning_rounds=200)
    settings = PPOSettings(
        steps=steps, lanes=256, rollout=2, minibatch=256, epochs=3, discount=0.0, start=2 * start - 1, spread=2 * spread
    )
    trained = train_ppo(game, settings=settings, seed=seed, progress=progress)
    ended = play(game, {"platform": trained.policy}, batch=1, seed=seed)
    revenue, welfare = _judge(game, float(ended.state.fee[0]))
    best = float(Joining.of(instance).optimistic().revenue)
    return Outcome(
        {
            "fee": float(ended.state.fee[0]), "revenue": revenue, "welfare": welfare, "revenue_share": revenue / best,
            "cpu_seconds": trained.cpu_seconds,
        },
        curves={"learning": Curve(trained.curve_steps, trained.curve_returns, "fees tried", "revenue")},
    )  # fmt: skip


def ppo_random(
    seed: int, progress: Progress, *, buyers: int, sellers: int, law: str, steps: int, judged: int
) -> Outcome:
    """PPO as the platform of markets drawn anew each time: fees it sets in fresh markets, against the best of each."""
    from walras.algorithms.ppo import PPOSettings, train_ppo
    from walras.envs.lanes import LaneRandom, clock
    from walras.envs.platforms.fee import PlatformFee
    from walras.envs.platforms.profiles import choices, price_profiles, supports

    game = PlatformFee(None, law=law, buyers=buyers, sellers=sellers)
    settings = PPOSettings(
        steps=steps, lanes=512, rollout=2, minibatch=512, discount=0.0, learning_rate=1e-3, start=0.3, spread=0.3,
        layers=(128, 128),
    )  # fmt: skip
    trained = train_ppo(game, settings=settings, seed=seed, progress=progress)
    rng = LaneRandom(clock(10_000 + seed, judged))
    state = game.initial(judged, rng)
    table = price_profiles(state.values, state.known)
    span = supports(table.price)
    income = (table.price * choices(sellers)).sum(axis=2)
    most = float(np.where(span.feasible, span.high / span.high_of * income, 0.0).max(axis=1).mean())
    same = max(float(game.respond(state, np.full(judged, f), rng).revenue.mean()) for f in np.linspace(0, 1, 101))
    fees = np.asarray(trained(game.observe(state, "platform")[:, 0].astype(np.float32)), np.float64)[:, 0]
    after = game.respond(state, fees, rng)
    return Outcome(
        {
            "revenue": float(after.revenue.mean()),
            "revenue_share": float(after.revenue.mean()) / most,
            "fixed_share": same / most,
            "welfare": float(after.welfare.mean()),
            "cpu_seconds": trained.cpu_seconds,
        },
        curves={"learning": Curve(trained.curve_steps, trained.curve_returns, "fees tried", "revenue")},
    )
