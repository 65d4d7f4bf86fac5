"""Sealed-bid auctions: equilibrium play simulated against closed forms, and the revenue of classical mechanisms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Known, Metric, Outcome, Picture, Progress, Published, Suite, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record
    from walras.envs.auctions.mechanisms import Mechanism
    from walras.envs.auctions.priors import Prior
    from walras.envs.auctions.rules import AuctionState, SealedBidAuction
    from walras.envs.game import Array

_MODULE = "walras.benchmarks.suites.auctions"
_CHUNK = 50_000  # lanes played at once: more would leave the processor's cache
FORMATS = ("first-price", "second-price", "all-pay")
LAWS = ("uniform", "power", "exponential")
_PRESETS: dict[str, tuple[str, dict[str, float]]] = {
    "uniform": ("uniform01", {}),
    "power": ("power", {"exponent": 2.0}),
    "exponential": ("exponential", {"scale": 3.0}),
    "irregular": ("irregular", {}),
}


def _prior(law: str, bidders: int, items: int = 1) -> Prior:
    from walras.envs.auctions.priors import prior

    name, parameters = _PRESETS.get(law, (law, {}))
    return prior(name, bidders, items, **parameters)


def _played(game: SealedBidAuction, seed: int, profiles: int) -> Iterator[tuple[AuctionState, Array]]:
    """Final states and returns of `profiles` auctions in which everybody plays the equilibrium, part by part."""
    from walras.envs.play import play

    for lane in range(0, profiles, _CHUNK):
        episodes = play(game, "equilibrium", batch=min(_CHUNK, profiles - lane), seed=seed, lane=lane)
        yield episodes.state, episodes.returns


def _sold(game: SealedBidAuction, seed: int, profiles: int, progress: Progress) -> tuple[float, float]:
    """Mean revenue, and mean utility of a bidder."""
    revenue = utility = 0.0
    done = 0
    for state, returns in _played(game, seed, profiles):
        revenue += float(state.payment.sum())
        utility += float(returns.mean(axis=1).sum())
        done += len(returns)
        progress(done / profiles, f"{done} auctions")
    return revenue / profiles, utility / profiles


def equilibrium(
    seed: int, progress: Progress, *, mechanism: str, law: str, bidders: int, profiles: int, opponents: int
) -> Outcome:
    """Revenue and utility under equilibrium play, and what a best response on a grid of bids adds to it."""
    from walras.agents.best_response import best_response, exploitability
    from walras.envs.auctions.rules import SealedBidAuction

    game = SealedBidAuction(bidders, prior=_prior(law, bidders), mechanism=mechanism)
    revenue, utility = _sold(game, seed, profiles, progress)
    gain = exploitability(
        game, "equilibrium", profiles=opponents, test_profiles=5 * opponents, seed=seed, agents=("bidder_0",)
    )["bidder_0"].gain
    response = best_response(game, "bidder_0", "equilibrium", profiles=opponents, seed=seed)
    quantiles = (np.arange(48) + 0.5) / 48
    values = (game.prior.marginals or ())[0][0].ppf(quantiles)
    policy = (game.equilibrium() or {})["bidder"]
    return Outcome(
        {"revenue": revenue, "utility": utility, "gain": round(gain, 5)},
        arrays={
            "values": values,
            "bids": np.asarray(policy(values[:, None]))[:, 0],
            "responses": response.reports[response.choose(values[:, None])][:, 0],
        },
    )


def revenue_equivalence(
    seed: int, progress: Progress, *, laws: Sequence[str], sizes: Sequence[int], profiles: int
) -> Outcome:
    """Simulated revenue of three formats for several laws and numbers of bidders, beside the theory's one number."""
    from walras.envs.auctions import theory
    from walras.envs.auctions.rules import SealedBidAuction

    simulated, exact = [], []
    settings = [(law, n) for law in laws for n in sizes]
    for k, (law, n) in enumerate(settings):
        progress(k / len(settings), f"{law}, {n} bidders")
        prior = _prior(law, n)
        games = [SealedBidAuction(n, prior=prior, mechanism=name) for name in FORMATS]
        simulated.append([_sold(game, seed, profiles, lambda fraction, text: None)[0] for game in games])
        exact.append(theory.revenue((prior.marginals or ())[0][0], n))
    ratios = np.array(simulated) / np.array(exact)[:, None]
    shape = (len(laws), len(sizes))
    return Outcome(
        {
            "largest_error": float(np.abs(ratios - 1.0).max()),
            "largest_spread": float((ratios.max(axis=1) - ratios.min(axis=1)).max()),
        },
        arrays={
            "laws": list(laws),
            "sizes": list(sizes),
            "simulated": np.reshape(simulated, (*shape, len(FORMATS))),
            "exact": np.reshape(exact, shape),
        },
    )


def _mechanism(given: str | Mapping[str, Any], prior: Prior, demand: str) -> Mechanism:
    """A mechanism by name or dict; beside the library's, `optimal-menu` and `symmetric-ama` with its three numbers."""
    from walras.envs.auctions.mechanisms import AMA
    from walras.envs.auctions.named import as_mechanism
    from walras.envs.auctions.one_bidder import ONE_BIDDER

    if isinstance(given, str):
        return as_mechanism(given, prior, demand)
    if "optimal_menu" in given:
        return ONE_BIDDER[given["optimal_menu"]].menu
    return AMA.symmetric_2x2(*given["symmetric_ama"])


def mechanism_revenue(
    seed: int,
    progress: Progress,
    *,
    mechanism: str | Mapping[str, Any],
    law: str,
    bidders: int,
    items: int,
    profiles: int,
    demand: str = "additive",
) -> Outcome:
    """Revenue of a truthful mechanism whose bidders report the truth."""
    from walras.envs.auctions.rules import SealedBidAuction

    prior = _prior(law, bidders, items)
    game = SealedBidAuction(bidders, items, prior=prior, mechanism=_mechanism(mechanism, prior, demand), demand=demand)
    revenue, utility = _sold(game, seed, profiles, progress)
    return Outcome({"revenue": revenue, "utility": utility})


def regions(
    seed: int, progress: Progress, *, mechanism: Mapping[str, Any], others: Sequence[Sequence[float]], cells: int
) -> Outcome:
    """What a bidder with values (v1, v2) in [0, 1]^2 receives, by cell, while the others report `others`.

    Entry [k, l] is 2 x2 + x1 at v1 = (l + 1/2) / cells, v2 = (k + 1/2) / cells: 0 nothing, 1 item 1, 2 item 2, 3 both.
    """
    bidders = 1 + len(others)
    rule = _mechanism(mechanism, _prior("uniform", bidders, 2), "additive")
    centres = (np.arange(cells) + 0.5) / cells
    second, first = np.meshgrid(centres, centres, indexing="ij")
    reports = np.empty((cells * cells, bidders, 2))
    reports[:, 0] = np.stack([first.ravel(), second.ravel()], axis=1)
    reports[:, 1:] = np.asarray(others, np.float64).reshape(1, -1, 2)
    won = rule.outcome(reports).allocation[:, 0]
    region = np.rint(won[:, 0] + 2 * won[:, 1]).astype(np.int64).reshape(cells, cells)
    progress(1.0, "")
    return Outcome({"share_both": float((region == 3).mean())}, arrays={"region": region})


# -- pictures ----------------------------------------------------------------------------------------------------------


def draw_bids(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Equilibrium bids as lines, best responses found on a grid as dots; one panel a law."""
    panels = figure.subplots(1, len(LAWS))
    for panel, law in zip(panels, LAWS, strict=True):
        for k, name in enumerate(FORMATS):
            if f"{name}-{law}" not in results:
                continue
            records = results[f"{name}-{law}"]
            values = records[0].arrays["values"]
            responses = np.mean([record.arrays["responses"] for record in records], axis=0)
            panel.plot(values, records[0].arrays["bids"], color=f"C{k}", label=name)
            panel.plot(values, responses, ".", color=f"C{k}", markersize=4)
        panel.set_title(f"{law} values")
        panel.set_xlabel("value")
        panel.grid(True)
    panels[0].set_ylabel("bid")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)


def draw_equivalence(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Simulated revenue of each format over the number of bidders, on the line of theory; one panel a law."""
    records = next(iter(results.values()))
    arrays = records[0].arrays
    simulated = np.mean([record.arrays["simulated"] for record in records], axis=0)
    panels = figure.subplots(1, len(arrays["laws"]))
    for k, (panel, law) in enumerate(zip(panels, arrays["laws"], strict=True)):
        panel.plot(arrays["sizes"], arrays["exact"][k], color="C3", linewidth=1.0, label="theory", zorder=1)
        for f, name in enumerate(FORMATS):
            places = np.array(arrays["sizes"]) + 0.16 * (f - 1)
            panel.plot(places, simulated[k, :, f], "os^"[f], color=f"C{f}", markersize=5, label=name)
        panel.set_title(f"{law} values")
        panel.set_xlabel("bidders")
        panel.set_xticks(arrays["sizes"])
        panel.grid(True)
    panels[0].set_ylabel("revenue")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)


def draw_regions(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """What each pair of values receives, as coloured regions; one panel a mechanism."""
    from matplotlib.colors import ListedColormap

    titles = {
        "regions-optimal-menu": "optimal menu for one bidder",
        "regions-ama": "AMA, the other reports (0.3, 0.7)",
    }
    colours = ListedColormap(["#7f7f7f33", "#2f7fb8cc", "#d9772bcc", "#3f9b6ccc"])
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    for panel, (case, records) in zip(panels, results.items(), strict=True):
        region = np.array(records[0].arrays["region"])
        edges = np.linspace(0.0, 1.0, len(region) + 1)
        panel.pcolormesh(edges, edges, region, cmap=colours, vmin=-0.5, vmax=3.5, rasterized=True)
        for number, name in enumerate(("nothing", "item 1", "item 2", "both")):
            places = np.argwhere(region == number)
            if len(places) > 0.01 * region.size:
                row, column = np.median(places, axis=0) / len(region)
                panel.text(column, row, name, ha="center", va="center")
        panel.set_title(titles.get(case, case))
        panel.set_xlabel("value of item 1")
        panel.set_aspect("equal")
    panels[0].set_ylabel("value of item 2")


# -- what theory says --------------------------------------------------------------------------------------------------

_KRISHNA = "Krishna, Auction Theory, propositions 2.2-2.3 and 3.1 (revenue equivalence)"
_MYERSON = "Myerson (1981), Optimal Auction Design"
_MANELLI = "Manelli and Vincent (2006), (12 + 2 sqrt 2) / 27"
_N = 3
_REVENUE = {"uniform": 1 / 2, "power": 24 / 35, "exponential": 3.0 * 5 / 6}
_UTILITY = {"uniform": 1 / 12, "power": 2 / 35, "exponential": 3.0 / 3}
_TOLERANCE = {"uniform": 1e-3, "power": 1e-3, "exponential": 8e-3}
_LOGS = "Duetting et al., RegretNet code (github.com/saisrivatsan/deep-opt-auctions), myersonNet/plots: stored logs."
_THEIRS = "Their estimate from a sample."


def _irregular_optimum(bidders: int) -> float:
    """Optimal revenue for U[0, 3] with probability 3/4, U[3, 8] with probability 1/4, by hand.

    The ironed virtual value exceeds x with probability (4 - x) / 8 below s = 3 - sqrt 5 and (8 - x) / 40 above; the
    optimum is the integral of 1 - (1 - q(x))^n over x >= 0, and q + (1 - q)^(n + 1) / (n + 1) integrates 1 - (1 - q)^n.
    """
    s = 3.0 - math.sqrt(5.0)

    def whole(q: float) -> float:
        return q + (1.0 - q) ** (bidders + 1) / (bidders + 1)

    return 8.0 * (whole(0.5) - whole((4.0 - s) / 8.0)) + 40.0 * (whole((8.0 - s) / 40.0) - whole(0.0))


def _exponential_optimum(bidders: int, scale: float) -> float:
    """Optimal revenue for exponential values: scale times the integral of 1 - (1 - e^-x)^n over x >= 1."""
    terms = (math.comb(bidders, k) * (-1.0) ** (k + 1) * math.exp(-k) / k for k in range(1, bidders + 1))
    return scale * math.fsum(terms)


_TWO = {"law": "uniform", "bidders": 2, "items": 2, "profiles": 1_000_000}
_ONE = {"bidders": 1, "items": 2, "profiles": 1_000_000}
_SMALL_MENU: dict[str, dict[str, Any]] = {
    "menu-uniform": {"mechanism": {"optimal_menu": "additive-uniform"}, "law": "uniform01", **_ONE},
    "menu-4-16-4-7": {"mechanism": {"optimal_menu": "additive-4-16-4-7"}, "law": "uniform_4_16_4_7", **_ONE},
    "menu-triangle": {"mechanism": {"optimal_menu": "additive-triangle"}, "law": "triangle", **_ONE},
    "menu-unit-demand": {"mechanism": {"optimal_menu": "unit-uniform"}, "law": "uniform01", "demand": "unit", **_ONE},
}
_MENU_TEXT = {
    "menu-uniform": "One bidder, two items U[0, 1]: the optimal menu.",
    "menu-4-16-4-7": "One bidder, items U[4, 16] and U[4, 7]: the optimal menu, which sells a lottery.",
    "menu-triangle": "One bidder, values uniform on the unit triangle: the optimal menu, a bundle.",
    "menu-unit-demand": "One bidder with unit demand, two items U[0, 1]: the optimal menu.",
}
_CERTIFICATES = (
    "github.com/Baymax-ray/two-bidder-two-item-dsic-certificates (exact rational replay, not peer reviewed): "
)


def _case(name: str, run: str, params: dict[str, Any], description: str, seeds: int = 3) -> Case:
    return Case(name, f"{_MODULE}:{run}", params, seeds=seeds, description=description)


def _revenue_case(name: str, mechanism: Any, description: str, **params: Any) -> Case:
    return _case(name, "mechanism_revenue", {"mechanism": mechanism, **params}, description)


_SINGLE = {"bidders": _N, "items": 1, "profiles": 1_000_000}

SUITE = Suite(
    name="auctions",
    title="Sealed-bid auctions",
    status="verified",
    description=(
        "A million auctions a seed, everybody in equilibrium, beside closed forms. Power: F(v) = v^2 on [0, 1]; "
        "exponential: mean 3; irregular: U[0, 3] with probability 3/4, else U[3, 8]. gain is what a best response, "
        "found on a grid of bids and judged on fresh auctions, adds to the equilibrium utility."
    ),
    cases=(
        *(
            _case(
                f"{name}-{law}",
                "equilibrium",
                {"mechanism": name, "law": law, "bidders": _N, "profiles": 1_000_000, "opponents": 20_000},
                f"{name.capitalize()} auction, {_N} bidders, {law} values.",
            )
            for name in FORMATS
            for law in LAWS
        ),
        _case(
            "revenue-equivalence",
            "revenue_equivalence",
            {"laws": list(LAWS), "sizes": [2, 3, 5], "profiles": 400_000},
            "Three formats, three laws, 2, 3 and 5 bidders: relative distance from theory and between formats.",
            seeds=1,
        ),
        _revenue_case(
            "myerson-uniform", "myerson", "Myerson's auction, 3 bidders, uniform values.", law="uniform", **_SINGLE
        ),
        _revenue_case(
            "myerson-exponential",
            "myerson",
            "Myerson's auction, 3 bidders, exponential values.",
            law="exponential",
            **_SINGLE,
        ),
        _revenue_case(
            "myerson-irregular",
            "myerson",
            "Myerson's auction with ironing, 3 bidders, irregular values.",
            law="irregular",
            **_SINGLE,
        ),
        _revenue_case("vcg-2x2", "vcg", "VCG, 2 additive bidders, 2 items U[0, 1].", **_TWO),
        _revenue_case("myerson-2x2", "myerson", "Myerson's auction item by item, same setting.", **_TWO),
        _revenue_case(
            "bundle-2x2", "bundle-myerson", "Second price for the bundle with its reserve, same setting.", **_TWO
        ),
        _revenue_case(
            "ama-2x2",
            {"symmetric_ama": [159 / 250, 91 / 100, 1137 / 1000]},
            "A symmetric deterministic affine maximiser with published boosts, same setting.",
            **_TWO,
        ),
        *(
            _revenue_case(
                name, params["mechanism"], _MENU_TEXT[name], **{k: v for k, v in params.items() if k != "mechanism"}
            )
            for name, params in _SMALL_MENU.items()
        ),
        _case(
            "regions-optimal-menu",
            "regions",
            {"mechanism": {"optimal_menu": "additive-uniform"}, "others": [], "cells": 200},
            "Who buys what from the optimal menu for one bidder, two items U[0, 1].",
            seeds=1,
        ),
        _case(
            "regions-ama",
            "regions",
            {"mechanism": {"symmetric_ama": [159 / 250, 91 / 100, 1137 / 1000]}, "others": [[0.3, 0.7]], "cells": 200},
            "What bidder 1 receives in ama-2x2 while bidder 2 reports (0.3, 0.7).",
            seeds=1,
        ),
    ),
    metrics=(
        Metric("revenue", better="none", description="Mean revenue of an auction."),
        Metric("utility", better="none", description="Mean utility of a bidder in an auction."),
        Metric("gain", better="lower", description="What a best response would add to the utility."),
        Metric("largest_error", better="lower", description="Largest relative distance of revenue from theory."),
        Metric("largest_spread", better="lower", description="Largest relative distance between formats."),
        Metric("share_both", description="Share of the values that receive both items."),
    ),
    published=(
        Published("second-price-uniform", "revenue", 0.5005, _LOGS, _THEIRS),
        Published("second-price-exponential", "revenue", 2.5004, _LOGS, _THEIRS),
        Published("myerson-uniform", "revenue", 0.5311, _LOGS, _THEIRS),
        Published("myerson-exponential", "revenue", 2.7490, _LOGS, _THEIRS),
        Published(
            "ama-2x2",
            "revenue",
            0.876,
            "arXiv 2606.10112, Table 3, as quoted in github.com/Baymax-ray/two-bidder-two-item-dsic-certificates.",
            "About: what GemNet, another method, earns in this setting.",
        ),
    ),
    known=(
        *(
            known
            for name in FORMATS
            for law in LAWS
            for known in (
                Known(f"{name}-{law}", "revenue", _REVENUE[law], _KRISHNA, "equilibrium", _TOLERANCE[law]),
                Known(f"{name}-{law}", "utility", _UTILITY[law], _KRISHNA, "equilibrium", _TOLERANCE[law]),
                Known(f"{name}-{law}", "gain", 0.0, "nobody gains by leaving an equilibrium", "equilibrium", 5e-3),
            )
        ),
        Known("revenue-equivalence", "largest_error", 0.0, _KRISHNA, "identity", 5e-3),
        Known("revenue-equivalence", "largest_spread", 0.0, _KRISHNA, "identity", 5e-3),
        Known("myerson-uniform", "revenue", 17 / 32, _MYERSON, "optimum", 1e-3),
        Known("myerson-exponential", "revenue", _exponential_optimum(3, 3.0), _MYERSON, "optimum", 8e-3),
        Known("myerson-irregular", "revenue", _irregular_optimum(3), f"{_MYERSON}, section 6", "optimum", 8e-3),
        Known("vcg-2x2", "revenue", 2 / 3, "two second-price auctions; Krishna, section 5.3", "identity", 1e-3),
        Known("myerson-2x2", "revenue", 5 / 6, f"{_MYERSON}, item by item", "identity", 1e-3),
        Known("ama-2x2", "revenue", 26232089810531183 / 3e16, f"{_CERTIFICATES}its revenue", "identity", 1.5e-3),
        Known(
            "ama-2x2",
            "revenue",
            0.882351586,
            f"{_CERTIFICATES}upper bound on every truthful auction in this setting",
            "bound",
            0.0,
        ),
        Known("menu-uniform", "revenue", (12 + 2 * math.sqrt(2)) / 27, _MANELLI, "optimum", 1e-3),
        Known("menu-4-16-4-7", "revenue", 88 / 9, "Daskalakis, Deckelbaum and Tzamos (2017), 88 / 9", "optimum", 1e-2),
        Known(
            "menu-triangle", "revenue", 2 / math.sqrt(27), "Haghpanah and Hartline (2021), 2 / sqrt 27", "optimum", 1e-3
        ),
        Known("menu-unit-demand", "revenue", 2 / math.sqrt(27), "Pavlov (2011), 2 / sqrt 27", "optimum", 1e-3),
        Known(
            "regions-optimal-menu",
            "share_both",
            # Both are worth their price to v1, v2 >= (2 - sqrt 2) / 3 with v1 + v2 >= (4 - sqrt 2) / 3.
            (2 + 2 * math.sqrt(2)) / 9,
            "the area that the prices of Manelli and Vincent (2006) leave, (2 + 2 sqrt 2) / 9",
            "identity",
            2e-3,
        ),
    ),
    targets=(Target("revenue-equivalence", "largest_spread", at_most=0.005, text="revenue equivalence within 0.5 %"),),
    pictures=(
        Picture(
            "bids",
            "Equilibrium bids (lines) and best responses found on a grid (dots), 3 bidders",
            f"{_MODULE}:draw_bids",
            tuple(f"{name}-{law}" for name in FORMATS for law in LAWS),
            (6.6, 3.0),
        ),
        Picture(
            "equivalence",
            "Revenue equivalence: simulated revenue of three formats on the line of theory",
            f"{_MODULE}:draw_equivalence",
            ("revenue-equivalence",),
            (6.6, 3.0),
        ),
        Picture(
            "regions",
            "What each pair of values receives",
            f"{_MODULE}:draw_regions",
            ("regions-optimal-menu", "regions-ama"),
            (6.6, 3.5),
        ),
    ),
)
