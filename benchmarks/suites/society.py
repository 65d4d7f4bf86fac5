"""Social Environment Design: principals against closed forms, properties, interruption, carry-over, compositions.

Long, because all cases of the setting stand beside the table of what they are held against.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np

from walras.benchmarks.suite import Case, Curve, Known, Metric, Outcome, Picture, Progress, Suite, Target

_MODULE = "walras.benchmarks.suites.society"
_WAGES = (1.0, 2.0, 3.0)
_NASH = {"welfare": "nash", "eps": 0.0}
_OBJECTIVES: dict[str, Any] = {"utilitarian": "utilitarian", "egalitarian": "egalitarian", "nash": _NASH}
_RATES = {"utilitarian": 0.0, "egalitarian": 0.44, "nash": 0.231275795, "median": 0.125}

# -- labour ------------------------------------------------------------------------------------------------------------


def labour(
    seed: int, progress: Progress, *, objective: str, method: dict[str, Any], rounds: int, tail: int = 1
) -> Outcome:
    """A principal that knows nothing of the labour economy tries rates; workers answer the rate they see."""
    from walras.algorithms.society.followers import Seats
    from walras.algorithms.society.principals import as_principal
    from walras.algorithms.society.rounds import live
    from walras.envs.society.labour import LabourTax, utilities

    name = "nash(eps=0.0)" if objective == "nash" else objective
    game = LabourTax(_WAGES, objective=name, rounds=rounds)
    start = time.process_time()
    lived = live(game, as_principal(method), Seats(game), seed=seed, progress=progress)
    seconds = time.process_time() - start
    assert lived.best is not None
    rate = float(lived.best[0])
    wages = np.array(_WAGES)
    shares = lived.history.income[-1] / wages**2
    wanted = 1 - lived.history.policy[-1, 0]
    metrics = {
        "rate": rate, "error": abs(rate - _RATES[objective]), "rounds": float(rounds), "cpu_seconds": seconds,
        "effort_error": float(np.abs(shares - wanted).max()), "least": float(utilities(wages, rate).min()),
    }  # fmt: skip
    x = np.arange(1, rounds + 1)
    return Outcome(metrics, {"rate": Curve(x, lived.history.policy[:, 0], "round", "rate")})


def labour_ppo(seed: int, progress: Progress, *, objective: str) -> Outcome:
    """PPO in the principal's seat (Stable-Baselines3), frozen and asked what it would set."""
    from walras.algorithms.society.followers import Seats
    from walras.algorithms.society.neural import train_principal
    from walras.algorithms.society.rounds import live
    from walras.envs.society.labour import LabourTax

    game = LabourTax(_WAGES, objective="nash(eps=0.0)" if objective == "nash" else objective)
    trained = train_principal(game, seed=seed, progress=progress)
    rate = float(live(game, trained.policy, Seats(game), seed=seed + 1).history.policy[0, 0])
    return Outcome(
        {"rate": rate, "error": abs(rate - _RATES[objective]), "cpu_seconds": trained.cpu_seconds},
        {"return": Curve(trained.curve_steps, trained.curve_returns, "rates tried", "mean objective")},
    )


def labour_dual(seed: int, progress: Progress, *, iterations: int) -> Outcome:
    """Both levels learn at once; followers by shared-parameter PPO on a grid of efforts.

    Workers who learn from what they get count their own part in the lump sum, `w (1 - tau + tau / 3)`, and the best
    rate for the poorest is 0.6875.
    """
    from walras.algorithms.society.followers import Seats
    from walras.algorithms.society.neural import DualRL, DualSettings
    from walras.algorithms.society.rounds import live
    from walras.envs.society.citizens import Citizens
    from walras.envs.society.labour import LabourTax, efforts

    game = LabourTax(_WAGES, objective="egalitarian", effort_grid=13)
    follower = {
        "lanes": 1024, "rollout": 1, "minibatches": 6, "epochs": 3, "learning_rate": 1.5e-3, "schedule": "constant",
        "discount": 0.0, "entropy": 0.006, "reward_scale": 1.0,
    }  # fmt: skip
    settings = DualSettings(iterations=iterations, warm=5, phase_in=1, follower_rollouts=3, follower=follower)
    start = time.process_time()
    both = DualRL(game, settings, seed=seed).fit(progress)
    seconds = time.process_time() - start
    lived = live(game, both.principal(), Seats(game, both.follower_policies()), lanes=500, seed=seed + 1)
    rate = float(lived.history.policy[0, 0])
    played = _efforts(Citizens(game, [rate]), both.follower_policies())
    wages = np.array(_WAGES)
    gap = float(np.abs(played / wages**2 - efforts(wages, rate, 1 / 3) / wages).max())
    curve = Curve(np.arange(1, iterations + 1), np.nan_to_num(both.curve), "turn", "mean objective")
    return Outcome(
        {
            "rate": rate, "error": abs(rate - 0.6875), "least": float(lived.history.utility[0].min()),
            "effort_error": gap, "cpu_seconds": seconds,
        },
        {"return": curve},
    )  # fmt: skip


def _efforts(game: Any, policies: Any) -> Any:
    from walras.envs.play import play

    return play(game, policies, batch=500, seed=7).state.last_income.mean(axis=0)


def median_voter(seed: int, progress: Progress) -> Outcome:
    """Workers vote over the rate itself; nobody is better served by another rate in a pairwise vote."""
    from walras.algorithms.society.followers import Seats
    from walras.algorithms.society.rounds import live
    from walras.envs.society.labour import LabourTax, best_rate, utilities

    game = LabourTax(_WAGES, vote={"rule": "median", "over": "policy"}, rounds=2)
    rate = float(live(game, None, Seats(game), seed=seed).history.policy[-1, 0])
    rng = np.random.default_rng(seed)
    lost = 0
    for k in range(10_000):
        wages = rng.uniform(0.1, 5.0, 7)
        here, there = utilities(wages, best_rate(wages, "median-voter")), utilities(wages, rng.random())
        lost += int((here >= there - 1e-12).sum() < 4)
        if k % 1000 == 0:
            progress(k / 10_000, f"{k} pairwise votes")
    return Outcome({"rate": rate, "error": abs(rate - 0.125), "violations": float(lost)})


# -- the escape room ---------------------------------------------------------------------------------------------------


def escape(seed: int, progress: Progress, *, method: dict[str, Any], followers: str, rounds: int) -> Outcome:
    """Prices for the parts of the room: what they bring at the end, and when nine tenths of 140 are first reached."""
    from walras.algorithms.society.followers import as_followers
    from walras.algorithms.society.principals import as_principal
    from walras.algorithms.society.rounds import Rounds
    from walras.envs.society.escape import EscapeIncentives

    game = EscapeIncentives(relative=True, rounds=rounds)
    rule: dict[str, Any] = {"rule": followers}
    if followers == "no-regret":
        rule |= {"rounds": 200, "adapting": False}
    start = time.process_time()
    run = Rounds(game, as_principal(method), as_followers(rule, game, seed), lanes=2, seed=seed)
    while not run.over:
        run.round()
        progress(run.done / rounds, f"{run.done} principal steps")
    seconds = time.process_time() - start
    raw = run.history().measures[:, 0]
    reached = np.flatnonzero(raw >= 126.0)
    chosen = run.record.arms(run.history().weights[-1])
    best = chosen[0][int(np.argmax(chosen[1]))]
    return Outcome(
        {
            "raw": _replayed(best, followers, seed), "first": float(reached[0] + 1) if len(reached) else float(rounds),
            "late": float(raw[-50:].mean()), "cpu_seconds": seconds,
        },
        {"raw": Curve(np.arange(1, rounds + 1), np.convolve(raw, np.ones(10) / 10, "same"), "principal step", "raw")},
    )  # fmt: skip


def _replayed(prices: Any, followers: str, seed: int) -> float:
    """Raw total of an episode under the prices that were learned, 50 fresh episodes."""
    from walras.algorithms.society.followers import as_followers
    from walras.algorithms.society.principals import Fixed
    from walras.algorithms.society.rounds import Rounds
    from walras.envs.society.escape import EscapeIncentives

    game = EscapeIncentives(relative=True, rounds=1)
    rule: dict[str, Any] = {"rule": followers}
    if followers == "no-regret":
        rule |= {"rounds": 200, "adapting": False}
    fixed = Fixed(tuple(float(price) for price in prices))
    run = Rounds(game, fixed, as_followers(rule, game, seed), lanes=50, seed=seed + 1000)
    run.round()
    return float(run.history().measures[0, 0])


def escape_equilibria(seed: int, progress: Progress) -> Outcome:
    """All 3,125 profiles of a step with every deviation: equilibria at what is paid on the active lever."""
    from walras.envs.society.escape import stage_equilibria

    metrics: dict[str, float] = {}
    for name, paid in (("none", 0.0), ("half", 0.5), ("enough", 1.5), ("most", 5.0)):
        incentive = np.zeros(5)
        incentive[1] = paid
        profiles, raw = stage_equilibria(1, incentive)
        metrics |= {f"equilibria.{name}": float(len(profiles)), f"total.{name}": float(raw.max())}
    return Outcome(metrics)


# -- properties --------------------------------------------------------------------------------------------------------


def properties(seed: int, progress: Progress, *, cases: int) -> Outcome:
    """Random economies and elections: how often a statement fails (never, if it is true)."""
    from walras.envs.society import voting
    from walras.envs.society.taxes import bracket_tax, lump_sum
    from walras.envs.society.welfare import gini

    rng = np.random.default_rng(seed)
    incomes = rng.exponential(12.0, (cases, 7)) * (rng.random((cases, 7)) > 0.2)
    rates = rng.random((cases, 3))
    after = incomes - lump_sum(bracket_tax(incomes, rates, np.array([10.0, 20.0])))
    scale = np.maximum(incomes.sum(axis=1), 1.0)
    unbalanced = np.abs(after.sum(axis=1) - incomes.sum(axis=1)) > 1e-12 * scale
    raised = gini(np.maximum(after, 0.0)) > gini(incomes) + 1e-9
    progress(0.3, "taxes")
    b = rng.random((cases, 7))
    lied = b.copy()
    lied[:, 0] = rng.random(cases)
    zeros = np.zeros(cases)
    worth = voting.lean(b[:, 0] > 0.5)

    def gained(rule: str) -> Any:
        won = voting.vote(rule, voting.lean(b), zeros)
        then = voting.vote(rule, voting.lean(lied), zeros)
        return ((then - won) * worth).sum(axis=1) > 0

    profiles = rng.random((cases, 7, 4))
    wins = voting.pairwise(profiles)
    beats = (wins > wins.transpose(0, 2, 1)).sum(axis=2) == 3
    chosen = voting.vote("copeland", profiles, zeros).argmax(axis=1)
    passed_over = beats.any(axis=1) & ~beats[np.arange(cases), chosen]
    winner = voting.vote("borda", profiles, zeros).argmax(axis=1)
    raised_ballot = profiles.copy()
    raised_ballot[np.arange(cases), 0, winner] = 1.0
    moved = voting.vote("borda", raised_ballot, zeros).argmax(axis=1) != winner
    progress(1.0, "votes")
    return Outcome(
        {
            "cases": float(cases), "unbalanced": float(unbalanced.sum()), "gini_raised": float(raised.sum()),
            "median_manipulated": float(gained("median").sum()),
            "mean_manipulated": float(gained("mean-threshold").sum()),
            "condorcet_missed": float(passed_over.sum()), "borda_not_monotone": float(moved.sum()),
        }
    )  # fmt: skip


def interruption(seed: int, progress: Progress) -> Outcome:
    """A harvest under voted taxes, stopped after every round and gone on from its file: numbers that differ."""
    import tempfile
    from pathlib import Path

    from walras.algorithms.society.followers import Seats
    from walras.algorithms.society.principals import as_principal
    from walras.algorithms.society.rounds import live
    from walras.envs.registry import make

    def build() -> tuple[Any, Any, Any]:
        game: Any = make("walras/TaxCommons-v0", rounds=8, steps=50, design_every=25)
        return game, as_principal({"method": "ucb", "points": 3}), Seats(game, {"player": "restraint"})

    class Stop(Exception):
        pass

    def stop(fraction: float, text: str) -> None:
        raise Stop

    rest: dict[str, Any] = {"ballots": "retrospective", "lanes": 4, "seed": seed}
    whole = live(*build(), **rest)
    stops = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unfinished"
        while True:
            try:
                resumed = live(*build(), **rest, checkpoint=path, progress=stop)
                break
            except Stop:
                stops += 1
                progress(min(stops / 8, 1.0), f"stopped {stops} times")
                if stops >= 8:
                    resumed = live(*build(), **rest, checkpoint=path)
                    break
    fields = ("policy", "weights", "measures", "utility", "income", "revenue", "ballots")
    different = sum(int((getattr(whole.history, name) != getattr(resumed.history, name)).sum()) for name in fields)
    return Outcome({"stops": float(stops), "different": float(different), "rounds": float(len(resumed.history))})


# -- carry-over --------------------------------------------------------------------------------------------------------


class Elastic:
    """A picker whose greed falls with the tax on it: in each step any apple will do with probability 1 - rate.

    Otherwise only apples with three ripe neighbours, those that grow back. Under no tax it is the greedy picker, under
    a full one the restrained one.
    """

    def __init__(self) -> None:
        """Both pickers."""
        from walras.agents.harvest import Restraint

        self._greedy, self._restrained = Restraint(0), Restraint(3)

    def __call__(self, observation: Any, *, rng: np.random.Generator) -> Any:
        """Actions (B,)."""
        greedy = rng.random((len(observation["policy"]),)) >= observation["policy"][:, 0]
        return np.where(greedy, self._greedy(observation, rng=rng), self._restrained(observation, rng=rng))


def carry_over(seed: int, progress: Progress, *, carried: bool, lanes: int, rounds: int, steps: int) -> Outcome:
    """Apples per player and round at each of eleven uniform rates, the orchard carried over between rounds or not."""
    from walras.algorithms.society.followers import Seats
    from walras.algorithms.society.principals import Fixed
    from walras.algorithms.society.rounds import live
    from walras.envs.society.layer import Society

    rates, apples, ripe = np.linspace(0.0, 1.0, 11), [], []
    for k, rate in enumerate(rates):
        game = Society(
            "walras/CommonsHarvest-v0", {"sight": "world"}, rounds=rounds, steps=steps, carry_over=carried,
            levers=[{"lever": "period-tax", "edges": [], "period": 50}], told=["mean:ripe"],
        )  # fmt: skip
        lived = live(game, Fixed((float(rate),)), Seats(game, {"player": Elastic()}), lanes=lanes, seed=seed)
        apples.append(float(lived.history.measures[:, 0].mean()))
        ripe.append(float(lived.history.facts["mean:ripe"][-1]))
        progress((k + 1) / len(rates), f"rate {rate:.1f}: {apples[-1]:.2f} apples")
    best = int(np.argmax(apples))
    return Outcome(
        {"best_rate": float(rates[best]), "apples": apples[best], "apples_untaxed": apples[0], "ripe_end": ripe[best]},
        {"apples": Curve(rates, apples, "tax rate", "apples per player and round")},
    )


# -- compositions ------------------------------------------------------------------------------------------------------


def regulate(seed: int, progress: Progress) -> Outcome:
    """A platform that would serve one seller: without a cap, under a voted cap, under a cap that a principal finds."""
    from walras.algorithms.society.followers import Seats
    from walras.algorithms.society.principals import as_principal
    from walras.algorithms.society.rounds import live
    from walras.envs.society.regulation import FeeCap

    free = FeeCap("harmonic").answer(1.0).welfare
    voted = FeeCap("harmonic", vote={"rule": "median", "over": "policy"})
    vote = live(voted, None, Seats(voted), seed=seed).history
    progress(0.5, "voted")
    ruled = FeeCap("harmonic", rounds=30)
    rule = live(ruled, as_principal({"method": "grid", "points": 21}), Seats(ruled), seed=seed)
    return Outcome(
        {
            "welfare": float(vote.measures[-1, 0]), "cap": float(vote.policy[-1, 0]), "welfare_free": free,
            "welfare_ruled": float(rule.history.measures[-1, 0]),
        }
    )  # fmt: skip


def disclose(seed: int, progress: Progress, *, bidders: int, auctions: int) -> Outcome:
    """A seller tries how likely bidders shall learn their values; revenue beside the closed form."""
    from walras.algorithms.society.followers import Seats
    from walras.algorithms.society.principals import as_principal
    from walras.algorithms.society.rounds import live
    from walras.envs.society import disclosure
    from walras.envs.society.layer import Society

    society = Society(
        "walras/SecondPriceAuction-v0", {"bidders": bidders}, levers=["disclosure"], rounds=11, steps=8,
        objectives=["sum:payment"],
    )  # fmt: skip
    seats = Seats(society, {"bidder": "truthful"})
    lived = live(
        society,
        as_principal({"method": "grid", "points": 11}),
        seats,
        lanes=auctions // 8,
        seed=seed,
        progress=progress,
    )
    at, earned = lived.record.policy[:, 0], lived.record.measures[:, 0]
    exact = np.array([disclosure.revenue(bidders, p) for p in at])
    assert lived.best is not None
    return Outcome(
        {
            "revenue_error": float(np.abs(earned - exact).max()), "revenue_none": float(earned[0]),
            "revenue_all": float(earned[-1]), "best_disclosure": float(lived.best[0]),
        },
        {"revenue": Curve(at, earned, "probability of disclosure", f"revenue, {bidders} bidders")},
    )  # fmt: skip


def draw_carry_over(figure: Any, results: Any) -> None:
    """Apples over the tax rate, with and without carry-over."""
    ax = figure.subplots()
    for case, label in (("carry-over", "the orchard carries over"), ("reset", "a fresh orchard every round")):
        records = results.get(case, ())
        if not records:
            continue
        x = np.asarray(records[0].curves["apples"].x, float)
        rows = np.array([np.asarray(record.curves["apples"].y, float) for record in records])
        ax.plot(x, rows.mean(axis=0), marker="o", markersize=3, label=label)
        ax.fill_between(x, rows.min(axis=0), rows.max(axis=0), alpha=0.2)
    ax.set_xlabel("tax rate")
    ax.set_ylabel("apples per player and round")
    ax.legend(frameon=False, fontsize=8)


def draw_disclosure(figure: Any, results: Any) -> None:
    """Revenue over disclosure: measured points on the closed forms."""
    from walras.envs.society import disclosure

    ax = figure.subplots()
    grid = np.linspace(0.0, 1.0, 101)
    for bidders in (2, 3, 5):
        records = results.get(f"disclosure-{bidders}", ())
        line = ax.plot(grid, [disclosure.revenue(bidders, p) for p in grid], label=f"{bidders} bidders")[0]
        for record in records[:1]:
            curve = record.curves["revenue"]
            ax.plot(curve.x, curve.y, "o", color=line.get_color(), markersize=3)
    ax.set_xlabel("probability that a bidder learns the value")
    ax.set_ylabel("revenue")
    ax.legend(frameon=False, fontsize=8)


# -- the suite ---------------------------------------------------------------------------------------------------------

_METHODS: dict[str, tuple[dict[str, Any], int, tuple[str, ...]]] = {
    "grid": ({"method": "grid", "points": 101}, 101, ()),
    "ucb": ({"method": "ucb", "points": 101}, 200, ()),
    "gaussian-process": ({"method": "gaussian-process"}, 40, ("sklearn",)),
    "saez": ({"method": "saez"}, 40, ()),
}
_LABOUR = [
    Case(
        f"labour-{objective}-{name}", f"{_MODULE}:labour",
        {"objective": objective, "method": method, "rounds": rounds}, requires=requires,
        description=f"Flat tax for {objective} welfare, principal: {name}.",
    )
    for objective, (name, (method, rounds, requires)) in itertools.product(_OBJECTIVES, _METHODS.items())
]  # fmt: skip
_PPO = [
    Case(
        f"labour-{objective}-ppo", f"{_MODULE}:labour_ppo", {"objective": objective}, cost="minutes",
        requires=("torch", "stable_baselines3"), description=f"Flat tax for {objective} welfare, principal: PPO.",
    )
    for objective in _OBJECTIVES
]  # fmt: skip
_ESCAPE_METHODS: dict[str, dict[str, Any]] = {
    "ucb": {"method": "ucb", "points": 3},
    "epsilon-greedy": {"method": "epsilon-greedy", "points": 3, "epsilon": 0.3},
    "thompson": {"method": "thompson", "points": 3, "scale": 1000.0},
}
_ESCAPE = [
    Case(
        f"escape-{name}", f"{_MODULE}:escape", {"method": method, "followers": "scripted", "rounds": 500},
        cost="minutes", seeds=3, description=f"Prices for places, principal: {name}, players answer in turn.",
    )
    for name, method in _ESCAPE_METHODS.items()
] + [
    Case(
        "escape-learners", f"{_MODULE}:escape",
        {"method": _ESCAPE_METHODS["ucb"], "followers": "no-regret", "rounds": 500}, cost="minutes", seeds=3,
        description="Prices for places, principal: UCB, players learn anew by regret matching under each.",
    )
]  # fmt: skip
_ORCHARD = {"lanes": 16, "rounds": 20, "steps": 50}
_THEORY = "derived here; Meltzer and Richard (1981)"
_TRUE = "true on every case"
_CODE = "arXiv 2410.08345, its code; enumeration"

SUITE = Suite(
    name="society",
    title="Social environment design",
    status="verified",
    description=(
        "Principals against the closed forms of a labour economy and of an escape room, statements about taxes and "
        "votes on random cases, runs that are interrupted, carry-over against reset, and compositions: the same "
        "policy layer over a platform and over an auction."
    ),
    cases=(
        *_LABOUR,
        *_PPO,
        Case(
            "labour-dual-rl", f"{_MODULE}:labour_dual", {"iterations": 200}, cost="minutes",
            requires=("torch", "stable_baselines3"),
            description="Flat tax for the poorest, principal and workers learn at once (13 efforts).",
        ),
        Case("labour-median-voter", f"{_MODULE}:median_voter", description="Workers vote over the rate itself."),
        Case(
            "escape-equilibria", f"{_MODULE}:escape_equilibria", description="Pure equilibria of one step, enumerated."
        ),
        *_ESCAPE,
        Case(
            "properties", f"{_MODULE}:properties", {"cases": 20_000},
            description="Taxes and votes on random economies and elections.",
        ),
        Case("interruption", f"{_MODULE}:interruption", description="Voted taxes on a harvest, stopped and resumed."),
        Case(
            "carry-over", f"{_MODULE}:carry_over", {"carried": True, **_ORCHARD}, cost="minutes",
            seeds=3, description="Taxed pickers, the orchard carried over for twenty rounds of 50 steps.",
        ),
        Case(
            "reset", f"{_MODULE}:carry_over", {"carried": False, **_ORCHARD}, cost="minutes", seeds=3,
            description="The same with a fresh orchard every round.",
        ),
        Case("regulate-platform", f"{_MODULE}:regulate", description="A cap on a platform's fee, voted and set."),
        *(
            Case(
                f"disclosure-{bidders}", f"{_MODULE}:disclose", {"bidders": bidders, "auctions": 200_000},
                cost="minutes", description=f"How much {bidders} bidders shall know, second price.",
            )
            for bidders in (2, 3, 5)
        ),
    ),
    metrics=(
        Metric("rate", description="The rate that the principal settles on, or that is voted."),
        Metric("error", better="lower", description="Distance from the best rate of theory."),
        Metric("effort_error", better="lower", description="Largest distance of efforts over wages from theory."),
        Metric("least", better="higher", description="Utility of the poorest."),
        Metric("rounds", description="Rounds played."),
        Metric("cpu_seconds", "s", "lower", "timing", "Processor time."),
        Metric("violations", better="lower", description="Pairwise votes that the median voter's rate lost."),
        Metric("raw", better="higher", description="Raw reward of an episode under the prices learned."),
        Metric("late", better="higher", description="Raw reward of an episode, mean of the last 50 principal steps."),
        Metric("first", better="lower", description="First principal step that reached nine tenths of 140."),
        *(
            Metric(f"{what}.{paid}", description=f"{what} of a step, paid on the active lever: {paid}")
            for what in ("equilibria", "total")
            for paid in ("none", "half", "enough", "most")
        ),
        Metric("cases", description="Random cases."),
        Metric("unbalanced", better="lower", description="Cases in which redistribution changed the total."),
        Metric("gini_raised", better="lower", description="Cases in which redistribution raised the Gini."),
        Metric("median_manipulated", better="lower", description="Lies that paid against a threshold on the median."),
        Metric("mean_manipulated", description="Lies that paid against a threshold on the mean."),
        Metric("condorcet_missed", better="lower", description="Condorcet winners that Copeland passed over."),
        Metric("borda_not_monotone", better="lower", description="Borda winners that lost by gaining support."),
        Metric("stops", description="Interruptions."),
        Metric("different", better="lower", description="Numbers that differ from an uninterrupted run."),
        Metric("best_rate", description="The rate with the most apples."),
        Metric("apples", better="higher", description="Apples per player and round at that rate."),
        Metric("apples_untaxed", description="The same without a tax."),
        Metric("ripe_end", description="Ripe apples at the end at the best rate."),
        Metric("welfare", better="higher", description="Value traded under the voted cap."),
        Metric("welfare_free", description="Value traded without a cap."),
        Metric("welfare_ruled", better="higher", description="Value traded under the cap that a principal finds."),
        Metric("cap", description="The voted cap."),
        Metric("revenue_error", better="lower", description="Largest distance of a mean revenue from the closed form."),
        Metric("revenue_none", description="Revenue when nobody knows the own value."),
        Metric("revenue_all", description="Revenue when everybody does."),
        Metric("best_disclosure", description="The disclosure that earned most."),
    ),
    known=(
        *(
            Known(case.name, "rate", _RATES[str(case.params["objective"])], _THEORY, "optimum", 0.01)
            for case in (*_LABOUR, *_PPO)
        ),
        Known("labour-dual-rl", "rate", 0.6875, f"{_THEORY}; of workers who count their own share", "optimum"),
        Known("labour-dual-rl", "least", 1.760417, f"{_THEORY}; of workers who count their own share", "optimum"),
        Known("labour-median-voter", "rate", 0.125, _THEORY, "equilibrium", 1e-6),
        *(
            Known("escape-equilibria", f"equilibria.{paid}", count, _CODE, "identity", 0)
            for paid, count in (("none", 1.0), ("half", 1.0), ("enough", 10.0), ("most", 10.0))
        ),
        *(
            Known("escape-equilibria", f"total.{paid}", total, _CODE, "identity", 0)
            for paid, total in (("none", 0.0), ("half", 0.0), ("enough", 28.0), ("most", 28.0))
        ),
        *(Known(case.name, "raw", 140.0, "two at the lever, three at the door", "bound", 1e-9) for case in _ESCAPE),
        *(
            Known("properties", name, 0.0, _TRUE, "identity", 0.0)
            for name in ("unbalanced", "gini_raised", "median_manipulated", "condorcet_missed", "borda_not_monotone")
        ),
        Known("interruption", "different", 0.0, "a run resumes to the same bits", "identity", 0.0),
        Known("regulate-platform", "welfare", 11000.0, "all trade with all: matching", "bound", 1e-6),
        Known("regulate-platform", "welfare_free", 6078.0, "arXiv 2309.08781; enumeration", "equilibrium", 1e-6),
        Known("disclosure-2", "best_disclosure", 0.0, "closed form, derived here", "optimum", 0.0),
        Known("disclosure-5", "best_disclosure", 1.0, "closed form, derived here", "optimum", 0.0),
        *(Known(f"disclosure-{n}", "revenue_none", 0.5, "all bid the mean", "identity", 1e-9) for n in (2, 3, 5)),
        *(
            Known(f"disclosure-{n}", "revenue_all", (n - 1) / (n + 1), "Vickrey (1961)", "identity", 3e-3)
            for n in (2, 3, 5)
        ),
    ),
    targets=(
        *(
            Target(case.name, "error", at_most=0.01, text="within 0.01 of the closed form")
            for case in (*_LABOUR, *_PPO)
        ),
        *(
            Target(case.name, "raw", at_least=126.0, text="nine tenths of 140 within 500 principal steps")
            for case in _ESCAPE
        ),
        Target("carry-over", "best_rate", at_least=0.9, text="carried over, the highest rates are best"),
        Target("reset", "best_rate", at_most=0.7, text="with a fresh orchard each round, they are not"),
    ),
    pictures=(
        Picture("carry-over", "The best tax depends on what carries over", f"{_MODULE}:draw_carry_over",
                ("carry-over", "reset")),
        Picture("disclosure", "What a seller earns who lets bidders know", f"{_MODULE}:draw_disclosure",
                ("disclosure-2", "disclosure-3", "disclosure-5")),
    ),
)  # fmt: skip
