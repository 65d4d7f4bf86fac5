"""The registry of suites: names to `"module:SUITE"`, imported only when asked for.

A name that contains a colon is taken as such an entry itself, so `walras bench run my_package.my_suite:SUITE` needs
no registration.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

from walras.benchmarks.suite import Cost, Suite, closest

_ENTRIES: dict[str, str] = {
    "abcs": "walras.benchmarks.suites.abcs:SUITE",
    "abcs-stacked": "walras.benchmarks.suites.abcs_stacked:SUITE",
    "auctions": "walras.benchmarks.suites.auctions:SUITE",
    "auction-learning": "walras.benchmarks.suites.learning:SUITE",
    "certificates": "walras.benchmarks.suites.certificates:SUITE",
    "classical-games": "walras.benchmarks.suites.classical:SUITE",
    "tabular-speed": "walras.benchmarks.suites.tabular_speed:SUITE",
    "doors-speed": "walras.benchmarks.suites.speed:SUITE",
    "bench-reliability": "walras.benchmarks.suites.reliability:SUITE",
    "clearing-speed": "walras.benchmarks.suites.platform_clearing:SUITE",
    "one-bidder": "walras.benchmarks.suites.one_bidder:SUITE",
    "gemnet": "walras.benchmarks.suites.gemnet:SUITE",
    "platform-equilibrium": "walras.benchmarks.suites.platform_equilibrium:SUITE",
    "regret-nets": "walras.benchmarks.suites.regret_nets:SUITE",
    "platform-matching": "walras.benchmarks.suites.platform_matching:SUITE",
    "yao": "walras.benchmarks.suites.yao:SUITE",
    "society-harvest": "walras.benchmarks.suites.society_harvest:SUITE",
    "harvest-speed": "walras.benchmarks.suites.harvest_speed:SUITE",
    "society": "walras.benchmarks.suites.society:SUITE",
    "bench-selftest": "walras.benchmarks.suites.selftest:SUITE",
}

HIDDEN: frozenset[str] = frozenset({"bench-selftest"})
"""Suites that no group contains."""


class Group(NamedTuple):
    """A name for the cases of these cost classes (None: of any) in all suites that are not hidden."""

    costs: tuple[Cost, ...] | None
    description: str


GROUPS: dict[str, Group] = {
    "demo": Group(("seconds",), "the quick cases of every suite"),
    "all": Group(None, "every case of every suite, the long ones included"),
}


class UnknownNameError(KeyError):
    """A suite, group or case that does not exist; the message names those that do."""

    def __str__(self) -> str:
        """Return the message as it stands (KeyError would quote it)."""
        return str(self.args[0])


def register_suite(name: str, entry: str) -> None:
    """Make a suite known under `name` in this process.

    Args:
        name: Name of the suite; must equal the `name` of the suite object.
        entry: Where it is, as `"package.module:SUITE"`. Imported on first use; worker processes import the module of
            each case, so it must be importable there too.

    Raises:
        ValueError: If the name is taken by another entry or by a group, or the entry has no colon.
    """
    if name in GROUPS:
        raise ValueError(f"suite name {name!r} is taken by a group")
    if entry.count(":") != 1:
        raise ValueError(f"entry of suite {name!r} must be written 'package.module:SUITE', got {entry!r}")
    if _ENTRIES.get(name, entry) != entry:
        raise ValueError(f"suite name {name!r} is taken by {_ENTRIES[name]}")
    _ENTRIES[name] = entry


def list_suites(*, hidden: bool = True) -> tuple[str, ...]:
    """Return the names of the registered suites, sorted; without the hidden ones if `hidden` is False."""
    return tuple(sorted(name for name in _ENTRIES if hidden or name not in HIDDEN))


def get_entry(name: str) -> str:
    """Return the entry `"module:SUITE"` of a suite.

    Raises:
        UnknownNameError: If there is no such suite.
    """
    if ":" in name:
        return name
    if name not in _ENTRIES:
        known = list_suites()
        raise UnknownNameError(
            f"unknown suite {name!r}{closest(name, [*known, *GROUPS])}; known suites: {', '.join(known)}; "
            f"groups: {', '.join(GROUPS)}"
        )
    return _ENTRIES[name]


def get_suite(name: str) -> Suite:
    """Return a suite by its name, or by its entry `"module:SUITE"`.

    Raises:
        UnknownNameError: If no suite of that name is registered, or the entry cannot be imported.
        TypeError: If the entry is not a `Suite`, or a suite of another name.
    """
    entry = get_entry(name)
    module_name, _, attribute = entry.partition(":")
    try:
        suite = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise UnknownNameError(f"suite {name!r} cannot be imported: {error}") from error
    except AttributeError as error:
        raise UnknownNameError(f"suite {name!r} does not exist: {error}") from error
    if not isinstance(suite, Suite):
        raise TypeError(f"{entry} must be a walras.benchmarks.Suite, got {type(suite).__name__}")
    if ":" not in name and suite.name != name:
        raise TypeError(f"{entry} is registered as {name!r} but names itself {suite.name!r}")
    return suite


def expand(name: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the suites and their cases behind the name of a suite or of a group.

    Args:
        name: A suite's name or entry, or a group's name.

    Returns:
        Pairs of the suite's name (or entry) and the names of its cases, sorted by suite for a group.

    Raises:
        UnknownNameError: If there is no such suite or group.
    """
    if name not in GROUPS:
        return ((name, tuple(case.name for case in get_suite(name).cases)),)
    costs = GROUPS[name].costs
    chosen = []
    for suite_name in list_suites(hidden=False):
        cases = tuple(case.name for case in get_suite(suite_name).cases if costs is None or case.cost in costs)
        if cases:
            chosen.append((suite_name, cases))
    return tuple(chosen)
