"""Compiled traversals of external-sampling Monte Carlo CFR on a flat tree.

A traversal follows every action of one player and one sampled action of everybody else (Lanctot et al. 2009, NIPS 22).
It keeps a list of the player's decisions and of the leaves it comes to, parents first: a pass over the list downwards
samples, one upwards values and learns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from walras.envs.game import Array
from walras.envs.tabular.flat import CHANCE, LEAF, FlatGame

_FAST: Any = {"error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}, "cache": True}

AT_CHANCE, AT_LEAF = -1, -2
"""Owners of nodes that are no player's, in `Board.nodes`."""


class Board(NamedTuple):
    """A flat game as traversals want it.

    Attributes:
        nodes: (n, 4) int32: owner (`AT_CHANCE`, `AT_LEAF`), first child, children (negative: nature's probabilities
            are all equal), first slot of the infostate.
        utility: (n, N) float64, returns at the leaves.
        edge_prob: (n,) float64.
        offset: (I + 1,) int32.
    """

    nodes: Array
    utility: Array
    edge_prob: Array
    offset: Array


def board(game: FlatGame) -> Board:
    """The arrays of a flat game, arranged for traversals."""
    owner = np.where(game.info >= 0, game.info_player[game.info], AT_CHANCE)
    owner[game.kind == LEAF] = AT_LEAF
    slot = np.where(game.info >= 0, game.info_offset[game.info], -1)
    width = game.n_children.astype(np.int64)
    chance = np.flatnonzero(game.kind == CHANCE)
    if len(chance):
        starts = game.first_child[chance]
        top = np.array([game.edge_prob[s : s + w].max() for s, w in zip(starts, width[chance], strict=True)])
        even = top <= 1.0 / width[chance] + 1e-15
        width[chance[even]] *= -1
    nodes = np.stack([owner, game.first_child, width, slot], axis=1).astype(np.int32)
    return Board(nodes, np.ascontiguousarray(game.returns), game.edge_prob, game.info_offset)


@njit(**_FAST)
def settle(
    board: Any, node: int, player: int, regret: Any, average: Any, scratch: Any, hedge: bool, opponent: bool, rng: Any
) -> int:
    """Let nature and the others move from `node` until `player` must, or the game is over."""
    nodes = board.nodes
    while True:
        owner = nodes[node, 0]
        if owner == -2 or owner == player:
            return int(node)
        child, width = nodes[node, 1], nodes[node, 2]
        u = rng.random()
        if owner == -1:
            if width < 0:
                node = child - int(u * width)
                continue
            node = child + width - 1
            for c in range(child, child + width - 1):
                u -= board.edge_prob[c]
                if u < 0.0:
                    node = c
                    break
            continue
        q = nodes[node, 3]
        total = weigh(regret, q, width, scratch, hedge)
        if opponent:
            share = 1.0 / total
            for a in range(width):
                average[q + a] += scratch[a] * share
        u *= total
        node = child + width - 1
        for a in range(width - 1):
            u -= scratch[a]
            if u < 0.0:
                node = child + a
                break


@njit(**_FAST)
def weigh(regret: Any, q: int, width: int, weights: Any, hedge: bool) -> float:
    """Write weights in proportion to the policy at slots q, q + 1, ... and return their sum.

    Regret matching (uniform where no regret is positive), or Hedge with learning rate 1 on cumulative values.
    """
    total = 0.0
    if hedge:
        top = regret[q]
        for a in range(1, width):
            top = max(top, regret[q + a])
        for a in range(width):
            weights[a] = np.exp(regret[q + a] - top)
            total += weights[a]
        return total
    for a in range(width):
        weights[a] = max(regret[q + a], 0.0)
        total += weights[a]
    if total > 0.0:
        return total
    for a in range(width):
        weights[a] = 1.0
    return float(width)


@njit(**_FAST)
def external(
    board: Any, regret: Any, average: Any, work: Any, clock: Any, end: int, players: int, hedge: bool, opponent: bool,
    budget: int, rng: Any,
) -> None:  # fmt: skip
    """Iterations of external sampling, one traversal a player each, until `end` or until `budget` nodes are touched.

    Args:
        board: as `board` gives it.
        regret: (S,) cumulative regrets; with `hedge` cumulative values.
        average: (S,) weights of the average strategy.
        work: scratch arrays (entries, begins, values, weights), as long as the longest traversal.
        clock: (2,) int64, iterations done and nodes touched: counted here, so that an interruption finds the counts and
            the tables alike.
        end: iterations to stop at.
        players: N.
        hedge: Hedge in place of regret matching.
        opponent: average where the others move (the sampling weighs by their reach), else at the player's own visits.
        budget: stop after the iteration in which `clock` came to so many nodes; every own action counts as one.
        rng: numpy generator.
    """
    entries, begins, values, weights = work
    nodes = board.nodes
    while clock[0] < end and clock[1] < budget:
        for player in range(players):
            entries[0] = settle(board, 0, player, regret, average, weights, hedge, opponent, rng)
            count, i = 1, 0
            while i < count:
                node = entries[i]
                if nodes[node, 0] == -2:
                    values[i] = board.utility[node, player]
                    i += 1
                    continue
                begins[i] = count
                child = nodes[node, 1]
                for a in range(nodes[node, 2]):
                    entries[count] = settle(board, child + a, player, regret, average, weights, hedge, opponent, rng)
                    count += 1
                i += 1
            clock[1] += count - 1
            for i in range(count - 1, -1, -1):
                node = entries[i]
                if nodes[node, 0] == -2:
                    continue
                q, width, below = nodes[node, 3], nodes[node, 2], begins[i]
                total = weigh(regret, q, width, weights, hedge)
                value = 0.0
                for a in range(width):
                    value += weights[a] * values[below + a]
                value /= total
                values[i] = value
                if hedge:
                    for a in range(width):
                        regret[q + a] += values[below + a]
                else:
                    for a in range(width):
                        regret[q + a] += values[below + a] - value
                if not opponent:
                    for a in range(width):
                        average[q + a] += weights[a] / total
        clock[0] += 1
