"""Certificates: whether a mechanism is truthful, individually rational and feasible at every profile of values.

`certify(mechanism)` answers "certified", "refuted" with a counterexample in exact numbers, or "undecided". It reads
mechanisms as data, shares no code with the learners and transforms that made them, and decides every inequality in
whole numbers or fractions. Mechanisms known only as code are searched for counterexamples, never certified.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import time
from collections.abc import Callable
from typing import Any

from walras.envs.auctions.certify.result import (
    CERTIFIED,
    REFUTED,
    STATUSES,
    UNDECIDED,
    Certificate,
    Counterexample,
)

__all__ = [
    "CERTIFIED",
    "CERTIFIERS",
    "REFUTED",
    "STATUSES",
    "UNDECIDED",
    "Certificate",
    "Counterexample",
    "certify",
]

_HERE = "walras.envs.auctions.certify"

CERTIFIERS: dict[str, str] = {
    "SimplexMenus": f"{_HERE}.simplex:certify_simplex_menus",
    "OutcomeTable": f"{_HERE}.finite:certify_outcome_table",
}
"""Who decides about mechanisms of a class, by class name: module and function, imported when first used."""


def certify(mechanism: Any, **settings: Any) -> Certificate:
    """Decide about a mechanism.

    Args:
        mechanism: an instance of a class listed in `CERTIFIERS`.
        **settings: handed to the certifier of the class, see there; `progress`, a function that is told the share
            of the work done, is taken by all.

    Raises:
        TypeError: the class has no certifier, or the certifier does not know a setting.
    """
    name = type(mechanism).__name__
    if name not in CERTIFIERS:
        raise TypeError(f"mechanism: {name} has no certifier; known are {sorted(CERTIFIERS)}")
    module, _, attribute = CERTIFIERS[name].partition(":")
    decide: Callable[..., Certificate] = getattr(importlib.import_module(module), attribute)
    start = time.process_time()
    found = decide(mechanism, **settings)
    spent = time.process_time() - start
    return dataclasses.replace(found, cpu_seconds=spent, digest=digest(mechanism))


def digest(mechanism: Any) -> str:
    """SHA-256 of the mechanism's JSON form; empty for one that has none (known as code alone)."""
    if not hasattr(mechanism, "to_dict"):
        return ""
    return hashlib.sha256(json.dumps(mechanism.to_dict(), sort_keys=True).encode()).hexdigest()
