"""ABCs where it has no rival: a decision process stacked before a game (arXiv 2402.11835).

Published is one stack, CartPole before Leduc poker, with detection ids that silently switch the test off; it is run as
published, with honest ids (the bins), and corrected. The random layered processes before Kuhn and Leduc poker are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from walras.benchmarks.suite import Case, Known, Metric, Picture, Suite, Target
from walras.benchmarks.suites.abcs import (
    METHODS,
    WORDS,
    draw_line,
    point_metrics,
    published_rows,
    scale,
    spread_targets,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record

_MODULE = "walras.benchmarks.suites.abcs_stacked"
_LEARN = "walras.benchmarks.suites.abcs:learn"
_STACKED = ("abcs", "max", "os", "bql")
"""External sampling is left out: it would branch at every step of the process."""

_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "cartpole-leduc": (
        {"process": "cartpole", "game": "leduc_poker", "nodes": 5_000_000},
        "CartPole before Leduc poker",
    ),
    "small": (
        {"process": {"layers": 5, "states": 8, "actions": 3}, "game": "walras/WeightedRPS-v0", "nodes": 200_000},
        "Random process (5 layers of 8 states, 3 actions) before weighted rock-paper-scissors",
    ),
    "mdp-kuhn": (
        {"process": {"layers": 10, "states": 30, "actions": 3}, "game": "kuhn_poker", "nodes": 1_000_000},
        "Random process (10 layers of 30 states, 3 actions) before Kuhn poker",
    ),
    "mdp-leduc": (
        {"process": {"layers": 10, "states": 30, "actions": 3}, "game": "leduc_poker", "nodes": 3_000_000},
        "Random process (10 layers of 30 states, 3 actions) before Leduc poker",
    ),
}


_TITLES = {
    "cartpole-leduc": "CartPole, then Leduc",
    "mdp-kuhn": "layers, then Kuhn",
    "mdp-leduc": "layers, then Leduc",
}


def draw_parts(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Regret in the process and exploitability in the game against nodes touched; one column a stack."""
    settings = [name for name in _SETTINGS if name != "small" and any(case.startswith(name) for case in results)]
    axes = figure.subplots(2, len(settings), squeeze=False)
    for column, setting in enumerate(settings):
        for k, method in enumerate(_STACKED):
            records = results.get(f"{setting}-{method}-corrected")
            if records:
                for row, metric in enumerate(("regret", "exploitability")):
                    draw_line(axes[row][column], [record.curves[metric] for record in records], f"C{k}", WORDS[method])
        for row, words in enumerate(("process: regret", "game: exploitability")):
            axis = axes[row][column]
            scale(axis, "symlog" if setting.startswith("cartpole") and row == 0 else "log")
            if column == 0:
                axis.set_ylabel(words)
        axes[0][column].set_title(_TITLES[setting])
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=4)


def _case(setting: str, method: str, profile: str, suffix: str = "", **options: Any) -> Case:
    params, words = _SETTINGS[setting]
    return Case(
        f"{setting}-{method}-{profile}{suffix}",
        _LEARN,
        {**params, "method": method, "profile": profile, "options": options},
        cost="seconds" if setting == "small" else "minutes",
        seeds=3,
        requires=() if setting == "small" else ("pyspiel",),
        description=f"{words}: {METHODS[method]}, {profile}"
        + "".join(f", {name.replace('_', ' ')} {value}" for name, value in options.items())
        + ".",
    )


_CASES = (
    *(_case("small", method, "corrected") for method in ("abcs", "bql")),
    *(_case("cartpole-leduc", method, profile) for method in _STACKED for profile in ("published", "corrected")),
    _case("cartpole-leduc", "abcs", "published", "-bins", detection="bins"),
    _case("cartpole-leduc", "abcs", "corrected", "-raw", detection="raw"),
    _case("cartpole-leduc", "abcs", "corrected", "-spending", error_control=True),
    *(_case(setting, method, "published") for setting in ("mdp-kuhn", "mdp-leduc") for method in _STACKED),
    *(_case(setting, method, "corrected") for setting in ("mdp-kuhn", "mdp-leduc") for method in _STACKED),
)

_REGRET = {
    "cartpole-leduc": (
        "regret",
        {
            "abcs": ((49.0, 22.4, 11.8, 19.6, 14.9, 24.3), "47.7, 14.9, 10.2"),
            "max": ((92.0, 25.7, 7.67, 7.30, 10.3, 17.0), "33.0, 12.1, 6.0"),
            "os": ((170, 176, 173, 180, 183, 181), "184, 183, 177"),
            "bql": ((77.0, 69.0, 70.4, 72.5, 75.1, 69.0), "0.0, 61.9, 145"),
        },
    ),
}
_EXPLOITABILITY = {
    "cartpole-leduc": (
        "exploitability",
        {
            "max": ((2.59, 2.57, 2.52, 2.44, 2.35, 2.32), "2.36, 2.21, 2.40"),
            "os": ((1.82, 1.88, 1.92, 1.88, 1.89, 1.75), "1.55, 1.75, 1.95"),
            "bql": ((1.92, 1.73, 1.80, 1.87, 1.88, 1.88), "2.08, 1.91, 1.65"),
        },
    ),
}

SUITE = Suite(
    name="abcs-stacked",
    title="ABCs on stacks of a decision process and a game",
    status="verified",
    description=(
        "Player 0 first acts in a decision process, then plays a game; the process's regret is the shortfall of the "
        "current policy (exact for random processes; 200 less the mean return of ten episodes for CartPole), the "
        "game's is the exploitability of the average strategy. Required: ABCs best of all methods in both parts."
    ),
    cases=_CASES,
    metrics=(
        *point_metrics("regret", "Shortfall of the return in the process."),
        *point_metrics("gain", "Sum of both players' gains from a best response."),
        *point_metrics("published_gain", "The same by the authors' formula."),
        *point_metrics("exploitability", "NashConv / 2 of the average strategy in the game."),
        Metric("alarm_rate", "", "none", "value", "Share of the tests that said non-stationary."),
        Metric("cpu_seconds", "s", "lower", "timing", "Processor time of learning, without compiling and measuring."),
        Metric("nodes_per_second", "/s", "higher", "timing", "Nodes touched per second of it."),
    ),
    published=(*published_rows(_REGRET), *published_rows(_EXPLOITABILITY)),
    known=tuple(
        Known(
            case.name,
            "gain" if case.name.startswith("small") else "exploitability",
            0.0,
            "no strategy gains against an equilibrium",
            "bound",
            1e-9,
        )
        for case in _CASES
    ),
    targets=(
        *spread_targets(_REGRET),
        *spread_targets(_EXPLOITABILITY),
        *(
            Target(
                f"{setting}-abcs-{profile}",
                metric,
                at_most=1.0,
                relative_to=f"{setting}-{method}-{profile.removesuffix('-spending')}",
                text=f"{setting}, {profile}: ABCs no worse than {METHODS[method]} in {part}",
            )
            for setting, profile in (
                ("mdp-kuhn", "published"),
                ("mdp-kuhn", "corrected"),
                ("mdp-leduc", "published"),
                ("mdp-leduc", "corrected"),
                ("cartpole-leduc", "corrected"),
                ("cartpole-leduc", "corrected-spending"),
            )
            for method in _STACKED[1:]
            for metric, part in (("regret", "the process"), ("exploitability", "the game"))
        ),
    ),
    pictures=(
        Picture(
            "parts",
            "Both parts of each stack against nodes touched, corrected profile: mean and range of three seeds",
            f"{_MODULE}:draw_parts",
            tuple(
                case.name for case in _CASES if case.name.endswith("corrected") and not case.name.startswith("small")
            ),
            (10.0, 5.6),
        ),
    ),
)
