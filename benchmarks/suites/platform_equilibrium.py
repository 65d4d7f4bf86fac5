"""Platform equilibria: worked instances, families that attain the bounds, random markets by the thousand, learners.

The studies of random markets are in `platform_studies`, the learners in `platform_learning`, the pictures in
`platform_pictures`; this file has the worked instances, the families and the suite. It is long because every worked
instance is a row with its own numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Curve, Known, Metric, Outcome, Picture, Progress, Suite, Target

if TYPE_CHECKING:
    pass

_MODULE = "walras.benchmarks.suites.platform_equilibrium"
_LEARNING = "walras.benchmarks.suites.platform_learning"
_PICTURES = "walras.benchmarks.suites.platform_pictures"
_STUDIES = "walras.benchmarks.suites.platform_studies"


# -- worked instances --------------------------------------------------------------------------------------------------


def cleared_market(seed: int, progress: Progress, *, instance: str) -> Outcome:
    """One worked market: welfare, both price vectors, ideal welfare."""
    from walras.envs.platforms.clearing import clear, competitive_violations
    from walras.envs.platforms.market import INSTANCES

    market = INSTANCES[instance]()
    result = clear(market.values, market.known)
    ideal = clear(market.values, np.ones_like(market.known)).welfare[0]
    gaps = [competitive_violations(market.values, market.known, result.matching, p) for p in result[2:]]
    metrics = {"welfare": result.welfare[0], "ideal_welfare": ideal, "violations": sum(int(g.found()[0]) for g in gaps)}
    for name, price in (("price_max", result.price_max[0]), ("price_min", result.price_min[0])):
        metrics |= {f"{name}_{j}": price[j] for j in range(len(price))}
    best = np.where(market.known, market.values - result.price_min[0], 0).max(axis=1)
    metrics["buyers"] = best.sum()
    return Outcome({name: float(value) for name, value in metrics.items()})


def joining(seed: int, progress: Progress, *, instance: str, fee: str) -> Outcome:
    """One worked market at one fee (a fraction): pure equilibria, welfare, revenue, correlated ones, certificates."""
    from walras.envs.platforms.equilibrium import Joining

    game, share = Joining.of(instance), Fraction(fee)
    pure = game.pure(share)
    metrics: dict[str, Any] = {"ideal_welfare": game.ideal, "equilibria": len(pure)}
    if len(pure):
        worst = game.select(share, "worst")
        best = game.select(share, "best")
        assert worst is not None and best is not None
        metrics |= {
            "welfare": worst.welfare, "welfare_best": best.welfare, "revenue": float(worst.revenue),
            "ratio": game.ratio(int(pure[game.welfare[pure].argmin()])),
            "slack": game.certificate(share, pure).min(), "joined": len(worst.joined),
        }  # fmt: skip
    metrics["correlated_worst"] = round(game.coarse_correlated(share, "worst").welfare, 9)
    metrics["correlated_best"] = round(game.coarse_correlated(share, "best").welfare, 9)
    return Outcome({name: float(value) for name, value in metrics.items()})


def unregulated(seed: int, progress: Progress, *, instance: str, sellers: int | None = None) -> Outcome:
    """One worked market over all fees: teeth of revenue, breakpoints, the platform's optimum and what it costs."""
    from walras.envs.platforms.equilibrium import Joining
    from walras.envs.platforms.market import harmonic

    game = Joining.of(instance) if sellers is None else Joining(harmonic(sellers))
    best = game.optimistic()
    tops: dict[int, float] = {}
    for k in range(1, len(game.price)):
        span = game.interval(k)
        if span is not None and span[0] < span[1]:
            tops[k] = float(span[1] * int(game.price[k] @ game.choices[k]))
    teeth = sorted(tops.values(), reverse=True)
    fees = np.linspace(0, 1, 1001)
    points = [game.select(Fraction(int(k), 1000), "optimistic") for k in range(1001)]
    sweep = game.sweep()
    metrics = {
        "fee": float(best.fee), "revenue": float(best.revenue), "welfare": best.welfare, "ideal_welfare": game.ideal,
        "ratio": float(game.ideal) / best.welfare, "joined": len(best.joined), "teeth": len(teeth),
        "empty": float(sum(s.high - s.low for s in sweep if not s.equilibria)),
        **{f"tooth_{k}": tooth for k, tooth in enumerate(teeth[:3])},
    }  # fmt: skip
    revenue = [float(s.revenue) if s is not None else 0.0 for s in points]
    welfare = [float(s.welfare) if s is not None else float("nan") for s in points]
    return Outcome(
        {name: float(value) for name, value in metrics.items()},
        curves={"revenue": Curve(fees, revenue, "fee", "revenue")},
        arrays={
            "fees": fees.tolist(), "revenue": revenue,
            "welfare": [w if w == w else None for w in welfare], "ideal": float(game.ideal),
        },
    )  # fmt: skip


def outsider(seed: int, progress: Progress) -> Outcome:
    """Joining can raise the price of a seller who stays off: her price without and with the other on the platform."""
    from walras.envs.platforms.equilibrium import Joining

    price = Joining.of("outsider").price
    return Outcome({"before": float(price[0b00, 1]), "after": float(price[0b10, 1])})


def costs(seed: int, progress: Progress, *, fee: str) -> Outcome:
    """A market with production costs whose worst equilibrium is above (1 + beta) / beta, in fractions throughout."""
    from walras.envs.platforms.market import INSTANCES
    from walras.envs.platforms.profiles import price_options, pure_equilibria

    market, share = INSTANCES["costs"](), Fraction(fee)
    assert market.costs is not None
    keeps, whole = share.denominator - share.numerator, share.denominator
    worth = (market.values - market.costs).T
    off = np.where(market.known.T, keeps * worth, -1)
    on = (keeps * market.values - whole * market.costs).T  # scaled, so that reserves c / (1 - a) are integers
    table = price_options(np.stack([off, on])[None], np.stack([worth, worth])[None])
    earns = table.price * np.where(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) == 1, keeps, whole)
    stable = np.flatnonzero(pure_equilibria(earns)[0])
    ideal = int(price_options(worth[None, None], worth[None, None]).welfare[0, 0])
    beta = min(
        ((1 - share) * int(v) - int(c)) / (int(v) - int(c))
        for row in market.values
        for v, c in zip(row, market.costs, strict=True)
        if v > c
    )
    welfare = int(table.welfare[0, stable].min())
    return Outcome(
        {
            "equilibria": len(stable), "welfare": welfare, "ideal_welfare": ideal, "ratio": ideal / welfare,
            "plausible": float((1 + beta) / beta), "bound": float((2 - share) / beta),
        }
    )  # fmt: skip


def turns(seed: int, progress: Progress, *, instance: str, grid: int, regulator: bool) -> Outcome:
    """The marketplace in turns, sellers one after the other, solved by backward induction on its tree."""
    from walras.envs.platforms.marketplace import FiniteMarketplace

    game = FiniteMarketplace(instance, regulator=regulator, sequential=True, grid=grid)
    levels = [grid] * (int(regulator) + 1) + [2] * game.sellers
    plays = np.stack(np.unravel_index(np.arange(int(np.prod(levels))), levels), axis=1)
    state, first = game.root(len(plays)), int(regulator)
    rewards = np.zeros((len(plays), game.n_agents))
    for turn in range(game.turns):
        actions = {"platform": plays[:, first : first + 1], "seller": plays[:, first + 1 :]}
        if regulator:
            actions["regulator"] = plays[:, :1]
        state, paid = game.apply(state, actions)
        rewards += paid
        progress((turn + 1) / game.turns, f"turn {turn + 1}")
    outcome = np.column_stack([rewards, game.settlement(state).welfare, state.fee, state.cap])
    for turn in reversed(range(len(levels))):  # whoever moves takes the best branch, the last of equals (joining)
        branches = outcome.reshape(-1, levels[turn], outcome.shape[1])[:, ::-1]
        pick = branches[:, :, turn].round(9).argmax(axis=1)
        outcome = branches[np.arange(len(branches)), pick]
    welfare, fee, cap = outcome[0, -3:]
    return Outcome(
        {"revenue": float(outcome[0, first]), "welfare": float(welfare), "fee": float(fee), "cap": float(cap)}
    )


# -- families that attain the bounds -----------------------------------------------------------------------------------


def tight_family(seed: int, progress: Progress, *, fees: Sequence[str]) -> Outcome:
    """Two buyers, two sellers: the worst equilibrium at each fee against the bound (2 - a) / (1 - a), exactly."""
    from walras.envs.platforms.equilibrium import Joining
    from walras.envs.platforms.market import tight

    off = 0.0
    for fee in fees:
        share = Fraction(fee)
        game = Joining(tight(share))
        worst = game.select(share, "worst")
        assert worst is not None
        ratio = Fraction(int(game.ideal), int(worst.welfare))
        off = max(off, float(abs(ratio - (2 - share) / (1 - share))))
    return Outcome({"distance": off})


def harmonic_family(seed: int, progress: Progress, *, most: int, fine: int) -> Outcome:
    """An unregulated platform and K sellers: the loss against 1 + 1/2 + ... + 1/K."""
    from walras.envs.platforms.equilibrium import Joining
    from walras.envs.platforms.market import harmonic

    ks = list(range(1, most + 1))
    ratios = []
    for k in ks:
        game = Joining(harmonic(k, fine))
        ratios.append(float(game.ideal) / game.optimistic().welfare)
        progress(k / most, f"{k} sellers")
    bounds = np.cumsum(1.0 / np.array(ks))
    shares = np.array(ratios) / bounds
    return Outcome(
        {"share": float(shares.min()), "excess": float(max(0.0, (np.array(ratios) - bounds).max()))},
        curves={"ratio": Curve(ks, ratios, "sellers", "ideal welfare / welfare")},
        arrays={"k": ks, "ratio": ratios, "bound": bounds.tolist()},
    )


def additive_family(seed: int, progress: Progress, *, items: int) -> Outcome:
    """Additive buyers: the equal-revenue family against e / (e - 1)."""
    from walras.envs.platforms.additive import equal_revenue, optimal_fee

    found = optimal_fee(*equal_revenue(items))
    return Outcome({"ratio": found.ideal / found.welfare, "revenue": found.revenue, "fee": found.fee})


def additive_random(seed: int, progress: Progress, *, instances: int) -> Outcome:
    """Additive buyers, random markets: the best fee by trying all thresholds, and both welfare bounds."""
    from walras.envs.platforms.additive import LOSS_BOUND, additive_equilibrium, optimal_fee, reach_values
    from walras.envs.platforms.market import Market

    rng = np.random.default_rng([seed, 6])
    wrong, largest = 0, 0.0
    for t in range(instances):
        n, m = rng.integers(1, 6, 2)
        market = Market(rng.integers(1, 12, (n, m)), rng.random((n, m)) < rng.choice([0.1, 0.4]))
        high, off = reach_values(market)
        best = optimal_fee(high, off)
        ratio = best.ideal / best.welfare
        largest = max(largest, ratio)
        wrong += ratio > LOSS_BOUND + 1e-9
        for fee in np.unique(1 - off / high):
            joins = 1 - off / high >= fee
            wrong += fee * high[joins].sum() > best.revenue + 1e-9
            here = float(np.where(additive_equilibrium(market, float(fee)), high, off).sum())
            wrong += fee < 1 and (1 - fee) * high.sum() > here + 1e-9
        if t % 500 == 0:
            progress(t / instances, f"{t} markets")
    return Outcome({"instances": instances, "violations": int(wrong), "largest_ratio": largest})


# -- large games -------------------------------------------------------------------------------------------------------


def large(seed: int, progress: Progress, *, sellers: int, buyers: int, fee: str, alike: bool) -> Outcome:
    """Every profile of a game with many sellers, hence all its pure equilibria, or the proof that there is none."""
    import time

    from walras.envs.platforms.clearing import clear
    from walras.envs.platforms.equilibrium import homogeneous_equilibrium
    from walras.envs.platforms.market import Market
    from walras.envs.platforms.profiles import choices, number_of, price_profiles, pure_equilibria

    rng = np.random.default_rng([seed, 7])
    share = Fraction(fee)
    values = rng.integers(1, 1000, (buyers, 1 if alike else sellers)) * np.ones((1, sellers), np.int64)
    known = rng.random((buyers, sellers)) < 0.2
    price_profiles(values[:2, :2], known[:2, :2])  # compiles
    start = time.process_time()
    table = price_profiles(values, known)
    progress(0.5, f"{table.price.shape[1]} profiles priced")
    x = choices(sellers)
    payoff = table.price * np.where(x == 1, share.denominator - share.numerator, share.denominator)
    stable = np.flatnonzero(pure_equilibria(payoff)[0])
    spent = time.process_time() - start
    # Independently: the first equilibrium's market is cleared again, and every single switch is tried.
    wrong = 0
    for k in stable[:20]:
        trials = np.concatenate([x[k][None], x[k] ^ np.eye(sellers, dtype=np.int64)])
        prices = clear(values, known | (trials[:, None, :] == 1)).price_max
        keeps, whole = share.denominator - share.numerator, share.denominator
        own = prices[0] * np.where(x[k] == 1, keeps, whole)
        other = prices[1 + np.arange(sellers), np.arange(sellers)] * np.where(x[k] == 1, whole, keeps)
        wrong += int((other > own).any())
    if alike:
        wrong += int(number_of(homogeneous_equilibrium(Market(values, known), share)) not in stable)
    return Outcome({"equilibria": len(stable), "violations": wrong, "profiles": payoff.shape[1], "cpu_seconds": spent})


# -- the suite ---------------------------------------------------------------------------------------------------------

_BRUTE = "worked instance, computed by brute force over all profiles"
_PAPER = "arXiv 2309.08781, welfare under a fee cap: OPT / W <= (2 - a) / (1 - a)"
_TIGHT = "arXiv 2309.08781 states that the bound is tight; this instance is derived here"
_HARMONIC = "derived here: 1 + 1/2 + ... + 1/K, supported numerically only (the paper: order of log K)"
_ADDITIVE = "derived here: e / (e - 1) for additive buyers"
_CORRELATED = "the only coarse correlated equilibrium, by linear programming"
_LEARNT = "unique pure equilibrium at this fee, by brute force"

_CLEARED: dict[str, tuple[str, dict[str, float]]] = {
    "v1": ("general", {
        "welfare": 19, "ideal_welfare": 20, "price_max_0": 8, "price_max_1": 5, "price_max_2": 5,
        "price_min_0": 7, "price_min_1": 2, "price_min_2": 4, "buyers": 6, "violations": 0,
    }),
    "v2a": ("chain", {
        "welfare": 24, "ideal_welfare": 25, "price_max_0": 10, "price_max_1": 7, "price_max_2": 5, "price_max_3": 2,
        "price_min_0": 3, "price_min_1": 3, "price_min_2": 3, "price_min_3": 0, "buyers": 15, "violations": 0,
    }),
    "v2b": ("forest", {
        "welfare": 22, "ideal_welfare": 25, "price_max_0": 5, "price_max_1": 5, "price_max_2": 5, "price_max_3": 0,
        "price_min_0": 3, "price_min_1": 3, "price_min_2": 3, "price_min_3": 0, "violations": 0,
    }),
}  # fmt: skip

_JOINING: dict[str, tuple[str, str, dict[str, float]]] = {
    "v3": ("tight", "1/2", {"equilibria": 2, "welfare": 2, "welfare_best": 6, "ideal_welfare": 6, "ratio": 3}),
    "v3-below": ("tight", "49/100", {"equilibria": 1, "welfare": 6, "ideal_welfare": 6}),
    "v4": ("no-pure-equilibrium", "9/10", {
        "equilibria": 0, "ideal_welfare": 20, "correlated_worst": 15.25, "correlated_best": 15.25,
    }),
    "v6-90": ("harmonic", "9/10", {"equilibria": 1, "welfare": 11000, "revenue": 5400, "joined": 3}),
    "v6-99": ("harmonic", "99/100", {"equilibria": 1, "welfare": 9054, "revenue": 5940, "joined": 2}),
    "v6-9985": ("harmonic", "1997/2000", {"equilibria": 1, "welfare": 6078, "revenue": 5991, "joined": 1}),
    "v7-30": ("sawtooth", "3/10", {"equilibria": 1, "welfare": 37, "revenue": 8.1, "joined": 3, "ideal_welfare": 37}),
    "v7-60": ("sawtooth", "6/10", {"equilibria": 1, "welfare": 32, "revenue": 12, "joined": 2}),
    "v7-80": ("sawtooth", "8/10", {"equilibria": 1, "welfare": 25, "revenue": 9.6, "joined": 1}),
    "v7-95": ("sawtooth", "95/100", {"equilibria": 1, "welfare": 14, "revenue": 0, "joined": 0}),
    "v8-50": ("general-sweep", "1/2", {"equilibria": 1, "welfare": 21, "revenue": 6.5, "joined": 2}),
    "v8-58": ("general-sweep", "58/100", {"equilibria": 1, "welfare": 17, "revenue": 2.9, "joined": 1}),
    "v8-70": ("general-sweep", "7/10", {"equilibria": 1, "welfare": 14, "revenue": 0, "joined": 0}),
    "v9-53": ("two-equilibria", "53/100", {"equilibria": 2, "welfare": 29, "welfare_best": 31, "ideal_welfare": 31}),
    "v9-40": ("two-equilibria", "4/10", {"equilibria": 1, "welfare": 31, "joined": 1}),
    "v9-80": ("two-equilibria", "8/10", {"equilibria": 1, "welfare": 24, "joined": 0}),
}  # fmt: skip

_FEES: dict[str, tuple[dict[str, Any], dict[str, tuple[float, float]]]] = {
    "v4-fees": ({"instance": "no-pure-equilibrium"}, {
        "empty": (1 / 6, 1e-12), "fee": (5 / 6, 1e-15), "revenue": (55 / 6, 1e-14), "welfare": (20, 0),
    }),
    "v6-fees": ({"instance": "harmonic"}, {
        "fee": (0.999, 0), "revenue": (5994, 0), "welfare": (6078, 0), "ideal_welfare": (11000, 0),
        "ratio": (11000 / 6078, 1e-12), "tooth_0": (5994, 0), "tooth_1": (5952, 0), "tooth_2": (5838, 0),
    }),
    "v6-four": ({"instance": "harmonic", "sellers": 4}, {
        "welfare": (6174, 0), "ideal_welfare": (12500, 0), "ratio": (12500 / 6174, 1e-12),
    }),
    "general-loss": ({"instance": "general-loss"}, {
        "fee": (1, 0), "revenue": (42388, 0), "welfare": (72609, 0), "ideal_welfare": (1062344, 0),
        "ratio": (1062344 / 72609, 1e-12),
    }),
    "v7-fees": ({"instance": "sawtooth"}, {
        "fee": (5 / 9, 1e-15), "revenue": (15, 0), "welfare": (37, 0), "ideal_welfare": (37, 0), "teeth": (3, 0),
        "tooth_0": (15, 0), "tooth_1": (14, 0), "tooth_2": (11, 0), "empty": (0, 0),
    }),
    "v8-fees": ({"instance": "general-sweep"}, {
        "fee": (4 / 7, 1e-15), "revenue": (52 / 7, 1e-14), "welfare": (21, 0), "tooth_1": (3, 0), "empty": (0, 0),
    }),
}  # fmt: skip

_STUDY: dict[str, tuple[str, dict[str, Any], str]] = {
    "study-general": ("general", {"correlated": 20}, "General goods, 7 fees each: prices by two programs, welfare "
        "bound, what lies behind it, buyers and sellers alone, two sellers, worst correlated equilibria."),
    "study-homogeneous": ("alike", {"formulas": 2}, "Homogeneous goods, 7 fees each: existence, no better-response "
        "cycle, the algorithm, one price on the platform, the price formula, the harmonic bound."),
    "study-platforms": ("several", {}, "Two platforms that reach everybody together: the bound at the larger fee."),
    "study-costs": ("costly", {}, "Production costs, fee on the price: the bound (2 - a) / beta."),
}  # fmt: skip

_REGRET: dict[str, tuple[str, float, int, float, str]] = {
    "regret-v4": ("no-pure-equilibrium", 0.9, 20_000, 15.25, _CORRELATED),
    **{
        f"regret-v7-{round(100 * fee)}": ("sawtooth", fee, 5_000, welfare, _LEARNT)
        for fee, welfare in ((0.3, 37.0), (0.5, 37.0), (0.55, 37.0), (0.6, 32.0), (0.8, 25.0), (0.95, 14.0))
    },
}

_ABCS = {name.replace("regret", "abcs"): row for name, row in _REGRET.items()}

_TRAP: dict[str, tuple[str, float, str]] = {
    "trap-gradient": ("gradient", 0.65, "A gradient that starts at 0.65: it climbs the tooth it stands on."),
    "trap-grid": ("grid", 0.5, "41 fees, each tried in turn."),
    "trap-ucb": ("ucb", 0.5, "UCB1 on 41 fees."),
    "trap-greedy": ("epsilon-greedy", 0.5, "Epsilon-greedy on 41 fees."),
    "trap-zoom": ("zoom", 0.5, "A grid, then finer ones around its best fees: it finds the best tooth and its tip."),
}

SUITE = Suite(
    name="platform-equilibrium",
    title="Platform equilibrium",
    status="verified",
    description=(
        "Sellers join a platform with a fee or stay off (arXiv 2309.08781, a theory paper without experiments). Worked "
        "instances as exact rows, families that attain the bounds, theorems and derived statements on random markets, "
        "games of 20 sellers, learning sellers and learning platforms. Statements derived here have numerical support "
        "only; their sources say so."
    ),
    cases=(
        *(
            Case(name, f"{_MODULE}:cleared_market", {"instance": instance}, description=f"Worked market {name[1:]}.")
            for name, (instance, _) in _CLEARED.items()
        ),
        *(
            Case(
                name,
                f"{_MODULE}:joining",
                {"instance": instance, "fee": fee},
                description=f"Worked market {instance}, fee {fee}: pure and coarse correlated equilibria.",
            )
            for name, (instance, fee, _) in _JOINING.items()
        ),
        Case("v5", f"{_MODULE}:outsider", description="Joining raises the price of a seller who stays off."),
        Case(
            "costs",
            f"{_MODULE}:costs",
            {"fee": "3/10"},
            description="Production costs, fee on the price: an equilibrium above (1 + beta) / beta, within "
            "(2 - a) / beta.",
        ),
        *(
            Case(name, f"{_MODULE}:unregulated", params, description=f"Worked market {params['instance']}, all fees.")
            for name, (params, _) in _FEES.items()
        ),
        Case(
            "v7-turns",
            f"{_MODULE}:turns",
            {"instance": "sawtooth", "grid": 19, "regulator": False},
            description="Platform, then sellers one after the other, 19 fees: backward induction on the game's tree.",
        ),
        Case(
            "v7-regulated",
            f"{_MODULE}:turns",
            {"instance": "sawtooth", "grid": 19, "regulator": True},
            description="A regulator who wants welfare caps the fee first: backward induction on the game's tree.",
        ),
        Case(
            "tight-family",
            f"{_MODULE}:tight_family",
            {"fees": ["1/100", "1/10", "1/4", "1/3", "1/2", "2/3", "3/4", "9/10", "99/100"]},
            description="At each fee a market whose worst equilibrium attains the bound.",
        ),
        Case(
            "harmonic-family",
            f"{_MODULE}:harmonic_family",
            {"most": 10, "fine": 1000},
            description="K sellers, K up to 10: the loss under an unregulated platform against 1 + 1/2 + ... + 1/K.",
        ),
        *(
            Case(
                f"additive-{items}",
                f"{_MODULE}:additive_family",
                {"items": items},
                description=f"Additive buyers, equal-revenue family of {items} goods.",
            )
            for items in (10, 100, 1000, 10000)
        ),
        Case(
            "study-additive",
            f"{_MODULE}:additive_random",
            {"instances": 20_000},
            description="Additive buyers, random markets: the best fee by trying all, both welfare bounds.",
        ),
        *(
            Case(name, f"{_STUDIES}:{run}", {"instances": 20_000, **params}, description=text)
            for name, (run, params, text) in _STUDY.items()
        ),
        *(
            Case(
                f"{name}-million",
                f"{_STUDIES}:{run}",
                {"instances": 1_000_000, **params},
                cost="minutes",
                description=text,
            )
            for name, (run, params, text) in _STUDY.items()
        ),
        *(
            Case(
                f"losses-{law}",
                f"{_STUDIES}:losses",
                {"instances": 4000, "buyers": 8, "sellers": 5, "law": law, "points": 50},
                seeds=5,
                description=f"Eight buyers, five sellers, law {law}: welfare loss over the fee, and under a cap.",
            )
            for law in ("uniform", "homogeneous-uniform")
        ),
        *(
            Case(
                f"entry-20-{name}",
                f"{_MODULE}:large",
                {"sellers": 20, "buyers": 20, "fee": "3/5", "alike": alike},
                description=f"20 sellers, 20 buyers, {name} goods: all 1,048,576 profiles priced, all pure equilibria.",
            )
            for name, alike in (("general", False), ("homogeneous", True))
        ),
        *(
            Case(
                name,
                f"{_LEARNING}:regret_sellers",
                {"instance": instance, "fee": fee, "rounds": rounds, "runs": 20},
                description=f"Sellers by independent regret matching, {instance}, fee {fee}, {rounds} rounds, 20 runs.",
            )
            for name, (instance, fee, rounds, _, _) in _REGRET.items()
        ),
        *(
            Case(
                f"ppo-v7-{round(100 * fee)}",
                f"{_LEARNING}:ppo_sellers",
                {"instance": "sawtooth", "fee": fee, "steps": 8192},
                cost="minutes",
                seeds=3,
                requires=("torch", "stable_baselines3"),
                description=f"Four independent PPO sellers in self-play, fee {fee}.",
            )
            for fee in (0.5, 0.6, 0.8)
        ),
        *(
            Case(
                name,
                f"{_LEARNING}:abcs_sellers",
                {"instance": instance, "fee": fee, "nodes": 1_000_000},
                cost="minutes",
                seeds=3,
                description=f"Sellers by ABCs on the joining game as a tree, {instance} at fee {fee:g}.",
            )
            for name, (instance, fee, *_) in _ABCS.items()
        ),
        *(
            Case(
                name,
                f"{_LEARNING}:fee_learner",
                {"instance": "sawtooth", "method": method, "steps": 400, "selection": "optimistic", "start": start},
                description=text,
            )
            for name, (method, start, text) in _TRAP.items()
        ),
        *(
            Case(
                f"{name}-learning",
                f"{_LEARNING}:fee_learner",
                {"instance": "sawtooth", "method": method, "steps": 400, "selection": "learning", "start": start},
                seeds=3,
                description=f"{text} The sellers learn by regret matching, 500 rounds for each fee.",
            )
            for name, (method, start, text) in _TRAP.items()
        ),
        *(
            Case(
                f"ppo-platform-{name}",
                f"{_LEARNING}:ppo_platform",
                {"instance": "sawtooth", "steps": 32_768, "start": 0.65, "spread": spread, "selection": selection},
                seeds=3,
                cost="seconds" if selection == "optimistic" else "minutes",
                requires=("torch", "stable_baselines3"),
                description=text,
            )
            for name, spread, selection, text in (
                ("narrow", 0.025, "optimistic", "PPO as the platform, first fees 0.65 ± 0.025: stuck on its tooth."),
                ("wide", 0.15, "optimistic", "PPO as the platform, first fees 0.65 ± 0.15: it leaves the tooth."),
                ("learning", 0.15, "learning", "The same against sellers who learn by regret matching."),
            )
        ),
        Case(
            "ppo-platform-random",
            f"{_LEARNING}:ppo_random",
            {"buyers": 5, "sellers": 3, "law": "homogeneous-uniform", "steps": 200_000, "judged": 4000},
            cost="minutes",
            seeds=2,
            requires=("torch", "stable_baselines3"),
            description="PPO sees a market and sets its fee, markets drawn anew: 5 buyers, 3 sellers, goods alike. "
            "Judged on 4,000 fresh markets, beside the best single fee for all of them.",
        ),
    ),
    metrics=(
        Metric("welfare", description="Value traded (with several equilibria: in the worst)."),
        Metric("welfare_best", description="Value traded in the best equilibrium."),
        Metric("ideal_welfare", description="Value traded if everybody could trade with everybody."),
        Metric("mean_welfare", description="Value traded, mean over all rounds of learning (PPO: at the end)."),
        *(Metric(f"price_max_{j}", description=f"Largest competitive price of seller {j}.") for j in range(4)),
        *(Metric(f"price_min_{j}", description=f"Smallest competitive price of seller {j}.") for j in range(4)),
        Metric("buyers", description="What the buyers earn together at the smallest prices."),
        Metric("before", description="Price of the outsider while the other is off."),
        Metric("after", description="Her price once the other has joined."),
        Metric("equilibria", description="Number of pure equilibria."),
        Metric("joined", description="Sellers on the platform."),
        Metric("ratio", description="Ideal welfare over welfare."),
        Metric("slack", better="higher", description="Least slack of the welfare bound (or of what lies behind it)."),
        Metric("correlated_worst", description="Least expected welfare of a coarse correlated equilibrium."),
        Metric("correlated_best", description="Largest expected welfare of a coarse correlated equilibrium."),
        Metric("fee", description="The platform's fee."),
        Metric("cap", description="The regulator's cap."),
        Metric("revenue", better="higher", description="Fees collected."),
        Metric("revenue_share", better="higher", description="Fees collected over the most that any fee collects."),
        Metric("fixed_share", description="The same of the best single fee."),
        Metric("teeth", description="Sets of sellers that some interval of fees supports."),
        *(Metric(f"tooth_{k}", description=f"Revenue at the tip of tooth {k}, the highest first.") for k in range(3)),
        Metric("plausible", description="(1 + beta) / beta, which is no bound."),
        Metric("bound", description="(2 - a) / beta, which is one."),
        Metric("above", description="Equilibria whose ratio is above (1 + beta) / beta."),
        Metric("empty", description="Length of the fees without a pure equilibrium."),
        Metric("distance", better="lower", description="Largest distance of the ratio from the bound."),
        Metric("share", better="higher", description="Least ratio over the harmonic number."),
        Metric("excess", better="lower", description="By how much a ratio exceeds the harmonic number."),
        Metric("instances", better="higher", description="Random markets looked at."),
        Metric("games", description="Pairs of a market and a fee."),
        Metric("violations", better="lower", description="Statements that failed."),
        Metric("without_equilibrium", description="Pairs without a pure equilibrium."),
        Metric("with_cycle", description="Pairs with a cycle of better responses."),
        Metric("programs", description="Linear programs for worst correlated equilibria."),
        Metric("formulas", description="Prices held against the formula by counting matchings."),
        Metric("closest", description="Largest ratio over its bound."),
        Metric("largest_ratio", description="Largest ratio of ideal welfare to welfare."),
        Metric("ratio_half", description="Mean ratio in the worst equilibrium at fee 1/2."),
        Metric("capped_half", description="Mean ratio under a cap of 1/2."),
        Metric("without_share", description="Largest share of markets without a pure equilibrium at a fee."),
        Metric("profiles", description="Joint choices priced."),
        Metric("regret", better="lower", description="Largest average regret of a seller."),
        Metric("stable", better="higher", description="1 where the sellers end in a pure equilibrium."),
        Metric("cpu_seconds", "s", "lower", "timing", "Processor time."),
    ),
    known=(
        *(
            Known(case, metric, value, _BRUTE, "identity", 0.0)
            for case, (_, numbers) in _CLEARED.items()
            for metric, value in numbers.items()
        ),
        *(
            # The linear programs end within rounding of the vertex; revenues are fractions turned into floats.
            Known(
                case,
                metric,
                value,
                _CORRELATED if metric.startswith("correlated") else _BRUTE,
                "equilibrium",
                1e-6 if metric.startswith("correlated") else 0.0,
            )
            for case, (_, _, numbers) in _JOINING.items()
            for metric, value in numbers.items()
        ),
        Known("v3", "slack", 0.0, _TIGHT, "bound", 0.0),
        Known("costs", "welfare", 22.0, _BRUTE, "equilibrium", 0.0),
        Known("costs", "ideal_welfare", 61.0, _BRUTE, "optimum", 0.0),
        Known("costs", "ratio", 61 / 22, _BRUTE, "equilibrium", 1e-12),
        Known("costs", "plausible", 409 / 149, "14.9 / 26 is the least share that the fee leaves", "identity", 1e-12),
        Known("costs", "bound", 442 / 149, "derived here, with proof", "identity", 1e-12),
        Known("v5", "before", 0.0, _BRUTE, "identity", 0.0),
        Known("v5", "after", 1.0, _BRUTE, "identity", 0.0),
        *(
            Known(case, metric, value, _BRUTE, "optimum" if metric == "revenue" else "identity", tolerance)
            for case, (_, numbers) in _FEES.items()
            for metric, (value, tolerance) in numbers.items()
        ),
        Known("v7-turns", "revenue", 15.0, "sellers who follow the platform; derived here", "equilibrium", 1e-9),
        Known("v7-regulated", "welfare", 37.0, "ideal welfare, a matching", "optimum", 0.0),
        Known("tight-family", "distance", 0.0, _TIGHT, "identity", 0.0),
        Known("harmonic-family", "excess", 0.0, _HARMONIC, "identity", 0.0),
        *(
            Known(f"additive-{items}", "ratio", value, _ADDITIVE + "; family derived here", "identity", 5e-5)
            for items, value in ((10, 1.3415), (100, 1.5527), (1000, 1.5792), (10000, 1.5817))
        ),
        *(
            Known(case, "mean_welfare", welfare, source, "equilibrium", 0.01 * welfare)
            for case, (_, _, _, welfare, source) in (_REGRET | _ABCS).items()
        ),
        *(
            Known(f"ppo-v7-{percent}", "mean_welfare", welfare, _LEARNT, "equilibrium", 0.01 * welfare)
            for percent, welfare in ((50, 37.0), (60, 32.0), (80, 25.0))
        ),
        *(Known(f"losses-{law}", "slack", 0.0, _PAPER, "identity") for law in ("uniform", "homogeneous-uniform")),
    ),
    targets=(
        *(
            Target(f"{study}{suffix}", metric, at_least=least, at_most=most, text=text)
            for study in (*_STUDY, "study-additive")
            for suffix in (("",) if study == "study-additive" else ("", "-million"))
            for metric, least, most, text in (
                ("instances", 1e6 if suffix else 20_000, None, "random markets in one run of the suite"),
                ("violations", None, 0, "no statement fails"),
            )
        ),
        *(
            Target(f"entry-20-{name}", metric, at_most=most, text=text)
            for name in ("general", "homogeneous")
            for metric, most, text in (
                ("cpu_seconds", 10.0, "20 sellers, 20 buyers: all equilibria, or the proof of none, in seconds"),
                ("violations", 0, "and they hold when cleared again, switch by switch"),
            )
        ),
        Target("harmonic-family", "share", at_least=0.99, text="the family comes within 1 % of 1 + 1/2 + ... + 1/K"),
        Target("trap-gradient", "revenue_share", at_most=0.95, text="the trap: a gradient stays on the wrong tooth"),
        Target("trap-zoom", "revenue_share", at_least=0.999, text="a designer that looks at every tooth escapes it"),
        Target("ppo-platform-narrow", "revenue_share", at_most=0.95, text="the trap catches PPO too"),
        Target(
            "ppo-platform-random",
            "revenue_share",
            at_least=0.75,
            text="a learned platform of random markets earns more than any single fee (70 %)",
        ),
        Target("ppo-platform-wide", "revenue_share", at_least=0.95, text="PPO escapes with a wide first policy"),
        *(
            Target(f"losses-{law}", "slack", at_least=0.0, text="no ratio above the bound at any fee")
            for law in ("uniform", "homogeneous-uniform")
        ),
    ),
    pictures=(
        Picture(
            "graphs",
            "Worked markets: buyers (left) with highest values, sellers with lowest and highest price, trades in blue",
            f"{_PICTURES}:draw_graph",
            ("v1", "v2a", "v2b"),
            (7.0, 2.6),
        ),
        Picture(
            "sweep",
            "Revenue and welfare against the fee, the platform's favourite equilibrium",
            f"{_PICTURES}:draw_sweep",
            ("v7-fees", "v8-fees", "v6-fees"),
            (7.0, 2.6),
        ),
        Picture(
            "losses",
            "Welfare loss against fee and cap, random markets, beside the bound",
            f"{_PICTURES}:draw_losses",
            ("losses-uniform", "losses-homogeneous-uniform"),
            (7.0, 3.0),
        ),
        Picture(
            "trap",
            "The sawtooth: fees tried by three learners",
            f"{_PICTURES}:draw_trap",
            ("v7-fees", "trap-gradient", "trap-ucb", "trap-zoom"),
            (6.0, 3.2),
        ),
    ),
)
