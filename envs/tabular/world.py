"""One text of the moves for everything tabular: a decision process, a game tree, or the one before the other.

In a *stack* player 0 first acts in the decision process alone; when that ends, the game starts, and what the last step
paid counts towards player 0's first decision in the game. The environments and the learners call the functions below
and nothing else. Infostates of the process come first, then those of the tree; slots likewise.

A world's hidden state is a node (an index into the tree, or -1 while the process runs) and a *body*: 6 float64 numbers,
for CartPole position, velocity, angle, velocity of the tip, and steps so far; for a finite process the state first.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from walras.envs.game import Array
from walras.envs.tabular.flat import FlatGame
from walras.envs.tabular.mdp import MDP, CartPole, FiniteMDP

NONE, FINITE, CARTPOLE = 0, 1, 2
"""Kinds of process, in `World.process`."""

BODY = 6
"""Length of a body."""

STEPS = 4
"""Where in the body the number of steps stands."""


class World(NamedTuple):
    """What the compiled functions take; made by `build`. Arrays as in `FlatGame` and `FiniteMDP`.

    Attributes:
        process: `NONE`, `FINITE` or `CARTPOLE`.
        raw: detection ids of CartPole are its exact states (1) or its bins (0).
        info_offset: (I + 1,) int32, slots of all infostates.
        info_player: (I,) int8.
        process_infos: infostates of the process.
        n_players: N.
        start: (S,) float64, cumulative.
        info: (S,) int32.
        pair: (S + 1,) int32.
        first: (P + 1,) int32.
        cumulative: (E,) float64, within each pair.
        target: (E,) int32.
        pay: (E,) float64.
        edges: (4, bins - 1) float64.
        kind: (n,) int8.
        node_info: (n,) int32, counted after the process's infostates.
        first_child: (n,) int32.
        n_children: (n,) int32.
        edge_prob: (n,) float64.
        reward: (n, N) float64.
    """

    process: int
    raw: int
    info_offset: Array
    info_player: Array
    process_infos: int
    n_players: int
    start: Array
    info: Array
    pair: Array
    first: Array
    cumulative: Array
    target: Array
    pay: Array
    edges: Array
    kind: Array
    node_info: Array
    first_child: Array
    n_children: Array
    edge_prob: Array
    reward: Array


def build(process: MDP | None, game: FlatGame | None, *, raw: bool = False) -> World:
    """The world of a process, of a game, or of the game after the process.

    Args:
        process: comes first, played by player 0 alone.
        game: the flat game.
        raw: tell CartPole's states apart exactly, not by their bins, where a learner tests for stationarity.

    Raises:
        ValueError: if both are absent.
    """
    if process is None and game is None:
        raise ValueError("process, game: at least one of them is needed")
    kind = NONE if process is None else CARTPOLE if isinstance(process, CartPole) else FINITE
    counts = np.zeros(0, np.int32)
    finite = process if isinstance(process, FiniteMDP) else None
    if isinstance(process, CartPole):
        counts = np.full(process.bins**4, 2, np.int32)
    elif finite is not None:
        counts = finite.n_actions
    tree_counts = np.zeros(0, np.int32) if game is None else game.n_actions
    players = np.zeros(len(counts), np.int8)
    integers, reals = np.zeros(1, np.int32), np.zeros(0)
    return World(
        process=kind,
        raw=int(raw),
        info_offset=np.concatenate([[0], np.cumsum(np.concatenate([counts, tree_counts]))]).astype(np.int32),
        info_player=players if game is None else np.concatenate([players, game.info_player]),
        process_infos=len(counts),
        n_players=1 if game is None else game.n_players,
        start=reals if finite is None else _cumulative(np.array([0, len(finite.start)]), finite.start),
        info=integers if finite is None else finite.info,
        pair=integers if finite is None else finite.action_offset,
        first=integers if finite is None else finite.first,
        cumulative=reals if finite is None else _cumulative(finite.first, finite.probability),
        target=integers if finite is None else finite.target,
        pay=reals if finite is None else finite.reward,
        edges=process.edges if isinstance(process, CartPole) else np.zeros((4, 1)),
        kind=np.zeros(0, np.int8) if game is None else game.kind,
        node_info=integers if game is None else game.info + np.int32(len(counts)),
        first_child=integers if game is None else game.first_child,
        n_children=integers if game is None else game.n_children,
        edge_prob=reals if game is None else game.edge_prob,
        reward=np.zeros((0, 1)) if game is None else game.reward,
    )


def _cumulative(first: Array, probability: Array) -> Array:
    result = np.empty(len(probability))
    within(first, probability, result)
    return result


@njit(cache=True)
def within(first: Any, probability: Any, cumulative: Any) -> None:
    """Write probabilities (E,) added up within each of the rows that begin at `first` (P + 1,).

    From the last positive one on it is exactly 1: a uniform number picks no entry of probability zero.
    """
    for row in range(len(first) - 1):
        total, last = 0.0, first[row]
        for at in range(first[row], first[row + 1]):
            total += probability[at]
            cumulative[at] = total
            if probability[at] > 0.0:
                last = at
        cumulative[last : first[row + 1]] = 1.0


@njit(cache=True, error_model="numpy")
def begin(world: Any, body: Any, u: Any) -> None:
    """Write the process's first state to `body`; `u` holds 4 uniforms (a finite process uses the first)."""
    body[:] = 0.0
    if world.process == 2:
        for k in range(4):
            body[k] = 0.1 * u[k] - 0.05
    else:
        body[0] = min(np.searchsorted(world.start, u[0], side="right"), len(world.start) - 1)


@njit(cache=True, error_model="numpy")
def look(world: Any, body: Any) -> int:
    """The process's infostate."""
    if world.process == 1:
        return int(world.info[int(body[0])])
    bins = world.edges.shape[1] + 1
    index = 0
    for k in range(4):
        at = 0
        while at < bins - 1 and body[k] >= world.edges[k, at]:
            at += 1
        index = index * bins + at
    return index


@njit(cache=True, error_model="numpy")
def act(world: Any, body: Any, action: int, u: float) -> Any:
    """One step of the process: changes `body`, uses the uniform `u`, and returns (reward, has it ended?)."""
    body[4] += 1.0
    if world.process == 1:
        pair = world.pair[int(body[0])] + action
        at = world.first[pair]
        while world.cumulative[at] <= u and at < world.first[pair + 1] - 1:
            at += 1
        body[0] = world.target[at]
        return world.pay[at], world.target[at] < 0
    push = 10.0 if action == 1 else -10.0
    x, dx, angle, spin = body[0], body[1], body[2], body[3]
    cosine, sine = math.cos(angle), math.sin(angle)
    # Florian (2007), "Correct equations for the dynamics of the cart-pole system", without friction; masses 1 and 0.1.
    shared = (push + 0.05 * spin * spin * sine) / 1.1
    turn = (9.8 * sine - cosine * shared) / (0.5 * (4.0 / 3.0 - 0.1 * cosine * cosine / 1.1))
    drive = shared - 0.05 * turn * cosine / 1.1
    body[0] = x + 0.02 * dx
    body[1] = dx + 0.02 * drive
    body[2] = angle + 0.02 * spin
    body[3] = spin + 0.02 * turn
    return 1.0, abs(body[0]) > 2.4 or abs(body[2]) > 12.0 * math.pi / 180.0


@njit(cache=True, error_model="numpy")
def identify(world: Any, body: Any) -> int:
    """A number for the process's hidden state, the same for equal states (odd; even numbers are nodes and rewards)."""
    if world.process == 1:
        return 2 * int(body[0]) + 1
    if world.raw == 0:
        return 2 * look(world, body) + 1
    mixed = np.uint64(0)
    for k in range(4):
        mixed = scramble(mixed ^ bits(body[k]))
    return int(np.int64(mixed | np.uint64(1)))


@njit(cache=True)
def bits(value: float) -> Any:
    """The 64 bits of a number; those of 0 for minus zero."""
    return np.float64(value + 0.0).view(np.uint64)


@njit(cache=True)
def scramble(word: Any) -> Any:
    """A bijection of 64-bit words that leaves no pattern (splitmix64's finaliser)."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@njit(cache=True, error_model="numpy")
def nature(world: Any, node: int, u: float) -> int:
    """The child of a chance node that the uniform `u` picks."""
    child = world.first_child[node]
    last = child + world.n_children[node] - 1
    while child < last:
        u -= world.edge_prob[child]
        if u < 0.0:
            break
        child += 1
    return int(child)
