"""Who sits where: anything that can act, turned into one kind of policy.

A policy is called as `policy(observation, mask=..., rng=...)` with the observations (B, *shape) of one agent and
returns actions (B, *shape). `mask` is (B, n_actions) bool or `None`; `rng` draws `rng.random((B, ...))`. Policies that
name neither keyword are called without them, so `lambda value: value / 2` is a policy.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from walras.envs.game import Array, Game, Observation, Policy
from walras.envs.spaces import sample_batch

PolicyFactory = Callable[[Game[Any], str], Policy]

_named: dict[str, str | PolicyFactory] = {
    "random": "walras.envs.seats:random_policy",
    "equilibrium": "walras.envs.seats:equilibrium_policy",
    "truthful": "walras.agents.scripted:truthful",
    "best-response": "walras.agents.best_response:best_response",
    "zero": "walras.agents.scripted:zero",
    "restraint": "walras.agents.harvest:restraint",
}


def register_policy(name: str, factory: str | PolicyFactory) -> None:
    """Make `name` usable wherever a seat is filled by a string.

    Args:
        name: what users write.
        factory: `factory(game, agent) -> policy`, or its address `"module:function"`, imported at first use.

    Raises:
        TypeError: if `name` is not a string, or `factory` neither a string nor callable.
        ValueError: if the name is empty or taken by another factory, or the address is malformed.
    """
    if not isinstance(name, str):
        raise TypeError(f"name: a string is needed, got {type(name).__name__}")
    if not isinstance(factory, str) and not callable(factory):
        raise TypeError(f"factory: a callable or 'module:function' is needed, got {type(factory).__name__}")
    if not name.strip():
        raise ValueError(f"name: {name!r} is empty")
    if isinstance(factory, str) and not re.fullmatch(r"[\w.]+:\w+", factory):
        raise ValueError(f"factory: {factory!r} is not of the form 'package.module:function'")
    if name in _named and _named[name] != factory:
        raise ValueError(
            f"name: {name!r} is already registered for {_named[name]}; known names: {list(policy_names())}"
        )
    _named[name] = factory


def policy_names() -> tuple[str, ...]:
    """All names a seat may be filled with."""
    return tuple(sorted(_named))


def as_policy(who: Any, game: Game[Any], agent: str) -> Policy:
    """The policy of `agent`, from a name, a callable, or a model with `predict` (Stable-Baselines3).

    Raises:
        ValueError: if `who` is an unknown name, or names an equilibrium that is not known.
        TypeError: if `who` cannot act.
    """
    if isinstance(who, str):
        if who not in _named:
            raise ValueError(f"seat {agent!r}: {who!r} is not a policy; known names are {list(policy_names())}")
        factory = _named[who]
        if isinstance(factory, str):
            module, _, attribute = factory.partition(":")
            factory = getattr(importlib.import_module(module), attribute)
        return _with_keywords(factory(game, agent))
    if callable(getattr(who, "predict", None)):
        return _Model(who)
    if not callable(who):
        raise TypeError(
            f"seat {agent!r}: a policy name, a callable or a model with predict() is needed, got {type(who).__name__}"
        )
    return _with_keywords(who)


def fill_seats(game: Game[Any], seats: Mapping[str, Any], what: str = "seats") -> dict[str, Policy]:
    """Agent -> policy for a mapping by agent or role (an agent's own entry goes before its role's).

    Raises:
        ValueError: if a key is neither an agent nor a role of the game; the message calls the mapping `what`.
        TypeError: if it is no mapping.
    """
    if not isinstance(seats, Mapping):
        raise TypeError(f"{what}: a policy name or a mapping from roles or agents is needed, got {seats!r}")
    roles = {role.name for role in game.roles}
    for name in seats:
        if name not in roles and name not in game.seat:
            raise ValueError(f"{what}: {name!r} is neither a role {sorted(roles)} nor an agent {list(game.agents)}")
    policies = {}
    for agent, (role, _, _) in game.seat.items():
        who = seats.get(agent, seats.get(role.name))
        if who is not None:
            policies[agent] = as_policy(who, game, agent)
    return policies


def default_policy(game: Game[Any], agent: str) -> Policy:
    """What fills a seat nobody spoke for: the equilibrium where the game knows one, else uniformly random actions."""
    known = game.equilibrium()
    if known is not None and (agent in known or game.seat[agent][0].name in known):
        return as_policy("equilibrium", game, agent)
    return as_policy("random", game, agent)


@dataclass(frozen=True)
class RandomPolicy:
    """Uniform over an action space, over the legal actions where there is a mask."""

    space: gymnasium.Space[Any]

    def __call__(self, observation: Observation, *, mask: Array | None, rng: np.random.Generator) -> Array:
        """Actions (B, *shape)."""
        batch = len(next(iter(observation.values())) if isinstance(observation, dict) else observation)
        return sample_batch(self.space, batch, mask, rng)


def random_policy(game: Game[Any], agent: str) -> Policy:
    """The random policy of that seat."""
    return RandomPolicy(game.seat[agent][0].action_space)


def equilibrium_policy(game: Game[Any], agent: str) -> Policy:
    """The game's own equilibrium policy of that seat.

    Raises:
        ValueError: if the game states none.
    """
    known = game.equilibrium() or {}
    role = game.seat[agent][0].name
    if agent not in known and role not in known:
        raise ValueError(f"seat {agent!r}: no equilibrium is known for {game!r}")
    return known[agent] if agent in known else known[role]


@dataclass(frozen=True)
class _Model:
    """A Stable-Baselines3 model, acting deterministically."""

    model: Any

    def __call__(self, observation: Observation, *, mask: Array | None = None, rng: object = None) -> Any:
        if mask is not None and "action_masks" in inspect.signature(self.model.predict).parameters:
            return self.model.predict(observation, action_masks=mask, deterministic=True)[0]
        return self.model.predict(observation, deterministic=True)[0]


@dataclass(frozen=True)
class _Plain:
    """A callable that takes the observation only."""

    policy: Policy

    def __call__(self, observation: Observation, *, mask: object = None, rng: object = None) -> Any:
        return self.policy(observation)


@dataclass(frozen=True)
class _Keyword:
    """A callable that names one of `mask` and `rng`."""

    policy: Policy
    name: str

    def __call__(self, observation: Observation, **keywords: Any) -> Any:
        return self.policy(observation, **{self.name: keywords[self.name]})


def _with_keywords(policy: Policy) -> Policy:
    """The policy, called with just those of `mask` and `rng` that its signature names."""
    try:
        parameters = inspect.signature(policy).parameters
    except (TypeError, ValueError):  # ufuncs and some builtins tell no signature: they take the observation only
        return _Plain(policy)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return policy
    named = [name for name in ("mask", "rng") if name in parameters]
    return policy if len(named) == 2 else _Keyword(policy, named[0]) if named else _Plain(policy)
