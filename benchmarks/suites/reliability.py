"""The bench killed and resumed: `walras.benchmarks.kill_resume` as cases, so that the report shows it."""

from __future__ import annotations

import random

from walras.benchmarks.suite import Case, Metric, Outcome, Progress, Suite, Target

_MODULE = "walras.benchmarks.suites.reliability"
_FIGURES = ("kills", "kills_amid_rows", "rows", "lost", "doubled", "different", "failed", "orphans")


def kill_and_resume(seed: int, progress: Progress, *, kills: int, seeds: int, jobs: int) -> Outcome:
    """Kill the bench `kills` times at random moments, resume it, and compare its rows with an uninterrupted run."""
    from walras.benchmarks.kill_resume import measure

    progress(0.0, f"{kills} kills")
    verdict = measure(kills=kills, seeds=seeds, jobs=jobs, rng=random.Random(seed))
    return Outcome({name: getattr(verdict, name) for name in _FIGURES})


SUITE = Suite(
    name="bench-reliability",
    title="Killed and resumed",
    status="verified",
    description=(
        "The bench is killed with SIGKILL at random moments and started again, until it is complete; its rows are then "
        "compared, bit for bit and without timings, with those of a run that was left alone."
    ),
    cases=(
        Case(
            "kill-20",
            f"{_MODULE}:kill_and_resume",
            {"kills": 20, "seeds": 150, "jobs": 2},
            cost="minutes",
            description="Twenty kills of a run of 750 results with two workers.",
        ),
        Case(
            "kill-3",
            f"{_MODULE}:kill_and_resume",
            {"kills": 3, "seeds": 20, "jobs": 2},
            description="The short form for a quick look: three kills of a run of 100 results.",
        ),
    ),
    metrics=(
        Metric("kills", better="none", description="Runs that were killed before they had ended."),
        # When a kill comes depends on the clock, so does whether rows were written by then.
        Metric(
            "kills_amid_rows", kind="timing", description="Kills after which some rows were there and some were not."
        ),
        Metric("rows", description="Rows of the run that was left alone."),
        Metric("lost", better="lower", description="Rows that the resumed runs lack."),
        Metric("doubled", better="lower", description="Rows that they hold more than once, or should not hold."),
        Metric("different", better="lower", description="Rows that are not the same bit for bit."),
        Metric("failed", better="lower", description="Rows that are not done."),
        Metric("orphans", better="lower", description="Kills after which a worker lived on."),
    ),
    targets=(
        Target("kill-20", "kills", at_least=20, text="killed with SIGKILL at random moments at least 20 times"),
        Target("kill-20", "lost", at_most=0, text="no row lost"),
        Target("kill-20", "doubled", at_most=0, text="no row doubled"),
        Target("kill-20", "different", at_most=0, text="no row different"),
    ),
)
