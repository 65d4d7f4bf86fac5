"""The commands `bench list`, `bench run` and `bench report` as typed functions; tyro turns them into a command line.

Each returns an exit status: 0 for success, 1 if a case or a picture failed, 2 for a wrong request, 130 after Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from walras.benchmarks.backends import BackendName
from walras.benchmarks.suite import Cost

if TYPE_CHECKING:
    from walras.benchmarks.runner import Summary
    from walras.benchmarks.table import Row

OUT = Path("out/bench")

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Words = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SUITE...")]
Names = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME...")]


def complain(error: Exception) -> int:
    """Say in one line on standard error what is wrong with a request, and return its exit status, 2."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    print(f"walras: {text}", file=sys.stderr)
    return 2


def print_table(table: object) -> None:
    """Print a rich table, wide enough for its columns where standard output is no terminal."""
    from rich.console import Console

    # A pipe or a file has no width: give the table the room it needs instead of wrapping it at 80 characters.
    Console(width=None if sys.stdout.isatty() else 180).print(table)


def list_(*, json: Flag = False) -> int:
    """List the benchmark suites and their cases.

    Args:
        json: Print one JSON array with an object for each case instead of a table.
    """
    from walras.benchmarks.execute import missing
    from walras.benchmarks.suites import GROUPS, get_suite, list_suites
    from walras.benchmarks.table import to_json

    entries: list[Row] = []
    for name in list_suites():
        suite = get_suite(name)
        for case in suite.cases:
            lacks = missing(case)
            facts: Row = {
                "suite": name,
                "title": suite.title,
                "suite_status": suite.status,
                "case": case.name,
                "description": case.description,
                "cost": case.cost,
            }
            facts |= {
                "seeds": case.seeds,
                "requires": list(case.requires),
                "status": lacks or "ready",
                "peer_of": case.peer_of,
            }
            entries.append(facts)
    if json:
        print(to_json(entries))
        return 0
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("suite", "case", "cost", "seeds", "what", "status"):
        table.add_column(column, overflow="fold")
    previous = None
    for entry in entries:
        first = entry["suite"] != previous
        previous = entry["suite"]
        cells = [
            f"{previous} ({entry['suite_status']})" if first else "",
            entry["case"],
            entry["cost"],
            str(entry["seeds"]),
            entry["description"],
            entry["status"],
        ]
        table.add_row(*map(escape, cells))
    print_table(table)
    print("groups: " + "; ".join(f"{name} = {group.description}" for name, group in GROUPS.items()))
    return 0


def run(
    suites: Words,
    *,
    case: Names = (),
    seeds: int | None = None,
    cost: Cost | None = None,
    json: Flag = False,
    out: Path = OUT,
    jobs: int | None = None,
    backend: BackendName = "local",
) -> int:
    """Run benchmark suites, keep the results, and print the table.

    What is in the results already is not run again: after an interruption, run the same command once more.

    Args:
        suites: Names of suites, or of groups: `demo` (the quick cases of every suite), `all` (every case). `walras
            bench list` names them.
        case: Run only the cases of these names: `--case a b`, or `--case a --case b`.
        seeds: Number of seeds of every case; the default is each case's own.
        cost: Run only cases of at most this cost class.
        json: Print one JSON array of rows instead of the table.
        out: Folder of the results.
        jobs: Worker processes (default 1); with Ray, CPUs of a local Ray (default all). Rows do not depend on it.
        backend: Run in processes of this machine, or on Ray (the cluster named by RAY_ADDRESS, else a local one).
    """
    from walras.benchmarks.backends import MissingBackendError
    from walras.benchmarks.display import choose as choose_display
    from walras.benchmarks.runner import choose, run_suites
    from walras.benchmarks.store import Store, StoreError
    from walras.benchmarks.suites import UnknownNameError
    from walras.benchmarks.table import as_table, build_rows, case_records, to_json

    if not suites:
        return complain(
            ValueError(
                "run needs at least one SUITE; `walras bench list` names them, `demo` runs the quick cases of all"
            )
        )
    try:
        chosen = choose(suites, tuple(name for names in case for name in names), cost)
        with Store(out) as store:
            summary = run_suites(chosen, store, seeds=seeds, jobs=jobs, backend=backend, display=choose_display())
            rows: list[Row] = []
            for suite, _, cases in chosen:
                results = {
                    each.name: case_records(store, suite.name, each, seeds=seeds or each.seeds) for each in suite.cases
                }
                rows += build_rows(suite, results, cases=[each.name for each in cases], seeds=seeds)
            path = store.path
    except (UnknownNameError, StoreError, MissingBackendError, ValueError, TypeError) as error:
        return complain(error)
    if json:
        print(to_json(rows))
    else:
        print_table(as_table(rows))
    return _conclude(summary, path)


def _conclude(summary: Summary, path: Path) -> int:
    parts = [f"{summary.ran} run", f"{summary.stored} were in the store"]
    parts += [
        f"{len(found)} {word}" for found, word in ((summary.failed, "failed"), (summary.skipped, "skipped")) if found
    ]
    print(f"{', '.join(parts)}; results in {path}", file=sys.stderr)
    if summary.interrupted:
        print(
            f"interrupted with {summary.left} left; what is finished is kept: run the same command again to resume",
            file=sys.stderr,
        )
        return 130
    if summary.failed:
        first = summary.failed[0]
        print(f"first failure, {first.suite}/{first.case} seed {first.seed}:\n{first.error.rstrip()}", file=sys.stderr)
        return 1
    return 0


def report(suites: Words = (), *, out: Path = OUT) -> int:
    """Write the HTML report of the results and print its path.

    Args:
        suites: Names of the suites to show; the default is every suite that has results.
        out: Folder of the results; the report is `report.html` in it.
    """
    from walras.benchmarks.report import MissingTemplateEngineError, write_report
    from walras.benchmarks.store import Store, StoreError
    from walras.benchmarks.suites import UnknownNameError

    try:
        with Store(out, create=False) as store:
            path, problems = write_report(store, suites=suites)
    except (UnknownNameError, StoreError, MissingTemplateEngineError, TypeError) as error:
        return complain(error)
    for problem in problems:
        print(f"walras: {problem}", file=sys.stderr)
    print(path)
    return 1 if problems else 0


COMMANDS: dict[str, Callable[..., int]] = {"list": list_, "run": run, "report": report}
"""The commands by name, for `tyro.extras.subcommand_cli_from_dict`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `bench ...` and return its exit status."""
    status: int = tyro.extras.subcommand_cli_from_dict(
        COMMANDS, prog="walras bench", description="Run benchmark suites and report their results.", args=arguments
    )
    return status
