"""GemNet: auctions learned, transformed and certified for several bidders, and how far the parts of the method reach.

Here are the node-price menus with piecewise-affine prices; the rows about menus on cells are in `gemnet_cells`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Cost, Known, Metric, Outcome, Picture, Progress, Published, Suite, Target
from walras.benchmarks.suites import gemnet_cells as cells
from walras.benchmarks.suites import regret_nets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record
    from walras.envs.auctions.mechanism import Mechanism
    from walras.envs.auctions.priors import Prior
    from walras.envs.auctions.simplex_menus import SimplexMenus

_MODULE = "walras.benchmarks.suites.gemnet"
_CERTIFICATES = "github.com/Baymax-ray/two-bidder-two-item-dsic-certificates, exact rational replay, not peer reviewed"
_QUOTED = "arXiv 2606.10112, table 3, as quoted by two-bidder-two-item-dsic-certificates"
_DERIVED = "derived with a prototype of this method, not in the paper"
_CEILING, _PUBLIC = 0.882351586, 0.876514341
_REPORTS = ((0.2, 0.4), (0.5, 0.7), (0.8, 0.9))
_PIXELS = 48


# -- designs -----------------------------------------------------------------------------------------------------------


def designed(seed: int, progress: Progress, *, setting: str, draws: int = 4_000_000) -> Outcome:
    """Learn, transform, certify; revenue before and after, what it cost, and choices for the pictures."""
    from walras.algorithms.auctions.gemnet import DESIGNS, design
    from walras.envs.auctions.simplex_revenue import revenue

    found = design(setting, seed=seed, progress=progress)
    prior = DESIGNS[setting].prior
    before, between, after = (
        revenue(m, prior, draws, np.random.default_rng(seed))
        for m in (found.learned, found.transformed, found.mechanism)
    )
    metrics = {
        "learned": before.mean, "revenue": after.mean, "error": after.error, "transformed": between.mean,
        "loss": 1.0 - between.mean / before.mean, "conflicts": _conflicts(found.learned, prior, seed),
        "certified": float(found.certificate.status == "certified"),
        "open": found.certificate.undecided, "programs_begun": sum(work.programs for work in found.work),
        "largest": max(work.largest for work in found.work), "training_seconds": found.seconds[0],
        "cpu_seconds": found.seconds[1], "certificate_seconds": found.certificate.cpu_seconds,
        "total_seconds": sum(found.seconds),
        **_baselines(prior, DESIGNS[setting].demand),
    }  # fmt: skip
    arrays = {}
    if found.mechanism.low.shape == (2, 2):
        for name, mechanism in (("before", found.learned), ("after", found.mechanism)):
            arrays[name] = [_choices(mechanism, report) for report in _REPORTS]
            bids = mechanism.low + np.array(_REPORTS)[:, None] * (mechanism.high - mechanism.low)
            arrays[f"{name}_prices"] = mechanism.price(bids, 1).tolist()
    return Outcome(metrics, arrays=arrays)


def kept(seed: int, progress: Progress, *, name: str, draws: int, rival: str | None = None) -> Outcome:
    """A mechanism that was learned before: certificate and revenue, measured anew, and its gain over a kept rival."""
    from walras.agents.trained import trained
    from walras.algorithms.auctions.gemnet import DESIGNS
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.simplex_revenue import revenue, revenue_gain

    mechanism, prior = trained(f"gemnet-{name}"), DESIGNS[name].prior
    certificate = certify(mechanism)
    progress(0.3, "revenue")
    earned = revenue(mechanism, prior, draws, np.random.default_rng(seed))
    gains = {}
    if rival is not None:
        _, gain = revenue_gain(mechanism, trained(rival), prior, draws, np.random.default_rng(seed))
        gains = {"gain": gain.mean, "gain_error": gain.error}
    return Outcome(
        {
            **gains, "revenue": earned.mean, "error": earned.error,
            "certified": float(certificate.status == "certified"), "open": certificate.undecided,
            "conflicts": _conflicts(mechanism, prior, seed), "certificate_seconds": certificate.cpu_seconds,
            **_baselines(prior, mechanism.demand),
        }
    )  # fmt: skip


def fees(
    seed: int, progress: Progress, *, name: str, grid: int, iterations: int, draws: int, rate: Sequence[float]
) -> Outcome:
    """Entry fees on top of the best affine maximiser found: gain over it on the same draws, and the certificate."""
    from walras.agents.trained import trained
    from walras.algorithms.auctions.entry_fees import EntryFeeLearner
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.simplex_revenue import revenue_gain
    from walras.envs.auctions.truthful import AMA

    start, (prior, _) = trained(f"ama-{name}"), regret_nets.setting(name)
    assert isinstance(start, AMA)
    clock = time.process_time()
    learner = EntryFeeLearner(prior, start, grid=grid, iterations=iterations, rate=(rate[0], rate[1]), seed=seed)
    mechanism = learner.fit(progress=progress).mechanism_
    spent = time.process_time() - clock
    earned, gain = revenue_gain(mechanism, start, prior, draws, np.random.default_rng(seed))
    certificate = certify(mechanism)
    return Outcome(
        {
            "revenue": earned.mean, "error": earned.error, "gain": gain.mean, "gain_error": gain.error,
            "certified": float(certificate.status == "certified"), "training_seconds": spent,
            "certificate_seconds": certificate.cpu_seconds, **_baselines(prior, mechanism.demand),
        }
    )  # fmt: skip


def _baselines(prior: Prior, demand: str) -> dict[str, float]:
    """Selling item by item and as one bundle, optimally; for additive bidders."""
    from walras.envs.auctions.bundles import bundle_myerson_revenue, itemwise_myerson_revenue

    if demand != "additive":
        return {}
    rows = {"item_by_item": itemwise_myerson_revenue(prior)}
    laws = prior.marginals
    if laws is not None and all(row == laws[0] for row in laws):
        rows["bundle"] = bundle_myerson_revenue(prior)
    return rows


def _conflicts(mechanism: Mechanism, prior: Prior, seed: int, draws: int = 1 << 20) -> float:
    """Share of profiles at which an item is promised more than once."""
    rng = np.random.default_rng([seed, 1])
    values = prior.transform(rng.random((draws, prior.draws)))
    over = mechanism.outcome(values).allocation.sum(axis=1) > 1.0 + 1e-9
    return float(over.any(axis=1).mean())


def _choices(mechanism: Any, report: tuple[float, float]) -> list[Any]:
    """What the second bidder chooses, on a grid of its values, when the first reports `report` (shares of its box)."""
    axis = (np.arange(_PIXELS) + 0.5) / _PIXELS
    own = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    bids = np.empty((len(own), 2, 2))
    bids[:, 0], bids[:, 1] = report, own
    bids = mechanism.low + bids * (mechanism.high - mechanism.low)
    allocation = mechanism.outcome(bids).allocation[:, 1]
    taken: list[Any] = (allocation @ np.array([1.0, 2.0])).reshape(_PIXELS, _PIXELS).tolist()
    return taken


# -- parts of the method -----------------------------------------------------------------------------------------------


def _affine_maximiser(grid: int) -> SimplexMenus:
    """The best symmetric deterministic affine maximiser for 2x2 U[0, 1], its prices tabulated on a grid."""
    from walras.envs.auctions.simplex_menus import tabulate_menus
    from walras.envs.auctions.truthful import AMA

    bundles = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    ama = AMA.symmetric_2x2(159 / 250, 91 / 100, 1137 / 1000)
    return tabulate_menus(ama, bundles, np.zeros((2, 2)), np.ones((2, 2)), grid)


def interpolated(seed: int, progress: Progress, *, grid: int, levels: int) -> Outcome:
    """The best three-parameter affine maximiser, its prices interpolated between nodes, transformed."""
    from walras.algorithms.auctions.piece_transform import transform
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.simplex_revenue import integrated_revenue

    learned, prior = _affine_maximiser(grid), regret_nets.setting("2x2")[0]
    clock = time.process_time()
    mechanism, work = transform(learned, levels=levels)
    spent = time.process_time() - clock
    certificate = certify(mechanism)
    before, after = integrated_revenue(learned, prior), integrated_revenue(mechanism, prior)
    return Outcome(
        {
            "learned": before.mean, "revenue": after.mean, "error": after.error, "loss": 1.0 - after.mean / before.mean,
            "conflicts": _conflicts(learned, prior, seed), "certified": float(certificate.status == "certified"),
            "programs_begun": sum(step.programs for step in work), "largest": max(step.largest for step in work),
            "cpu_seconds": spent, "certificate_seconds": certificate.cpu_seconds,
        }
    )  # fmt: skip


def orders(seed: int, progress: Progress, *, grid: int, levels: int) -> Outcome:
    """The same start, transformed with either bidder first; a public coin over both treats the bidders alike."""
    from walras.algorithms.auctions.gemnet import mixed_orders
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.simplex_menus import SimplexMenus
    from walras.envs.auctions.simplex_revenue import integrated_revenue

    learned, prior = _affine_maximiser(grid), regret_nets.setting("2x2")[0]
    mixture = mixed_orders(learned, levels=levels, progress=progress)
    values = prior.transform(np.random.default_rng(seed).random((200_000, prior.draws)))

    def unlike(mechanism: Mechanism) -> float:
        exchanged = mechanism.outcome(values[:, ::-1]).payment[:, ::-1]
        return float(np.abs(mechanism.outcome(values).payment - exchanged).max())

    earned = [integrated_revenue(part, prior).mean for part in mixture.mechanisms if isinstance(part, SimplexMenus)]
    return Outcome(
        {
            "revenue": float(np.mean(earned)), "certified": float(certify(mixture).status == "certified"),
            "unlike": unlike(mixture), "unlike_alone": unlike(mixture.mechanisms[0]),
        }
    )  # fmt: skip


def bounds(seed: int, progress: Progress, *, programs: int) -> Outcome:
    """Linear programs of the transform by the compiled simplex method and by HiGHS, one by one in one process."""
    from scipy.optimize import linprog

    from walras.algorithms.auctions.piece_kernels import least_bound

    rng = np.random.default_rng(seed)
    work = np.zeros((10, 8))
    cases = [
        (rng.normal(size=(3, 9)) + 0.3, rng.normal(size=(2, 9)), rng.normal(size=2)) for _ in range(programs)
    ]  # rows and columns of two bidders and two items
    least_bound(*cases[0], -np.inf, work)
    clock = time.process_time()
    ours = [least_bound(*case, -np.inf, work) for case in cases]
    fast = time.process_time() - clock
    apart, slow = 0.0, 0.0
    for (best, gain, added), mine in zip(cases, ours, strict=True):
        matrix = np.block([[-gain, np.ones((2, 1))], [-best, np.zeros((3, 1))]])
        clock = time.process_time()
        answer = linprog(
            [0.0] * 9 + [-1.0], A_ub=matrix, b_ub=np.append(added, np.zeros(3)), A_eq=[[1.0] * 9 + [0.0]], b_eq=[1.0],
            bounds=[(0, None)] * 9 + [(None, None)], method="highs",
        )  # fmt: skip
        slow += time.process_time() - clock
        empty = answer.status == 2
        apart = max(apart, 1.0 if empty != (mine == -np.inf) else 0.0 if empty else abs(mine + answer.fun))
    return Outcome(
        {"programs": programs, "highs_apart": apart, "fixed_point_ms": 1e3 * fast / programs,
         "highs_ms": 1e3 * slow / programs, "highs_ratio": slow / fast}
    )  # fmt: skip


# -- pictures ----------------------------------------------------------------------------------------------------------


def draw_regions(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """What the second bidder takes, before and after the transform, for three reports of the first."""
    from matplotlib.colors import ListedColormap

    arrays = next(iter(results.values()))[0].arrays
    colours = ListedColormap(["#f1f5f9", "#fdba74", "#93c5fd", "#4ade80"])
    for row, name in enumerate(("before", "after")):
        for column, report in enumerate(_REPORTS):
            axes = figure.add_subplot(2, 3, row * 3 + column + 1)
            axes.imshow(
                np.array(arrays[name][column]).T, origin="lower", extent=(0, 1, 0, 1), cmap=colours, vmin=0, vmax=3
            )
            prices = arrays[f"{name}_prices"][column]
            axes.set_title(
                f"{name}, other reports {report}\nprices {prices[2]:.3f}, {prices[1]:.3f}, both {prices[3]:.3f}",
                fontsize=7,
            )
            axes.set_xticks([0, 0.5, 1])
            axes.set_yticks([0, 0.5, 1])
            if row:
                axes.set_xlabel("value of item 1", fontsize=7)
            if column == 0:
                axes.set_ylabel("value of item 2", fontsize=7)
    figure.tight_layout()


# -- the suite ---------------------------------------------------------------------------------------------------------

_DESIGNS: dict[str, tuple[Cost, int, str]] = {
    "2x2-quick": ("seconds", 1, "Two bidders, two items, U[0, 1]: a short training."),
    "2x2": ("minutes", 3, "Two bidders, two items, U[0, 1]: the full training."),
    "2x2-items": ("minutes", 1, "Items with U[0, 1] and U[0, 2]."),
    "2x2-bidders": ("minutes", 1, "Bidders with U[0, 1] and U[0, 2]."),
    "2x2-beta": ("minutes", 1, "Beta(1, 2) values."),
    "2x2-unit": ("minutes", 1, "Unit demand: menus that swap items cannot keep a margin, see the page."),
    "2x3": ("hour", 1, "Two bidders, three items, U[0, 1]."),
    "3x2": ("hour", 1, "Three bidders, two items, U[0, 1]."),
}
_KEPT: dict[str, tuple[Cost, dict[str, Any]]] = {
    "2x2": ("seconds", {"draws": 1_000}),
    "2x2-bidders": ("minutes", {"draws": 4_000_000, "rival": "ama-asymmetric-2x2"}),
    "2x2-beta": ("minutes", {"draws": 4_000_000, "rival": "ama-beta-2x2"}),
}
_RIVALS = {  # exact revenue of the best affine maximiser found, and of our own Lottery AMA where it is known
    "design-2x2-bidders": 1.3695257, "design-2x2-beta": 0.5502, "design-2x2-unit": 0.7140817,
    "design-2x3": 1.3550, "design-3x2": 1.0897, "fees-3x2": 1.0897, "fees-2x3": 1.3550, "fees-unit-2x2": 0.7140817,
}  # fmt: skip
_FEES: dict[str, dict[str, Any]] = {
    "unit-2x2": {"grid": 16, "iterations": 4000},
    "3x2": {"grid": 4, "iterations": 2500},
    "2x3": {"grid": 8, "iterations": 2500},
}
_NEEDS = ("torch",)

_OWN = (
    *(
        Case(
            f"design-{name}", f"{_MODULE}:designed", {"setting": name, "draws": 10_000_000}, cost, seeds, _NEEDS, text
        )
        for name, (cost, seeds, text) in _DESIGNS.items()
    ),
    *(
        Case(f"kept-{name}", f"{_MODULE}:kept", {"name": name, **settings}, cost,
             description="A mechanism kept with the package, certified and measured anew.")
        for name, (cost, settings) in _KEPT.items()
    ),
    *(
        Case(f"fees-{name}", f"{_MODULE}:fees", {"name": name, "draws": 10_000_000, "rate": [2e-3, 5e-5], **settings},
             "minutes", requires=_NEEDS, description="Affine maximiser with entry fees, against the one without.")
        for name, settings in _FEES.items()
    ),
    *(
        Case(f"ama-{grid}", f"{_MODULE}:interpolated", {"grid": grid, "levels": 2},
             description="The best three-parameter affine maximiser on a grid of prices, transformed.")
        for grid in (4, 16)
    ),
    Case("orders", f"{_MODULE}:orders", {"grid": 8, "levels": 1},
         description="Either bidder first, mixed by a public coin."),
    Case("programs-pieces", f"{_MODULE}:bounds", {"programs": 300},
         description="Programs of the size of two bidders and two items: compiled simplex method and HiGHS."),
)  # fmt: skip

_CERTIFIED = [
    case.name for case in _OWN if case.run.endswith((":designed", ":kept", ":fees", ":interpolated", ":orders"))
]
_UNIFORM = [f"design-{name}" for name in ("2x2-quick", "2x2")] + (["kept-2x2"] if "2x2" in _KEPT else [])

SUITE = Suite(
    name="gemnet",
    title="Learned auctions with a proof (GemNet)",
    description=(
        "Menus learned for several bidders, made compatible on the whole value space by the transform, and certified "
        "in whole numbers by a program that shares no code with either. The paper's own tables were not available: its "
        "revenue is quoted from a later paper."
    ),
    status="verified",
    cases=(*_OWN, *cells.CASES),
    metrics=(
        *cells.METRICS,
        Metric("learned", better="higher", description="Revenue of the learned menus, conflicts and all."),
        Metric("transformed", better="higher", description="Revenue after the transform, before `earn`."),
        Metric("error", better="lower", description="Standard error of the revenue, or error of its integration."),
        Metric("open", better="lower", description="Share of the value space that the certificate leaves undecided."),
        Metric("programs_begun", description="Linear programs of the transform."),
        Metric("largest", better="lower", description="Largest surcharge."),
        Metric("total_seconds", "s", "lower", "timing", "Processor time of learning, transform and certificate."),
        Metric("item_by_item", better="higher", description="Revenue of Myerson's auction of each item."),
        Metric("bundle", better="higher", description="Revenue of the bundle at second price with its reserve."),
        Metric("unlike", better="lower", description="Largest difference of payments when bidders exchange values."),
        Metric("unlike_alone", better="lower", description="The same for one order alone."),
        Metric("gain", better="higher", description="Revenue above the affine maximiser's, on the same draws."),
        Metric("gain_error", better="lower", description="Standard error of the gain."),
    ),
    published=(
        *(Published(name, "revenue", 0.876, _QUOTED, "about; GemNet after its transform") for name in _UNIFORM),
        Published("ama-4", "revenue", 0.8707, _DERIVED, "the same start and grid, no refinement"),
        Published("ama-4", "learned", 0.8709, _DERIVED),
    ),
    known=(
        *(Known(name, "revenue", _CEILING, _CERTIFICATES, "bound", 0.0) for name in (*_UNIFORM, "ama-4", "ama-16")),
        Known("programs-pieces", "highs_apart", 0.0, "duality", "identity", 1e-9),
        *cells.KNOWN,
    ),
    targets=(
        *(Target(name, "certified", at_least=1.0, text="certified on the whole value space") for name in _CERTIFIED),
        *(Target(f"design-{name}", "revenue", at_least=least, text="above item by item and bundle")
          for name, least in (("2x3", 1.2778), ("3x2", 1.0625), ("2x2-bidders", 1.2917), ("2x2-beta", 0.53396))),
        *(Target(name, "revenue", at_least=least, text="above our affine maximisers")
          for name, least in _RIVALS.items()),
        *(Target(f"kept-{name}", "gain", at_least=0.0, text="above the affine maximiser")
          for name in ("2x2-bidders", "2x2-beta")),
        Target("design-2x2", "revenue", at_least=0.8766, text="above the best certified public mechanism, 0.876514"),
        Target("design-2x2", "loss", at_most=0.0002, text="the transform costs less than 0.02 %"),
        Target("design-2x2", "total_seconds", at_most=600.0, text="ten minutes"),
        Target("design-2x2", "certificate_seconds", at_most=10.0, text="certificate in 10 CPU-s"),
        *(Target(f"fees-{name}", "gain", at_least=0.0, text="above the affine maximiser") for name in _FEES),
        *cells.TARGETS,
    ),
    pictures=(
        Picture(
            "regions", "What the second bidder takes, before and after the transform", f"{_MODULE}:draw_regions",
            ("design-2x2-quick",), (8.0, 5.6),
        ),
        Picture(
            "regions-full", "The same after the full training", f"{_MODULE}:draw_regions", ("design-2x2",), (8.0, 5.6)
        ),
        *cells.PICTURES,
    ),
)  # fmt: skip
