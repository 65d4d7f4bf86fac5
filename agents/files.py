"""Policies from files, by what the file says it holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from walras.agents.storage import kind_of
from walras.envs.game import Policy


def load_policy(path: str | os.PathLike[str]) -> Policy:
    """A policy that a learner saved: a network, a table over cells, or a strategy. Nothing in the file is executed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds something else, or is damaged.
    """
    from walras.agents import class_network, network, strategy, tabular

    kinds: dict[str, Callable[[Any], Policy]] = {
        class_network.KIND: class_network.ClassPolicy.load,
        network.KIND: network.NetworkPolicy.load,
        tabular.KIND: tabular.TabularPolicy.load,
        strategy.KIND: strategy.TabularStrategy.load,
    }
    kind = kind_of(path)
    if kind not in kinds:
        raise ValueError(f"path: {os.fspath(path)!r} holds {kind!r}; a policy is one of {sorted(kinds)}")
    return kinds[kind](path)
