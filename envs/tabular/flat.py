"""A finite game as flat arrays: the form that compiled solvers sweep.

Shapes: `n` nodes, `N` players, `I` infostates, `S` slots (an action at an infostate), `B` lanes.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from walras.envs.game import Array

if TYPE_CHECKING:
    from walras.envs.tabular.sequence import SequenceForm

CHANCE, DECISION, LEAF = 0, 1, 2
"""What a node is, in `FlatGame.kind`."""


@dataclass(frozen=True, eq=False)
class FlatGame:
    """A finite extensive-form game in arrays; made by `walras.envs.tabular.compile_game`.

    Node 0 is the root. Parents come before their children and the children of a node are neighbours, so one loop over
    the nodes is a sweep down the tree and one in reverse is a sweep up. Infostates are numbered player by player, and
    those of one player in the order in which they can first be reached: under perfect recall a parent infostate comes
    before its children. A strategy of all players is one vector over slots.

    Attributes:
        name: the text it was compiled from.
        players: the players' names, N of them.
        kind: (n,) int8, `CHANCE`, `DECISION` or `LEAF`.
        info: (n,) int32, the infostate of a decision node, else -1.
        parent: (n,) int32, -1 for the root.
        first_child: (n,) int32, -1 for leaves.
        n_children: (n,) int32.
        edge_prob: (n,) float64, nature's probability of the edge into the node; 1 where a player chose it.
        edge_slot: (n,) int32, the slot of the edge into the node; -1 where nature chose it, and for the root.
        reward: (n, N) float64, what the players are paid on entering the node, in the game's own units.
        info_player: (I,) int8.
        info_offset: (I + 1,) int32: the slots of infostate i are `info_offset[i]` to `info_offset[i + 1]`.
        info_actions: (S,) int32, the action number behind each slot, ascending within an infostate.
        observations: (I,) the bytes of what the player observes at each infostate, for walras games, else `None`.
        labels: (I,) the source's texts of infostates, where it has them, else `None`; infostates that were split (see
            `compile`) share one.
        tensors: (I, d) float32 features of infostates, where the source has them, else `None`.
    """

    name: str
    players: tuple[str, ...]
    kind: Array = field(repr=False)
    info: Array = field(repr=False)
    parent: Array = field(repr=False)
    first_child: Array = field(repr=False)
    n_children: Array = field(repr=False)
    edge_prob: Array = field(repr=False)
    edge_slot: Array = field(repr=False)
    reward: Array = field(repr=False)
    info_player: Array = field(repr=False)
    info_offset: Array = field(repr=False)
    info_actions: Array = field(repr=False)
    observations: tuple[bytes, ...] | None = field(default=None, repr=False)
    labels: tuple[str, ...] | None = field(default=None, repr=False)
    tensors: Array | None = field(default=None, repr=False)

    @property
    def n_nodes(self) -> int:
        """Nodes of the tree, leaves and chance nodes included."""
        return len(self.kind)

    @property
    def n_players(self) -> int:
        """Number of players, nature not counted."""
        return len(self.players)

    @property
    def n_infostates(self) -> int:
        """Infostates of all players together."""
        return len(self.info_player)

    @property
    def n_slots(self) -> int:
        """Actions at all infostates together."""
        return len(self.info_actions)

    @functools.cached_property
    def n_actions(self) -> Array:
        """(I,) int32: how many actions each infostate has."""
        return np.diff(self.info_offset)

    @functools.cached_property
    def slot_info(self) -> Array:
        """(S,) int32: the infostate of each slot."""
        return np.repeat(np.arange(self.n_infostates, dtype=np.int32), self.n_actions)

    @functools.cached_property
    def returns(self) -> Array:
        """(n, N) float64: what the players have been paid on the way to each node, the node's own reward included."""
        paid_early = bool(self.reward[self.kind != LEAF].any())
        return self._accumulate() if paid_early else self.reward

    def _accumulate(self) -> Array:
        total = self.reward.copy()
        for start, end in self.generations():
            total[start:end] += total[self.parent[start:end]]
        return total

    def generations(self) -> list[tuple[int, int]]:
        """Ranges `(start, end)` of nodes, the root excepted, whose parents all lie before the range."""
        ranges, start = [], 1
        while start < self.n_nodes:
            end = int(np.searchsorted(self.parent[start:], start)) + start  # parents ascend
            ranges.append((start, end))
            start = end
        return ranges

    @functools.cached_property
    def depth(self) -> Array:
        """(n,) int32: edges between the root and each node."""
        depth = np.zeros(self.n_nodes, np.int32)
        for start, end in self.generations():
            depth[start:end] = depth[self.parent[start:end]] + 1
        return depth

    @functools.cached_property
    def constant_sum(self) -> float | None:
        """What two players share at every leaf, where that is always the same; else, and for other games, `None`."""
        if self.n_players != 2:
            return None
        total = self.returns[self.kind == LEAF].sum(axis=1)
        scale = 1e-9 * max(1.0, float(np.abs(self.returns).max()))
        return float(total.mean()) if np.ptp(total) <= scale else None

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the arrays that make up the game: files of strategies and learners name it."""
        digest = hashlib.sha256()
        for array in (self.kind, self.info, self.parent, self.edge_prob, self.edge_slot, self.reward, self.info_offset):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(self.info_player.tobytes() + self.info_actions.tobytes())
        return digest.hexdigest()

    def slots(self, player: int) -> slice:
        """The slots of one player's infostates (neighbours, by the numbering of infostates).

        Raises:
            ValueError: if there is no such player.
        """
        first, end = self.infostates(player)
        return slice(int(self.info_offset[first]), int(self.info_offset[end]))

    def infostates(self, player: int) -> tuple[int, int]:
        """First infostate of a player, and the first one after.

        Raises:
            ValueError: if there is no such player.
        """
        if not 0 <= player < self.n_players:
            raise ValueError(f"player must lie in [0, {self.n_players}), got {player!r}")
        first, end = np.searchsorted(self.info_player, [player, player + 1])
        return int(first), int(end)

    def uniform(self) -> Array:
        """(S,) the strategy that plays every action with the same probability."""
        return np.asarray(1.0 / self.n_actions[self.slot_info])

    def normalise(self, weights: Array) -> Array:
        """(S,) probabilities in proportion to nonnegative weights (S,), uniform at infostates whose weights vanish.

        Raises:
            ValueError: if the shape is another, or a weight is negative or not finite.
        """
        weights = np.asarray(weights, np.float64)
        if weights.shape != (self.n_slots,):
            raise ValueError(f"weights: shape {weights.shape} given, {(self.n_slots,)} needed")
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError("weights: finite numbers of at least 0 are needed")
        total = np.add.reduceat(weights, self.info_offset[:-1])[self.slot_info]
        return np.where(total > 0, weights / np.where(total > 0, total, 1.0), self.uniform())

    def check_strategy(self, strategy: Array) -> Array:
        """The strategy as (S,) float64.

        Raises:
            ValueError: if the shape is another, or an infostate's numbers are no probabilities that sum to one.
        """
        strategy = np.ascontiguousarray(strategy, np.float64)
        if strategy.shape != (self.n_slots,):
            raise ValueError(f"strategy: shape {strategy.shape} given, {(self.n_slots,)} needed (slots of {self.name})")
        total = np.add.reduceat(strategy, self.info_offset[:-1])
        if not (np.isfinite(strategy).all() and (strategy >= -1e-12).all() and (np.abs(total - 1.0) < 1e-6).all()):
            raise ValueError(f"strategy: probabilities that sum to one at every infostate of {self.name} are needed")
        return strategy

    @functools.cached_property
    def sequence_form(self) -> SequenceForm:
        """The sequence form, found at the first call.

        Raises:
            ValueError: if a player forgets what it did.
        """
        from walras.envs.tabular.sequence import sequence_form

        return sequence_form(self)

    @functools.cached_property
    def table(self) -> FlatTable:
        """The arrays that compiled kernels take, in one record."""
        return FlatTable(
            self.kind, self.info, self.parent, self.first_child, self.n_children, self.edge_prob, self.edge_slot,
            self.reward, self.info_player, self.info_offset,
        )  # fmt: skip


class FlatTable(NamedTuple):
    """The arrays of a `FlatGame` as one argument of a compiled kernel; fields as there."""

    kind: Array
    info: Array
    parent: Array
    first_child: Array
    n_children: Array
    edge_prob: Array
    edge_slot: Array
    reward: Array
    info_player: Array
    info_offset: Array
