"""The suite of one bidder: its quick rows meet what is known, learned rows repeat themselves, pictures are drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from walras.benchmarks.execute import Task, execute
from walras.benchmarks.pictures import draw
from walras.benchmarks.suites import get_suite
from walras.benchmarks.suites.one_bidder import JACKETS
from walras.envs.auctions.straight_jacket import straight_jacket_revenue

SUITE = get_suite("one-bidder")


def run(name, **sizes):
    case = SUITE.case(name)
    metrics = tuple(metric.name for metric in SUITE.metrics)
    record = execute(Task(SUITE.name, name, 0, case.run, {**case.params, **sizes}, metrics, False, "code", "mark"))
    assert record.status == "done", record.error
    return record


def held(name, record):
    for known in SUITE.known:
        if known.case == name and known.metric in record.metrics:
            assert known.met(record.metrics[known.metric], SUITE.metric(known.metric).better), known


@pytest.mark.parametrize("name", [case.name for case in SUITE.cases if case.cost == "seconds"])
def test_quick_rows_meet_what_is_known(name):
    record = run(name, **({"grid": 6} if name.startswith("truth") else {}))
    held(name, record)
    if name.startswith("truth"):
        assert record.metrics["bound"] >= record.metrics["revenue"] * (1 - 1e-12)


def test_the_listed_revenue_of_the_straight_jacket_auction_is_the_solved_one():
    for goods, revenue in JACKETS.items():
        assert straight_jacket_revenue(goods) == pytest.approx(revenue, rel=1e-14)


def test_short_trainings_repeat_themselves_and_are_drawn():
    pytest.importorskip("torch")
    results = {}
    for name in ("additive-uniform", "unit-uniform-2-3"):
        record = run(f"rochet-{name}", steps=50)
        held(f"rochet-{name}", record)
        assert record.metrics["certified"] == 1.0
        results[f"rochet-{name}"] = [record]
    again = run("rochet-additive-uniform", steps=50)
    assert again.arrays == results["rochet-additive-uniform"][0].arrays
    regions, prices = SUITE.pictures
    assert draw(regions, results, "salt").startswith("<svg")
    assert draw(prices, {name: [run(name)] for name in prices.cases}, "salt").startswith("<svg")


def test_a_short_training_of_an_auction_of_one_item():
    pytest.importorskip("torch")
    record = run("myerson-net-uniform", iterations=5, points=1 << 12)
    held("myerson-net-uniform", record)
    assert 0 < record.metrics["share"] <= 1 + 1e-2
    assert record.metrics["best_reserve"] == pytest.approx(17 / 32)


PAGE = (Path(__file__).resolve().parents[1] / "docs" / "gemnet.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## One bidder") :].split("\n## ")[0]
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


def test_the_first_block_of_the_page_prints_what_it_says(capsys):
    exec(compile(BLOCKS[0], "gemnet.md", "exec"), {})
    revenue, share, bound = capsys.readouterr().out.split()
    assert revenue == "2.1331323465947305"
    assert "/" in share
    assert float(bound) == pytest.approx(2.13405, abs=5e-6)


@pytest.mark.slow
def test_the_second_block_of_the_page_learns_the_lottery(capsys):
    exec(compile(BLOCKS[1], "gemnet.md", "exec"), {})
    assert "(0.5, 1.0)" in capsys.readouterr().out
