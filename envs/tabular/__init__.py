"""Finite games and decision processes in tables. Nothing is imported before it is used.

`compile_game` turns any finite game into flat arrays, a `FlatGame`; `TabularGame` plays one through every door.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from walras.envs.tabular.compile import cached_game, compile_game, estimate_size
    from walras.envs.tabular.flat import CHANCE, DECISION, LEAF, FlatGame
    from walras.envs.tabular.mdp import MDP, CartPole, FiniteMDP, as_process
    from walras.envs.tabular.processes import DiscretisedCartPole, Stacked, TabularMDP
    from walras.envs.tabular.rules import TabularGame
    from walras.envs.tabular.sequence import SequenceForm, sequence_form
    from walras.envs.tabular.sizes import Size
    from walras.envs.tabular.table import TabularAECEnv
    from walras.envs.tabular.weighted_rps import WeightedRPS

__all__ = [
    "CHANCE",
    "DECISION",
    "LEAF",
    "MDP",
    "CartPole",
    "DiscretisedCartPole",
    "FiniteMDP",
    "FlatGame",
    "SequenceForm",
    "Size",
    "Stacked",
    "TabularAECEnv",
    "TabularGame",
    "TabularMDP",
    "WeightedRPS",
    "as_process",
    "cached_game",
    "compile_game",
    "estimate_size",
    "sequence_form",
]

_HERE = "walras.envs.tabular"
_WHERE = {
    "compile": ("cached_game", "compile_game", "estimate_size"),
    "flat": ("CHANCE", "DECISION", "LEAF", "FlatGame"),
    "mdp": ("MDP", "CartPole", "FiniteMDP", "as_process"),
    "processes": ("DiscretisedCartPole", "Stacked", "TabularMDP"),
    "rules": ("TabularGame",),
    "sequence": ("SequenceForm", "sequence_form"),
    "sizes": ("Size",),
    "table": ("TabularAECEnv",),
    "weighted_rps": ("WeightedRPS",),
}


def __getattr__(name: str) -> Any:
    """Import a name of the table above when it is first asked for."""
    for module, names in _WHERE.items():
        if name in names:
            return getattr(importlib.import_module(f"{_HERE}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
