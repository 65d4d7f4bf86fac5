"""The results store: one SQLite file, one transaction for each finished (case, seed).

A result is keyed by suite, case, seed and code version, so it can be there once only; a process killed at any moment
leaves either the whole result or nothing of it. Floats are kept exactly (as shortest round-trip decimals).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from walras.benchmarks.suite import Curve

Status: TypeAlias = Literal["done", "failed", "skipped"]

FILE_NAME = "results.sqlite"
APPLICATION_ID = 0x57414C52  # "WALR" in the header of the file: tells our stores from other SQLite files
SCHEMA_VERSION = 1

_SCHEMA = (
    """CREATE TABLE results (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        suite TEXT NOT NULL, case_name TEXT NOT NULL, seed INTEGER NOT NULL, code_version TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('done', 'failed', 'skipped')),
        fingerprint TEXT NOT NULL, metrics TEXT NOT NULL, curves TEXT NOT NULL, arrays TEXT NOT NULL, error TEXT NOT
        NULL, seconds REAL NOT NULL, machine TEXT NOT NULL, finished TEXT NOT NULL,
        UNIQUE (suite, case_name, seed, code_version)
    )""",
    "CREATE TABLE suites (name TEXT PRIMARY KEY, entry TEXT NOT NULL)",
)
_COLUMNS = (
    "suite, case_name, seed, code_version, status, fingerprint, metrics, curves, arrays, error, seconds, machine, "
    "finished"
)


class StoreError(ValueError):
    """The file is not a results store that this version of walras can use."""


@dataclass(frozen=True)
class Record:
    """The stored result of one seed of one case.

    Attributes:
        suite: Name of the suite.
        case: Name of the case.
        seed: The seed.
        code_version: `code_version()` of the code that ran.
        status: `"done"`, `"failed"` or `"skipped"`.
        fingerprint: `fingerprint(...)` of the run function's name and parameters.
        metrics: Metric name to number.
        curves: Curve name to curve.
        arrays: Array name to nested lists.
        error: The traceback of a failed run, the reason of a skipped one, else empty.
        seconds: Wall time of the run function.
        machine: Facts of the machine that ran it.
        finished: When it ended, UTC, ISO 8601.
    """

    suite: str
    case: str
    seed: int
    code_version: str
    status: Status
    fingerprint: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    arrays: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    machine: Mapping[str, Any] = field(default_factory=dict)
    finished: str = ""

    def row(self) -> tuple[Any, ...]:
        """Return the record in the order of the table's columns.

        Raises:
            ValueError: If a number is not finite.
        """

        def text(what: str, value: Any) -> str:
            try:
                return json.dumps(value, sort_keys=True, allow_nan=False)
            except ValueError as error:
                raise ValueError(f"{what} of {self.suite}/{self.case} seed {self.seed}: {error}") from error

        curves = {name: [list(c.x), list(c.y), c.x_label, c.y_label] for name, c in self.curves.items()}
        texts = [text("metrics", dict(self.metrics)), text("curves", curves), text("arrays", dict(self.arrays))]
        machine = text("machine", dict(self.machine))
        key = (self.suite, self.case, self.seed, self.code_version, self.status, self.fingerprint)
        return (*key, *texts, self.error, self.seconds, machine, self.finished)

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> Record:
        """Build a record from the table's columns.

        Raises:
            ValueError: If a column does not hold what `row` writes.
        """
        suite, case, seed, version, status, mark = row[:6]
        if not isinstance(seed, int) or not all(isinstance(text, str) for text in (version, mark, row[9], row[12])):
            raise ValueError("a column is of the wrong type")
        metrics, curves, arrays = (
            _parsed(*pair) for pair in zip(("metrics", "curves", "arrays"), row[6:9], strict=True)
        )
        if not all(_is_number(value) for value in metrics.values()):
            raise ValueError("metrics must be numbers")
        for parts in curves.values():
            shaped = isinstance(parts, list) and [type(part) for part in parts] == [list, list, str, str]
            if not shaped or len(parts[0]) != len(parts[1]) or not all(map(_is_number, parts[0] + parts[1])):
                raise ValueError("curves must be two lists of numbers and two labels")
        if not _is_number(row[10]):
            raise ValueError(f"seconds must be a number, got {row[10]!r}")
        return cls(
            suite=suite,
            case=case,
            seed=seed,
            code_version=version,
            status=status,
            fingerprint=mark,
            metrics=metrics,
            curves={name: Curve(*parts) for name, parts in curves.items()},
            arrays=arrays,
            error=row[9],
            seconds=row[10],
            machine=_parsed("machine", row[11]),
            finished=row[12],
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _parsed(what: str, text: Any) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON number")

    try:
        value = json.loads(text, parse_constant=refuse)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{what} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object, got {type(value).__name__}")
    return value


class Store:
    """The results in `folder/results.sqlite`.

    Args:
        folder: The folder of the results, or the path of the file itself if it ends in `.sqlite`.
        create: Make folder and file where they are missing.

    Raises:
        StoreError: If the file exists but is no results store, is damaged, or was written by a newer walras; if it
            is missing and `create` is False.
    """

    def __init__(self, folder: str | os.PathLike[str], *, create: bool = True) -> None:
        """Open the store."""
        path = Path(folder)
        self.path = path if path.suffix == ".sqlite" else path / FILE_NAME
        if not create and not self.path.exists():
            below = sorted(str(file.parent) for file in self.path.parent.glob(f"*/{FILE_NAME}"))
            hint = f"; there are some in {', '.join(below)}" if below else ""
            raise StoreError(f"there are no results in {folder}: no file {self.path}{hint}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot open the results store {self.path}: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(
                f"{self.path} is not a readable results store ({error}); move it away or choose another folder"
            ) from error
        except StoreError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        def number(pragma: str) -> int:
            return int(self._connection.execute(f"PRAGMA {pragma}").fetchone()[0])

        self._connection.execute("BEGIN IMMEDIATE")  # two processes must not both create the tables
        try:
            if (
                number("application_id") == 0
                and not self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            ):
                for statement in _SCHEMA:
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        if number("application_id") != APPLICATION_ID:
            raise StoreError(
                f"{self.path} is an SQLite file of another program, not a walras results store; choose another folder"
            )
        if number("user_version") != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has schema {number('user_version')}, this walras reads schema {SCHEMA_VERSION}; "
                "choose another folder"
            )
        damage = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise StoreError(f"{self.path} is damaged ({damage}); move it away or choose another folder")

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Close the file; everything added is already in it."""
        self._connection.close()

    def register(self, suite: str, entry: str) -> None:
        """Keep where a suite is (`"module:SUITE"`) or the suite itself (as JSON), for reports.

        Without it a report finds registered suites only.
        """
        self._ask("INSERT OR REPLACE INTO suites VALUES (?, ?)", (suite, entry))

    def add(self, record: Record) -> None:
        """Write one result in one transaction.

        A result that is not done, or that was done with other parameters, is replaced; otherwise the first result
        stays.

        Args:
            record: The result.

        Raises:
            ValueError: If a number in it is not finite.
            StoreError: If it cannot be written.
        """
        row = record.row()
        marks = ", ".join("?" * 13)
        updates = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[4:])
        self._ask(
            f"INSERT INTO results ({_COLUMNS}) VALUES ({marks}) "
            f"ON CONFLICT (suite, case_name, seed, code_version) DO UPDATE SET {updates} "
            "WHERE results.status != 'done' OR results.fingerprint != excluded.fingerprint",
            row,
        )

    def _ask(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, which is one transaction, and return its rows."""
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

    def done(self, suite: str, code_version: str) -> set[tuple[str, int, str]]:
        """Return (case, seed, fingerprint) of the finished results of a suite under one code version."""
        query = (
            "SELECT case_name, seed, fingerprint FROM results WHERE suite = ? AND code_version = ? AND status = 'done'"
        )
        return {(case, seed, mark) for case, seed, mark in self._ask(query, (suite, code_version))}

    def records(
        self,
        suite: str | None = None,
        case: str | None = None,
        code_version: str | None = None,
        fingerprint: str | None = None,
    ) -> list[Record]:
        """Return the results, sorted by suite, case, seed and age; None means any.

        Raises:
            StoreError: If one of them is damaged; names the file, suite, case and seed.
        """
        given = {"suite": suite, "case_name": case, "code_version": code_version, "fingerprint": fingerprint}
        wanted = {column: value for column, value in given.items() if value is not None}
        where = " AND ".join(f"{column} = ?" for column in wanted) or "1"
        query = f"SELECT {_COLUMNS} FROM results WHERE {where} ORDER BY suite, case_name, seed, position"
        return [self._record(row) for row in self._ask(query, tuple(wanted.values()))]

    def _record(self, row: tuple[Any, ...]) -> Record:
        try:
            return Record.from_row(row)
        except ValueError as error:
            raise StoreError(
                f"{self.path}: the result of suite {row[0]}, case {row[1]}, seed {row[2]} is damaged: {error}; "
                "move the file away or choose another folder"
            ) from error

    def suites(self) -> dict[str, str]:
        """Return the suites that have results: name to entry (empty where none was given)."""
        query = (
            "SELECT DISTINCT results.suite, coalesce(suites.entry, '') FROM results "
            "LEFT JOIN suites ON suites.name = results.suite ORDER BY 1"
        )
        return {name: entry for name, entry in self._ask(query)}

    def versions(self, suite: str, case: str, fingerprint: str) -> tuple[str, ...]:
        """Return the code versions that have results of a case, those with a finished seed first, the newest first."""
        query = (
            "SELECT code_version FROM results WHERE suite = ? AND case_name = ? AND fingerprint = ? "
            "GROUP BY code_version ORDER BY max(status = 'done') DESC, max(position) DESC"
        )
        return tuple(version for (version,) in self._ask(query, (suite, case, fingerprint)))


def package_version() -> str:
    """Return the version of the installed walras, or `"0"` where it runs from a folder that was never installed."""
    try:
        return importlib.metadata.version("walras")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def source_files() -> Iterable[tuple[str, Path]]:
    """Yield every Python file of the package as (path within the package, path on disk), sorted."""
    import walras

    found: dict[str, Path] = {}
    for root in walras.__path__:
        for folder, _, names in os.walk(root, followlinks=True):
            for name in names:
                if name.endswith(".py"):
                    path = Path(folder, name)
                    found.setdefault(path.relative_to(root).as_posix(), path)
    return sorted(found.items())


@functools.cache
def code_version() -> str:
    """Return the version of the running code: the package's version, `+`, and 12 hex digits over all its .py files."""
    digest = hashlib.sha256()
    for name, path in source_files():
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return f"{package_version()}+{digest.hexdigest()[:12]}"


def fingerprint(run: str, params: Mapping[str, Any]) -> str:
    """Return 16 hex digits that tell one run function and its parameters from others.

    The source file of a run function outside walras is part of it, as `code_version()` does not cover that file.
    """
    import importlib.util

    parts = [run, json.dumps(dict(params), sort_keys=True)]
    module = run.partition(":")[0]
    if module.partition(".")[0] != "walras":
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            spec = None  # the run itself will fail and say so
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            parts.append(hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
