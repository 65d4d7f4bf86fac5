"""The suite of platform matching: small runs meet their truths, repeat themselves, and give its pictures."""

from __future__ import annotations

import dataclasses
import functools

import pytest

from walras.benchmarks.execute import Task, execute
from walras.benchmarks.pictures import draw
from walras.benchmarks.store import Record
from walras.benchmarks.suites import get_suite

SUITE = get_suite("platform-matching")
SMALL = {
    "listed": 400,
    "solved": 40,
    "markets": 4,
    "buyers": 30,
    "iterations": 30,
    "moves": 2_000,
    "problems": 8,
    "size": 5,
    "steps": 2_048,
}
"""Sizes that replace those of a case, where it has such a parameter."""


def run(name: str, **sizes: object) -> Record:
    """Run seed 0 of a case as a worker would."""
    case = SUITE.case(name)
    given = {**SMALL, "sellers": 24, **sizes}
    params = {**case.params, **{key: size for key, size in given.items() if key in case.params}}
    if name.startswith("worked-") or name in ("pitfalls", "guarantee-attained"):
        params = dict(case.params)
    metrics = tuple(metric.name for metric in SUITE.metrics)
    record = execute(Task(SUITE.name, name, 0, case.run, params, metrics, False, "code", "mark"))
    assert record.status == "done", record.error
    return record


@functools.cache
def once(name: str) -> Record:
    return run(name)


def rows(record: Record) -> tuple[object, ...]:
    """What must not change from run to run."""
    values = {name: value for name, value in record.metrics.items() if SUITE.metric(name).kind == "value"}
    return values, {name: dataclasses.asdict(curve) for name, curve in record.curves.items()}, record.arrays


EXACT = sorted({known.case for known in SUITE.known if known.kind == "identity"} - {"properties-million"})


@pytest.mark.parametrize("name", EXACT)
def test_truths_that_do_not_depend_on_size_are_met_exactly(name: str) -> None:
    record = once(name)
    for known in SUITE.known:
        if known.case == name:
            assert known.met(record.metrics[known.metric], SUITE.metric(known.metric).better), known


@pytest.mark.parametrize("name", [case.name for case in SUITE.cases if not case.name.startswith("optimum-25")])
def test_cases_report_what_their_targets_ask_for_and_repeat_themselves(name: str) -> None:
    first, second = once(name), run(name)
    assert rows(first) == rows(second)
    asked = {row.metric for row in (*SUITE.targets, *SUITE.known) if row.case == name}
    assert asked <= first.metrics.keys()


@pytest.mark.parametrize("name", [case.name for case in SUITE.cases if case.name.startswith("large-")])
def test_large_markets_are_bounded_and_the_best_beats_penalised_matching(name: str) -> None:
    metrics = once(name).metrics
    assert 0 < metrics["revenue"] <= metrics["bound"]
    assert metrics["above_penalised"] >= 0
    assert metrics["bound_share"] >= max(metrics["penalised_share"], metrics["lagrangian_share"])


def test_pictures_are_drawn_from_small_runs() -> None:
    for picture in SUITE.pictures:
        results = {case: [once(case)] for case in picture.cases}
        assert draw(picture, results, "salt").startswith("<svg")
