"""The suites of platform equilibrium and of clearing speed: small runs repeat themselves, and pictures are drawn."""

from __future__ import annotations

import dataclasses
import functools
import math

import pytest

from walras.benchmarks.execute import Task, execute
from walras.benchmarks.pictures import draw
from walras.benchmarks.store import Record
from walras.benchmarks.suites import get_suite

TINY = {
    "instances": 300, "rounds": 300, "runs": 3, "sellers": 4, "buyers": 4, "points": 8, "turns": 1, "block": 0.01,
    "lanes": 50, "size": 5, "most": 4,
}  # fmt: skip
SLOW = ("ppo", "large")  # trainings have a test of their own, sizes of 3000 take long at any setting
NAMES = ("platform-equilibrium", "clearing-speed")
CASES = [
    (name, case.name)
    for name in NAMES
    for case in get_suite(name).cases
    if case.cost == "seconds" and not case.name.startswith(SLOW)
]


def run(name: str, case: str, **sizes: int) -> Record:
    suite = get_suite(name)
    entry = suite.case(case)
    small = {key: value for key, value in {**TINY, **sizes}.items() if key in entry.params}
    if entry.params.get("sellers") == 4:  # a worked instance of four sellers keeps them
        small.pop("sellers", None)
    metrics = tuple(metric.name for metric in suite.metrics)
    record = execute(Task(name, case, 0, entry.run, {**entry.params, **small}, metrics, False, "code", "mark"))
    assert record.status == "done", record.error
    return record


@functools.cache
def small(name: str, case: str) -> Record:
    return run(name, case)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_small_run_of_a_case_gives_finite_numbers_and_the_same_rows_twice(name: str, case: str) -> None:
    suite = get_suite(name)
    first, second = small(name, case), run(name, case)
    assert first.metrics and all(math.isfinite(value) for value in first.metrics.values())
    assert not first.metrics.get("violations", 0)
    steady = [metric.name for metric in suite.metrics if metric.kind == "value" and metric.name in first.metrics]
    assert [first.metrics[metric] for metric in steady] == [second.metrics[metric] for metric in steady]
    assert first.arrays == second.arrays
    assert {k: dataclasses.asdict(v) for k, v in first.curves.items()} == {
        k: dataclasses.asdict(v) for k, v in second.curves.items()
    }


def test_large_markets_of_every_law_are_held_against_scipy_and_are_competitive() -> None:
    for case in ("large-uniform", "large-integer", "large-homogeneous", "large-homogeneous-integer"):
        metrics = run("clearing-speed", case, size=250).metrics
        assert metrics["violations"] == 0 and metrics["slowdown"] > 0


@pytest.mark.parametrize("case", ["ppo-v7-60", "ppo-platform-wide"])
def test_a_short_training_reports_every_figure_and_repeats_itself(case: str) -> None:
    pytest.importorskip("stable_baselines3")
    suite = get_suite("platform-equilibrium")
    sizes = {"steps": 512}
    first, second = (run("platform-equilibrium", case, **sizes) for _ in range(2))
    steady = [metric.name for metric in suite.metrics if metric.kind == "value" and metric.name in first.metrics]
    assert steady and [first.metrics[m] for m in steady] == [second.metrics[m] for m in steady]
    asked = {row.metric for row in (*suite.targets, *suite.known) if row.case == case}
    assert asked <= first.metrics.keys()


def test_pictures_are_drawn_from_small_runs() -> None:
    for picture in get_suite("platform-equilibrium").pictures:
        results = {case: [small("platform-equilibrium", case)] for case in picture.cases}
        assert draw(picture, results, "salt").startswith("<svg")


def test_required_figures_name_what_the_bench_must_show() -> None:
    required = {(name, target.case, target.metric) for name in NAMES for target in get_suite(name).targets}
    assert required >= {
        ("clearing-speed", "batch-10-uniform", "speed"),
        ("clearing-speed", "batch-10-uniform", "ratio"),
        ("clearing-speed", "large-homogeneous", "slowdown"),
        ("platform-equilibrium", "study-general", "violations"),
        ("platform-equilibrium", "study-general-million", "instances"),
        ("platform-equilibrium", "entry-20-general", "cpu_seconds"),
    }
    learners = {row.case for row in get_suite("platform-equilibrium").known if row.metric == "mean_welfare"}
    assert {"regret-v4", "regret-v7-60", "ppo-v7-60"} <= learners
