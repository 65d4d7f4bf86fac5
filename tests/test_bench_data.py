"""The bench: suites as data, their registry, and the statistics over seeds."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import walras.benchmarks as bench
from walras.benchmarks.table import number

SELFTEST = "bench-selftest"


def suite_of(**changes: Any) -> bench.Suite:
    """A small suite with some fields replaced."""
    fields: dict[str, Any] = {
        "name": "small",
        "title": "Small",
        "description": "",
        "cases": (bench.Case("a", "m:f"), bench.Case("b", "m:f", peer_of="a")),
        "metrics": (bench.Metric("x"),),
    }
    return bench.Suite(**{**fields, **changes})


# ----------------------------------------------------------------------------------------------------- suites as data


def test_a_suite_is_json_and_keeps_its_facts() -> None:
    suite = bench.get_suite(SELFTEST)
    plain = json.loads(json.dumps(suite.to_dict(), allow_nan=False))
    assert plain["name"] == SELFTEST
    assert [case["name"] for case in plain["cases"]] == [case.name for case in suite.cases]
    assert plain["known"][0]["value"] == pytest.approx(2 / 3)
    assert bench.Suite.from_dict(plain).to_dict() == plain
    with pytest.raises(TypeError, match="colour"):
        bench.Suite.from_dict({**plain, "colour": "red"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cases": ()}, "no cases"),
        ({"cases": (bench.Case("a", "m:f"), bench.Case("a", "m:f"))}, "two cases named 'a'"),
        ({"metrics": (bench.Metric("x"), bench.Metric("x"))}, "two metrics named 'x'"),
        ({"published": (bench.Published("c", "x", 1.0, "here"),)}, "unknown case 'c'"),
        ({"published": (bench.Published("a", "xx", 1.0, "here"),)}, r"unknown metric 'xx' \(did you mean 'x'"),
        ({"known": (bench.Known("a", "y", 1.0, "here"),)}, "unknown metric 'y'"),
        ({"targets": (bench.Target("a", "x", at_least=1.0, relative_to="econgym"),)}, "unknown case 'econgym'"),
        ({"pictures": (bench.Picture("p", "P", "m:f", ("z",)),)}, "unknown case 'z'"),
        ({"cases": (bench.Case("a", "m:f", peer_of="a"),)}, "peer_of of case 'a'"),
        ({"name": "a suite"}, "suite name"),
        ({"status": "perfect"}, "status of suite 'small' must be one of verified, runs, known issue"),
        ({"status": "verified"}, "verified by nothing"),
    ],
)
def test_a_suite_with_a_wrong_reference_says_which(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        suite_of(**changes)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: bench.Case("a", "no colon"), "package.module:function"),
        (lambda: bench.Case("a", "m:f", {"x": {1, 2}}), "params of case 'a' must be JSON"),  # type: ignore[dict-item]
        (lambda: bench.Case("a", "m:f", {"x": math.nan}), "params of case 'a' must be JSON"),
        (lambda: bench.Case("a", "m:f", {"seed": 1}), "must not contain seed"),
        (lambda: bench.Case("a", "m:f", cost="day"), "cost of case 'a' must be one of"),  # type: ignore[arg-type]
        (lambda: bench.Case("a", "m:f", seeds=0), "seeds of case 'a'"),
        (lambda: bench.Case("a", "m:f", requires="torch"), "tuple of import names"),  # type: ignore[arg-type]
        (lambda: bench.Metric("x", better="more"), "better of metric 'x'"),  # type: ignore[arg-type]
        (lambda: bench.Published("a", "x", math.inf, "here"), "finite number"),
        (lambda: bench.Known("a", "x", 1.0, "here", tolerance=-1.0), "tolerance of a/x"),
        (lambda: bench.Target("a", "x"), "at_least or at_most"),
        (lambda: bench.Picture("p", "P", "m:f", ()), "non-empty tuple"),
    ],
)
def test_a_wrong_field_is_named(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_a_bound_is_met_from_its_own_side_only() -> None:
    bound = bench.Known("a", "x", 1.0, "here", "bound", 0.1)
    assert bound.met(0.2, "higher") is True
    assert bound.met(1.2, "higher") is False
    assert bound.met(0.2, "lower") is False
    assert bench.Known("a", "x", 1.0, "here", "optimum", 0.1).met(0.2, "higher") is False
    assert bench.Known("a", "x", 1.0, "here").met(5.0, "higher") is None


def test_the_registry_answers_unknown_names_with_the_known_ones() -> None:
    with pytest.raises(bench.UnknownNameError, match=r"did you mean 'bench-selftest'\?.*groups: demo, all"):
        bench.get_suite("bench-selftst")
    with pytest.raises(bench.UnknownNameError, match="cannot be imported"):
        bench.get_suite("no_such_module_at_all:SUITE")
    with pytest.raises(TypeError, match=r"must be a walras\.benchmarks\.Suite"):
        bench.get_suite("math:pi")
    with pytest.raises(ValueError, match="taken by a group"):
        bench.register_suite("demo", "m:S")
    with pytest.raises(ValueError, match="is taken by"):
        bench.register_suite(SELFTEST, "m:S")


def test_every_registered_suite_can_be_loaded() -> None:
    for name in bench.list_suites():
        assert bench.get_suite(name).name == name


# ---------------------------------------------------------------------------------------------------------- statistics


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12))
def test_the_interval_is_that_of_student(values: list[float]) -> None:
    estimate = bench.mean_interval(values)
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * scipy.stats.sem(values) if len(set(values)) > 1 else 0.0
    scale = max(map(abs, values), default=1.0) + 1e-300
    assert estimate.mean == pytest.approx(np.mean(values), abs=1e-12 * scale, rel=1e-12)
    assert estimate.high - estimate.mean == pytest.approx(half, abs=1e-9 * scale)
    assert bench.mean_interval(values[::-1]) == estimate


def test_one_seed_has_no_interval_and_none_has_no_mean() -> None:
    assert bench.mean_interval([3.0])[:1] == (3.0,)
    assert math.isnan(bench.mean_interval([3.0]).low)
    assert math.isnan(bench.mean_interval([]).mean)
    assert math.isnan(bench.mean_interval([1.0, math.nan]).mean)


def test_the_interquartile_mean_ignores_outliers_and_its_interval_covers_it() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20, 5))
    scores[0] = 1e9
    estimate = bench.interquartile_interval(scores, np.random.default_rng(1), resamples=500)
    assert estimate == bench.interquartile_interval(scores, np.random.default_rng(1), resamples=500)
    assert abs(estimate.mean) < 0.5
    assert estimate.low < estimate.mean < estimate.high
    assert bench.interquartile_mean([0.0, 1.0, 2.0, 100.0]) == 1.5
    with pytest.raises(ValueError, match="scores"):
        bench.interquartile_mean([])


def test_numbers_are_printed_to_the_digits_that_their_interval_supports() -> None:
    assert number(0.123456, 0.0021) == "0.1235"
    assert number(1234567.125) == "1,234,567"
    assert number(-0.5) == "\N{MINUS SIGN}0.5"
    assert number(None) == "–"
