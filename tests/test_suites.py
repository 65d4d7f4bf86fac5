"""The suites that ship: they hold together, their cases run, give the same rows twice, and agree with what is known."""

from __future__ import annotations

import dataclasses
import functools
import math

import pytest

from walras.benchmarks.execute import Task, execute, load, missing
from walras.benchmarks.peers.stopwatch import compare
from walras.benchmarks.pictures import draw
from walras.benchmarks.store import Record
from walras.benchmarks.suite import Case, Suite
from walras.benchmarks.suites import expand, get_suite, list_suites

SUITES = list_suites()
TINY = {
    "profiles": 3000,
    "opponents": 1000,
    "sizes": [2],
    "cells": 12,
    "turns": 1,
    "block": 0.002,
    "lanes": 16,
    "repeats": 1,
    "episodes": 300,
    "kills": 1,
    "jobs": 1,
}
"""Sizes that replace those of a case, where it has such a parameter."""
PLAIN = ("auctions", "classical-games", "doors-speed")
CHEAP = ("cournot", "differentiated-bertrand", "public-goods", "bertrand", "prisoners-dilemma", "bargaining")


def cases(*suites: str) -> list[object]:
    return [
        pytest.param(get_suite(name), case, id=f"{name}/{case.name}")
        for name in suites
        for case in get_suite(name).cases
    ]


def run(suite: Suite, case: Case, **sizes: object) -> Record:
    """Run seed 0 of a case as a worker would."""
    assert not missing(case), missing(case)
    params = {**case.params, **{name: size for name, size in sizes.items() if name in case.params}}
    metrics = tuple(metric.name for metric in suite.metrics)
    record = execute(Task(suite.name, case.name, 0, case.run, params, metrics, False, "code", "mark"))
    assert record.status == "done", record.error
    return record


@functools.cache
def small(suite: str, case: str) -> Record:
    """A tiny run, kept for the tests that only look at it."""
    return run(get_suite(suite), get_suite(suite).case(case), iterations=20, **TINY)


def rows(suite: Suite, record: Record) -> tuple[object, ...]:
    """What must not change from run to run."""
    values = {name: value for name, value in record.metrics.items() if suite.metric(name).kind == "value"}
    return values, {name: dataclasses.asdict(curve) for name, curve in record.curves.items()}, record.arrays


@pytest.mark.parametrize("name", SUITES)
def test_every_entry_of_a_suite_can_be_imported(name: str) -> None:
    suite = get_suite(name)
    for entry in [*(case.run for case in suite.cases), *(picture.draw for picture in suite.pictures)]:
        assert callable(load(entry))


@pytest.mark.parametrize("name", SUITES)
def test_every_number_in_a_suite_has_a_source_and_every_case_a_description(name: str) -> None:
    suite = get_suite(name)
    assert all(row.source.strip() for row in [*suite.published, *suite.known])
    assert all(target.text for target in suite.targets)
    assert all(each.description for each in [*suite.cases, *suite.metrics])


def test_the_demo_has_quick_cases_of_every_suite() -> None:
    assert {suite for suite, _ in expand("demo")} == set(list_suites(hidden=False))


def test_required_figures_name_what_the_bench_must_show() -> None:
    required = {(name, target.case, target.metric) for name in SUITES for target in get_suite(name).targets}
    assert required >= {
        ("doors-speed", "vector-4096", "ratio"),
        ("doors-speed", "single", "ratio"),
        ("doors-speed", "import", "cpu_seconds"),
        ("auction-learning", "ppo-bidder", "utility_ratio"),
        ("auction-learning", "ppo-bidder", "cpu_seconds"),
        ("auction-learning", "ppo-designer", "reserve_error"),
        ("auction-learning", "ppo-designer", "revenue_ratio"),
        ("auction-learning", "regret-matching-2", "distance"),
        ("auction-learning", "regret-matching-3", "distance"),
        ("bench-reliability", "kill-20", "lost"),
        ("bench-reliability", "kill-20", "doubled"),
        ("bench-reliability", "kill-20", "different"),
    }


@pytest.mark.parametrize(("suite", "case"), cases(*PLAIN))
def test_a_small_run_of_a_case_gives_finite_numbers_and_the_same_rows_twice(suite: Suite, case: Case) -> None:
    first, second = small(suite.name, case.name), run(suite, case, **TINY)
    assert first.metrics
    assert all(math.isfinite(value) for value in first.metrics.values())
    assert rows(suite, first) == rows(suite, second)


@pytest.mark.parametrize("name", CHEAP)
def test_computed_equilibria_of_the_classical_games_agree_with_theory_and_with_econgym(name: str) -> None:
    suite = get_suite("classical-games")
    ours, theirs = run(suite, suite.case(name)), run(suite, suite.case(f"econgym-{name}"))
    for known in suite.known:
        if known.case == name:
            assert known.met(ours.metrics[known.metric], suite.metric(known.metric).better), known
    for metric, value in theirs.metrics.items():
        assert ours.metrics[metric] == pytest.approx(value, abs=2e-3)


def test_simulated_revenue_of_every_mechanism_is_near_its_known_value() -> None:
    suite = get_suite("auctions")
    held = 0
    for known in suite.known:
        case = suite.case(known.case)
        if known.metric == "revenue" and known.kind != "bound" and case.run.endswith(":mechanism_revenue"):
            revenue = run(suite, case, profiles=40_000).metrics["revenue"]
            assert revenue == pytest.approx(known.value, rel=0.02), known
            held += 1
    assert held >= 10


@pytest.mark.parametrize("case", ["regret-matching-2", "regret-matching-3"])
def test_regret_matching_comes_nearer_to_the_equilibrium_and_repeats_itself(case: str) -> None:
    suite = get_suite("auction-learning")
    first, second = (run(suite, suite.case(case), iterations=60) for _ in range(2))
    assert rows(suite, first) == rows(suite, second)
    distances = first.curves["distance"].y
    assert distances[-1] < distances[0]


@pytest.mark.parametrize(
    ("case", "sizes"),
    [
        ("ppo-bidder", {"steps": 4096, "episodes": 1000}),
        ("ppo-designer", {"steps": 512}),
        ("ppo-doors", {"steps": 2048}),
    ],
)
def test_a_short_training_reports_every_figure_and_repeats_itself(case: str, sizes: dict[str, int]) -> None:
    suite = get_suite("auction-learning")
    first, second = (run(suite, suite.case(case), **sizes) for _ in range(2))
    assert rows(suite, first) == rows(suite, second)
    asked = {target.metric for target in suite.targets if target.case == case}
    assert asked <= first.metrics.keys()


def test_the_reliability_case_counts_kills_and_finds_nothing_lost() -> None:
    suite = get_suite("bench-reliability")
    metrics = run(suite, suite.case("kill-3"), kills=1, seeds=2, jobs=1).metrics
    assert metrics["kills"] == 1
    assert metrics["rows"] == 10
    assert not any(metrics[name] for name in ("lost", "doubled", "different", "failed", "orphans"))


@pytest.mark.parametrize("name", ["auctions", "auction-learning"])
def test_pictures_are_drawn_from_small_runs(name: str) -> None:
    suite = get_suite(name)
    for picture in suite.pictures:
        wanted = [case for case in picture.cases if not case.startswith("ppo")]
        results = {case: [small(name, case)] for case in wanted}
        assert draw(picture, results, "salt").startswith("<svg")


def test_comparisons_let_both_play_in_turns_and_report_both_speeds() -> None:
    turns: list[str] = []

    def player(name: str, work: int):  # type: ignore[no-untyped-def]
        def play(episodes: int) -> int:
            turns.append(name)
            sum(range(work * episodes))
            return episodes

        return play

    found = compare(player("a", 200), player("b", 2000), lambda fraction, text: None, turns=3, block=0.004)
    assert turns[-6:] == ["a", "b"] * 3
    assert found.ours > 0
    assert found.peer > 0
    assert found.ratio > 0


@pytest.mark.parametrize(("turns", "block", "name"), [(0, 0.1, "turns"), (1, 0.0, "block"), (1, -1.0, "block")])
def test_comparisons_refuse_sizes_that_measure_nothing(turns: int, block: float, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        compare(lambda k: k, lambda k: k, lambda fraction, text: None, turns=turns, block=block)


def test_unknown_choices_of_run_functions_are_refused() -> None:
    speed = load("walras.benchmarks.suites.speed:fresh_process")
    with pytest.raises(ValueError, match="what"):
        speed(0, lambda fraction, text: None, what="nothing", repeats=1)
