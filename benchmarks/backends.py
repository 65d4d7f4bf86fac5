"""Where tasks run: worker processes of this machine, or Ray. Both give the same records.

A backend is a generator: it takes tasks and yields their records in the order in which they end. Closing it early
ends its workers.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Literal, TypeAlias

from walras.benchmarks.execute import THREAD_VARIABLES, Task, execute, install_hint, single_threaded
from walras.benchmarks.store import Record

BackendName: TypeAlias = Literal["local", "ray"]
Listener: TypeAlias = Callable[[Task, float, str], None]
"""`listener(task, fraction, text)`: told when a task starts (fraction 0) and how far it is. May be called from
another thread."""

_writer: Connection | None = None  # a worker's end of the pipe on which it reports progress


class MissingBackendError(ImportError):
    """The backend asked for is not installed."""


def run_local(tasks: Sequence[Task], *, jobs: int, listener: Listener) -> Generator[Record, None, None]:
    """Run tasks in `jobs` fresh (spawned) worker processes.

    When a worker dies (killed, crashed), every task in flight is tried once more, alone; the one that kills its
    worker again is recorded as failed.

    Args:
        tasks: What to run.
        jobs: Number of workers, >= 1.
        listener: Told of starts and progress.
    """
    pending, suspects = deque(tasks), deque[Task]()
    with single_threaded():
        while pending or suspects:
            if suspects:
                lost = yield from _drain(suspects, 1, listener)
                for task in lost:
                    yield task.record(
                        "failed", error="the worker process died (killed from outside, out of memory, or crashed)\n"
                    )
            else:
                suspects.extend((yield from _drain(pending, jobs, listener)))


def _drain(source: deque[Task], jobs: int, listener: Listener) -> Generator[Record, None, list[Task]]:
    """Run tasks from `source` until it is empty or a worker dies; return the tasks that were then in flight."""
    running: dict[Future[Record], Task] = {}
    begun: dict[tuple[str, str, int], Task] = {}
    lost: list[Task] = []
    with _pool(min(jobs, len(source)), listener, begun) as pool:
        while (source or running) and not lost:
            while source and len(running) < jobs:
                task = source.popleft()
                begun[task.suite, task.case, task.seed] = task
                try:
                    future = pool.submit(_in_worker, task)
                except BrokenProcessPool:  # a worker died before it was given anything
                    lost.append(task)
                    break
                running[future] = task
                listener(task, 0.0, "")
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                task = running.pop(future)
                # Asked for, not raised: a KeyboardInterrupt that a case raises must not look like a Ctrl-C.
                error = future.exception()
                if error is None:
                    yield future.result()
                elif isinstance(error, BrokenProcessPool):
                    lost.append(task)
                else:
                    yield task.record("failed", error="".join(traceback.format_exception(error)))
            if lost:  # the others in flight fall with the pool
                lost.extend(running.values())
    return lost


@contextmanager
def _pool(jobs: int, listener: Listener, begun: Mapping[tuple[str, str, int], Task]) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(writer,))
    thread = threading.Thread(target=_listen, args=(reader, listener, begun), daemon=True)
    thread.start()
    clean = False
    try:
        yield pool
        clean = True
    finally:
        pool.shutdown(wait=clean, cancel_futures=True)
        if not clean:
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
        writer.close()
        thread.join(timeout=5.0)
        reader.close()


def _listen(reader: Connection, listener: Listener, begun: Mapping[tuple[str, str, int], Task]) -> None:
    while True:
        try:
            suite, case, seed, fraction, text = reader.recv()
        except (EOFError, OSError):  # every writer is closed: the pool is gone
            return
        listener(begun[suite, case, seed], fraction, text)


def _start_worker(writer: Connection) -> None:
    """Prepare a worker process: it must not outlive its parent, take its Ctrl-C, or write into its standard output."""
    global _writer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _writer = writer
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    sys.stdout.flush()
    os.dup2(2, 1)  # what a case prints goes to standard error: standard output belongs to the table


def _die_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _in_worker(task: Task) -> Record:
    def report(fraction: float, text: str) -> None:
        # All workers share one pipe without a lock: a message below PIPE_BUF (4096 bytes) is written at once or not
        # at all, and a worker that is killed cannot leave a lock behind.
        if _writer is not None:
            try:
                _writer.send((task.suite, task.case, task.seed, fraction, text[:200]))
            except OSError:  # the parent has closed its end
                return

    return execute(task, report)


def run_ray(tasks: Sequence[Task], *, jobs: int | None, listener: Listener) -> Generator[Record, None, None]:
    """Run tasks on Ray.

    On the cluster that this process is connected to or `RAY_ADDRESS` names; else on a local Ray that lives as long as
    the run.

    Args:
        tasks: What to run; one CPU is asked for each (and one GPU for a case of cost `gpu`).
        jobs: Number of CPUs of a local Ray; None for all of the machine.
        listener: Told of starts.

    Raises:
        MissingBackendError: If Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise MissingBackendError(f"the ray backend needs ray: {install_hint('ray')}") from error
    started = not ray.is_initialized()
    if started:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if not os.environ.get("RAY_ADDRESS"):
            options |= {"address": "local", "num_cpus": jobs, "include_dashboard": False}
        ray.init(**options)
    try:
        yield from _on_ray(ray, tasks, listener)
    finally:
        if started:
            ray.shutdown()


def _on_ray(ray: Any, tasks: Sequence[Task], listener: Listener) -> Iterator[Record]:
    environment = {"env_vars": dict.fromkeys(THREAD_VARIABLES, "1")}
    remote = ray.remote(max_retries=1, num_cpus=1, runtime_env=environment)(_in_ray)
    running: dict[Any, Task] = {}
    for task in tasks:
        options = {"num_gpus": 1} if task.needs_gpu and ray.cluster_resources().get("GPU", 0) else {}
        running[remote.options(name=task.label, **options).remote(task, list(sys.path))] = task
    try:
        while running:
            ended, _ = ray.wait(list(running), num_returns=1)
            for reference in ended:
                task = running.pop(reference)
                listener(task, 1.0, "")
                try:
                    record = ray.get(reference)
                except ray.exceptions.RayError as error:
                    record = task.record("failed", error=f"the Ray worker died: {error}\n")
                yield record
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _in_ray(task: Task, paths: list[str]) -> Record:
    sys.path.extend(path for path in paths if path not in sys.path)
    return execute(task)
