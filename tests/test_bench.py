"""The bench: the runner and its commands."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import walras.benchmarks as bench
from walras.benchmarks import cli, kill_resume
from walras.benchmarks.backends import MissingBackendError
from walras.benchmarks.display import Silent
from walras.benchmarks.suites import expand
from walras.benchmarks.table import case_records

SELFTEST = "bench-selftest"

# A suite of a third party, in a file of its own outside walras.
THIRD_PARTY = """
import os
from walras.benchmarks import Case, Curve, Metric, Outcome, Suite

def add(seed, progress, *, left, right):
    print("printed by a case")
    progress(0.5, "half way")
    return Outcome({"total": left + right + seed})

def breaks(seed, progress):
    raise ArithmeticError("this case breaks")

def dies(seed, progress):
    os._exit(7)

def undeclared(seed, progress):
    return Outcome({"total": 1.0, "other": 2.0})

def not_a_number(seed, progress):
    return Outcome({"total": float("nan")})

def bad_curve(seed, progress):
    return Outcome({"total": 1.0}, curves={"path": Curve([0, 1], [1.0, float("inf")])})

def bad_array(seed, progress):
    return Outcome({"total": 1.0}, arrays={"table": [[1.0, float("nan")]]})

def leaves(seed, progress):
    raise SystemExit(3)

def interrupts(seed, progress):
    raise KeyboardInterrupt

def threads(seed, progress):
    return Outcome({"total": float(os.environ["OMP_NUM_THREADS"])})

HERE = __name__
SUITE = Suite(
    "third", "A third party's suite", "Everything that can happen.",
    cases=(
        Case("add", f"{HERE}:add", {"left": 1, "right": 2}, seeds=3),
        Case("breaks", f"{HERE}:breaks"),
        Case("dies", f"{HERE}:dies"),
        Case("undeclared", f"{HERE}:undeclared"),
        Case("not-a-number", f"{HERE}:not_a_number"),
        Case("bad-curve", f"{HERE}:bad_curve"),
        Case("bad-array", f"{HERE}:bad_array"),
        Case("leaves", f"{HERE}:leaves"),
        Case("interrupts", f"{HERE}:interrupts"),
        Case("threads", f"{HERE}:threads"),
        Case("absent", f"{HERE}:add", {"left": 1, "right": 2}, requires=("torch_that_nobody_has",)),
        Case("long", f"{HERE}:add", {"left": 5, "right": 2}, cost="hour"),
    ),
    metrics=(Metric("total", better="higher"),),
)
"""


@pytest.fixture
def third(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The entry of a third party's suite, importable here and in worker processes."""
    folder = tmp_path / "third"
    folder.mkdir()
    (folder / "third_party_suite.py").write_text(THIRD_PARTY, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "third_party_suite", raising=False)
    return "third_party_suite:SUITE"


def fill(folder: Path, name: str, *, cases: tuple[str, ...] = (), **options: Any) -> bench.Summary:
    """Run a suite into a folder."""
    with bench.Store(folder) as store:
        return bench.run_suites(bench.choose([name], cases), store, **options)


def facts(folder: Path) -> kill_resume.Contents:
    """The rows of a folder without timings."""
    return kill_resume.contents(folder)


def test_a_registered_suite_is_found_by_its_name(third: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walras.benchmarks.suites._ENTRIES", {})
    bench.register_suite("third", third)
    assert bench.list_suites() == ("third",)
    assert bench.get_suite("third").title == "A third party's suite"
    assert dict(expand("demo"))["third"] == tuple(c.name for c in bench.get_suite(third).cases if c.cost == "seconds")
    assert "long" in dict(expand("all"))["third"]


# -------------------------------------------------------------------------------------------------------------- runner


def test_one_worker_and_two_give_the_same_rows(tmp_path: Path) -> None:
    one = fill(tmp_path / "one", SELFTEST, jobs=1, seeds=3)
    fill(tmp_path / "two", SELFTEST, jobs=2, seeds=3)
    assert one.ran == 15
    assert facts(tmp_path / "one") == facts(tmp_path / "two")
    assert len(facts(tmp_path / "one")) == 15


def test_only_what_is_missing_is_run(tmp_path: Path) -> None:
    first = fill(tmp_path, SELFTEST, cases=("maximum-2",), seeds=2)
    more = fill(tmp_path, SELFTEST, cases=("maximum-2", "maximum-5"), seeds=3)
    assert (first.ran, first.stored) == (2, 0)
    assert (more.ran, more.stored) == (4, 2)


def test_a_case_with_other_parameters_is_run_again(tmp_path: Path, third: str) -> None:
    fill(tmp_path, third, cases=("add",), seeds=1)
    suite = bench.get_suite(third)
    changed = dataclasses.replace(suite.cases[0], params={"left": 10, "right": 2})
    ((_, entry, _),) = bench.choose([third], ["add"])
    with bench.Store(tmp_path) as store:
        chosen = type(bench.choose([third])[0])(suite, entry, (changed,))
        assert bench.run_suites([chosen], store, seeds=1).ran == 1
        assert [found.metrics["total"] for found in store.records()] == [12.0]


def test_rows_use_no_result_of_other_parameters_and_no_seed_that_was_not_asked_for(
    tmp_path: Path, third: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(*options: str) -> dict[str, Any]:
        assert cli.main(["run", third, "--case", "add", *options, "--json", "--out", str(tmp_path)]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        return dict(row)

    assert [asked("--seeds", "5")[key] for key in ("value", "seeds", "status")] == [5.0, 5, "done"]
    assert [asked("--seeds", "2")[key] for key in ("value", "seeds", "status")] == [3.5, 2, "done"]
    assert [asked()[key] for key in ("value", "seeds", "status")] == [4.0, 3, "done"]
    suite = bench.get_suite(third)
    changed = dataclasses.replace(suite.cases[0], params={"left": 10, "right": 2}, seeds=1)
    with bench.Store(tmp_path) as store:
        bench.run_suites([type(bench.choose([third])[0])(suite, third, (changed,))], store)
        assert [found.metrics["total"] for found in case_records(store, suite.name, changed)] == [12.0]
        assert [found.seed for found in case_records(store, suite.name, suite.cases[0])] == [1, 2, 3, 4]


def test_a_case_that_exits_or_interrupts_is_a_failure_and_the_others_go_on(tmp_path: Path, third: str) -> None:
    summary = fill(tmp_path, third, cases=("leaves", "interrupts", "add"))
    errors = {found.case: found.error.strip().splitlines()[-1] for found in summary.failed}
    assert errors == {"leaves": "SystemExit: 3", "interrupts": "KeyboardInterrupt"}
    assert (summary.ran, summary.interrupted) == (3, False)


def test_numbers_that_are_not_finite_are_failures_that_name_them(tmp_path: Path, third: str) -> None:
    summary = fill(tmp_path, third, cases=("not-a-number", "bad-curve", "bad-array"))
    errors = {found.case: found.error.strip().splitlines()[-1] for found in summary.failed}
    assert "metric 'total' of case third/not-a-number must be a finite number, got nan" in errors["not-a-number"]
    assert "y of curve 'path' of case third/bad-curve must hold finite numbers, got inf" in errors["bad-curve"]
    assert "array 'table' of case third/bad-array must hold finite numbers, got nan" in errors["bad-array"]


@pytest.mark.parametrize("options", [["--case", "add", "threads"], ["--case", "add", "--case", "threads"]])
def test_cases_are_named_behind_one_option_or_each_behind_its_own(
    options: list[str], tmp_path: Path, third: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", third, *options, "--seeds", "1", "--json", "--out", str(tmp_path)]) == 0
    assert [row["case"] for row in json.loads(capsys.readouterr().out)] == ["add", "threads"]


def test_failures_are_kept_with_their_traceback_and_the_others_go_on(tmp_path: Path, third: str) -> None:
    summary = fill(tmp_path, third, cases=("breaks", "undeclared", "add"))
    assert summary.ran == 3
    errors = {found.case: found.error for found in summary.failed}
    assert "ArithmeticError: this case breaks" in errors["breaks"] and "Traceback" in errors["breaks"]
    assert "does not declare: other" in errors["undeclared"]
    again = fill(tmp_path, third, cases=("breaks", "undeclared", "add"))
    assert (again.ran, again.stored, len(again.failed)) == (0, 3, 2)


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_case_that_kills_its_worker_fails_alone(tmp_path: Path, third: str, jobs: int) -> None:
    summary = fill(tmp_path, third, cases=("dies", "add"), jobs=jobs)
    assert summary.ran == 3
    assert [(found.case, "worker process died" in found.error) for found in summary.failed] == [("dies", True)]


def test_a_case_whose_packages_are_missing_is_seen_as_skipped(tmp_path: Path, third: str) -> None:
    summary = fill(tmp_path, third, cases=("absent",))
    reason = "needs torch_that_nobody_has (pip install torch_that_nobody_has)"
    assert [found.error for found in summary.skipped] == [reason]
    with bench.Store(tmp_path) as store:
        (row,) = bench.build_rows(bench.get_suite(third), {"absent": store.records()}, cases=["absent"])
    assert row["status"] == f"skipped: {reason}"
    assert (row["value"], row["seeds"]) == (None, 0)


def test_workers_compute_with_one_thread(tmp_path: Path, third: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    fill(tmp_path, third, cases=("threads",))
    with bench.Store(tmp_path) as store:
        assert store.records()[0].metrics == {"total": 1.0}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_progress_reaches_the_display(tmp_path: Path, third: str) -> None:
    seen: list[tuple[float, str]] = []

    class Watching(Silent):
        def update(self, task: Any, fraction: float, text: str) -> None:
            seen.append((fraction, text))

    fill(tmp_path, third, cases=("add",), seeds=1, display=Watching())
    assert (0.0, "") in seen and (0.5, "half way") in seen


def test_wrong_options_of_the_runner_are_named(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {"jobs": 0, "seeds": 0, "backend": "cloud"}
    for name in wrong:
        with pytest.raises(ValueError, match=name):
            fill(tmp_path, SELFTEST, **{name: wrong[name]})


def test_ray_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingBackendError, match=r"pip install walras\[ray\]"):
        fill(tmp_path, SELFTEST, backend="ray")


@pytest.mark.slow
def test_ray_gives_the_same_rows(tmp_path: Path, third: str) -> None:
    import ray

    fill(tmp_path / "local", SELFTEST, jobs=1, seeds=2)
    summary = fill(tmp_path / "ray", SELFTEST, backend="ray", jobs=2, seeds=2)
    assert summary.ran == 10
    assert facts(tmp_path / "ray") == facts(tmp_path / "local")
    third_party = fill(tmp_path / "third", third, cases=("breaks", "leaves", "add"), backend="ray")
    errors = {found.case: found.error.strip().splitlines()[-1] for found in third_party.failed}
    assert errors == {"breaks": "ArithmeticError: this case breaks", "leaves": "SystemExit: 3"}
    assert not ray.is_initialized()


# ---------------------------------------------------------------------------------------------------- kill and resume


def test_a_killed_bench_loses_and_doubles_nothing() -> None:
    verdict = kill_resume.measure(kills=3, seeds=12, jobs=2, rng=random.Random(1))
    assert verdict.kills >= 3
    assert verdict.rows == 60
    assert verdict.clean, verdict


def test_the_kill_and_resume_check_sees_each_kind_of_damage(tmp_path: Path) -> None:
    fill(tmp_path, SELFTEST, cases=("clock",), seeds=3)
    truth = facts(tmp_path)
    assert kill_resume.compare(truth, truth) == (0, 0, 0, 0)
    first, second, _ = truth
    assert kill_resume.compare(truth, {key: rows for key, rows in truth.items() if key != first}) == (1, 0, 0, 0)
    assert kill_resume.compare(truth, {**truth, first: truth[first] * 2}) == (0, 1, 1, 0)
    assert kill_resume.compare(truth, {**truth, first: truth[second]}) == (0, 0, 1, 0)
    broken = tuple("failed" if part == "done" else part for part in truth[first][0])
    assert kill_resume.compare(truth, {**truth, first: [broken]}) == (0, 0, 1, 1)


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "walras.benchmarks", "run", SELFTEST, "--case", "clock", "--seeds", "400"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[3/"):
            break
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: to the parent and to its workers
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again to resume" in rest
    kept = facts(tmp_path)
    assert 3 <= len(kept) < 400
    assert all(row[4] == "done" for rows in kept.values() for row in rows)


# ------------------------------------------------------------------------------------------------------------ commands


def test_run_prints_one_strict_json_array(tmp_path: Path, third: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", third, SELFTEST, "--cost", "minutes", "--json", "--jobs", "2", "--out", str(tmp_path)]) == 1

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    captured = capsys.readouterr()
    rows = json.loads(captured.out, parse_constant=refuse)
    asked = "suite case metric value ci_low ci_high published truth seeds seconds unit peer target status code_version"
    for row in rows:
        assert set(asked.split()) <= set(row)
    by_case = {(row["suite"], row["case"], row["metric"]): row for row in rows}
    maximum = by_case[SELFTEST, "maximum-2", "mean_maximum"]
    assert maximum["published"] == 0.667 and maximum["truth"] == 2 / 3 and maximum["seeds"] == 5
    assert maximum["ci_low"] < maximum["value"] < maximum["ci_high"]
    bandit = by_case[SELFTEST, "bandit", "reward"]
    assert bandit["peer"] == by_case[SELFTEST, "bandit-slow", "reward"]["value"]
    assert bandit["reached"] is True
    assert by_case["third", "not-a-number", None]["status"].startswith("failed: ValueError: metric 'total'")
    assert by_case["third", "breaks", None]["status"] == "failed: ArithmeticError: this case breaks"
    assert by_case["third", "add", "total"]["value"] == 4.0
    assert ("third", "long", "total") not in by_case
    assert "ArithmeticError" in captured.err


def test_run_ends_with_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run((SELFTEST,), case=(("maximum-5",),), seeds=2, out=tmp_path) == 0
    captured = capsys.readouterr()
    assert "mean_maximum" in captured.out and "0.83333" in captured.out
    assert "[2/2]" in captured.err and "results.sqlite" in captured.err
    assert cli.run((SELFTEST,), case=(("maximum-5",),), seeds=3, json=True, out=tmp_path) == 0
    assert "2 already in the store" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "bench-selftst"], "did you mean 'bench-selftest'?"),
        (["run"], "needs at least one SUITE"),
        (["run", SELFTEST, "--case", "maximum"], "unknown case 'maximum' (did you mean 'maximum-"),
        (["run", SELFTEST, "--seeds", "0"], "seeds must be >= 1"),
        (["run", SELFTEST, "--jobs", "-1"], "jobs must be >= 1"),
        (["report", "nothing"], "unknown suite 'nothing'"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_two(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.Store(tmp_path).close()
    assert cli.main([*arguments, "--out", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err and captured.err.count("\n") == 1


def test_a_foreign_file_is_a_wrong_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.sqlite").write_text("something else\n" * 50)
    assert cli.run((SELFTEST,), out=tmp_path) == 2
    assert "not a readable results store" in capsys.readouterr().err


def test_list_names_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.list_(json=True) == 0
    entries = json.loads(capsys.readouterr().out)
    assert {entry["suite"] for entry in entries} == set(bench.list_suites())
    assert {entry["suite_status"] for entry in entries if entry["suite"] == "auctions"} == {"verified"}
    assert cli.list_() == 0
    assert "bandit-slow" in capsys.readouterr().out


def test_the_bench_costs_nothing_until_it_is_used() -> None:
    heavy = "torch matplotlib ray scipy.stats jinja2 tyro rich"
    code = f"""
import sys
before = set(sys.modules)
import walras
reached = set(sys.modules) - before
import walras.benchmarks
walras.benchmarks.get_suite("{SELFTEST}")
print([name for name in "{heavy}".split() if name in set(sys.modules) - before - reached])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "walras.benchmarks",
        "run",
        SELFTEST,
        "--case",
        "clock",
        "--seeds",
        "400",
        "--jobs",
        "2",
    ]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[3/"):
            break
    process.kill()
    start = time.monotonic()
    process.communicate(timeout=60)  # ends when the last process that inherited standard error is gone
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(("ran", "written", "expected"), [(0, 0, 0), (3, 0, 3), (0, 4, 4), (3, 4, 3)])
def test_make_demo_writes_the_report_of_a_failed_run_too(tmp_path: Path, ran: int, written: int, expected: int) -> None:
    make = shutil.which("make")
    makefile = Path(__file__).parent.parent / "Makefile"
    assert make is not None
    assert makefile.is_file()
    environment = tmp_path / "environment"
    (environment / ".walras").mkdir(parents=True)
    (environment / "bin").mkdir()
    for name, age in (("dependencies", 1), ("installed", 2)):  # newer than every source: nothing is to be built
        stamp = environment / ".walras" / name
        stamp.touch()
        os.utime(stamp, (time.time() + 1000 * age,) * 2)
    command = environment / "bin" / "walras"
    command.write_text(f'#!/bin/sh\necho "$2" >> {tmp_path}/log\n[ "$2" = run ] && exit {ran}\nexit {written}\n')
    command.chmod(0o755)
    overrides = [f"VENV={environment}", f"OUT={tmp_path}"]
    result = subprocess.run(
        [make, "-C", str(makefile.parent), "demo", *overrides], capture_output=True, text=True, check=False
    )
    assert (tmp_path / "log").read_text().split() == ["run", "report"], result.stderr
    assert (result.returncode == 0) == (expected == 0)
    if expected:
        assert f"Error {expected}" in result.stderr
