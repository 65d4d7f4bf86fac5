"""The bench: the results store, whole or damaged."""

from __future__ import annotations

import math
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import walras.benchmarks as bench
from walras.benchmarks import cli

SELFTEST = "bench-selftest"


def record(**changes: Any) -> bench.Record:
    """A finished record."""
    fields: dict[str, Any] = {"suite": "s", "case": "c", "seed": 0, "code_version": "1+a", "status": "done"}
    return bench.Record(**{**fields, **changes})


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, st.lists(FINITE, min_size=1, max_size=5))
def test_the_store_gives_floats_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, x: float, y: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    curve = bench.Curve(y, y[::-1], "x", "y")
    with bench.Store(folder) as store:
        store.add(record(metrics={"x": x}, curves={"curve": curve}, arrays={"y": [y]}))
    with bench.Store(folder) as store:
        (found,) = store.records()
    assert found.metrics["x"].hex() == x.hex()
    assert found.arrays["y"] == [y]
    assert found.curves["curve"].x == y


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_the_store_refuses_numbers_that_json_does_not_have(tmp_path: Path, number: float) -> None:
    fields: dict[str, Any] = {
        "metrics": {"x": number},
        "curves": {"c": bench.Curve([0.0], [number])},
        "arrays": {"a": [number]},
    }
    with bench.Store(tmp_path) as store:
        for name, value in fields.items():
            with pytest.raises(ValueError, match=f"{name} of s/c seed 0"):
                store.add(record(**{name: value}))
        assert store.records() == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("metrics", "{"),
        ("metrics", "[1.0]"),
        ("metrics", '{"reward": "high"}'),
        ("metrics", '{"reward": NaN}'),
        ("metrics", 5),
        ("curves", '{"reward": [[0, 1], [1], "", ""]}'),
        ("curves", '{"reward": 3}'),
        ("arrays", "nothing"),
        ("machine", "[]"),
        ("seconds", "long"),
        ("finished", b"now"),
    ],
)
def test_a_damaged_result_is_named_and_is_no_crash(
    tmp_path: Path, column: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with bench.Store(tmp_path) as store:
        bench.run_suites(bench.choose([SELFTEST], ["bandit"]), store, seeds=2)
    with sqlite3.connect(tmp_path / "results.sqlite") as connection:
        connection.execute(f"UPDATE results SET {column} = ? WHERE seed = 1", (value,))
    connection.close()
    capsys.readouterr()
    for command in (["run", SELFTEST, "--case", "bandit", "--seeds", "2"], ["report"]):
        assert cli.main([*command, "--out", str(tmp_path)]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        for part in ("results.sqlite", f"suite {SELFTEST}", "case bandit", "seed 1 is damaged"):
            assert part in error
    assert not (tmp_path / "report.html").exists()


def test_a_finished_result_stays_and_a_failed_one_is_replaced(tmp_path: Path) -> None:
    with bench.Store(tmp_path) as store:
        store.add(record(status="failed", error="first"))
        store.add(record(metrics={"x": 1.0}))
        store.add(record(metrics={"x": 2.0}))
        assert [found.metrics for found in store.records()] == [{"x": 1.0}]
        store.add(record(metrics={"x": 3.0}, fingerprint="other parameters"))
        assert [found.metrics for found in store.records()] == [{"x": 3.0}]
        store.add(record(code_version="2+b"))
        assert store.versions("s", "c", "") == ("2+b",)
        store.add(record(seed=1))
        assert store.versions("s", "c", "") == ("1+a", "2+b")


@pytest.mark.parametrize("kind", ["text", "foreign", "newer", "damaged", "folder"])
def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "results.sqlite"
    if kind == "text":
        path.write_text("these are not results\n" * 100)
    elif kind == "folder":
        path.mkdir()
    elif kind == "foreign":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.close()
    else:
        with bench.Store(tmp_path) as store:
            for seed in range(30):
                store.add(record(seed=seed, arrays={"y": [0.5] * 100}))
        if kind == "newer":
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA user_version = 99")
            connection.close()
        else:
            content = bytearray(path.read_bytes())
            content[4096 : len(content) // 2] = os.urandom(len(content) // 2 - 4096)
            path.write_bytes(content)
    before = None if kind == "folder" else path.read_bytes()
    with pytest.raises(bench.StoreError, match=r"results\.sqlite"):
        bench.Store(tmp_path)
    assert before is None or path.read_bytes() == before


def test_the_code_version_is_stable_and_names_the_code() -> None:
    version = bench.code_version()
    release, _, digest = version.partition("+")
    assert release and len(digest) == 12 and int(digest, 16) >= 0
    bench.code_version.cache_clear()
    assert bench.code_version() == version
