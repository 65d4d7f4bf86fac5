"""Any compiled game as a walras game, so that every door opens on it: pure look-ups in the arrays of a `FlatGame`.

Shapes: `B` lanes, `N` players, `I` infostates, `n` nodes, `A` actions at the widest infostate.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numba import njit

from walras.envs.game import Array, FiniteGame, Policy, Role, Truth
from walras.envs.tabular import known
from walras.envs.tabular.compile import LIMIT, cached_game
from walras.envs.tabular.flat import CHANCE, DECISION, LEAF, FlatGame
from walras.envs.tabular.world import build, nature

OBSERVATIONS = ("infostate", "tensor")
OVER, NATURE = -1, -2
"""Who is to move where no player is."""


class TabularState(NamedTuple):
    """State of a compiled game.

    Attributes:
        node: (B,) int64, index into the `FlatGame`; n once a payment that nature left open at a leaf has been made.
    """

    node: Array


class TabularGame(FiniteGame[TabularState]):
    """A finite game compiled to arrays, played by infostate.

    ## Description
    The game is expanded once (texts and ids: once in a process). Agents are the players of the source. Players who
    move at the same time there move one after another here, without seeing what the others chose.

    ## Action space
    `Discrete(A)`: the position 0, 1, ... in the infostate's ascending list of actions, with a mask of the positions
    that exist. `flat.info_actions` holds the source's own numbers.

    ## Observation space
    `Discrete(I + 1)`: the number of the infostate for the player who is to move, I for the others; or with
    `observation="tensor"` the source's information-state tensor of the player to move, zeros for the others.

    ## Rewards
    What the source pays on the way. What a chance move pays comes with the next decision; if the game ended with that
    chance move, the first player is asked once more and has the one action 0.

    ## Episode end
    At the leaves of the tree, when everything is paid.

    ## Info
    `node`: where the game stands in the arrays; hidden from the players.

    Source: Lanctot et al., "OpenSpiel: A framework for reinforcement learning in games", arXiv 1908.09453, for the
    games; arXiv 2402.11835 for playing by infostate.
    """

    def __init__(self, source: Any, *, observation: str = "infostate", limit: int = LIMIT, **parameters: Any) -> None:
        """Compile the game.

        Args:
            source: all that `walras.envs.tabular.compile_game` takes: OpenSpiel's text for a game, a registered id, a
                walras `FiniteGame`, a `pyspiel.Game` or a `FlatGame`.
            observation: `"infostate"` or `"tensor"`.
            limit: largest number of nodes.
            parameters: of the game, where the source is a text or an id; handed on as they are.

        Raises:
            ValueError: if the game is too large or unknown, `observation` is unknown or the source has no tensors, or
                nobody ever decides anything.
            TypeError: if the game is not finite, or a parameter does not belong to it.
            ImportError: if the text is OpenSpiel's and OpenSpiel is not installed.
        """
        if observation not in OBSERVATIONS:
            raise ValueError(f"observation must be one of {OBSERVATIONS}, got {observation!r}")
        self.flat: FlatGame = cached_game(source, limit=limit, **parameters)
        """The arrays."""
        if not self.flat.n_infostates:
            raise ValueError(f"source: nobody ever decides anything in {self.flat.name}")
        if observation == "tensor" and self.flat.tensors is None:
            raise ValueError(
                f"observation: {self.flat.name} has no information-state tensors; use observation='infostate'"
            )
        self.observation = observation
        self.width = int(self.flat.n_actions.max())
        """A, the number of actions at the widest infostate."""
        seen: spaces.Space[Any] = spaces.Discrete(self.flat.n_infostates + 1)
        if observation == "tensor" and self.flat.tensors is not None:
            seen = spaces.Box(-np.inf, np.inf, self.flat.tensors.shape[1:], np.float32)
        act = spaces.Discrete(self.width)
        self.roles = tuple(Role(name, count, seen, act) for name, count in _grouped(self.flat.players))
        self._pay, late = _payments(self.flat)
        who = np.append(np.where(self.flat.kind == CHANCE, NATURE, OVER), OVER).astype(np.int8)
        decisions = np.flatnonzero(self.flat.kind == DECISION)
        who[decisions] = self.flat.info_player[self.flat.info[decisions]]
        who[:-1][late] = 0
        self._who = who
        self._world = build(None, self.flat)

    def __repr__(self) -> str:
        """The source's name."""
        return f"TabularGame({self.flat.name!r}, observation={self.observation!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> TabularGame:
        """A game whose attributes can be set anew; the arrays, which nobody writes into, are shared."""
        memo[id(self)] = twin = copy.copy(self)
        return twin

    # -- the rules -----------------------------------------------------------------------------------------------------

    def root(self, batch: int) -> TabularState:
        """Node 0."""
        return TabularState(np.zeros(batch, np.int64))

    def chance(self, state: TabularState) -> Array:
        """(B, C) probabilities of the children, C being those of the widest chance node among the lanes."""
        pending = np.flatnonzero(self._who[state.node] == NATURE)
        node = state.node[pending]
        counts = self.flat.n_children[node]
        odds = np.zeros((len(state.node), int(counts.max(initial=1))))
        lane, outcome = np.nonzero(np.arange(odds.shape[1]) < counts[:, None])
        odds[pending[lane], outcome] = self.flat.edge_prob[self.flat.first_child[node[lane]] + outcome]
        return odds

    def resolve(self, state: TabularState, outcome: Array) -> TabularState:
        """The child number `outcome`."""
        return TabularState(self.flat.first_child[state.node] + np.asarray(outcome, np.int64))

    def apply(self, state: TabularState, actions: Mapping[str, Array]) -> tuple[TabularState, Array]:
        """The mover's child, and what was paid since the last decision."""
        chosen = np.concatenate([actions[role.name] for role in self.roles], axis=1)
        node, rewards = self.move(state.node, chosen[np.arange(len(chosen)), self.player(state.node)])
        return TabularState(node), rewards

    def movers(self, state: TabularState) -> Array:
        """(B, N): the player of a decision node."""
        return np.asarray(self.player(state.node)[:, None] == np.arange(self.n_agents))

    def legal(self, state: TabularState, role: str) -> Array:
        """(B, c, A): positions below the number of the mover's actions; none for the others."""
        within = np.arange(self.width) < self.choices(state.node)[:, None]
        return np.asarray(within[:, None] & self._moving(state, role)[:, :, None])

    def observe(self, state: TabularState, role: str) -> Array:
        """(B, c) infostates, or (B, c, d) tensors."""
        info = self.seen(state.node)
        mine = self._moving(state, role) & (info >= 0)[:, None]
        if self.observation == "infostate" or self.flat.tensors is None:
            return np.where(mine, info[:, None], self.flat.n_infostates)
        return np.where(mine[:, :, None], self.flat.tensors[info][:, None], np.float32(0.0))

    def terminal(self, state: TabularState) -> Array:
        """At leaves, once everything is paid."""
        return np.asarray(self._who[state.node] == OVER)

    def info(self, state: TabularState, role: str) -> dict[str, Array]:
        """The node, for the analyst."""
        return {"node": np.repeat(state.node[:, None], self.role(role).size, axis=1)}

    def truths(self) -> tuple[Truth, ...]:
        """Values of the classics."""
        return known.truths(self.flat)

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """Of Kuhn poker; `None` for other games, and where tensors are observed."""
        strategy = known.equilibrium(self.flat) if self.observation == "infostate" else None
        if strategy is None:
            return None
        first = strategy[self.flat.info_offset[:-1]].tolist()  # two actions everywhere
        return {role.name: known.TwoWay((*first, 1.0)) for role in self.roles}

    def render_text(self, state: TabularState, lane: int = 0) -> str:
        """Where the game stands, and who is to move."""
        node, flat = int(state.node[lane]), self.flat
        where = f"{flat.name}: node {node} of {flat.n_nodes}"
        if node == flat.n_nodes or flat.kind[node] == LEAF:
            return f"{where}, the end" if node == flat.n_nodes else f"{where}, the end; returns {flat.returns[node]}"
        if flat.kind[node] == CHANCE:
            return f"{where}, nature moves"
        info = int(flat.info[node])
        text = f"{where}, {flat.players[flat.info_player[info]]} is to move at infostate {info}"
        return text if flat.labels is None else f"{text}\n{flat.labels[info]}"

    def _nature(self, state: TabularState, rng: np.random.Generator) -> TabularState:
        """The sampling of `FiniteGame`, one uniform for each chance move, by the moves that learners use."""
        return TabularState(self.settle(state.node, rng))

    def _moving(self, state: TabularState, role: str) -> Array:
        """(B, c): is an agent of the role to move?"""
        first = self.seat[self.role(role).agents[0]][2]
        where = np.arange(first, first + self.role(role).size)
        return np.asarray(self.player(state.node)[:, None] == where)

    # -- nodes in batches ----------------------------------------------------------------------------------------------

    def player(self, node: Array) -> Array:
        """(B,) who is to move at nodes (B,): a player's number, below 0 for nature and at the end."""
        return np.asarray(self._who[node])

    def seen(self, node: Array) -> Array:
        """(B,) int64 infostates of decision nodes, -1 for other nodes."""
        info = self.flat.info[np.minimum(node, self.flat.n_nodes - 1)]
        return np.where(self._who[node] >= 0, info, -1).astype(np.int64)

    def choices(self, node: Array) -> Array:
        """(B,) numbers of actions of the player to move, 0 where nobody is."""
        count = self.flat.n_children[np.minimum(node, self.flat.n_nodes - 1)]
        return np.where(self._who[node] >= 0, np.maximum(count, 1), 0)

    def move(self, node: Array, action: Array) -> tuple[Array, Array]:
        """Where the mover's actions (B,) lead from nodes (B,) at which somebody is to move, and the rewards (B, N)."""
        open_ = self.flat.kind[node] == LEAF
        child = np.where(open_, self.flat.n_nodes, self.flat.first_child[node] + np.asarray(action, np.int64))
        return child, self._pay[np.where(open_, node, child)]

    def settle(self, node: Array, rng: np.random.Generator) -> Array:
        """Nodes (B,) after all of nature's pending moves; numbers below 0 are nobody's nodes and stay."""
        node = np.array(node)
        while waits(self._world, node):
            move_nature(self._world, node, rng.random((len(node), 1)))
        return node

    # -- single nodes --------------------------------------------------------------------------------------------------

    def infostate(self, node: int) -> int:
        """The infostate of a decision node, -1 for other nodes.

        Raises:
            ValueError: if there is no such node.
        """
        return int(self.flat.info[self._check(node)])

    def legal_actions(self, node: int) -> Array:
        """Positions 0, 1, ... of the actions at a node; empty where nobody decides.

        Raises:
            ValueError: if there is no such node.
        """
        node = self._check(node)
        return np.arange(self.flat.n_children[node] if self.flat.kind[node] == DECISION else 0)

    def reset_to(self, node: int | Array) -> TabularState:
        """The state of one lane at a node, or of several at an array of nodes (B,).

        Raises:
            ValueError: if there is no such node.
        """
        nodes = np.atleast_1d(node)
        for each in nodes.tolist() if nodes.ndim == 1 and nodes.dtype.kind in "iu" else [node]:
            self._check(each)
        return TabularState(nodes.astype(np.int64))

    def step_from(self, node: int, action: int, rng: np.random.Generator) -> tuple[int, Array, bool]:
        """Act at a decision node, let nature move, and say where that leads; many at once: `reset_to` and `step`.

        Args:
            node: a decision node.
            action: position in its list of actions.
            rng: of nature's moves.

        Returns:
            The next node at which somebody decides (or the game has ended), the rewards (N,) as `step` pays them, and
            whether it has ended.

        Raises:
            ValueError: if `node` is no decision node or `action` is not one of its actions.
        """
        node = self._check(node)
        if self._who[node] < 0:
            raise ValueError(f"node: nobody decides at node {node} of {self.flat.name}")
        count = max(int(self.flat.n_children[node]), 1)
        if isinstance(action, bool) or not isinstance(action, int | np.integer) or not 0 <= action < count:
            raise ValueError(f"action: an integer in [0, {count}) is needed at node {node}, got {action!r}")
        child, rewards = self.move(np.array([node]), np.array([action]))
        after = int(self.settle(child, rng)[0])
        return after, rewards[0], bool(self._who[after] == OVER)

    def _check(self, node: Any) -> int:
        end = self.flat.n_nodes
        if isinstance(node, bool) or not isinstance(node, int | np.integer) or not 0 <= node < end:
            raise ValueError(f"node: an integer in [0, {end}) is needed for {self.flat.name}, got {node!r}")
        return int(node)


@njit(cache=True)
def waits(world: Any, node: Any) -> bool:
    """Is nature to move anywhere among `node` (B,)?"""
    for at in node:
        if 0 <= at < len(world.kind) and world.kind[at] == 0:
            return True
    return False


@njit(cache=True)
def move_nature(world: Any, node: Any, u: Any) -> None:
    """Let nature move once in every lane where it is to move: changes `node` (B,), uses `u` (B, 1)."""
    for lane in range(len(node)):
        if 0 <= node[lane] < len(world.kind) and world.kind[node[lane]] == 0:
            node[lane] = nature(world, node[lane], u[lane, 0])


def _grouped(players: tuple[str, ...]) -> list[tuple[str, int | None]]:
    """Roles and their sizes behind players' names: `seller, buyer_0, buyer_1` are one seller and two buyers."""
    found: list[tuple[str, int | None]] = []
    for name in players:
        match = re.fullmatch(r"(.*\D)_(\d+)", name)
        if match is None:
            found.append((name, None))
        elif int(match[2]) == 0:
            found.append((match[1], 1))
        elif found and found[-1] == (match[1], int(match[2])):
            found[-1] = (match[1], int(match[2]) + 1)
        else:
            return [("player", len(players))]
    return found


def _payments(flat: FlatGame) -> tuple[Array, Array]:
    """What a decision pays, and where a payment stays open.

    Returns:
        pay (n, N): on entering a node by a decision, everything since the decision before; at a leaf where a payment is
        open, that payment. late (n,) bool: leaves reached by nature with something unpaid, or before any decision.
    """
    by_nature = flat.edge_slot < 0
    owed, pay = np.where(by_nature[:, None], flat.reward, 0.0), flat.reward
    decided = ~by_nature
    if owed.any():
        pay = flat.reward.copy()
        for start, end in flat.generations():
            above, chosen = owed[flat.parent[start:end]], decided[start:end, None]
            pay[start:end] += np.where(chosen, above, 0.0)
            owed[start:end] += np.where(chosen, 0.0, above)
    for start, end in flat.generations():
        decided[start:end] |= decided[flat.parent[start:end]]  # from here on: somebody has decided before
    late = (flat.kind == LEAF) & by_nature & (owed.any(axis=1) | ~decided)
    return np.where(late[:, None], owed, pay) if late.any() else pay, late
