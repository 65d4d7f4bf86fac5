"""The rows of the suite `gemnet` about menus on cells: the transform, its programs by three methods, networks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Known, Metric, Outcome, Picture, Progress, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record
    from walras.envs.auctions.cell_menus import CellMenus
    from walras.envs.auctions.mechanism import MenuMechanism
    from walras.envs.auctions.priors import Prior

_MODULE = "walras.benchmarks.suites.gemnet_cells"
_AMA = (159 / 250, 91 / 100, 1137 / 1000)  # the best symmetric deterministic affine maximiser for 2x2 U[0, 1]
_CEILING = 0.882351586
_DERIVED = "derived by hand; exact"
_CERTIFICATES = "two-bidder-two-item-dsic-certificates (exact rational replays, not peer reviewed)"
WORKED = {4: 0.3828125, 8: 0.40039, 16: 0.40869, 32: 0.41272, 64: 0.41470}


def uniform(bidders: int, items: int) -> Prior:
    """Independent values, uniform on [0, 1]."""
    from walras.envs.auctions.laws import Uniform
    from walras.envs.auctions.priors import Prior

    return Prior.iid(Uniform(0.0, 1.0), bidders, items)


def _frozen(source: MenuMechanism, grid: int, bidders: int = 2, items: int = 2, **how: Any) -> CellMenus:
    from walras.algorithms.auctions.cell_transform import freeze
    from walras.envs.auctions.cell_menus import grid_cuts

    shape = (bidders, items)
    return freeze(source, grid_cuts(np.zeros(shape), np.ones(shape), grid), **how)


def _measured(frozen: CellMenus, prior: Prior) -> tuple[dict[str, float], CellMenus]:
    """Revenue before and after the transform, by exact integration, its cost, and the certificate."""
    from walras.algorithms.auctions.cell_transform import promised, transform
    from walras.envs.auctions.cell_revenue import cell_revenue
    from walras.envs.auctions.certify import certify

    transform(frozen)  # compiled before the clock starts
    start = time.process_time()
    made = transform(frozen)
    seconds = time.process_time() - start
    certificate = certify(made.mechanism)
    before, after = cell_revenue(frozen, prior), cell_revenue(made.mechanism, prior)
    return {
        "frozen": before,
        "revenue": after,
        "loss": 1.0 - after / before,
        "conflicts": float((promised(frozen) > 1.0).any(axis=-1).mean()),
        "moved": made.moved / sum(len(delta) for delta in made.delta),
        "certified": float(certificate.status == "certified"),
        "cpu_seconds": seconds,
        "certificate_seconds": certificate.cpu_seconds,
    }, made.mechanism


def itemwise_ama(bidders: int, items: int) -> MenuMechanism:
    """Item-wise Myerson on U[0, 1] as an affine maximiser: every item sold costs a boost of 1/2."""
    import itertools

    from walras.envs.auctions.truthful import AMA

    shares, boosts = [], []
    for owners in itertools.product((None, *range(bidders)), repeat=items):
        shares.append(tuple(tuple(float(owner == i) for owner in owners) for i in range(bidders)))
        boosts.append(-0.5 * sum(owner is not None for owner in owners))
    return AMA(tuple(shares), (1.0,) * bidders, tuple(boosts))


def affine(seed: int, progress: Progress, *, grid: int, bidders: int = 2, items: int = 2) -> Outcome:
    """An affine maximiser frozen on cells and transformed: the best symmetric one for 2x2, else item-wise Myerson."""
    from walras.envs.auctions.truthful import AMA

    source = AMA.symmetric_2x2(*_AMA) if (bidders, items) == (2, 2) else itemwise_ama(bidders, items)
    frozen = _frozen(source, grid, bidders, items)
    metrics, made = _measured(frozen, uniform(bidders, items))
    arrays: dict[str, Any] = {}
    if (bidders, items) == (2, 2):
        steps = (np.arange(120) + 0.5) / 120
        bids = np.zeros((len(steps), 2, 2))
        bids[:, 0] = steps[:, None]
        arrays["reports"] = steps
        for name, mechanism in (("before", frozen), ("after", made)):
            arrays[name] = mechanism.menus(bids).prices[:, 1, 1:]
            arrays[f"{name}_regions"] = _regions(mechanism, (0.6, 0.4), 80)
    return Outcome(metrics, arrays=arrays)


def _regions(mechanism: CellMenus, other: tuple[float, float], cells: int) -> Any:
    """What the second bidder takes by its values, 0 nothing, 1 item 1, 2 item 2, 3 both, the first reports `other`."""
    centres = (np.arange(cells) + 0.5) / cells
    second, first = np.meshgrid(centres, centres, indexing="ij")
    bids = np.empty((cells * cells, 2, 2))
    bids[:, 0] = other
    bids[:, 1] = np.stack([first.ravel(), second.ravel()], axis=1)
    won = mechanism.outcome(bids).allocation[:, 1]
    return np.rint(won[:, 0] + 2 * won[:, 1]).astype(np.int64).reshape(cells, cells)


def adaptive(seed: int, progress: Progress, *, grid: int, rounds: int) -> Outcome:
    """Cells refined where prices moved, against cells refined everywhere."""
    from walras.algorithms.auctions.cell_transform import adaptive_transform, transform
    from walras.envs.auctions.cell_revenue import cell_revenue
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.truthful import AMA

    source, prior = AMA.symmetric_2x2(*_AMA), uniform(2, 2)
    found = adaptive_transform(source, np.zeros((2, 2)), np.ones((2, 2)), grid=grid, rounds=rounds)
    everywhere = transform(_frozen(source, grid << rounds)).mechanism
    revenue = cell_revenue(found.result.mechanism, prior)
    return Outcome(
        {
            "revenue": revenue,
            "against_uniform": revenue - cell_revenue(everywhere, prior),
            "tuples": float(np.prod(found.cells[-1])) / (grid << rounds) ** 4,
            "certified": float(certify(found.result.mechanism).status == "certified"),
        }
    )


def orders(seed: int, progress: Progress, *, grid: int) -> Outcome:
    """Both orders of bidders, mixed by a public coin: symmetric bidders then expect the same."""
    from walras.algorithms.auctions.cell_transform import transform
    from walras.envs.auctions.cell_revenue import cell_revenue
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.mixture import CoinMixture
    from walras.envs.auctions.truthful import AMA

    frozen, prior = _frozen(AMA.symmetric_2x2(*_AMA), grid), uniform(2, 2)
    made = [transform(frozen, order).mechanism for order in ((0, 1), (1, 0))]
    mixture = CoinMixture(tuple(made), (0.5, 0.5))
    values = prior.sample(np.random.default_rng(seed).random((200_000, 4)))
    paid = mixture.outcome(values).payment.mean(axis=0)
    return Outcome(
        {
            "revenue": 0.5 * sum(cell_revenue(mechanism, prior) for mechanism in made),
            "certified": float(certify(mixture).status == "certified"),
            "paid_apart": float(abs(paid[0] - paid[1])),
        }
    )


def worked(seed: int, progress: Progress) -> Outcome:
    """The worked example: one item, prices max(1/2, centre of the other's cell), cells of width 1/g."""
    from walras.algorithms.auctions.cell_transform import transform
    from walras.envs.auctions.cell_revenue import cell_revenue
    from walras.envs.auctions.truthful import AMA

    # A second-price auction with reserve 1/2 is the affine maximiser of these menus.
    source = AMA((((1.0,), (0.0,)), ((0.0,), (1.0,))), (1.0, 1.0), (-0.5, -0.5))
    prior = uniform(2, 1)
    return Outcome(
        {
            f"worked_{grid}": cell_revenue(transform(_frozen(source, grid, 2, 1, nudge=0)).mechanism, prior)
            for grid in WORKED
        }
    )


def solvers(
    seed: int, progress: Progress, *, start: str, grid: int, programs: int, repeats: int = 20, **training: Any
) -> Outcome:
    """The same programs by the fixed point, HiGHS and CP-SAT: objectives and processor time."""
    import itertools

    from walras.algorithms.auctions.cell_programs import programs as programs_of
    from walras.envs.auctions.truthful import AMA

    if start == "ama":
        frozen = _frozen(AMA.symmetric_2x2(*_AMA), grid)
    else:
        frozen = _frozen(_trained(seed, progress, **training).mechanism_, grid, levels=8)
    unit = 2.0**-frozen.bits
    listed = list(itertools.islice(programs_of(frozen), programs))
    listed[0].fixed_point()  # compiled before the clock starts
    seconds = {"fixed": 0.0, "highs": 0.0, "cp": 0.0}
    apart = {"highs": 0.0, "cp": 0.0}
    binaries = []
    for k, program in enumerate(listed):
        before = time.process_time()
        for _ in range(repeats):
            ours = program.fixed_point()
        seconds["fixed"] += (time.process_time() - before) / repeats
        highs, cp, whole = program.highs(), program.cp_sat(unit=unit), program.fixed_point(unit=unit)
        seconds["highs"] += highs.seconds
        seconds["cp"] += cp.seconds
        apart["highs"] = max(apart["highs"], abs(highs.objective - ours.objective))
        apart["cp"] = max(apart["cp"], abs(cp.objective - whole.objective))
        binaries.append(highs.binaries)
        progress((k + 1) / len(listed), f"{k + 1} programs")
    return Outcome(
        {
            "programs": len(listed),
            "binaries": float(np.mean(binaries)),
            "binaries_most": float(np.max(binaries)),
            "highs_apart": apart["highs"],
            "cp_sat_apart": apart["cp"],
            "fixed_point_ms": 1e3 * seconds["fixed"] / len(listed),
            "highs_ms": 1e3 * seconds["highs"] / len(listed),
            "cp_sat_ms": 1e3 * seconds["cp"] / len(listed),
            "highs_ratio": seconds["highs"] / seconds["fixed"],
            "cp_sat_ratio": seconds["cp"] / seconds["fixed"],
        }
    )


def _trained(seed: int, progress: Progress, **training: Any) -> Any:
    from walras.algorithms.auctions.menu_network import MenuNetworkLearner

    return MenuNetworkLearner(uniform(2, 2), seed=seed, **training).fit(progress=progress)


def network(seed: int, progress: Progress, *, grid: int, draws: int, **training: Any) -> Outcome:
    """A menu network, frozen on cells and transformed: revenue and conflicts before, revenue and certificate after."""
    start = time.process_time()
    learner = _trained(seed, progress, **training)
    seconds = time.process_time() - start
    prior = uniform(2, 2)
    values = prior.sample(np.random.default_rng([seed, 1]).random((draws, 4)))
    earned, conflicts, amount = 0.0, 0, 0.0
    for part in np.array_split(values, max(1, draws // 20_000)):
        sale = learner.mechanism_.outcome(part)
        over = np.maximum(sale.allocation.sum(axis=1) - 1.0, 0.0)
        earned += float(sale.payment.sum())
        amount += float(over.sum())
        conflicts += int((over > 1e-3).any(axis=1).sum())
    metrics, _ = _measured(_frozen(learner.mechanism_, grid, levels=8), prior)
    metrics = {name: value for name, value in metrics.items() if name != "conflicts"}
    metrics |= {
        "network": earned / draws,
        "conflicts": conflicts / draws,
        "over_allocation": amount / draws,
        "training_seconds": seconds,
    }
    return Outcome(metrics)


# -- pictures ----------------------------------------------------------------------------------------------------------


def draw_menus(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Prices of the second bidder over the first one's report, and what it takes against one report."""
    from matplotlib.colors import ListedColormap

    arrays = next(iter(results.values()))[0].arrays
    panels = figure.subplots(1, 3, width_ratios=(1.35, 1, 1))
    reports = np.asarray(arrays["reports"])
    for k, label in ((1, "item 1"), (2, "both")):
        for name, style in (("before", ":"), ("after", "-")):
            panels[0].step(
                reports, np.asarray(arrays[name])[:, k], style, color=f"C{k - 1}", where="mid",
                label=label if name == "after" else None,
            )  # fmt: skip
    panels[0].set_xlabel("first bidder reports (x, x)")
    panels[0].set_ylabel("price for the second (dotted: before)")
    panels[0].legend()
    panels[0].grid(True)
    colours = ListedColormap(["#f2f2f2", "#9ecae1", "#fdae6b", "#74c476"])
    for panel, name in zip(panels[1:], ("before", "after"), strict=True):
        panel.imshow(
            np.asarray(arrays[f"{name}_regions"]), origin="lower", extent=(0, 1, 0, 1), cmap=colours, vmin=0, vmax=3
        )
        panel.set_title(f"{name}, the first reports (0.6, 0.4)", fontsize=8)
        panel.set_xlabel("value of item 1")
    panels[1].set_ylabel("value of item 2")


_TRAINING: dict[str, Any] = {"layers": [64, 64], "iterations": 4000, "batch": 2048, "room": 0.03, "room_weight": 1.0}
_SHORT: dict[str, Any] = {"layers": [64, 64], "iterations": 600, "batch": 512}
_GRIDS = (10, 20, 30, 60)

CASES = (
    *(
        Case(f"cells-ama-{grid}", f"{_MODULE}:affine", {"grid": grid}, "minutes" if grid > 30 else "seconds",
             description=f"best symmetric affine maximiser on {grid} x {grid} cells")
        for grid in _GRIDS
    ),
    Case("cells-3x2", f"{_MODULE}:affine", {"grid": 6, "bidders": 3}, "seconds",
         description="three bidders, two items: item-wise Myerson on 6 x 6 cells"),
    Case("cells-2x3", f"{_MODULE}:affine", {"grid": 6, "items": 3}, "minutes",
         description="two bidders, three items: item-wise Myerson on 6 x 6 x 6 cells"),
    Case("cells-adaptive", f"{_MODULE}:adaptive", {"grid": 8, "rounds": 2},
         description="cells refined twice, where prices moved"),
    Case("cells-orders", f"{_MODULE}:orders", {"grid": 20}, description="both orders by a public coin"),
    Case("cells-worked", f"{_MODULE}:worked", description="one item, two bidders, by hand"),
    Case("cells-programs-6", f"{_MODULE}:solvers", {"start": "ama", "grid": 6, "programs": 36},
         requires=("ortools",), description="programs of the affine maximiser, 6 x 6 cells"),
    Case("cells-programs-10", f"{_MODULE}:solvers", {"start": "ama", "grid": 10, "programs": 100},
         requires=("ortools",), description="programs of the affine maximiser, 10 x 10 cells"),
    Case("cells-programs-network", f"{_MODULE}:solvers",
         {"start": "network", "grid": 8, "programs": 20, **_SHORT}, "minutes", requires=("ortools", "torch"),
         description="programs of a network with 8 options and lotteries, 8 x 8 cells"),
    *(
        Case(f"cells-network-{grid}", f"{_MODULE}:network", {"grid": grid, "draws": 1_000_000, **_TRAINING}, "minutes",
             requires=("torch",), description=f"menu network of 8 options on {grid} x {grid} cells")
        for grid in (8, 32)
    ),
)  # fmt: skip

METRICS = (
    Metric("frozen", better="higher", description="Revenue of the menus on cells, before the transform."),
    Metric("revenue", better="higher", description="Revenue after the transform, by exact integration."),
    Metric("loss", better="lower", description="Share of the frozen menus' revenue that the transform costs."),
    Metric("conflicts", better="lower", description="Cell tuples (network: profiles) with an item promised twice."),
    Metric("moved", better="lower", description="Share of menus whose prices rose."),
    Metric("certified", better="higher", description="1: the certifier accepts the mechanism."),
    Metric("cpu_seconds", "s", "lower", "timing", "Processor time of the transform."),
    Metric("certificate_seconds", "s", "lower", "timing", "Processor time of the certificate."),
    Metric("against_uniform", better="higher", description="Revenue above that of cells refined everywhere."),
    Metric("tuples", better="lower", description="Cell tuples as a share of those of cells refined everywhere."),
    Metric("paid_apart", better="lower", description="Difference of the two bidders' mean payments, 200,000 draws."),
    *(Metric(f"worked_{g}", description=f"Revenue of the worked example, {g} cells.") for g in WORKED),
    Metric("programs", description="Programs solved by every method."),
    Metric("binaries", description="Binaries of a program, mean."),
    Metric("binaries_most", description="Binaries of the largest program."),
    Metric("highs_apart", better="lower", description="Largest difference of objectives, HiGHS and fixed point."),
    Metric("cp_sat_apart", better="lower", description="The same, CP-SAT and fixed point, in units of 2^-24 rounded."),
    Metric("fixed_point_ms", "ms", "lower", "timing", "Processor time of a program by the fixed point."),
    Metric("highs_ms", "ms", "lower", "timing", "By HiGHS, without building the program."),
    Metric("cp_sat_ms", "ms", "lower", "timing", "By CP-SAT, without building the program."),
    Metric("highs_ratio", "", "higher", "timing", "HiGHS over fixed point, processor time."),
    Metric("cp_sat_ratio", "", "higher", "timing", "CP-SAT over fixed point, processor time."),
    Metric("network", better="higher", description="Revenue of the network as trained, hard choices, fresh draws."),
    Metric("over_allocation", better="lower", description="Amount promised more than once, mean."),
    Metric("training_seconds", "s", "lower", "timing", "Processor time of the training."),
)

_PROGRAMS = tuple(case.name for case in CASES if case.run.endswith(":solvers"))
_CERTIFIED = tuple(case.name for case in CASES if case.run.endswith((":affine", ":adaptive", ":orders", ":network")))

KNOWN = (
    *(
        Known("cells-worked", f"worked_{g}", value, _DERIVED, "identity", 1e-6 if g == 4 else 6e-6)
        for g, value in WORKED.items()
    ),
    *(Known(f"cells-ama-{g}", "revenue", _CEILING, _CERTIFICATES, "bound", 0.0) for g in _GRIDS),
    Known("cells-orders", "revenue", _CEILING, _CERTIFICATES, "bound", 0.0),
    *(Known(f"cells-network-{g}", "revenue", _CEILING, _CERTIFICATES, "bound", 0.0) for g in (8, 32)),
    *(Known(name, "highs_apart", 0.0, "Tarski (1955): the least fixed point is optimal", "identity", 1e-9)
      for name in _PROGRAMS),
    *(Known(name, "cp_sat_apart", 0.0, "Tarski (1955): the least fixed point is optimal", "identity", 1e-9)
      for name in _PROGRAMS),
)  # fmt: skip

TARGETS = (
    *(Target(name, "certified", at_least=1.0, text="certified") for name in _CERTIFIED),
    *(Target(name, "highs_ratio", at_least=20.0, text="at least 20 times as fast as HiGHS") for name in _PROGRAMS),
)

PICTURES = (
    Picture(
        "cells", "Cells: prices and choices of the second bidder before and after the transform, 20 x 20 cells",
        f"{_MODULE}:draw_menus", ("cells-ama-20",), (8.6, 3.0),
    ),
)  # fmt: skip
