"""The compiled learners of arXiv 2402.11835: ABCs and MAX-CFR, Boltzmann Q-learning, outcome sampling with Hedge.

All of them learn one table over the slots of a world (`walras.envs.tabular.world`): a game tree, a decision process, or
the one stacked before the other. The recursion of the paper is a loop over explicit frames here. Every call of
`advance` touches one node, the unit in which learners are compared.

Letters are the paper's: Q values, n updates, C weights of the average strategy, D remembered ids, tau temperature, x
the last target of a slot, N = max n at an infostate.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from walras.algorithms.tabular.detection import remember, stationary
from walras.envs.game import Array
from walras.envs.tabular.flat import CHANCE, LEAF
from walras.envs.tabular.world import BODY, CARTPOLE, STEPS, World, act, begin, bits, identify, look, nature, scramble

_FAST: Any = {"error_model": "numpy", "cache": True}
_PART: Any = {**_FAST, "forceinline": True}

ADAPTIVE, CUMULATIVE, BOLTZMANN, HEDGE = 0, 1, 2, 3
"""Policies: ABCs's; softmax(Q N); softmax(Q / max(tau, 1 / N)); softmax(Q), where Q is cumulative."""

PUBLISHED, GREEDY, POLICY = 0, 1, 2
"""Corrections of the target of a non-stationary pair, in `Rule.correction`."""


class Rule(NamedTuple):
    """What distinguishes the learners; plain numbers, so that one compilation serves all.

    Attributes:
        policy: `ADAPTIVE`, `CUMULATIVE`, `BOLTZMANN` or `HEDGE`.
        correction: `PUBLISHED`, `GREEDY` or `POLICY`.
        opponent: average where the others move, not at the traverser's visits.
        expand_all: treat every pair as non-stationary and pass over pairs that are not expanded (MAX-CFR).
        oracle: take verdicts as they stand.
        spending: the k-th test of a pair is held at a smaller level, so that all tests together keep it.
        matching: regret matching+ in place of Hedge at non-stationary infostates.
        minimum: entries without which a pair counts as stationary.
        clearing: probability that all verdicts are forgotten at the start of an iteration.
        decay: factor of the temperature.
        every: iterations between two decays.
        end: probability that a step of the process is its last.
        limit: steps after which the process ends.
        explore: share of uniform play in outcome sampling.
        late: outcome sampling passes on the last reward only, and Boltzmann Q-learning looks beyond the end (as
            published).
    """

    policy: int
    correction: int
    opponent: bool
    expand_all: bool
    oracle: bool
    spending: bool
    matching: bool
    minimum: int
    clearing: float
    decay: float
    every: int
    end: float
    limit: int
    explore: float
    late: bool


class Frames(NamedTuple):
    """The explicit stack of visits, and other scratch space; D frames, A the largest number of actions.

    Attributes:
        node: (D,) int64, the hidden state's node.
        body: (D, 6) float64, and its body.
        info: (D,) int64.
        sampled: (D,) int64, the action that is followed in any case.
        turn: (D,) int64, the next action to query.
        pi: (D, A) float64, the policy when the frame was opened.
        reward: (D, A) float64.
        child: (D, A) int64, infostate after the action; -1 at the end, -2 where the pair was passed over.
        opened: (D, A) bool, was the child visited?
        old: (D, A, A) float64, the child's values before the recursion.
        before: (D, A, A) float64, the child's policy before the recursion.
        other: (A,) float64, a policy of somebody else.
        u: (4,) float64.
    """

    node: Array
    body: Array
    info: Array
    sampled: Array
    turn: Array
    pi: Array
    reward: Array
    child: Array
    opened: Array
    old: Array
    before: Array
    other: Array
    u: Array


def frames(world: World, depth: int) -> Frames:
    """Scratch space for visits `depth` deep."""
    actions = int(np.diff(world.info_offset).max(initial=1))
    return Frames(
        np.zeros(depth, np.int64), np.zeros((depth, BODY)), np.zeros(depth, np.int64), np.zeros(depth, np.int64),
        np.zeros(depth, np.int64), np.zeros((depth, actions)), np.zeros((depth, actions)),
        np.zeros((depth, actions), np.int64), np.zeros((depth, actions), np.bool_),
        np.zeros((depth, actions, actions)), np.zeros((depth, actions, actions)), np.zeros(actions), np.zeros(4),
    )  # fmt: skip


# -- policies ----------------------------------------------------------------------------------------------------------


@njit(**_PART)
def policy(rule: Any, memory: Any, a0: int, count: int, pi: Any) -> None:
    """Write the exploration policy of the infostate whose slots begin at `a0`."""
    slots = memory.slots
    if rule.policy == 3:
        softmax(slots, a0, count, 1.0, pi)
        return
    unvisited, most = 0, 0
    for a in range(count):
        n = slots[a0 + a].n
        unvisited += n == 0
        most = max(most, n)
    if unvisited:
        for a in range(count):
            pi[a] = 1.0 / unvisited if slots[a0 + a].n == 0 else 0.0
        return
    if rule.policy == 2:
        softmax(slots, a0, count, 1.0 / max(memory.clock[0].tau, 1.0 / most), pi)
        return
    calm = rule.policy == 0
    if calm:
        for a in range(count):
            if not stationary(rule, memory, a0 + a):
                calm = False
                break
    if calm:
        softmax(slots, a0, count, 1.0 / memory.clock[0].tau, pi)
    elif rule.matching:
        total = 0.0
        for a in range(count):
            total += slots[a0 + a].regret
        for a in range(count):
            pi[a] = slots[a0 + a].regret / total if total > 0.0 else 1.0 / count
    else:
        softmax(slots, a0, count, float(most), pi)


@njit(**_PART)
def softmax(slots: Any, first: int, count: int, scale: float, pi: Any) -> None:
    """Write the Boltzmann law of neighbouring values, with `scale` the inverse temperature."""
    top = slots[first].q
    for a in range(1, count):
        top = max(top, slots[first + a].q)
    total = 0.0
    for a in range(count):
        gap = slots[first + a].q - top
        pi[a] = 1.0 if gap == 0.0 else np.exp(gap * scale)
        total += pi[a]
    for a in range(count):
        pi[a] /= total


@njit(**_PART)
def draw(pi: Any, count: int, u: float) -> int:
    """The action that the uniform `u` picks; never one of probability zero."""
    choice = 0
    for a in range(count):
        if pi[a] > 0.0:
            choice = a
            u -= pi[a]
            if u < 0.0:
                break
    return choice


# -- moving on ---------------------------------------------------------------------------------------------------------


@njit(**_PART)
def settle(rule: Any, world: Any, memory: Any, frames: Any, player: int, d: int, rng: Any) -> Any:
    """In the tree, let nature and the others move in frame d until `player` must.

    Returns (what the player was paid on the way, its infostate or -1 at the end).
    """
    node, paid = frames.node[d], 0.0
    while world.kind[node] != LEAF:
        if world.kind[node] == CHANCE:
            node = nature(world, node, rng.random())
        else:
            info = world.node_info[node]
            if world.info_player[info] == player:
                frames.node[d] = node
                return paid, int(info)
            a0 = world.info_offset[info]
            count = world.info_offset[info + 1] - a0
            policy(rule, memory, a0, count, frames.other)
            if rule.opponent:
                for a in range(count):
                    memory.slots[a0 + a].c += frames.other[a]
            node = world.first_child[node] + draw(frames.other, count, rng.random())
        paid += world.reward[node, player]
    frames.node[d] = node
    return paid, -1


@njit(**_FAST)
def reset(rule: Any, world: Any, memory: Any, frames: Any, player: int, rng: Any) -> int:
    """Start an episode in frame 0 and return the infostate, or -1: the game may end before the player is asked.

    Player 0 of a stack begins with the process, the others with the game.
    """
    if world.process != 0 and player == 0:
        for k in range(4):
            frames.u[k] = rng.random()
        begin(world, frames.body[0], frames.u)
        frames.node[0] = -1
        return int(look(world, frames.body[0]))
    frames.node[0] = 0
    return int(settle(rule, world, memory, frames, player, 0, rng)[1])


@njit(**_PART)
def advance(rule: Any, world: Any, memory: Any, frames: Any, player: int, d: int, action: int, rng: Any) -> Any:
    """Apply an action in frame d and move on until the player must move again; the result stands in frame d + 1.

    Returns (reward, infostate or -1 at the end).
    """
    memory.clock[0].nodes += 1
    paid = 0.0
    if frames.node[d] >= 0:
        frames.node[d + 1] = world.first_child[frames.node[d]] + action
    else:
        body = frames.body[d + 1]
        body[:] = frames.body[d]
        paid, over = act(world, body, action, rng.random())
        if rule.end > 0.0 and rng.random() < rule.end:
            over = True
        frames.node[d + 1] = -1
        if not over and body[STEPS] < rule.limit:
            return paid, int(look(world, body))
        if len(world.kind) == 0:
            return paid, -1
        frames.node[d + 1] = 0
    paid += world.reward[frames.node[d + 1], player]
    more, info = settle(rule, world, memory, frames, player, d + 1, rng)
    return paid + more, info


@njit(**_FAST)
def fingerprint(world: Any, frames: Any, d: int, paid: float, info: int) -> int:
    """The id that is remembered: of the hidden state in frame d, or of the reward at the end."""
    if info < 0:
        return int(np.int64((scramble(bits(paid)) >> np.uint64(2)) << np.uint64(1)) | np.int64(1 << 62))
    if frames.node[d] >= 0:
        return int(2 * frames.node[d])
    return int(identify(world, frames.body[d]))


# -- learners ----------------------------------------------------------------------------------------------------------


@njit(**_FAST)
def visit(rule: Any, world: Any, memory: Any, frames: Any, player: int, info: int, now: int, rng: Any) -> None:
    """Visit an infostate and all that it expands (section 4.3): queries first, updates after all recursion."""
    d, opened = 0, False
    frames.info[0] = info
    slots = memory.slots
    while d >= 0:
        info = frames.info[d]
        a0 = world.info_offset[info]
        count = world.info_offset[info + 1] - a0
        if not opened:
            policy(rule, memory, a0, count, frames.pi[d])
            frames.sampled[d] = draw(frames.pi[d], count, rng.random())
            frames.turn[d] = 0
            opened = True
            if d > 0 and rule.correction == POLICY:
                frames.before[d - 1, frames.turn[d - 1] - 1, :count] = frames.pi[d, :count]
        a = frames.turn[d]
        if a == count:
            update(rule, world.info_offset, memory, frames, d, now)
            d -= 1
            continue
        frames.turn[d] = a + 1
        slot = a0 + a
        nonstationary = rule.expand_all or not stationary(rule, memory, slot)
        expand = a == frames.sampled[d] or (nonstationary and slots[slot].expanded != now)
        if rule.expand_all and not expand:
            frames.child[d, a] = -2
            continue
        paid, below = advance(rule, world, memory, frames, player, d, a, rng)
        frames.reward[d, a] = paid
        frames.child[d, a] = below
        frames.opened[d, a] = expand
        if not (rule.oracle or rule.expand_all):
            seen = fingerprint(world, frames, d + 1, paid, below)
            remember(slots, memory.counts, memory.ring, slot, seen)
        if below < 0:
            continue
        b0 = world.info_offset[below]
        width = world.info_offset[below + 1] - b0
        for b in range(width):
            frames.old[d, a, b] = slots[b0 + b].q
        if expand:
            slots[slot].expanded = now
            d += 1
            frames.info[d] = below
            opened = False


@njit(**_FAST)
def update(rule: Any, info_offset: Any, memory: Any, frames: Any, d: int, now: int) -> None:
    """Move the values of all actions queried in frame d towards their targets."""
    info, slots = frames.info[d], memory.slots
    a0 = info_offset[info]
    count = info_offset[info + 1] - a0
    value = 0.0
    for a in range(count):
        below, slot = frames.child[d, a], a0 + a
        if below == -2:
            continue
        target = frames.reward[d, a]
        if below >= 0:
            b0 = info_offset[below]
            width = info_offset[below + 1] - b0
            top = frames.old[d, a, 0]
            for b in range(1, width):
                top = max(top, frames.old[d, a, b])
            bootstrap = top
            nonstationary = rule.expand_all or not stationary(rule, memory, slot)
            # Where an infostate recurs in an episode, a pair that is open further up is not opened again: nothing new
            # is known of its child then, by which the target could be corrected.
            known = frames.opened[d, a] or rule.correction == PUBLISHED
            if known and nonstationary and slots[slot].updated != now:
                bootstrap = correct(rule.correction, slots, frames.old[d, a], frames.before[d, a], b0, width, top)
            target += bootstrap
        n = slots[slot].n
        slots[slot].q = (n * slots[slot].q + target) / (n + 1)
        slots[slot].n = n + 1
        slots[slot].x = target
        slots[slot].updated = now
        value += frames.pi[d, a] * target
        if not rule.opponent:
            slots[slot].c += frames.pi[d, a]
    if rule.matching:
        for a in range(count):
            if frames.child[d, a] != -2:
                slots[a0 + a].regret = max(0.0, slots[a0 + a].regret + slots[a0 + a].x - value)


@njit(**_PART)
def correct(correction: int, slots: Any, old: Any, before: Any, b0: int, width: int, top: float) -> float:
    """The child's value just found, in place of its average: by the latest target of its actions."""
    if correction == POLICY:
        total = 0.0
        for b in range(width):
            total += before[b] * slots[b0 + b].x
        return total
    total, ties = 0.0, 0
    for b in range(width):
        if old[b] == top:
            ties += 1
            if correction == GREEDY:
                total += slots[b0 + b].x
            else:
                n, q = slots[b0 + b].n, slots[b0 + b].q
                total += top + (n * q - (n - 1) * old[b]) - q
    return total / ties


@njit(**_PART)
def tick(rule: Any, memory: Any) -> None:
    """Close an iteration: count it and cool down."""
    memory.clock[0].iterations += 1
    if memory.clock[0].iterations % rule.every == 0:
        memory.clock[0].tau *= rule.decay


@njit(**_FAST)
def branch(rule: Any, world: Any, memory: Any, frames: Any, budget: int, end: int, rng: Any) -> None:
    """Iterations of ABCs or MAX-CFR until `budget` nodes are touched or `end` iterations are done (of all time)."""
    while memory.clock[0].nodes < budget and memory.clock[0].iterations < end:
        if not (rule.oracle or rule.expand_all) and rng.random() < rule.clearing:
            memory.clock[0].generation += 1
        for player in range(world.n_players):
            info = reset(rule, world, memory, frames, player, rng)
            if info >= 0:
                visit(rule, world, memory, frames, player, info, memory.clock[0].iterations + 1, rng)
        tick(rule, memory)


@njit(**_FAST)
def follow(rule: Any, world: Any, memory: Any, frames: Any, budget: int, end: int, rng: Any) -> None:
    """Iterations of Boltzmann Q-learning: one trajectory a player, the action taken is updated at once."""
    slots = memory.slots
    while memory.clock[0].nodes < budget and memory.clock[0].iterations < end:
        for player in range(world.n_players):
            info = reset(rule, world, memory, frames, player, rng)
            while info >= 0:
                a0 = world.info_offset[info]
                count = world.info_offset[info + 1] - a0
                policy(rule, memory, a0, count, frames.pi[0])
                action = draw(frames.pi[0], count, rng.random())
                target, below = advance(rule, world, memory, frames, player, 0, action, rng)
                seen = below
                if below < 0 and rule.late and world.process == CARTPOLE and frames.node[1] < 0:
                    seen = look(world, frames.body[1])
                if seen >= 0:
                    b0 = world.info_offset[seen]
                    top = slots[b0].q
                    for b in range(b0 + 1, world.info_offset[seen + 1]):
                        top = max(top, slots[b].q)
                    target += top
                slot = a0 + action
                n = slots[slot].n
                slots[slot].q = (n * slots[slot].q + target) / (n + 1)
                slots[slot].n = n + 1
                if not rule.opponent:
                    policy(rule, memory, a0, count, frames.pi[0])
                    for a in range(count):
                        slots[a0 + a].c += frames.pi[0, a]
                frames.node[0] = frames.node[1]
                frames.body[0] = frames.body[1]
                info = below
        tick(rule, memory)


@njit(**_FAST)
def outcome(rule: Any, world: Any, memory: Any, frames: Any, budget: int, end: int, rng: Any) -> None:
    """Iterations of outcome sampling: one trajectory a player, valued by importance weights (section 4.5).

    The chance of a very long trajectory can fall below what numbers hold: weights are cut at 1e100 and 1e200.
    """
    slots = memory.slots
    while memory.clock[0].nodes < budget and memory.clock[0].iterations < end:
        for player in range(world.n_players):
            info = reset(rule, world, memory, frames, player, rng)
            d = 0
            while info >= 0:
                a0 = world.info_offset[info]
                count = world.info_offset[info + 1] - a0
                frames.info[d] = info
                policy(rule, memory, a0, count, frames.pi[d])
                followed = frames.old[d, 0]  # a mixture with uniform play
                for a in range(count):
                    followed[a] = rule.explore / count + (1.0 - rule.explore) * frames.pi[d, a]
                action = draw(followed, count, rng.random())
                frames.sampled[d] = action
                frames.reward[d, 0], info = advance(rule, world, memory, frames, player, d, action, rng)
                d += 1
            reach = 1.0
            for i in range(d):
                reach *= frames.old[i, 0, frames.sampled[i]]
                frames.before[i, 0, 0] = reach
            value = 0.0
            for i in range(d - 1, -1, -1):
                info, action = frames.info[i], frames.sampled[i]
                a0 = world.info_offset[info]
                if i < d - 1:
                    later = frames.sampled[i + 1]
                    value *= frames.pi[i + 1, later] / frames.old[i + 1, 0, later]
                    value = min(max(value, -1e100), 1e100)
                if i == d - 1 or not rule.late:
                    value += frames.reward[i, 0]
                slots[a0 + action].q += value / max(frames.before[i, 0, 0], 1e-200)
                for a in range(world.info_offset[info + 1] - a0):
                    slots[a0 + a].n += 1
                    if not rule.opponent:
                        slots[a0 + a].c += frames.pi[i, a]
        tick(rule, memory)


@njit(**_FAST)
def rollouts(world: Any, strategy: Any, episodes: int, limit: int, rng: Any, body: Any, u: Any) -> float:
    """Mean return of the process over episodes of at most `limit` steps, by a strategy (S,) over slots."""
    total = 0.0
    for _ in range(episodes):
        for k in range(4):
            u[k] = rng.random()
        begin(world, body, u)
        for _ in range(limit):
            info = look(world, body)
            a0 = world.info_offset[info]
            count = world.info_offset[info + 1] - a0
            action = draw(strategy[a0 : a0 + count], count, rng.random())
            paid, over = act(world, body, action, rng.random())
            total += paid
            if over:
                break
    return total / episodes
