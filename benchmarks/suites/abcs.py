"""ABCs and its baselines at the published budgets of nodes, beside the authors' stored results (arXiv 2402.11835).

Every method is run in two profiles: `published` follows the authors' code, faults included, and is held against their
figures; `corrected` is what walras recommends. All are compared at equal numbers of nodes touched, never of iterations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from walras.benchmarks.suite import Case, Curve, Known, Metric, Outcome, Picture, Progress, Published, Suite, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record

_MODULE = "walras.benchmarks.suites.abcs"
POINTS = (5, 10, 25, 50, 75, 100)
"""Percentages of the budget at which published figures are known."""

METHODS = {"abcs": "ABCs", "max": "MaxCFR", "es": "ExternalSampling", "os": "OutcomeSampling", "bql": "BoltzmannQ"}
"""Short names of the methods, and the classes behind them."""

WORDS = {
    "abcs": "ABCs",
    "max": "MAX-CFR",
    "es": "external sampling",
    "os": "outcome sampling",
    "bql": "Boltzmann Q-learning",
}
"""What tables and pictures call them."""


def make_learner(
    method: str,
    game: str | None,
    process: Any,
    profile: str,
    seed: int,
    options: Mapping[str, Any],
    parameters: Mapping[str, Any] | None = None,
) -> Any:
    """A fresh learner of that method; the arguments are those of `learn`."""
    from walras.algorithms import tabular
    from walras.envs.tabular import cached_game

    flat = None if game is None else cached_game(game, **(parameters or {}))
    if method == "es":
        late = profile == "published"
        return tabular.ExternalSampling(flat, rule="hedge", averaging="published" if late else "opponent", seed=seed)
    learner = getattr(tabular, METHODS[method])
    return learner(flat, process=process, profile=profile, seed=seed, **options)


def learn(
    seed: int,
    progress: Progress,
    *,
    method: str,
    profile: str,
    nodes: int,
    game: str | None = None,
    process: Any = None,
    options: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Outcome:
    """Learn with a budget of nodes and measure after each twentieth of it.

    Args:
        seed: Of the learner, and of the random process where there is one.
        progress: Told how far it is.
        method: A key of `METHODS`.
        profile: `"published"` or `"corrected"`.
        nodes: Budget.
        game: Text or id of the game; `None` for a process alone.
        process: `"cartpole"`, parameters of a random layered process, or `None`.
        options: More arguments of the learner.
        parameters: Of the game.
    """
    import time

    if isinstance(process, Mapping):
        process = {**process, "seed": seed}
    make_learner(method, game, process, profile, seed, options or {}, parameters).fit(nodes=1)  # compiles
    learner = make_learner(method, game, process, profile, seed, options or {}, parameters)
    measure = _measures(learner, game, process)
    spent = 0.0
    touched: list[int] = []
    values: dict[str, list[float]] = {}
    for point in range(1, 21):
        start = time.process_time()
        learner.fit(nodes=max(0, nodes * point // 20 - learner.nodes_))
        spent += time.process_time() - start
        touched.append(learner.nodes_)
        for name, value in measure(point).items():
            values.setdefault(name, []).append(value)
        progress(point / 20, f"{learner.nodes_:,} nodes")
    metrics: dict[str, float] = {"cpu_seconds": spent, "nodes_per_second": learner.nodes_ / spent}
    curves = {}
    for name, series in values.items():
        metrics |= {_at(name, percent): series[percent // 5 - 1] for percent in POINTS}
        curves[name] = Curve(touched, series, "nodes touched", name)
    if method == "abcs" and (options or {}).get("oracle") is None:
        metrics["alarm_rate"] = learner.alarm_rate_
    return Outcome(metrics, curves)


def _at(name: str, percent: int) -> str:
    return name if percent == 100 else f"{name}_{percent:02d}"


def _measures(learner: Any, game: str | None, process: Any) -> Any:
    """A function of the point (1 to 20) that gives what this setting is measured by."""
    from walras.algorithms.tabular import exploitability, gains, nash_conv, process_optimum, process_value

    def of_game() -> dict[str, float]:
        if game is None:
            return {}
        average = learner.average_
        if "WeightedRPS" in game:
            return {"gain": nash_conv(learner.game, average), "published_gain": published_gain(learner.game, average)}
        if learner.game.constant_sum is None:
            return {"nash_conv": float(gains(learner.game, average).sum())}
        return {"exploitability": exploitability(learner.game, average)}

    if process is None:
        return lambda point: of_game()
    if process == "cartpole":
        seed = learner.settings["seed"]

        def with_cartpole(point: int) -> dict[str, float]:
            return {"regret": 200.0 - learner.process_return(10, limit=200, seed=1000 * seed + point)} | of_game()

        return with_cartpole
    best = process_optimum(learner.process)
    slots = int(learner.process.n_actions.sum())

    def with_process(point: int) -> dict[str, float]:
        return {"regret": best - process_value(learner.process, learner.policy_[:slots])} | of_game()

    return with_process


def published_gain(game: Any, strategy: Any) -> float:
    """The sum of gains in weighted rock-paper-scissors by the authors' evaluator, which has R - 2 P for P's gain.

    The right one is R - 2 S; both agree at the equilibrium (1/2, 1/4, 1/4) and at the uniform strategy only.
    """
    import numpy as np

    total = 0.0
    for player in range(2):
        rock, paper, scissors = np.asarray(strategy)[game.slots(player)]
        total += max(scissors - paper, rock - 2 * paper, 2 * paper - rock)
    return float(total)


def draw_values(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Value against nodes touched; one panel a game, one line a method, the authors' means as diamonds."""
    panels = [panel for panel in _PANELS if any(name.startswith(panel[0]) for name in results)]
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (prefix, metric, title) in zip(axes, panels, strict=True):
        for k, method in enumerate(METHODS):
            records = results.get(f"{prefix}-{method}-published")
            if not records:
                continue
            draw_line(axis, [record.curves[metric] for record in records], f"C{k}", WORDS[method])
            known = [row for row in SUITE.published if row.case == f"{prefix}-{method}-published"]
            budget = records[0].curves[metric].x[-1]
            dots = {int(row.metric[-2:]) if row.metric[-2:].isdigit() else 100: row.value for row in known}
            axis.plot(
                [budget * percent / 100 for percent in dots], list(dots.values()), "D", color=f"C{k}", markersize=3.5
            )
        scale(axis, "symlog" if metric == "regret" else "log")
        axis.set_title(title)
    handles = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=5)


def draw_profiles(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Leduc poker: every method as published (dashed) and corrected."""
    axis = figure.subplots()
    for k, method in enumerate(METHODS):
        for profile, style in (("published", "--"), ("corrected", "-")):
            records = results.get(f"leduc-{method}-{profile}")
            if records:
                curves = [record.curves["exploitability"] for record in records]
                draw_line(axis, curves, f"C{k}", f"{WORDS[method]}, {profile}", style)
    scale(axis)
    axis.set_ylabel("exploitability")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper")


def scale(axis: Any, vertical: str = "log") -> None:
    """Nodes touched, and values on a logarithmic axis (`"symlog"`: that reaches zero), labelled at 1, 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("nodes touched")
    if vertical == "symlog":
        axis.set_yscale("symlog", linthresh=1.0)
        axis.set_ylim(bottom=0.0)
    else:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(True)


def draw_line(axis: Any, curves: Sequence[Curve], colour: str, label: str, style: str = "-") -> None:
    """The mean of several seeds' curves over nodes touched, and the range between them."""
    import numpy as np

    x = np.mean([np.asarray(curve.x, np.float64) for curve in curves], axis=0)
    y = np.array([curve.y for curve in curves])
    axis.plot(x, y.mean(axis=0), style, color=colour, label=label)
    axis.fill_between(x, y.min(axis=0), y.max(axis=0), color=colour, alpha=0.15, linewidth=0)


_PANELS = (
    ("kuhn", "exploitability", "Kuhn poker"),
    ("leduc", "exploitability", "Leduc poker"),
    ("rps", "published_gain", "weighted RPS"),
    ("cartpole", "regret", "CartPole (regret)"),
)

# -- what is run -------------------------------------------------------------------------------------------------------

_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "kuhn": ({"game": "kuhn_poker", "nodes": 500_000}, "Kuhn poker"),
    "leduc": ({"game": "leduc_poker", "nodes": 5_000_000}, "Leduc poker"),
    "rps": ({"game": "walras/WeightedRPS-v0", "nodes": 1_000_000}, "Weighted rock-paper-scissors"),
    "cartpole": ({"process": "cartpole", "nodes": 500_000}, "CartPole in 10,000 bins"),
}
_OTHERS = {
    "leduc-abcs-oracle": ("leduc", {"oracle": "tree"}, "ABCs told which pairs are stationary (section 4.6)."),
    "leduc-abcs-greedy": ("leduc", {"correction": "greedy"}, "ABCs, corrected but for the greedy value of a child."),
    "leduc-abcs-spending": ("leduc", {"error_control": True}, "Ours: detection with error control over all tests."),
    "leduc-abcs-matching": ("leduc", {"matching": True}, "Ours: regret matching+ at non-stationary infostates."),
    "cartpole-abcs-bins": ("cartpole", {"detection": "bins"}, "As published, but detection by bins."),
}


def _case(setting: str, method: str, profile: str) -> Case:
    params, words = _SETTINGS[setting]
    requires = ("pyspiel",) if setting in ("kuhn", "leduc") else ()
    quick = setting in ("kuhn", "rps") and method == "abcs"
    return Case(
        f"{setting}-{method}-{profile}",
        f"{_MODULE}:learn",
        {**params, "method": method, "profile": profile},
        cost="seconds" if quick else "minutes",
        seeds={"leduc": 3, "cartpole": 10}.get(setting, 5),
        requires=requires,
        description=f"{words}: {WORDS[method]}, {profile}.",
    )


def _more(name: str) -> Case:
    setting, options, words = _OTHERS[name]
    profile = "published" if setting == "cartpole" else "corrected"
    requires = ("pyspiel",) if setting == "leduc" else ()
    params = {**_SETTINGS[setting][0], "method": "abcs", "profile": profile, "options": options}
    return Case(name, f"{_MODULE}:learn", params, cost="minutes", seeds=3, requires=requires, description=words)


_CASES: tuple[Case, ...] = (
    *(
        _case(setting, method, profile)
        for setting in _SETTINGS
        for method in METHODS
        for profile in ("published", "corrected")
        if not (setting == "cartpole" and method == "es")  # external sampling would branch without end
    ),
    *map(_more, _OTHERS),
    *(
        Case(
            f"kuhn3-{method}-corrected",
            f"{_MODULE}:learn",
            {"game": "kuhn_poker(players=3)", "nodes": 1_000_000, "method": method, "profile": "corrected"},
            cost="minutes",
            seeds=3,
            requires=("pyspiel",),
            description=f"Ours: three-player Kuhn poker, {WORDS[method]}, by NashConv.",
        )
        for method in ("abcs", "es")
    ),
)

_ECONOMIC: dict[str, tuple[str, dict[str, Any], str]] = {
    "auction": ("walras/DiscreteAuction-v0", {"values": 6}, "first-price auction, two bidders, values 1 to 6"),
    "all-pay": ("walras/DiscreteAuction-v0", {"values": 6, "mechanism": "all-pay"}, "all-pay auction, values 1 to 6"),
    "bargaining": ("walras/DiscreteBargaining-v0", {}, "alternating offers over a pie in pieces"),
    "entry": ("walras/MarketEntry-v0", {}, "sellers enter a market or stay out"),
}

_CASES += tuple(
    Case(
        f"{name}-{method}-corrected",
        f"{_MODULE}:learn",
        {"game": game, "parameters": parameters, "nodes": 500_000, "method": method, "profile": "corrected"},
        cost="minutes",
        seeds=3,
        description=f"{words[0].upper()}{words[1:]}: {WORDS[method]}, by NashConv (general sum: no theorem).",
    )
    for name, (game, parameters, words) in _ECONOMIC.items()
    for method in ("abcs", "es", "bql")
)

_TABLES: dict[str, tuple[str, dict[str, tuple[tuple[float, ...], str]]]] = {
    # setting: metric, then method: means at POINTS, and the three seeds at the end
    "kuhn": (
        "exploitability",
        {
            "abcs": ((0.0412, 0.0333, 0.0101, 0.00724, 0.00497, 0.00469), "0.00496, 0.00469, 0.00441"),
            "max": ((0.0192, 0.00857, 0.00933, 0.00499, 0.00384, 0.00194), "0.000906, 0.00343, 0.00148"),
            "es": ((0.0108, 0.0102, 0.00510, 0.00617, 0.00407, 0.00367), "0.00367, 0.00402, 0.00333"),
            "os": ((0.0272, 0.0176, 0.00999, 0.00766, 0.00679, 0.00533), "0.00537, 0.00536, 0.00527"),
            "bql": ((0.0785, 0.113, 0.137, 0.170, 0.184, 0.192), "0.144, 0.217, 0.214"),
        },
    ),
    "leduc": (
        "exploitability",
        {
            "abcs": ((0.602, 0.467, 0.320, 0.347, 0.300, 0.269), "0.377, 0.152, 0.276"),
            "es": ((0.448, 0.387, 0.325, 0.277, 0.276, 0.238), "0.172, 0.298, 0.246"),
            "os": ((0.710, 0.563, 0.416, 0.362, 0.303, 0.250), "0.299, 0.234, 0.219"),
            "bql": ((1.88, 1.83, 1.91, 1.92, 1.91, 1.89), "1.59, 2.18, 1.91"),
        },
    ),
    "rps": (
        "published_gain",
        {
            "abcs": ((0.0483, 0.0252, 0.00552, 0.00606, 0.00324, 0.00204), "0.00266, 0.00152, 0.00193"),
            "max": ((0.0164, 0.00698, 0.00301, 0.00311, 0.00200, 0.00114), "0.00121, 0.000987, 0.00121"),
            "es": ((0.0101, 0.00473, 0.00227, 0.00191, 0.00151, 0.00111), "0.000599, 0.00200, 0.000739"),
            "os": ((0.0255, 0.0272, 0.0113, 0.00753, 0.00830, 0.00603), "0.00787, 0.00669, 0.00353"),
        },
    ),
    "cartpole": (
        "regret",
        {
            "abcs": ((127, 69.6, 35.4, 15.0, 17.3, 19.8), "2.3, 0.0, 57.1"),
            "os": ((186, 186, 188, 187, 186, 186), "182, 187, 191"),
            "bql": ((102, 63.5, 56.8, 88.4, 103, 95.7), "107, 71.6, 108"),
        },
    ),
}


def published_rows(tables: Mapping[str, tuple[str, Mapping[str, tuple[Sequence[float], str]]]]) -> list[Published]:
    """The rows of tables like `_TABLES`."""
    rows = []
    for setting, (metric, methods) in tables.items():
        for method, (values, seeds) in methods.items():
            for percent, value in zip(POINTS, values, strict=True):
                source = "arXiv 2402.11835, authors' stored results, mean of three seeds"
                note = f"seeds: {seeds}" if percent == 100 else f"at {percent} % of the nodes"
                rows.append(Published(f"{setting}-{method}-published", _at(metric, percent), value, source, note))
    return rows


def spread_targets(tables: Mapping[str, tuple[str, Mapping[str, tuple[Sequence[float], str]]]]) -> list[Target]:
    """Our mean is to lie within the published seeds; three seeds span little, so a miss needs a look, not a fault."""
    targets = []
    for setting, (metric, methods) in tables.items():
        for method, (_, seeds) in methods.items():
            ends = sorted(float(seed) for seed in seeds.split(", "))
            text = f"{setting}, {method}: within the published seeds, {ends[0]:g} to {ends[-1]:g}"
            targets.append(
                Target(f"{setting}-{method}-published", metric, at_least=ends[0], at_most=ends[-1], text=text)
            )
    return targets


def point_metrics(name: str, description: str) -> list[Metric]:
    """The final metric and those along the way."""
    return [Metric(name, "", "lower", "value", description)] + [
        Metric(_at(name, percent), "", "lower", "value", f"The same at {percent} % of the nodes.")
        for percent in POINTS
        if percent < 100
    ]


_BEST = "the best published final value at 5e6 nodes (external sampling, 0.238)"

SUITE = Suite(
    name="abcs",
    title="ABCs and its baselines, at published budgets of nodes",
    status="verified",
    description=(
        "Q-learning where the world is stationary, counterfactual regret minimisation where it is not (arXiv "
        "2402.11835). Mean of three seeds with the 95 % interval, beside the authors' stored results. Exploitability "
        "is NashConv / 2; weighted rock-paper-scissors is measured by the sum of both gains, the published row by the "
        "authors' formula, which is not the right one away from the equilibrium. CartPole: 200 less the mean return "
        "of ten episodes."
    ),
    cases=_CASES,
    metrics=(
        *point_metrics("exploitability", "NashConv / 2 of the average strategy."),
        *point_metrics("gain", "Sum of both players' gains from a best response."),
        *point_metrics("published_gain", "The same by the authors' formula."),
        *point_metrics("nash_conv", "Sum of all players' gains from a best response."),
        *point_metrics("regret", "200 less the mean return of ten episodes of at most 200 steps."),
        Metric("alarm_rate", "", "none", "value", "Share of the tests that said non-stationary."),
        Metric("cpu_seconds", "s", "lower", "timing", "Processor time of learning, without compiling and measuring."),
        Metric("nodes_per_second", "/s", "higher", "timing", "Nodes touched per second of it."),
    ),
    published=tuple(published_rows(_TABLES)),
    known=(
        *(
            Known(
                f"{setting}-{method}-{profile}", metric, 0.0, "no strategy gains against an equilibrium", "bound", 1e-9
            )
            for setting, metric in (("kuhn", "exploitability"), ("leduc", "exploitability"), ("rps", "gain"))
            for method in METHODS
            for profile in ("published", "corrected")
        ),
    ),
    targets=(
        Target("leduc-abcs-corrected", "exploitability", at_most=0.09, text="corrected ABCs on Leduc: at most 0.09"),
        *(
            Target(
                "leduc-abcs-corrected",
                _at("exploitability", percent),
                at_most=value,
                text=f"below every published method at {percent} % of 5e6 nodes",
            )
            for percent, value in zip(POINTS, (0.448, 0.387, 0.320, 0.277, 0.276, 0.238), strict=True)
        ),
        *spread_targets(_TABLES),
    ),
    pictures=(
        Picture(
            "values",
            "Value against nodes touched, published profile: our mean and range of three seeds, the authors' means as "
            "diamonds",
            f"{_MODULE}:draw_values",
            tuple(case.name for case in _CASES if case.name.endswith("published")),
            (10.5, 3.4),
        ),
        Picture(
            "profiles",
            "Leduc poker: every method as published (dashed) and corrected",
            f"{_MODULE}:draw_profiles",
            tuple(
                case.name
                for case in _CASES
                if case.name.startswith("leduc-")
                and not case.name.startswith(("leduc-abcs-o", "leduc-abcs-g", "leduc-abcs-s", "leduc-abcs-m"))
            ),
            (7.2, 3.8),
        ),
    ),
)
