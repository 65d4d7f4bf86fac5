"""What is derived about platform matching, held against random integer markets, all of it exact.

The statements, by number (all derived, none is quoted from arXiv 2406.07385):

- S1: the best over all sets of introductions is reached by a matching that trades along all its pairs;
- S3: a platform seller's price by shortest paths among world pairs is the largest competitive price;
- S4: W0 <= W <= W* and Rev <= W at the revenue optimum;
- G1: Rev* >= DeltaW / H_K, and penalised matching's certificate of it;
- G2: W >= W* / (1 + H_K) at the revenue optimum;
- KEEP-WORLD: efficient, earns what the introduced buyers are worth, at least DeltaW;
- HOM_DEG1: the dynamic programme is optimal, and what it reads back earns its number;
- the program of `optimal_introductions` and the Lagrangian bound agree with listing.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from walras.algorithms.platforms.homogeneous_introductions import keep_world, one_seller_known
from walras.algorithms.platforms.introduction_bound import revenue_bound
from walras.algorithms.platforms.introduction_kernels import earn, knows
from walras.algorithms.platforms.optimal_introductions import optimal_introductions
from walras.algorithms.platforms.penalised import penalised_matching
from walras.envs.platforms.introductions import as_graph, best_introductions, harmonic, trade, world_and_ideal

if TYPE_CHECKING:
    from walras.benchmarks.suite import Progress
    from walras.envs.game import Array

_BLOCK = 5_000  # markets of one size drawn together


class Counts(NamedTuple):
    """Statements checked, statements found false, and the extremes met."""

    checks: int
    violations: int
    extremes: dict[str, float]


def check(rng: np.random.Generator, listed: int, solved: int, progress: Progress) -> Counts:
    """Draw markets and check.

    Args:
        rng: source of markets.
        listed: markets of up to 4 x 4 whose optimum is listed (S3, S4, G1, G2).
        solved: markets on which the algorithms run one by one (G1's certificate, KEEP-WORLD, HOM_DEG1); of these a
            tenth goes through all sets of introductions (S1, up to 3 x 3) and a fortieth to HiGHS.
        progress: told how far it is.
    """
    found = [_listed(rng, listed, progress), _algorithms(rng, solved, progress)]
    extremes = {
        "worst_guarantee": found[0].extremes["worst_guarantee"],
        "worst_welfare": found[0].extremes["worst_welfare"],
        "worst_penalised": found[1].extremes["worst_penalised"],
    }
    return Counts(sum(part.checks for part in found), sum(part.violations for part in found), extremes)


def markets(rng: np.random.Generator, count: int, n: int, m: int) -> tuple[Array, Array]:
    """Values 0..top, top itself drawn, a fifth of the markets homogeneous; world pairs of every density."""
    top = rng.integers(1, 25, (count, 1, 1))
    values = rng.integers(0, top + 1, (count, n, m))
    alike = rng.random(count) < 0.2
    values[alike] = values[alike][:, :, :1]
    return values, rng.random((count, n, m)) < rng.random((count, 1, 1))


def _listed(rng: np.random.Generator, count: int, progress: Progress) -> Counts:
    checks = wrong = done = 0
    guarantee, welfare = np.inf, 1.0
    while done < count:
        n, m = (int(k) for k in rng.integers(1, 5, 2))
        block = min(_BLOCK, count - done)
        v, e = markets(rng, block, n, m)
        best = best_introductions(v, e)
        at = trade(v, e, best.introduced)
        lowest, highest = world_and_ideal(v, e)
        gain, h = highest - lowest, harmonic(min(n, m))
        # Integers against harmonic numbers: denominators up to 12, so 1e-9 separates equal from unequal.
        statements = (
            at.revenue >= best.revenue,
            lowest <= at.welfare,
            at.welfare <= highest,
            at.revenue <= at.welfare,
            best.revenue * h >= gain - 1e-9,
            at.welfare * (1 + h) >= highest - 1e-9,
        )
        wrong += sum(int((~held).sum()) for held in statements)
        wrong += sum(not _paths(v[b], e[b], at.matching[b], at.price_max[b]) for b in range(0, block, 10))
        checks += len(statements) * block + -(-block // 10)
        some = gain > 0
        guarantee = min(guarantee, float((best.revenue[some] * h / gain[some]).min(initial=np.inf)))
        ratio = highest / np.maximum(at.welfare, 1)
        welfare = max(welfare, float(ratio[highest > 0].max(initial=1.0)))
        done += block
        progress(0.5 * done / count, f"{done} markets listed")
    return Counts(checks, int(wrong), {"worst_guarantee": guarantee, "worst_welfare": welfare})


def _paths(v: Array, e: Array, matching: Array, price_max: Array) -> bool:
    """S3: shortest paths in the world's pairs give the platform sellers' largest prices."""
    lists = knows(v.astype(np.float64), e)
    buyer = np.full(v.shape[1], -1)
    buyer[matching[matching >= 0]] = np.flatnonzero(matching >= 0)
    prices = np.empty(v.shape[1])
    revenue = earn(v.astype(np.float64), e, lists.of_buyer, lists.sellers, matching, buyer, prices, 0.0)
    return bool(revenue >= 0 and (prices == price_max).all())


def _algorithms(rng: np.random.Generator, count: int, progress: Progress) -> Counts:
    checks = wrong = 0
    share = 1.0
    for number in range(count):
        n, m = (int(k) for k in rng.integers(1, 6, 2))
        values, world = markets(rng, 1, n, m)
        v, e = values[0], world[0]
        lowest, highest = (int(end[0]) for end in world_and_ideal(v, e))
        found = penalised_matching(v, e)
        wrong += not found.proved()
        wrong += found.gain != highest - lowest
        wrong += found.revenue != trade(v, e, found.introduced).revenue[0]
        alike = np.repeat(v[:, :1], m, axis=1)
        kept = trade(alike, e, keep_world(alike, e))
        lowest, highest = (int(end[0]) for end in world_and_ideal(alike, e))
        worth = int(v[keep_world(alike, e).any(axis=1), 0].sum())
        wrong += kept.welfare[0] != highest
        wrong += kept.revenue[0] != worth
        wrong += worth < highest - lowest
        known = rng.integers(-1, m, n)
        chains = one_seller_known(v[:, 0], known, m)
        graph = as_graph(known, m)
        wrong += trade(alike, graph, chains.introduced).revenue[0] != chains.revenue
        checks += 7
        if max(n, m) <= 4:
            wrong += best_introductions(alike, graph).revenue[0] != chains.revenue
            optimum = int(best_introductions(v, e).revenue[0])
            wrong += found.revenue > optimum
            share = min(share, found.revenue / optimum if optimum else 1.0)
            checks += 2
            if number % 10 == 0:
                bound = revenue_bound(v, e, iterations=20).bound
                wrong += Fraction(bound).limit_denominator(10**6) < optimum
                checks += 1
                if max(n, m) <= 3:
                    wrong += _all_sets(v, e) != optimum
                    checks += 1
            if number % 40 == 0:
                solved = optimal_introductions(v, e, start=np.zeros_like(e))
                wrong += not optimum == solved.revenue == solved.bound
                checks += 1
        if number % 50 == 0:
            progress(0.5 + 0.5 * number / count, f"{number} markets solved")
    return Counts(checks, int(wrong), {"worst_penalised": share})


def _all_sets(v: Array, e: Array) -> int:
    """The largest revenue over all sets of introductions, matchings or not."""
    pairs = np.argwhere(~e)
    chosen = (np.arange(2 ** len(pairs))[:, None] >> np.arange(len(pairs))) & 1 == 1
    graphs = np.zeros((len(chosen), *v.shape), bool)
    graphs[:, pairs[:, 0], pairs[:, 1]] = chosen
    return int(trade(v, e, graphs).revenue.max())
