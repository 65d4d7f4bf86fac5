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

import numpy as np

from walras.envs.auctions.certify.result import (
    CERTIFIED,
    REFUTED,
    STATUSES,
    UNDECIDED,
    Certificate,
    Counterexample,
)
from walras.envs.auctions.mixture import CoinMixture
from walras.envs.auctions.tables import Tables

__all__ = [
    "CERTIFIED",
    "CERTIFIERS",
    "REFUTED",
    "STATUSES",
    "UNDECIDED",
    "Certificate",
    "Counterexample",
    "certifier_of",
    "certify",
    "needs_box",
]

_HERE = "walras.envs.auctions.certify"

CERTIFIERS: dict[str, str] = {
    "SimplexMenus": f"{_HERE}.simplex:certify_simplex_menus",
    "CellMenus": f"{_HERE}.cells:certify_cell_menus",
    "OutcomeTable": f"{_HERE}.finite:certify_outcome_table",
    "UtilityTable": f"{_HERE}.convex:certify_utility_table",
    "AMA": f"{_HERE}.theorems:certify_ama",
    "EntryFeeAMA": f"{_HERE}.theorems:certify_entry_fees",
    "PostedMenu": f"{_HERE}.theorems:certify_posted_menu",
    "CoinMixture": f"{_HERE}.theorems:certify_mixture",
    "VCG": f"{_HERE}.theorems:certify_classical",
    "SecondPrice": f"{_HERE}.theorems:certify_classical",
    "ItemwiseMyerson": f"{_HERE}.theorems:certify_classical",
    "BundleMyerson": f"{_HERE}.theorems:certify_classical",
    "MonotoneAuction": f"{_HERE}.theorems:certify_classical",
    "PostedPrice": f"{_HERE}.theorems:certify_classical",
    "LipschitzMenus": f"{_HERE}.branch:certify_enclosure",
}
"""Who decides about mechanisms of a class, by class name: module and function, imported when first used."""

PROGRAM = f"{_HERE}.program:certify_program"
"""Who searches mechanisms of other classes, and functions, for counterexamples."""


def certifier_of(mechanism: Any) -> str | None:
    """The entry of `CERTIFIERS` for a mechanism; None for code, also where its class bears the name of a listed one."""
    kind = type(mechanism)
    return CERTIFIERS.get(kind.__name__) if kind.__module__.startswith("walras.envs.auctions.") else None


def needs_box(mechanism: Any) -> bool:
    """Whether `certify` must be told the box of the values: for code, and for mixtures with code in them."""
    if isinstance(mechanism, CoinMixture):
        return any(needs_box(part) for part in mechanism.mechanisms)
    return certifier_of(mechanism) is None


def certify(mechanism: Any, **settings: Any) -> Certificate:
    """Decide about a mechanism.

    Args:
        mechanism: an instance of a class listed in `CERTIFIERS`, or code: any other `Mechanism`, or a function from
            bids to allocation and payment, for which `certify_program` looks for a counterexample.
        **settings: handed to the certifier of the class, see there. All take `robust` (choices must be excluded by a
            margin that rounding cannot bridge) and `progress` (a function that is told the share of the work done);
            code also needs the box of the values, `low` and `high`.

    Raises:
        TypeError: what was given is neither, or the certifier does not know a setting or lacks one.
    """
    name = type(mechanism).__name__
    entry = certifier_of(mechanism)
    if entry is None:
        if not callable(mechanism):
            raise TypeError(f"mechanism: {name} has no certifier; known are {sorted(CERTIFIERS)}, and code")
        entry = PROGRAM
    module, _, attribute = entry.partition(":")
    decide: Callable[..., Certificate] = getattr(importlib.import_module(module), attribute)
    start = time.process_time()
    found = decide(mechanism, **settings)
    spent = time.process_time() - start
    data = isinstance(mechanism, Tables) or (hasattr(mechanism, "to_dict") and entry != PROGRAM)
    known = digest(mechanism) if data else ""
    return dataclasses.replace(found, cpu_seconds=spent, digest=known)


def digest(mechanism: Any) -> str:
    """SHA-256 of the numbers of a mechanism that is data."""
    content = hashlib.sha256(type(mechanism).__name__.encode())
    if isinstance(mechanism, Tables):
        arrays, facts = mechanism.to_arrays()
        content.update(json.dumps(facts, sort_keys=True).encode())
        for name in sorted(arrays):
            content.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
            content.update(np.ascontiguousarray(arrays[name]).tobytes())
    elif isinstance(mechanism, CoinMixture):
        content.update(json.dumps([*mechanism.weights, *map(digest, mechanism.mechanisms)]).encode())
    else:
        content.update(json.dumps(mechanism.to_dict(), sort_keys=True).encode())
    return content.hexdigest()
