"""Two-point values: optimal mechanisms by linear programs, and learned menus that reach them with a certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Known, Metric, Outcome, Picture, Progress, Published, Suite, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record
    from walras.envs.auctions.cell_menus import CellMenus
    from walras.envs.auctions.priors import Prior

_MODULE = "walras.benchmarks.suites.yao"
_DERIVED = "linear program over all mechanisms (HiGHS), derived"
_ITEMWISE = "item-wise Myerson, 2 high (1 - (1 - q)^2), equal to the optimum from this q on"
_PAPER = "arXiv 2406.07428, figure of the two-point setting"

# (low, high, q): DSIC optimum, BIC optimum, item-wise Myerson.
TABLE: dict[tuple[float, float, float], tuple[float, float, float]] = {
    (1, 2, 0.2): (2.4256, 2.432, 2.4),
    (1, 2, 0.4): (2.8576, 2.896, 2.8),
    (1, 2, 0.5): (3.125, 3.1875, 3.0),
    (1, 2, 0.6): (3.3984, 3.4272, 3.36),
    (1, 2, 0.7): (3.64, 3.64, 3.64),
    (1, 2, 0.8): (3.84, 3.84, 3.84),
    (3, 7, 0.3): (8.5764, 8.652, 8.4),
    (3, 7, 0.5): (10.75, 10.875, 10.5),
    (3, 7, 0.6): (11.76, 11.76, 11.76),
    (3, 7, 0.7): (12.74, 12.74, 12.74),
}
_QUICK = ((1, 2, 0.4), (3, 7, 0.7))  # learned in every demonstration, the others are of the class "minutes"
_SHOWN = (3, 7, 0.7)


def _name(setting: tuple[float, float, float]) -> str:
    low, high, q = setting
    return f"{low:g}-{high:g}-q{q:g}"


def _prior(low: float, high: float, q: float, bidders: int = 2, items: int = 2) -> Prior:
    from walras.envs.auctions.piecewise import TwoPoint
    from walras.envs.auctions.priors import Prior

    return Prior.iid(TwoPoint(low, high, q), bidders, items)


def optimum(
    seed: int, progress: Progress, *, low: float, high: float, q: float, bidders: int = 2, items: int = 2
) -> Outcome:
    """Optimal revenue in dominant strategies and in Bayesian equilibrium, and that of selling item by item."""
    from walras.envs.auctions.bundles import itemwise_myerson_revenue
    from walras.envs.auctions.finite_lp import bic_optimum, dsic_optimum

    prior = _prior(low, high, q, bidders, items)
    dominant, bayesian = dsic_optimum(prior), bic_optimum(prior)
    itemwise = itemwise_myerson_revenue(prior)
    return Outcome(
        {
            "dsic": dominant.revenue,
            "bic": bayesian.revenue,
            "itemwise": itemwise,
            "bic_over_dsic": bayesian.revenue / dominant.revenue,
            "dsic_over_itemwise": dominant.revenue / itemwise,
        }
    )


def learned(seed: int, progress: Progress, *, low: float, high: float, q: float) -> Outcome:
    """Menus by gradient, their exact form, and its certificate."""
    import time

    from walras.algorithms.auctions.cell_transform import promised, transform
    from walras.algorithms.auctions.finite_menus import FiniteMenuLearner
    from walras.envs.auctions.cell_revenue import cell_revenue
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.finite_lp import dsic_optimum

    prior = _prior(low, high, q)
    start = time.process_time()
    learner = FiniteMenuLearner(prior, seed=seed).fit(progress)
    seconds = time.process_time() - start
    best = dsic_optimum(prior).revenue
    before, after = learner.learned_, learner.mechanism_
    certificate = certify(after)
    single_before, both_before = _prices(before)
    single_after, both_after = _prices(after)
    return Outcome(
        {
            "learned": cell_revenue(before, prior),
            "promised": float(promised(before).max()),
            "transformed": cell_revenue(transform(before).mechanism, prior),
            "choices": learner.choices_.revenue,
            "revenue": cell_revenue(after, prior),
            "short": best - cell_revenue(after, prior),
            "certified": float(certificate.status == "certified"),
            "single_before": single_before,
            "both_before": both_before,
            "single_after": single_after,
            "both_after": both_after,
            "cpu_seconds": seconds,
            "certificate_seconds": certificate.cpu_seconds,
        },
        arrays={"before": _table(before), "after": _table(after)},
    )


def _outcomes(mechanism: CellMenus) -> tuple[Any, Any, Any]:
    """Values (P, n, m) of all type profiles, allocations and payments."""
    from walras.envs.auctions.cell_menus import cell_types

    types = cell_types(mechanism)
    places = np.indices([len(own) for own in types]).reshape(len(types), -1)
    values = np.stack([own[place] for own, place in zip(types, places, strict=True)], axis=1)
    return values, *mechanism.outcome(values)


def _prices(mechanism: CellMenus) -> tuple[float, float]:
    """Mean price paid for one item that is valued high and for both by a bidder who values both high."""
    values, won, paid = _outcomes(mechanism)
    high = values == values.max()
    sold = np.round(won) > 0.5
    alone = (sold.sum(axis=2) == 1) & ((sold & high).sum(axis=2) == 1)
    both = sold.all(axis=2) & high.all(axis=2)

    def mean(chosen: Any) -> float:
        return float(paid[chosen].mean()) if chosen.any() else 0.0

    return mean(alone), mean(both)


def _table(mechanism: CellMenus) -> list[Any]:
    """For every profile: probabilities (n, m) and payments (n,), in one row each."""
    _, won, paid = _outcomes(mechanism)
    return np.concatenate((won.reshape(len(won), -1), paid), axis=1).tolist()  # type: ignore[no-any-return]


# -- pictures ----------------------------------------------------------------------------------------------------------


def draw_profiles(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Who is given what at which price by type profile: learned on the left, certified on the right."""
    record = next(iter(results.values()))[0]
    low, high = _SHOWN[:2]
    types = [f"{a:g}, {b:g}" for a in (low, high) for b in (low, high)]
    panels = figure.subplots(1, 2, sharey=True)
    for panel, name, title in zip(panels, ("before", "after"), ("learned", "certified"), strict=True):
        table = np.asarray(record.arrays[name])
        shades = np.zeros((4, 4))
        for row, (a, b) in enumerate((a, b) for a in range(4) for b in range(4)):
            won, paid = np.round(table[row, :4], 2).reshape(2, 2), table[row, 4:]
            shades[a, b] = paid.sum()
            text = "\n".join(
                f"{'AB'[i]}: {'+'.join(str(j + 1) for j in range(2) if won[i, j] > 0.5) or '-'}  {paid[i]:.2f}"
                for i in range(2)
            )
            panel.text(b, a, text, ha="center", va="center", fontsize=6)
        panel.imshow(shades, cmap="Greens", vmin=0.0, vmax=2.0 * shades.max(), aspect="auto")
        panel.set_xticks(range(4), types)
        panel.set_yticks(range(4), types)
        panel.set_title(title)
        panel.set_xlabel("values of bidder B")
    panels[0].set_ylabel("values of bidder A")


_LEARNED = tuple(f"learned-{_name(setting)}" for setting in TABLE)

SUITE = Suite(
    "yao",
    "Two-point values: dominant-strategy and Bayesian optima, learned and certified",
    "Two bidders, two items, values low or high (probability q), all independent: the setting of Yao (2017). The "
    "optimum over all mechanisms is a linear program; menus learned by gradient are made exact and certified.",
    (
        *(
            Case(f"optimum-{_name(s)}", f"{_MODULE}:optimum", {"low": s[0], "high": s[1], "q": s[2]},
                 description=f"{{{s[0]:g}, {s[1]:g}}}, q = {s[2]:g}: optima by HiGHS")
            for s in TABLE
        ),
        Case("optimum-3-bidders", f"{_MODULE}:optimum", {"low": 1, "high": 2, "q": 0.4, "bidders": 3},
             description="three bidders, two items, {1, 2}, q = 0.4"),
        Case("optimum-3-items", f"{_MODULE}:optimum", {"low": 1, "high": 2, "q": 0.4, "items": 3},
             description="two bidders, three items, {1, 2}, q = 0.4"),
        *(
            Case(f"learned-{_name(s)}", f"{_MODULE}:learned", {"low": s[0], "high": s[1], "q": s[2]},
                 "seconds" if s in _QUICK else "minutes", 1 if s in _QUICK else 3, ("torch",),
                 f"{{{s[0]:g}, {s[1]:g}}}, q = {s[2]:g}: learned, made exact, certified")
            for s in TABLE
        ),
    ),
    (
        Metric("dsic", better="higher", description="Optimal revenue in dominant strategies, ex-post participation."),
        Metric("bic", better="higher", description="Optimal revenue in Bayesian equilibrium, interim participation."),
        Metric("itemwise", better="higher", description="Revenue of Myerson's auction item by item."),
        Metric("bic_over_dsic", description="Bayesian over dominant-strategy optimum."),
        Metric("dsic_over_itemwise", description="Dominant-strategy optimum over item-wise Myerson."),
        Metric("learned", description="Revenue of the learned menus, items promised twice counted twice."),
        Metric("promised", better="lower", description="The most they promise of an item (1: feasible)."),
        Metric("transformed", better="higher", description="Revenue when only prices rise (least fixed point)."),
        Metric("choices", better="higher", description="Best mechanism in which types choose as in the learned menus."),
        Metric("revenue", better="higher", description="Revenue of the certified mechanism."),
        Metric("short", better="lower", description="What it earns less than the optimum of the linear program."),
        Metric("certified", better="higher", description="1: the certifier accepts it."),
        Metric("single_before", description="Learned price of one item for bidders who value it high, mean."),
        Metric("both_before", description="Learned price of both, mean."),
        Metric("single_after", description="Certified price of one item."),
        Metric("both_after", description="Certified price of both."),
        Metric("cpu_seconds", "s", "lower", "timing", "Processor time of learning and exact form."),
        Metric("certificate_seconds", "s", "lower", "timing", "Processor time of the certificate."),
    ),
    published=(
        Published(f"learned-{_name(_SHOWN)}", "single_before", 6.98, _PAPER, "its q is not readable"),
        Published(f"learned-{_name(_SHOWN)}", "both_before", 13.97, _PAPER, "its q is not readable"),
        Published(f"learned-{_name(_SHOWN)}", "single_after", 7.0, _PAPER, "its q is not readable"),
        Published(f"learned-{_name(_SHOWN)}", "both_after", 14.0, _PAPER, "its q is not readable"),
    ),
    known=(
        *(
            Known(f"optimum-{_name(s)}", metric, value, source, "optimum", 1e-6)
            for s, row in TABLE.items()
            for metric, value, source in zip(
                ("dsic", "bic", "itemwise"), row,
                (_ITEMWISE if row[0] == row[2] else _DERIVED,) * 2 + ("Myerson (1981)",), strict=True,
            )
        ),
        *(Known(f"learned-{_name(s)}", "revenue", row[0], _DERIVED, "optimum", 1e-6) for s, row in TABLE.items()),
        Known(f"learned-{_name(_SHOWN)}", "single_after", 7.0, f"{_PAPER}; item-wise pricing", "optimum", 1e-6),
        Known(f"learned-{_name(_SHOWN)}", "both_after", 14.0, f"{_PAPER}; item-wise pricing", "optimum", 1e-6),
    ),
    targets=(
        *(
            target
            for name in _LEARNED
            for target in (
                Target(name, "short", at_most=1e-6, text="equal to the DSIC optimum to 1e-6"),
                Target(name, "certified", at_least=1.0, text="certified"),
            )
        ),
    ),
    pictures=(
        Picture(
            "profiles", "{3, 7}, q = 0.7: items and payments by type profile, learned and certified",
            f"{_MODULE}:draw_profiles", (f"learned-{_name(_SHOWN)}",), (8.0, 4.2),
        ),
    ),
    status="verified",
)  # fmt: skip
