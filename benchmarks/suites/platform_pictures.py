"""The pictures of the suite `platform-equilibrium`: a market with its prices, fees, losses, and the sawtooth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record


def draw_graph(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """The trade graph of the first worked market with its matching and both price vectors."""
    from walras.envs.platforms.clearing import clear
    from walras.envs.platforms.market import INSTANCES

    for place, name in enumerate(("general", "chain", "forest")):
        market = INSTANCES[name]()
        result = clear(market.values, market.known)
        axes = figure.add_subplot(1, 3, place + 1)
        n, m = market.values.shape
        left, right = np.linspace(1, 0, n), np.linspace(1, 0, m)
        for i, j in np.argwhere(market.known):
            trades = result.matching[0, i] == j
            axes.plot([0, 1], [left[i], right[j]], color="C0" if trades else "0.75", lw=2.5 if trades else 0.8)
        for i in range(n):
            axes.text(-0.06, left[i], f"{market.values[i].max()}", ha="right", va="center", fontsize=7)
        for j in range(m):
            low, high = int(result.price_min[0, j]), int(result.price_max[0, j])
            axes.text(1.06, right[j], f"{low}–{high}" if low < high else f"{high}", ha="left", va="center", fontsize=7)
        axes.plot(np.zeros(n), left, "o", color="C3", ms=5)
        axes.plot(np.ones(m), right, "s", color="C2", ms=5)
        axes.set_title(f"{name}: welfare {int(result.welfare[0])}", fontsize=8)
        axes.set_xlim(-0.35, 1.45)
        axes.axis("off")


def draw_sweep(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Revenue and welfare of the best equilibrium for the platform over the fee."""
    shown = [case for case in ("v7-fees", "v8-fees", "v6-fees") if case in results]
    for place, case in enumerate(shown):
        arrays = results[case][0].arrays
        axes = figure.add_subplot(1, len(shown), place + 1)
        ideal = arrays["ideal"]
        axes.plot(arrays["fees"], np.array(arrays["revenue"]) / ideal, color="C3", label="revenue")
        welfare = np.array([np.nan if w is None else w for w in arrays["welfare"]])
        axes.plot(arrays["fees"], welfare / ideal, color="C0", label="welfare")
        axes.set_xlabel("fee")
        axes.set_title(case.removesuffix("-fees"), fontsize=8)
        if case == "v6-fees":
            axes.set_xlim(0.95, 1.002)
        if place == 0:
            axes.set_ylabel("share of ideal welfare")
            axes.legend(fontsize=7)


def draw_losses(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Welfare loss over the fee and over the cap, beside the bound."""
    for place, (case, records) in enumerate(results.items()):
        arrays = records[0].arrays
        axes = figure.add_subplot(1, len(results), place + 1)
        axes.plot(arrays["fees"], arrays["bound"], "k--", label="bound")
        axes.plot(arrays["fees"], arrays["most"], color="C3", label="largest, at the fee")
        axes.plot(arrays["fees"], arrays["worst"], color="C1", label="mean worst, at the fee")
        axes.plot(arrays["fees"], arrays["cap"], color="C0", label="mean, fee up to the cap")
        axes.set_yscale("log")
        axes.set_ylim(0.95, 12)
        axes.set_xlabel("fee or cap")
        axes.set_title(case, fontsize=8)
        if place == 0:
            axes.set_ylabel("ideal welfare / welfare")
            axes.legend(fontsize=7)


def draw_trap(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Where fee learners went on the sawtooth."""
    axes = figure.add_subplot(1, 1, 1)
    if "v7-fees" in results:
        arrays = results["v7-fees"][0].arrays
        axes.plot(arrays["fees"], arrays["revenue"], color="0.6", label="revenue")
    for case, records in results.items():
        if case != "v7-fees":
            arrays = records[0].arrays
            axes.plot(arrays["fees"], arrays["rewards"], ".", ms=3, label=case)
    axes.set_xlabel("fee")
    axes.set_ylabel("revenue")
    axes.legend(fontsize=7)
