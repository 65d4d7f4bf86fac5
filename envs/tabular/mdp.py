"""Decision problems of one agent on infostates: any finite one by arrays, and CartPole in bins.

Shapes: `S` hidden states, `I` infostates, `A` actions at a state, `E` transitions.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from walras.envs.arguments import whole
from walras.envs.game import Array
from walras.envs.tabular.flat import CHANCE, DECISION, FlatGame


@dataclass(frozen=True, eq=False)
class FiniteMDP:
    """A Markov decision process by its transitions; partially observed where states share an infostate.

    The transitions of action a at state s are the entries `first[pair]` to `first[pair + 1]`, where
    `pair = action_offset[s] + a` runs over the actions of state after state.

    Attributes:
        name: for tables and error messages.
        start: (S,) probabilities of the first state.
        info: (S,) int32, what the agent sees of each state: an infostate.
        n_actions: (I,) int32, actions at each infostate, at least 1.
        first: (P + 1,) int32, the first transition of each pair of a state and an action, state after state.
        probability: (E,) float64, of each transition; those of a pair sum to one.
        target: (E,) int32, the next state; -1 ends the episode.
        reward: (E,) float64, paid with the transition.
    """

    name: str
    start: Array = field(repr=False)
    info: Array = field(repr=False)
    n_actions: Array = field(repr=False)
    first: Array = field(repr=False)
    probability: Array = field(repr=False)
    target: Array = field(repr=False)
    reward: Array = field(repr=False)

    def __post_init__(self) -> None:
        """Check what the kernels rely on.

        Raises:
            ValueError: if shapes do not fit, an index is out of range, or probabilities do not sum to one.
        """
        kinds = {
            "start": np.float64, "info": np.int32, "n_actions": np.int32, "first": np.int32, "probability": np.float64,
            "target": np.int32, "reward": np.float64,
        }  # fmt: skip
        for name, dtype in kinds.items():
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype))
        states, infos, pairs, entries = len(self.start), len(self.n_actions), len(self.first) - 1, len(self.target)
        if self.info.shape != (states,) or not ((self.info >= 0) & (self.info < infos)).all():
            raise ValueError(f"info: one infostate in [0, {infos}) for each of {states} states is needed")
        if (self.n_actions < 1).any() or pairs != self.n_actions[self.info].sum():
            raise ValueError(
                f"first: one row for each of {int(self.n_actions[self.info].sum())} state-action pairs needed"
            )
        if not (self.first[0] == 0 and self.first[-1] == entries and (np.diff(self.first) >= 1).all()):
            raise ValueError("first: every state-action pair needs a transition")
        if not (self.probability.shape == self.reward.shape == (entries,)) or not np.isfinite(self.reward).all():
            raise ValueError(f"probability, reward: {entries} finite numbers, one a transition, are needed")
        if not ((self.target >= -1) & (self.target < states)).all():
            raise ValueError(f"target: states in [0, {states}), or -1 for the end, are needed")
        sums = np.append(np.add.reduceat(self.probability, self.first[:-1]), self.start.sum())
        if (self.probability < 0).any() or (self.start < 0).any() or np.abs(sums - 1.0).max() > 1e-9:
            raise ValueError("start, probability: nonnegative numbers that sum to one are needed")

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the arrays."""
        digest = hashlib.sha256()
        for name in ("start", "info", "n_actions", "first", "probability", "target", "reward"):
            digest.update(getattr(self, name).tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def action_offset(self) -> Array:
        """(S + 1,) int32: the pairs of state s are `action_offset[s]` to `action_offset[s + 1]`."""
        return np.concatenate([[0], np.cumsum(self.n_actions[self.info])]).astype(np.int32)

    @classmethod
    def layered(
        cls, layers: int = 10, states: int = 30, actions: int = 3, *, concentration: float = 0.3, seed: int = 0
    ) -> FiniteMDP:
        """A random MDP in layers: an action leads to the next layer by a Dirichlet law; entering a state pays U[0, 1].

        The first state is uniform over the first layer; acting in the last layer ends the episode without pay.

        Args:
            layers: decisions in an episode, >= 1.
            states: states of a layer, >= 1.
            actions: at every state, >= 1.
            concentration: of the symmetric Dirichlet law, > 0.
            seed: of the numbers.

        Raises:
            ValueError: if a number is out of range.
        """
        layers, states, actions = whole("layers", layers), whole("states", states), whole("actions", actions)
        if not (np.isfinite(concentration) and concentration > 0):
            raise ValueError(f"concentration must be finite and > 0, got {concentration!r}")
        rng = np.random.default_rng(seed)
        total, inner = layers * states, (layers - 1) * states
        entry = rng.random(total)
        law = rng.dirichlet(np.full(states, concentration), size=(inner, actions))
        below = (np.arange(inner) // states + 1)[:, None] * states + np.arange(states)
        target = np.repeat(below[:, None], actions, axis=1).reshape(-1)
        ends = states * actions
        return cls(
            name=f"layered(layers={layers}, states={states}, actions={actions}, seed={seed})",
            start=np.append(np.full(states, 1.0 / states), np.zeros(inner)),
            info=np.arange(total),
            n_actions=np.full(total, actions),
            first=np.append(np.arange(inner * actions) * states, inner * actions * states + np.arange(ends + 1)),
            probability=np.append(law.reshape(-1), np.ones(ends)),
            target=np.append(target, np.full(ends, -1)),
            reward=np.append(entry[target], np.zeros(ends)),
        )

    @classmethod
    def from_gymnasium(cls, env: Any) -> FiniteMDP:
        """The MDP behind a Gymnasium environment that shows its table `P` (FrozenLake, Taxi, CliffWalking).

        Args:
            env: an id, or an environment whose unwrapped object has `P` and `initial_state_distrib`.

        Raises:
            TypeError: if it shows no such table.
        """
        import gymnasium

        made = gymnasium.make(env) if isinstance(env, str) else env
        table, start = (getattr(made.unwrapped, name, None) for name in ("P", "initial_state_distrib"))
        if table is None or start is None:
            raise TypeError(f"env: {env!r} has no table of transitions (`P` and `initial_state_distrib`)")
        rows = [table[s][a] for s in range(len(table)) for a in range(len(table[s]))]
        merged = [entry for row in rows for entry in row]
        return cls(
            name=str(made.spec.id if made.spec is not None else type(made.unwrapped).__name__),
            start=np.asarray(start, np.float64) / np.sum(start),
            info=np.arange(len(table)),
            n_actions=np.array([len(table[s]) for s in range(len(table))]),
            first=np.concatenate([[0], np.cumsum([len(row) for row in rows])]),
            probability=np.array([entry[0] for entry in merged]),
            target=np.array([-1 if entry[3] else entry[1] for entry in merged]),
            reward=np.array([entry[2] for entry in merged], np.float64),
        )

    @classmethod
    def from_game(cls, game: FlatGame) -> FiniteMDP:
        """A compiled game of one player as an MDP: its decision nodes are the hidden states.

        Actions are positions in an infostate's list; a transition passes all of nature's moves up to the next decision
        or the end, and pays what is paid on the way.

        Raises:
            ValueError: if there are several players, an episode can end before any decision, or something is paid
                before the first one.
        """
        if game.n_players != 1:
            raise ValueError(f"game: a game of one player is needed, {game.name} has {game.n_players}")
        decisions = np.flatnonzero(game.kind == DECISION)
        state = np.full(game.n_nodes, -1, np.int64)  # -1 at leaves, too: the end
        state[decisions] = np.arange(len(decisions))
        counts = game.n_children[decisions]
        step = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        pairs = np.repeat(game.first_child[decisions], counts) + step
        row, node, odds, paid = _past_nature(game, pairs)
        _, opening, start, early = _past_nature(game, np.zeros(1, np.int64))
        if (state[opening] < 0).any() or early.any():
            raise ValueError(f"game: {game.name} ends, or pays, before anybody has decided; an MDP cannot")
        return cls(
            name=game.name,
            start=np.bincount(state[opening], weights=start, minlength=len(decisions)),
            info=game.info[decisions],
            n_actions=game.n_actions,
            first=np.append(0, np.cumsum(np.bincount(row, minlength=len(pairs)))),
            probability=odds,
            target=state[node],
            reward=paid,
        )


def _past_nature(game: FlatGame, nodes: Array) -> tuple[Array, Array, Array, Array]:
    """Where nature leads from `nodes`, which have just been entered.

    Returns:
        Sorted by the number of the node it began with: that number, the node reached, its probability, and what the
        one player was paid on the way.
    """
    row, odds, paid = np.arange(len(nodes)), np.ones(len(nodes)), game.reward[nodes, 0]
    found = []
    while True:
        nature = game.kind[nodes] == CHANCE
        found.append([part[~nature] for part in (row, nodes, odds, paid)])
        if not nature.any():
            row, nodes, odds, paid = (np.concatenate(parts) for parts in zip(*found, strict=True))
            order = np.argsort(row, kind="stable")
            return row[order], nodes[order], odds[order], paid[order]
        counts = game.n_children[nodes[nature]]
        row, odds, paid = (np.repeat(part[nature], counts) for part in (row, odds, paid))
        step = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        nodes = np.repeat(game.first_child[nodes[nature]], counts) + step
        odds, paid = odds * game.edge_prob[nodes], paid + game.reward[nodes, 0]


@dataclass(frozen=True)
class CartPole:
    """The cart and the pole of Barto, Sutton and Anderson (1983), seen through bins.

    Gravity 9.8, masses 1.0 and 0.1, half-length 0.5, force 10, Euler steps of 0.02 s; the start is uniform in +-0.05 in
    every coordinate; the pole has fallen when |position| > 2.4 or |angle| > 12 degrees. Every step pays 1, the last
    one included.

    Attributes:
        bins: of each of the four coordinates, >= 2; values outside the ranges fall into the end bins.
        ranges: half-widths of the binned ranges: position, velocity, angle (rad), velocity of the tip.
    """

    bins: int = 10
    ranges: tuple[float, float, float, float] = (2.4, 3.0, 0.5, 2.0)

    def __post_init__(self) -> None:
        """Check the parameters (ValueError otherwise); ranges may be given as a list."""
        whole("bins", self.bins, 2)
        object.__setattr__(self, "ranges", tuple(self.ranges))
        if len(self.ranges) != 4 or not all(np.isfinite(r) and r > 0 for r in self.ranges):
            raise ValueError(f"ranges: four finite numbers > 0 are needed, got {self.ranges!r}")

    @property
    def name(self) -> str:
        """For tables and error messages."""
        return f"cartpole(bins={self.bins})"

    @property
    def fingerprint(self) -> str:
        """What tells it from other processes."""
        return repr(self)

    @functools.cached_property
    def edges(self) -> Array:
        """(4, bins - 1) interior edges of the bins."""
        return np.stack([np.linspace(-r, r, self.bins + 1)[1:-1] for r in self.ranges])


MDP = FiniteMDP | CartPole
"""What can come first in a stack."""


def as_process(given: Any) -> MDP:
    """A decision process from what users write.

    Args:
        given: a `FiniteMDP` or `CartPole`; `"cartpole"`; a dict of the parameters of `CartPole` (`{"bins": 5}`) or of
            `FiniteMDP.layered` (`{"layers": 5, "states": 8}`); a Gymnasium environment with a table `P`, or its id
            (`"FrozenLake-v1"`); or a finite game of one player in any form that `compile_game` takes.

    Raises:
        TypeError: if it is none of these, or a parameter is unknown.
        ValueError: if a parameter is out of range, or a game has several players.
    """
    import gymnasium

    from walras.envs.registry import specs
    from walras.envs.tabular.compile import cached_game

    if isinstance(given, FiniteMDP | CartPole):
        return given
    if isinstance(given, Mapping):
        return CartPole(**given) if {"bins", "ranges"} & set(given) else FiniteMDP.layered(**given)
    if given == "cartpole":
        return CartPole()
    named = isinstance(given, str) and re.search(r"-v\d+$", given) and given not in [spec.id for spec in specs()]
    if named or isinstance(given, gymnasium.Env):
        return FiniteMDP.from_gymnasium(given)
    return FiniteMDP.from_game(cached_game(given))
