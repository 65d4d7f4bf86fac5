"""The sequence form of a flat game: each player's treeplex, and two players' payoffs over pairs of sequences.

A *sequence* is all that a player did on the way to some point: it is named by the last slot, or empty. Under perfect
recall a player's strategy is its realisation plan, one number a sequence, and payoffs are linear in each player's plan
(von Stengel 1996, Games and Economic Behavior 14).

The order of sequences serves the loops over them: infostates that lie equally deep and have as many actions form a
*group*, and a group's sequences stand action by action, so that the same action of neighbouring infostates is
neighbouring memory.

Shapes: `n` nodes, `N` players, `K` infostates of one player, `Q` its sequences (slots and the empty one, number 0).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from walras.envs.game import Array
from walras.envs.tabular.flat import DECISION, LEAF, FlatGame


class Treeplex(NamedTuple):
    """One player's decision tree.

    Attributes:
        groups: (G, 4) int64, parents before children: first sequence, width M (infostates), actions A, first infostate.
            Action a of the m-th infostate of a group is the sequence `first + a * M + m`.
        parent: (K,) uint32, the sequence that leads to each infostate, in the order of the groups.
        slot: (Q,) int32, the slot of the flat game behind each sequence; -1 for the empty one.
    """

    groups: Array
    parent: Array
    slot: Array


class Payoffs(NamedTuple):
    """A sparse matrix, rows of equal length together: entries j of a run's rows are neighbours.

    Attributes:
        runs: (R, 4) int64, first row, end row, entries L of each row, first entry: entry j of the run's m-th row is
            number `first + j * (end - begin) + m`.
        column: (E,) uint32.
        value: (E,) float64.
    """

    runs: Array
    column: Array
    value: Array


@dataclass(frozen=True, eq=False)
class SequenceForm:
    """What `sequence_form` finds.

    Attributes:
        game: the flat game.
        treeplexes: one for each player.
        leaves: (L,) int32, the leaves that nature does not rule out.
        last: (L, N) uint32, each player's sequence at each of them.
        chance: (L,) float64, the product of nature's probabilities on the way.
        payoffs: for two players, each one's chance-weighted payoffs, by its own sequences (rows) over the other's
            (columns); `None` for another number of players.
    """

    game: FlatGame
    treeplexes: tuple[Treeplex, ...]
    leaves: Array = field(repr=False)
    last: Array = field(repr=False)
    chance: Array = field(repr=False)
    payoffs: tuple[Payoffs, Payoffs] | None = field(repr=False)

    def matrix(self, player: int) -> Any:
        """A player's payoffs as a scipy CSR matrix, own sequences by the other's (two players only).

        Raises:
            ValueError: if there are not two players.
        """
        if self.game.n_players != 2:
            raise ValueError(f"game: two players are needed for a matrix, {self.game.name} has {self.game.n_players}")
        shape = (len(self.treeplexes[0].slot), len(self.treeplexes[1].slot))
        return _matrix(self.game, player, self.leaves, self.chance, self.last, shape)

    def constraints(self, player: int) -> Any:
        """(K + 1, Q) CSR matrix F with F x = (1, 0, ..., 0) for the player's realisation plans x."""
        from scipy.sparse import csr_matrix

        plex = self.treeplexes[player]
        rows, columns, values = [0], [0], [1.0]
        for first, width, actions, at in plex.groups.tolist():
            for m in range(width):
                rows += [1 + at + m] * (actions + 1)
                columns += [int(plex.parent[at + m]), *range(first + m, first + m + actions * width, width)]
                values += [-1.0] + [1.0] * actions
        return csr_matrix((values, (rows, columns)), shape=(len(plex.parent) + 1, len(plex.slot)))

    def plan(self, player: int, strategy: Array) -> Array:
        """(Q,) realisation plan of a strategy (S,)."""
        plex = self.treeplexes[player]
        plan = np.append(1.0, strategy[plex.slot[1:]])
        for first, width, actions, at in plex.groups.tolist():
            block = plan[first : first + actions * width].reshape(actions, width)
            block *= plan[plex.parent[at : at + width]]
        return plan

    def weights(self, plans: tuple[Array, ...]) -> Array:
        """(S,) the players' plans (Q,) by slot; `FlatGame.normalise` makes a strategy of them."""
        result = np.zeros(self.game.n_slots)
        for plex, plan in zip(self.treeplexes, plans, strict=True):
            result[plex.slot[1:]] = plan[1:]
        return result


def sequence_form(game: FlatGame) -> SequenceForm:
    """The sequence form of a game with perfect recall.

    Raises:
        ValueError: if a player forgets what it did (the message names the infostate).
    """
    n = game.n_players
    # Sequences by slot at first: 0 is empty, and the others follow the player's slots.
    first = [game.slots(player).start for player in range(n)]
    owner = np.full(game.n_nodes, -1, np.int64)
    owner[1:] = np.where(game.edge_slot[1:] >= 0, np.append(game.info_player, -1)[game.info[game.parent[1:]]], -1)
    last = np.zeros((game.n_nodes, n), np.int32)
    reach = np.ones(game.n_nodes)
    for start, end in game.generations():
        above = game.parent[start:end]
        last[start:end] = last[above]
        reach[start:end] = reach[above] * game.edge_prob[start:end]
        for player in range(n):
            own = start + np.flatnonzero(owner[start:end] == player)
            last[own, player] = game.edge_slot[own] - first[player] + 1
    leaves = np.flatnonzero((game.kind == LEAF) & (reach > 0)).astype(np.int32)
    decisions = np.flatnonzero(game.kind == DECISION)
    chance, sizes = reach[leaves], [game.slots(player).stop - first[player] + 1 for player in range(n)]
    treeplexes, place = [], []
    for player in range(n):
        parent = _parents(game, player, decisions, last[:, player])
        entries = np.zeros(sizes[player], np.int64)
        if n == 2:  # how many payoffs each sequence has
            entries = np.diff(_matrix(game, player, leaves, chance, last[leaves], (sizes[0], sizes[1])).indptr)
        plex, order = _arrange(game, player, parent, entries)
        treeplexes.append(plex)
        place.append(np.argsort(order))
    last = np.stack([place[player][last[leaves, player]] for player in range(n)], axis=1).astype(np.uint32)
    form = SequenceForm(game, tuple(treeplexes), leaves, last, chance, None)
    if n == 2:
        object.__setattr__(form, "payoffs", (_runs(form.matrix(0)), _runs(form.matrix(1))))
    return form


def _parents(game: FlatGame, player: int, decisions: Array, last: Array) -> Array:
    """(K,) the sequence, by slot, that leads to each infostate of a player."""
    low, high = game.infostates(player)
    nodes = decisions[(game.info[decisions] >= low) & (game.info[decisions] < high)]
    parent = np.full(high - low, -1, np.int64)
    parent[game.info[nodes] - low] = last[nodes]
    wrong = np.flatnonzero(parent[game.info[nodes] - low] != last[nodes])
    if len(wrong):
        raise ValueError(
            f"game: {game.players[player]} of {game.name} does not remember its own actions at infostate "
            f"{game.info[nodes[wrong[0]]]}; perfect recall is needed"
        )
    return parent


def _arrange(game: FlatGame, player: int, parent: Array, entries: Array) -> tuple[Treeplex, Array]:
    """The treeplex, and (Q,) the sequence by slot that stands at each place of it.

    Within a group, infostates whose sequences have as many payoffs are neighbours: runs of the payoff matrix get long.
    """
    low, high = game.infostates(player)
    offset = game.info_offset[low : high + 1].astype(np.int64) - game.info_offset[low] + 1
    actions, slots = np.diff(offset), game.slots(player)
    holder = np.append(-1, np.repeat(np.arange(high - low), actions))
    depth = np.zeros(high - low, np.int64)
    for k, above in enumerate(holder[parent].tolist()):  # parents come first in the order of infostates
        depth[k] = 0 if above < 0 else depth[above] + 1
    widest = int(actions.max(initial=0))
    lengths = np.zeros((high - low, widest), np.int64)
    lengths[holder[1:], np.arange(1, offset[-1]) - offset[holder[1:]]] = entries[1:]
    ranked = np.lexsort((*lengths.T, actions, depth))
    kinds = np.stack([depth[ranked], actions[ranked]], axis=1)
    starts: Any = np.flatnonzero(np.append(True, (np.diff(kinds, axis=0) != 0).any(axis=1))) if len(ranked) else []
    groups, order = [], [np.zeros(1, np.int64)]
    done = 1
    for begin, end in itertools.pairwise([*starts, len(ranked)]):  # none for a player who never moves
        members = ranked[begin:end]
        count, width = int(actions[members[0]]), len(members)
        groups.append((done, width, count, begin))
        order.append((offset[members] + np.arange(count)[:, None]).reshape(-1))
        done += count * width
    order_ = np.concatenate(order)
    place = np.argsort(order_)
    slot = np.append(-1, slots.start + order_[1:] - 1).astype(np.int32)
    plex = Treeplex(np.array(groups, np.int64).reshape(-1, 4), place[parent[ranked]].astype(np.uint32), slot)
    return plex, order_


def _matrix(game: FlatGame, player: int, leaves: Array, chance: Array, last: Array, shape: tuple[int, int]) -> Any:
    from scipy.sparse import coo_matrix

    pairs = (last[:, 0].astype(np.int64), last[:, 1].astype(np.int64))
    matrix: Any = coo_matrix((chance * game.returns[leaves, player], pairs), shape=shape)
    matrix = (matrix if player == 0 else matrix.T).tocsr()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _runs(matrix: Any) -> Payoffs:
    lengths = np.diff(matrix.indptr)
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(lengths)) + 1, [len(lengths)]])
    runs, columns, values, done = [], [np.zeros(0, np.int64)], [np.zeros(0)], 0
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        entries, width = int(lengths[begin]), end - begin
        part = slice(matrix.indptr[begin], matrix.indptr[end])
        columns.append(matrix.indices[part].reshape(width, entries).T.reshape(-1))
        values.append(matrix.data[part].reshape(width, entries).T.reshape(-1))
        runs.append((begin, end, entries, done))
        done += entries * width
    return Payoffs(np.array(runs, np.int64), np.concatenate(columns).astype(np.uint32), np.concatenate(values))
