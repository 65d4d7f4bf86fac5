"""The bench measured by itself: a small suite in plain numpy whose answers are known, for tests and `kill_resume`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from walras.benchmarks.suite import Case, Curve, Known, Metric, Outcome, Picture, Progress, Published, Suite, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from walras.benchmarks.store import Record

_MODULE = "walras.benchmarks.suites.selftest"


def maximum(seed: int, progress: Progress, *, n: int, samples: int) -> Outcome:
    """Estimate the expected maximum of `n` uniforms on [0, 1] from `samples` draws; the truth is n / (n + 1)."""
    rng = np.random.default_rng([seed, n])
    progress(0.0, "drawing")
    highest = rng.random((samples, n)).max(axis=1)
    counts, edges = np.histogram(highest, bins=40, range=(0.0, 1.0), density=True)
    progress(1.0, "drawn")
    return Outcome(
        {"mean_maximum": float(highest.mean())},
        arrays={"density": counts, "edges": edges},
    )


def bandit(seed: int, progress: Progress, *, arms: int, rounds: int, rate: float) -> Outcome:
    """Learn the best of `arms` Bernoulli arms by the gradient rule; one learning curve of the expected reward."""
    rng = np.random.default_rng([seed, arms, rounds])
    means = np.linspace(0.1, 0.9, arms)
    weights = np.zeros(arms)
    expected = np.empty(rounds)
    for step in range(rounds):
        probabilities = np.exp(weights - weights.max())
        probabilities /= probabilities.sum()
        expected[step] = probabilities @ means
        arm = int(np.searchsorted(np.cumsum(probabilities), rng.random()))
        arm = min(arm, arms - 1)
        reward = float(rng.random() < means[arm])
        weights += rate * (reward - expected[step]) * ((np.arange(arms) == arm) - probabilities)
        if step % 50 == 0:
            progress(step / rounds, f"round {step}")
    points = np.arange(0, rounds, max(1, rounds // 50))
    curve = Curve(points, expected[points], "round", "expected reward")
    return Outcome({"reward": float(expected[-1])}, curves={"reward": curve})


def clock(seed: int, progress: Progress, *, pause: float) -> Outcome:
    """Sleep for `pause` seconds; report how long it took (a timing) and a number that depends on the seed alone."""
    start = time.perf_counter()
    for part in range(4):
        progress(part / 4, "waiting")
        time.sleep(pause / 4)
    return Outcome({"waited": time.perf_counter() - start, "number": float(np.random.default_rng(seed).random())})


def draw_density(figure: Figure, results: Mapping[str, Sequence[Record]]) -> None:
    """Draw the estimated density of the maximum beside the true one, n x^(n - 1)."""
    axes = figure.subplots()
    grid = np.linspace(0.0, 1.0, 200)
    for colour, (case, records) in enumerate(results.items()):
        n = int(case.rpartition("-")[2])
        edges = np.asarray(records[0].arrays["edges"])
        density = np.mean([record.arrays["density"] for record in records], axis=0)
        axes.stairs(density, edges, color=f"C{colour}", fill=True, alpha=0.35, label=f"{n} uniforms")
        axes.plot(grid, n * grid ** (n - 1), color=f"C{colour}")
    axes.set_xlabel("maximum")
    axes.set_ylabel("density")
    axes.legend()


def _maximum_case(n: int, **options: Any) -> Case:
    return Case(
        f"maximum-{n}",
        f"{_MODULE}:maximum",
        {"n": n, "samples": 2000},
        seeds=5,
        description=f"The expected maximum of {n} uniforms by 2,000 draws.",
        **options,
    )


SUITE = Suite(
    name="bench-selftest",
    title="The bench measures itself",
    status="verified",
    description=(
        "Order statistics, a two-line learner and a clock: numbers whose truth is known, so that the bench can be "
        "checked."
    ),
    cases=(
        _maximum_case(2),
        _maximum_case(5),
        Case(
            "bandit",
            f"{_MODULE}:bandit",
            {"arms": 5, "rounds": 600, "rate": 0.5},
            seeds=5,
            description="A gradient bandit with five arms; the best arm pays 0.9.",
        ),
        Case(
            "bandit-slow",
            f"{_MODULE}:bandit",
            {"arms": 5, "rounds": 600, "rate": 0.05},
            seeds=5,
            description="The same learner with a tenth of the step size.",
            peer_of="bandit",
        ),
        Case("clock", f"{_MODULE}:clock", {"pause": 0.02}, seeds=5, description="Twenty milliseconds of waiting."),
    ),
    metrics=(
        Metric("mean_maximum", description="Mean of the largest draw."),
        Metric("reward", better="higher", description="Expected reward of the last round."),
        Metric("waited", unit="s", better="lower", kind="timing", description="Measured length of the pause."),
        Metric("number", description="A uniform draw that depends on the seed alone."),
    ),
    published=(
        Published("maximum-2", "mean_maximum", 0.667, "2/3 to three digits: no paper, a row to test the column."),
    ),
    known=(
        Known(
            "maximum-2",
            "mean_maximum",
            2 / 3,
            "The maximum of n uniforms is Beta(n, 1), with mean n / (n + 1).",
            "identity",
            0.02,
        ),
        Known(
            "maximum-5",
            "mean_maximum",
            5 / 6,
            "The maximum of n uniforms is Beta(n, 1), with mean n / (n + 1).",
            "identity",
            0.02,
        ),
        Known("bandit", "reward", 0.9, "The mean of the best arm.", "bound", 1e-9),
    ),
    targets=(
        Target("bandit", "reward", at_least=0.7, text="the learner finds a good arm"),
        Target(
            "bandit",
            "reward",
            at_least=1.0,
            relative_to="bandit-slow",
            text="no worse than with a tenth of the step size",
        ),
        Target("clock", "waited", at_most=0.5, text="a pause of 0.02 s is over within 0.5 s"),
    ),
    pictures=(
        Picture(
            "density",
            "Density of the largest draw: estimated and true",
            f"{_MODULE}:draw_density",
            ("maximum-2", "maximum-5"),
        ),
    ),
)
