"""Random markets by the thousand against the theorems and derived statements about platform equilibria.

Run functions of the suite `platform-equilibrium`. Values, prices and fees are integers or fractions, so every
comparison is exact unless a comment says otherwise; a violation is a counterexample, and its market is kept in the
outcome's arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Curve, Outcome, Progress

if TYPE_CHECKING:
    from walras.envs.game import Array

CHUNK = 200
FEES = (0, 100, 300, 500, 700, 900, 990)
"""In thousandths."""
THOUSAND = 1000


class _Found:
    """Counts of violations, and for every statement the first market that showed one."""

    def __init__(self) -> None:
        self.count: dict[str, int] = {}
        self.examples: dict[str, Any] = {}

    def look(self, name: str, wrong: Any, **market: Array) -> None:
        """Count the true entries of `wrong`; its first axis is that of the arrays in `market`."""
        self.count[name] = self.count.get(name, 0) + int(wrong.sum())
        if wrong.any() and f"{name}.values" not in self.examples:
            lane = int(np.argwhere(wrong)[0][0])
            self.examples |= {f"{name}.{field}": part[lane].astype(float).tolist() for field, part in market.items()}

    def total(self) -> int:
        return sum(self.count.values())


def _chunks(
    rng: np.random.Generator, instances: int, most: tuple[int, int], alike: bool
) -> Iterator[tuple[Array, Array]]:
    """Values (B, n, m) and acquaintance of `instances` random markets, many shapes, ties frequent."""
    left = instances
    while left > 0:
        count = min(CHUNK, left)
        n, m = int(rng.integers(1, most[0] + 1)), int(rng.integers(1, most[1] + 1))
        top = int(rng.choice([2, 5, 10, 50]))
        values = rng.integers(0, top + 1, (count, n, m))
        if alike:
            values = np.repeat(values[:, :, :1], m, axis=2)
        yield values, rng.random((count, n, m)) < rng.choice([0.1, 0.3, 0.6])
        left -= count


def general(seed: int, progress: Progress, *, instances: int, correlated: int) -> Outcome:
    """General goods: prices against a second method, the welfare bound and what lies behind it in every equilibrium."""
    from walras.envs.platforms.clearing import clear, competitive_violations
    from walras.envs.platforms.profiles import acyclic, better_responses, choices, price_profiles, pure_equilibria

    rng = np.random.default_rng([seed, 1])
    found, done, pairs, none, cycles, programs = _Found(), 0, 0, 0, 0, 0
    worst = 0.0
    for values, known in _chunks(rng, instances, (6, 5), alike=False):
        games, _, m = values.shape
        x = choices(m)
        table = price_profiles(values, known)
        ideal = table.welfare[:, -1]
        market = {"values": values, "known": known}
        # One profile of each game, cleared by another program and held against the definition.
        at = rng.integers(0, 2**m, games)
        graph = known | (x[at][:, None, :] == 1)
        cleared = clear(values, graph)
        lane = np.arange(games)
        found.look("prices", (cleared.price_max != table.price[lane, at]).any(axis=1), **market)
        found.look("welfare", cleared.welfare != table.welfare[lane, at], **market)
        for price in (cleared.price_max, cleared.price_min):
            found.look("competitive", competitive_violations(values, graph, cleared.matching, price).found(), **market)
        for fee in FEES:
            keeps = THOUSAND - fee
            payoff = table.price * np.where(x == 1, keeps, THOUSAND)
            stable = pure_equilibria(payoff)
            exists = stable.any(axis=1)
            pairs += games
            none += int((~exists).sum())
            cycles += int((~acyclic(better_responses(payoff))).sum())
            if m <= 2:
                found.look("exists-for-two", ~exists, **market)
            game, k = np.nonzero(stable)
            welfare, best = table.welfare[game, k], ideal[game]
            sub = {"values": values[game], "known": known[game]}
            found.look("bound", keeps * best > (THOUSAND + keeps) * welfare, **sub)
            revenue = fee * (table.price[game, k] * x[k]).sum(axis=1)  # in thousandths
            found.look(
                "bound-buyers-sellers",
                keeps * best * THOUSAND > (THOUSAND + keeps) * (welfare * THOUSAND - revenue),
                **sub,
            )
            graph = known[game] | (x[k][:, None, :] == 1)
            cleared = clear(values[game], graph)
            buyers = cleared.welfare - cleared.price_min.sum(axis=1)
            found.look("certificate", payoff[game, k].sum(axis=1) < keeps * (best - buyers), **sub)
            some = welfare > 0
            if some.any():
                ratio = best[some] / welfare[some] / ((THOUSAND + keeps) / keeps)
                worst = max(worst, float(ratio.max()))
        if correlated and (done // CHUNK) % correlated == 0:
            programs += _correlated(values[0], known[0], found)
        done += games
        progress(done / instances, f"{done} markets, {found.total()} violations")
    return Outcome(
        {
            "instances": done, "violations": found.total(), "games": pairs, "without_equilibrium": none,
            "with_cycle": cycles, "programs": programs, "closest": worst,
        },
        arrays=found.examples,
    )  # fmt: skip


def _correlated(values: Array, known: Array, found: _Found) -> int:
    """The worst coarse correlated equilibria of one market at every fee, by linear programs (floats, 1e-7)."""
    from fractions import Fraction

    from walras.envs.platforms.equilibrium import Joining
    from walras.envs.platforms.market import Market

    game = Joining(Market(values, known))
    for fee in FEES:
        welfare = game.coarse_correlated(Fraction(fee, THOUSAND)).welfare
        keeps = 1 - fee / THOUSAND
        wrong = keeps * float(game.ideal) > (1 + keeps) * welfare + 1e-7 * max(float(values.max()), 1.0)
        found.look("bound-correlated", np.array([wrong]), values=values[None], known=known[None])
    return len(FEES)


def alike(seed: int, progress: Progress, *, instances: int, formulas: int) -> Outcome:
    """Homogeneous goods: existence, the algorithm, the structure of prices, the harmonic bound."""
    from walras.envs.platforms.equilibrium import homogeneous_price
    from walras.envs.platforms.followers import climb
    from walras.envs.platforms.profiles import (
        acyclic,
        better_responses,
        choices,
        price_profiles,
        pure_equilibria,
        supports,
        switched,
    )

    rng = np.random.default_rng([seed, 2])
    found, done, pairs, compared = _Found(), 0, 0, 0
    closest, largest = 0.0, 0.0
    for values, known in _chunks(rng, instances, (7, 5), alike=True):
        games, n, m = values.shape
        x = choices(m)
        table = price_profiles(values, known)
        market = {"values": values, "known": known}
        price = table.price
        on = np.where(x == 1, price, -1).max(axis=2)
        least_on = np.where(x == 1, price, 10**9).min(axis=2)
        off = np.where(x == 0, price, -1).max(axis=2)
        some = x.any(axis=1)
        found.look("one-price", (some & (on != least_on)).any(axis=1), **market)
        found.look("no-dearer-outside", (some & (off > on)).any(axis=1), **market)
        for j in range(m):
            grown = on[:, switched(m, j, 1)]
            found.look("price-falls", (some & (x[:, j] == 0) & (grown > on)).any(axis=1), **market)
        for fee in FEES:
            keeps = THOUSAND - fee
            payoff = price * np.where(x == 1, keeps, THOUSAND)
            stable = pure_equilibria(payoff)
            pairs += games
            found.look("exists", ~stable.any(axis=1), **market)
            found.look("acyclic", ~acyclic(better_responses(payoff)), **market)
            found.look("algorithm", ~stable[np.arange(games), climb(price, keeps, THOUSAND)], **market)
        # The best fee of an unregulated platform: ratios of integers, compared in floats with room for rounding.
        span = supports(price)
        income = (price * x).sum(axis=2)
        revenue = np.where(span.feasible, span.high / span.high_of * income, -1.0)
        best = revenue >= revenue.max(axis=1, keepdims=True) * (1 - 1e-12)
        welfare = np.where(best, table.welfare, -1).max(axis=1)
        ideal = table.welfare[:, -1]
        harmonic = float((1.0 / np.arange(1, min(n, m) + 1)).sum())
        earns = revenue.max(axis=1) > 0
        found.look("harmonic", earns & (ideal > harmonic * welfare * (1 + 1e-9)), **market)
        if earns.any():
            ratio = float((ideal[earns] / welfare[earns]).max())
            largest, closest = max(largest, ratio), max(closest, ratio / harmonic)
        for _ in range(formulas):
            lane, k = int(rng.integers(games)), int(rng.integers(1, 2**m))
            expected = homogeneous_price(values[lane, :, 0], known[lane], x[k])
            j = int(np.flatnonzero(x[k])[0])
            one = {"values": values[lane : lane + 1], "known": known[lane : lane + 1]}
            found.look("price-formula", np.array([price[lane, k, j] != expected]), **one)
            compared += 1
        done += games
        progress(done / instances, f"{done} markets, {found.total()} violations")
    return Outcome(
        {
            "instances": done, "violations": found.total(), "games": pairs, "formulas": compared,
            "largest_ratio": largest, "closest": closest,
        },
        arrays=found.examples,
    )  # fmt: skip


def several(seed: int, progress: Progress, *, instances: int) -> Outcome:
    """Two platforms that together reach everybody: the welfare bound at the larger fee, in every pure equilibrium."""
    from walras.envs.platforms.profiles import choices, price_options, pure_equilibria

    rng = np.random.default_rng([seed, 3])
    found, done, equilibria, closest = _Found(), 0, 0, 0.0
    for values, known in _chunks(rng, instances, (5, 4), alike=False):
        games, n, m = values.shape
        first, second = rng.random((games, n)) < 0.6, rng.random((games, n)) < 0.5
        reach = np.stack([np.zeros_like(first), first, second | ~first], axis=1)
        fees = np.array([0, *rng.choice(FEES, 2)])
        graph = known.transpose(0, 2, 1)[:, None] | reach[:, :, None, :]
        worth = np.broadcast_to(values.transpose(0, 2, 1)[:, None], graph.shape)
        table = price_options(np.where(graph, worth, -1), worth)
        payoff = table.price * (THOUSAND - fees)[choices(m, 3)]
        stable = pure_equilibria(payoff, 3)
        everybody = price_options(worth[:, :1].copy(), worth[:, :1].copy()).welfare[:, 0]
        game, k = np.nonzero(stable)
        keeps = THOUSAND - int(fees.max())
        welfare, best = table.welfare[game, k], everybody[game]
        sub = {"values": values[game], "known": known[game], "first": first[game]}
        found.look("bound-several", keeps * best > (THOUSAND + keeps) * welfare, **sub)
        equilibria += len(game)
        if (welfare > 0).any():
            ratio = best[welfare > 0] / welfare[welfare > 0]
            closest = max(closest, float(ratio.max()) * keeps / (THOUSAND + keeps))
        done += games
        progress(done / instances, f"{done} markets, {found.total()} violations")
    return Outcome(
        {"instances": done, "violations": found.total(), "equilibria": equilibria, "closest": closest},
        arrays=found.examples,
    )


def costly(seed: int, progress: Progress, *, instances: int) -> Outcome:
    """Production costs with the fee on the price: the derived bound (2 - a) / beta wherever beta is positive.

    Also counted: equilibria above (1 + beta) / beta, a bound that looks plausible and is wrong (the market `"costs"` in
    `envs/platforms/market.py` has one). Everything is scaled by 1000 less the fee in thousandths, so reserves
    c / (1 - a) are integers.
    """
    from walras.envs.platforms.profiles import choices, price_options, pure_equilibria

    rng = np.random.default_rng([seed, 4])
    found, done, equilibria, above, closest = _Found(), 0, 0, 0, 0.0
    for values, known in _chunks(rng, instances, (5, 4), alike=False):
        games, _, m = values.shape
        costs = rng.integers(0, values.max() // 2 + 1, (games, m))
        fee = int(rng.choice([100, 300, 500, 700]))
        keeps = THOUSAND - fee
        worth = (values - costs[:, None, :]).transpose(0, 2, 1)[:, None]
        on = (keeps * values - THOUSAND * costs[:, None, :]).transpose(0, 2, 1)[:, None]
        off = np.where(known.transpose(0, 2, 1)[:, None], keeps * worth, -1)
        surplus = np.concatenate([off, on], axis=1)
        table = price_options(surplus, np.broadcast_to(worth, surplus.shape))
        # Payoffs times 1000 keeps: a seller on the platform earns (1 - a) p, p scaled by keeps.
        payoff = table.price * np.where(choices(m) == 1, keeps, THOUSAND)
        stable = pure_equilibria(payoff)
        ideal = price_options(worth.copy(), worth.copy()).welfare[:, 0]
        pays = worth[:, 0] > 0
        beta = np.where(pays, on[:, 0] / THOUSAND / np.where(pays, worth[:, 0], 1), np.inf).min(axis=(1, 2))
        game, k = np.nonzero(stable & (beta > 0)[:, None] & np.isfinite(beta)[:, None])
        welfare, best = table.welfare[game, k], ideal[game]
        bound = (1 + keeps / THOUSAND) / beta[game]
        sub = {"values": values[game], "known": known[game], "costs": costs[game]}
        found.look("bound-costs", best > bound * welfare * (1 + 1e-9), **sub)
        above += int((best > (1 + beta[game]) / beta[game] * welfare * (1 + 1e-9)).sum())
        equilibria += len(game)
        if (welfare > 0).any():
            closest = max(closest, float((best[welfare > 0] / welfare[welfare > 0] / bound[welfare > 0]).max()))
        done += games
        progress(done / instances, f"{done} markets, {found.total()} violations")
    return Outcome(
        {
            "instances": done,
            "violations": found.total(),
            "equilibria": equilibria,
            "above": above,
            "closest": closest,
        },
        arrays=found.examples,
    )


def losses(
    seed: int, progress: Progress, *, instances: int, buyers: int, sellers: int, law: str, points: int
) -> Outcome:
    """Ideal welfare over that of equilibria, over the fee and over a cap on it, in random markets of one law.

    At each fee: mean of the best and of the worst pure equilibrium, and the largest ratio of all. Under each cap the
    platform takes the fee with the largest revenue (optimistic selection).
    """
    from walras.envs.platforms.market import draw_markets
    from walras.envs.platforms.profiles import choices, price_profiles, supports

    rng = np.random.default_rng([seed, 5])
    values, known = draw_markets(rng, instances, buyers, sellers, law, 0.3)
    table = price_profiles(values, known)
    span = supports(table.price)
    low, high = span.low / span.low_of, span.high / span.high_of
    ideal = table.welfare[:, -1]
    income = (table.price * choices(sellers)).sum(axis=2)
    fees = np.linspace(0, 0.98, points)
    rows: dict[str, list[float]] = {
        name: [] for name in ("best", "worst", "most", "none", "cap", "cap_most", "revenue")
    }
    for t, fee in enumerate(fees):
        stable = span.feasible & (low <= fee) & (fee <= high)
        some = stable.any(axis=1)
        top = np.where(stable, table.welfare, -np.inf).max(axis=1)[some]
        least = np.where(stable, table.welfare, np.inf).min(axis=1)[some]
        rows["best"].append(float((ideal[some] / top).mean()))
        rows["worst"].append(float((ideal[some] / least).mean()))
        rows["most"].append(float((ideal[some] / least).max()))
        rows["none"].append(float(1 - some.mean()))
        earned = np.where(span.feasible & (low <= fee), np.minimum(high, fee) * income, -1.0)
        best = earned.argmax(axis=1)
        ratio = ideal / table.welfare[np.arange(instances), best]
        rows["cap"].append(float(ratio.mean()))
        rows["cap_most"].append(float(ratio.max()))
        rows["revenue"].append(float(earned.max(axis=1).mean()))
        progress((t + 1) / points, f"fee {fee:.2f}")
    bound = (2 - fees) / (1 - fees)
    slack = float((bound - np.array(rows["most"])).min())
    return Outcome(
        {
            "instances": instances, "slack": slack, "ratio_half": float(np.interp(0.5, fees, rows["worst"])),
            "capped_half": float(np.interp(0.5, fees, rows["cap"])), "without_share": max(rows["none"]),
        },
        curves={
            "worst equilibrium": Curve(fees, rows["worst"], "fee", "ideal welfare / welfare"),
            "under a cap": Curve(fees, rows["cap"], "cap", "ideal welfare / welfare"),
        },
        arrays={"fees": fees.tolist(), "bound": bound.tolist(), **rows},
    )  # fmt: skip
