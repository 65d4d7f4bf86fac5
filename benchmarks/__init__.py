"""The bench: suites as data, a resumable runner, a results store and a report.

    from walras.benchmarks import get_suite, list_suites

Everything is imported on first use; importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from walras.benchmarks.report import write_report
    from walras.benchmarks.runner import Summary, choose, run_suites
    from walras.benchmarks.statistics import Estimate, interquartile_interval, interquartile_mean, mean_interval
    from walras.benchmarks.store import Record, Store, StoreError, code_version
    from walras.benchmarks.suite import Case, Curve, Known, Metric, Outcome, Picture, Progress, Published, Suite, Target
    from walras.benchmarks.suites import UnknownNameError, get_suite, list_suites, register_suite
    from walras.benchmarks.table import build_rows

_HOMES = {
    "report": ("write_report",),
    "runner": ("Summary", "choose", "run_suites"),
    "statistics": ("Estimate", "interquartile_interval", "interquartile_mean", "mean_interval"),
    "store": ("Record", "Store", "StoreError", "code_version"),
    "suite": ("Case", "Curve", "Known", "Metric", "Outcome", "Picture", "Progress", "Published", "Suite", "Target"),
    "suites": ("UnknownNameError", "get_suite", "list_suites", "register_suite"),
    "table": ("build_rows",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Case",
    "Curve",
    "Estimate",
    "Known",
    "Metric",
    "Outcome",
    "Picture",
    "Progress",
    "Published",
    "Record",
    "Store",
    "StoreError",
    "Suite",
    "Summary",
    "Target",
    "UnknownNameError",
    "build_rows",
    "choose",
    "code_version",
    "get_suite",
    "interquartile_interval",
    "interquartile_mean",
    "list_suites",
    "mean_interval",
    "register_suite",
    "run_suites",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
