"""Platform matching: worked instances, what theory says on random markets, exact optima, heuristics, a learner.

Long because all cases of the setting stand beside the table of what they are held against.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Known, Metric, Outcome, Picture, Progress, Suite, Target
from walras.envs.platforms.matching_instances import ONE_KNOWN, WORKED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record
    from walras.envs.game import Array

_MODULE = "walras.benchmarks.suites.platform_matching"
_SHOWN = "inefficient-optimum"  # the instance of the picture
SMALL_METHODS = ("penalised", "greedy", "lagrangian", "search")
LAWS = ("uniform", "integer", "product", "homogeneous")


def draw(rng: np.random.Generator, buyers: int, sellers: int, law: str, known: int) -> tuple[Array, Array]:
    """A random market: values (n, m) and who knows whom, each buyer `known` sellers.

    Laws: `uniform` U[0, 1] for each pair; `integer` 1..20; `exponential`; `product`, a buyer's U[0, 1] taste times a
    good's U[0, 1] quality; `homogeneous`, a buyer's U[0, 1].
    """
    u = rng.random((buyers, sellers))
    laws: dict[str, Callable[[], Array]] = {
        "uniform": lambda: u,
        "integer": lambda: 1 + (20 * u).astype(np.int64),
        "exponential": lambda: -np.log1p(-u),
        "product": lambda: u[:, :1] * rng.random((1, sellers)),
        "homogeneous": lambda: np.repeat(u[:, :1], sellers, axis=1),
    }
    values = laws[law]()
    order = rng.random((buyers, sellers)).argsort(axis=1).argsort(axis=1)
    return values, order < known


def worked(seed: int, progress: Progress, *, instance: str) -> Outcome:
    """One worked instance by every method that applies."""
    from walras.algorithms.platforms.introduction_search import search_introductions
    from walras.algorithms.platforms.optimal_introductions import optimal_introductions
    from walras.algorithms.platforms.penalised import penalised_matching
    from walras.envs.platforms.introductions import LISTED, best_introductions, trade, world_and_ideal

    market = WORKED[instance].market
    v, e = market.values, market.known
    lowest, highest = world_and_ideal(v, e)
    solved, found = optimal_introductions(v, e), penalised_matching(v, e)
    metrics = {
        "revenue": solved.revenue,
        "bound": solved.bound,
        "world_welfare": float(lowest[0]),
        "ideal_welfare": float(highest[0]),
        "penalised": found.revenue,
        "search": search_introductions(v, e, moves=20_000, seed=seed).revenue,
        "guaranteed": float(found.proved()),
    }
    if max(v.shape) <= LISTED:
        metrics["listed"] = float(best_introductions(v, e).revenue[0])
    at = trade(v, e, solved.introduced)
    return Outcome(
        metrics,
        arrays={
            "values": v,
            "world": e,
            "introduced": solved.introduced,
            "matching": at.matching[0],
            "price": at.price_max[0],
        },
    )


def one_known(seed: int, progress: Progress) -> Outcome:
    """The worked instances in which every buyer knows one seller at most, by the dynamic programme and by HiGHS."""
    from walras.algorithms.platforms.homogeneous_introductions import one_seller_known
    from walras.algorithms.platforms.optimal_introductions import optimal_introductions
    from walras.envs.platforms.introductions import as_graph, trade, world_and_ideal

    wrong = 0
    for values, known, sellers, revenue, lowest, highest in ONE_KNOWN:
        v = np.repeat(np.array(values)[:, None], sellers, axis=1)
        e = as_graph(np.array(known), sellers)
        found = one_seller_known(values, known, sellers)
        welfare = world_and_ideal(v, e)
        wrong += found.revenue != revenue
        wrong += trade(v, e, found.introduced).revenue[0] != revenue
        wrong += optimal_introductions(v, e).revenue != revenue
        wrong += (int(welfare[0][0]), int(welfare[1][0])) != (lowest, highest)
    return Outcome({"instances": len(ONE_KNOWN), "violations": int(wrong)})


def pitfalls(seed: int, progress: Progress) -> Outcome:
    """Small markets in which a wrong reading of the model gives another number."""
    from walras.envs.platforms.introductions import trade

    v, e = np.array([[10, 10], [4, 4]]), np.zeros((2, 2), bool)
    pairs = np.array([[[1, 0], [0, 1]], [[1, 1], [0, 1]]], bool)
    more = trade(v, e, pairs).revenue
    ones, know = np.ones((2, 2), np.int64), np.eye(2, dtype=bool)
    tie = [float(trade(ones, know, ~know, ties=ties).revenue[0]) for ties in ("platform", "adversarial")]
    nine = np.array([[10] * 3, [9] * 3])
    first = np.array([[1, 0, 0], [1, 0, 0]], bool)
    spread = trade(nine, first, np.array([[0, 1, 0], [0, 0, 1]], bool)).revenue[0]
    kept = trade(nine, first, np.array([[0, 0, 0], [0, 0, 1]], bool)).revenue[0]
    return Outcome(
        {
            "two_pairs": float(more[0]),
            "three_pairs": float(more[1]),
            "kind_ties": tie[0],
            "cruel_ties": tie[1],
            "all_introduced": float(spread),
            "one_introduced": float(kept),
        }
    )


def guarantee(seed: int, progress: Progress, *, sizes: Sequence[int]) -> Outcome:
    """Revenue times H_K over DeltaW in the family that attains the guarantee, and in random markets."""
    from walras.algorithms.platforms.optimal_introductions import optimal_introductions
    from walras.algorithms.platforms.penalised import penalised_matching
    from walras.envs.platforms.introductions import harmonic
    from walras.envs.platforms.matching_instances import ladder

    ratios = []
    for done, k in enumerate(sizes):
        market = ladder(k, math.lcm(*range(1, k + 1)))
        solved = optimal_introductions(market.values, market.known)
        found = penalised_matching(market.values, market.known)
        assert solved.bound == solved.revenue and found.proved()
        ratios.append(found.gain / harmonic(k) / solved.revenue)
        progress((done + 1) / len(sizes), f"K = {k}")
    return Outcome({"smallest": min(ratios), "largest": max(ratios)}, arrays={"sizes": list(sizes), "ratios": ratios})


def properties(seed: int, progress: Progress, *, listed: int, solved: int) -> Outcome:
    """Derived statements on random integer markets, see `walras.benchmarks.suites.platform_properties`."""
    from walras.benchmarks.suites.platform_properties import check

    counts = check(np.random.default_rng(seed), listed, solved, progress)
    return Outcome({"instances": listed, "checks": counts.checks, "violations": counts.violations, **counts.extremes})


def optima(seed: int, progress: Progress, *, size: int, law: str, known: Sequence[int], seconds: float) -> Outcome:
    """Markets solved to proven optimality: processor time each, annealing and start included."""
    from walras.algorithms.platforms.introduction_search import search_introductions
    from walras.algorithms.platforms.optimal_introductions import optimal_introductions
    from walras.algorithms.platforms.penalised import penalised_matching

    rng = np.random.default_rng(seed)
    optimal_introductions(np.eye(2), np.eye(2, dtype=bool))  # compiles
    spent, proved, nodes, shares, annealed = [], [], [], [], []
    for done, count in enumerate(known):
        v, e = draw(rng, size, size, law, count)
        begun = time.process_time()
        found = optimal_introductions(v, e, seconds=seconds, seed=seed)
        spent.append(time.process_time() - begun)
        proved.append(found.proved())
        nodes.append(found.nodes)
        shares.append(_share(penalised_matching(v, e).revenue, found.bound))
        annealed.append(_share(search_introductions(v, e, seed=seed).revenue, found.bound))
        progress((done + 1) / len(known), f"{count} known sellers: {spent[-1]:.1f} s")
    return Outcome(
        {
            "proved": float(np.mean(proved)),
            "seconds_most": max(spent),
            "seconds_mean": float(np.mean(spent)),
            "nodes_most": max(nodes),
            "penalised_share": float(np.mean(shares)),
            "search_share": float(np.mean(annealed)),
        }
    )


def _share(revenue: float, bound: float) -> float:
    """The share of a bound; all of it where nothing can be earned."""
    return revenue / bound if bound > 0 else 1.0


def heuristics(seed: int, progress: Progress, *, size: int, law: str, known: int, markets: int, moves: int) -> Outcome:
    """Share of the optimum, found by listing, that each method earns in small markets."""
    from walras.algorithms.platforms.introduction_bound import revenue_bound
    from walras.algorithms.platforms.introduction_search import greedy_introductions, search_introductions
    from walras.algorithms.platforms.penalised import penalised_matching
    from walras.envs.platforms.introductions import best_introductions

    rng = np.random.default_rng(seed)
    drawn = [draw(rng, size, size, law, known) for _ in range(markets)]
    optimum = best_introductions(*(np.stack(part) for part in zip(*drawn, strict=True))).revenue
    earned: dict[str, list[float]] = {name: [] for name in (*SMALL_METHODS, "bound")}
    for done, (v, e) in enumerate(drawn):
        relaxed = revenue_bound(v, e, iterations=100)
        earned["penalised"].append(penalised_matching(v, e).revenue)
        earned["greedy"].append(greedy_introductions(v, e).revenue)
        earned["lagrangian"].append(relaxed.revenue)
        earned["bound"].append(relaxed.bound)
        found = search_introductions(v, e, moves=moves, runs=2, iterations=50, seed=seed)
        earned["search"].append(found.revenue)
        progress((done + 1) / markets, f"market {done + 1}")
    some = optimum > 0
    shares = {name: np.array(numbers)[some] / optimum[some] for name, numbers in earned.items()}
    worst = {f"{name}_worst": float(share.min()) for name, share in shares.items() if name != "bound"}
    return Outcome({**{name: float(share.mean()) for name, share in shares.items()}, **worst})


def large(
    seed: int,
    progress: Progress,
    *,
    buyers: int,
    sellers: int,
    law: str,
    known: int,
    iterations: int,
    moves: int,
    problems: int,
) -> Outcome:
    """A large market: the best heuristic beside the Lagrangian bound, which is computed anew from its multipliers."""
    from walras.algorithms.platforms.introduction_bound import bound_at, revenue_bound
    from walras.algorithms.platforms.introduction_search import anneal_introductions
    from walras.algorithms.platforms.penalised import penalised_matching
    from walras.envs.platforms.introductions import trade

    v, e = draw(np.random.default_rng(seed), buyers, sellers, law, known)
    begun = time.process_time()
    first = penalised_matching(v, e, problems=problems)
    relaxed = revenue_bound(
        v, e, iterations=iterations, revenue=first.revenue, progress=lambda done, text: progress(0.6 * done, text)
    )
    start = relaxed.introduced if relaxed.revenue > first.revenue else first.introduced
    found = anneal_introductions(v, e, start, moves=moves, temperature=0.05, seed=seed)
    progress(1.0, f"revenue {found.revenue:.6g} of at most {relaxed.bound:.6g}")
    bound = bound_at(v, e, relaxed.multipliers)
    earned = float(trade(v, e, found.introduced).revenue[0])
    return Outcome(
        {
            "bound": bound,
            "revenue": earned,
            "bound_share": earned / bound,
            "penalised_share": first.revenue / bound,
            "lagrangian_share": relaxed.revenue / bound,
            "above_penalised": earned / first.revenue - 1.0,
            "seconds_mean": time.process_time() - begun,
        },
        arrays={"history": relaxed.history[:400]},
    )


def learner(seed: int, progress: Progress, *, instance: str, steps: int) -> Outcome:
    """PPO in the designer's seat of a worked instance."""
    from dataclasses import replace

    from walras.algorithms.ppo import PPOSettings, train_ppo
    from walras.envs.platforms.matching import PlatformMatching
    from walras.envs.play import play

    game = PlatformMatching(market=instance)
    trained = train_ppo(game, "designer", replace(PPOSettings(), steps=steps), seed=seed, progress=progress)
    earned = float(play(game, {"designer": trained.policy}, batch=64, seed=seed).returns.mean())
    return Outcome({"revenue": earned, "share": earned / WORKED[instance].revenue, "cpu_seconds": trained.cpu_seconds})


# -- pictures ----------------------------------------------------------------------------------------------------------


def draw_market(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Buyers left, with the value of their trade, sellers right with prices: who knows whom, is introduced, trades."""
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    for panel, (case, records) in zip(panels, results.items(), strict=True):
        arrays = {name: np.array(value) for name, value in records[0].arrays.items()}
        n, m = arrays["values"].shape
        left, right = np.linspace(1, 0, n), np.linspace(1, 0, m)
        for i in range(n):
            for j in range(m):
                world, new = bool(arrays["world"][i, j]), bool(arrays["introduced"][i, j])
                if not (world or new):
                    continue
                trades = arrays["matching"][i] == j
                panel.plot(
                    [0, 1], [left[i], right[j]], color="C1" if new else "#7f7f7f", zorder=1,
                    linewidth=2.6 if trades else 0.9, linestyle="-" if trades else ":",
                )  # fmt: skip
        panel.scatter(np.zeros(n), left, s=90, color="C0", zorder=2)
        panel.scatter(np.ones(m), right, s=90, color="C2", zorder=2)
        for i in range(n):
            j = int(arrays["matching"][i])
            worth = f": value {arrays['values'][i, j]:g}" if j >= 0 else ""
            panel.text(-0.09, left[i], f"buyer {i}{worth}", ha="right", va="center")
        for j in range(m):
            panel.text(1.09, right[j], f"seller {j}: price {arrays['price'][j]:g}", va="center")
        panel.set_xlim(-0.9, 1.9)
        panel.set_ylim(-0.1, 1.15)
        panel.set_title(f"{case.removeprefix('worked-')}: revenue {records[0].metrics['revenue']:g}")
        panel.axis("off")


def draw_quality(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Mean share of the optimum (bars) and the worst market (dots), by method and law of values."""
    panel = figure.subplots()
    width = 0.8 / len(SMALL_METHODS)
    for k, name in enumerate(SMALL_METHODS):
        places = np.arange(len(results)) + (k - (len(SMALL_METHODS) - 1) / 2) * width
        mean = [np.mean([record.metrics[name] for record in records]) for records in results.values()]
        worst = [min(record.metrics[f"{name}_worst"] for record in records) for records in results.values()]
        panel.bar(places, mean, 0.9 * width, color=f"C{k}", label=name)
        panel.plot(places, worst, ".", color="black", markersize=4)
    panel.set_xticks(np.arange(len(results)), [case.removeprefix("heuristics-") for case in results])
    panel.set_ylabel("share of the optimum")
    panel.set_ylim(0, 1.02)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside upper center", ncols=len(SMALL_METHODS))


# -- the suite ---------------------------------------------------------------------------------------------------------

_PAPER = "arXiv 2406.07385"
_LISTED = f"{_PAPER} (model); all introductions listed"
_GUARANTEE = f"{_PAPER}, abstract (order); the constant H_K is derived"
_LARGE: dict[str, Any] = {
    "buyers": 1000, "sellers": 1000, "known": 3, "iterations": 100, "moves": 600_000, "problems": 16
}  # fmt: skip
_LARGE_LAWS = ("uniform", "exponential", "product", "homogeneous")
_PITFALLS = {
    "two_pairs": 14.0, "three_pairs": 8.0, "kind_ties": 2.0, "cruel_ties": 0.0, "all_introduced": 0.0,
    "one_introduced": 9.0,
}  # fmt: skip


def _case(name: str, run: str, params: dict[str, Any], description: str, **kwargs: Any) -> Case:
    return Case(name, f"{_MODULE}:{run}", params, description=description, **kwargs)


def _worked_known() -> tuple[Known, ...]:
    rows = []
    for name, known in WORKED.items():
        numbers = {
            "revenue": known.revenue, "bound": known.revenue, "search": known.revenue, "guaranteed": 1,
            "world_welfare": known.world_welfare, "ideal_welfare": known.ideal_welfare,
        }  # fmt: skip
        if known.penalised is not None:
            numbers["penalised"] = known.penalised
        if max(known.market.values.shape) <= 5:
            numbers["listed"] = known.revenue
        for metric, number in numbers.items():
            rows.append(Known(f"worked-{name}", metric, float(number), _LISTED, "identity", 0.0))
    return tuple(rows)


SUITE = Suite(
    name="platform-matching",
    title="Platform matching",
    status="verified",
    description=(
        "Which buyers and sellers should a platform introduce? The paper has theorems and no experiments: instances, "
        "algorithms and studies are ours, statements are derived and supported by the counts shown. Optima are proved "
        "by listing or by HiGHS, large markets are held against a Lagrangian bound."
    ),
    cases=(
        *(_case(f"worked-{name}", "worked", {"instance": name}, f"{w.says}.") for name, w in WORKED.items()),
        _case("worked-one-known", "one_known", {}, "Nine homogeneous markets, each buyer knows one seller at most."),
        _case("pitfalls", "pitfalls", {}, "More introductions can hurt; ties matter; an unsold seller ruins prices."),
        _case(
            "guarantee-attained", "guarantee", {"sizes": [2, 3, 4, 5, 6]},
            "DeltaW / (H_K Rev*) in the family that attains the guarantee, K = 2..6.",
        ),
        _case(
            "properties", "properties", {"listed": 20_000, "solved": 3_000},
            "Derived statements on 20,000 random integer markets, up to 4 x 4.",
        ),
        _case(
            "properties-million", "properties", {"listed": 1_000_000, "solved": 100_000},
            "The same on 1,000,000 markets.", cost="minutes",
        ),
        *(
            _case(
                f"heuristics-{law}", "heuristics",
                {"size": 5, "law": law, "known": 2, "markets": 60, "moves": 5_000},
                "60 markets of 5 x 5, each buyer knows two sellers: shares of the listed optimum.", seeds=3,
            )
            for law in LAWS
        ),
        *(
            _case(
                f"optimum-{size}-{law}", "optima",
                {"size": size, "law": law, "known": [1, 2, 3], "seconds": 120.0},
                f"{size} x {size}, one market each with one, two and three known sellers: proven optimum.",
                seeds=3, cost="seconds" if size == 15 else "minutes",
            )
            for size in (15, 25)
            for law in ("uniform", "integer")
        ),
        _case(
            "optimum-15-dense", "optima", {"size": 15, "law": "uniform", "known": [5, 8], "seconds": 120.0},
            "15 x 15, five and eight known sellers.", seeds=2, cost="minutes",
        ),
        _case(
            "optimum-15-product", "optima", {"size": 15, "law": "product", "known": [2, 3], "seconds": 60.0},
            "15 x 15, taste times quality: the hardest law we know.", seeds=2, cost="minutes",
        ),
        _case(
            "optimum-15-homogeneous", "optima", {"size": 15, "law": "homogeneous", "known": [2], "seconds": 60.0},
            "15 x 15, homogeneous goods, two known sellers: the case that the paper shows to be hard.", seeds=2,
            cost="minutes",
        ),
        *(
            _case(
                f"large-{law}", "large", {**_LARGE, "law": law},
                "1,000 x 1,000, three known sellers: best heuristic beside the bound.", cost="minutes",
                seeds=2 if law in ("uniform", "exponential") else 1,
            )
            for law in _LARGE_LAWS
        ),
        _case(
            "large-scarce", "large", {**_LARGE, "sellers": 700, "law": "uniform"},
            "1,000 buyers for 700 goods, uniform values.", cost="minutes",
        ),
        _case(
            "ppo-designer", "learner", {"instance": "beyond-the-guarantee", "steps": 61_440},
            "PPO introduces in the market where penalised matching earns 10 of 41.", seeds=2,
            requires=("torch", "stable_baselines3"),
        ),
    ),
    metrics=(
        Metric("revenue", better="higher", description="What the introductions earn."),
        Metric("bound", better="none", description="No introductions earn more (heuristics: over the optimum)."),
        Metric("listed", description="Largest revenue over all introductions, by listing."),
        Metric("world_welfare", description="W0, welfare without introductions."),
        Metric("ideal_welfare", description="W*, welfare of the complete graph."),
        Metric("penalised", better="higher", description="Revenue of penalised matching (heuristics: its share)."),
        Metric("greedy", better="higher", description="Share of the optimum by greedy addition."),
        Metric("lagrangian", better="higher", description="Share by the matchings met by the Lagrangian bound."),
        Metric("search", better="higher", description="Revenue of annealing (heuristics: its share)."),
        *(Metric(f"{name}_worst", better="higher", description="Share in the worst market.") for name in SMALL_METHODS),
        Metric("guaranteed", description="1: penalised matching's certificate of DeltaW / H_K holds."),
        Metric("instances", description="Markets drawn."),
        Metric("checks", description="Statements checked, over all markets."),
        Metric("violations", better="lower", description="Statements found false."),
        Metric("worst_guarantee", better="higher", description="Smallest Rev* H_K / DeltaW."),
        Metric("worst_welfare", better="lower", description="Largest W* / W at the revenue optimum."),
        Metric("worst_penalised", better="higher", description="Smallest share of Rev* by penalised matching."),
        Metric("smallest", description="Smallest DeltaW / (H_K Rev*) of the family."),
        Metric("largest", description="Largest."),
        *(Metric(name, description="Revenue of the introductions.") for name in _PITFALLS),
        Metric("proved", better="higher", description="Share of markets whose optimum is proved."),
        Metric("seconds_most", "s", "lower", "timing", "Processor time of the slowest market."),
        Metric("seconds_mean", "s", "lower", "timing", "Processor time of a market."),
        Metric("nodes_most", better="lower", description="Branch-and-bound nodes of the hardest market."),
        Metric("penalised_share", better="higher", description="Penalised matching over the bound."),
        Metric("search_share", better="higher", description="Annealing over the bound."),
        Metric("lagrangian_share", better="higher", description="Matchings met by the bound, over the bound."),
        Metric("bound_share", better="higher", description="The best heuristic over the bound."),
        Metric("above_penalised", better="higher", description="Its gain over penalised matching, in relative terms."),
        Metric("share", better="higher", description="Share of the optimum."),
        Metric("cpu_seconds", "s", "lower", "timing", "Processor time of the training."),
    ),
    known=(
        *_worked_known(),
        Known("worked-one-known", "violations", 0.0, "derived, and by HiGHS", "identity", 0.0),
        *(Known("pitfalls", name, number, "by hand", "identity", 0.0) for name, number in _PITFALLS.items()),
        Known("guarantee-attained", "smallest", 1.0, _GUARANTEE, "identity", 1e-12),
        Known("guarantee-attained", "largest", 1.0, _GUARANTEE, "identity", 1e-12),
        Known("properties", "violations", 0.0, f"{_PAPER}; derived statements", "identity", 0.0),
        Known("properties-million", "violations", 0.0, f"{_PAPER}; derived statements", "identity", 0.0),
        Known("ppo-designer", "revenue", 41.0, _LISTED, "bound", 1e-9),
    ),
    targets=(
        Target("properties", "instances", at_least=20_000, text="derived statements: at least 20,000 random markets"),
        Target("properties", "violations", at_most=0, text="derived statements: no violation"),
        Target("properties-million", "instances", at_least=1e6, text="derived statements: 10^6 in the bench"),
        *(
            target
            for size, words in ((15, "each within 20 s"), (25, "each within 20 s (aim)"))
            for law in ("uniform", "integer")
            for target in (
                Target(f"optimum-{size}-{law}", "proved", at_least=1.0, text=f"n = m = {size}, {law}: optimum proved"),
                Target(f"optimum-{size}-{law}", "seconds_most", at_most=20.0, text=f"n = m = {size}, {law}: {words}"),
            )
        ),
        *(
            Target(f"large-{law}", "bound_share", at_least=0.95, text=f"n = m = 1000, {law}: within 5 % (aim)")
            for law in _LARGE_LAWS
        ),
        *(
            Target(f"large-{law}", "above_penalised", at_least=1e-9, text=f"n = m = 1000, {law}: above penalised")
            for law in _LARGE_LAWS
        ),
        *(
            Target(f"heuristics-{law}", "search", at_least=0.99, text=f"5 x 5, {law}: search within 1 % of the optimum")
            for law in LAWS
        ),
        Target("ppo-designer", "share", at_least=0.95, text="PPO earns at least 95 % of the optimum"),
    ),
    pictures=(
        Picture(
            "market", "World pairs (grey), introductions (orange), trades (thick), with values and prices",
            f"{_MODULE}:draw_market", (f"worked-{_SHOWN}", "worked-beyond-the-guarantee"), (7.4, 3.2),
        ),
        Picture(
            "quality", "Share of the optimum by method: means as bars, the worst market as dots",
            f"{_MODULE}:draw_quality", tuple(f"heuristics-{law}" for law in LAWS), (6.6, 3.2),
        ),
    ),
)  # fmt: skip
