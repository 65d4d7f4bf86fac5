"""Shows that a killed bench loses nothing: SIGKILL at random moments, resume, compare bit for bit.

    python -m walras.benchmarks.kill_resume --kills 20

The bench runs from a copy of the package made at the start, so that a tree that is edited meanwhile cannot change the
code version. One folder is filled without interruption; another is filled by runs that are killed; when it is
complete before there were enough kills, one more folder is begun. Each complete folder must hold exactly the rows and
curves of the first (timings aside), and no worker may outlive its killed parent.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from walras.benchmarks.store import Record, Store, source_files
from walras.benchmarks.suites import get_suite

SUITE = "bench-selftest"
# Orphans hold the killed run's standard error open; they are given this long to notice and go.
GRACE_SECONDS = 20.0

Contents: TypeAlias = dict[tuple[str, str, int, str], list[tuple[object, ...]]]
"""The rows of a folder by suite, case, seed and code version."""


@dataclass(frozen=True)
class Verdict:
    """What was seen.

    Attributes:
        kills: Runs that were killed before they had ended.
        kills_amid_rows: Kills after which the folder was neither empty nor complete.
        folders: Folders that were filled by killed runs.
        rows: Rows of the uninterrupted folder.
        lost: Rows of it that another folder lacks.
        doubled: Rows that a folder holds more than once, or that the uninterrupted one does not have.
        different: Rows whose metrics, curves or arrays are not the same bit for bit.
        failed: Rows that are not done.
        orphans: Kills after which a worker lived on.
        seconds: How long it took.
    """

    kills: int
    kills_amid_rows: int
    folders: int
    rows: int
    lost: int
    doubled: int
    different: int
    failed: int
    orphans: int
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether nothing is lost, doubled, different, failed or orphaned."""
        return not (self.lost or self.doubled or self.different or self.failed or self.orphans)


class Bench:
    """Runs the selftest suite from a frozen copy of the package."""

    def __init__(self, root: Path, seeds: int, jobs: int) -> None:
        """Copy the package into `root`."""
        self.root = root
        copy = root / "package"
        for name, path in source_files():
            target = copy / "walras" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        paths = [str(copy), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self._command = [
            sys.executable,
            "-m",
            "walras.benchmarks",
            "run",
            SUITE,
            "--seeds",
            str(seeds),
            "--jobs",
            str(jobs),
            "--json",
        ]

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start a run into `folder`."""
        return subprocess.Popen(
            [*self._command, "--out", str(folder)],
            cwd=self.root,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that orphans can be found and ended
        )

    def complete(self, folder: Path) -> None:
        """Run into `folder` to the end.

        Raises:
            RuntimeError: If the run fails.
        """
        process = self.start(folder)
        _, errors = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the bench ended with status {process.returncode}:\n{errors.decode(errors='replace')}")

    def kill_after(self, folder: Path, delay: float) -> tuple[bool, bool]:
        """Run into `folder` and kill the run after `delay` seconds.

        Returns:
            Whether it was still running, and whether a worker lived on.

        Raises:
            RuntimeError: If the run ended by itself and failed.
        """
        process = self.start(folder)
        try:
            _, errors = process.communicate(timeout=delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        else:
            if process.returncode != 0:
                raise RuntimeError(
                    f"the bench ended with status {process.returncode}:\n{errors.decode(errors='replace')}"
                )
            return False, False
        try:
            process.communicate(
                timeout=GRACE_SECONDS
            )  # returns when every process that inherited standard error is gone
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True, True
        return True, False


def contents(folder: Path) -> Contents:
    """Return the rows of a folder by their key, as the texts that the store holds, without timings."""
    suite = get_suite(SUITE)
    timings = {metric.name for metric in suite.metrics if metric.kind == "timing"}
    found: Contents = {}
    with Store(folder) as store:
        for record in store.records():
            kept = {name: value for name, value in record.metrics.items() if name not in timings}
            row = dataclasses.replace(record, metrics=kept, seconds=0.0, finished="").row()
            found.setdefault(_key(record), []).append(row)
    return found


def _key(record: Record) -> tuple[str, str, int, str]:
    return record.suite, record.case, record.seed, record.code_version


def compare(truth: Contents, rows: Contents) -> tuple[int, int, int, int]:
    """Compare a folder's rows with those of the uninterrupted run.

    Returns:
        The numbers of rows that are lost, doubled (or not in the truth), different, and not done.
    """
    lost = len(truth.keys() - rows.keys())
    doubled = len(rows.keys() - truth.keys()) + sum(len(same) - 1 for same in rows.values())
    different = sum(rows[key] != truth[key] for key in rows.keys() & truth.keys())
    failed = sum(row[4] != "done" for same in rows.values() for row in same)
    return lost, doubled, different, failed


def measure(*, kills: int, seeds: int, jobs: int, rng: random.Random) -> Verdict:
    """Run the measurement.

    Args:
        kills: Number of kills, at least.
        seeds: Seeds of every case of the suite.
        jobs: Worker processes of every run.
        rng: Source of the random moments.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="walras-kill-") as temporary:
        root = Path(temporary)
        bench = Bench(root, seeds, jobs)
        bench.complete(root / "uninterrupted")
        whole = time.monotonic() - begun
        truth = contents(root / "uninterrupted")
        with Store(root / "uninterrupted") as store:
            work = sum(record.seconds for record in store.records()) / jobs
        startup = max(whole - work, 0.2)
        # A killed run gets through (delay - startup) seconds of the work: with these delays it takes about two thirds
        # of `kills` runs.
        longest = startup + 3.0 * work / kills
        done = amid = orphans = 0
        folders: list[Path] = []
        while done < kills:
            folder = root / f"killed-{len(folders)}"
            folders.append(folder)
            while done < kills:
                killed, orphan = bench.kill_after(folder, rng.uniform(0.0, longest))
                orphans += orphan
                if not killed:
                    break
                done += 1
                amid += 0 < len(contents(folder)) < len(truth)
            bench.complete(folder)
        compared = [compare(truth, contents(folder)) for folder in folders]
        lost, doubled, different, failed = (sum(counts) for counts in zip(*compared, strict=True))
    seconds = round(time.monotonic() - begun, 1)
    return Verdict(done, amid, len(folders), len(truth), lost, doubled, different, failed, orphans, seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print one line and one JSON object; the exit status is 1 if anything is lost, doubled or different."""
    parser = argparse.ArgumentParser(
        prog="python -m walras.benchmarks.kill_resume", description="Kill and resume the bench."
    )
    parser.add_argument("--kills", type=int, default=20, help="number of kills (default 20)")
    parser.add_argument(
        "--seeds", type=int, default=150, help="seeds of every case of the selftest suite (default 150)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="worker processes of every run (default 2)")
    parser.add_argument("--random-seed", type=int, default=0, help="seed of the random moments (default 0)")
    options = parser.parse_args(arguments)
    for name in ("kills", "seeds", "jobs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be >= 1")
    verdict = measure(
        kills=options.kills, seeds=options.seeds, jobs=options.jobs, rng=random.Random(options.random_seed)
    )
    word = "nothing lost" if verdict.clean else "NOT CLEAN"
    print(
        f"{word}: {verdict.kills} kills ({verdict.kills_amid_rows} amid the rows), {verdict.rows} rows in each of "
        f"{verdict.folders} killed folders: {verdict.lost} lost, {verdict.doubled} doubled, "
        f"{verdict.different} different, {verdict.failed} failed, {verdict.orphans} orphans, {verdict.seconds} s"
    )
    print(json.dumps({**dataclasses.asdict(verdict), "clean": verdict.clean}))
    return 0 if verdict.clean else 1


if __name__ == "__main__":
    sys.exit(main())
