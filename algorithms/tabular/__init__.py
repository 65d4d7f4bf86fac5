"""Learners and solvers of finite games in tables. Nothing is imported before it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from walras.algorithms.tabular.abcs import ABCs, BoltzmannQ, MaxCFR, OutcomeSampling, stationarity
    from walras.algorithms.tabular.cfr import CFR
    from walras.algorithms.tabular.equilibrium import Equilibrium, solve
    from walras.algorithms.tabular.evaluation import (
        Response,
        best_response,
        expected_returns,
        exploitability,
        gains,
        nash_conv,
    )
    from walras.algorithms.tabular.mccfr import ExternalSampling
    from walras.algorithms.tabular.process import process_optimum, process_value
    from walras.algorithms.tabular.spiel import from_openspiel_policy, to_openspiel_policy

__all__ = [
    "CFR",
    "ABCs",
    "BoltzmannQ",
    "Equilibrium",
    "ExternalSampling",
    "MaxCFR",
    "OutcomeSampling",
    "Response",
    "best_response",
    "expected_returns",
    "exploitability",
    "from_openspiel_policy",
    "gains",
    "nash_conv",
    "process_optimum",
    "process_value",
    "solve",
    "stationarity",
    "to_openspiel_policy",
]

_HERE = "walras.algorithms.tabular"
_WHERE = {
    "abcs": ("ABCs", "BoltzmannQ", "MaxCFR", "OutcomeSampling", "stationarity"),
    "cfr": ("CFR",),
    "equilibrium": ("Equilibrium", "solve"),
    "evaluation": ("Response", "best_response", "expected_returns", "exploitability", "gains", "nash_conv"),
    "mccfr": ("ExternalSampling",),
    "process": ("process_optimum", "process_value"),
    "spiel": ("from_openspiel_policy", "to_openspiel_policy"),
}


def __getattr__(name: str) -> Any:
    """Import a name of the table above when it is first asked for."""
    for module, names in _WHERE.items():
        if name in names:
            return getattr(importlib.import_module(f"{_HERE}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
