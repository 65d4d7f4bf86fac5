"""One bidder: proved optima, learned menus with exact revenue, upper bounds; one item: learned auctions of three."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Known, Metric, Outcome, Picture, Progress, Published, Suite, Target
from walras.envs.auctions.one_bidder import ONE_BIDDER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record
    from walras.envs.auctions.one_bidder import OneBidder

_MODULE = "walras.benchmarks.suites.one_bidder"
_DUETTING = "arXiv 1706.03459"
_MEMORY = "recalled, not re-read; a test sample with noise of a few 1e-3"
_LOGS = "logs of github.com/saisrivatsan/deep-opt-auctions, myersonNet"
_REVIEWS = "arXiv 2506.22911, Table 1, as quoted in public reviews"

# Setting: optimum as printed, RochetNet, RegretNet (regret below 0.001).
PRINTED: dict[str, tuple[float, float, float]] = {
    "additive-uniform": (0.550, 0.550, 0.554),
    "additive-4-16-4-7": (9.781, 9.779, 9.734),
    "additive-triangle": (0.388, 0.388, 0.392),
    "unit-uniform": (0.384, 0.384, 0.384),
    "unit-uniform-2-3": (2.137, 2.136, 2.137),
}
# Goods: RochetNet, Straight-Jacket auction; both sampled.
SAMPLED: dict[int, tuple[float, float]] = {
    2: (0.549175, 0.549187),
    3: (0.875464, 0.875466),
    5: (1.576455, 1.576457),
    10: (3.477722, 3.477781),
}
# Goods: exact revenue of the Straight-Jacket auction, optimal up to six.
JACKETS: dict[int, float] = {
    3: 0.8754648055418168,
    4: 1.2195222677945154,
    5: 1.5764356838801497,
    6: 1.943245240042593,
}
ONE_ITEM = {
    "uniform": ("uniform01", {}),
    "exponential": ("exponential", {"scale": 3.0}),
    "irregular": ("irregular", {}),
}
_REPLICATES = 10


def setting_of(name: str | int) -> OneBidder:
    """A setting of `ONE_BIDDER` by name, or so many goods with values U[0, 1]."""
    from walras.envs.auctions.one_bidder import straight_jacket

    return straight_jacket(name) if isinstance(name, int) else ONE_BIDDER[name]


def truth(seed: int, progress: Progress, *, setting: str | int, grid: int) -> Outcome:
    """Exact revenue of the proved optimum, and the bound of a linear program on all mechanisms."""
    from walras.envs.auctions.menu_bound import menu_bound
    from walras.envs.auctions.menu_revenue import menu_revenue

    known = setting_of(setting)
    earned = menu_revenue(known.menu, known.prior)
    progress(0.2, "revenue integrated")
    start = time.process_time()
    found = menu_bound(known.prior, known.demand, cells=grid)
    metrics = {"revenue": earned, "bound": found.bound, "gap": found.bound / earned - 1.0}
    return Outcome({**metrics, "bound_seconds": time.process_time() - start})


def straight_jackets(seed: int, progress: Progress, *, goods: int) -> Outcome:
    """Prices and revenue of the Straight-Jacket auction, and of the best price for all goods as one lot."""
    from walras.envs.auctions.straight_jacket import (
        polymatroid_volume,
        straight_jacket_prices,
        straight_jacket_revenue,
        uniform_bundle,
    )

    prices = straight_jacket_prices(goods)
    off = max(abs(float(polymatroid_volume(prices[:r])) - (1.0 - r / (goods + 1.0))) for r in range(1, goods + 1))
    bundle = uniform_bundle(goods)[1]
    revenue = straight_jacket_revenue(goods)
    metrics = {"revenue": revenue, "bundle": bundle, "over_bundle": revenue / bundle, "volume_error": off}
    return Outcome(metrics, arrays={"prices": list(prices)})


def rochet(seed: int, progress: Progress, *, setting: str | int, steps: int | None = None) -> Outcome:
    """A learned menu, its exact revenue with hard choices, and its certificate; `steps` ends the training early."""
    from walras.algorithms.menus.goods import Items
    from walras.algorithms.menus.learner import MenuLearner
    from walras.benchmarks.suite import Curve
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.menu_revenue import menu_revenue

    known = setting_of(setting)
    start = time.process_time()
    learner = MenuLearner(Items(known.prior, known.demand), seed=seed).fit(steps, progress=progress)
    menu = learner.menu_
    learned = time.process_time() - start
    earned = menu_revenue(menu, known.prior)
    integrated = time.process_time() - start - learned
    at, soft = zip(*learner.curve_, strict=True)
    return Outcome(
        {
            "revenue": earned,
            "share": earned / known.revenue,
            "options": len(menu.prices) - 1.0,
            "certified": float(certify(menu).status == "certified"),
            "cpu_seconds": learned,
            "integration_seconds": integrated,
        },
        {"soft": Curve(at, soft, "step", "gain with softened choices")},
        {"items": [list(row) for row in menu.items], "prices": list(menu.prices)},
    )


def one_item(
    seed: int, progress: Progress, *, law: str, bidders: int, iterations: int = 1500, points: int = 1 << 20
) -> Outcome:
    """MyersonNet: a learned auction of one item beside Myerson's and the second-price auction."""
    from walras.algorithms.auctions.myerson_net import MyersonNet, MyersonSettings
    from walras.algorithms.menus.learner import sobol
    from walras.envs.auctions import theory
    from walras.envs.auctions.priors import prior

    name, parameters = ONE_ITEM[law]
    given = prior(name, bidders, 1, **parameters)
    start = time.process_time()
    auction = MyersonNet(given, MyersonSettings(iterations=iterations), seed=seed).fit(progress=progress).mechanism_
    learned = time.process_time() - start
    rng = np.random.Generator(np.random.Philox([seed, 1]))
    base = sobol(points, bidders)
    means = []
    for _ in range(_REPLICATES):
        u = (base + rng.random(bidders)) % 1.0
        parts = [auction.outcome(given.sample(part)).payment.sum() for part in np.array_split(u, 64)]
        means.append(float(np.sum(parts)) / points)
    own = (given.marginals or ())[0][0]
    optimum = theory.myerson_revenue(own, bidders)
    best = max(theory.revenue(own, bidders, float(r)) for r in np.linspace(0.0, 2.0 * theory.myerson_reserve(own), 201))
    revenue = float(np.mean(means))
    return Outcome(
        {
            "revenue": revenue,
            "revenue_error": float(np.std(means, ddof=1) / np.sqrt(_REPLICATES)),
            "share": revenue / optimum,
            "optimum": optimum,
            "second_price": theory.revenue(own, bidders),
            "best_reserve": best,
            "cpu_seconds": learned,
        }
    )


def draw_regions(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Which option a bidder takes, by values: the proved optimum above, a learned menu below."""
    from walras.envs.auctions.truthful import PostedMenu

    names = [name for name in PRINTED if f"rochet-{name}" in results]
    panels = np.reshape(figure.subplots(2, len(names)), (2, len(names)))
    for k, name in enumerate(names):
        known = setting_of(name)
        record = results[f"rochet-{name}"][0]
        learned = PostedMenu(record.arrays["items"], record.arrays["prices"], known.demand)
        _draw_menu(panels[0, k], known, known.menu)
        _draw_menu(panels[1, k], known, learned)
        panels[0, k].set_title(f"{name}\noptimum {known.revenue:.4f}", fontsize=8)
        panels[1, k].set_title(f"learned {record.metrics['revenue']:.4f}", fontsize=8)


def _draw_menu(axes: Axes, known: OneBidder, menu: Any) -> None:
    from walras.envs.auctions.menu_revenue import menu_regions

    for region, items, price in zip(menu_regions(menu, known.prior), menu.items, menu.prices, strict=True):
        if not region:
            continue
        x, y = np.array(region, np.float64).T
        first, second = items
        # Red for the first item, blue for the second, darker for more.
        axes.fill(x, y, color=(1.0 - 0.75 * second, 1.0 - 0.45 * (first + second), 1.0 - 0.75 * first), lw=0)
        axes.plot(np.append(x, x[0]), np.append(y, y[0]), color="0.3", lw=0.5)
        area = 0.5 * abs(float((np.roll(x, 1) * y - x * np.roll(y, 1)).sum()))
        if any(items) and area > 0.03 * float(np.prod(known.prior.high[0] - known.prior.low[0])):
            label = f"({first:.2g}, {second:.2g})\n{price:.3f}"
            colour = "white" if first + second > 1.2 else "black"
            axes.text(x.mean(), y.mean(), label, ha="center", va="center", fontsize=6, color=colour)
    axes.set_xlim(known.prior.low[0, 0], known.prior.high[0, 0])
    axes.set_ylim(known.prior.low[0, 1], known.prior.high[0, 1])
    axes.tick_params(labelsize=6)


def draw_prices(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Straight-Jacket prices: what r goods cost, and what the next one adds."""
    left, right = figure.subplots(1, 2)
    for case, records in results.items():
        prices = np.array(records[0].arrays["prices"])
        sizes = np.arange(1, len(prices) + 1)
        left.plot(sizes, prices, ".-", label=case.removeprefix("straight-jacket-"))
        right.plot(sizes, np.diff(prices, prepend=0.0), ".-")
    left.set_ylabel("price of r goods")
    right.set_ylabel("price of one more")
    right.axhline(0.0, color="0.6", lw=0.7)
    for axes in (left, right):
        axes.set_xlabel("goods r")
        axes.grid(True)
    left.legend(title="goods for sale", fontsize=7)


def _rochet_name(setting: str | int) -> str:
    return f"rochet-{setting}" if isinstance(setting, str) else f"rochet-straight-jacket-{setting}"


LEARNED: tuple[str | int, ...] = (*PRINTED, *JACKETS)
_SOLVED = (2, 3, 4, 5, 6, 10, 15, 20)
_JACKET = "Giannakopoulos and Koutsoupias 2018, Duality and optimality of auctions for uniform distributions"


def _optimum(setting: str | int) -> tuple[float, str]:
    if isinstance(setting, int):
        return JACKETS[setting], _JACKET
    return ONE_BIDDER[setting].revenue, ONE_BIDDER[setting].source


SUITE = Suite(
    "one-bidder",
    "One bidder: optimal menus, learned and proved",
    "Menus for one bidder: revenue of the proved optima by exact integration, linear programs that bound every "
    "mechanism from above, and menus learned by gradient (RochetNet), held against them with hard choices and "
    "exact integration. The Straight-Jacket auction for any number of goods. MyersonNet for three bidders and one "
    "item: for irregular values it ends at the best reserve of a second-price auction, since Myerson's auction "
    "there shares an item among unequal values, which functions that strictly increase cannot.",
    (
        *(
            Case(f"truth-{name}", f"{_MODULE}:truth", {"setting": name, "grid": 48},
                 description=ONE_BIDDER[name].source)
            for name in ONE_BIDDER
        ),
        Case("truth-straight-jacket-3", f"{_MODULE}:truth", {"setting": 3, "grid": 8},
             description="Three goods U[0, 1]; the bound is coarse."),
        *(
            Case(f"straight-jacket-{m}", f"{_MODULE}:straight_jackets", {"goods": m},
                 description=f"Exact prices and revenue for {m} goods U[0, 1].")
            for m in _SOLVED
        ),
        *(
            Case(_rochet_name(s), f"{_MODULE}:rochet", {"setting": s}, "minutes", 3, ("torch",),
                 "A menu learned in 1,900 steps from 64 options.")
            for s in LEARNED
        ),
        *(
            Case(f"myerson-net-{law}", f"{_MODULE}:one_item", {"law": law, "bidders": 3}, "minutes", 3, ("torch",),
                 "Three bidders, one item.")
            for law in ONE_ITEM
        ),
    ),
    (
        Metric("revenue", better="higher", description="Revenue with hard choices; exact for menus."),
        Metric("revenue_error", better="lower", description="Standard error over ten shifts of 2^20 Sobol points."),
        Metric("share", better="higher", description="Revenue over the optimum's."),
        Metric("bound", better="lower", description="No mechanism earns more, by a linear program."),
        Metric("gap", better="lower", description="Bound over revenue, minus one."),
        Metric("bundle", better="higher", description="Revenue of the best price for all goods together."),
        Metric("over_bundle", description="Revenue over that of the bundle."),
        Metric("volume_error", better="lower", description="Largest error in the equations that fix the prices."),
        Metric("optimum", better="higher", description="Revenue of Myerson's auction."),
        Metric("second_price", better="higher", description="Revenue of the second-price auction."),
        Metric("best_reserve", better="higher", description="The same with the best of 201 reserves."),
        Metric("options", description="Options left in the learned menu."),
        Metric("certified", better="higher", description="1: the certifier accepts the learned menu."),
        Metric("cpu_seconds", "s", "lower", "timing", "Processor time of the learning."),
        Metric("integration_seconds", "s", "lower", "timing", "Processor time of the exact integration."),
        Metric("bound_seconds", "s", "lower", "timing", "Processor time of the linear program."),
    ),
    published=(
        *(
            row
            for name, (printed, rochet_net, regret_net) in PRINTED.items()
            for row in (
                Published(f"truth-{name}", "revenue", printed, f"{_DUETTING}, optimum as printed", _MEMORY),
                Published(f"rochet-{name}", "revenue", rochet_net, f"{_DUETTING}, RochetNet", _MEMORY),
                Published(f"rochet-{name}", "revenue", regret_net, f"{_DUETTING}, RegretNet",
                          f"{_MEMORY}; regret below 0.001: not truthful"),
            )
        ),
        *(
            Published(f"straight-jacket-{m}", "revenue", jacket, f"{_DUETTING}, Straight-Jacket auction", _MEMORY)
            for m, (_, jacket) in SAMPLED.items()
        ),
        *(
            Published(_rochet_name(m), "revenue", net, f"{_DUETTING}, RochetNet", _MEMORY)
            for m, (net, _) in SAMPLED.items()
            if m in JACKETS
        ),
        Published("rochet-additive-uniform", "revenue", SAMPLED[2][0],
                  f"{_DUETTING}, RochetNet, table of the Straight-Jacket auction", _MEMORY),
        Published("straight-jacket-3", "revenue", 0.8757, f"{_REVIEWS}: optimum", ""),
        Published("straight-jacket-15", "bundle", 5.4543, f"{_REVIEWS}: bundle", ""),
        Published("straight-jacket-20", "bundle", 7.5290, f"{_REVIEWS}: bundle", ""),
        Published("myerson-net-uniform", "revenue", 0.531, f"{_LOGS}: MyersonNet", "stored log"),
        Published("myerson-net-uniform", "optimum", 0.5311, f"{_LOGS}: optimum", "stored log"),
        Published("myerson-net-uniform", "second_price", 0.5005, f"{_LOGS}: second price", "stored log"),
        Published("myerson-net-exponential", "revenue", 2.747, f"{_LOGS}: MyersonNet", "stored log"),
        Published("myerson-net-exponential", "optimum", 2.7490, f"{_LOGS}: optimum", "stored log"),
        Published("myerson-net-exponential", "second_price", 2.5004, f"{_LOGS}: second price", "stored log"),
    ),
    known=(
        *(
            Known(f"truth-{name}", "revenue", known.revenue, known.source, "optimum", 1e-12)
            for name, known in ONE_BIDDER.items()
        ),
        *(
            Known(f"truth-{name}", "bound", known.revenue, known.source, "bound", 1e-9)
            for name, known in ONE_BIDDER.items()
        ),
        *(
            Known(_rochet_name(s), "revenue", *_optimum(s), "bound", 1e-9)
            for s in LEARNED
        ),
        Known("straight-jacket-2", "revenue", _optimum("additive-uniform")[0],
              _optimum("additive-uniform")[1], "optimum", 1e-12),
        Known("straight-jacket-2", "bundle", (2.0 / 3.0) ** 1.5, "price sqrt(2/3)", "optimum", 1e-12),
        Known("myerson-net-uniform", "optimum", 17.0 / 32.0, "Myerson (1981)", "optimum", 1e-12),
        Known("myerson-net-irregular", "optimum", 2.374867, "Myerson (1981), ironed", "optimum", 1e-6),
    ),
    targets=(
        *(
            target
            for s in LEARNED
            for target in (
                Target(_rochet_name(s), "share", at_least=0.999, text="within 0.1 % of the exact optimum"),
                Target(_rochet_name(s), "share", at_least=0.9998, text="aim: within 0.02 %"),
                Target(_rochet_name(s), "cpu_seconds", at_most=15.0, text="at most 15 CPU-s"),
                Target(_rochet_name(s), "certified", at_least=1.0, text="certified"),
            )
        ),
        *(Target(f"truth-{name}", "gap", at_most=1e-3, text="proved to within 0.1 %") for name in ONE_BIDDER),
        *(
            Target(f"myerson-net-{law}", "share", at_least=0.998, text="within 0.2 % of Myerson's auction")
            for law in ONE_ITEM
        ),
    ),
    pictures=(
        Picture("regions", "Options by values: optimal menus above, learned ones below", f"{_MODULE}:draw_regions",
                tuple(f"rochet-{name}" for name in PRINTED), (11.0, 4.6)),
        Picture("prices", "Straight-Jacket prices", f"{_MODULE}:draw_prices",
                tuple(f"straight-jacket-{m}" for m in _SOLVED), (7.0, 3.0)),
    ),
    status="verified",
)  # fmt: skip
