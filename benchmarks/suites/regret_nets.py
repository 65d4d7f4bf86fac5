"""Rivals of GemNet: affine maximisers, truthful by construction, and regret networks, truthful approximately.

Affine maximisers are searched and learned, regret networks are learned with small budgets and audited; bidders who
learn or try misreports meet both kinds. Revenue under uniform values is exact, elsewhere from ten million fresh draws.
The file is long because it holds one row for each rival and setting.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from walras.benchmarks.suite import Case, Curve, Known, Metric, Outcome, Picture, Progress, Published, Suite, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record
    from walras.envs.auctions.mechanisms import AMA, Mechanism
    from walras.envs.auctions.priors import Prior

_MODULE = "walras.benchmarks.suites.regret_nets"
_CHUNK = 100_000
SETTINGS = ("2x2", "3x2", "2x3", "unit-2x2", "asymmetric-2x2", "beta-2x2")


def setting(name: str) -> tuple[Prior, str]:
    """Prior and demand of a setting: U[0, 1] unless its name says otherwise, bidders x items."""
    from walras.envs.auctions import priors

    if name == "asymmetric-2x2":
        return priors.Prior.per_bidder((priors.Uniform(0.0, 1.0), priors.Uniform(0.0, 2.0)), 2), "additive"
    if name == "beta-2x2":
        return priors.Prior.iid(priors.Beta(1.0, 2.0), 2, 2), "additive"
    demand = "unit" if name.startswith("unit-") else "additive"
    bidders, items = map(int, name.rpartition("-")[2].split("x"))
    return priors.prior("uniform01", bidders, items), demand


# -- affine maximisers -------------------------------------------------------------------------------------------------


def _affine_outcome(auction: AMA, prior: Prior, seed: int, draws: int, seconds: float) -> dict[str, float]:
    """Revenue of an affine maximiser, exactly where values are uniform and few, and what else a row shows of it."""
    from walras.algorithms.auctions.affine_kernels import affine_payments
    from walras.envs.auctions.affine_revenue import uniform_revenue
    from walras.envs.auctions.priors import Uniform

    facts = {"cpu_seconds": seconds, "outcomes": float(len(auction.boosts))}
    if seconds == 0.0:
        del facts["cpu_seconds"]
    uniform = all(isinstance(law, Uniform) for row in prior.marginals or () for law in row)
    # With six values exact fractions stay short only where outcomes and weights are plain numbers.
    plain = auction.deterministic and set(auction.weights) == {1.0}
    if uniform and (prior.bidders * prior.items <= 4 or plain):
        return {"revenue": float(uniform_revenue(auction, prior)), "standard_error": 0.0, **facts}
    rng = np.random.Generator(np.random.Philox([seed, 7]))
    shares, weights, boosts = (np.array(part) for part in (auction.allocations, auction.weights, auction.boosts))
    paid = np.concatenate([
        affine_payments(prior.sample(rng.random((_CHUNK, prior.draws))), shares, weights, boosts)
        for _ in range(max(1, draws // _CHUNK))
    ])  # fmt: skip
    return {"revenue": float(paid.mean()), "standard_error": float(paid.std() / math.sqrt(len(paid))), **facts}


def affine_search(seed: int, progress: Progress, *, name: str, draws: int) -> Outcome:
    """Search for the best deterministic affine maximiser, from scratch."""
    from walras.algorithms.auctions.ama_search import AffineSearch

    prior, demand = setting(name)
    start = time.process_time()
    found = AffineSearch(prior, demand, seed=seed).fit(progress)
    seconds = time.process_time() - start
    metrics = _affine_outcome(found.mechanism_, prior, seed, draws, seconds)
    return Outcome(metrics, arrays={"boosts": found.boosts_, "weights": found.weights_})


def affine_learning(
    seed: int,
    progress: Progress,
    *,
    name: str,
    learner: Literal["AssignmentAMA", "VVCA", "LotteryAMA", "AMenuNet"],
    settings: Mapping[str, Any],
    draws: int,
) -> Outcome:
    """Learn an affine maximiser by gradient, from scratch."""
    from walras.algorithms.auctions import affine_learners, amenunet

    prior, demand = setting(name)
    given: dict[str, Any] = {
        key: tuple(map(tuple, entry)) if isinstance(entry, list) else entry for key, entry in settings.items()
    }
    start = time.process_time()
    trained: affine_learners.AffineLearner
    if learner == "AMenuNet":
        trained = amenunet.AMenuNet(prior, amenunet.AMenuNetSettings(**given), seed=seed)
    else:
        kind = {entry.__name__: entry for entry in (
            affine_learners.AssignmentAMA, affine_learners.VVCA, affine_learners.LotteryAMA
        )}[learner]  # fmt: skip
        trained = kind(prior, demand, affine_learners.AffineSettings(**given), seed=seed)
    auction = trained.fit(progress=progress).mechanism_
    metrics = _affine_outcome(auction, prior, seed, draws, time.process_time() - start)
    shares = np.array(auction.allocations)
    metrics["lotteries"] = float(((shares > 0.01) & (shares < 0.99)).any(axis=(1, 2)).sum())
    steps, measures = zip(*trained.curve_, strict=True)
    return Outcome(metrics, curves={"revenue": Curve(steps, measures, "steps", "revenue")})


def given_auction(seed: int, progress: Progress, *, name: str, numbers: Sequence[float]) -> Outcome:
    """A symmetric deterministic affine maximiser with given boosts, integrated exactly."""
    from walras.envs.auctions.mechanisms import AMA

    prior, _ = setting(name)
    return Outcome(_affine_outcome(AMA.symmetric_2x2(*numbers), prior, seed, 0, 0.0))


def baseline(seed: int, progress: Progress, *, name: str, rule: str) -> Outcome:
    """What a classical auction earns: by closed form or quadrature where there is one, else by a million draws."""
    from walras.agents.designers import VCG, evaluate
    from walras.envs.auctions import bundles, theory

    prior, demand = setting(name)
    laws = prior.marginals or ()
    if rule == "myerson":
        return Outcome({"revenue": bundles.itemwise_myerson_revenue(prior), "standard_error": 0.0})
    if rule == "bundle":
        return Outcome({"revenue": bundles.bundle_myerson_revenue(prior), "standard_error": 0.0})
    if demand == "additive" and all(row == laws[0] for row in laws) and len(set(laws[0])) == 1:
        return Outcome({"revenue": theory.vcg_revenue(laws[0][0], prior.bidders, prior.items), "standard_error": 0.0})
    earned = evaluate(VCG(), prior, demand, profiles=1_000_000, rng=np.random.default_rng(seed))
    return Outcome({"revenue": earned.revenue, "standard_error": earned.standard_error})


# -- regret networks ---------------------------------------------------------------------------------------------------


def regretnet(
    seed: int, progress: Progress, *, name: str, settings: Mapping[str, Any], profiles: int, searched: int
) -> Outcome:
    """Train a regret network for a short time, and audit it: what it earns, and what misreports gain."""
    from walras.algorithms.auctions.regretnet import RegretNet, RegretNetSettings

    prior, demand = setting(name)
    start = time.process_time()
    trained = RegretNet(prior, demand, RegretNetSettings(**settings), seed=seed)
    trained.fit(progress=lambda share, text: progress(0.95 * share, text))
    seconds = time.process_time() - start
    metrics = _audited(trained.mechanism_, prior, demand, seed, profiles, searched) | {"cpu_seconds": seconds}
    metrics["training_regret"] = float(np.mean([regret for _, regret in trained.regret_[-10:]]))
    steps, measures = zip(*trained.curve_, strict=True)
    at, regrets = zip(*trained.regret_, strict=True)
    return Outcome(
        metrics,
        curves={
            "revenue": Curve(steps, measures, "steps", "revenue"),
            "training_regret": Curve(at, regrets, "steps", "regret found in training"),
        },
    )


def _audited(
    mechanism: Mechanism, prior: Prior, demand: str, seed: int, profiles: int, searched: int
) -> dict[str, float]:
    from walras.envs.auctions.audit import audit

    found = audit(mechanism, prior, demand, profiles=profiles, searched=searched, rng=np.random.default_rng([seed, 11]))
    return {
        "revenue": found.revenue,
        "standard_error": found.standard_error,
        "regret": found.mean_gain,
        "largest_gain": found.gain,
        "above_ceiling": float(found.exceeds),
        "reported_untruthful": float(found.broken == "truthful"),
        "witness": float(found.broken == "truthful" and found.report is not None),
    }


def mechanism(given: str) -> Mechanism:
    """A mechanism by name: a kept one (`walras.agents.trained`), or a classical one for 2x2 U[0, 1]."""
    from walras.agents.trained import trained
    from walras.envs.auctions.named import MECHANISMS, as_mechanism

    prior, demand = setting("2x2")
    return as_mechanism(given, prior, demand) if given in MECHANISMS else trained(given)


def auditing(seed: int, progress: Progress, *, given: str, profiles: int, searched: int) -> Outcome:
    """Audit a mechanism for two additive bidders and two items U[0, 1]."""
    prior, demand = setting("2x2")
    return Outcome(_audited(mechanism(given), prior, demand, seed, profiles, searched))


# -- bidders who look for more -----------------------------------------------------------------------------------------


def misreporting(
    seed: int, progress: Progress, *, given: str, profiles: int, steps: int, episodes: int, opponents: int
) -> Outcome:
    """Four kinds of bidders against one mechanism for 2x2 U[0, 1]: what each gains over reporting its values.

    Two know everybody's values and climb gradients or try reports; two know only their own: a best response on a
    grid of reports, and PPO.
    """
    from walras.agents.best_response import exploitability
    from walras.algorithms.ppo import PPOSettings, train_ppo
    from walras.envs.auctions.mechanism import value
    from walras.envs.auctions.misreports import gradient_misreports, search_misreports
    from walras.envs.auctions.rules import SealedBidAuction
    from walras.envs.play import play

    prior, _ = setting("2x2")
    rules = mechanism(given)
    values = prior.sample(np.random.default_rng([seed, 13]).random((profiles, prior.draws)))
    tried = search_misreports(values, rules.outcome, low=prior.low, high=prior.high).gains
    progress(0.1, "reports tried")
    climbed = gradient_misreports(values, rules.outcome, high=prior.high.max(axis=0))
    won, paid = rules.outcome(values)
    honest, gains = value(values, won) - paid, []
    for i in range(2):
        bids = values.copy()
        bids[:, i] = climbed[:, i]
        won, paid = rules.outcome(bids)
        gains.append(value(values, won)[:, i] - paid[:, i] - honest[:, i])
    progress(0.2, "gradients climbed")
    game = SealedBidAuction(2, 2, mechanism=rules)
    grid = exploitability(
        game, "truthful", profiles=opponents, test_profiles=episodes, seed=seed, agents=("bidder_0",)
    )["bidder_0"]
    learned = train_ppo(
        game, "bidder_0", PPOSettings(steps=steps), seed=seed, others="truthful",
        progress=lambda share, text: progress(0.3 + 0.65 * share, text),
    )  # fmt: skip
    own = play(game, {"bidder_0": learned.policy, "bidder_1": "truthful"}, batch=episodes, seed=1_000_003 + seed)
    true = play(game, {"bidder_0": "truthful", "bidder_1": "truthful"}, batch=episodes, seed=1_000_003 + seed)
    difference = own.returns[:, 0] - true.returns[:, 0]
    return Outcome({
        "search_gain": float(tried.mean()),
        "gradient_gain": float(np.mean(gains)),
        "grid_gain": grid.gain,
        "ppo_gain": float(difference.mean()),
        "ppo_error": float(difference.std() / math.sqrt(episodes)),
        "honest_utility": float(true.returns[:, 0].mean()),
    })  # fmt: skip


# -- picture -----------------------------------------------------------------------------------------------------------


def draw_ceiling(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Revenue of every mechanism for 2x2 U[0, 1] as bars beside the proven ceiling."""
    from walras.envs.auctions.audit import CERTIFIED_2X2

    axes = figure.add_subplot()
    names = [name for name in _PICTURED if name in results]
    heights = [float(np.mean([record.metrics["revenue"] for record in results[name]])) for name in names]
    colours = ["#c2410c" if name.startswith("regretnet") else "#2f7fb8" for name in names]
    axes.barh(range(len(names)), heights, color=colours)
    axes.set_yticks(range(len(names)), [name.removesuffix("-2x2") for name in names], fontsize=7)
    axes.invert_yaxis()
    axes.axvline(CERTIFIED_2X2.revenue, color="0.2", linestyle="--", linewidth=1.0)
    axes.text(CERTIFIED_2X2.revenue, -0.7, "proven ceiling", fontsize=7, ha="center")
    axes.set_xlim(0.64, 0.94)
    axes.set_xlabel("revenue")


# -- the suite ---------------------------------------------------------------------------------------------------------

_CERTIFICATES = "github.com/Baymax-ray/two-bidder-two-item-dsic-certificates, exact rational replay, not peer reviewed"
_REGRETNET = "Duetting et al., Optimal Auctions through Deep Learning, arXiv 1706.03459"
_MEMORY = "Quoted from memory; read off a test sample."
_RELEASED = "Weights released with the code of arXiv 2202.13110 (optimaler), 2x2 U[0, 1]"
_REMEASURED = "Re-measured from the released weights with misreports on a 31 x 31 grid, not as printed."
_REQUIRES = {
    "affine_learning": ("torch",),
    "regretnet": ("torch",),
    "misreporting": ("torch", "stable_baselines3"),
}
_SHORT = {"profiles": 8192, "misreport_steps": 10, "rho_every": 2000}
_LISTED_BOOSTS = {"vcg": (0.0, 0.0, 0.0), "item-wise": (0.5, 1.0, 1.0), "bsym": (1.15, 0.82, 1.10)}
_BEST = (159 / 250, 91 / 100, 1137 / 1000)
_CERTIFIED = ("gemnet-2x2", "ama-2x2")
_TRUTHFUL = (*_CERTIFIED, "vcg", "myerson", "bundle-myerson")
_PICTURED = (
    "vcg-2x2", "myerson-2x2", "bundle-2x2", "vvca-2x2", "amenunet-2x2", "lottery-from-lotteries-2x2", "lottery-2x2",
    "assignments-2x2", "search-2x2", "regretnet-2x2", "regretnet-budget-2x2",
)  # fmt: skip


def _case(name: str, run: str, params: dict[str, Any], text: str, cost: Any = "seconds", seeds: int = 1) -> Case:
    return Case(
        name, f"{_MODULE}:{run}", params, cost=cost, seeds=seeds, requires=_REQUIRES.get(run, ()), description=text
    )


def _learning(name: str, learner: str, text: str, setting: str, **settings: Any) -> Case:
    params = {"name": setting, "learner": learner, "settings": settings, "draws": 10_000_000}
    return _case(f"{name}-{setting}", "affine_learning", params, f"{text}, {setting}.", "minutes", 3)


_QUICK = {"iterations": 3000, "batch": 1024}
_LARGE = {"iterations": 2000, "batch": 1024, "menu": 8}

SUITE = Suite(
    name="regret-nets",
    title="Rivals: affine maximisers and regret networks",
    status="verified",
    description=(
        "Additive bidders with values U[0, 1] unless the name says otherwise: unit (unit demand), asymmetric (the "
        "second bidder's values are U[0, 2]), beta (Beta(1, 2)). Affine maximisers are truthful by construction. "
        "Regret networks are not: their regret is what misreports gain on a grid of reports refined around the best, "
        "and revenue above the proven ceiling is bought with it. Trainings are short ones on one core: the published "
        "RegretNet took 400,000 steps, these take 8,000."
    ),
    cases=(
        *(
            _case(
                f"search-{name}",
                "affine_search",
                {"name": name, "draws": 10_000_000},
                f"Best deterministic affine maximiser found by search, {name}.",
                "seconds" if name in ("2x2", "unit-2x2") else "minutes",
            )
            for name in SETTINGS
        ),
        *(
            _case(
                f"ama-{name}-2x2",
                "given_auction",
                {"name": "2x2", "numbers": list(numbers)},
                f"Symmetric affine maximiser with the boosts of {name}, integrated exactly.",
            )
            for name, numbers in (_LISTED_BOOSTS | {"certificates": _BEST}).items()
        ),
        *(
            _case(f"{rule}-{name}", "baseline", {"name": name, "rule": rule}, f"{text}, {name}.")
            for rule, text in (
                ("vcg", "VCG"),
                ("myerson", "Myerson's auction item by item"),
                ("bundle", "Second price for the bundle"),
            )
            for name in (*SETTINGS, "3x10")
            if not (rule != "vcg" and name.startswith("unit")) and not (rule == "bundle" and name == "asymmetric-2x2")
        ),
        _learning("assignments", "AssignmentAMA", "A free boost for every assignment, by gradient", "2x2", **_QUICK),
        _learning("vvca", "VVCA", "VVCA by gradient", "2x2", **_QUICK),
        _learning(
            "lottery",
            "LotteryAMA",
            "Lottery AMA started from all assignments and 16 lotteries",
            "2x2",
            menu=16,
            **_QUICK,
        ),
        _learning(
            "lottery-from-lotteries",
            "LotteryAMA",
            "Lottery AMA started from 32 random lotteries",
            "2x2",
            menu=32,
            assignments=False,
            temperatures=[[0.0, 100.0], [0.3, 300.0]],
            hard=0.6,
            **_QUICK,
        ),
        *(
            _learning(
                "amenunet",
                "AMenuNet",
                "AMenuNet, short training",
                name,
                iterations=1500 if name == "2x2" else 1000,
                temperatures=[[0.0, 100.0], [0.5, 500.0]],
            )
            for name in ("2x2", "3x2", "2x3")
        ),
        *(
            _learning(tag, learner, text, name, iterations=2000, batch=1024)
            for tag, learner, text in (
                ("assignments", "AssignmentAMA", "A free boost for every assignment, by gradient"),
                ("vvca", "VVCA", "VVCA by gradient"),
            )
            for name in ("3x2", "2x3")
        ),
        _learning(
            "lottery", "LotteryAMA", "Lottery AMA started from all assignments and 8 lotteries", "unit-2x2", **_LARGE
        ),
        *(
            _learning(
                "lottery", "LotteryAMA", "Lottery AMA started from all assignments and 8 lotteries", name, **_LARGE
            )
            for name in ("3x2", "2x3")
        ),
        *(
            _case(
                f"regretnet{tag}-2x2",
                "regretnet",
                {
                    "name": "2x2",
                    "settings": {"iterations": 8000, "penalty": penalty, **_SHORT},
                    "profiles": 200_000,
                    "searched": 300,
                },
                f"RegretNet with {text}, 8,000 steps.",
                "minutes",
                3,
            )
            for tag, penalty, text in (
                ("", "lagrangian", "its augmented Lagrangian"),
                ("-budget", "budget", "a budget of regret"),
            )
        ),
        *(
            _case(
                f"audit-{given}",
                "auditing",
                {"given": given, "profiles": 200_000, "searched": 200},
                f"Audit of {given} for 2x2 U[0, 1]: revenue against the ceiling, misreports tried.",
            )
            for given in ("regretnet-2x2", *_TRUTHFUL)
        ),
        *(
            _case(
                f"bidders-{given}",
                "misreporting",
                {"given": given, "profiles": 200, "steps": 200_000, "episodes": 100_000, "opponents": 1000},
                f"Bidders who look for better reports against {given}, 2x2 U[0, 1].",
                "minutes",
                3,
            )
            for given in ("regretnet-2x2", *_CERTIFIED)
        ),
    ),
    metrics=(
        Metric("revenue", better="higher", description="Mean revenue from truthful reports."),
        Metric("standard_error", better="none", description="Of the revenue; 0 where it is exact."),
        Metric("outcomes", better="none", description="Outcomes of the affine maximiser that matter."),
        Metric("lotteries", better="none", description="Of these, outcomes that give an item by chance."),
        Metric("regret", better="lower", description="Mean gain of the misreports found, a bidder and profile."),
        Metric("largest_gain", better="lower", description="Largest gain of a misreport found."),
        Metric("training_regret", better="lower", description="Mean regret that training itself found at its end."),
        Metric("above_ceiling", better="none", description="1 where revenue exceeds the proven ceiling by 4 errors."),
        Metric("reported_untruthful", better="none", description="1 where the audit reports it as not truthful."),
        Metric("witness", better="none", description="1 where the audit shows a profile and a misreport that gains."),
        Metric("search_gain", better="none", description="Mean gain of trying reports, knowing all values."),
        Metric("gradient_gain", better="none", description="Mean gain of climbing gradients, knowing all values."),
        Metric("grid_gain", better="none", description="Gain of a best response that knows the own value alone."),
        Metric("ppo_gain", better="none", description="Gain of PPO over the truth on the same auctions."),
        Metric("ppo_error", better="none", description="Standard error of it."),
        Metric("honest_utility", better="none", description="Mean utility of the truthful bidder."),
        Metric("cpu_seconds", "s", "lower", "timing", "Processor time of search or training."),
    ),
    published=(
        Published("regretnet-2x2", "revenue", 0.878, _REGRETNET, f"{_MEMORY} Regret below 0.001, 400,000 steps."),
        Published(
            "audit-regretnet-2x2", "revenue", 0.896, f"{_RELEASED}: RegretNet, seeds 0.896, 0.894, 0.897.", _REMEASURED
        ),
        Published("audit-regretnet-2x2", "regret", 0.0008, f"{_RELEASED}: RegretNet.", _REMEASURED),
        Published(
            "regretnet-budget-2x2", "revenue", 0.912, f"{_RELEASED}: RegretFormer, seed 0; regret 0.0016.", _REMEASURED
        ),
        Published("vvca-2x2", "revenue", 0.860, f"{_REGRETNET}, table of baselines: VVCA.", _MEMORY),
        Published("ama-bsym-2x2", "revenue", 0.862, f"{_REGRETNET}, table of baselines: AMA_bsym.", _MEMORY),
        Published("myerson-3x10", "revenue", 5.310, f"{_REGRETNET}: item-wise Myerson, 3x10.", _MEMORY),
        Published("bundle-3x10", "revenue", 5.009, f"{_REGRETNET}: bundled Myerson, 3x10.", _MEMORY),
        Published(
            "search-2x2",
            "revenue",
            0.876,
            "arXiv 2606.10112, Table 3, as quoted in github.com/Baymax-ray/two-bidder-two-item-dsic-certificates.",
            "About: what GemNet, another method, earns in this setting.",
        ),
    ),
    known=(
        Known("ama-vcg-2x2", "revenue", 2 / 3, "two second-price auctions; Krishna, section 5.3", "identity", 1e-12),
        Known("ama-item-wise-2x2", "revenue", 5 / 6, "Myerson (1981), item by item", "identity", 1e-12),
        Known(
            "ama-bsym-2x2",
            "revenue",
            336757781 / 390625000,
            "exact integration, checked by quadrature: the boosts of Sandholm and Likhodedov",
            "identity",
            1e-9,
        ),
        Known(
            "ama-certificates-2x2",
            "revenue",
            26232089810531183 / 3e16,
            f"{_CERTIFICATES}: its revenue",
            "identity",
            1e-9,
        ),
        *(
            Known(name, "revenue", 0.882351586, f"{_CERTIFICATES}: bound on every truthful auction", "bound", 0.0)
            for name in ("search-2x2", "assignments-2x2", "lottery-2x2", "vvca-2x2", "amenunet-2x2")
        ),
        Known("vcg-2x2", "revenue", 2 / 3, "Krishna, section 5.3", "identity", 1e-9),
        Known("myerson-2x2", "revenue", 5 / 6, "Myerson (1981)", "identity", 1e-6),
        Known("myerson-3x2", "revenue", 17 / 16, "Myerson (1981)", "identity", 1e-6),
        Known("myerson-2x3", "revenue", 5 / 4, "Myerson (1981)", "identity", 1e-6),
        Known("myerson-3x10", "revenue", 5.3125, "Myerson (1981)", "identity", 1e-6),
        *(
            Known(f"audit-{name}", metric, 0.0, "dominant strategies", "identity", 0.0)
            for name in _TRUTHFUL
            for metric in ("largest_gain", "reported_untruthful", "above_ceiling")
        ),
        *(
            Known(f"bidders-{name}", metric, 0.0, "dominant strategies", "identity", 0.0)
            for name in _CERTIFIED
            for metric in ("search_gain", "gradient_gain")
        ),
    ),
    targets=(
        Target("search-2x2", "revenue", at_least=0.8744, text="the search finds a known auction of 0.8744 or better"),
        Target(
            "audit-regretnet-2x2",
            "reported_untruthful",
            at_least=1.0,
            text="a mechanism whose revenue exceeds the proven ceiling is reported as not truthful",
        ),
        Target("audit-regretnet-2x2", "above_ceiling", at_least=1.0, text="its revenue exceeds the proven ceiling"),
        Target("audit-regretnet-2x2", "witness", at_least=1.0, text="a profitable misreport is shown"),
        *(
            Target(f"bidders-{name}", metric, at_most=0.0, text=f"{bidder} gains nothing against a certified mechanism")
            for name in _CERTIFIED
            for metric, bidder in (("ppo_gain", "PPO"), ("grid_gain", "a best response"))
        ),
        Target("bidders-regretnet-2x2", "ppo_gain", at_least=0.001, text="PPO finds a gain against RegretNet"),
        Target("bidders-regretnet-2x2", "gradient_gain", at_least=0.001, text="gradients find a gain against it"),
        Target("bidders-regretnet-2x2", "grid_gain", at_least=0.001, text="a best response finds a gain against it"),
    ),
    pictures=(
        Picture(
            "ceiling",
            "Two additive bidders, two items U[0, 1]: truthful auctions (blue) and regret networks (red) beside the "
            "proven ceiling",
            f"{_MODULE}:draw_ceiling",
            _PICTURED,
            (6.0, 3.4),
        ),
    ),
)
