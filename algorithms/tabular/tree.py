"""Counterfactual regret minimisation by sweeps over the whole tree, for any number of players.

The tree is kept without its leaves: what a leaf pays stands in the row of values from the beginning. Probabilities of
all edges, nature's too, stand in one vector, so that an inner node needs no question of who moves: its value is the sum
of neighbouring probabilities times neighbouring values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from walras.algorithms.tabular.sweeps import factors
from walras.envs.game import Array
from walras.envs.tabular.flat import LEAF, FlatGame

_FAST: Any = {"error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}, "cache": True}


class Tree(NamedTuple):
    """A flat game without its leaves; `i` counts inner nodes, the root first.

    Attributes:
        node: (T,) uint32, the node of the flat game.
        above: (T,) uint32, the inner node above.
        child: (T,) uint32, the first child, a node of the flat game.
        width: (T,) uint32, how many children.
        edge: (T,) uint32, where the probabilities of the edges to the children begin.
        owner: (T,) int8, the player to move, -1 for nature.
        entry: (N, T) uint32, where the probability of the edge into each node stands; for a player's own edges, one.
        parent: (I,) int32, the slot that leads to each infostate, -1 for none.
        offset: (I + 1,) int32, slots of the infostates.
        first: (N + 1,) int32, each player's infostates.
    """

    node: Array
    above: Array
    child: Array
    width: Array
    edge: Array
    owner: Array
    entry: Array
    parent: Array
    offset: Array
    first: Array


def prepare(game: FlatGame) -> tuple[Tree, Array, Array]:
    """The tree, (X,) uniform probabilities of all edges, and (N, n) values with the leaves' in place.

    The first S probabilities are the strategy's; nature's follow, and one in the last place.

    Raises:
        ValueError: if a player forgets what it did.
    """
    form, n = game.sequence_form, game.n_players
    inner = np.flatnonzero(game.kind != LEAF)
    rank = np.full(game.n_nodes, -1, np.int64)
    rank[inner] = np.arange(len(inner))
    owner = np.where(game.info[inner] >= 0, game.info_player[game.info[inner]], -1).astype(np.int8)
    nature = np.flatnonzero(game.edge_slot < 0)[1:]  # without the root
    probabilities = np.concatenate([game.uniform(), game.edge_prob[nature], [1.0]])
    into = game.edge_slot.astype(np.int64)
    into[nature] = game.n_slots + np.arange(len(nature))
    into[0] = len(probabilities) - 1
    above = np.maximum(rank[game.parent[inner]], 0)
    entry = np.repeat(into[inner][None], n, axis=0)
    for player in range(n):
        entry[player, owner[above] == player] = len(probabilities) - 1
    entry[:, 0] = len(probabilities) - 1
    parent = np.full(game.n_infostates, -1, np.int32)
    for plex in form.treeplexes:
        for first, width, _, k in plex.groups.tolist():
            parent[game.slot_info[plex.slot[first : first + width]]] = plex.slot[plex.parent[k : k + width]]
    first = np.array([game.infostates(player)[0] for player in range(n)] + [game.n_infostates], np.int32)
    u32 = np.uint32
    tree = Tree(
        inner.astype(u32), above.astype(u32), game.first_child[inner].astype(u32), game.n_children[inner].astype(u32),
        into[game.first_child[inner]].astype(u32), owner, entry.astype(u32), parent, game.info_offset, first,
    )  # fmt: skip
    return tree, probabilities, np.ascontiguousarray(game.returns.T)


@njit(**_FAST)
def sweep(tree: Any, player: int, probability: Any, value: Any, reach: Any, gradient: Any) -> None:
    """One player's values and instantaneous regrets under the strategies in `probability`.

    Args:
        tree: as `prepare` gives it.
        player: whose.
        probability: (X,).
        value: (n,) the player's value of each node; inner nodes are written.
        reach: (T,) scratch space: the chance that the others and nature come to each inner node.
        gradient: (S,) written to at the player's slots: regrets of this moment, weighted by the reach of the others.
    """
    node, above, child, width, edge = tree.node, tree.above, tree.child, tree.width, tree.edge
    owner, entry = tree.owner, tree.entry[player]
    reach[0] = 1.0
    for i in range(1, len(node)):
        reach[i] = reach[above[i]] * probability[entry[i]]
    gradient[tree.offset[tree.first[player]] : tree.offset[tree.first[player + 1]]] = 0.0
    for i in range(len(node) - 1, -1, -1):
        c, e, count = child[i], edge[i], width[i]
        total = 0.0
        for j in range(count):
            total += probability[e + j] * value[c + j]
        value[node[i]] = total
        if owner[i] == player:
            for j in range(count):
                gradient[e + j] += reach[i] * (value[c + j] - total)


@njit(**_FAST)
def match(
    tree: Any, player: int, probability: Any, regret: Any, gradient: Any, plan: Any, total: Any,
    gain: float, loss: float, weight: float,
) -> None:  # fmt: skip
    """Add the gradient to the player's regrets, match them, and move the plan on; see `sweeps.improve`, `realise`."""
    offset, parent = tree.offset, tree.parent
    for info in range(tree.first[player], tree.first[player + 1]):
        a, b = offset[info], offset[info + 1]
        positive = 0.0
        for q in range(a, b):
            r = regret[q] + gradient[q]
            r *= gain if r > 0.0 else loss
            regret[q] = r
            positive += max(r, 0.0)
        above = 1.0 if parent[info] < 0 else plan[parent[info]]
        for q in range(a, b):
            share = max(regret[q], 0.0) / positive if positive > 0.0 else 1.0 / (b - a)
            probability[q] = share
            total[q] += weight * plan[q]
            plan[q] = above * share


@njit(**_FAST)
def iterate(
    tree: Any, probability: Any, value: Any, reach: Any, gradient: Any, regret: Any, plan: Any, total: Any,
    clock: Any, end: int, plus: bool, power: float, discount: Any, alternate: bool,
) -> None:  # fmt: skip
    """Iterations of CFR; the last arguments are those of `sweeps.iterate_pairs`."""
    players = len(tree.first) - 1
    for t in range(clock[0] + 1, end + 1):
        gain, loss, weight = factors(t, plus, power, discount)
        if alternate:
            for player in range(players):
                sweep(tree, player, probability, value[player], reach, gradient)
                match(tree, player, probability, regret, gradient, plan, total, gain, loss, weight)
        else:
            for player in range(players):
                sweep(tree, player, probability, value[player], reach, gradient)
            for player in range(players):
                match(tree, player, probability, regret, gradient, plan, total, gain, loss, weight)
        clock[0] = t
