"""Runs what is not yet in the store.

Only this process writes the store, one transaction for each finished (case, seed). A run that is killed or
interrupted is resumed by running the same command again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from walras.benchmarks.backends import BackendName, run_local, run_ray
from walras.benchmarks.display import Display, Silent
from walras.benchmarks.execute import Task, missing
from walras.benchmarks.store import Record, Store, code_version, fingerprint
from walras.benchmarks.suite import COSTS, Case, Cost, Suite, closest
from walras.benchmarks.suites import UnknownNameError, expand, get_entry, get_suite


class Chosen(NamedTuple):
    """A suite with the cases to run of it; `entry` is its place (`"module:SUITE"`), or the suite itself as JSON."""

    suite: Suite
    entry: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Summary:
    """What a call of `run_suites` did.

    Attributes:
        ran: Tasks that finished in this call.
        stored: Tasks whose result was in the store already.
        failed: Records of the tasks that failed in this call.
        skipped: Records of the tasks that could not run here.
        left: Tasks that were not run, after an interrupt.
        interrupted: Whether Ctrl-C ended the call.
    """

    ran: int
    stored: int
    failed: tuple[Record, ...]
    skipped: tuple[Record, ...]
    left: int
    interrupted: bool


def choose(names: Iterable[str], cases: Sequence[str] = (), cost: Cost | None = None) -> tuple[Chosen, ...]:
    """Resolve names on the command line to suites and cases, each once, in the order given.

    Args:
        names: Names (or entries) of suites and names of groups.
        cases: Names of the cases to keep; empty for all.
        cost: Keep only cases of at most this cost class; None for all.

    Raises:
        UnknownNameError: For an unknown suite, group or case.
    """
    suites: dict[str, tuple[Suite, str, dict[str, None]]] = {}
    for name in names:
        for suite_name, case_names in expand(name):
            suite = get_suite(suite_name)
            kept = suites.setdefault(suite.name, (suite, get_entry(suite_name), {}))[2]
            kept.update(dict.fromkeys(case_names))
    known = [case for _, _, kept in suites.values() for case in kept]
    for case in cases:
        if case not in known:
            raise UnknownNameError(f"unknown case {case!r}{closest(case, known)}; known: {', '.join(known)}")
    chosen = []
    for suite, entry, kept in suites.values():
        wanted = [case for case in suite.cases if case.name in kept and (not cases or case.name in cases)]
        wanted = [case for case in wanted if cost is None or COSTS.index(case.cost) <= COSTS.index(cost)]
        if wanted:
            chosen.append(Chosen(suite, entry, tuple(wanted)))
    return tuple(chosen)


def plan(chosen: Iterable[Chosen], store: Store, seeds: int | None = None) -> tuple[list[Task], int]:
    """Return the tasks that are not in the store under the running code, and the number of those that are.

    Args:
        chosen: Suites and cases.
        store: Where the results are.
        seeds: Number of seeds of every case; None for each case's own.

    Raises:
        ValueError: If `seeds` is less than 1.
    """
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds must be >= 1, got {seeds}")
    version = code_version()
    tasks: list[Task] = []
    stored = 0
    for suite, _, cases in chosen:
        done = store.done(suite.name, version)
        metrics = tuple(metric.name for metric in suite.metrics)
        for case in cases:
            mark = fingerprint(case.run, case.params)
            for seed in range(seeds or case.seeds):
                if (case.name, seed, mark) in done:
                    stored += 1
                    continue
                gpu = case.cost == "gpu"
                tasks.append(Task(suite.name, case.name, seed, case.run, case.params, metrics, gpu, version, mark))
    return tasks, stored


def run_suites(
    chosen: Sequence[Chosen],
    store: Store,
    *,
    seeds: int | None = None,
    jobs: int | None = None,
    backend: BackendName = "local",
    display: Display | None = None,
) -> Summary:
    """Run every chosen (case, seed) that is not in the store, and add its result.

    A case that raises is stored as failed with its traceback, a case whose packages are missing as skipped with the
    reason; both are tried again by the next call. Ctrl-C keeps what is finished.

    Args:
        chosen: Suites and cases, from `choose`.
        store: Where the results go.
        seeds: Number of seeds of every case; None for each case's own.
        jobs: Worker processes (None: 1), or CPUs of a local Ray (None: all).
        backend: `"local"` or `"ray"`. Rows do not depend on it (timings aside).
        display: Told of the progress; None for nobody.

    Raises:
        ValueError: If `seeds` or `jobs` is less than 1, or the backend is unknown.
        MissingBackendError: If the backend is not installed.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be >= 1, got {jobs}")
    if backend not in ("local", "ray"):
        raise ValueError(f"backend must be 'local' or 'ray', got {backend!r}")
    tasks, stored = plan(chosen, store, seeds)
    reasons = {(suite.name, case.name): missing(case) for suite, _, cases in chosen for case in cases}
    for suite, entry, _ in chosen:
        store.register(suite.name, entry)
    ready = [task for task in tasks if not reasons[task.suite, task.case]]
    failed: list[Record] = []
    skipped: list[Record] = []
    ended = 0
    interrupted = False
    with display or Silent() as screen:

        def keep(record: Record) -> None:
            nonlocal ended
            store.add(record)
            ended += 1
            if record.status != "done":
                (failed if record.status == "failed" else skipped).append(record)
            screen.finish(record)

        screen.start(len(tasks), stored)
        for task in tasks:
            if reasons[task.suite, task.case]:
                keep(task.record("skipped", error=reasons[task.suite, task.case]))
        if ready:
            if backend == "ray":
                results = run_ray(ready, jobs=jobs, listener=screen.update)
            else:
                results = run_local(ready, jobs=jobs or 1, listener=screen.update)
            try:
                for record in results:
                    keep(record)
            except KeyboardInterrupt:
                interrupted = True
            finally:
                results.close()  # ends the workers
    ran = ended - len(failed) - len(skipped)
    return Summary(ran, stored, tuple(failed), tuple(skipped), len(tasks) - ended, interrupted)
