"""Draw the picture of the README: `python docs/picture.py` (about a minute)."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

import walras
from walras.algorithms.regret_matching import RegretMatching
from walras.envs.auctions.one_bidder import ONE_BIDDER
from walras.envs.auctions.priors import Uniform
from walras.envs.auctions.theory import revenue

matplotlib.use("Agg")
INK, ACCENT, SOFT = "#1f2933", "#c2410c", "#2563eb"


def bids(axes) -> None:
    """Independent learners' bids against the equilibrium."""
    values = np.linspace(0, 1, 200)
    for bidders, colour in ((2, ACCENT), (3, SOFT)):
        game = walras.make("walras/FirstPriceAuction-v0", bidders=bidders)
        learner = RegretMatching(game, seed=0).fit(4000)
        axes.plot(
            values,
            learner.mean_bids("bidder_0", values),
            color=colour,
            lw=3,
            alpha=0.75,
            label=f"{bidders} bidders, learned",
        )
        axes.plot(values, (bidders - 1) / bidders * values, color=INK, lw=1, ls="--")
    axes.plot([], [], color=INK, lw=1, ls="--", label="equilibrium")
    axes.set(title="Learned bids on the equilibrium line", xlabel="value", ylabel="bid")
    axes.legend(frameon=False)


def reserves(axes) -> None:
    """Revenue of a second-price auction by its reserve: measured and known."""
    grid, fine = np.linspace(0, 1, 21), np.linspace(0, 1, 200)
    game = walras.make("walras/AuctionDesign-v0", horizon=1, profiles=100_000)
    measured = [
        walras.play(game, {"designer": lambda seen, r=r: np.full((len(seen), 1), r, np.float32)}, seed=0).mean(
            "designer"
        )
        for r in grid
    ]
    axes.plot(fine, [revenue(Uniform(), 2, r) for r in fine], color=INK, lw=1, ls="--", label="theory")
    axes.plot(grid, measured, "o", color=ACCENT, ms=4, label="measured")
    axes.plot([0.5], [5 / 12], "*", color=SOFT, ms=13, label="Myerson: 1/2, 5/12")
    axes.set(title="What a reserve price earns", xlabel="reserve", ylabel="revenue")
    axes.legend(frameon=False, loc="lower left")


def regions(axes) -> None:
    """Who receives what under the optimal menu for two goods."""
    menu = ONE_BIDDER["additive-uniform"].menu
    side = (np.arange(400) + 0.5) / 400
    values = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 1, 2)
    sold = menu.outcome(values).allocation[:, 0]
    kind = (sold[:, 0] + 2 * sold[:, 1]).reshape(400, 400)
    colours = matplotlib.colors.ListedColormap(["#f1f5f9", "#fdba74", "#93c5fd", "#c2410c"])
    axes.imshow(kind, origin="lower", extent=(0, 1, 0, 1), cmap=colours, interpolation="nearest", vmin=0, vmax=3)
    for x, y, text in ((0.3, 0.3, "nothing"), (0.83, 0.12, "good 1"), (0.13, 0.83, "good 2"), (0.75, 0.75, "both")):
        axes.text(x, y, text, ha="center", va="center", color="white" if text == "both" else INK)
    axes.set(title="The optimal menu for two goods", xlabel="value of good 1", ylabel="value of good 2")


def main() -> None:
    """Draw the three panels side by side."""
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "text.color": INK})
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    for draw, panel in zip((bids, reserves, regions), axes, strict=True):
        draw(panel)
    figure.savefig(Path(__file__).with_name("picture.png"), dpi=150)


if __name__ == "__main__":
    main()
