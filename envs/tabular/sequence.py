"""The sequence form of a flat game: each player's treeplex, and two players' payoffs over pairs of sequences.

A *sequence* is all that a player did on the way to some point: it is named by the last slot, or empty. Under perfect
recall a player's strategy is its realisation plan, one number a sequence, and payoffs are bilinear in two plans
(von Stengel 1996, Games and Economic Behavior 14).

Shapes: `n` nodes, `N` players, `K` infostates of one player, `Q` its sequences (slots and the empty one, number 0).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from walras.envs.game import Array
from walras.envs.tabular.flat import DECISION, LEAF, FlatGame


class Treeplex(NamedTuple):
    """One player's decision tree: infostates in an order in which parents come first.

    Attributes:
        offset: (K + 1,) int32, the sequences of infostate k are `offset[k]` to `offset[k + 1]`; they begin with 1.
        parent: (K,) int32, the sequence that leads to each infostate.
    """

    offset: Array
    parent: Array

    @property
    def sequences(self) -> int:
        """Q, the empty sequence included."""
        return int(self.offset[-1])


class Rows(NamedTuple):
    """A sparse matrix by rows.

    Attributes:
        start: (Q + 1,) int32, row q holds entries `start[q]` to `start[q + 1]`.
        column: (E,) int32.
        value: (E,) float64.
    """

    start: Array
    column: Array
    value: Array


@dataclass(frozen=True, eq=False)
class SequenceForm:
    """What `sequence_form` finds.

    Attributes:
        game: the flat game.
        treeplexes: one for each player.
        leaves: (L,) int32, the leaves that nature does not rule out.
        last: (L, N) int32, each player's sequence at each of them.
        chance: (L,) float64, the product of nature's probabilities on the way.
        payoffs: for two players, each one's chance-weighted payoffs, by its own sequences (rows) over the other's
            (columns); `None` for another number of players.
    """

    game: FlatGame
    treeplexes: tuple[Treeplex, ...]
    leaves: Array = field(repr=False)
    last: Array = field(repr=False)
    chance: Array = field(repr=False)
    payoffs: tuple[Rows, Rows] | None = field(repr=False)


def sequence_form(game: FlatGame) -> SequenceForm:
    """The sequence form of a game with perfect recall.

    Raises:
        ValueError: if a player forgets what it did (the message names the infostate).
    """
    n = game.n_players
    first = [game.slots(player).start for player in range(n)]
    owner = np.full(game.n_nodes, -1, np.int64)
    owner[1:] = np.where(game.edge_slot[1:] >= 0, game.info_player[game.info[game.parent[1:]]], -1)
    last = np.zeros((game.n_nodes, n), np.int32)
    reach = np.ones(game.n_nodes)
    for start, end in game._generations():
        above = game.parent[start:end]
        last[start:end] = last[above]
        reach[start:end] = reach[above] * game.edge_prob[start:end]
        for player in range(n):
            own = start + np.flatnonzero(owner[start:end] == player)
            last[own, player] = game.edge_slot[own] - first[player] + 1
    treeplexes = []
    decisions = np.flatnonzero(game.kind == DECISION)
    for player in range(n):
        low, high = game.infostates(player)
        nodes = decisions[(game.info[decisions] >= low) & (game.info[decisions] < high)]
        parent = np.full(high - low, -1, np.int32)
        parent[game.info[nodes] - low] = last[nodes, player]
        wrong = np.flatnonzero(parent[game.info[nodes] - low] != last[nodes, player])
        if len(wrong):
            raise ValueError(
                f"game: {game.players[player]} of {game.name} does not remember its own actions at infostate "
                f"{game.info[nodes[wrong[0]]]}; perfect recall is needed"
            )
        offset = (game.info_offset[low : high + 1] - game.info_offset[low] + 1).astype(np.int32)
        treeplexes.append(Treeplex(offset, parent))
    leaves = np.flatnonzero((game.kind == LEAF) & (reach > 0)).astype(np.int32)
    form = SequenceForm(game, tuple(treeplexes), leaves, last[leaves], reach[leaves], None)
    if n == 2:
        object.__setattr__(form, "payoffs", _payoffs(form))
    return form


def _payoffs(form: SequenceForm) -> tuple[Rows, Rows]:
    """Both players' payoffs, entries of equal pairs added up."""
    from scipy.sparse import coo_matrix

    shape = (form.treeplexes[0].sequences, form.treeplexes[1].sequences)
    found = []
    for player in range(2):
        value = form.chance * form.game.returns[form.leaves, player]
        pair = (form.last[:, 0], form.last[:, 1])
        matrix: Any = coo_matrix((value, pair), shape=shape)
        matrix = (matrix if player == 0 else matrix.T).tocsr()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        found.append(Rows(matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data))
    return found[0], found[1]
