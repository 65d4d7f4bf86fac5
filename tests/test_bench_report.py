"""The report of the bench: one self-contained HTML file, whatever the store holds."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import walras.benchmarks as bench
from walras.benchmarks import cli
from walras.benchmarks.charts import Reference, interval_plot, line_chart, pool, ticks
from walras.benchmarks.store import fingerprint
from walras.benchmarks.table import case_records

SELFTEST = "bench-selftest"


class Page(HTMLParser):
    """Checks that tags are balanced; collects ids, links and what the page would load."""

    void = frozenset({"meta", "line", "circle", "path", "use", "br", "img", "link", "rect", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("src", "href", "data", "srcset", "xlink:href"):
                self.loads.append(value or "")
        if tag in ("script", "link", "iframe", "object"):
            self.loads.append(f"<{tag}>")
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


def write(folder: Path, *suites: str) -> tuple[str, tuple[str, ...]]:
    """Write the report of a folder and return its text and its problems."""
    with bench.Store(folder) as store:
        path, problems = bench.write_report(store, suites=suites)
    return path.read_text(encoding="utf-8"), problems


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the selftest suite."""
    folder = tmp_path_factory.mktemp("bench")
    with bench.Store(folder) as store:
        bench.run_suites(bench.choose([SELFTEST]), store, seeds=3, jobs=2)
    return folder


def add(folder: Path, case: str, status: Any = "done", **fields: Any) -> None:
    """Add a record of the selftest suite by hand."""
    found = bench.get_suite(SELFTEST).case(case)
    mark = fingerprint(found.run, found.params)
    fields = {"seed": 0, "code_version": bench.code_version(), "fingerprint": mark, **fields}
    with bench.Store(folder) as store:
        store.add(bench.Record(suite=SELFTEST, case=case, status=status, **fields))


def test_the_page_loads_nothing_from_elsewhere(filled: Path) -> None:
    text, problems = write(filled)
    page = Page(text)
    assert problems == ()
    assert page.open == []
    assert all(load.startswith(("#", "data:")) for load in page.loads), page.loads
    assert not re.search(r"@import|url\((?!['\"]?(#|data:))", text)
    assert re.findall(r"https?://\S+", text) == []


def test_every_link_of_the_page_leads_somewhere_and_ids_are_unique(filled: Path) -> None:
    page = Page(write(filled)[0])
    assert len(page.links) > 10
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)


def test_one_store_gives_one_page(filled: Path) -> None:
    assert write(filled)[0] == write(filled)[0]


def test_the_page_shows_ours_beside_the_published_the_true_and_the_required(filled: Path) -> None:
    text, _ = write(filled)
    with bench.Store(filled) as store:
        values = [found.metrics["mean_maximum"] for found in store.records(SELFTEST, "maximum-2")]
    estimate = bench.mean_interval(values)
    half = estimate.high - estimate.mean
    assert f"{estimate.mean:.{1 - int(np.floor(np.log10(half)))}f} ±" in text
    source = "The maximum of n uniforms is Beta"
    for part in ("0.667<sup>", "0.66667<sup>", source, "bandit-slow", "reached", bench.code_version()):
        assert part in text
    assert 'class="chart"' in text and 'class="picture"' in text and "Density of the largest draw" in text


def test_an_empty_store_gives_a_page_that_says_so(tmp_path: Path) -> None:
    text, _ = write(tmp_path)
    assert "There are no results yet" in text
    assert Page(text).open == []


def test_a_suite_without_results_is_shown_with_dashes(tmp_path: Path) -> None:
    text, _ = write(tmp_path, SELFTEST)
    assert text.count("not run") == len(bench.get_suite(SELFTEST).cases)
    assert "open</span>" in text and "waits for results of maximum-2, maximum-5" in text


def test_failed_and_skipped_cases_stand_at_the_head_with_their_reasons(tmp_path: Path) -> None:
    add(tmp_path, "bandit", "failed", error="Traceback (most recent call last):\nValueError: price <b>below</b> zero\n")
    add(tmp_path, "clock", "skipped", error="needs torch (pip install walras[learn])")
    text, _ = write(tmp_path)
    assert "ValueError: price &lt;b&gt;below&lt;/b&gt; zero" in text and "<b>below" not in text
    assert "skipped: needs torch (pip install walras[learn])" in text
    assert Page(text).open == []


def test_a_required_figure_that_is_missed_is_printed_as_short(tmp_path: Path) -> None:
    add(tmp_path, "bandit", metrics={"reward": 0.2})
    add(tmp_path, "bandit-slow", metrics={"reward": 0.4})
    text, _ = write(tmp_path)
    assert "short</span>" in text and "0.5 ×" in text and "reached</span>" not in text


def test_results_of_other_code_are_shown_with_their_version(tmp_path: Path) -> None:
    add(tmp_path, "maximum-2", code_version="0.0.9+aaaaaaaaaaaa", metrics={"mean_maximum": 0.25})
    text, _ = write(tmp_path)
    assert "code 0.0.9+aaaaaaaaaaaa" in text and "0.25" in text
    add(tmp_path, "maximum-2", metrics={"mean_maximum": 0.75})
    text, _ = write(tmp_path)
    assert "0.0.9+aaaaaaaaaaaa" not in text and "0.75" in text


def test_a_picture_that_cannot_be_drawn_is_a_problem_and_the_page_is_still_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path, "maximum-2", metrics={"mean_maximum": 0.7})  # lacks the arrays that the picture needs
    text, problems = write(tmp_path)
    assert "Not drawn: KeyError" in text and len(problems) == 1
    assert cli.report(out=tmp_path) == 1
    captured = capsys.readouterr()
    assert captured.out.strip() == str(tmp_path / "report.html")
    assert "picture bench-selftest/density" in captured.err


def test_without_matplotlib_the_page_names_the_extra(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text, problems = write(filled)
    assert "needs matplotlib (pip install walras[report])" in text and len(problems) == 1


def test_without_jinja2_the_command_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path, "bandit", metrics={"reward": 0.8})
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert cli.report(out=tmp_path) == 2
    assert "pip install walras[report]" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_results_of_a_suite_that_is_gone_are_mentioned(tmp_path: Path) -> None:
    with bench.Store(tmp_path) as store:
        store.register("gone", "no_such_module_at_all:SUITE")
        store.add(bench.Record("gone", "c", 0, "1+a", "done"))
    text, problems = write(tmp_path)
    assert "gone" in problems[0] and "gone" in text


def test_curves_over_different_points_are_pooled_where_they_overlap() -> None:
    line = pool("both", [bench.Curve([0, 2, 4], [0, 2, 4]), bench.Curve([1, 3, 5], [2, 4, 6])])
    assert line.x.tolist() == [1, 2, 3, 4]
    assert line.mean.tolist() == pytest.approx([1.5, 2.5, 3.5, 4.5])
    assert (line.low < line.mean).all() and (line.mean < line.high).all()


def test_charts_survive_values_that_are_not_finite_or_all_the_same() -> None:
    flat = pool("flat", [bench.Curve([0, 1], [3, 3])])
    holes = dataclasses.replace(bench.Curve([0, 1, 2], [1.0, np.nan, np.inf]))
    for chart in (line_chart([flat]), line_chart([pool("holes", [holes])], [Reference("truth", 2.0, "truth")])):
        assert "nan" not in chart and "inf" not in chart and chart.startswith("<svg")
    assert line_chart([]) == ""
    assert interval_plot(None, None, None, truths=[1.0]) == ""
    assert 'class="truth"' in interval_plot(1.0, 0.9, 1.1, truths=[1.05])


def test_ticks_are_round_and_within_the_range() -> None:
    assert ticks(0.0, 1.0) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(-3.0, 7.0)[0] >= -3.0
    assert ticks(2.0, 2.0) == [2.0]


def test_results_of_other_parameters_are_not_shown(tmp_path: Path) -> None:
    add(tmp_path, "bandit", metrics={"reward": 0.123}, fingerprint="other parameters")
    add(tmp_path, "bandit", metrics={"reward": 0.123}, fingerprint="other parameters", code_version="0+a", seed=1)
    add(tmp_path, "bandit", metrics={"reward": 0.75}, seed=2)
    text, _ = write(tmp_path)
    assert "0.75" in text and "0.123" not in text
    with bench.Store(tmp_path) as store:
        (row,) = bench.build_rows(
            bench.get_suite(SELFTEST),
            {"bandit": case_records(store, SELFTEST, bench.get_suite(SELFTEST).case("bandit"))},
            cases=["bandit"],
        )
    assert (row["value"], row["seeds"]) == (0.75, 1)


@pytest.mark.parametrize("exists", [False, True])
def test_a_report_of_a_folder_without_results_is_a_wrong_request_and_writes_nothing(
    tmp_path: Path, exists: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    if exists:
        folder.mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert cli.report(out=folder) == 2
    error = capsys.readouterr().err
    assert "there are no results" in error and str(folder) in error and error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    add(folder / "inner", "bandit", metrics={"reward": 0.75})
    assert cli.report(out=folder) == 2
    assert f"there are some in {folder / 'inner'}" in capsys.readouterr().err


def test_a_suite_kept_as_json_is_shown_and_a_damaged_one_is_a_problem(tmp_path: Path) -> None:
    suite = bench.Suite("own", "My own suite", "", (bench.Case("a", "m:f"),), (bench.Metric("x"),))
    case = suite.case("a")
    with bench.Store(tmp_path) as store:
        store.register("own", json.dumps(suite.to_dict()))
        key = ("own", "a", 0, bench.code_version(), "done", fingerprint(case.run, case.params))
        store.add(bench.Record(*key, {"x": 0.625}))  # type: ignore[arg-type]
    text, problems = write(tmp_path)
    assert "My own suite" in text and "0.625" in text and problems == ()
    for damaged in ('{"name": ', '{"name": "own"}'):
        with bench.Store(tmp_path) as store:
            store.register("own", damaged)
        _, problems = write(tmp_path)
        assert len(problems) == 1 and "'own'" in problems[0]
