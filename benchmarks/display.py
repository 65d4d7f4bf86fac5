"""Progress of a run, on standard error: bars on a terminal, one line for each finished task elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, Self

from walras.benchmarks.execute import Task
from walras.benchmarks.store import Record


def brief(record: Record) -> str:
    """Return the last line of a failed record's traceback, or a skipped record's reason."""
    lines = record.error.strip().splitlines()
    return lines[-1] if lines else ""


def outcome_line(record: Record) -> str:
    """Return `done in 0.31 s`, `failed: ...` or `skipped: ...`."""
    return f"done in {record.seconds:.2f} s" if record.status == "done" else f"{record.status}: {brief(record)}"


class Display(Protocol):
    """What a runner tells of itself. `update` may be called from another thread."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def start(self, total: int, stored: int) -> None:
        """`total` tasks will be run; `stored` more are in the store already."""

    def update(self, task: Task, fraction: float, text: str) -> None:
        """A task has started or has come so far. May be told late, after `finish`."""

    def finish(self, record: Record) -> None:
        """A result is in the store."""


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def start(self, total: int, stored: int) -> None:
        """Show nothing."""

    def update(self, task: Task, fraction: float, text: str) -> None:
        """Show nothing."""

    def finish(self, record: Record) -> None:
        """Show nothing."""


class Lines(Silent):
    """One line for each finished task."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._total = 0
        self._ended = 0

    def start(self, total: int, stored: int) -> None:
        """Print how much there is to do."""
        self._total = total
        known = f", {stored} already in the store" if stored else ""
        print(f"{total} to run{known}", file=sys.stderr, flush=True)

    def finish(self, record: Record) -> None:
        """Print one line."""
        self._ended += 1
        where = f"{record.suite}/{record.case} seed {record.seed}"
        print(f"[{self._ended}/{self._total}] {where} {outcome_line(record)}", file=sys.stderr, flush=True)


class Bars(Silent):
    """An overall bar, and one for each running task."""

    def __init__(self) -> None:
        """Prepare the bars."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True)
        self._overall = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._each = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            TextColumn("[dim]{task.fields[text]}"),
            console=self._console,
        )
        self._ids: dict[str, int] = {}
        self._ended: set[str] = set()

    def __enter__(self) -> Self:
        """Show the bars."""
        from rich.console import Group
        from rich.live import Live

        self._live = Live(Group(self._overall, self._each), console=self._console, transient=True, refresh_per_second=8)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bars away."""
        self._live.stop()

    def start(self, total: int, stored: int) -> None:
        """Set the overall bar."""
        self._main = self._overall.add_task("bench", total=total + stored, completed=stored)

    def update(self, task: Task, fraction: float, text: str) -> None:
        """Move the task's bar."""
        if task.label in self._ended:
            return  # news that came later than the result
        if task.label not in self._ids:
            self._ids[task.label] = self._each.add_task(task.label, total=1.0, text=text)
        from rich.progress import TaskID

        self._each.update(TaskID(self._ids[task.label]), completed=fraction, text=text)

    def finish(self, record: Record) -> None:
        """Remove the task's bar; a failure leaves a line."""
        from rich.progress import TaskID

        label = f"{record.suite}/{record.case} seed {record.seed}"
        self._ended.add(label)
        number = self._ids.pop(label, None)
        if number is not None:
            self._each.remove_task(TaskID(number))
        self._overall.advance(self._main)
        if record.status == "failed":
            self._console.print(f"{label} {outcome_line(record)}", style="red", highlight=False, markup=False)


def choose() -> Display:
    """Return bars if standard error is a terminal, else lines."""
    return Bars() if sys.stderr.isatty() else Lines()
