"""Who acts: policies that sit in seats, and designers that commit to mechanisms. Nothing is imported before it is used.

A policy is called as `policy(observation, *, mask=None, rng=None)` with the observations (B, *shape) of one agent
and returns actions (B, *shape). Names in `AGENTS` that are marked as seats can be written wherever a seat is
filled: `walras.play(game, "truthful", ...)`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from walras.agents.best_response import BestResponse, exploitability
    from walras.agents.class_network import ClassPolicy
    from walras.agents.designers import DESIGNERS, Designer
    from walras.agents.files import load_policy
    from walras.agents.harvest import Restraint
    from walras.agents.network import NetworkPolicy
    from walras.agents.scripted import Constant, Shade, TitForTat, constant, shade, tit_for_tat, truthful, zero
    from walras.agents.strategy import TabularStrategy
    from walras.agents.tabular import TabularPolicy

__all__ = [
    "AGENTS",
    "DESIGNERS",
    "AgentEntry",
    "BestResponse",
    "ClassPolicy",
    "Constant",
    "Designer",
    "NetworkPolicy",
    "Restraint",
    "Shade",
    "TabularPolicy",
    "TabularStrategy",
    "TitForTat",
    "constant",
    "exploitability",
    "load_policy",
    "shade",
    "tit_for_tat",
    "truthful",
    "zero",
]


@dataclass(frozen=True)
class AgentEntry:
    """One row of the table of agents.

    Attributes:
        entry: where it is, `"module:name"`.
        kind: `seat` (a name that fills a seat), `policy` (an object or factory that does), or `designer`.
        title: what it does.
        games: which games it fits.
        status: `verified` (checked against theory by the tests) or `runs`.
    """

    entry: str
    kind: str
    title: str
    games: str
    status: str


_HERE = "walras.agents"
_IPV = "sealed-bid auctions, one round, independent bidders"

AGENTS: dict[str, AgentEntry] = {
    "random": AgentEntry(
        "walras.envs.seats:random_policy", "seat", "uniform over the (legal) actions", "all", "verified"
    ),
    "equilibrium": AgentEntry(
        "walras.envs.seats:equilibrium_policy", "seat", "the game's own equilibrium", "games that state one", "verified"
    ),
    "truthful": AgentEntry(
        f"{_HERE}.scripted:truthful", "seat", "reports its values", "sealed-bid auctions", "verified"
    ),
    "zero": AgentEntry(
        f"{_HERE}.scripted:zero", "seat", "reports, offers, contributes nothing", "all with a zero", "verified"
    ),
    "best-response": AgentEntry(
        f"{_HERE}.best_response:best_response",
        "seat",
        "best response to the default seats on a grid of reports",
        _IPV,
        "verified",
    ),
    "shade": AgentEntry(
        f"{_HERE}.scripted:shade", "policy", "reports a share of its values", "sealed-bid auctions", "verified"
    ),
    "constant": AgentEntry(f"{_HERE}.scripted:constant", "policy", "always the same action", "all", "verified"),
    "tit-for-tat": AgentEntry(
        f"{_HERE}.scripted:tit_for_tat",
        "policy",
        "does what the other did last",
        "repeated prisoner's dilemma",
        "verified",
    ),
    "introducer": AgentEntry(
        "walras.algorithms.platforms.introducers:Introducer",
        "policy",
        "introduces by a method: penalised, greedy, search, optimal, ...",
        "platform matching",
        "verified",
    ),
    "tabular": AgentEntry(
        f"{_HERE}.tabular:TabularPolicy",
        "policy",
        "probabilities by observation cell",
        "array observations",
        "verified",
    ),
    "strategy": AgentEntry(
        f"{_HERE}.strategy:TabularStrategy",
        "policy",
        "probabilities by infostate, all players' in one table",
        "finite games; learned by the tabular algorithms",
        "verified",
    ),
    "network": AgentEntry(
        f"{_HERE}.network:NetworkPolicy", "policy", "trained network, without torch", "all (trained by ppo)", "verified"
    ),
    "restraint": AgentEntry(
        f"{_HERE}.harvest:restraint",
        "seat",
        "eats apples with enough ripe neighbours only",
        "Commons Harvest",
        "verified",
    ),
    "class-network": AgentEntry(
        f"{_HERE}.class_network:ClassPolicy",
        "policy",
        "trained network on views of classes, without torch",
        "all with Discrete actions (trained by shared-ppo)",
        "verified",
    ),
    "posted-price": AgentEntry(
        f"{_HERE}.designers:PostedPrice", "designer", "take it or leave it", "auctions", "verified"
    ),
    "reserve": AgentEntry(
        f"{_HERE}.designers:Reserve", "designer", "second or first price with reserve", "auctions", "verified"
    ),
    "vcg": AgentEntry(
        f"{_HERE}.designers:VCG", "designer", "welfare, and the harm to others as price", "auctions", "verified"
    ),
    "myerson": AgentEntry(
        f"{_HERE}.designers:Myerson",
        "designer",
        "optimal auction item by item, or of the bundle",
        "auctions",
        "verified",
    ),
    "ama": AgentEntry(
        f"{_HERE}.designers:AMA", "designer", "affine maximiser with given boosts", "auctions", "verified"
    ),
    "mechanism-file": AgentEntry(
        f"{_HERE}.designers:FromFile", "designer", "a learned or stored mechanism from its file", "auctions", "verified"
    ),
}
"""Every agent that ships with walras."""

_WHERE = {
    "best_response": ("BestResponse", "exploitability"),
    "class_network": ("ClassPolicy",),
    "designers": ("DESIGNERS", "Designer"),
    "files": ("load_policy",),
    "harvest": ("Restraint",),
    "network": ("NetworkPolicy",),
    "strategy": ("TabularStrategy",),
    "scripted": ("Constant", "Shade", "TitForTat", "constant", "shade", "tit_for_tat", "truthful", "zero"),
    "tabular": ("TabularPolicy",),
}


def __getattr__(name: str) -> Any:
    """Import a name of the table above when it is first asked for."""
    for module, names in _WHERE.items():
        if name in names:
            return getattr(importlib.import_module(f"{_HERE}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
