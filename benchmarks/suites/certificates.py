"""The certifier at work: known truths certified, broken promises refuted, and what a certificate costs."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Known, Metric, Outcome, Progress, Suite, Target
from walras.envs.auctions.mechanism import Menu, MenuMechanism
from walras.envs.auctions.mechanism import Outcome as Sale

if TYPE_CHECKING:
    from walras.envs.auctions.simplex_menus import SimplexMenus
    from walras.envs.game import Array

_MODULE = "walras.benchmarks.suites.certificates"


def bundles(items: int) -> Array:
    """All bundles (2^m, m), the empty one first."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=items)))


class _SecondPrice(MenuMechanism):
    """Item-wise second price with a reserve, as menus."""

    truthful = individually_rational = deterministic = True

    def __init__(self, reserve: float, items: int) -> None:
        self.reserve, self.options = reserve, bundles(items)

    def menus(self, bids: Array) -> Menu:
        best = np.stack([np.delete(bids, i, axis=1).max(axis=1) for i in range(bids.shape[1])], axis=1)
        items = np.broadcast_to(self.options, (*bids.shape[:2], *self.options.shape))
        return Menu(items, (items * np.maximum(best, self.reserve)[:, :, None, :]).sum(axis=-1))


class _Nosy(_SecondPrice):
    """Prices that follow the bidder's own report."""

    def menus(self, bids: Array) -> Menu:
        items, prices = super().menus(bids)
        return Menu(items, prices + 0.1 * (items * bids[:, :, None, :]).sum(axis=-1))


class _Rationing(_SecondPrice):
    """Everybody may buy at the reserve, the second item for less; what is promised twice is shared, prices with it."""

    def menus(self, bids: Array) -> Menu:
        items = np.broadcast_to(self.options, (*bids.shape[:2], *self.options.shape))
        count = items.sum(axis=-1)
        return Menu(items, self.reserve * (np.minimum(count, 1.0) + np.maximum(count - 1.0, 0.0) / 3.0))

    def outcome(self, bids: Array) -> Sale:
        allocation, payment = self.menus(bids).best(bids)
        share = allocation / np.maximum(allocation.sum(axis=1, keepdims=True), 1.0)
        part = share.sum(axis=-1) / np.maximum(allocation.sum(axis=-1), 1.0)
        return Sale(share, payment * part)


def _itemwise(bidders: int, items: int, grid: int, reserve: float, fee: float) -> SimplexMenus:
    from walras.envs.auctions.simplex_menus import tabulate_menus

    box = np.zeros((bidders, items)), np.ones((bidders, items))
    return tabulate_menus(_SecondPrice(reserve, items), bundles(items), *box, grid, fee=fee)


def known(
    seed: int, progress: Progress, *, bidders: int, items: int, grid: int, reserve: float, fee: float, robust: bool
) -> Outcome:
    """Item-wise second price as a table of menus."""
    from walras.envs.auctions.certify import certify

    menus = _itemwise(bidders, items, grid, reserve, fee)
    certify(_itemwise(bidders, items, 1, 0.0, fee), robust=robust)  # compiles before anything is timed
    found = certify(menus, robust=robust, progress=lambda share: progress(share, "certifying"))
    return Outcome(
        {
            "certified": float(found.status == "certified"),
            "conflicts": found.counts["conflicts left by bounds"],
            "cpu_seconds": found.cpu_seconds,
        }
    )


def altered(seed: int, progress: Progress, *, grid: int, tables: int, change: float) -> Outcome:
    """VCG menus in which one price of one node is too low: each table must be refuted, and its profile replayed."""
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.simplex_menus import SimplexMenus

    vcg = _itemwise(2, 2, grid, 0.0, 2.0**-20)
    rng = np.random.default_rng(seed)
    refuted = replayed = 0
    for k in range(tables):
        prices = np.array(vcg.prices)
        # At a node where somebody else wants the item: elsewhere a lower price is still compatible.
        node = tuple(rng.integers(1, grid + 1, 2))
        prices[rng.integers(2), node[0] * (grid + 1) + node[1], rng.integers(1, 4)] -= change
        menus = SimplexMenus(vcg.low, vcg.high, vcg.options, prices, grid)
        found = certify(menus)
        if found.counterexample is not None:
            refuted += 1
            values = np.array([[[float(x) for x in row] for row in found.counterexample.values]])
            replayed += bool(menus(values).allocation.sum(axis=1).max() > 1.0)
        progress((k + 1) / tables, f"{k + 1} tables")
    return Outcome({"refuted": refuted / tables, "replayed": replayed / tables})


def code(seed: int, progress: Progress) -> Outcome:
    """Mechanisms known as code that break a promise, and two that keep theirs."""
    from walras.agents.regretnet import RegretNetMechanism
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.mechanisms import AllPay, FirstPrice

    rng = np.random.default_rng(seed)

    def net(out: int) -> Any:
        return ((rng.normal(0.0, 0.5, (16, 4)), np.zeros(16)), (rng.normal(0.0, 0.5, (out, 16)), np.zeros(out)))

    broken = (
        FirstPrice(0.5), AllPay(0.0), RegretNetMechanism(net(9), net(2), 2, 2), _Nosy(0.5, 2), _Rationing(0.3, 2)
    )  # fmt: skip
    sound = (_SecondPrice(0.5, 2), lambda bids: _SecondPrice(0.25, 2).outcome(bids))
    box = {"low": np.zeros((2, 2)), "high": np.ones((2, 2)), "seed": seed}
    refuted = [certify(mechanism, **box).status == "refuted" for mechanism in broken]
    accused = [certify(mechanism, **box).status == "refuted" for mechanism in sound]
    return Outcome({"refuted": float(np.mean(refuted)), "accused": float(np.mean(accused))})


def cost(seed: int, progress: Progress, *, grid: int, refined: float, levels: int, sample: int) -> Outcome:
    """A two-by-two table with thousands of refined simplices, beside HiGHS on a sample of the same games."""
    from scipy.optimize import linprog

    from walras.envs.auctions import kuhn
    from walras.envs.auctions.certify import certify
    from walras.envs.auctions.certify.simplex import TwoSides
    from walras.envs.auctions.mechanisms import AMA
    from walras.envs.auctions.simplex_menus import SimplexMenus, Surcharge, tabulate_menus
    from walras.envs.auctions.tables import dyadic

    box = np.zeros((2, 2)), np.ones((2, 2))
    base = tabulate_menus(AMA.symmetric_2x2(0.636, 0.91, 1.137), bundles(2), *box, grid, fee=0.004)
    certify(base)  # compiles before anything is timed
    rng = np.random.default_rng(seed)
    ids = np.flatnonzero(rng.random(kuhn.count(grid, 2)) < refined)
    for level in range(levels):
        ids = kuhn.halve(ids, grid << level, 2).ravel()
    amounts = np.zeros((len(ids), 4))
    amounts[:, 1:] = dyadic(rng.random((len(ids), 1)) * 0.002)  # one fee for all options keeps everything compatible
    order = np.argsort(ids)
    menus = SimplexMenus(
        base.low,
        base.high,
        base.options,
        base.prices,
        grid,
        ((), (Surcharge(levels, ids[order], amounts[order]),)),
    )
    found = certify(menus, progress=lambda share: progress(0.5 * share, "certifying"))

    # The same games one by one: ours from the numbers to the proof in whole numbers, HiGHS in doubles.
    sides = TwoSides(menus, robust=True)
    listed = np.concatenate([block for _, block in sides.conflicts()])
    left = listed[rng.choice(len(listed), sample, replace=False)]
    times = 1 + 20_000 // sample  # ours is too fast to be timed once
    ratios = []
    for turn in range(3):
        start = time.process_time()
        for _ in range(times):
            proved = sides.prove(left)[0]
        middle = time.process_time()
        for a, b, k, other in left.tolist():
            game = np.array(sides.game(a, b, k, other)[0], dtype=np.float64) / sides.unit.per_value
            rows, columns = game.shape
            linprog(
                np.concatenate((np.zeros(rows), [1.0])), A_ub=np.concatenate((game.T, -np.ones((columns, 1))), axis=1),
                b_ub=np.zeros(columns), A_eq=[[1.0] * rows + [0.0]], b_eq=[1.0],
                bounds=[(0.0, None)] * rows + [(None, None)],
            )  # fmt: skip
        ratios.append((time.process_time() - middle) / ((middle - start) / times))
        progress(0.5 + (turn + 1) / 6, f"turn {turn + 1} of 3")
    return Outcome(
        {
            "certified": float(found.status == "certified"),
            "simplices": len(ids),
            "conflicts": found.counts["conflicts left by bounds"],
            "cpu_seconds": found.cpu_seconds,
            "proved": proved / len(left),
            "ratio": statistics.median(ratios),
        }
    )


_TABLES = (
    ("vcg-2x2", {"bidders": 2, "items": 2, "grid": 1, "reserve": 0.0, "fee": 0.0, "robust": False}, "VCG"),
    ("myerson-2x2", {"bidders": 2, "items": 2, "grid": 8, "reserve": 0.5, "fee": 0.0, "robust": False}, ""),
    ("myerson-2x3", {"bidders": 2, "items": 3, "grid": 2, "reserve": 0.5, "fee": 0.0, "robust": False}, ""),
    ("myerson-3x2", {"bidders": 3, "items": 2, "grid": 2, "reserve": 0.5, "fee": 0.0, "robust": False}, ""),
    ("fee-2x2", {"bidders": 2, "items": 2, "grid": 8, "reserve": 0.5, "fee": 2.0**-20, "robust": True}, ""),
    ("fee-3x2", {"bidders": 3, "items": 2, "grid": 4, "reserve": 0.5, "fee": 2.0**-20, "robust": True}, ""),
)

SUITE = Suite(
    name="certificates",
    title="Certificates of auctions",
    status="verified",
    description=(
        "Menus of known auctions are certified on the whole continuous space of values, tables and programs that break "
        "a promise are refuted, and the games of a certificate are timed beside HiGHS (scipy's linprog). Processor "
        "time of one thread."
    ),
    cases=(
        *(
            Case(
                name,
                f"{_MODULE}:known",
                params,
                description=(title or "Item-wise Myerson")
                + " as a table of menus, "
                + (
                    "with a fee of 2^-20, excluded choices beaten by a margin."
                    if params["robust"]
                    else "ties by index."
                ),
            )
            for name, params, title in _TABLES
        ),
        Case(
            "altered-vcg",
            f"{_MODULE}:altered",
            {"grid": 4, "tables": 100, "change": 2.0**-8},
            description="VCG menus with one price of one node lowered by 2^-8, a hundred of them.",
        ),
        Case(
            "code",
            f"{_MODULE}:code",
            description="First price, all pay, a RegretNet, a menu that looks at the own report, a rationing sale; and "
            "two second-price sales.",
            seeds=3,
        ),
        Case(
            "cost-2x2",
            f"{_MODULE}:cost",
            {"grid": 16, "refined": 0.3, "levels": 2, "sample": 200},
            description="Two bidders, two items, 16 cells a side, a third of one table refined twice.",
        ),
        Case(
            "cost-2x2-fine",
            f"{_MODULE}:cost",
            {"grid": 16, "refined": 1.0, "levels": 3, "sample": 200},
            description="The same with all of one table refined three times.",
        ),
    ),
    metrics=(
        Metric("certified", better="higher", description="1: certified."),
        Metric("refuted", better="higher", description="Share of the broken mechanisms that is refuted."),
        Metric(
            "replayed", better="higher", description="Share whose profile over-allocates when it is run in doubles."
        ),
        Metric("accused", better="lower", description="Share of the sound mechanisms that is refuted."),
        Metric("simplices", description="Refined simplices."),
        Metric("conflicts", description="Conflicts that bounds leave open, each decided by its game."),
        Metric("proved", better="higher", description="Share of a sample of them that weights exclude."),
        Metric("cpu_seconds", "s", "lower", "timing", "Time of the certificate."),
        Metric("ratio", "×", "higher", "timing", "Time of HiGHS (by scipy's linprog) over ours, for the same games."),
    ),
    known=tuple(
        Known(name, "certified", 1.0, source, tolerance=0.0)
        for name, source in (
            ("vcg-2x2", "Vickrey 1961"),
            *((name, "Myerson 1981") for name, _, title in _TABLES if not title),
        )
    ),
    targets=(
        Target("altered-vcg", "refuted", at_least=1.0, text="every altered table refuted"),
        Target("altered-vcg", "replayed", at_least=1.0, text="every counterexample holds when it is run"),
        Target("code", "refuted", at_least=1.0, text="every broken program refuted"),
        Target("code", "accused", at_most=0.0, text="no sound program accused"),
        *(
            Target(name, metric, at_least=bound, at_most=most, text=text)
            for name in ("cost-2x2", "cost-2x2-fine")
            for metric, bound, most, text in (
                ("certified", 1.0, None, "certified"),
                ("cpu_seconds", None, 60.0, "a certificate in under a minute"),
                ("cpu_seconds", None, 10.0, "the aim: 10 CPU-s"),
                ("ratio", 20.0, None, "20 times as fast as HiGHS"),
            )
        ),
    ),
)
