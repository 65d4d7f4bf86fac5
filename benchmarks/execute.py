"""One run of one case: what happens in the process that does the work, whatever started it."""

from __future__ import annotations

import datetime
import functools
import importlib
import importlib.util
import math
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from walras.benchmarks.store import Record, Status
from walras.benchmarks.suite import Case, Curve, Outcome, Progress

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""Read by numerical libraries when they are loaded; all are 1 in workers, so that rows do not depend on how many run
at a time."""

_EXTRAS = {
    "torch": "learn",
    "stable_baselines3": "learn",
    "safetensors": "learn",
    "pyspiel": "games",
    "open_spiel": "games",
    "matplotlib": "report",
    "jinja2": "report",
    "ray": "ray",
    "sklearn": "society",
    "pref_voting": "voting",
    "nashpy": "voting",
}


@dataclass(frozen=True)
class Task:
    """One seed of one case, with all a worker needs to run it (it never sees the suite).

    Attributes:
        suite: Name of the suite.
        case: Name of the case.
        seed: The seed.
        run: The run function as `"module:function"`.
        params: Its keyword arguments.
        metrics: The metrics that the suite declares.
        needs_gpu: Whether to skip where torch sees no CUDA device.
        code_version: Code version of the process that planned the run.
        fingerprint: Fingerprint of `run` and `params`.
    """

    suite: str
    case: str
    seed: int
    run: str
    params: Mapping[str, Any]
    metrics: tuple[str, ...]
    needs_gpu: bool
    code_version: str
    fingerprint: str

    @property
    def label(self) -> str:
        """Name of the task in messages."""
        return f"{self.suite}/{self.case} seed {self.seed}"

    def record(self, status: Status, **fields: Any) -> Record:
        """Return a record of this task."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        key = (self.suite, self.case, self.seed, self.code_version, status, self.fingerprint)
        return Record(*key, machine=machine(), finished=now, **fields)


@functools.cache
def machine() -> Mapping[str, Any]:
    """Return facts of this machine that numbers may depend on."""
    model = ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        model = platform.processor()  # systems without /proc
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": model,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def install_hint(package: str) -> str:
    """Return the command that installs an optional package, given its import name."""
    return f"pip install walras[{_EXTRAS[package]}]" if package in _EXTRAS else f"pip install {package}"


def missing(case: Case) -> str:
    """Return why a case cannot run here, such as `"needs torch (pip install walras[learn])"`, or an empty string."""

    def absent(name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is None
        except ModuleNotFoundError:  # the parent of a dotted name is missing
            return True

    return "; ".join(f"needs {name} ({install_hint(name)})" for name in case.requires if absent(name))


@contextmanager
def single_threaded() -> Iterator[None]:
    """Set the thread variables to 1 for the processes started inside the block, then restore them."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _numbers(what: str, values: Any) -> list[float]:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise ValueError(f"{what} must be a sequence of numbers, got shape {vector.shape}")
    if not np.isfinite(vector).all():
        raise ValueError(f"{what} must hold finite numbers, got {vector[~np.isfinite(vector)][0]}")
    return [float(value) for value in vector]


def _plain(what: str, value: Any) -> Any:
    """Turn arrays and nested sequences of numbers into nested lists of JSON numbers."""
    if isinstance(value, np.ndarray):
        return _plain(what, value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(what, part) for part in value]
    if isinstance(value, np.generic):
        return _plain(what, value.item())
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{what} must hold finite numbers, got {value}")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{what} must hold numbers, got {type(value).__name__}")


def _checked(outcome: Any, task: Task) -> tuple[dict[str, float], dict[str, Curve], dict[str, Any]]:
    if not isinstance(outcome, Outcome):
        raise TypeError(f"{task.run} must return a walras.benchmarks.Outcome, got {type(outcome).__name__}")
    undeclared = sorted(set(outcome.metrics) - set(task.metrics))
    if undeclared:
        raise ValueError(
            f"{task.run} returned metrics that suite {task.suite!r} does not declare: {', '.join(undeclared)}"
        )
    of_case = f"of case {task.suite}/{task.case}"
    metrics = {name: float(value) for name, value in outcome.metrics.items()}
    for name, number in metrics.items():
        if not math.isfinite(number):
            raise ValueError(f"metric {name!r} {of_case} must be a finite number, got {number}")
    curves = {}
    for name, curve in outcome.curves.items():
        x, y = (_numbers(f"{axis} of curve {name!r} {of_case}", getattr(curve, axis)) for axis in ("x", "y"))
        if len(x) != len(y):
            raise ValueError(f"curve {name!r} {of_case} has {len(x)} x and {len(y)} y values")
        curves[name] = Curve(x, y, curve.x_label, curve.y_label)
    arrays = {name: _plain(f"array {name!r} {of_case}", value) for name, value in outcome.arrays.items()}
    return metrics, curves, arrays


def load(entry: str) -> Callable[..., Any]:
    """Import `"module:function"`.

    Raises:
        ImportError: If the module or the function does not exist.
    """
    module, _, name = entry.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ImportError(f"{module} has no function {name!r}") from error
    if not callable(function):
        raise ImportError(f"{entry} is not callable")
    return function  # type: ignore[no-any-return]


def throttled(report: Progress, interval: float = 0.1) -> Progress:
    """Return `report` checked and limited to one call per `interval` seconds (the first always passes).

    A non-finite fraction is an error of the case; a finite one is clipped to [0, 1].
    """
    last = -math.inf

    def progress(fraction: float, text: str = "") -> None:
        nonlocal last
        if not math.isfinite(fraction):
            raise ValueError(f"progress fraction must be a number in [0, 1], got {fraction}")
        now = time.monotonic()
        if now - last >= interval:
            last = now
            report(min(max(float(fraction), 0.0), 1.0), str(text))

    return progress


def execute(task: Task, report: Progress | None = None) -> Record:
    """Run one task to its record; an exception or exit of the case becomes a failed record with its traceback.

    Args:
        task: What to run.
        report: Told how far the run is; None for nobody.
    """
    progress = throttled(report or (lambda fraction, text: None))
    start = time.perf_counter()
    try:
        if task.needs_gpu:
            import torch

            if not torch.cuda.is_available():
                return task.record("skipped", error="needs a CUDA device")
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        function = load(task.run)
        start = time.perf_counter()  # imports are not part of the run
        outcome = function(task.seed, progress, **task.params)
        seconds = time.perf_counter() - start
        metrics, curves, arrays = _checked(outcome, task)
    except (Exception, SystemExit):
        return task.record("failed", error=traceback.format_exc(), seconds=time.perf_counter() - start)
    return task.record("done", metrics=metrics, curves=curves, arrays=arrays, seconds=seconds)
