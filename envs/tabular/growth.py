"""A game tree under construction: nodes as they are found, and the flat game they make in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from walras.envs.game import Array
from walras.envs.tabular.flat import CHANCE, DECISION, LEAF, FlatGame


class Batch(NamedTuple):
    """Nodes found together: their parents, nature's probabilities (1: a player chose) and the actions' numbers."""

    parent: Array
    prob: Array
    number: Array


class Growth:
    """The tree under construction: nodes in the order in which they are found, siblings in the order of actions."""

    def __init__(
        self, players: tuple[str, ...], limit: int, name: str, tell: Callable[[int], None], recall: bool = True
    ) -> None:
        """Start with the root; without `recall`, infostates are split by what their player did before."""
        self.players, self.limit, self.name, self.tell, self.recall = players, limit, name, tell, recall
        self.count = 1
        self.batches = [Batch(np.array([-1]), np.ones(1), np.array([-1]))]
        self.decisions: list[tuple[Array, Array, Array]] = []
        self.seen: dict[int, bytes] = {}
        self.payments: list[tuple[Array, Array]] = []

    def check(self, more: float) -> None:
        """Refuse to grow by so many nodes beyond the limit (ValueError)."""
        if self.count + more > self.limit:
            raise ValueError(
                f"limit: {self.name} has more than {self.limit} nodes (counted {self.count + int(more)} so far); "
                "use a smaller game or a larger limit (a node takes about 70 bytes)"
            )

    def add(self, parent: Array, prob: Array | None = None, number: Array | None = None) -> Array:
        """Append children by nature or by a player; returns their numbers."""
        many = len(parent)
        self.check(many)
        batch = Batch(parent, np.ones(many) if prob is None else prob, np.full(many, -1) if number is None else number)
        self.batches.append(batch)
        first = self.count
        self.count += many
        self.tell(self.count)
        return np.arange(first, self.count)

    def pay(self, nodes: Array, rewards: Array) -> None:
        """Say what the players are paid (B, N) on entering nodes."""
        index = np.flatnonzero(rewards.any(axis=1))
        self.payments.append((nodes[index], rewards[index]))

    def decide(self, nodes: Array, player: Array, keys: Array) -> None:
        """Say who moves at `nodes`, and give their infostates keys that no other infostate has."""
        self.decisions.append((nodes, player, keys))

    def show(self, keys: Array, parts: list[Array]) -> None:
        """Keep what a player observes at the infostates with these keys; `parts` are rows (B, ...) beside the keys."""
        different, first = np.unique(keys, return_index=True)
        rows = [np.ascontiguousarray(part[first]).reshape(len(first), -1) for part in parts]
        for i, key in enumerate(different.tolist()):
            self.seen[key] = b"".join(row[i].tobytes() for row in rows)

    def finish(self, labels: list[str] | None = None, tensors: list[Any] | None = None) -> FlatGame:
        """Renumber breadth first, number infostates and slots, and check that equal infostates offer equal actions."""
        parent = np.concatenate([batch.parent for batch in self.batches])
        prob = np.concatenate([batch.prob for batch in self.batches])
        number = np.concatenate([batch.number for batch in self.batches])
        self.batches.clear()
        order = _breadth_first(parent)
        place = np.empty(self.count, np.int64)
        place[order] = np.arange(self.count)
        parent = np.where(parent[order] >= 0, place[parent[order]], -1)
        prob, number = prob[order], number[order]
        reward = np.zeros((self.count, len(self.players)))
        for nodes, rewards in self.payments:
            reward[place[nodes]] = rewards
        self.payments.clear()
        n_children = np.bincount(parent[1:], minlength=self.count).astype(np.int32)
        first_child = np.where(n_children > 0, 1 + np.cumsum(n_children) - n_children, -1).astype(np.int32)

        player = np.full(self.count, -1, np.int8)
        key = np.full(self.count, -1, np.int64)
        for nodes, who, keys in self.decisions:
            player[place[nodes]] = who
            key[place[nodes]] = keys
        self.decisions.clear()
        given = key
        if not self.recall:
            key = _remember(parent, player, key, number)
        kind = np.full(self.count, CHANCE, np.int8)
        kind[player >= 0] = DECISION
        kind[n_children == 0] = LEAF
        info, info_player, first_node = _number_infostates(player, key)
        source = given[first_node].tolist()

        counts = n_children[first_node]
        offset = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        decisions = np.flatnonzero(player >= 0)
        if (n_children[decisions] != counts[info[decisions]]).any():
            raise ValueError(f"game: {self.name} offers different numbers of actions at nodes of one infostate")
        edge_slot = np.full(self.count, -1, np.int32)
        chosen = np.flatnonzero(parent >= 0)
        chosen = chosen[player[parent[chosen]] >= 0]
        above = parent[chosen]
        edge_slot[chosen] = offset[info[above]] + (chosen - first_child[above])
        actions = np.full(int(offset[-1]), -1, np.int32)
        actions[edge_slot[chosen]] = number[chosen]
        if (actions[edge_slot[chosen]] != number[chosen]).any():
            raise ValueError(f"game: {self.name} offers different actions at nodes of one infostate")
        return FlatGame(
            name=self.name,
            players=self.players,
            kind=kind,
            info=info,
            parent=parent.astype(np.int32),
            first_child=first_child,
            n_children=n_children,
            edge_prob=prob,
            edge_slot=edge_slot,
            reward=reward,
            info_player=info_player,
            info_offset=offset,
            info_actions=actions,
            observations=tuple(self.seen[k] for k in source) if self.seen else None,
            labels=None if labels is None else tuple(labels[k] for k in source),
            tensors=None if tensors is None else np.array([tensors[k] for k in source], np.float32),
        )


def _breadth_first(parent: Array) -> Array:
    """(n,) nodes level by level, the children of earlier nodes first; siblings keep their order."""
    n = len(parent)
    by_parent = np.argsort(parent, kind="stable")
    start = np.searchsorted(parent[by_parent], np.arange(n + 1))
    order = np.empty(n, np.int64)
    order[0], done, level = 0, 1, np.zeros(1, np.int64)
    while len(level):
        counts = start[level + 1] - start[level]
        total = int(counts.sum())
        step = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        below = by_parent[np.repeat(start[level], counts) + step]
        order[done : done + total] = below
        done, level = done + total, below
    return order


def _remember(parent: Array, player: Array, key: Array, number: Array) -> Array:
    """(n,) keys that split infostates at which a player would forget where it had been and what it did there."""
    from walras.envs.tabular.rows import number_rows

    def codes(*columns: Array) -> Array:
        rows = np.stack(columns, axis=1).astype(np.int64).view(np.uint64)
        result = np.empty(len(rows), np.int64)
        number_rows(rows, result)
        return result

    owner = np.where(parent >= 0, player[parent], -1)
    own = np.zeros(len(parent), np.int64)  # the player's own history at its decisions, from 1; 0: it has not acted yet
    for who in range(int(player.max(initial=-1)) + 1):
        last = np.zeros(len(parent), np.int64)  # the node its last own move led to
        depth = np.zeros(len(parent), np.int64)
        start = 1
        while start < len(parent):
            end = int(np.searchsorted(parent, start))
            above = parent[start:end]
            last[start:end], depth[start:end] = last[above], depth[above]
            moved = start + np.flatnonzero(owner[start:end] == who)
            last[moved] = moved
            depth[moved] += 1
            start = end
        history, used = np.zeros(len(parent), np.int64), 1
        for d in range(1, int(depth.max()) + 1):
            moved = np.flatnonzero((depth == d) & (owner == who))
            history[moved] = used + codes(history[last[parent[moved]]], key[parent[moved]], number[moved])
            used = int(history[moved].max()) + 1
        decisions = player == who
        own[decisions] = history[last[decisions]]
    refined = np.full(len(parent), -1, np.int64)
    decisions = np.flatnonzero(player >= 0)
    refined[decisions] = codes(own[decisions], key[decisions])
    return refined


def _number_infostates(player: Array, key: Array) -> tuple[Array, Array, Array]:
    """Infostates player by player, in the order of their first node.

    Returns: of each node (n,) int32, the players (I,) and the first nodes (I,).
    """
    nodes = np.flatnonzero(player >= 0)
    _, first, inverse = np.unique(key[nodes], return_index=True, return_inverse=True)
    first_node = nodes[first]
    order = np.lexsort((first_node, player[first_node]))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    info = np.full(len(player), -1, np.int32)
    info[nodes] = rank[inverse]
    first_node = first_node[order]
    return info, player[first_node].astype(np.int8), first_node
